//! How one authentic checkpoint comes to be trusted beside another. SPEC.md section 9, step 2.

use thiserror::Error;

use super::AuthenticCheckpoint;
use crate::{
    hash::{NodeHash, RootHash, TreeSize},
    merkle::verify_consistency,
    reason::Reason,
};

/// How a trusted checkpoint relates to what the verifier saw before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// Nothing was seen before.
    First,
    /// It is, or extends, what was seen before.
    Linked,
    /// Seen before, but no proof was at hand that links the two.
    Unlinked,
    /// It is a proven prefix of what was seen before: good for inclusion, stale for currency.
    Behind {
        /// The size seen before.
        held: TreeSize,
    },
}

/// Two notes by the log's key that cannot both be true. Convinces third parties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// The note trusted before.
    pub held: Vec<u8>,
    /// The note offered.
    pub offered: Vec<u8>,
    /// Where the sizes differ: the root at the smaller size as the larger note's tree has it.
    pub recomputed: Option<RootHash>,
}

/// Why an authentic checkpoint did not become trusted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AdvanceError {
    /// The answer proves nothing either way. Retry, then raise an alarm.
    #[error("consistency between sizes {held} and {offered} is not proven")]
    Unproven {
        /// Size trusted before.
        held: TreeSize,
        /// Size offered.
        offered: TreeSize,
    },
    /// The log signed two histories.
    #[error("the log signed two histories")]
    Forked(Box<Fork>),
}

impl AdvanceError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Unproven { .. } => Reason::ConsistencyUnproven,
            Self::Forked(_) => Reason::Forked,
        }
    }
}

/// A checkpoint that agrees with everything this verifier saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedCheckpoint {
    pub(super) head: AuthenticCheckpoint,
    pub(super) history: History,
}

impl TrustedCheckpoint {
    /// The checkpoint itself.
    pub fn head(&self) -> &AuthenticCheckpoint {
        &self.head
    }

    /// How it was linked to what was seen before.
    pub fn history(&self) -> History {
        self.history
    }

    pub(super) fn same_root(&self, offered: &AuthenticCheckpoint) -> Result<(), AdvanceError> {
        if self.head.root() == offered.root() {
            return Ok(());
        }
        Err(self.forked(offered, None))
    }

    fn forked(&self, offered: &AuthenticCheckpoint, recomputed: Option<RootHash>) -> AdvanceError {
        AdvanceError::Forked(Box::new(Fork {
            held: self.head.bytes.clone(),
            offered: offered.bytes.clone(),
            recomputed,
        }))
    }

    /// Step 2: links an offered checkpoint to this one by a consistency proof between the
    /// smaller and the larger size (none for equal sizes, nor from the empty tree).
    pub fn advance(
        &self,
        offered: AuthenticCheckpoint,
        proof: &[NodeHash],
    ) -> Result<Self, AdvanceError> {
        let (held, new) = (self.head.size(), offered.size());
        if held == new {
            self.same_root(&offered)?;
        } else {
            let (small, large) = if held < new {
                (&self.head, &offered)
            } else {
                (&offered, &self.head)
            };
            let unproven = AdvanceError::Unproven { held, offered: new };
            if small.size().0 > 0 {
                verify_consistency(
                    small.size(),
                    large.size(),
                    proof,
                    small.root(),
                    large.root(),
                )
                .map_err(|_| unproven)?;
            }
        }
        let history = if new < held {
            History::Behind { held }
        } else {
            History::Linked
        };
        Ok(Self {
            head: offered,
            history,
        })
    }

    /// Settles an unproven step with leaves that the caller fetched as tiles: `tree` must
    /// reproduce the larger signed root, and then says what the root at the smaller size is.
    pub fn recompute(
        &self,
        offered: AuthenticCheckpoint,
        tree: &crate::merkle::Tree,
    ) -> Result<Self, AdvanceError> {
        let (held, new) = (self.head.size(), offered.size());
        let unproven = || AdvanceError::Unproven { held, offered: new };
        let (small, large) = if held < new {
            (&self.head, &offered)
        } else {
            (&offered, &self.head)
        };
        let root_at = |size| crate::merkle::root_at(tree, size).ok_or_else(unproven);
        if root_at(large.size())? != *large.root() {
            return Err(unproven());
        }
        let recomputed = root_at(small.size())?;
        if recomputed != *small.root() {
            return Err(self.forked(&offered, Some(recomputed)));
        }
        let proof = crate::merkle::prove_consistency(tree, small.size(), large.size());
        self.advance(offered, &proof.unwrap_or_default())
    }
}
