//! Two JSON texts of one thing, field by field: what a tool was told to deploy, and what it
//! says of it now.
//!
//! One engine for all systems; what is peculiar to one stands in its [`Rules`]. Invariants:
//! every recorded field is the same, passed over by the rules, ignored by what was signed, or
//! a difference; every other field that was found is passed over, listed, or a difference; a
//! withheld value without its key is never a match.

use std::collections::{HashMap, HashSet};

use cairn_proto::manifest::Withheld;
use serde_json::Value;

use super::DifferenceKind;
use crate::{
    detail::{FIELDS_MAX, FieldDifference, Step, path_of, pointer_of, shown_apart},
    systems::strict::same_number,
};

/// What withheld values begin with. SPEC.md section 5.
const WITHHELD: &str = Withheld::IN_OBJECT;
/// In the place of a value that is not told, or for which there is no key.
pub(crate) const UNKNOWN: &str = "cairn:withheld:?";

/// Where a value stands.
pub struct Place<'a> {
    /// The whole of what was recorded.
    pub root: &'a Value,
    steps: &'a [Step<'a>],
}

impl Place<'_> {
    /// The names of members on the way, and what tells items of lists apart.
    pub fn steps(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.steps.iter().map(Step::name)
    }

    /// How many steps there are.
    pub fn depth(&self) -> usize {
        self.steps.len()
    }

    /// The last step.
    pub fn last(&self) -> &str {
        self.steps.last().map_or("", Step::name)
    }

    /// Whether the place is this one: `*` stands for any step.
    pub fn is(&self, pattern: &[&str]) -> bool {
        self.depth() == pattern.len() && self.begins(pattern)
    }

    /// Whether the place is this one, or below it.
    pub fn begins(&self, pattern: &[&str]) -> bool {
        let mut steps = self.steps();
        pattern.iter().all(|name| {
            steps
                .next()
                .is_some_and(|step| *name == "*" || step == *name)
        })
    }

    /// The JSON pointer (RFC 6901) to it.
    pub fn pointer(&self) -> String {
        pointer_of(self.steps)
    }

    /// Whether the last step is an item of a list.
    pub fn is_item(&self) -> bool {
        !matches!(self.steps.last(), None | Some(Step::Member(_)))
    }
}

/// What is peculiar to how one system speaks of what it deployed. All have a default that
/// takes nothing for granted.
pub trait Rules: Sync {
    /// Whether what stands here says nothing of what was deployed: the system's own notes.
    fn passes_over(&self, _place: &Place<'_>) -> bool {
        false
    }

    /// The members that tell a list's items apart, each with what its absence means, if
    /// anything; none where their order does.
    fn keys(&self, _place: &Place<'_>) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// Whether the order of items that are told apart means something all the same.
    fn ordered(&self, _place: &Place<'_>) -> bool {
        false
    }

    /// Whether two values that are written otherwise mean the same here.
    fn same(&self, _place: &Place<'_>, _recorded: &Value, _found: &Value) -> bool {
        false
    }

    /// Whether a recorded value means no more here than that there is none.
    fn says_nothing(&self, _place: &Place<'_>, _recorded: &Value) -> bool {
        false
    }

    /// Whether something that was found and not recorded is a difference; else it is listed.
    fn alarms(&self, _place: &Place<'_>, _found: &Value) -> bool {
        true
    }

    /// Who put it there, where that is known.
    fn author(&self, _found: &Value, _place: &Place<'_>) -> Option<String> {
        None
    }
}

/// How two texts of one thing differ.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    /// Fields that differ, the first [`FIELDS_MAX`] of them.
    pub(crate) differences: Vec<FieldDifference>,
    /// How many more there are.
    pub(crate) more: usize,
    /// Fields that were added, which is no difference.
    pub(crate) added: Vec<FieldDifference>,
    /// How many more there are.
    pub(crate) more_added: usize,
    /// Places that differ and are ignored.
    pub(crate) ignored: usize,
    /// Withheld values without their key, or that were not known, that what was signed accepts.
    pub(crate) accepted: usize,
}

/// What was signed of how to compare.
#[derive(Clone, Copy)]
pub(crate) struct Signed<'a> {
    /// Pointers to what is ignored.
    pub(crate) ignore: &'a [&'a str],
    /// Whether withheld values without their key, or that were not known, are accepted.
    pub(crate) accept: bool,
}

/// Compares.
pub(crate) fn compare(
    recorded: &Value,
    found: &Value,
    rules: &dyn Rules,
    signed: Signed<'_>,
) -> Fields {
    let mut finder = Finder {
        root: recorded,
        found_root: found,
        rules,
        signed,
        steps: Vec::new(),
        outcome: Fields::default(),
    };
    finder.compare(recorded, found);
    finder.outcome
}

struct Finder<'a> {
    root: &'a Value,
    found_root: &'a Value,
    rules: &'a dyn Rules,
    signed: Signed<'a>,
    steps: Vec<Step<'a>>,
    outcome: Fields,
}

impl<'a> Finder<'a> {
    fn place(&self) -> Place<'_> {
        Place {
            root: self.root,
            steps: &self.steps,
        }
    }

    /// Recursion is bounded by the parser's limit on depth.
    fn compare(&mut self, recorded: &'a Value, found: &'a Value) {
        match (recorded, found) {
            (Value::Object(left), Value::Object(right)) => {
                for (name, value) in left {
                    self.step(Step::Member(name), Some(value), right.get(name));
                }
                for (name, value) in right.iter().filter(|(name, _)| !left.contains_key(*name)) {
                    self.step(Step::Member(name), None, Some(value));
                }
            }
            (Value::Array(left), Value::Array(right)) => self.lists(left, right),
            (Value::String(text), other) if text.starts_with(WITHHELD) => {
                self.withheld(text, other);
            }
            (Value::Number(left), Value::Number(right))
                if same_number(&left.to_string(), &right.to_string()) => {}
            (left, right) if left == right || self.rules.same(&self.place(), left, right) => {}
            (left, right) => self.differ(DifferenceKind::Changed, Some(left), Some(right)),
        }
    }

    fn lists(&mut self, left: &'a [Value], right: &'a [Value]) {
        let keys = self.rules.keys(&self.place());
        let (Some(recorded), Some(found)) = (labels(left, keys), labels(right, keys)) else {
            for at in 0..left.len().max(right.len()) {
                self.step(Step::Element(at), left.get(at), right.get(at));
            }
            return;
        };
        let known: HashSet<&str> = recorded.iter().map(|(label, _)| label.as_str()).collect();
        let there: HashMap<&str, &Value> = found
            .iter()
            .map(|(label, item)| (label.as_str(), *item))
            .collect();
        if self.rules.ordered(&self.place()) {
            let left = recorded
                .iter()
                .filter(|it| there.contains_key(it.0.as_str()));
            let right = found.iter().filter(|it| known.contains(it.0.as_str()));
            if !left.map(|it| &it.0).eq(right.map(|it| &it.0)) {
                self.push(FieldDifference {
                    path: path_of(&self.steps),
                    kind: DifferenceKind::Changed,
                    recorded: None,
                    found: Some("in another order".to_owned()),
                });
            }
        }
        for (label, item) in &recorded {
            let other = there.get(label.as_str()).copied();
            self.step(Step::Item(label.clone()), Some(item), other);
        }
        for (label, item) in &found {
            if !known.contains(label.as_str()) {
                self.step(Step::Item(label.clone()), None, Some(item));
            }
        }
    }

    fn step(&mut self, step: Step<'a>, recorded: Option<&'a Value>, found: Option<&'a Value>) {
        self.steps.push(step);
        if !self.rules.passes_over(&self.place()) {
            self.values(recorded, found);
        }
        self.steps.pop();
    }

    fn values(&mut self, recorded: Option<&'a Value>, found: Option<&'a Value>) {
        if self.is_ignored() {
            self.outcome.ignored += usize::from(recorded != found);
            return;
        }
        match (recorded, found) {
            (Some(recorded), Some(found)) => self.compare(recorded, found),
            (Some(recorded), None) => {
                if !self.rules.says_nothing(&self.place(), recorded) {
                    self.differ(DifferenceKind::Missing, Some(recorded), None);
                }
            }
            (None, Some(found)) if self.rules.alarms(&self.place(), found) => {
                self.differ(DifferenceKind::Added, None, Some(found));
            }
            // What is below may still be a difference, and each has its own author.
            (None, Some(Value::Object(members))) if !members.is_empty() => {
                for (name, value) in members {
                    self.step(Step::Member(name), None, Some(value));
                }
            }
            (None, Some(found)) => self.list(found),
            (None, None) => {}
        }
    }

    fn is_ignored(&self) -> bool {
        if self.signed.ignore.is_empty() {
            return false;
        }
        let pointer = pointer_of(&self.steps);
        self.signed.ignore.contains(&pointer.as_str())
    }

    /// A recorded tag against what is there now.
    fn withheld(&mut self, recorded: &'a str, found: &'a Value) {
        let found = found.as_str().filter(|text| text.starts_with(WITHHELD));
        let (kind, why) = match found {
            Some(text) if text == recorded && text != UNKNOWN => return,
            Some(text) if self.signed.accept && (text == UNKNOWN || recorded == UNKNOWN) => {
                self.outcome.accepted += 1;
                return;
            }
            Some(_) if recorded == UNKNOWN => (
                DifferenceKind::Unverifiable,
                "what it would be was not known when it was recorded",
            ),
            Some(UNKNOWN) => (
                DifferenceKind::Unverifiable,
                "its key is not here, or its value is not told",
            ),
            Some(text) if key_of(text) != key_of(recorded) => {
                (DifferenceKind::Unverifiable, "withheld under another key")
            }
            Some(_) => (DifferenceKind::Changed, "another value"),
            None => (DifferenceKind::Changed, "a value in clear"),
        };
        self.push(FieldDifference {
            path: path_of(&self.steps),
            kind,
            recorded: Some("withheld value".to_owned()),
            found: Some(why.to_owned()),
        });
    }

    fn differ(&mut self, kind: DifferenceKind, recorded: Option<&Value>, found: Option<&Value>) {
        let (recorded, found) = shown_apart(recorded, found);
        let path = path_of(&self.steps);
        self.push(FieldDifference {
            path,
            kind,
            recorded,
            found,
        });
    }

    fn push(&mut self, difference: FieldDifference) {
        if self.outcome.differences.len() < FIELDS_MAX {
            self.outcome.differences.push(difference);
        } else {
            self.outcome.more += 1;
        }
    }

    fn list(&mut self, found: &Value) {
        if self.outcome.added.len() >= FIELDS_MAX {
            self.outcome.more_added += 1;
            return;
        }
        let (_, mut shown) = shown_apart(None, Some(found));
        if let Some(author) = self.rules.author(self.found_root, &self.place()) {
            shown = shown.map(|shown| format!("{shown}, by {author}"));
        }
        self.outcome.added.push(FieldDifference {
            path: path_of(&self.steps),
            kind: DifferenceKind::Added,
            recorded: None,
            found: shown,
        });
    }
}

/// The part of a tag's text that names its key.
fn key_of(text: &str) -> &str {
    let rest = text.strip_prefix(WITHHELD).unwrap_or_default();
    rest.split(':').next().unwrap_or_default()
}

/// What tells items apart, if that tells all of them apart.
fn labels<'v>(items: &'v [Value], keys: &[(&str, &str)]) -> Option<Vec<(String, &'v Value)>> {
    if keys.is_empty() {
        return None;
    }
    let mut labels = Vec::with_capacity(items.len());
    for item in items {
        let mut parts = Vec::with_capacity(keys.len());
        for (name, absent) in keys {
            parts.push(match item.get(name) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) => number.to_string(),
                None if !absent.is_empty() => (*absent).to_owned(),
                _ => return None,
            });
        }
        labels.push((parts.join(":"), item));
    }
    let mut sorted: Vec<_> = labels.iter().map(|(label, _)| label).collect();
    sorted.sort_unstable();
    let distinct = sorted.windows(2).all(|pair| pair.first() != pair.last());
    distinct.then_some(labels)
}
