//! Option settings, sorted by what tells one from the others. Variables of the application are
//! secrets, and so is what AWS makes of them: the parameters of the stack behind an
//! environment hold all of them in one text.

use std::collections::BTreeMap;

use cairn_proto::name::ArtifactName;
use serde_json::{Value, json};

use super::{
    super::aws::{ENVIRONMENT, is_masked, items, names_secret, text},
    Desk,
};
use crate::{
    detail::{pointer_step, printable},
    sources::SourceError,
};

/// What AWS passes to the stack behind an environment.
const PARAMETERS: &str = "aws:cloudformation:template:parameter";
/// The option that says how versions are deployed, and the one for settings.
const POLICIES: [(&str, &str); 2] = [
    ("aws:elasticbeanstalk:command", "DeploymentPolicy"),
    (
        "aws:autoscaling:updatepolicy:rollingupdate",
        "RollingUpdateType",
    ),
];

/// The settings as they are recorded, or compared.
pub(super) fn object(
    settings: &[Value],
    name: &ArtifactName,
    desk: &mut Desk<'_>,
) -> Result<Value, SourceError> {
    let mut sorted = BTreeMap::new();
    for setting in settings {
        let of = |member: &str| text(setting, member).unwrap_or_default();
        let key = (of("Namespace"), of("ResourceName"), of("OptionName"));
        let wrong = |why: &str| SourceError::Input {
            what: format!("the option {} {}", printable(key.0), printable(key.2)),
            why: why.to_owned(),
        };
        if key.0.is_empty() || key.2.is_empty() {
            return Err(wrong("an option setting has a Namespace and an OptionName"));
        }
        let value = match setting.get("Value") {
            None | Some(Value::Null) => None,
            Some(Value::String(value)) => Some(value.as_str()),
            Some(_) => return Err(wrong("its value is no text")),
        };
        if sorted.insert(key, value).is_some() {
            return Err(wrong("it is set twice"));
        }
    }
    let mut told = Vec::with_capacity(sorted.len());
    for ((namespace, resource, option), value) in sorted {
        let at = [namespace, resource, option].map(pointer_step).concat();
        let secret =
            namespace.starts_with(ENVIRONMENT) || namespace == PARAMETERS || names_secret(option);
        let value = match value {
            None => Value::Null,
            Some(value) if is_masked(value) && !desk.is_recording() => desk.untold(),
            Some(value) if secret || is_masked(value) => {
                desk.withhold(name, &format!("/OptionSettings{at}"), value.as_bytes())?
            }
            Some(value) => Value::from(value),
        };
        told.push(json!({
            "Namespace": namespace,
            "ResourceName": resource,
            "OptionName": option,
            "Value": value,
        }));
    }
    Ok(Value::Array(told))
}

/// Tells whether instances are replaced, or changed where they stand.
pub(super) fn note_policies(settings: &[Value], desk: &mut Desk<'_>) {
    for (namespace, option) in POLICIES {
        let mut settings = settings.iter();
        let setting = settings.find(|setting| {
            text(setting, "Namespace") == Some(namespace)
                && text(setting, "OptionName") == Some(option)
        });
        let value = setting.and_then(|setting| text(setting, "Value"));
        match value {
            Some("Immutable") => {}
            Some(other) => desk.note(format!(
                "{option} is {other} and not Immutable: instances are changed, not replaced"
            )),
            None => desk.note(format!("{option} is not set: it is not Immutable")),
        }
    }
}

/// The settings that are in force: none if others are on their way, or it is not told.
pub(super) fn in_force(said: &Value, environment: &str) -> Option<Vec<Value>> {
    let all = items(said, "ConfigurationSettings").iter();
    let own: Vec<_> = all
        .filter(|settings| text(settings, "EnvironmentName") == Some(environment))
        .collect();
    let [only] = own.as_slice() else {
        return None;
    };
    match text(only, "DeploymentStatus") {
        None | Some("deployed") => Some(items(only, "OptionSettings").to_vec()),
        Some(_) => None,
    }
}
