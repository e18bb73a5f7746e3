//! Templates in YAML, with CloudFormation's short tags in their long form.
//!
//! A scalar whose meaning depends on who reads it (`012`, `on`, `2012-10-17`) is told apart
//! from the text and from the number that it could be: it is `{"Cairn::Plain": "012"}`, equal
//! to itself alone. Invariants: nothing is resolved on which readers of YAML disagree; no tag
//! is dropped; no key stands twice. What CloudFormation does not take (aliases, merges) is
//! refused, and so nothing swells.

use granit_parser::{Event, Options, Parser, ScalarStyle, StrInput, Tag};
use serde_json::{Map, Value};

/// Collections within collections: more than any template that AWS takes.
const DEPTH_MAX: usize = 64;
/// What stands for a scalar on which readers disagree.
pub(super) const PLAIN: &str = "Cairn::Plain";

/// Tags whose long form is `Fn::` and their name; `Ref` and `Condition` are theirs themselves.
const FUNCTIONS: [&str; 24] = [
    "And",
    "Base64",
    "Cidr",
    "Contains",
    "EachMemberEquals",
    "EachMemberIn",
    "Equals",
    "FindInMap",
    "GetAZs",
    "GetAtt",
    "If",
    "ImportValue",
    "Join",
    "Length",
    "Not",
    "Or",
    "RefAll",
    "Select",
    "Split",
    "Sub",
    "ToJsonString",
    "Transform",
    "ValueOf",
    "ValueOfAll",
];

/// Words that are a truth value to some readers and text to others.
const TRUTHS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];

/// Reads the one document of a template.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut options = Options::default();
    options.block_nesting_limit = DEPTH_MAX;
    options.flow_nesting_limit = DEPTH_MAX;
    let mut reader = Reader {
        parser: Parser::new_from_str_with_options(text, options),
        line: 0,
    };
    let mut document = None;
    loop {
        match reader.next()? {
            Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
            Event::StreamEnd => break,
            first if document.is_none() => document = Some(reader.node(first, DEPTH_MAX)?),
            _ => return Err("it holds more than one document".to_owned()),
        }
    }
    document.ok_or_else(|| "it holds no document".to_owned())
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    /// Where the last event began.
    line: usize,
}

impl<'t> Reader<'t> {
    /// The next event that is no comment.
    fn next(&mut self) -> Result<Event<'t>, String> {
        loop {
            match self.parser.next_event() {
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok((event, span))) => {
                    self.line = span.start.line();
                    return Ok(event);
                }
                Some(Err(error)) => return Err(error.to_string()),
                None => return Ok(Event::StreamEnd),
            }
        }
    }

    fn wrong(&self, why: &str) -> String {
        format!("line {}: {why}", self.line)
    }

    fn node(&mut self, first: Event<'t>, depth: usize) -> Result<Value, String> {
        let depth = depth.checked_sub(1);
        let depth = depth.ok_or_else(|| self.wrong("it is nested too deeply"))?;
        let anchored = "an anchor, which CloudFormation does not take";
        match first {
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(_, anchor, _)
            | Event::MappingStart(_, anchor, _)
                if anchor != 0 =>
            {
                Err(self.wrong(anchored))
            }
            Event::Scalar(text, style, _, tag) => match self.tag(tag.as_deref())? {
                Tagged::Function(name) => Ok(function(&name, Value::from(text.into_owned()))),
                Tagged::None if style == ScalarStyle::Plain => Ok(plain(&text)),
                Tagged::None | Tagged::Text => Ok(Value::from(text.into_owned())),
            },
            Event::SequenceStart(_, _, tag) => {
                let tag = self.tag(tag.as_deref())?;
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        Event::SequenceEnd => break,
                        item => items.push(self.node(item, depth)?),
                    }
                }
                self.wrapped(tag, Value::Array(items))
            }
            Event::MappingStart(_, _, tag) => {
                let tag = self.tag(tag.as_deref())?;
                let members = self.members(depth)?;
                self.wrapped(tag, Value::Object(members))
            }
            Event::Alias(_) => Err(self.wrong("an alias, which CloudFormation does not take")),
            _ => Err(self.wrong("it ends too early")),
        }
    }

    fn members(&mut self, depth: usize) -> Result<Map<String, Value>, String> {
        let mut members = Map::new();
        loop {
            let name = match self.next()? {
                Event::MappingEnd => return Ok(members),
                Event::Scalar(text, _, 0, None) => text.into_owned(),
                _ => return Err(self.wrong("a key that is not a text by itself")),
            };
            if name == "<<" || name == PLAIN {
                return Err(self.wrong(&format!("{name:?} as a key")));
            }
            if members.contains_key(&name) {
                return Err(self.wrong(&format!("member {name:?} stands twice")));
            }
            let first = self.next()?;
            let value = self.node(first, depth)?;
            members.insert(name, value);
        }
    }

    fn tag(&self, tag: Option<&Tag>) -> Result<Tagged, String> {
        let Some(tag) = tag else {
            return Ok(Tagged::None);
        };
        let (handle, name) = tag.original_parts();
        if handle == "!" {
            if matches!(name, "Ref" | "Condition") {
                return Ok(Tagged::Function(name.to_owned()));
            }
            if FUNCTIONS.contains(&name) {
                return Ok(Tagged::Function(format!("Fn::{name}")));
            }
        }
        match tag.core_suffix() {
            Some("str") => Ok(Tagged::Text),
            Some("map" | "seq") => Ok(Tagged::None),
            _ => Err(self.wrong(&format!("the tag {} is not known", tag.original()))),
        }
    }

    fn wrapped(&self, tag: Tagged, value: Value) -> Result<Value, String> {
        match tag {
            Tagged::None => Ok(value),
            Tagged::Function(name) => Ok(function(&name, value)),
            Tagged::Text => Err(self.wrong("what is tagged !!str is no text")),
        }
    }
}

/// What a tag says of its node.
enum Tagged {
    None,
    Text,
    /// That it is the argument of one, by its long name.
    Function(String),
}

fn function(name: &str, argument: Value) -> Value {
    let argument = match (name, argument) {
        // The attribute of a nested stack has a dot of its own.
        ("Fn::GetAtt", Value::String(text)) => match text.split_once('.') {
            Some((resource, attribute)) => Value::from(vec![resource, attribute]),
            None => Value::String(text),
        },
        (_, argument) => argument,
    };
    let mut members = Map::new();
    members.insert(name.to_owned(), argument);
    Value::Object(members)
}

/// What a scalar without quotes is, as far as all readers agree.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" => return Value::Null,
        "true" => return Value::Bool(true),
        "false" => return Value::Bool(false),
        _ => {}
    }
    let number = text.parse::<i64>().ok();
    if let Some(number) = number.filter(|number| number.to_string() == text) {
        return Value::from(number);
    }
    let lower = text.to_ascii_lowercase();
    let word = TRUTHS.contains(&lower.as_str()) || matches!(lower.as_str(), "null" | "=" | "<<");
    if !word && !like_number(&lower) {
        return Value::from(text);
    }
    let mut members = Map::new();
    members.insert(PLAIN.to_owned(), Value::from(text));
    Value::Object(members)
}

/// Whether a number, a date or a time of some reader could be written so.
fn like_number(lower: &str) -> bool {
    let unsigned = lower.trim_start_matches(['+', '-']);
    if matches!(unsigned, ".inf" | ".nan") {
        return true;
    }
    let begins = unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    let within = |letter: char| letter.is_ascii_hexdigit() || "xo_.+-:tz ".contains(letter);
    begins && unsigned.contains(|any: char| any.is_ascii_digit()) && unsigned.chars().all(within)
}

#[cfg(test)]
mod tests {
    use super::read;
    use serde_json::json;

    /// Goal: each tag has its long form. Method: one of each shape.
    #[test]
    fn short_tags_become_their_long_form() {
        for (short, long) in [
            ("!Ref A", json!({"Ref": "A"})),
            ("!GetAtt A.B", json!({"Fn::GetAtt": ["A", "B"]})),
            (
                "!GetAtt A.Outputs.B",
                json!({"Fn::GetAtt": ["A", "Outputs.B"]}),
            ),
            ("!GetAtt [A, B]", json!({"Fn::GetAtt": ["A", "B"]})),
            ("!Sub '${A}-x'", json!({"Fn::Sub": "${A}-x"})),
            ("!GetAZs", json!({"Fn::GetAZs": ""})),
            ("!GetAZs ''", json!({"Fn::GetAZs": ""})),
            ("!Base64 012", json!({"Fn::Base64": "012"})),
            (
                "!If [Big, !Ref A, !Ref 'AWS::NoValue']",
                json!({"Fn::If": ["Big", {"Ref": "A"}, {"Ref": "AWS::NoValue"}]}),
            ),
            (
                "!Not [!Condition Big]",
                json!({"Fn::Not": [{"Condition": "Big"}]}),
            ),
            (
                "!Transform {Name: 'AWS::Include', Parameters: {Location: s3}}",
                json!({"Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": "s3"}}}),
            ),
            ("!!str 12", json!("12")),
        ] {
            assert_eq!(read(short).unwrap(), long, "{short}");
        }
    }

    /// Goal: a scalar that readers take for different things is none of them. Method: those
    /// on which all agree, and those on which they do not.
    #[test]
    fn scalars_are_what_all_readers_agree_on() {
        for (text, value) in [
            ("12", json!(12)),
            ("'12'", json!("12")),
            ("true", json!(true)),
            ("10.0.0.0/16", json!("10.0.0.0/16")),
            ("3h", json!("3h")),
            ("AWS::SQS::Queue", json!("AWS::SQS::Queue")),
            ("-", json!([null])),
        ] {
            assert_eq!(read(text).unwrap(), value, "{text}");
        }
        for text in [
            "012",
            "on",
            "n",
            "Yes",
            "1.0",
            "1e3",
            "0x1F",
            "2012-10-17",
            "12:30:00",
            "1_000",
            ".inf",
            "+1",
            "-0",
            "NULL",
            "9223372036854775808",
        ] {
            assert_eq!(read(text).unwrap(), json!({"Cairn::Plain": text}), "{text}");
        }
    }

    /// Goal: what could be read in two ways, or swells, is refused by name. Method: one of each.
    #[test]
    fn what_is_ambiguous_is_refused() {
        for (text, why) in [
            ("a: 1\na: 2", "line 2: member \"a\" stands twice"),
            ("a: 1\n'a': 2", "stands twice"),
            ("a: !Exec x", "the tag !Exec is not known"),
            ("a: !!binary aGk=", "binary is not known"),
            ("a: &x [1]\nb: *x", "an anchor"),
            ("<<: {a: 1}", "\"<<\" as a key"),
            ("a: {'Cairn::Plain': x}", "as a key"),
            ("? [a]\n: b", "a key that is not a text"),
            ("a: 1\n---\nb: 2", "more than one document"),
            ("", "no document"),
            ("a: [1, 2", "line"),
            ("a: 'x", ""),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&"- ".repeat(100_000)).is_err());
    }
}
