//! The waiting room: who waits, until when, and whose share it takes.
//!
//! Invariant: what is shown is on disk. Locks: `writing` is held for as long as files change,
//! `waiting` for moments; who only looks never waits for a disk.

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use cairn_proto::{
    entry::EntryError,
    envelope::Envelope,
    hash::{KeyId, Sha256},
    name::Environment,
    rules::RuleError,
};

use super::{Judged, Place, ProposalError, ProposalLimits, Settings, files::Files};
use crate::disk::Disk;

/// Digits of an id that name a proposal, at least.
const ID_DIGITS_MIN: usize = 8;

/// A proposal that waits. Clones share the document.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) envelope: Envelope,
    pub(crate) document: Bytes,
    /// Who may write there may see it; `None`: who may write anywhere.
    pub(crate) environment: Option<Environment>,
    /// What it would be.
    pub(crate) place: Place,
    /// Who had signed it when it came: it takes of their shares.
    pub(super) charged: Vec<KeyId>,
    /// Who left it, as uploads are staged under: what it names is theirs.
    pub(crate) owner: Arc<str>,
    /// Unix seconds.
    pub(crate) expires: u64,
}

impl Waiting {
    pub(super) fn bytes(&self) -> usize {
        let payload = self.envelope.payload().len();
        payload.saturating_add(self.document.len())
    }
}

/// All that waits.
#[derive(Debug)]
pub(crate) struct Room {
    files: Files,
    limits: ProposalLimits,
    wait_seconds: u64,
    clock: fn() -> u64,
    writing: Mutex<()>,
    waiting: Mutex<BTreeMap<Sha256, Waiting>>,
}

/// A panic between two statements here leaves nothing half done.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Room {
    /// Takes up what an earlier process left. A directory that cannot be used is no reason not to
    /// serve a ledger: then nothing waits, and nothing new is taken.
    pub(crate) fn open(disk: Arc<dyn Disk>, settings: &Settings) -> Self {
        let files = Files::new(disk, settings.directory.clone());
        let loaded = files.load(&settings.limits);
        let mut loaded = loaded.unwrap_or_else(|error| {
            let directory = settings.directory.display();
            tracing::error!(%directory, %error, "proposals cannot be kept");
            Vec::new()
        });
        // A clock that was wrong must not keep anything for ever.
        let last = (settings.clock)().saturating_add(settings.wait_seconds);
        for (_, waiting) in &mut loaded {
            waiting.expires = waiting.expires.min(last);
        }
        Self {
            files,
            limits: settings.limits,
            wait_seconds: settings.wait_seconds,
            clock: settings.clock,
            writing: Mutex::new(()),
            waiting: Mutex::new(loaded.into_iter().collect()),
        }
    }

    /// Leaves a proposal, or adds its signatures to the one that waits. Waits for the disk.
    pub(crate) fn put(&self, judged: Judged, owner: &str) -> Result<Waiting, ProposalError> {
        let _writing = locked(&self.writing);
        let id = judged.id;
        let known = locked(&self.waiting).get(&id).cloned();
        let waiting = match known {
            Some(known) => {
                let envelope = joined(&known.envelope, &judged.envelope)?;
                if envelope == known.envelope {
                    return Ok(known);
                }
                Waiting { envelope, ..known }
            }
            None => self.fresh(judged, owner)?,
        };
        self.files.write(&id, &waiting)?;
        locked(&self.waiting).insert(id, waiting.clone());
        Ok(waiting)
    }

    fn fresh(&self, judged: Judged, owner: &str) -> Result<Waiting, ProposalError> {
        if let Some(refused) = judged.names_itself {
            return Err(refused.into());
        }
        let signatures = judged.envelope.signatures().iter();
        let waiting = Waiting {
            charged: signatures.map(|signature| signature.keyid).collect(),
            envelope: judged.envelope,
            document: judged.document,
            environment: judged.environment,
            place: judged.place,
            owner: owner.into(),
            expires: (self.clock)().saturating_add(self.wait_seconds),
        };
        self.has_room(&waiting)?;
        Ok(waiting)
    }

    fn has_room(&self, fresh: &Waiting) -> Result<(), ProposalError> {
        let all = locked(&self.waiting);
        let limits = &self.limits;
        let sum = |signer: Option<&KeyId>| {
            let theirs = |it: &&Waiting| {
                signer.is_none_or(|signer| it.charged.iter().any(|by| by == signer))
            };
            let sizes = all.values().filter(theirs).map(Waiting::bytes);
            sizes.fold((0_usize, 0_usize), |(number, bytes), size| {
                (number.saturating_add(1), bytes.saturating_add(size))
            })
        };
        let over = |(number, bytes): (usize, usize), (number_max, bytes_max): (usize, usize)| {
            number >= number_max || bytes.saturating_add(fresh.bytes()) > bytes_max
        };
        for signer in &fresh.charged {
            let (number, bytes) = sum(Some(signer));
            let share = (limits.signer_number_max, limits.signer_bytes_max);
            if over((number, bytes), share) {
                let signer = *signer;
                return Err(ProposalError::Share {
                    signer,
                    number,
                    bytes,
                });
            }
        }
        let (number, bytes) = sum(None);
        if over((number, bytes), (limits.number_max, limits.bytes_max)) {
            return Err(ProposalError::Full { number, bytes });
        }
        Ok(())
    }

    /// The proposal whose id begins with some digits, of those that `visible` lets pass.
    pub(crate) fn find(
        &self,
        digits: &str,
        visible: impl Fn(&Waiting) -> bool,
    ) -> Result<(Sha256, Waiting), ProposalError> {
        let id = || digits.chars().take(64).collect::<String>();
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if !(ID_DIGITS_MIN..=64).contains(&digits.len()) || !digits.bytes().all(hex) {
            return Err(ProposalError::Id { id: id() });
        }
        let now = (self.clock)();
        let all = locked(&self.waiting);
        let shown = all.iter().filter(|(_, it)| it.expires > now && visible(it));
        let mut found: Vec<_> = shown
            .filter(|(id, _)| id.to_string().starts_with(digits))
            .collect();
        match (found.pop(), found.len()) {
            (None, _) => Err(ProposalError::Absent { id: id() }),
            (Some((id, waiting)), 0) => Ok((*id, waiting.clone())),
            (Some(_), more) => Err(ProposalError::Ambiguous {
                id: id(),
                found: more.saturating_add(1),
            }),
        }
    }

    /// Whether nothing waits: what most appends meet.
    pub(crate) fn is_empty(&self) -> bool {
        locked(&self.waiting).is_empty()
    }

    /// A proposal by its whole id.
    pub(crate) fn get(&self, id: &Sha256) -> Option<Waiting> {
        let waiting = locked(&self.waiting).get(id).cloned()?;
        (waiting.expires > (self.clock)()).then_some(waiting)
    }

    /// What waits, by id, from the one after an id on.
    pub(crate) fn after(
        &self,
        id: Option<Sha256>,
        number_max: usize,
        visible: impl Fn(&Waiting) -> bool,
    ) -> Vec<(Sha256, Waiting)> {
        let now = (self.clock)();
        let from = id.map_or(Bound::Unbounded, Bound::Excluded);
        let all = locked(&self.waiting);
        let rest = all.range((from, Bound::Unbounded));
        let shown = rest.filter(|(_, it)| it.expires > now && visible(it));
        let shown = shown.map(|(id, waiting)| (*id, waiting.clone()));
        shown.take(number_max).collect()
    }

    /// Drops what expired, and what `taken` says was overtaken. Waits for the disk.
    pub(crate) fn sweep(&self, taken: impl Fn(&Place) -> bool) {
        let now = (self.clock)();
        let gone: Vec<Sha256> = {
            let all = locked(&self.waiting);
            let gone = all
                .iter()
                .filter(|(_, it)| it.expires <= now || taken(&it.place));
            gone.map(|(id, _)| *id).collect()
        };
        for id in gone {
            self.remove(&id);
        }
    }

    /// Drops a proposal that whoever left it wants gone. Waits for the disk.
    pub(crate) fn withdraw(&self, id: &Sha256) -> Result<(), ProposalError> {
        let _writing = locked(&self.writing);
        self.files.erase(id)?;
        locked(&self.waiting).remove(id);
        Ok(())
    }

    /// Drops a proposal that is of no use any more. Waits for the disk.
    pub(crate) fn remove(&self, id: &Sha256) {
        let _writing = locked(&self.writing);
        locked(&self.waiting).remove(id);
        self.files.remove(id);
    }

    /// Under what names the uploads are staged that waiting proposals may name.
    pub(crate) fn owners(&self) -> Vec<Arc<str>> {
        let all = locked(&self.waiting);
        let mut owners: Vec<_> = all.values().map(|it| Arc::clone(&it.owner)).collect();
        owners.sort_unstable();
        owners.dedup();
        owners
    }
}

/// Both envelopes' signatures, one of each key: the one that came first.
fn joined(known: &Envelope, sent: &Envelope) -> Result<Envelope, RuleError> {
    let mut signatures = known.signatures().to_vec();
    for signature in sent.signatures() {
        if !signatures.iter().any(|it| it.keyid == signature.keyid) {
            signatures.push(signature.clone());
        }
    }
    let joined = Envelope::join(known.payload().to_vec(), signatures);
    joined.map_err(|error| RuleError::Entry(EntryError::Envelope(error)))
}
