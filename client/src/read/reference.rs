//! References: how a person names a release or a digest.

use std::{fmt, str::FromStr};

use cairn_proto::{
    hash::{DocumentId, Sequence, Sha256},
    name::Environment,
};

use crate::clock::{parse_time, time_text};

/// What a person means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `env`: its current release.
    Current(Environment),
    /// `env#12`: a release by its sequence.
    Sequence(Environment, Sequence),
    /// `env~1`: so many releases before the current one.
    Back(Environment, u64),
    /// `env@2026-11-01T10:00Z`: the newest release made by then, by its signers' clock.
    At(Environment, u64),
    /// `sha256:...`: the release that last brought or dropped an artifact.
    Sha256(Sha256),
    /// `blake3:...`: a document.
    Blake3(DocumentId),
}

/// Text that is not a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a reference is ENV, ENV#12, ENV~1, ENV@2026-11-01T10:00Z, sha256:<64 hex> or blake3:<64 hex>"
)]
pub struct ReferenceError;

impl Reference {
    /// The environment, where one is named.
    pub fn environment(&self) -> Option<&Environment> {
        match self {
            Self::Current(environment)
            | Self::Sequence(environment, _)
            | Self::Back(environment, _)
            | Self::At(environment, _) => Some(environment),
            Self::Sha256(_) | Self::Blake3(_) => None,
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if let Some(hex) = text.strip_prefix("sha256:") {
            return hex.parse().map(Self::Sha256).map_err(|_| ReferenceError);
        }
        if let Some(hex) = text.strip_prefix("blake3:") {
            return hex.parse().map(Self::Blake3).map_err(|_| ReferenceError);
        }
        let at = text.find(['#', '~', '@']).unwrap_or(text.len());
        let (name, rest) = text.split_at(at);
        let environment: Environment = name.parse().map_err(|_| ReferenceError)?;
        let mut rest = rest.chars();
        let mark = rest.next();
        let rest = rest.as_str();
        match mark {
            None => Ok(Self::Current(environment)),
            Some('#') => match number(rest)? {
                0 => Err(ReferenceError),
                sequence => Ok(Self::Sequence(environment, Sequence(sequence))),
            },
            Some('~') => Ok(Self::Back(environment, number(rest)?)),
            Some(_) => parse_time(rest)
                .map(|time| Self::At(environment, time))
                .ok_or(ReferenceError),
        }
    }
}

/// Digits alone: `+1` and an empty text are no numbers here.
fn number(text: &str) -> Result<u64, ReferenceError> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits);
    number.ok_or(ReferenceError)
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current(environment) => environment.fmt(out),
            Self::Sequence(environment, sequence) => write!(out, "{environment}#{sequence}"),
            Self::Back(environment, steps) => write!(out, "{environment}~{steps}"),
            Self::At(environment, time) => write!(out, "{environment}@{}", time_text(*time)),
            Self::Sha256(digest) => write!(out, "sha256:{digest}"),
            Self::Blake3(digest) => write!(out, "blake3:{digest}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reference;

    /// Goal: every form is read as it is printed.
    #[test]
    fn every_form_of_a_reference_is_read_as_it_is_printed() {
        let hex = "ab".repeat(32);
        let forms = [
            "prod/eu-1/shop".to_owned(),
            "prod/eu-1/shop#12".to_owned(),
            "shop~0".to_owned(),
            "shop~3".to_owned(),
            "shop@2026-11-01T10:00:00Z".to_owned(),
            format!("sha256:{hex}"),
            format!("blake3:{hex}"),
        ];
        for form in forms {
            let reference: Reference = form.parse().unwrap();
            assert_eq!(reference.to_string(), form);
        }
        let short: Reference = "shop@2026-11-01T10:00Z".parse().unwrap();
        assert_eq!(short.to_string(), "shop@2026-11-01T10:00:00Z");
    }

    /// Goal: what is no reference is never guessed at.
    #[test]
    fn what_is_no_reference_is_refused() {
        let wrong = [
            "",
            "Shop",
            "shop#",
            "shop#0",
            "shop#+1",
            "shop#1#2",
            "shop~",
            "shop~-1",
            "shop@",
            "shop@now",
            "@2026-11-01T10:00Z",
            "sha256:ab",
            "sha512:ab",
            "shop/",
            "shop~1@x",
        ];
        for text in wrong {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
        assert!(
            format!("sha256:{}", "AB".repeat(32))
                .parse::<Reference>()
                .is_err()
        );
    }
}
