//! Why a token gave no key.

use std::{
    fmt::{self, Write as _},
    path::Path,
};

use cairn_proto::reason::Reason;
use thiserror::Error;

use super::uri::UriError;
use crate::{
    detail::printable,
    keys::file::{PrivateFileError, shown},
};

/// Tokens or keys that one message names.
const LISTED_MAX: usize = 8;

/// How many wrong PINs a token still takes, as far as it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TriesLeft {
    /// It does not say.
    Unsaid,
    /// Fewer than it began with, since a wrong one was given.
    Fewer,
    /// One: another wrong PIN locks it.
    One,
    /// None: it is locked.
    Locked,
}

impl fmt::Display for TriesLeft {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Unsaid => "it does not say how many tries are left",
            Self::Fewer => "it says that fewer tries are left than there were",
            Self::One => "it says that one try is left: another wrong PIN locks it",
            Self::Locked => "it says that its PIN is locked now",
        })
    }
}

/// Why there is no key on a token to sign with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The URI does not say which key.
    #[error(transparent)]
    Uri(#[from] UriError),
    /// The module could not be loaded.
    #[error("{path} is no PKCS#11 module that can be loaded: {why}")]
    Module {
        /// The module.
        path: String,
        /// What was wrong.
        why: String,
    },
    /// Others could replace the module, and what it does happens in this process.
    #[error("{path} is owned by, or may be changed by, others than root and this user")]
    ModuleLoose {
        /// The module.
        path: String,
    },
    /// A call of the module failed.
    #[error("the token's module: {why}")]
    Call {
        /// Which, and how.
        why: String,
    },
    /// No token fits.
    #[error("no token fits the URI; there is {}", listed(present))]
    NoToken {
        /// The labels of those that are there.
        present: Vec<String>,
    },
    /// Several tokens fit.
    #[error("{} tokens fit the URI: {}", fitting.len(), listed(fitting))]
    ManyTokens {
        /// URIs that tell them apart.
        fitting: Vec<String>,
    },
    /// The token has no such key.
    #[error("the token {token} holds no Ed25519 key that fits the URI")]
    NoKey {
        /// The token.
        token: String,
    },
    /// The token has the key, and it is of another kind.
    #[error("the key on the token {token} is not an Ed25519 key (CKK_EC_EDWARDS, edwards25519)")]
    OtherKind {
        /// The token.
        token: String,
    },
    /// Several keys fit.
    #[error("several keys on the token fit the URI: {}", listed(fitting))]
    ManyKeys {
        /// URIs that tell them apart, as far as they differ.
        fitting: Vec<String>,
    },
    /// There is one of that name already.
    #[error("the token {token} holds a key of that name, or with that id, already")]
    Exists {
        /// The token.
        token: String,
    },
    /// The public half cannot be read, is damaged, or is a key that verifiers would refuse.
    #[error("the token {token} shows no public half of the key that could be used")]
    NoPublic {
        /// The token.
        token: String,
    },
    /// A key that verifiers would refuse.
    #[error("the key on the token {token} is weak")]
    Weak {
        /// The token.
        token: String,
    },
    /// The key wants a PIN before each signature.
    #[error("the key wants its PIN again before each signature (CKA_ALWAYS_AUTHENTICATE)")]
    AlwaysAuthenticate,
    /// The file with the PIN was refused.
    #[error("pin-source: {0}")]
    PinFile(#[source] PrivateFileError),
    /// The file holds no PIN.
    #[error("pin-source: {path} holds no PIN: one line of text")]
    PinSyntax {
        /// The file.
        path: String,
    },
    /// Nobody could be asked.
    #[error(
        "the token {token} wants its PIN, and there is neither a pin-source nor somebody to ask"
    )]
    PinMissing {
        /// The token.
        token: String,
    },
    /// The token refused the PIN.
    #[error("the token {token} refused the PIN, which was tried once; {left}")]
    PinWrong {
        /// The token.
        token: String,
        /// What it says of further tries.
        left: TriesLeft,
    },
    /// A PIN from a file is not spent on the last try.
    #[error(
        "the token {token} takes one more wrong PIN and is then locked; the one in pin-source was not tried"
    )]
    LastTry {
        /// The token.
        token: String,
    },
    /// Too many wrong ones were given.
    #[error("the token {token} has locked its PIN")]
    PinLocked {
        /// The token.
        token: String,
    },
    /// A new key does not sign as it should.
    #[error("the token {token} is at fault: {why}")]
    Faulty {
        /// The token.
        token: String,
        /// What it did.
        why: String,
    },
    /// A new key without a name could not be found again.
    #[error("a new key needs a name: add object=... to the URI")]
    NoName,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let more = names.len().saturating_sub(LISTED_MAX);
    let names = names.iter().take(LISTED_MAX);
    let names: Vec<_> = names.map(|name| printable(name)).collect();
    let mut text = names.join(", ");
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}

impl TokenError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Uri(UriError::PinValue) => Reason::PinExposed,
            Self::Uri(_) | Self::NoName => Reason::KeyUri,
            Self::Module { .. } | Self::ModuleLoose { .. } | Self::Call { .. } => {
                Reason::TokenModule
            }
            Self::NoToken { .. } => Reason::TokenNotFound,
            Self::ManyTokens { .. } | Self::ManyKeys { .. } | Self::Exists { .. } => {
                Reason::TokenAmbiguous
            }
            Self::NoKey { .. } | Self::OtherKind { .. } | Self::AlwaysAuthenticate => {
                Reason::TokenKeyNotFound
            }
            Self::Weak { .. } => Reason::KeyWeak,
            Self::PinFile(error) => error.reason(),
            Self::PinSyntax { .. } | Self::PinMissing { .. } => Reason::PinMissing,
            Self::PinWrong { .. } => Reason::PinWrong,
            Self::LastTry { .. } | Self::PinLocked { .. } => Reason::PinLocked,
            Self::Faulty { .. } | Self::NoPublic { .. } => Reason::SignerFailed,
            Self::Random => Reason::KeyFile,
        }
    }

    pub(super) fn module(path: &Path, why: impl fmt::Display) -> Self {
        Self::Module {
            path: shown(path),
            why: printable(&why.to_string()),
        }
    }
}

impl From<cryptoki::error::Error> for TokenError {
    fn from(error: cryptoki::error::Error) -> Self {
        Self::Call { why: said(&error) }
    }
}

/// The call and the return value by its name; what the library says of either fills a paragraph.
pub(super) fn said(error: &cryptoki::error::Error) -> String {
    match error {
        cryptoki::error::Error::Pkcs11(value, function) => {
            format!("C_{function:?} said {value:?}")
        }
        other => printable(&other.to_string()),
    }
}
