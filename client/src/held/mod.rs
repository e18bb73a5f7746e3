//! What this verifier saw of a ledger before: the newest checkpoint that it trusts, and
//! numbers that never go back.
//!
//! Invariants: what is held was proven to extend what was held before, and only grows; a
//! damaged file is an error and never a fresh start; of several processes none undoes what
//! another kept. Out of scope: proving that one checkpoint extends another.
//!
//! The file carries a checksum, because a number in it has no other protection against a
//! flipped bit; the note in it is authenticated again on every load.

use std::{collections::BTreeMap, path::PathBuf};

use cairn_proto::{
    checkpoint::{AdvanceError, CheckpointError, History, SignedCheckpoint, TrustedCheckpoint},
    hash::Sequence,
    name::Environment,
    trust::Trust,
};
use serde::{Deserialize, Serialize};

use crate::{
    error::HomeError,
    files::{self, Lock},
    home::Home,
};

const SCHEMA: &str = "cairn.held/v1";
/// Bytes of the file: some 100,000 environments.
const FILE_BYTES_MAX: usize = 32 << 20;
/// How old the time in the file may become while all else that it says stays the same.
const SEEN_SECONDS: u64 = 60;

/// What was seen before.
#[derive(Debug, Clone)]
pub struct Held {
    checkpoint: TrustedCheckpoint,
    sequences: BTreeMap<Environment, Sequence>,
    policy_version: u64,
    seen: u64,
}

impl Held {
    /// The newest checkpoint that is trusted.
    pub fn checkpoint(&self) -> &TrustedCheckpoint {
        &self.checkpoint
    }

    /// The highest sequence that was proven for an environment.
    pub fn sequence(&self, environment: &Environment) -> Option<Sequence> {
        self.sequences.get(environment).copied()
    }

    /// The highest version of the policy that was proven.
    pub fn policy_version(&self) -> u64 {
        self.policy_version
    }

    /// When something was last seen, Unix seconds by this machine's clock.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Whether this is the checkpoint that a caller started from.
    fn is(&self, base: &TrustedCheckpoint) -> bool {
        let (own, base) = (self.checkpoint.head(), base.head());
        own.size() == base.size() && own.root() == base.root()
    }
}

/// What was just proven, to be remembered.
#[derive(Debug)]
pub struct Seen<'a> {
    /// The checkpoint that the caller started from, if it held any.
    pub base: Option<&'a TrustedCheckpoint>,
    /// The checkpoint proven, and how it is linked to `base`.
    pub checkpoint: &'a TrustedCheckpoint,
    /// An environment and its current sequence under that checkpoint.
    pub environment: Option<(&'a Environment, Sequence)>,
    /// Version of the policy under that checkpoint; 0 where it was not looked at.
    pub policy_version: u64,
    /// What was seen elsewhere, whose numbers a new file begins with.
    pub floor: Option<&'a Held>,
    /// Unix seconds.
    pub now: u64,
}

/// How remembering went.
#[derive(Debug)]
pub enum Kept {
    /// It is remembered.
    Now(Box<Held>),
    /// Another process kept another checkpoint meanwhile: link with that one, then try again.
    Moved(Box<Held>),
}

/// Why something was not remembered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HoldError {
    /// The file.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// What another process kept contradicts it.
    #[error(transparent)]
    Advance(#[from] AdvanceError),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct HeldFile {
    blake3: String,
    held: Body,
    schema: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Body {
    note: String,
    policy_version: u64,
    seen: u64,
    sequences: BTreeMap<String, u64>,
}

impl Body {
    /// The one spelling of these members, hashed.
    fn checksum(&self) -> String {
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        blake3::hash(&bytes).to_hex().to_string()
    }
}

/// Why what was held cannot be taken.
enum Fault {
    Damaged(&'static str),
    /// Its checksum fits, and its note is not by the keys that are pinned: others took over.
    OtherKeys,
}

impl From<&'static str> for Fault {
    fn from(why: &'static str) -> Self {
        Self::Damaged(why)
    }
}

/// The held state of one ledger, on disk.
#[derive(Debug, Clone)]
pub struct HeldStore {
    path: PathBuf,
    trust: Trust,
}

impl HeldStore {
    /// The held state of the ledger of `trust`.
    pub fn new(home: &Home, trust: &Trust) -> Self {
        Self {
            path: home.held_file(trust.genesis()),
            trust: trust.clone().alone(),
        }
    }

    /// What was seen of the ledger as its auditors and witnesses vouch for it: kept apart, since a
    /// cosigned checkpoint is older than the newest one, and not stale for that.
    pub fn vouched(home: &Home, trust: &Trust) -> Self {
        Self {
            path: home.audited_file(trust.genesis()),
            trust: trust.clone().alone(),
        }
    }

    /// What was seen; `None` if nothing ever was.
    pub fn load(&self) -> Result<Option<Held>, HomeError> {
        let Some(bytes) = files::read(&self.path, FILE_BYTES_MAX)? else {
            return Ok(None);
        };
        let path = || self.path.clone();
        self.parse(&bytes).map(Some).map_err(|fault| match fault {
            Fault::Damaged(why) => HomeError::Damaged { path: path(), why },
            Fault::OtherKeys => HomeError::OtherKeys { path: path() },
        })
    }

    fn parse(&self, bytes: &[u8]) -> Result<Held, Fault> {
        let file: HeldFile = serde_json::from_slice(bytes).map_err(|_| "it is not held state")?;
        if file.schema != SCHEMA {
            return Err(Fault::Damaged("its schema needs a newer cairn"));
        }
        let body = file.held;
        if body.checksum() != file.blake3 {
            return Err(Fault::Damaged("its checksum does not fit"));
        }
        // Judged when it was taken in: a clock that was set back since does not undo that, nor does
        // a cosigner that was pinned since, of whom a note may hold a line that nobody verified.
        let checkpoint = SignedCheckpoint::parse(body.note.as_bytes())
            .and_then(|note| note.authenticate(&self.trust, u64::MAX))
            .map_err(|error| match error {
                CheckpointError::NotSigned | CheckpointError::OtherEra { .. } => Fault::OtherKeys,
                _ => Fault::Damaged("the saved checkpoint is not one of the ledger's"),
            })?;
        let sequences = body.sequences.iter().map(|(name, sequence)| {
            let name = name.parse().map_err(|_| "it names no environment")?;
            Ok((name, Sequence(*sequence)))
        });
        Ok(Held {
            checkpoint: checkpoint.trust_first(),
            sequences: sequences
                .collect::<Result<_, &'static str>>()
                .map_err(Fault::Damaged)?,
            policy_version: body.policy_version,
            seen: body.seen,
        })
    }

    /// Remembers what was proven, merged with what is on disk, under the lock.
    pub fn keep(&self, seen: &Seen<'_>) -> Result<Kept, HoldError> {
        let _lock = Lock::of(&self.path)?;
        let before = self.load()?;
        // Whoever has keys that others took over from may sign any size of theirs today: nothing of that
        // is what was seen.
        if seen.checkpoint.head().overtaken().is_some() {
            let held = before.unwrap_or_else(|| Held {
                checkpoint: seen.checkpoint.clone(),
                sequences: BTreeMap::new(),
                policy_version: 0,
                seen: 0,
            });
            return Ok(Kept::Now(Box::new(held)));
        }
        let mut held = match before.clone() {
            None => Held {
                checkpoint: seen.checkpoint.clone(),
                sequences: seen
                    .floor
                    .map_or_else(BTreeMap::new, |it| it.sequences.clone()),
                policy_version: seen.floor.map_or(0, |it| it.policy_version),
                seen: 0,
            },
            Some(held) => {
                // Equal sizes settle it without a proof, whoever came first.
                let same_size = held.checkpoint.head().size() == seen.checkpoint.head().size();
                if same_size {
                    held.checkpoint
                        .advance(seen.checkpoint.head().clone(), &[])?;
                } else if !seen.base.is_some_and(|base| held.is(base)) {
                    return Ok(Kept::Moved(Box::new(held)));
                }
                held
            }
        };
        merge(&mut held, seen);
        match &before {
            // A host asks again and again: what is on disk says it all.
            Some(before) if says_the_same(before, &held) => files::sync(&self.path)?,
            _ => self.write(&held)?,
        }
        Ok(Kept::Now(Box::new(held)))
    }

    fn write(&self, held: &Held) -> Result<(), HomeError> {
        let note = String::from_utf8_lossy(held.checkpoint.head().bytes()).into_owned();
        let sequences = held.sequences.iter();
        let body = Body {
            note,
            policy_version: held.policy_version,
            seen: held.seen,
            sequences: sequences
                .map(|(name, sequence)| (name.to_string(), sequence.0))
                .collect(),
        };
        let file = HeldFile {
            blake3: body.checksum(),
            held: body,
            schema: SCHEMA.to_owned(),
        };
        let bytes = serde_json::to_vec(&file).unwrap_or_default();
        files::write(&self.path, &bytes)
    }
}

/// The larger of each. A checkpoint that is not linked to the one held never replaces it,
/// though the numbers that it proves are remembered: they are what protects offline.
fn merge(held: &mut Held, seen: &Seen<'_>) {
    let (own, new) = (held.checkpoint.head(), seen.checkpoint.head());
    let larger = new.size() > own.size() && seen.checkpoint.history() != History::Unlinked;
    let fresher = new.size() == own.size() && new.time() > own.time();
    if larger || fresher {
        held.checkpoint = seen.checkpoint.clone();
    }
    if let Some((environment, sequence)) = seen.environment {
        let known = held.sequences.entry(environment.clone()).or_default();
        *known = sequence.max(*known);
    }
    held.policy_version = held.policy_version.max(seen.policy_version);
    held.seen = held.seen.max(seen.now);
}

/// Whether nothing but the time is new, and that by little.
fn says_the_same(before: &Held, now: &Held) -> bool {
    before.checkpoint.head().bytes() == now.checkpoint.head().bytes()
        && before.sequences == now.sequences
        && before.policy_version == now.policy_version
        && now.seen.saturating_sub(before.seen) < SEEN_SECONDS
}

#[cfg(test)]
mod tests;
