//! Terraform and its fork `tofu`: what their state holds, or a plan will make of it, and what their
//! providers say of it now.
//!
//! ```text
//! record  plan, state or directory --show -json--> Snapshot --Redactor--> Desk
//! verify  plan -refresh-only       --show -json--> prior_state --Redactor--> Desk
//! ```
//!
//! Invariants: whether something drifted is the provider's to find out: what is compared is what
//! a refresh read, never what a state merely says. Every value that Terraform calls sensitive
//! leaves as a tag, wherever it stands, and so do raw plans and states, which hold all of them
//! in clear; values of variables do not leave at all. A plan that is not whole measures nothing.
//! Out of scope: reading configuration, and applying anything.

mod configuration;
mod documents;
mod marks;
mod planned;
mod redact;
mod rules;
mod run;
mod secrets;
mod snapshot;
mod source;

use std::path::Path;

use cairn_proto::{
    manifest::{Artifact, Bytes},
    name::ArtifactName,
    reason::Reason,
};
use serde_json::{Value, json};

use super::{Desk, Given, System};
use crate::{
    compare::Rules,
    detail::shell_word,
    sources::{Recorded, SourceError},
};
use configuration::Configuration;
use documents::{Document, RawState};
use redact::Redactor;
use secrets::Secrets;
use snapshot::{Output, Resource, Snapshot};
use source::Observed;

/// Of which state, and which version wrote it.
const STATE: &str = "application/vnd.cairn.terraform.state.v1+json";
/// Of one resource, as `show -json` has it.
const RESOURCE: &str = "application/vnd.cairn.terraform.resource.v1+json";
/// Of one output.
const OUTPUT: &str = "application/vnd.cairn.terraform.output.v1+json";
/// Those that take none.
const ALONE: [&str; 6] = [
    "auto-approve",
    "compact-warnings",
    "destroy",
    "json",
    "no-color",
    "refresh-only",
];
/// Flags of `apply` that take a word, which may stand by itself.
const WITH_A_WORD: [&str; 8] = [
    "backup",
    "exclude",
    "lock-timeout",
    "parallelism",
    "replace",
    "target",
    "var",
    "var-file",
];
/// Names that are told of many.
const NAMED_MAX: usize = 8;

/// The adapter.
pub(super) struct Terraform;

impl System for Terraform {
    fn name(&self) -> &'static str {
        "terraform"
    }

    fn about(&self) -> &'static str {
        "Terraform or OpenTofu: a plan file, a state file, or what `terraform show -json` prints \
         of either (`FILE`, `-`); `live:DIR` asks in the directory of the configuration. To \
         verify, `live:DIR`, or a plan made with -refresh-only"
    }

    fn capture(&self, given: &Given, desk: &mut Desk<'_>) -> Result<(), SourceError> {
        let source = source::to_record(given)?;
        let (secrets, snapshot) = match &source.document {
            Document::Plan(plan) => (
                Secrets::of_plan(plan, &source.from)?,
                Snapshot::planned(plan, &source.from)?,
            ),
            Document::State(state) => (
                Secrets::of_state(state, &source.from)?,
                Snapshot::of_state(state, &source.from)?,
            ),
        };
        if snapshot.is_empty() {
            return Err(SourceError::Empty { path: source.from });
        }
        if let Document::Plan(plan) = &source.document {
            desk.secret_input(&["plan"], &documents::semantic(plan))?;
            if let number @ 1.. = snapshot.unknown() {
                desk.note(format!(
                    "values that are known only after the plan is applied, and not recorded: \
                     {number}"
                ));
            }
        }
        let name = desk.name(&["state"])?;
        desk.object(name, STATE, of_state(&snapshot, &source.raw_state));
        let elsewhere = lay_down(snapshot, &secrets, None, desk)?;
        if elsewhere > 0 {
            desk.note(format!(
                "values withheld because they hold one that is sensitive elsewhere: {elsewhere}"
            ));
        }
        desk.secret_input(&["source", &source.base], &source.bytes)?;
        match &source.configuration {
            Configuration::At(directory) => configuration::lay_down(directory, &secrets, desk),
            Configuration::Planned => {
                configuration::lay_down_planned(&source.bytes, &source.from, &secrets, desk)
            }
            Configuration::Untold => Ok(()),
        }
    }

    fn observe(
        &self,
        given: &Given,
        recorded: &Recorded<'_>,
        desk: &mut Desk<'_>,
    ) -> Result<(), SourceError> {
        let observed = match source::to_compare(given) {
            // It was asked and did not say: nothing is known of any of it.
            Err(SourceError::Tool { tool, why }) => {
                all_unmeasured(recorded, &format!("{tool}: {why}"), desk);
                return Ok(());
            }
            observed => observed?,
        };
        let (plan, from) = (&observed.plan, &observed.from);
        let refreshed = Snapshot::refreshed(plan, observed.live, from)?;
        let found = match refreshed {
            Ok(found) => found,
            Err(why) => {
                all_unmeasured(recorded, &why, desk);
                return Ok(());
            }
        };
        if !found.outside.is_empty() {
            let names = found.outside.iter().take(NAMED_MAX).cloned();
            desk.note(format!(
                "changed outside Terraform since it was last applied, as the providers say: {} ({})",
                found.outside.len(),
                names.collect::<Vec<_>>().join(", ")
            ));
        }
        for (address, why) in found.unread {
            desk.unmeasured(
                &resource_name(&address, None, desk)?,
                Reason::ToolFailed,
                why,
            );
        }
        let secrets = Secrets::of_plan(plan, from)?;
        state(&found.snapshot, &observed, recorded, desk)?;
        lay_down(found.snapshot, &secrets, Some(recorded), desk)?;
        Ok(())
    }

    /// What `apply PLAN` makes is what the plan says; without one, the state says it afterwards.
    fn deployed_by(&self, program: &str, arguments: &[&str]) -> Option<Given> {
        let mut words = Vec::new();
        let mut all = arguments.iter().copied();
        while let Some(word) = all.next() {
            let flag = word.strip_prefix('-');
            let flag = flag.map(|flag| flag.strip_prefix('-').unwrap_or(flag));
            match flag {
                None => words.push(word),
                Some(flag) if WITH_A_WORD.contains(&flag) => drop(all.next()),
                // Another state than the directory's.
                Some(flag) if flag.starts_with("state") => return None,
                Some(flag) if flag.contains('=') || ALONE.contains(&flag) => {}
                // Whether it takes a word is the tool's to know.
                Some(_) => return None,
            }
        }
        let plan = match words.as_slice() {
            ["apply"] => None,
            ["apply", plan] => Some(*plan),
            _ => return None,
        };
        if !matches!(program, "terraform" | "tofu") {
            return None;
        }
        let mut flags = arguments.iter();
        let directory = flags.find_map(|word| word.strip_prefix("-chdir="));
        Some(match plan {
            Some(plan) => Given::File(Path::new(directory.unwrap_or("")).join(plan)),
            None => Given::Live(Some(directory.unwrap_or(".").to_owned())),
        })
    }

    fn verified_by(&self, given: &Given) -> Given {
        match given {
            Given::Live(_) => given.clone(),
            Given::File(path) => match source::set_up_beside(path) {
                Some(directory) => Given::Live(Some(directory.to_string_lossy().into_owned())),
                None => Given::Live(None),
            },
            Given::Stdin(_) => Given::Live(None),
        }
    }

    fn realise(&self, reference: &str, recorded: &Recorded<'_>) -> Option<String> {
        let artifacts = recorded.manifest().artifacts().iter();
        let below = |name: &str| name.starts_with("terraform/input/configuration/");
        let kept: Vec<_> = artifacts.filter(|it| below(it.name.as_str())).collect();
        let withheld = |it: &&&Artifact| matches!(it.bytes, Bytes::Withheld(_));
        let first = match kept.iter().filter(withheld).count() {
            0 if kept.is_empty() => None,
            0 => Some(format!(
                "cairn restore {} terraform/input/configuration --to DIR, and ",
                shell_word(reference.as_bytes())
            )),
            // With a part of it alone Terraform would destroy what the rest has made.
            _ => None,
        };
        Some(format!(
            "{}terraform apply, with the configuration that {reference} was made from",
            first.unwrap_or_default()
        ))
    }

    fn rules(&self, media_type: &str) -> Option<&'static dyn Rules> {
        match media_type {
            STATE => Some(&rules::StateRules),
            RESOURCE | OUTPUT => Some(&rules::ValueRules),
            _ => None,
        }
    }
}

/// Lays down each resource and each output. Says how many values were withheld that
/// nothing marks as sensitive where they stand.
fn lay_down(
    snapshot: Snapshot,
    secrets: &Secrets,
    recorded: Option<&Recorded<'_>>,
    desk: &mut Desk<'_>,
) -> Result<usize, SourceError> {
    let mut elsewhere = 0;
    for resource in snapshot.resources {
        let name = resource_name(&resource.address, resource.deposed.as_deref(), desk)?;
        let known = recorded.and_then(|recorded| recorded.object(name.as_str()));
        let mut redactor = Redactor::new(desk, secrets, &name);
        let values = known.as_ref().and_then(|known| known.get("values"));
        let values = redactor.clean(resource.values.clone(), &resource.marks, values, "/values")?;
        elsewhere += redactor.elsewhere();
        desk.object(name, RESOURCE, of_resource(resource, values));
    }
    for output in snapshot.outputs {
        let name = desk.name(&["output", &output.name])?;
        let known = recorded.and_then(|recorded| recorded.object(name.as_str()));
        let mut redactor = Redactor::new(desk, secrets, &name);
        let marks = Value::Bool(output.sensitive);
        let value = known.as_ref().and_then(|known| known.get("value"));
        let value = redactor.clean(output.value.clone(), &marks, value, "/value")?;
        elsewhere += redactor.elsewhere();
        desk.object(name, OUTPUT, of_output(&output, value));
    }
    Ok(elsewhere)
}

/// Lays down of which state all of it is, as far as that can be known.
fn state(
    snapshot: &Snapshot,
    observed: &Observed,
    recorded: &Recorded<'_>,
    desk: &mut Desk<'_>,
) -> Result<(), SourceError> {
    let name = desk.name(&["state"])?;
    let known = recorded.object(name.as_str());
    let lineage = known.as_ref().and_then(|known| known.get("lineage"));
    let unknown = observed.raw_state.lineage.is_none();
    let serial = known
        .as_ref()
        .and_then(|known| known.get("serial")?.as_u64());
    if let (Some(was), Some(is)) = (serial, observed.raw_state.serial)
        && is > was
    {
        let times = is - was;
        desk.note(format!(
            "the state was written since it was recorded, {times} times (serial {was}, now {is})"
        ));
    }
    if lineage.is_some() && unknown && !observed.live {
        let why = "a plan does not say of which state it is: `live:DIR` asks";
        desk.unmeasured(&name, Reason::ToolFailed, why);
    } else if !(unknown && snapshot.is_empty()) {
        desk.object(name, STATE, of_state(snapshot, &observed.raw_state));
    }
    Ok(())
}

fn of_state(snapshot: &Snapshot, raw_state: &RawState) -> Value {
    object([
        ("lineage", raw_state.lineage.clone().map(Value::from)),
        ("serial", raw_state.serial.map(Value::from)),
        (
            "terraformVersion",
            snapshot.version.clone().map(Value::from),
        ),
    ])
}

fn resource_name(
    address: &str,
    deposed: Option<&str>,
    desk: &Desk<'_>,
) -> Result<ArtifactName, SourceError> {
    match deposed {
        None => desk.name(&["resource", address]),
        Some(key) => desk.name(&["deposed", address, key]),
    }
}

fn of_resource(resource: Resource, values: Value) -> Value {
    let unknown = marks::any(&resource.unknown).then(|| json!({ "values": resource.unknown }));
    object([
        ("address", Some(Value::from(resource.address))),
        ("mode", Some(Value::from(resource.mode))),
        ("type", Some(Value::from(resource.kind))),
        ("provider", Some(Value::from(resource.provider))),
        ("tainted", resource.tainted.then_some(Value::Bool(true))),
        ("unknown", unknown),
        ("values", Some(values)),
    ])
}

fn of_output(output: &Output, value: Value) -> Value {
    let unknown = json!({ "value": output.unknown });
    object([
        ("sensitive", Some(Value::Bool(output.sensitive))),
        ("unknown", marks::any(&output.unknown).then_some(unknown)),
        ("value", Some(value)),
    ])
}

/// An object of the members that there are.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let members = members.into_iter();
    let members = members.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(members.collect())
}

/// Nothing of what was recorded is known.
fn all_unmeasured(recorded: &Recorded<'_>, why: &str, desk: &mut Desk<'_>) {
    for (artifact, _) in recorded.objects_of("terraform") {
        desk.unmeasured(&artifact.name, Reason::ToolFailed, why);
    }
}
