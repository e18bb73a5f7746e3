//! AWS's command line. Every answer is one JSON object, read strictly.

use std::{
    fs::File,
    io::{self, Write},
};

use serde_json::Value;

use super::{
    super::tool::{PrivateFolder, Tool},
    Question, denied, documents, speaks_of_credentials, text, too_long,
};
use crate::{detail::printable, sources::SourceError};

/// Of all calls: that JSON is printed, and how long a silent endpoint is waited for.
const ALWAYS: [&str; 6] = [
    "--output",
    "json",
    "--cli-connect-timeout",
    "10",
    "--cli-read-timeout",
    "60",
];
/// What begins a value that the command line reads from elsewhere.
const ELSEWHERE: [&str; 4] = ["file://", "fileb://", "http://", "https://"];

/// The program `aws`, as the shell finds it.
#[derive(Default)]
pub(super) struct Way;

#[expect(clippy::unused_self, reason = "the SDK's has something to hold")]
impl Way {
    pub(super) fn ask(&self, question: Question<'_>) -> Result<Value, SourceError> {
        use Question as Q;
        let (service, verb) = verb(question);
        let mut options = Vec::with_capacity(2);
        match question {
            Q::Stack(stack)
            | Q::Resources(stack)
            | Q::ChangeSets(stack)
            | Q::DetectDrift(stack) => {
                options.push(("--stack-name", stack));
            }
            Q::Template(stack, stage) => {
                options.extend([("--stack-name", stack), ("--template-stage", stage.word())]);
            }
            Q::Detection(id) => options.push(("--stack-drift-detection-id", id)),
            Q::Drifts(stack, next) => {
                options.push(("--stack-name", stack));
                // The command line has no pages for this question.
                options.extend(next.map(|next| ("--next-token", next)));
            }
            Q::Environments(application, name) => {
                options.extend([
                    ("--application-name", application),
                    ("--environment-names", name),
                ]);
            }
            Q::Settings(application, name) => {
                options.extend([
                    ("--application-name", application),
                    ("--environment-name", name),
                ]);
            }
            Q::Versions(application, label) => {
                options.extend([
                    ("--application-name", application),
                    ("--version-labels", label),
                ]);
            }
        }
        ask(&[service, verb], &options)
    }

    pub(super) fn fetch(
        &self,
        bucket: &str,
        key: &str,
        bytes_max: u64,
        to: &mut (dyn Write + Send),
    ) -> Result<Option<String>, SourceError> {
        let at = [("--bucket", bucket), ("--key", key)];
        let head = ask(&["s3api", "head-object"], &at)?;
        let size = head.get("ContentLength").and_then(Value::as_u64);
        if size.is_none_or(|size| size > bytes_max) {
            return Err(too_long(bucket, key, bytes_max));
        }
        let folder = PrivateFolder::new()?;
        let path = folder.path().join("object");
        let mut options = at.to_vec();
        // The one whose size was told.
        options.extend(text(&head, "ETag").map(|tag| ("--if-match", tag)));
        let said = ask(&["s3api", "get-object", &path.to_string_lossy()], &options)?;
        let copied = File::open(&path).and_then(|mut file| io::copy(&mut file, to));
        copied.map_err(|error| SourceError::unreadable(&path, error))?;
        Ok(text(&said, "VersionId").map(str::to_owned))
    }
}

fn verb(question: Question<'_>) -> (&'static str, &'static str) {
    match question {
        Question::Stack(_) => ("cloudformation", "describe-stacks"),
        Question::Template(..) => ("cloudformation", "get-template"),
        Question::Resources(_) => ("cloudformation", "list-stack-resources"),
        Question::ChangeSets(_) => ("cloudformation", "list-change-sets"),
        Question::DetectDrift(_) => ("cloudformation", "detect-stack-drift"),
        Question::Detection(_) => ("cloudformation", "describe-stack-drift-detection-status"),
        Question::Drifts(..) => ("cloudformation", "describe-stack-resource-drifts"),
        Question::Environments(..) => ("elasticbeanstalk", "describe-environments"),
        Question::Settings(..) => ("elasticbeanstalk", "describe-configuration-settings"),
        Question::Versions(..) => ("elasticbeanstalk", "describe-application-versions"),
    }
}

/// What the command line says to a question: words of its own, and options with values that
/// may be anybody's. None of these is taken for an option, or for a file to be sent to AWS.
fn ask(words: &[&str], options: &[(&str, &str)]) -> Result<Value, SourceError> {
    let what = format!(
        "aws {}",
        words.iter().take(2).copied().collect::<Vec<_>>().join(" ")
    );
    let wrong = |why: String| SourceError::Input {
        what: what.clone(),
        why: printable(&why),
    };
    let mut all = words.to_vec();
    for (option, value) in options {
        let read = ELSEWHERE.iter().any(|scheme| value.starts_with(scheme));
        if value.starts_with('-') || read {
            return Err(wrong(format!("{value:?} cannot be asked for")));
        }
        all.extend([*option, *value]);
    }
    all.extend(ALWAYS);
    let said = Tool::new("aws", &all).run()?.output();
    let said = said.map_err(|error| match error {
        SourceError::Tool { why, .. } if speaks_of_credentials(&why) => denied(&why),
        error => error,
    })?;
    let mut values = documents(&what, &said)?;
    match (values.pop(), values.is_empty()) {
        (Some(value), true) if value.is_object() => Ok(value),
        _ => Err(wrong("the answer is not one JSON object".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::ask;
    use crate::sources::SourceError;

    /// Goal: a name that somebody recorded makes the command line send no file and ask nobody
    /// else. Method: one of each sort; nothing is run.
    #[test]
    fn a_value_is_no_option_and_no_file() {
        for value in [
            "file:///etc/passwd",
            "fileb://x",
            "https://x",
            "--endpoint-url=x",
        ] {
            let refused = ask(&["cloudformation"], &[("--stack-name", value)]).unwrap_err();
            assert!(matches!(refused, SourceError::Input { .. }), "{refused}");
        }
    }
}
