//! Which fields of a text differ: for people to read, never to decide by.
//!
//! Identity is raw bytes, and the verdict is made before this module is asked. YAML is read
//! here as one of its dialects reads it; a tool that reads it otherwise is not wrong.
//! Invariant: hostile bytes cost bounded time and memory, and what comes out is safe to
//! print ([`printable`]).

#[cfg(test)]
mod tests;
mod text;

use serde_json::Value;

pub use text::{printable, printable_bytes, shell_word, shortened};

use crate::compare::DifferenceKind;

/// Bytes of a text that is taken apart; larger ones are reported as a whole.
pub const TEXT_BYTES_MAX: usize = 4 << 20;
/// Fields that are listed; the others are counted.
pub const FIELDS_MAX: usize = 100;
/// Characters of a value that are shown.
const VALUE_CHARS_MAX: usize = 120;
/// Characters of a field's path that are shown.
const PATH_CHARS_MAX: usize = 256;
/// Bytes that YAML's aliases may add to a document.
const ALIAS_BYTES_MAX: usize = 32 << 20;

/// How two texts differ.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Detail {
    /// The first fields that differ, in the order of the recorded text's members by name.
    pub fields: Vec<FieldDifference>,
    /// How many more there are.
    pub more: usize,
}

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDifference {
    /// Its path, such as `spec.replicas`, `containers[0].image`, `[1].spec` in the second
    /// document of a stream; empty for the whole.
    pub path: String,
    /// Changed, missing or added.
    pub kind: DifferenceKind,
    /// What was recorded, shortened and safe to print.
    pub recorded: Option<String>,
    /// What was found.
    pub found: Option<String>,
}

/// Finds the fields in which two texts differ. `None` if either is not JSON or YAML with
/// fields, or is too large.
pub fn detail(recorded: &[u8], found: &[u8]) -> Option<Detail> {
    let (recorded, found) = (parse_documents(recorded)?, parse_documents(found)?);
    let has_fields = |documents: &[Value]| {
        documents
            .iter()
            .any(|value| matches!(value, Value::Array(_) | Value::Object(_)))
    };
    if !has_fields(&recorded) || !has_fields(&found) {
        return None;
    }
    let mut finder = Finder::default();
    if let ([recorded], [found]) = (recorded.as_slice(), found.as_slice()) {
        finder.compare(recorded, found);
    } else {
        finder.compare_lists(&recorded, &found);
    }
    if finder.detail.fields.is_empty() {
        finder.detail.fields.push(FieldDifference {
            path: String::new(),
            kind: DifferenceKind::Changed,
            recorded: None,
            found: Some("same fields, other bytes".to_owned()),
        });
    }
    Some(finder.detail)
}

/// Reads JSON, or else the documents of YAML, within bounds.
pub(crate) fn parse_documents(bytes: &[u8]) -> Option<Vec<Value>> {
    if bytes.len() > TEXT_BYTES_MAX {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Ok(value) = serde_json::from_str(text) {
        return Some(vec![value]);
    }
    // An event that an alias repeats may carry as much text as the whole document.
    let repeats = ALIAS_BYTES_MAX / text.len().max(64);
    let mut aliases = serde_saphyr::options::AliasLimits::default();
    aliases.max_total_replayed_events = repeats;
    aliases.max_replay_stack_depth = 16;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 64,
            max_events: 500_000,
            max_nodes: 250_000,
            max_documents: 1_024,
            max_recorded_anchor_events: 250_000,
            max_recorded_anchor_bytes: ALIAS_BYTES_MAX,
            max_total_scalar_bytes: 2 * TEXT_BYTES_MAX,
            max_inclusion_depth: 0,
        },
        alias_limits: aliases,
    };
    serde_saphyr::from_multiple_with_options(text, options).ok()
}

/// A step on the way to a field.
#[derive(Debug, Clone)]
pub(crate) enum Step<'a> {
    /// To an object's member.
    Member(&'a str),
    /// To a list's item, by its place.
    Element(usize),
    /// To a list's item, by what tells it from the others.
    Item(String),
}

impl Step<'_> {
    /// The member's name, or what tells an item from others; nothing for a place.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Member(name) => name,
            Self::Item(label) => label,
            Self::Element(_) => "",
        }
    }
}

/// A field's path for people.
pub(crate) fn path_of(steps: &[Step<'_>]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Element(at) => path.extend(["[", &at.to_string(), "]"]),
            Step::Item(label) => path.extend(["[", &shortened(label, VALUE_CHARS_MAX), "]"]),
            Step::Member(name) if is_plain(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(name);
            }
            Step::Member(name) => {
                let name = shortened(name, VALUE_CHARS_MAX);
                path.extend(["[\"", &name.replace('"', "\\\""), "\"]"]);
            }
        }
    }
    shortened(&path, PATH_CHARS_MAX)
}

/// A field's JSON pointer (RFC 6901).
pub(crate) fn pointer_of(steps: &[Step<'_>]) -> String {
    let mut pointer = String::new();
    for step in steps {
        pointer.push('/');
        match step {
            Step::Element(at) => pointer.push_str(&at.to_string()),
            step => {
                pointer.pop();
                pointer.push_str(&pointer_step(step.name()));
            }
        }
    }
    pointer
}

/// One step of a JSON pointer.
pub(crate) fn pointer_step(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Two values, shortened so that what differs shows.
pub(crate) fn shown_apart(
    recorded: Option<&Value>,
    found: Option<&Value>,
) -> (Option<String>, Option<String>) {
    if let (Some(Value::String(recorded)), Some(Value::String(found))) = (recorded, found) {
        let start = start_of_difference(recorded, found);
        return (
            Some(show_from(recorded, start)),
            Some(show_from(found, start)),
        );
    }
    let (left, right) = (recorded.map(show), found.map(show));
    if left == right {
        // Such as 3 and "3": only the quotes tell them apart.
        return (recorded.map(quote), found.map(quote));
    }
    (left, right)
}

#[derive(Default)]
struct Finder<'a> {
    place: Vec<Step<'a>>,
    detail: Detail,
}

impl<'a> Finder<'a> {
    /// Recursion is bounded by the parsers' limits on depth.
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
            (Value::Array(left), Value::Array(right)) => self.compare_lists(left, right),
            (left, right) if left == right => {}
            (left, right) => self.differ(Some(left), Some(right)),
        }
    }

    fn compare_lists(&mut self, left: &'a [Value], right: &'a [Value]) {
        for at in 0..left.len().max(right.len()) {
            self.step(Step::Element(at), left.get(at), right.get(at));
        }
    }

    fn step(&mut self, step: Step<'a>, recorded: Option<&'a Value>, found: Option<&'a Value>) {
        self.place.push(step);
        match (recorded, found) {
            (Some(recorded), Some(found)) => self.compare(recorded, found),
            (recorded, found) => self.differ(recorded, found),
        }
        self.place.pop();
    }

    fn differ(&mut self, recorded: Option<&Value>, found: Option<&Value>) {
        if self.detail.fields.len() >= FIELDS_MAX {
            self.detail.more += 1;
            return;
        }
        let kind = match (recorded, found) {
            (Some(_), None) => DifferenceKind::Missing,
            (None, Some(_)) => DifferenceKind::Added,
            _ => DifferenceKind::Changed,
        };
        let (recorded, found) = shown_apart(recorded, found);
        self.detail.fields.push(FieldDifference {
            path: path_of(&self.place),
            kind,
            recorded,
            found,
        });
    }
}

fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=VALUE_CHARS_MAX).contains(&name.len()) && name.bytes().all(plain)
}

fn show(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(text) => shortened(text, VALUE_CHARS_MAX),
        Value::Array(values) => format!("[{} items]", values.len()),
        Value::Object(members) => format!("{{{} members}}", members.len()),
    }
}

/// Where to begin so that the difference of two long texts is among what is shown.
fn start_of_difference(left: &str, right: &str) -> usize {
    let alike = left
        .chars()
        .zip(right.chars())
        .take_while(|(left, right)| left == right)
        .count();
    if alike < VALUE_CHARS_MAX / 2 {
        0
    } else {
        alike.saturating_sub(VALUE_CHARS_MAX / 4)
    }
}

fn show_from(text: &str, start: usize) -> String {
    let rest: String = text.chars().skip(start).take(VALUE_CHARS_MAX + 1).collect();
    let before = if start == 0 { "" } else { "…" };
    format!("{before}{}", shortened(&rest, VALUE_CHARS_MAX))
}

fn quote(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", shortened(text, VALUE_CHARS_MAX)),
        value => show(value),
    }
}
