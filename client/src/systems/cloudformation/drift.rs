//! What AWS finds when it compares the resources of a stack with its own template. Rows of
//! resources decide, never the status of the stack: that is `IN_SYNC` as soon as nothing that
//! could be compared differs.

use std::{
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::aws::{Aws, Question, items, names_secret, text};
use crate::sources::SourceError;

/// How long AWS may take to compare: minutes for large stacks.
const PATIENCE: Duration = Duration::from_mins(10);
/// Pages of rows: of 100 each, more than a stack may have.
const PAGES_MAX: usize = 64;
/// Letters of a value that is found in any text.
const SHORT: usize = 3;
/// Values that are looked for in each text.
const HIDDEN_MAX: usize = 2_000;
/// How often it is asked at first, and at last.
const LOOK: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// What it found.
#[derive(Default)]
pub(super) struct Drift {
    rows: Vec<Value>,
    /// When it began to look; rows of before are another detection's.
    began: Option<Timestamp>,
    /// Why there is nothing.
    failed: Option<String>,
}

/// Values that may stand in no text that leaves: those of a stack's parameters.
pub(super) enum Hidden {
    /// They are not known, or too many to be looked for.
    Any,
    These(Vec<String>),
}

impl Hidden {
    /// Of values as AWS tells them; of lists each item, too. What is too short to be anything by
    /// itself is found in any text, and is none of them.
    pub(super) fn of<'v>(values: impl Iterator<Item = &'v str>) -> Self {
        let values = values.flat_map(|value| value.split(',').chain([value]));
        let values = values.map(str::trim);
        let values =
            values.filter(|value| value.len() > SHORT && !["false", "true"].contains(value));
        let mut these: Vec<String> = Vec::new();
        for value in values {
            // AWS tells objects as JSON.
            let quoted = Value::from(value).to_string();
            let quoted = quoted.trim_matches('"');
            these.extend([value, quoted].map(str::to_owned));
            if these.len() > HIDDEN_MAX {
                return Self::Any;
            }
        }
        these.sort_unstable();
        these.dedup();
        Self::These(these)
    }

    fn is_in(&self, text: &str) -> bool {
        match self {
            Self::Any => true,
            Self::These(values) => values.iter().any(|value| text.contains(value)),
        }
    }
}

/// What it found of one resource.
pub(super) enum Row<'d> {
    /// It is as the template says.
    InSync,
    /// It is not: the properties by their paths, each with how they differ.
    Modified(Map<String, Value>),
    /// It is no more.
    Deleted,
    /// It was not compared, and why.
    Unknown(&'d str),
}

impl Drift {
    /// Rows as they were printed.
    pub(super) fn told(rows: Vec<Value>) -> Self {
        Self {
            rows,
            ..Self::default()
        }
    }

    /// Whether a row says that it is of another stack.
    pub(super) fn is_of_another(&self, stack: &str) -> bool {
        let mut ids = self.rows.iter().filter_map(|row| text(row, "StackId"));
        ids.any(|id| id != stack)
    }

    /// What is known of one resource, by its name in the template and by AWS's id. Nothing that
    /// is hidden is told.
    pub(super) fn row(&self, logical: &str, physical: Option<&str>, hidden: &Hidden) -> Row<'_> {
        if let Some(why) = &self.failed {
            return Row::Unknown(why);
        }
        let mut rows = self.rows.iter();
        let Some(row) = rows.find(|row| text(row, "LogicalResourceId") == Some(logical)) else {
            return Row::Unknown("AWS tells nothing of its drift");
        };
        let told = text(row, "PhysicalResourceId");
        if told.is_some() && physical.is_some() && told != physical {
            return Row::Unknown("what is told of its drift is of another resource");
        }
        if self.began.is_some_and(|began| !is_since(row, began)) {
            return Row::Unknown("what AWS tells of its drift is from before");
        }
        match text(row, "StackResourceDriftStatus") {
            Some("IN_SYNC") => Row::InSync,
            Some("DELETED") => Row::Deleted,
            Some("MODIFIED") => Row::Modified(properties(row, hidden)),
            Some("NOT_CHECKED") => Row::Unknown("AWS did not check it: NOT_CHECKED"),
            Some("UNSUPPORTED") => Row::Unknown("AWS cannot compare such: UNSUPPORTED"),
            _ => Row::Unknown("AWS tells of no drift status that is known"),
        }
    }
}

fn is_since(row: &Value, began: Timestamp) -> bool {
    let told = text(row, "Timestamp").and_then(|told| told.parse::<Timestamp>().ok());
    told.is_some_and(|told| told >= began)
}

/// What differs, by the paths that AWS names.
fn properties(row: &Value, hidden: &Hidden) -> Map<String, Value> {
    let mut properties = Map::new();
    for difference in items(row, "PropertyDifferences") {
        let path = text(difference, "PropertyPath").unwrap_or("/");
        let of = |member: &str| text(difference, member).unwrap_or("nothing");
        let mut steps = path.split('/');
        // Where AWS names only what is above, the secret's name stands in the text.
        let inside = |member: &str| {
            let text = of(member);
            names_secret(text) || text.contains("\"Environment") || hidden.is_in(text)
        };
        let secret = steps.any(|step| names_secret(step) || step == "Environment");
        let told = if secret || inside("ExpectedValue") || inside("ActualValue") {
            "another value than the template's".to_owned()
        } else {
            let (expected, actual) = (of("ExpectedValue"), of("ActualValue"));
            match text(difference, "DifferenceType") {
                Some("ADD") => format!("{actual}, which the template has not"),
                Some("REMOVE") => format!("nothing, and the template has {expected}"),
                _ => format!("{actual}, and the template has {expected}"),
            }
        };
        properties.insert(path.to_owned(), Value::from(told));
    }
    if properties.is_empty() {
        let told = "AWS names no property, and says that it was modified";
        properties.insert("/".to_owned(), Value::from(told));
    }
    properties
}

/// Has AWS compare. A refusal leaves everything unknown.
pub(super) fn detect(aws: &Aws, stack: &str) -> Result<Drift, SourceError> {
    match begin_and_wait(aws, stack) {
        Err(error) if error.is_of_all() => Err(error),
        Err(error) => Ok(Drift {
            failed: Some(format!("AWS did not detect drift: {error}")),
            ..Drift::default()
        }),
        Ok(drift) => Ok(drift),
    }
}

fn begin_and_wait(aws: &Aws, stack: &str) -> Result<Drift, SourceError> {
    let began = aws.ask(Question::DetectDrift(stack))?;
    let wrong = |why: &str| SourceError::Tool {
        tool: "AWS".to_owned(),
        why: why.to_owned(),
    };
    let id = text(&began, "StackDriftDetectionId");
    let id = id.ok_or_else(|| wrong("the detection has no id"))?;
    let since = Instant::now();
    let mut look = LOOK.0;
    let status = loop {
        let status = aws.ask(Question::Detection(id))?;
        match text(&status, "DetectionStatus") {
            Some("DETECTION_IN_PROGRESS") => {}
            // One that failed has the rows of those that could be compared all the same.
            Some("DETECTION_COMPLETE" | "DETECTION_FAILED") => break status,
            _ => return Err(wrong("it does not say what became of the detection")),
        }
        if since.elapsed() > PATIENCE {
            return Err(wrong("the detection takes too long"));
        }
        thread::sleep(look);
        look = (look * 2).min(LOOK.1);
    };
    let began = text(&status, "Timestamp").and_then(|told| told.parse().ok());
    let began = began.ok_or_else(|| wrong("it does not say when the detection began"))?;
    let (mut rows, mut next) = (Vec::new(), None::<String>);
    for _ in 0..PAGES_MAX {
        let said = aws.ask(Question::Drifts(stack, next.as_deref()))?;
        rows.extend_from_slice(items(&said, "StackResourceDrifts"));
        next = text(&said, "NextToken").map(str::to_owned);
        if next.is_none() {
            break;
        }
    }
    if next.is_some() {
        return Err(wrong("it has more rows than can be read"));
    }
    Ok(Drift {
        rows,
        began: Some(began),
        failed: None,
    })
}

#[cfg(test)]
mod tests {
    use super::Hidden;

    /// Goal: no value of a parameter is in what is told, however AWS spells it. Method: values
    /// by themselves, within others, as JSON, of a list; what is too short; too many of them.
    #[test]
    fn a_value_of_a_parameter_is_found_in_any_text() {
        let hidden =
            Hidden::of(["pa\"ss\\4711", "10.0.0.1, db.example", "abc", "true"].into_iter());
        for (text, is_in) in [
            ("pa\"ss\\4711", true),
            (r#"{"Value":"pa\"ss\\4711"}"#, true),
            ("http://db.example/", true),
            ("10.0.0.1", true),
            ("abc", false),
            ("true", false),
            ("60", false),
        ] {
            assert_eq!(hidden.is_in(text), is_in, "{text}");
        }
        assert!(Hidden::Any.is_in("60"));
        let many: Vec<_> = (1000..4000).map(|at| at.to_string()).collect();
        assert!(Hidden::of(many.iter().map(String::as_str)).is_in("60"));
    }
}
