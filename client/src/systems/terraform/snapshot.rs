//! The resources and outputs of a state, of what a plan will make of it, or of what a refresh
//! found.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{documents::check_version, marks};
use crate::{detail::printable, sources::SourceError};

/// All of them.
pub(super) struct Snapshot {
    /// Which Terraform says so.
    pub(super) version: Option<String>,
    pub(super) resources: Vec<Resource>,
    pub(super) outputs: Vec<Output>,
}

/// An instance of a resource.
pub(super) struct Resource {
    pub(super) address: String,
    /// The key of an old object that is still to be destroyed.
    pub(super) deposed: Option<String>,
    pub(super) mode: String,
    pub(super) kind: String,
    pub(super) provider: String,
    pub(super) tainted: bool,
    pub(super) values: Value,
    /// Which of them are sensitive.
    pub(super) marks: Value,
    /// Which of them a plan does not know.
    pub(super) unknown: Value,
}

/// An output of the root module.
pub(super) struct Output {
    pub(super) name: String,
    pub(super) sensitive: bool,
    pub(super) value: Value,
    pub(super) unknown: Value,
}

/// What a refresh found.
pub(super) struct Found {
    pub(super) snapshot: Snapshot,
    /// What it could not read, and why.
    pub(super) unread: BTreeMap<String, String>,
    /// What the providers say was changed behind Terraform's back.
    pub(super) outside: Vec<String>,
}

impl Snapshot {
    pub(super) fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.outputs.is_empty()
    }

    /// How many values are not known before the plan is applied.
    pub(super) fn unknown(&self) -> usize {
        let resources = self.resources.iter().map(|resource| &resource.unknown);
        let outputs = self.outputs.iter().map(|output| &output.unknown);
        resources.chain(outputs).map(marks::count).sum()
    }

    /// What a state holds.
    pub(super) fn of_state(state: &Value, from: &str) -> Result<Self, SourceError> {
        let values = state.get("values");
        let mut resources = Vec::new();
        if let Some(root) = values.and_then(|values| values.get("root_module")) {
            of_module(root, from, &mut resources)?;
        }
        let version = state.get("terraform_version").and_then(Value::as_str);
        Ok(Self {
            version: version.map(str::to_owned),
            resources,
            outputs: outputs(values, from)?,
        })
    }

    /// What a plan says there will be: what it creates and changes, and what it read.
    pub(super) fn planned(plan: &Value, from: &str) -> Result<Self, SourceError> {
        if let Some(why) = why_not_whole(plan) {
            let what = from.to_owned();
            return Err(SourceError::Input { what, why });
        }
        let planned = plan.get("planned_values").cloned().unwrap_or_default();
        let mut snapshot = Self::of_state(&serde_json::json!({ "values": planned }), from)?;
        let version = plan.get("terraform_version").and_then(Value::as_str);
        snapshot.version = version.map(str::to_owned);
        let mut changes = changes(plan, "resource_changes")
            .filter(|change| change.get("deposed").is_none())
            .filter_map(|change| Some((text(change, "address")?, change.get("change")?)))
            .collect::<BTreeMap<_, _>>();
        for resource in &mut snapshot.resources {
            let Some(change) = changes.remove(resource.address.as_str()) else {
                continue;
            };
            resource.unknown = change.get("after_unknown").cloned().unwrap_or_default();
            let after = change.get("after_sensitive").cloned().unwrap_or_default();
            let known = std::mem::take(&mut resource.marks);
            let marks = marks::either(known, after);
            resource.marks = marks::completed(&resource.kind, &resource.values, marks);
        }
        for output in &mut snapshot.outputs {
            let change = plan
                .get("output_changes")
                .and_then(|it| it.get(&output.name));
            let of = |member: &str| change.and_then(|change| change.get(member)).cloned();
            output.unknown = of("after_unknown").unwrap_or_default();
            output.sensitive |= of("after_sensitive").is_some_and(|marks| marks::any(&marks));
        }
        let known: BTreeSet<_> = snapshot
            .resources
            .iter()
            .map(|it| it.address.clone())
            .collect();
        let read = prior_state(plan, from)?.resources.into_iter();
        let read = read.filter(|it| it.mode == "data" && !known.contains(&it.address));
        snapshot.resources.extend(read);
        Ok(snapshot)
    }

    /// What a refresh-only plan found; or why nothing follows from it. A plan of another sort is
    /// an error: what it says of the state may be what stood there before.
    pub(super) fn refreshed(
        plan: &Value,
        live: bool,
        from: &str,
    ) -> Result<Result<Found, String>, SourceError> {
        if let Some(why) = why_not_whole(plan) {
            return Ok(Err(why));
        }
        if plan.get("complete").is_none() && !live {
            let why =
                "the plan does not say whether it is of all resources: `live:DIR` asks itself";
            return Ok(Err(why.to_owned()));
        }
        let mut unread = BTreeMap::new();
        for change in changes(plan, "resource_changes") {
            let address = text(change, "address").unwrap_or_default();
            if text(change, "mode") != Some("data") || actions(change) != ["read"] {
                return Err(SourceError::Input {
                    what: from.to_owned(),
                    why: format!(
                        "the plan was not made with -refresh-only: it has a change of {}",
                        printable(address)
                    ),
                });
            }
            let why = "the data source is read only when the plan is applied";
            unread.insert(address.to_owned(), why.to_owned());
        }
        let mut outside = Vec::new();
        for drift in changes(plan, "resource_drift") {
            let Some(address) = text(drift, "address") else {
                continue;
            };
            let unknown = drift.pointer("/change/after_unknown");
            if unknown.is_some_and(marks::any) {
                let why = "the provider does not know all of its values";
                unread.insert(address.to_owned(), why.to_owned());
            }
            if actions(drift) != ["no-op"] {
                outside.push(address.to_owned());
            }
        }
        let mut snapshot = prior_state(plan, from)?;
        let read = |resource: &Resource| !unread.contains_key(&resource.address);
        snapshot.resources.retain(read);
        saved_outputs(plan, &mut snapshot.outputs);
        Ok(Ok(Found {
            snapshot,
            unread,
            outside,
        }))
    }
}

/// The state that a plan was made from, refreshed.
fn prior_state(plan: &Value, from: &str) -> Result<Snapshot, SourceError> {
    match plan.get("prior_state") {
        Some(state) => {
            check_version(state, from)?;
            Snapshot::of_state(state, from)
        }
        None => Snapshot::of_state(&Value::Null, from),
    }
}

/// Why a plan does not tell of all there is.
fn why_not_whole(plan: &Value) -> Option<String> {
    let is = |member: &str| plan.get(member).and_then(Value::as_bool);
    let deferred = changes(plan, "deferred_changes").next().is_some();
    let why = if is("errored") == Some(true) {
        "the plan failed half-way"
    } else if is("complete") == Some(false) || deferred {
        "the plan is not complete: it is of some resources alone, or puts others off"
    } else {
        return None;
    };
    Some(why.to_owned())
}

fn changes<'p>(plan: &'p Value, member: &str) -> impl Iterator<Item = &'p Value> + use<'p> {
    let changes = plan.get(member).and_then(Value::as_array);
    changes.into_iter().flatten()
}

fn actions(change: &Value) -> Vec<&str> {
    let actions = change.pointer("/change/actions").and_then(Value::as_array);
    let actions = actions.into_iter().flatten();
    actions.filter_map(Value::as_str).collect()
}

fn text<'v>(value: &'v Value, member: &str) -> Option<&'v str> {
    value.get(member).and_then(Value::as_str)
}

/// Takes the resources of a module and of those below. Recursion is bounded by the parser's
/// limit on depth.
fn of_module(module: &Value, from: &str, into: &mut Vec<Resource>) -> Result<(), SourceError> {
    for resource in changes(module, "resources") {
        into.push(Resource::of(resource, from)?);
    }
    changes(module, "child_modules").try_for_each(|module| of_module(module, from, into))
}

impl Resource {
    fn of(resource: &Value, from: &str) -> Result<Self, SourceError> {
        let address = text(resource, "address").unwrap_or_default();
        let wrong = |why: String| SourceError::Input {
            what: from.to_owned(),
            why,
        };
        let needed = |member: &str| {
            let found = text(resource, member).filter(|found| !found.is_empty());
            found.map(str::to_owned).ok_or_else(|| {
                wrong(format!(
                    "a resource has no {member}: {}",
                    printable(address)
                ))
            })
        };
        // Without these, nothing tells which values may be recorded.
        let Some(marks) = resource.get("sensitive_values") else {
            return Err(wrong(format!(
                "it does not say which values of {} are sensitive",
                printable(address)
            )));
        };
        let values = resource.get("values").cloned().unwrap_or_default();
        let kind = needed("type")?;
        Ok(Self {
            address: needed("address")?,
            deposed: text(resource, "deposed_key").map(str::to_owned),
            mode: needed("mode")?,
            provider: needed("provider_name")?,
            tainted: resource.get("tainted").is_some_and(|it| *it == true),
            marks: marks::completed(&kind, &values, marks.clone()),
            kind,
            values,
            unknown: Value::Null,
        })
    }
}

/// Replaces outputs by those that the state held before the plan: a refresh computes them anew,
/// from whatever the configuration says now.
fn saved_outputs(plan: &Value, outputs: &mut Vec<Output>) {
    let changes = plan.get("output_changes").and_then(Value::as_object);
    for (name, change) in changes.into_iter().flatten() {
        outputs.retain(|output| output.name != *name);
        let value = change.get("before").cloned().unwrap_or_default();
        // A state does not hold outputs that are null.
        if !value.is_null() {
            outputs.push(Output {
                name: name.clone(),
                sensitive: change.get("before_sensitive").is_none_or(marks::any),
                value,
                unknown: Value::Null,
            });
        }
    }
}

fn outputs(values: Option<&Value>, from: &str) -> Result<Vec<Output>, SourceError> {
    let outputs = values.and_then(|values| values.get("outputs"));
    let outputs = outputs.and_then(Value::as_object).into_iter().flatten();
    let outputs = outputs.map(|(name, output)| {
        let sensitive = output.get("sensitive").and_then(Value::as_bool);
        let sensitive = sensitive.ok_or_else(|| SourceError::Input {
            what: from.to_owned(),
            why: format!(
                "it does not say whether output {} is sensitive",
                printable(name)
            ),
        })?;
        Ok(Output {
            name: name.clone(),
            sensitive,
            value: output.get("value").cloned().unwrap_or_default(),
            unknown: Value::Null,
        })
    });
    outputs.collect()
}
