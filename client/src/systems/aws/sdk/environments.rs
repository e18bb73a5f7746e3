//! What Elastic Beanstalk says of an application's environments and versions.

use aws_sdk_elasticbeanstalk::{
    Client,
    types::{
        ApplicationVersionDescription, ConfigurationSettingsDescription, EnvironmentDescription,
    },
};
use serde_json::Value;

use super::{
    list, object,
    refused::{refused, too_many},
    text, word,
};
use crate::sources::SourceError;

/// By name there is one page, of those that are and of those that were.
pub(super) async fn environments(
    client: &Client,
    application: &str,
    name: &str,
) -> Result<Value, SourceError> {
    let asked = client.describe_environments().application_name(application);
    let said = asked.environment_names(name).send().await;
    let said = said.map_err(|error| refused("DescribeEnvironments", &error))?;
    if said.next_token().is_some_and(|token| !token.is_empty()) {
        return Err(too_many("DescribeEnvironments"));
    }
    let environments = Some(list(said.environments(), of_environment));
    Ok(object([("Environments", environments)]))
}

pub(super) async fn settings(
    client: &Client,
    application: &str,
    name: &str,
) -> Result<Value, SourceError> {
    let asked = client.describe_configuration_settings();
    let asked = asked.application_name(application).environment_name(name);
    let said = asked.send().await;
    let said = said.map_err(|error| refused("DescribeConfigurationSettings", &error))?;
    let settings = Some(list(said.configuration_settings(), of_settings));
    Ok(object([("ConfigurationSettings", settings)]))
}

pub(super) async fn versions(
    client: &Client,
    application: &str,
    label: &str,
) -> Result<Value, SourceError> {
    let asked = client.describe_application_versions();
    let asked = asked.application_name(application).version_labels(label);
    let said = asked.send().await;
    let said = said.map_err(|error| refused("DescribeApplicationVersions", &error))?;
    if said.next_token().is_some_and(|token| !token.is_empty()) {
        return Err(too_many("DescribeApplicationVersions"));
    }
    let versions = Some(list(said.application_versions(), of_version));
    Ok(object([("ApplicationVersions", versions)]))
}

fn of_environment(environment: &EnvironmentDescription) -> Value {
    let tier = environment.tier().map(|tier| {
        object([
            ("Name", text(tier.name())),
            ("Type", text(tier.r#type())),
            ("Version", text(tier.version())),
        ])
    });
    let status = environment.status();
    object([
        ("EnvironmentName", text(environment.environment_name())),
        ("EnvironmentId", text(environment.environment_id())),
        ("ApplicationName", text(environment.application_name())),
        ("VersionLabel", text(environment.version_label())),
        ("PlatformArn", text(environment.platform_arn())),
        ("OperationsRole", text(environment.operations_role())),
        ("Status", word(status)),
        ("Tier", tier),
    ])
}

fn of_settings(settings: &ConfigurationSettingsDescription) -> Value {
    let options = Some(list(settings.option_settings(), |option| {
        object([
            ("ResourceName", text(option.resource_name())),
            ("Namespace", text(option.namespace())),
            ("OptionName", text(option.option_name())),
            ("Value", text(option.value())),
        ])
    }));
    let status = settings.deployment_status();
    object([
        ("ApplicationName", text(settings.application_name())),
        ("EnvironmentName", text(settings.environment_name())),
        ("DeploymentStatus", word(status)),
        ("OptionSettings", options),
    ])
}

fn of_version(version: &ApplicationVersionDescription) -> Value {
    let bundle = version.source_bundle().map(|place| {
        object([
            ("S3Bucket", text(place.s3_bucket())),
            ("S3Key", text(place.s3_key())),
        ])
    });
    object([
        ("ApplicationName", text(version.application_name())),
        ("VersionLabel", text(version.version_label())),
        ("SourceBundle", bundle),
    ])
}
