//! Why evidence does not prove what it was given for.

use thiserror::Error;

use crate::{
    checkpoint::CheckpointError, entry::EntryError, hash::LeafHash, map::MapProofError,
    merkle::ProofError, reason::Reason, rules::RuleError,
};

/// Why evidence does not prove what it was given for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// An inclusion proof does not hold.
    #[error("{what} is not proven to be in the log: {error}")]
    Inclusion {
        /// Which leaf.
        what: &'static str,
        /// How the proof fails.
        error: ProofError,
    },
    /// The last leaf under the checkpoint is not a map record over the rest.
    #[error("the checkpoint does not end with a map record over its leaves")]
    MapRecord,
    /// A map proof does not hold.
    #[error("what the map says of {what} is not proven")]
    Map {
        /// Of what.
        what: &'static str,
        /// The proof's error.
        error: MapProofError,
    },
    /// The entry given is not the one that the row states.
    #[error("the entry is not the one that the map states: {what} differs")]
    RowMismatch {
        /// What differs.
        what: &'static str,
    },
    /// The evidence carries something beside the release that is not what it should be. That is the
    /// answer's doing, and says nothing of the log.
    #[error("the evidence carries {what}")]
    Misplaced {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Bytes that are bound by a signed root do not decode.
    #[error("a recorded entry does not decode: {0}")]
    Entry(#[from] EntryError),
    /// The first policy is not the pinned genesis.
    #[error("the ledger begins with {found}, pinned is {pinned}")]
    WrongGenesis {
        /// What it begins with.
        found: LeafHash,
        /// What was pinned.
        pinned: LeafHash,
    },
    /// The policies do not form the chain that the map states.
    #[error("the policies are not the chain that the map states")]
    PolicyChain,
    /// A policy, or the release, was not allowed by the policy in force.
    #[error("policy: {0}")]
    Rule(#[from] RuleError),
    /// A note is not what the keys of its size signed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The head that an order of succession names is not one that the keys before signed right
    /// before it.
    #[error(
        "the head that an order of succession names is not signed by the keys before it, or does not \
         stand right before the order"
    )]
    SuccessionHead,
    /// The genesis keys differ from the pinned ones.
    #[error("the genesis entry names other keys than the pinned ones")]
    WrongKeys,
    /// The document that an entry names was not given at all.
    #[error("the document that an entry names was not given")]
    Undocumented,
    /// The environment has a release, but the evidence does not carry it.
    #[error("the evidence lacks {what}")]
    Lacks {
        /// What is not there.
        what: &'static str,
    },
}

impl VerifyError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Inclusion { .. } | Self::Lacks { .. } => Reason::InclusionUnproven,
            Self::MapRecord => Reason::MapRecordWrong,
            Self::Map { .. } => Reason::MapProof,
            Self::RowMismatch { .. } | Self::Misplaced { .. } => Reason::RowMismatch,
            Self::Undocumented => Reason::DocumentMissing,
            Self::Entry(error) => error.reason(),
            Self::WrongGenesis { .. } | Self::WrongKeys => Reason::WrongGenesis,
            Self::PolicyChain => Reason::PolicyChain,
            Self::Checkpoint(error) => error.reason(),
            Self::SuccessionHead => Reason::SuccessionHead,
            Self::Rule(error) => error.reason(),
        }
    }

    /// Whether this says that a signer was not allowed, rather than that nothing was proven.
    /// What needs a newer program breaks no rule.
    pub fn is_untrusted(&self) -> bool {
        matches!(self, Self::Rule(error) if error.reason() != Reason::NeedsNewerCairn)
    }
}
