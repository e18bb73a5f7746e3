//! What is said when something did not work: once, on standard error, with what, how to
//! mend it, a stable code, and the exit code of product table.

use std::{path::PathBuf, process::ExitCode};

use cairn_client::{
    error::{ClientError, HomeError},
    keys::KeyError,
    secrets::SecretError,
    sources::SourceError,
    verdict::Verdict,
};
use cairn_proto::reason::Reason;
use serde::Serialize;

use crate::{cli::Format, output::complain};

/// Exit code of a misuse; clap's as well.
pub(crate) const EXIT_USAGE: u8 = 2;

/// A command's failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: u8,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) mend: String,
    pub(crate) evidence: Option<PathBuf>,
}

impl Failure {
    pub(crate) fn new(reason: Reason, message: impl std::fmt::Display) -> Self {
        Self {
            exit: exit_of(reason),
            code: reason.code().to_owned(),
            message: message.to_string(),
            mend: reason.mend().to_owned(),
            evidence: None,
        }
    }

    pub(crate) fn usage(message: impl std::fmt::Display) -> Self {
        Self::new(Reason::Usage, message)
    }

    /// The same with another way to mend it.
    pub(crate) fn mended_by(self, mend: impl Into<String>) -> Self {
        Self {
            mend: mend.into(),
            ..self
        }
    }

    /// Prints it and gives the process's exit code.
    pub(crate) fn report(&self, format: Format) -> ExitCode {
        match format {
            Format::Json => {
                let error = ErrorJson {
                    schema: "cairn.error/v1",
                    code: &self.code,
                    message: &self.message,
                    fix: &self.mend,
                    exit: self.exit,
                    evidence: self.evidence.as_deref(),
                };
                complain(serde_json::to_string(&error).unwrap_or_default());
            }
            Format::Text => {
                complain(format!("error: {} [{}]", self.message, self.code));
                if let Some(evidence) = &self.evidence {
                    complain(format!("  evidence  {}", evidence.display()));
                }
                complain(format!("  fix       {}", self.mend));
            }
        }
        ExitCode::from(self.exit)
    }
}

/// Whether a code says that a checkpoint was signed by other keys of the ledger than the pinned
/// ones, or by none of them.
pub(crate) fn is_of_other_keys(code: &str) -> bool {
    let codes = [Reason::NoteSignature, Reason::KeySucceeded].map(Reason::code);
    codes.contains(&code)
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    schema: &'static str,
    code: &'a str,
    message: &'a str,
    fix: &'a str,
    exit: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<&'a std::path::Path>,
}

fn exit_of(reason: Reason) -> u8 {
    match reason {
        // A PIN does not mend itself either, and a service manager does not start again what exits
        // so: a few starts would lock the token.
        Reason::Usage
        | Reason::TrustMissing
        | Reason::TlogPolicySyntax
        | Reason::TlogPolicyQuorum
        | Reason::KeyUri
        | Reason::PinExposed
        | Reason::PinMissing
        | Reason::PinWrong
        | Reason::PinLocked => EXIT_USAGE,
        Reason::Unreachable => 3,
        Reason::NotAuthenticated | Reason::NotAllowed | Reason::SourceDenied => 4,
        Reason::TooFewAuditors | Reason::TooFewWitnesses => Verdict::Stale.exit_code(),
        _ => 1,
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let mend = error
            .reason()
            .map_or("See what the server says.", Reason::mend);
        Self {
            exit: error.exit_code(),
            code: error.code().to_owned(),
            message: error.to_string(),
            mend: mend.to_owned(),
            evidence: error.evidence().cloned(),
        }
    }
}

macro_rules! by_reason {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new(error.reason(), &error)
            }
        }
    )*};
}

by_reason!(HomeError, KeyError, SecretError, SourceError);
#[cfg(feature = "server")]
by_reason!(cairn_server::start::StartError);
