//! That an entry is in the log: what a receipt shows, and every later step leans on.

use super::VerifyError;
use crate::{
    checkpoint::AuthenticCheckpoint,
    hash::{Index, LeafHash, NodeHash, TreeSize},
    merkle::verify_inclusion,
};

/// An entry proven to be in the log under an authentic checkpoint: what a receipt shows. It
/// is no verdict: nothing is said of who may sign, nor of what is current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    index: Index,
    leaf: LeafHash,
    size: TreeSize,
}

impl Recorded {
    /// Proves that these very bytes stand at `index`.
    pub fn prove(
        checkpoint: &AuthenticCheckpoint,
        entry: &[u8],
        index: Index,
        inclusion: &[NodeHash],
    ) -> Result<Self, VerifyError> {
        let leaf = LeafHash::of(entry);
        included(checkpoint, leaf, index, inclusion, "the entry")?;
        let size = checkpoint.size();
        Ok(Self { index, leaf, size })
    }

    /// Where it stands.
    pub fn index(&self) -> Index {
        self.index
    }

    /// Its leaf hash.
    pub fn leaf(&self) -> &LeafHash {
        &self.leaf
    }

    /// Size of the tree that it was proven in.
    pub fn size(&self) -> TreeSize {
        self.size
    }
}

pub(super) fn included(
    checkpoint: &AuthenticCheckpoint,
    leaf: LeafHash,
    index: Index,
    proof: &[NodeHash],
    what: &'static str,
) -> Result<(), VerifyError> {
    verify_inclusion(leaf, index, checkpoint.size(), proof, checkpoint.root())
        .map_err(|error| VerifyError::Inclusion { what, error })
}
