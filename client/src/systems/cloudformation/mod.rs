//! CloudFormation: a stack, its template and its resources, and what AWS says of them now.
//!
//! AWS compares resources with *its current* template, and so an update that nobody recorded
//! looks in sync: that the live template is the recorded one is compared here, and whether
//! resources are as the live template says is asked of AWS. Invariants: rows of resources
//! decide, and one that was not checked is unmeasured; a stack is its id and not its name; no
//! value of a parameter leaves in clear.

mod documents;
mod drift;
mod parameters;
mod realise;
mod resources;
mod rules;
mod stack;
mod template;
mod wanted;
mod yaml;

use std::path::Path;

use cairn_proto::{name::ArtifactName, reason::Reason};
use serde_json::{Value, json};

use super::{Desk, Given, System, aws::text};
use crate::{
    compare::Rules,
    detail::printable,
    sources::{Recorded, SourceError},
};
use documents::Told;
use template::Template;
use wanted::Wanted;

const STACK: &str = "application/vnd.cairn.cloudformation.stack.v1+json";
const TEMPLATE: &str = "application/vnd.cairn.cloudformation.template.v1+json";
const PARAMETERS: &str = "application/vnd.cairn.cloudformation.parameters.v1+json";
const RESOURCE: &str = "application/vnd.cairn.cloudformation.resource.v1+json";

/// The adapter.
pub(super) struct CloudFormation;

impl System for CloudFormation {
    fn name(&self) -> &'static str {
        "cloudformation"
    }

    fn about(&self) -> &'static str {
        "CloudFormation stacks: a template and behind it its parameter file, or what `aws cloudformation` prints of a stack \
         (`FILE`, `-`: get-template, describe-stacks, list-stack-resources, \
         describe-change-set, describe-stack-resource-drifts, one after the other); \
         `live:STACK` asks AWS, with the settings and credentials of its command line, and to \
         verify has it detect drift"
    }

    fn capture(&self, given: &Given, desk: &mut Desk<'_>) -> Result<(), SourceError> {
        let wrong = |why: String| SourceError::Input {
            what: given.shown(),
            why,
        };
        let asked = match given {
            Given::Live(Some(name)) => name.clone(),
            Given::Live(None) => return Err(wrong("say which stack: `live:STACK`".to_owned())),
            _ => stem(given),
        };
        let mut told = match given.read()? {
            Some(bytes) => {
                let parameters = parameters::Given::read(&bytes);
                if let Some(parameters) = parameters.map_err(|why| wrong(printable(&why)))? {
                    return parameters.lay_down(given, &bytes, desk);
                }
                Told::read(&given.shown(), &bytes)?
            }
            None => Told::live(&asked)?,
        };
        if told.gone {
            return Err(wrong("AWS has no such stack".to_owned()));
        }
        if matches!(given, Given::Live(_)) {
            told.ask_change_sets()?;
        }
        let name = told.name().map_or(asked, str::to_owned);
        if let Some(stack) = &told.stack {
            stack::refuse_unsettled(stack).map_err(wrong)?;
            let artifact = desk.name(&["stack", &name])?;
            let object = stack::object(&told, &artifact, desk)?;
            desk.object(artifact, STACK, object);
        }
        let Some(original) = &told.original else {
            return Err(wrong(
                "the template is missing: add what get-template prints".to_owned(),
            ));
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
            Some(resources) => record_live(resources, &name, desk),
            None if told.stack.is_some() => Err(wrong(
                "the resources are missing: add what list-stack-resources prints".to_owned(),
            )),
            None => {
                record_declared(original, &name, desk)?;
                parameters::record(original, &name, desk)
            }
        }
    }

    fn observe(
        &self,
        given: &Given,
        recorded: &Recorded<'_>,
        desk: &mut Desk<'_>,
    ) -> Result<(), SourceError> {
        let all = Wanted::all(self.name(), recorded);
        if matches!(given, Given::Live(_)) {
            let only = all.len() == 1;
            for wanted in Wanted::asked(all, given, None)? {
                // A template may have been recorded under another name than its stack's.
                let name = match given {
                    Given::Live(Some(name)) if only => name,
                    _ => &wanted.name,
                };
                wanted.is_spoken_for(desk)?;
                match Told::live(name) {
                    Ok(told) => observe_one(told, &wanted, true, desk)?,
                    // What it will not tell is unknown; nobody and nothing to ask is the
                    // caller's to mend.
                    Err(error @ SourceError::Tool { .. }) => {
                        for artifact in wanted.artifacts() {
                            desk.unmeasured(artifact, Reason::ToolFailed, error.to_string());
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
            return Ok(());
        }
        let bytes = given.read()?.unwrap_or_default();
        if matches!(parameters::Given::read(&bytes), Ok(Some(_))) {
            return Err(SourceError::Input {
                what: given.shown(),
                why: "a parameter file says what was to be deployed, and not what is: \
                      `--cloudformation` asks AWS"
                    .to_owned(),
            });
        }
        let told = Told::read(&given.shown(), &bytes)?;
        let asked = Wanted::asked(all, given, Some(&told))?;
        let Some(wanted) = asked.first() else {
            return Ok(());
        };
        wanted.is_spoken_for(desk)?;
        observe_one(told, wanted, false, desk)
    }

    fn realise(&self, reference: &str, recorded: &Recorded<'_>) -> Option<String> {
        realise::command(&Wanted::all(self.name(), recorded), reference)
    }

    fn rules(&self, media_type: &str) -> Option<&'static dyn Rules> {
        match media_type {
            STACK => Some(&rules::StackRules),
            PARAMETERS => Some(&rules::ParametersRules),
            TEMPLATE => Some(&rules::TemplateRules),
            RESOURCE => Some(&rules::ResourceRules),
            _ => None,
        }
    }
}

/// The name of a file without its endings: what the stack is likely called.
fn stem(given: &Given) -> String {
    let base = given.base();
    let stem = Path::new(&base).file_stem().unwrap_or(&base);
    let stem = stem.to_string_lossy();
    stem.strip_suffix(".template").unwrap_or(&stem).to_owned()
}

/// What there is now of one stack.
fn observe_one(
    mut told: Told,
    wanted: &Wanted,
    live: bool,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    if live && !wanted.resources.is_empty() {
        told.detect()?;
    }
    if told.gone {
        return Ok(());
    }
    if let Some((artifact, _)) = &wanted.stack {
        if told.stack.is_some() {
            let object = stack::object(&told, artifact, desk)?;
            desk.object(artifact.clone(), STACK, object);
        } else {
            not_given(artifact, "what describe-stacks prints", desk);
        }
    }
    if let Some((artifact, recorded)) = &wanted.parameters {
        parameters::observe(&told, artifact, recorded, desk)?;
    }
    if let Some((artifact, recorded)) = &wanted.template {
        observe_template(&told, artifact, recorded, desk)?;
    }
    resources::observe(&told, wanted, desk)
}

fn not_given(artifact: &ArtifactName, what: &str, desk: &mut Desk<'_>) {
    desk.unmeasured(
        artifact,
        Reason::SourceInvalid,
        format!("{what} was not given"),
    );
}

/// The template's object, and whether something in it is withheld.
fn template_object(
    told: &Told,
    original: &Template,
    name: &ArtifactName,
    processed: bool,
    desk: &mut Desk<'_>,
) -> Result<(Value, bool), SourceError> {
    let (body, mut secret) = template::cleaned(&original.body, name, "/Original", desk)?;
    let mut object = json!({"Format": original.format, "Original": body});
    if let (Some(processed), true) = (&told.processed, processed) {
        let (body, also) = template::cleaned(&processed.body, name, "/Processed", desk)?;
        secret |= also;
        if let Some(object) = object.as_object_mut() {
            object.insert("Processed".to_owned(), body);
        }
    }
    Ok((object, secret))
}

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

fn record_live(resources: &[Value], name: &str, desk: &mut Desk<'_>) -> Result<(), SourceError> {
    for resource in resources {
        if text(resource, "ResourceStatus") != Some("DELETE_COMPLETE") {
            let logical = text(resource, "LogicalResourceId").unwrap_or_default();
            let artifact = desk.name(&["resource", name, logical])?;
            desk.object(artifact, RESOURCE, stack::resource(resource));
        }
    }
    Ok(())
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

/// The live template under the recorded one's name. Where one is JSON and the other YAML, they
/// can be told equal, or told apart, or neither.
fn observe_template(
    told: &Told,
    artifact: &ArtifactName,
    recorded: &Value,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let Some(original) = &told.original else {
        not_given(artifact, "what get-template prints", desk);
        return Ok(());
    };
    let processed = recorded.get("Processed");
    if processed.is_some() && told.processed.is_none() {
        not_given(artifact, "the processed template", desk);
        return Ok(());
    }
    let (mut object, _) = template_object(told, original, artifact, processed.is_some(), desk)?;
    if let (Some(name), Some(object)) = (recorded.get("StackName"), object.as_object_mut()) {
        object.insert("StackName".to_owned(), name.clone());
    }
    let other = text(recorded, "Format") != Some(original.format);
    let (left, right) = (recorded.get("Original"), object.get("Original"));
    let apart = left.map(template::loosely) != right.map(template::loosely);
    if other && left != right && !apart {
        let why = "one template is JSON and the other YAML, whose readers disagree on some values";
        desk.unmeasured(artifact, Reason::SourceInvalid, why);
        return Ok(());
    }
    desk.object(artifact.clone(), TEMPLATE, object);
    Ok(())
}
