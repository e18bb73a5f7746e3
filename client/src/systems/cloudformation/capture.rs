//! What is recorded of a stack, or of a template before it.

use serde_json::{Value, json};

use super::{
    super::aws::text, Desk, Given, RESOURCE, STACK, TEMPLATE, documents::Told,
    parameter_file::ParameterFile, parameters, resources, stack, stem, template::Template,
    template_object, wrong,
};
use crate::sources::SourceError;

/// Records what was given; of a template before its stack, with the parameter file behind it.
pub(super) fn capture(
    given: &Given,
    behind: Option<(&Given, (ParameterFile, Vec<u8>))>,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let asked = match given {
        Given::Live(Some(name)) => name.clone(),
        Given::Live(None) => return Err(wrong(given, "say which stack: `live:STACK`")),
        _ => stem(given),
    };
    let mut told = match given.read()? {
        Some(bytes) => Told::read(&given.shown(), &bytes)?,
        None => Told::live(&asked)?,
    };
    if told.gone {
        return Err(wrong(given, "AWS has no such stack"));
    }
    if matches!(given, Given::Live(_)) {
        told.ask_change_sets()?;
    }
    let name = told.name().map_or(asked, str::to_owned);
    if told.stack.is_none() && told.resources.is_some() {
        let why = "the stack is missing: add what describe-stacks prints";
        return Err(wrong(given, why));
    }
    if let (Some(_), Some((file, ..))) = (&told.stack, &behind) {
        return Err(wrong(file, BEHIND));
    }
    if let Some(stack) = &told.stack {
        stack::refuse_unsettled(stack).map_err(|why| wrong(given, &why))?;
        let artifact = desk.name(&["stack", &name])?;
        let object = stack::object(&told, &artifact, desk)?;
        desk.object(artifact, STACK, object);
    }
    let Some(original) = &told.original else {
        let why = "the template is missing: add what get-template prints";
        return Err(wrong(given, why));
    };
    record_template(&told, original, &name, given, desk)?;
    note_nested(original, desk);
    for set in &told.described {
        // It tells the values of all parameters.
        let file = format!("{}.json", text(set, "ChangeSetName").unwrap_or_default());
        let bytes = serde_json::to_vec(set).unwrap_or_default();
        desk.secret_input(&["change-set", &name, &file], &bytes)?;
    }
    match &told.resources {
        Some(resources) => resources::record_live(resources, &name, desk),
        None if told.stack.is_some() => {
            let why = "the resources are missing: add what list-stack-resources prints";
            Err(wrong(given, why))
        }
        None => {
            record_declared(original, &name, desk)?;
            let Some((given, (file, bytes))) = behind else {
                return parameters::record(original, &name, &ParameterFile::default(), desk);
            };
            parameters::record(original, &name, &file, desk)?;
            // Its values may be anything.
            let base = given.base();
            desk.secret_input(&["parameters", &name, &base.to_string_lossy()], &bytes)
        }
    }
}

/// Where a parameter file goes.
pub(super) const BEHIND: &str = "a parameter file goes right behind its template, and a stack tells its own \
                      parameters: --cloudformation=TEMPLATE --cloudformation=PARAMETERS";

fn record_template(
    told: &Told,
    original: &Template,
    name: &str,
    given: &Given,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let artifact = desk.name(&["template", name])?;
    let processed = &told.processed;
    let processed = processed
        .as_ref()
        .is_some_and(|it| it.body != original.body);
    let (mut object, secret) = template_object(told, original, &artifact, processed, desk)?;
    if told.stack.is_none()
        && let Some(object) = object.as_object_mut()
    {
        object.insert("StackName".to_owned(), Value::from(name));
    }
    desk.object(artifact, TEMPLATE, object);
    let Some(bytes) = &original.bytes else {
        desk.note("of a template in JSON, AWS's command line does not tell the very bytes");
        return Ok(());
    };
    let base = match given {
        Given::File(_) if told.stack.is_none() => given.base().to_string_lossy().into_owned(),
        _ => format!("{name}.{}", original.format),
    };
    if secret {
        desk.secret_input(&[&base], bytes)
    } else {
        desk.input(&[&base], bytes.clone())
    }
}

/// AWS compares a nested stack with what its parent says of it, and not what is in it.
fn note_nested(original: &Template, desk: &mut Desk<'_>) {
    let resources = original.resources();
    let nested = resources.filter(|(_, kind, _)| *kind == "AWS::CloudFormation::Stack");
    let nested: Vec<_> = nested.map(|(logical, ..)| logical).collect();
    if !nested.is_empty() {
        desk.note(format!(
            "what is in nested stacks is not looked at, record each by itself: {}",
            nested.join(", ")
        ));
    }
}

/// What a template declares, before anything of it has an id.
fn record_declared(
    original: &Template,
    name: &str,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    if original.is_transformed() {
        desk.note("AWS makes another template of this one: its resources are not recorded");
        return Ok(());
    }
    for (logical, kind, conditional) in original.resources() {
        let artifact = desk.name(&["resource", name, logical])?;
        let mut object = json!({"LogicalResourceId": logical, "ResourceType": kind, "Drift": {}});
        if let (Some(object), true) = (object.as_object_mut(), conditional) {
            object.insert("Conditional".to_owned(), Value::Bool(true));
        }
        desk.object(artifact, RESOURCE, object);
    }
    Ok(())
}
