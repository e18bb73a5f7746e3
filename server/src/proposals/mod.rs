//! Half-signed envelopes that wait for more signatures.
//!
//! ```text
//! put --judge--> Judged --room--> waiting --more signatures--> submitted by `Append`
//!                                    └── overtaken, withdrawn, expired: gone
//! ```
//!
//! Invariants:
//! - What waits was signed by somebody whom the policy in force named for that role, so strangers
//!   fill nothing. It is bounded in number and in bytes, and each signer has a share of both.
//! - It is no part of the ledger: nothing is lost with it but the time to sign again, and nobody
//!   believes it. Who takes a proposal from here judges it as a file from a stranger.
//! - Time is the clock of [`Settings`], in Unix seconds. One that jumps costs proposals, or keeps
//!   them for longer, and does no more.
//!
//! Out of scope: whether enough have signed (the rules say so when it is submitted); transport
//! and who may call (`service`). Of the ledger it knows the published head, no more.

mod files;
mod judge;
mod room;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use cairn_proto::{
    hash::{KeyId, Sha256},
    reason::Reason,
    rules::RuleError,
};
use thiserror::Error;

pub(crate) use judge::{Judged, Place, judge};
pub(crate) use room::{Room, Waiting};

/// Seconds that a proposal waits where the operator says nothing: a working day and the night.
pub const WAIT_SECONDS: u64 = 24 * 3_600;
/// The most that an operator may say: what waits longer was forgotten.
pub const WAIT_SECONDS_MAX: u64 = 7 * WAIT_SECONDS;
/// Below the data directory: where they lie.
pub const DIRECTORY: &str = "proposals";

/// How many may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProposalLimits {
    /// Proposals of all signers together.
    pub number_max: usize,
    /// Bytes of all envelopes and documents together: they are held in RAM.
    pub bytes_max: usize,
    /// Proposals of one signer, so that none crowds out the others.
    pub signer_number_max: usize,
    /// Bytes of one signer's proposals: four manifests of the largest kind.
    pub signer_bytes_max: usize,
}

impl Default for ProposalLimits {
    fn default() -> Self {
        Self {
            number_max: 1_024,
            bytes_max: 64 << 20,
            signer_number_max: 128,
            signer_bytes_max: 17 << 20,
        }
    }
}

/// Where proposals wait, and for how long.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The directory; made if it is not there.
    pub directory: PathBuf,
    /// How many may wait.
    pub limits: ProposalLimits,
    /// Seconds after which one is gone.
    pub wait_seconds: u64,
    /// Unix seconds.
    pub clock: fn() -> u64,
}

impl Settings {
    /// The usual ones for a data directory.
    pub fn below(data: &std::path::Path) -> Self {
        Self {
            directory: data.join(DIRECTORY),
            limits: ProposalLimits::default(),
            wait_seconds: WAIT_SECONDS,
            clock: crate::clock::now,
        }
    }
}

/// Why a proposal was not taken, or not given.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ProposalError {
    /// A rule of the ledger, or the form of what was sent.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// Nothing of the kind waits here.
    #[error("no proposal {id} waits here: it was recorded, overtaken or withdrawn, or it expired")]
    Absent { id: String },
    /// Not the beginning of an id.
    #[error("`{id}` is not 8 to 64 digits of an id, in lower-case hex")]
    Id { id: String },
    /// More than one begins like that.
    #[error("{found} proposals begin with {id}: give more digits")]
    Ambiguous { id: String, found: usize },
    /// There is no more room for anybody.
    #[error("{number} proposals of {bytes} bytes wait already: no more fit before some are gone")]
    Full { number: usize, bytes: usize },
    /// One signer has its share.
    #[error(
        "{number} proposals of {bytes} bytes that key {signer} signed wait already, which is its \
         share: submit or withdraw some, or let them expire"
    )]
    Share {
        signer: KeyId,
        number: usize,
        bytes: usize,
    },
    /// It is ordered and taken while the server does not run.
    #[error("keys take over while the server does not run: hand the order on as a file (-o FILE)")]
    Succession,
    /// The document was not sent, and the proposal does not wait yet.
    #[error("the document of proposal {id} was not sent")]
    DocumentMissing { id: Sha256 },
    /// The disk.
    #[error("a proposal was not kept: {0}")]
    Disk(#[from] std::io::Error),
}

impl ProposalError {
    /// The stable code.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::Rule(error) => error.reason(),
            Self::Absent { .. } => Reason::NotFound,
            Self::Id { .. } | Self::Ambiguous { .. } => Reason::InvalidRequest,
            Self::Full { .. } | Self::Share { .. } => Reason::ProposalsFull,
            Self::Succession => Reason::SuccessionRunning,
            Self::DocumentMissing { .. } => Reason::DocumentMissing,
            Self::Disk(error) if crate::disk::is_no_space(error) => Reason::NoSpace,
            Self::Disk(_) => Reason::Internal,
        }
    }
}
