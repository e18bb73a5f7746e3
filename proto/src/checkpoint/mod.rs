//! Signed tree heads, and the only ways to come to trust one. SPEC.md sections 6 and 9.
//!
//! ```text
//! SignedCheckpoint --authenticate--> AuthenticCheckpoint --advance--> TrustedCheckpoint
//!   parsed, unproven                   the log's key said so           extends all we saw
//! ```
//!
//! Invariant: nothing outside this module can build the last two. Time is an argument.
//! Out of scope: fetching, storing, who may append.

mod trusted;

pub use trusted::{AdvanceError, Fork, History, TrustedCheckpoint};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use thiserror::Error;

use crate::{
    hash::{RootHash, TreeSize},
    key::{SignError, Signer},
    limits::FUTURE_SECONDS_MAX,
    name::Origin,
    note::{Note, NoteError, Signed, VerifierKey, cosign_line, sign_line},
    reason::Reason,
    trust::{Cosigners, Trust},
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
    /// Signed by a key that may not sign this size: others took over from it, or it from others.
    #[error(
        "the checkpoint of size {size} is signed by a key of the log that may not sign that size"
    )]
    OtherEra {
        /// The size.
        size: TreeSize,
    },
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
            Self::OtherEra { .. } => Reason::KeySucceeded,
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
        let keys = trust.keys_at(self.claim.size);
        if self.note.signature_by(&keys.log)?.is_none() {
            return Err(self.not_signed(trust));
        }
        let time = match self.note.signature_by(&keys.clock)? {
            Some(Signed::At(time)) => Some(time),
            _ => None,
        };
        // All signatures are verified before any time is looked at.
        let auditors = self.cosigned(trust.auditors())?;
        let witnesses = self.cosigned(trust.witnesses())?;
        let newest = [auditors.newest(), witnesses.newest(), time];
        let ahead = newest.into_iter().max().flatten().unwrap_or_default();
        let ahead = ahead.saturating_sub(now);
        if ahead > FUTURE_SECONDS_MAX {
            return Err(CheckpointError::Future { ahead });
        }
        // Where others are asked for, the operator's own clock bounds nothing: as old as the
        // last of those that it took.
        let time = witnesses.vouched().or(auditors.vouched()).or(time);
        let former = trust.later_keys().last();
        let former = former.map(|era| era.after);
        Ok(AuthenticCheckpoint {
            overtaken: former.filter(|after| self.claim.size <= *after),
            bytes: self.bytes,
            checkpoint: self.claim,
            time,
            auditors: auditors.tally(),
            witnesses: witnesses.tally(),
        })
    }

    fn not_signed(&self, trust: &Trust) -> CheckpointError {
        let other = trust
            .all_keys()
            .any(|keys| matches!(self.note.signature_by(&keys.log), Ok(Some(_))));
        if other {
            let size = self.claim.size;
            return CheckpointError::OtherEra { size };
        }
        CheckpointError::NotSigned
    }

    /// What some cosigners signed of it. Every line of theirs must verify.
    fn cosigned(&self, by: &Cosigners) -> Result<Cosigned, CheckpointError> {
        let mut times = Vec::new();
        for key in by.keys() {
            if let Some(Signed::At(time)) = self.note.signature_by(key)? {
                times.push(time);
            }
        }
        times.sort_unstable_by(|one, other| other.cmp(one));
        Ok(Cosigned {
            times,
            quorum: by.quorum(),
        })
    }

    /// The note with one more signature line on it, as [`cosign_line`] makes it.
    ///
    /// [`cosign_line`]: crate::note::cosign_line
    pub fn with_line(&self, line: &str) -> Result<Self, CheckpointError> {
        let mut bytes = self.bytes.clone();
        bytes.extend_from_slice(line.as_bytes());
        Self::parse(&bytes)
    }

    /// Whether `key` cosigned it, and when (Unix seconds). Every line of the key must verify.
    pub fn cosigned_by(&self, key: &VerifierKey) -> Result<Option<u64>, CheckpointError> {
        match self.note.signature_by(key)? {
            Some(Signed::At(time)) => Ok(Some(time)),
            _ => Ok(None),
        }
    }

    /// What signatures on it are over.
    pub fn text(&self) -> &str {
        self.note.text()
    }
}

/// When the pinned ones of a kind cosigned, newest first.
struct Cosigned {
    times: Vec<u64>,
    quorum: usize,
}

impl Cosigned {
    fn newest(&self) -> Option<u64> {
        self.times.first().copied()
    }

    /// The time of the last of the newest so many that the quorum takes.
    fn vouched(&self) -> Option<u64> {
        self.times.get(self.quorum.checked_sub(1)?).copied()
    }

    fn tally(&self) -> Tally {
        Tally {
            found: self.times.len(),
            needed: self.quorum,
        }
    }
}

/// How many of the pinned ones of a kind cosigned, and how many must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tally {
    found: usize,
    needed: usize,
}

impl Tally {
    fn enough(self) -> Option<usize> {
        (self.needed > 0 && self.found >= self.needed).then_some(self.found)
    }

    fn lacks(self) -> Option<(usize, usize)> {
        (self.found < self.needed).then_some((self.found, self.needed))
    }
}

/// A checkpoint that the pinned log signed; it may still contradict another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthenticCheckpoint {
    bytes: Vec<u8>,
    checkpoint: Checkpoint,
    time: Option<u64>,
    overtaken: Option<TreeSize>,
    auditors: Tally,
    witnesses: Tally,
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

    /// The size after which other keys took over from those that signed it: it is good for inclusion
    /// and consistency, and says nothing of what is current, whatever its time. Whoever has the former
    /// keys may sign any of these sizes today.
    pub fn overtaken(&self) -> Option<TreeSize> {
        self.overtaken
    }

    /// When it was vouched for last, Unix seconds: by the clock's cosignature, or, where enough
    /// pinned witnesses cosigned it, by the last of as many as it takes; where no witnesses are
    /// asked for, likewise by auditors.
    pub fn time(&self) -> Option<u64> {
        self.time
    }

    /// How many pinned auditors cosigned it, which recomputed its map: `Some` where they are as
    /// many as it takes, so that the map is more than asserted.
    pub fn audited(&self) -> Option<usize> {
        self.auditors.enough()
    }

    /// How many pinned auditors cosigned it, of how many that it takes, where that is too few.
    pub fn lacks_auditors(&self) -> Option<(usize, usize)> {
        self.auditors.lacks()
    }

    /// How many pinned witnesses cosigned it, of how many that it takes, where that is too few.
    /// `policy` is what the ledger's policy asks for: it can only raise what is pinned.
    pub fn lacks_witnesses(&self, policy: Option<usize>) -> Option<(usize, usize)> {
        self.witnesses_under(policy).lacks()
    }

    /// How many pinned witnesses cosigned it, of how many that it takes; `None` where none are
    /// asked for.
    pub fn witnesses(&self, policy: Option<usize>) -> Option<(usize, usize)> {
        let Tally { found, needed } = self.witnesses_under(policy);
        (needed > 0).then_some((found, needed))
    }

    fn witnesses_under(&self, policy: Option<usize>) -> Tally {
        Tally {
            needed: self.witnesses.needed.max(policy.unwrap_or(0)),
            ..self.witnesses
        }
    }

    /// Whether as many cosigned it as are pinned to.
    pub fn vouched_for(&self) -> bool {
        self.auditors.lacks().is_none() && self.witnesses.lacks().is_none()
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
