//! What CloudFormation says of a stack.

use aws_sdk_cloudformation::{
    Client,
    types::{
        Parameter, PropertyDifference, RollbackConfiguration, Stack, StackResourceDrift,
        StackResourceSummary, TemplateStage,
    },
};
use serde_json::Value;

use super::{
    super::Stage,
    PAGES_MAX, list, moment, next, object,
    refused::{refused, too_many},
    text, word,
};
use crate::sources::SourceError;

pub(super) async fn stack(client: &Client, stack: &str) -> Result<Value, SourceError> {
    let said = client.describe_stacks().stack_name(stack).send().await;
    let said = said.map_err(|error| refused("DescribeStacks", &error))?;
    Ok(object([("Stacks", Some(list(said.stacks(), of_stack)))]))
}

pub(super) async fn template(
    client: &Client,
    stack: &str,
    stage: Stage,
) -> Result<Value, SourceError> {
    let stage = TemplateStage::from(stage.word());
    let asked = client.get_template().stack_name(stack);
    let said = asked.template_stage(stage).send().await;
    let said = said.map_err(|error| refused("GetTemplate", &error))?;
    Ok(object([("TemplateBody", text(said.template_body()))]))
}

pub(super) async fn resources(client: &Client, stack: &str) -> Result<Value, SourceError> {
    let (mut all, mut page) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let asked = client.list_stack_resources().stack_name(stack);
        let said = asked.set_next_token(page).send().await;
        let said = said.map_err(|error| refused("ListStackResources", &error))?;
        all.extend(said.stack_resource_summaries().iter().map(of_resource));
        page = next(said.next_token);
        if page.is_none() {
            return Ok(object([("StackResourceSummaries", Some(Value::from(all)))]));
        }
    }
    Err(too_many("ListStackResources"))
}

pub(super) async fn change_sets(client: &Client, stack: &str) -> Result<Value, SourceError> {
    let (mut all, mut page) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let asked = client.list_change_sets().stack_name(stack);
        let said = asked.set_next_token(page).send().await;
        let said = said.map_err(|error| refused("ListChangeSets", &error))?;
        all.extend(said.summaries().iter().map(|set| {
            let status = set.execution_status();
            object([
                ("ChangeSetName", text(set.change_set_name())),
                ("ExecutionStatus", word(status)),
            ])
        }));
        page = next(said.next_token);
        if page.is_none() {
            return Ok(object([("Summaries", Some(Value::from(all)))]));
        }
    }
    Err(too_many("ListChangeSets"))
}

pub(super) async fn detect(client: &Client, stack: &str) -> Result<Value, SourceError> {
    let said = client.detect_stack_drift().stack_name(stack).send().await;
    let said = said.map_err(|error| refused("DetectStackDrift", &error))?;
    let id = said.stack_drift_detection_id();
    Ok(object([("StackDriftDetectionId", text(id))]))
}

pub(super) async fn detection(client: &Client, id: &str) -> Result<Value, SourceError> {
    let asked = client.describe_stack_drift_detection_status();
    let said = asked.stack_drift_detection_id(id).send().await;
    let said = said.map_err(|error| refused("DescribeStackDriftDetectionStatus", &error))?;
    let status = said.detection_status();
    Ok(object([
        ("DetectionStatus", word(status)),
        ("Timestamp", moment(said.timestamp())),
    ]))
}

pub(super) async fn drifts(
    client: &Client,
    stack: &str,
    page: Option<&str>,
) -> Result<Value, SourceError> {
    let asked = client.describe_stack_resource_drifts().stack_name(stack);
    let said = asked.set_next_token(page.map(str::to_owned)).send().await;
    let said = said.map_err(|error| refused("DescribeStackResourceDrifts", &error))?;
    let rows = said.stack_resource_drifts();
    Ok(object([
        ("StackResourceDrifts", Some(list(rows, of_row))),
        ("NextToken", text(said.next_token())),
    ]))
}

fn of_stack(stack: &Stack) -> Value {
    let words = |words: &[String]| Some(list(words, |word| Value::from(word.as_str())));
    object([
        ("StackId", text(stack.stack_id())),
        ("StackName", text(stack.stack_name())),
        ("ChangeSetId", text(stack.change_set_id())),
        ("Parameters", Some(list(stack.parameters(), of_parameter))),
        ("LastUpdatedTime", moment(stack.last_updated_time())),
        (
            "RollbackConfiguration",
            stack.rollback_configuration().map(of_rollback),
        ),
        ("StackStatus", word(stack.stack_status())),
        ("DisableRollback", stack.disable_rollback().map(Value::from)),
        ("NotificationARNs", words(stack.notification_arns())),
        (
            "Capabilities",
            Some(list(stack.capabilities(), |it| Value::from(it.as_str()))),
        ),
        (
            "Outputs",
            Some(list(stack.outputs(), |it| {
                object([
                    ("OutputKey", text(it.output_key())),
                    ("ExportName", text(it.export_name())),
                ])
            })),
        ),
        ("RoleARN", text(stack.role_arn())),
        (
            "Tags",
            Some(list(stack.tags(), |it| {
                object([("Key", text(it.key())), ("Value", text(it.value()))])
            })),
        ),
        (
            "EnableTerminationProtection",
            stack.enable_termination_protection().map(Value::from),
        ),
        ("ParentId", text(stack.parent_id())),
        ("RootId", text(stack.root_id())),
        (
            "RetainExceptOnCreate",
            stack.retain_except_on_create().map(Value::from),
        ),
        ("DeletionMode", word(stack.deletion_mode())),
    ])
}

fn of_parameter(parameter: &Parameter) -> Value {
    object([
        ("ParameterKey", text(parameter.parameter_key())),
        ("ParameterValue", text(parameter.parameter_value())),
        ("ResolvedValue", text(parameter.resolved_value())),
    ])
}

fn of_rollback(rollback: &RollbackConfiguration) -> Value {
    let triggers = rollback.rollback_triggers.as_ref();
    let triggers = triggers.map(|triggers| {
        list(triggers, |it| {
            object([("Arn", text(it.arn())), ("Type", text(it.r#type()))])
        })
    });
    let minutes = rollback.monitoring_time_in_minutes();
    object([
        ("RollbackTriggers", triggers),
        ("MonitoringTimeInMinutes", minutes.map(Value::from)),
    ])
}

fn of_resource(resource: &StackResourceSummary) -> Value {
    let status = resource.resource_status();
    object([
        ("LogicalResourceId", text(resource.logical_resource_id())),
        ("PhysicalResourceId", text(resource.physical_resource_id())),
        ("ResourceType", text(resource.resource_type())),
        ("ResourceStatus", word(status)),
    ])
}

fn of_row(row: &StackResourceDrift) -> Value {
    let status = row.stack_resource_drift_status();
    object([
        ("LogicalResourceId", text(row.logical_resource_id())),
        ("PhysicalResourceId", text(row.physical_resource_id())),
        ("StackResourceDriftStatus", word(status)),
        ("Timestamp", moment(row.timestamp())),
        (
            "PropertyDifferences",
            Some(list(row.property_differences(), of_difference)),
        ),
    ])
}

fn of_difference(difference: &PropertyDifference) -> Value {
    let kind = difference.difference_type();
    object([
        ("PropertyPath", text(difference.property_path())),
        ("ExpectedValue", text(difference.expected_value())),
        ("ActualValue", text(difference.actual_value())),
        ("DifferenceType", word(kind)),
    ])
}
