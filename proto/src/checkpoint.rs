//! Signed tree heads, and the only ways to come to trust one. SPEC.md sections 6 and 9.
//!
//! ```text
//! SignedCheckpoint --authenticate--> AuthenticCheckpoint --advance--> TrustedCheckpoint
//!   parsed, unproven                   the log's key said so           extends all we saw
//! ```
//!
//! Invariant: no other module can build the last two. Time is an argument.
//! Out of scope: fetching, storing, who may append.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use thiserror::Error;

use crate::{
    hash::{NodeHash, RootHash, TreeSize},
    key::{SignError, Signer},
    limits::FUTURE_SECONDS_MAX,
    merkle::verify_consistency,
    name::Origin,
    note::{Note, NoteError, Signed, cosign_line, sign_line},
    reason::Reason,
    trust::Trust,
};

/// What a checkpoint says: one log, one size, one root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Whose log.
    pub origin: Origin,
    /// Number of leaves.
    pub size: TreeSize,
    /// Root over them.
    pub root: RootHash,
}

impl Checkpoint {
    /// The note's text: origin, size, base64 root, a line each.
    pub fn text(&self) -> String {
        let root = STANDARD.encode(self.root.as_bytes());
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let origin = lines.next()?.parse().ok()?;
        let size = TreeSize(lines.next()?.parse().ok()?);
        let root = RootHash::from_slice(&STANDARD.decode(lines.next()?).ok()?)?;
        let checkpoint = Self { origin, size, root };
        // One spelling (no `+5`, no leading zero), and no extension lines.
        (checkpoint.text() == text).then_some(checkpoint)
    }

    /// Signs with the log key and, at `time` in Unix seconds, with the clock key.
    pub fn sign(
        &self,
        log: &dyn Signer,
        clock: &dyn Signer,
        time: u64,
    ) -> Result<Vec<u8>, SignError> {
        let text = self.text();
        let log_line = sign_line(self.origin.as_str(), &text, log)?;
        let clock_line = cosign_line(&self.origin.clock_name(), &text, time, clock)?;
        Ok(format!("{text}\n{log_line}{clock_line}").into_bytes())
    }
}

/// Why bytes are not an authentic checkpoint of the pinned log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Not a note, or a signature on it is bad.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// The note's text is not a checkpoint.
    #[error("the note is not a checkpoint")]
    Syntax,
    /// Another log's checkpoint.
    #[error("the checkpoint is of `{found}`, not of `{pinned}`")]
    WrongOrigin {
        /// Whose it is.
        found: Origin,
        /// Whose it should be.
        pinned: Origin,
    },
    /// The log's key did not sign it.
    #[error("the log's key did not sign the checkpoint")]
    NotSigned,
    /// A cosignature's time lies ahead.
    #[error("the checkpoint was cosigned {ahead} s in the future")]
    Future {
        /// Seconds ahead of the verifier's clock.
        ahead: u64,
    },
}

impl CheckpointError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Note(error) => error.reason(),
            Self::Syntax => Reason::CheckpointSyntax,
            Self::WrongOrigin { .. } => Reason::WrongOrigin,
            Self::NotSigned => Reason::NoteSignature,
            Self::Future { .. } => Reason::NoteFromTheFuture,
        }
    }
}

/// A note that parses as a checkpoint; nobody has vouched for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    bytes: Vec<u8>,
    note: Note,
    claim: Checkpoint,
}

impl SignedCheckpoint {
    /// Parses a note's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes)?;
        let claim = Checkpoint::parse(note.text()).ok_or(CheckpointError::Syntax)?;
        Ok(Self {
            bytes: bytes.to_vec(),
            note,
            claim,
        })
    }

    /// What it claims; for asking for proofs, not for trusting.
    pub fn claimed_size(&self) -> TreeSize {
        self.claim.size
    }

    /// Step 1: the pinned log signed it. `now` is Unix seconds by the verifier's clock.
    pub fn authenticate(
        self,
        trust: &Trust,
        now: u64,
    ) -> Result<AuthenticCheckpoint, CheckpointError> {
        if self.claim.origin != *trust.origin() {
            return Err(CheckpointError::WrongOrigin {
                found: self.claim.origin,
                pinned: trust.origin().clone(),
            });
        }
        if self.note.signature_by(trust.log_key())?.is_none() {
            return Err(CheckpointError::NotSigned);
        }
        let time = match self.note.signature_by(trust.clock_key())? {
            Some(Signed::At(time)) => Some(time),
            _ => None,
        };
        let ahead = time.map_or(0, |time| time.saturating_sub(now));
        if ahead > FUTURE_SECONDS_MAX {
            return Err(CheckpointError::Future { ahead });
        }
        Ok(AuthenticCheckpoint {
            bytes: self.bytes,
            checkpoint: self.claim,
            time,
        })
    }
}

/// A checkpoint that the pinned log signed; it may still contradict another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticCheckpoint {
    bytes: Vec<u8>,
    checkpoint: Checkpoint,
    time: Option<u64>,
}

impl AuthenticCheckpoint {
    /// The note's bytes, for keeping and for evidence.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Number of leaves.
    pub fn size(&self) -> TreeSize {
        self.checkpoint.size
    }

    /// Root over them.
    pub fn root(&self) -> &RootHash {
        &self.checkpoint.root
    }

    /// Time of the clock's cosignature, Unix seconds.
    pub fn time(&self) -> Option<u64> {
        self.time
    }

    /// Trusts the first checkpoint of a ledger that this verifier ever saw.
    pub fn trust_first(self) -> TrustedCheckpoint {
        TrustedCheckpoint {
            head: self,
            history: History::First,
        }
    }

    /// Step 2 for a verifier with no way to fetch a proof: equal sizes need equal roots,
    /// other sizes stay unlinked.
    pub fn trust_offline(
        self,
        held: &TrustedCheckpoint,
    ) -> Result<TrustedCheckpoint, AdvanceError> {
        let history = if self.size() == held.head.size() {
            held.same_root(&self)?;
            History::Linked
        } else {
            History::Unlinked
        };
        Ok(TrustedCheckpoint {
            head: self,
            history,
        })
    }
}

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
    head: AuthenticCheckpoint,
    history: History,
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

    fn same_root(&self, offered: &AuthenticCheckpoint) -> Result<(), AdvanceError> {
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
