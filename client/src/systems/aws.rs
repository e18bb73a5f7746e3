//! Asking AWS, through its command line: endpoint, region and credentials are the caller's,
//! as that takes them from its own settings.
//!
//! Invariant: every answer is one JSON object, read strictly and within bounds. Out of scope:
//! what an answer means.

use serde_json::Value;

use super::{given::DOCUMENT_BYTES_MAX, strict, tool::Tool};
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
/// The namespace of Elastic Beanstalk's options that are variables of the application.
pub(super) const ENVIRONMENT: &str = "aws:elasticbeanstalk:application:environment";

/// What the command line says to a question.
pub(super) fn ask(arguments: &[&str]) -> Result<Value, SourceError> {
    let mut all = arguments.to_vec();
    all.extend(ALWAYS);
    let said = Tool::new("aws", &all).run()?.output()?;
    let what = || {
        let words = arguments.iter().take(2).copied();
        format!("aws {}", words.collect::<Vec<_>>().join(" "))
    };
    let mut values = documents(&what(), &said)?;
    match (values.pop(), values.is_empty()) {
        (Some(value), true) if value.is_object() => Ok(value),
        _ => Err(SourceError::Input {
            what: what(),
            why: "the answer is not one JSON object".to_owned(),
        }),
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

/// Whether AWS said that there is no such thing, rather than nothing.
pub(super) fn says_gone(error: &SourceError) -> bool {
    let SourceError::Tool { why, .. } = error else {
        return false;
    };
    why.contains("(ValidationError)") && why.contains("does not exist")
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
