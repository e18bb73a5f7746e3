//! What can go wrong with the files of a client's home directory.

use std::{io, path::PathBuf};

use cairn_proto::reason::Reason;
use thiserror::Error;

/// Why a file of the home directory could not be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HomeError {
    /// There is no home directory to keep anything in.
    #[error("no home directory is known; set CAIRN_HOME")]
    NoHome,
    /// The system refused.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// State that protects against a rewritten history cannot be read.
    #[error("{} is damaged: {why}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// How.
        why: &'static str,
    },
    /// What was seen before is signed by other keys of the ledger than the pinned ones.
    #[error(
        "what was seen before, in {}, is signed by other keys than the pinned ones",
        path.display()
    )]
    OtherKeys {
        /// Which file.
        path: PathBuf,
    },
    /// A file that a person wrote is not of its form.
    #[error("{}: {why}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// A file with a secret in it is open to others.
    #[error("{} may be read by others", path.display())]
    Loose {
        /// Which file.
        path: PathBuf,
    },
    /// Another process holds a lock for too long.
    #[error("{} is locked by another process", path.display())]
    Locked {
        /// Which file.
        path: PathBuf,
    },
    /// There is no such context.
    #[error("there is no context `{name}`")]
    NoContext {
        /// Its name.
        name: String,
    },
    /// No context is active.
    #[error("no ledger is trusted yet")]
    NothingTrusted,
    /// A name that is already taken by another ledger.
    #[error("`{name}` already stands for another ledger")]
    Taken {
        /// The name.
        name: String,
    },
}

impl HomeError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Io { .. } => Reason::PathUnreadable,
            Self::Damaged { .. } => Reason::StateDamaged,
            Self::OtherKeys { .. } => Reason::KeySucceeded,
            Self::Loose { .. } => Reason::KeyFileLoose,
            Self::Locked { .. } => Reason::StoreLocked,
            Self::NothingTrusted => Reason::TrustMissing,
            Self::NoHome | Self::Invalid { .. } | Self::NoContext { .. } | Self::Taken { .. } => {
                Reason::Usage
            }
        }
    }
}
