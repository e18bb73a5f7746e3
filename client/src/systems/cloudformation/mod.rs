//! CloudFormation: a stack, its template and its resources, and what AWS says of them now.
//!
//! AWS compares resources with *its current* template, and so an update that nobody recorded
//! looks in sync: that the live template is the recorded one is compared here, and whether
//! resources are as the live template says is asked of AWS. Invariants: rows of resources
//! decide, and one that was not checked is unmeasured; a stack is its id and not its name; no
//! value of a parameter leaves in clear.

mod capture;
mod documents;
mod drift;
mod parameter_file;
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
use capture::{BEHIND, capture};
use documents::{State, Told};
use parameter_file::ParameterFile;
use resources::Made;
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
        self.capture_all(&[given], desk)
    }

    fn capture_all(&self, all: &[&Given], desk: &mut Desk<'_>) -> Result<(), SourceError> {
        let files = all.iter().map(|given| parameter_file(given));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        let mut all = all.iter().zip(files).peekable();
        while let Some((given, file)) = all.next() {
            if file.is_some() {
                return Err(wrong(given, BEHIND));
            }
            let behind = all.next_if(|(_, file)| file.is_some());
            let behind = behind.and_then(|(given, file)| Some((*given, file?)));
            capture(given, behind, desk)?;
            desk.has_read()?;
        }
        Ok(())
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
        if read_parameters(given, &bytes)?.is_some() {
            let why = "a parameter file says what was to be deployed, and not what is: \
                       `--cloudformation` asks AWS";
            return Err(wrong(given, why));
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

/// What is wrong with what was given.
fn wrong(given: &Given, why: &str) -> SourceError {
    SourceError::Input {
        what: given.shown(),
        why: printable(why),
    }
}

/// A parameter file, and its bytes; `None` for what is something else.
fn parameter_file(given: &Given) -> Result<Option<(ParameterFile, Vec<u8>)>, SourceError> {
    let Some(bytes) = given.read()? else {
        return Ok(None);
    };
    let file = read_parameters(given, &bytes)?;
    Ok(file.map(|file| (file, bytes)))
}

fn read_parameters(given: &Given, bytes: &[u8]) -> Result<Option<ParameterFile>, SourceError> {
    ParameterFile::read(bytes).map_err(|why| wrong(given, &why))
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
    if live {
        told.detect()?;
    }
    if told.gone {
        return Ok(());
    }
    let mut unknown = None;
    if wanted.stack.is_none() {
        match told.state() {
            State::Settled => {}
            State::Untold => {
                let why = "what describe-stacks prints was not given".to_owned();
                unknown = Some((Reason::SourceInvalid, why));
            }
            State::Moving(why) => {
                for artifact in wanted.artifacts() {
                    desk.unmeasured(artifact, Reason::SourceInvalid, why.as_str());
                }
                return Ok(());
            }
            // What was asked for was never brought about: it is missing.
            State::Failed(why) => {
                desk.note(why);
                return resources::observe(&told, wanted, desk);
            }
        }
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
    let mut made = Made::default();
    if wanted.stack.is_none() {
        if wanted.parameters.is_none() && told.has_parameters() {
            let why = "its parameters were not recorded: record it again".to_owned();
            unknown = Some((Reason::SourceInvalid, why));
        }
        // Of what AWS makes of a template nothing could be recorded before.
        if wanted.resources.is_empty() {
            made = Made::told(&told);
        }
        made.unknown = made.unknown.or(unknown);
    }
    if let Some((artifact, recorded)) = &wanted.template {
        observe_template(&told, artifact, recorded, made, desk)?;
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

/// The live template under the recorded one's name. Where one is JSON and the other YAML, they
/// can be told equal, or told apart, or neither.
fn observe_template(
    told: &Told,
    artifact: &ArtifactName,
    recorded: &Value,
    made: Made,
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
    let same = left == right && made.drift.is_empty();
    if let Some((reason, why)) = made.unknown.filter(|_| same) {
        desk.unmeasured(artifact, reason, why);
        return Ok(());
    }
    if let (Some(object), false) = (object.as_object_mut(), made.drift.is_empty()) {
        object.insert("Drift".to_owned(), Value::Object(made.drift));
    }
    desk.object(artifact.clone(), TEMPLATE, object);
    Ok(())
}
