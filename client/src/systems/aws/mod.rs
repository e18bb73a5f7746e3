//! Asking AWS: through its official SDK, or, where that is not built in (`--features aws`),
//! through its command line. Endpoint, region, profile and credentials are the caller's, as
//! both take them from AWS's own settings.
//!
//! Invariants: both answer each [`Question`] with the members that are read here, named and
//! spelled as the command line prints them, so that what one recorded is verified by the other;
//! answers are bounded in time and length. Out of scope: what an answer means.

#[cfg(not(feature = "aws"))]
mod command;
#[cfg(feature = "aws")]
mod sdk;

use std::io::Write;

use serde_json::Value;

use super::{given::DOCUMENT_BYTES_MAX, strict};
use crate::{detail::printable, sources::SourceError};

#[cfg(not(feature = "aws"))]
use command::Way;
#[cfg(feature = "aws")]
use sdk::Way;

/// The namespace of Elastic Beanstalk's options that are variables of the application.
pub(super) const ENVIRONMENT: &str = "aws:elasticbeanstalk:application:environment";

/// Something to ask. A stack goes by its name or id, all else as AWS calls it.
#[derive(Clone, Copy)]
pub(super) enum Question<'q> {
    /// `Stacks`: one. That there is none is an error that [`says_gone`].
    Stack(&'q str),
    /// `TemplateBody`, as a text or, if it is JSON, as that.
    Template(&'q str, Stage),
    /// `StackResourceSummaries`: all.
    Resources(&'q str),
    /// `Summaries`: all.
    ChangeSets(&'q str),
    /// `StackDriftDetectionId`: it compares from now on.
    DetectDrift(&'q str),
    /// `DetectionStatus`, and the `Timestamp` of its beginning.
    Detection(&'q str),
    /// `StackResourceDrifts`: a page of them, and where the next one begins, as `NextToken`.
    Drifts(&'q str, Option<&'q str>),
    /// `Environments`: those of an application that are called so.
    Environments(&'q str, &'q str),
    /// `ConfigurationSettings` of an application's environment.
    Settings(&'q str, &'q str),
    /// `ApplicationVersions`: those of an application with that label.
    Versions(&'q str, &'q str),
}

/// Which form of a template.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    /// As it was given.
    Original,
    /// As AWS made it.
    Processed,
}

impl Stage {
    /// AWS's word for it.
    fn word(self) -> &'static str {
        match self {
            Self::Original => "Original",
            Self::Processed => "Processed",
        }
    }
}

/// AWS, as the caller's settings lead to it; nothing is asked before something is to be known.
#[derive(Default)]
pub(super) struct Aws(Way);

impl Aws {
    /// The answer: one JSON object.
    pub(super) fn ask(&self, question: Question<'_>) -> Result<Value, SourceError> {
        use Question as Q;
        let (first, second) = match question {
            Q::Stack(one) | Q::Template(one, _) | Q::Resources(one) | Q::ChangeSets(one) => {
                (one, None)
            }
            Q::DetectDrift(one) | Q::Detection(one) => (one, None),
            Q::Drifts(stack, next) => (stack, next),
            Q::Environments(one, two) | Q::Settings(one, two) | Q::Versions(one, two) => {
                (one, Some(two))
            }
        };
        // An empty name is no name to AWS: it would tell of all there are.
        if first.is_empty() || second.is_some_and(str::is_empty) {
            return Err(nameless());
        }
        self.0.ask(question)
    }

    /// Writes what lies at a place of S3, of so many bytes at most; the version that it was,
    /// where the bucket keeps versions.
    pub(super) fn fetch(
        &self,
        bucket: &str,
        key: &str,
        bytes_max: u64,
        to: &mut (dyn Write + Send),
    ) -> Result<Option<String>, SourceError> {
        if bucket.is_empty() || key.is_empty() {
            return Err(nameless());
        }
        let version = self.0.fetch(bucket, key, bytes_max, to)?;
        Ok(version.filter(|version| version != "null" && !version.is_empty()))
    }
}

fn nameless() -> SourceError {
    SourceError::Input {
        what: "AWS".to_owned(),
        why: "what has no name cannot be asked for".to_owned(),
    }
}

/// What is longer than it may be.
fn too_long(bucket: &str, key: &str, bytes_max: u64) -> SourceError {
    SourceError::Input {
        what: printable(&format!("s3://{bucket}/{key}")),
        why: format!("it is longer than {} MiB", bytes_max >> 20),
    }
}

/// Answers that were kept, one after the other.
pub(super) fn documents(from: &str, bytes: &[u8]) -> Result<Vec<Value>, SourceError> {
    let wrong = |why: String| SourceError::Input {
        what: from.to_owned(),
        why: printable(&why),
    };
    if u64::try_from(bytes.len()).is_ok_and(|length| length > DOCUMENT_BYTES_MAX) {
        let max = DOCUMENT_BYTES_MAX >> 20;
        return Err(wrong(format!("it is longer than {max} MiB")));
    }
    strict::parse(bytes).map_err(wrong)
}

/// Whether AWS will tell nothing, because of who asks: what it says of credentials.
fn speaks_of_credentials(why: &str) -> bool {
    let words = [
        "(AuthFailure)",
        "(ExpiredToken)",
        "(ExpiredTokenException)",
        "(InvalidAccessKeyId)",
        "(InvalidClientTokenId)",
        "(RequestExpired)",
        "(SignatureDoesNotMatch)",
        "(UnrecognizedClientException)",
        "Unable to locate credentials",
    ];
    words.iter().any(|words| why.contains(words))
}

fn denied(why: &str) -> SourceError {
    SourceError::Denied {
        what: "AWS".to_owned(),
        why: printable(&why.replace("\n  ", "; ")),
    }
}

/// Whether AWS said that there is no such thing, rather than nothing.
pub(super) fn says_gone(error: &SourceError) -> bool {
    let SourceError::Tool { why, .. } = error else {
        return false;
    };
    why.contains("(ValidationError)") && why.contains("does not exist")
}

/// Whether an answer that was kept goes on elsewhere.
pub(super) fn is_a_part(answer: &Value) -> bool {
    text(answer, "NextToken").is_some()
}

/// A member that is text, and not empty.
pub(super) fn text<'v>(value: &'v Value, member: &str) -> Option<&'v str> {
    let text = value.get(member)?.as_str()?;
    (!text.is_empty()).then_some(text)
}

/// The items of a member that is a list; none where it is not there.
pub(super) fn items<'v>(value: &'v Value, member: &str) -> &'v [Value] {
    let items = value.get(member).and_then(Value::as_array);
    items.map_or(&[], Vec::as_slice)
}

/// Whether AWS gives asterisks in the place of a value.
pub(super) fn is_masked(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte == b'*')
}

/// Whether a member's name says that its value is a secret.
pub(super) fn names_secret(name: &str) -> bool {
    let words = [
        "password",
        "passwd",
        "secret",
        "token",
        "privatekey",
        "accesskey",
        "credential",
        "apikey",
        "userdata",
        "connectionstring",
    ];
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    let name: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    words.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::{Aws, Question};
    use crate::sources::SourceError;

    /// Goal: nobody is asked for what has no name. Method: one of each sort; nothing is run.
    #[test]
    fn what_has_no_name_is_not_asked_for() {
        for question in [
            Question::Stack(""),
            Question::Environments("shop", ""),
            Question::Drifts("shop", Some("")),
        ] {
            let refused = Aws::default().ask(question).unwrap_err();
            assert!(matches!(refused, SourceError::Input { .. }), "{refused}");
        }
        let refused = Aws::default().fetch("bundles", "", 1, &mut Vec::new());
        assert!(matches!(refused, Err(SourceError::Input { .. })));
    }
}
