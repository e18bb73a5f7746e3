//! Names: environments, patterns over them, labels, origins, artifact names, time text.
//! SPEC.md sections 1 and 5. Parsed once; a value of these types is always well formed.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::limits::{
    ARTIFACT_NAME_BYTES_MAX, ENVIRONMENT_BYTES_MAX, ENVIRONMENT_SEGMENTS_MAX, ORIGIN_BYTES_MAX,
};

/// Text that is not a name of the kind asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    /// Not an environment.
    #[error(
        "an environment is 1 to 8 segments of a-z 0-9 . _ - joined by `/`, such as prod/eu-1/shop"
    )]
    Environment,
    /// Not a pattern.
    #[error("a pattern is an environment in which a segment may be `*` and the last `**`")]
    Pattern,
    /// Not a label.
    #[error("a name of a key is 1 to 63 of a-z 0-9 . _ -, beginning with a letter or digit")]
    Label,
    /// Not an origin.
    #[error("an origin is 1 to 240 printable ASCII characters without space or `+`")]
    Origin,
    /// Not an artifact's name.
    #[error("an artifact's name is a relative path without control characters, `.` or `..`")]
    Artifact,
    /// Not a time.
    #[error("a time is written YYYY-MM-DDTHH:MM:SSZ")]
    Time,
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $fault:ident, $rule:path;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                if $rule(text) { Ok(Self(text.into())) } else { Err(NameError::$fault) }
            }
        }
    )*};
}

names! {
    /// A named place where things run: `prod/eu-1/shop`.
    Environment, Environment, is_environment;
    /// A set of environments: `prod/*/shop`, `prod/**`.
    Pattern, Pattern, is_pattern;
    /// A person's name for a key.
    Label, Label, is_label;
    /// The identity of a ledger, and its log key's name.
    Origin, Origin, is_origin;
    /// Root-relative path of an artifact.
    ArtifactName, Artifact, is_artifact_name;
    /// `YYYY-MM-DDTHH:MM:SSZ`.
    TimeText, Time, is_time;
}

impl Origin {
    /// Name of the ledger's clock key.
    pub fn clock_name(&self) -> String {
        format!("{self}/clock")
    }
}

impl Pattern {
    /// Whether the environment is in the set.
    pub fn matches(&self, environment: &Environment) -> bool {
        let mut names = environment.as_str().split('/');
        for segment in self.as_str().split('/') {
            match (segment, names.next()) {
                ("**", Some(_)) => return true,
                ("*", Some(_)) => {}
                (segment, Some(name)) if segment == name => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }

    /// Whether some environment may be in both sets, segment by segment.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (mut own, mut others) = (self.as_str().split('/'), other.as_str().split('/'));
        loop {
            match (own.next(), others.next()) {
                (None, None) | (Some("**"), Some(_)) | (Some(_), Some("**")) => return true,
                (Some(own), Some(other)) if own == "*" || other == "*" || own == other => {}
                _ => return false,
            }
        }
    }
}

fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.len() <= 63
        && text.bytes().next().is_some_and(plain)
        && text
            .bytes()
            .all(|byte| plain(byte) || matches!(byte, b'.' | b'_' | b'-'))
}

fn is_environment(text: &str) -> bool {
    within_bounds(text) && text.split('/').all(is_label)
}

fn within_bounds(text: &str) -> bool {
    text.len() <= ENVIRONMENT_BYTES_MAX && text.split('/').count() <= ENVIRONMENT_SEGMENTS_MAX
}

fn is_pattern(text: &str) -> bool {
    let (head, last) = match text.rsplit_once('/') {
        Some((head, last)) => (Some(head), last),
        None => (None, text),
    };
    within_bounds(text)
        && (last == "**" || last == "*" || is_label(last))
        && head.is_none_or(|head| {
            head.split('/')
                .all(|segment| segment == "*" || is_label(segment))
        })
}

fn is_origin(text: &str) -> bool {
    (1..=ORIGIN_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'+')
}

fn is_artifact_name(text: &str) -> bool {
    let segment = |name: &str| !matches!(name, "" | "." | "..");
    (1..=ARTIFACT_NAME_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte >= 0x20 && byte != 0x7f)
        && (text == "." || text.split('/').all(segment))
}

fn is_time(text: &str) -> bool {
    let pattern = b"dddd-dd-ddTdd:dd:ddZ";
    let shaped = text.len() == pattern.len()
        && text.bytes().zip(pattern).all(|(byte, want)| match want {
            b'd' => byte.is_ascii_digit(),
            want => byte == *want,
        });
    let part =
        |from: usize, to: usize| text.get(from..to).and_then(|part| part.parse::<u32>().ok());
    shaped
        && part(0, 4).is_some_and(|year| {
            year >= 1970
                && part(5, 7).is_some_and(|month| {
                    let days = days_in_month(year, month);
                    part(8, 10).is_some_and(|day| day >= 1 && day <= days)
                })
        })
        && part(11, 13).is_some_and(|hour| hour < 24)
        && part(14, 16).is_some_and(|minute| minute < 60)
        && part(17, 19).is_some_and(|second| second < 60)
}

fn days_in_month(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    }
}
