//! Cosignatures of auditors and witnesses: which head is on offer for auditors, and which heads
//! were cosigned by whom.
//!
//! Cosigning takes an auditor minutes, and the log goes on meanwhile. So one head at a time is on
//! offer, with the map under it, until all have cosigned it or too long has passed, and may be
//! cosigned for some time after. Witnesses are asked (`witnessing`), and take moments; what goes
//! on offer is a head that some of them signed, where there are any, so that one head has both.
//! Heads that were cosigned are kept, to be answered from, until a later one was cosigned by the
//! same and perhaps more. So whoever asks for some of them gets the newest that those signed, and
//! one that stops holds up only those who insist on it.
//!
//! Out of scope: what a cosignature is worth (the client pins whom it believes). What is here is
//! lost at a restart; auditors that follow the log, and witnesses, sign again.

mod known;

use std::{
    sync::{Arc, RwLock},
    time::Duration,
};

use bytes::Bytes;
use cairn_proto::{
    checkpoint::SignedCheckpoint,
    hash::{NodeHash, TreeSize},
    limits::FUTURE_SECONDS_MAX,
    merkle::prove_consistency,
    note::VerifierKey,
    trust::{Cosigners, CosignersError},
};

use super::{Head, Ledger, Refusal, reading, writing};
use crate::clock;
use known::{Kind, Known, Place};

/// Offers that may still be cosigned: a slow auditor finishes what it began.
const OFFERS_MAX: usize = 8;
/// Heads that are kept, each with the rows of the map that changed since.
const HEADS_MAX: usize = 16;
/// How long a head waits for the lines of slow witnesses, and how many wait.
const YOUNG: Duration = Duration::from_secs(15);
const YOUNG_MAX: usize = 64;
/// How long the others have at least, after the first auditor.
const GRACE: Duration = Duration::from_secs(10);
/// How long a head is on offer if nobody cosigns it.
const OFFER: Duration = Duration::from_mins(10);
/// How long a head that witnesses signed is put on offer before a newer one: they sign again and
/// again, so one that none signed for so long is all that is left of witnesses that are gone.
const WITNESSED: Duration = Duration::from_mins(1);
/// Bytes of a signature line: a name of 255 and a signature.
const LINE_BYTES_MAX: usize = 512;

/// Who must have cosigned the head of an answer: keys, and how many of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) auditors: (&'a [[u8; 32]], usize),
    pub(crate) witnesses: (&'a [[u8; 32]], usize),
}

impl Wanted<'_> {
    fn is_nobody(&self) -> bool {
        self.auditors.1 == 0 && self.witnesses.1 == 0
    }
}

#[derive(Debug, Default)]
struct State {
    auditors: Vec<VerifierKey>,
    witnesses: Vec<VerifierKey>,
    /// Oldest first, one of a size.
    known: Vec<Known>,
    /// The largest size that was ever offered: an offer never goes back.
    floor: TreeSize,
}

impl State {
    fn key(&self, place: &Place) -> Option<&VerifierKey> {
        match place.kind {
            Kind::Auditor => self.auditors.get(place.number),
            Kind::Witness => self.witnesses.get(place.number),
        }
    }

    /// Which of ours a key is.
    fn place(&self, key: &VerifierKey) -> Option<Place> {
        let of = |kind, keys: &[VerifierKey]| {
            let number = keys.iter().position(|known| known == key)?;
            Some(Place { kind, number })
        };
        of(Kind::Witness, &self.witnesses).or_else(|| of(Kind::Auditor, &self.auditors))
    }

    /// What is known of a head, from now on.
    fn entry(&mut self, head: &Arc<Head>) -> &mut Known {
        let size = head.size();
        let at = self.known.partition_point(|known| known.size() < size);
        if self.known.get(at).is_none_or(|known| known.size() != size) {
            self.known.insert(at, Known::of(head.clone()));
        }
        &mut self.known[at]
    }

    /// Drops what says nothing that a later one does not say, and nobody is at work on.
    fn prune(&mut self) {
        let offers = self.known.iter().filter(|known| known.is_offered()).count();
        let mut surplus = offers.saturating_sub(OFFERS_MAX);
        for known in &mut self.known {
            if surplus > 0 && known.is_offered() {
                known.withdraw();
                surplus -= 1;
            }
        }
        let mut needed: Vec<Known> = Vec::new();
        let mut young: Vec<Known> = Vec::new();
        for known in self.known.drain(..).rev() {
            // One later head must say all of it: two that say half each are no quorum.
            let said = needed.iter().any(|later| later.says_all_of(&known));
            if known.is_offered() || !said {
                needed.push(known);
            } else if known.is_young(YOUNG) {
                young.push(known);
            }
        }
        needed.truncate(HEADS_MAX);
        young.truncate(YOUNG_MAX);
        needed.append(&mut young);
        needed.sort_by_key(Known::size);
        self.known = needed;
    }

    /// The newest head that all who are wanted signed.
    fn newest(&self, wanted: &Wanted<'_>) -> Option<&Known> {
        let enough = |known: &Known, kind: Kind, (keys, quorum): (&[[u8; 32]], usize)| {
            let places = known.places().filter(|place| place.kind == kind);
            let signers = places.filter_map(|place| self.key(place));
            let counted = signers.filter(|key| keys.contains(key.key().as_bytes()));
            counted.count() >= quorum
        };
        self.known.iter().rev().find(|known| {
            enough(known, Kind::Auditor, wanted.auditors)
                && enough(known, Kind::Witness, wanted.witnesses)
        })
    }
}

/// What auditors and witnesses said.
#[derive(Debug, Default)]
pub(super) struct Cosigning(RwLock<State>);

fn malformed(why: &str) -> Refusal {
    Refusal::Cosignature {
        why: why.to_owned(),
    }
}

impl Ledger {
    /// From now on cosignatures of these auditors and witnesses are kept.
    pub fn collect(
        &self,
        auditors: Vec<VerifierKey>,
        witnesses: Vec<VerifierKey>,
    ) -> Result<(), CosignersError> {
        let mut trust = self.trust().clone().alone();
        if !auditors.is_empty() {
            trust = trust.with_auditors(Cosigners::new(auditors, 1)?)?;
        }
        if !witnesses.is_empty() {
            trust = trust.with_witnesses(Cosigners::new(witnesses, 1)?)?;
        }
        let mut state = writing(&self.shared.cosigning.0);
        state.auditors = trust.auditors().keys().to_vec();
        state.witnesses = trust.witnesses().keys().to_vec();
        Ok(())
    }

    /// The note on offer.
    pub(crate) fn offer(&self) -> Result<Bytes, Refusal> {
        if self.shared.is_halted() {
            return Err(Refusal::NotSigning);
        }
        let newest = self.head();
        let mut state = writing(&self.shared.cosigning.0);
        let auditors = state.auditors.len();
        let mut known = state.known.iter().rev();
        let floor = state.floor;
        let witnessed = known.find(|it| it.size() >= floor && it.is_witnessed_within(WITNESSED));
        let next = witnessed.map_or(newest, |known| known.head().clone());
        let offered = state.known.iter().rev().find(|known| known.is_offered());
        let standing = offered.filter(|it| it.size() == next.size() || !it.is_done(auditors));
        if let Some(standing) = standing {
            return Ok(standing.head().note.clone());
        }
        state.floor = next.size();
        state.entry(&next).offer();
        state.prune();
        Ok(next.note.clone())
    }

    /// Takes an auditor's line for a head on offer; answers how many auditors there are now.
    pub(crate) fn cosign(&self, note: &[u8], line: &[u8]) -> Result<usize, Refusal> {
        let one_line = line.len() <= LINE_BYTES_MAX
            && line.iter().position(|byte| *byte == b'\n') == line.len().checked_sub(1);
        let line = std::str::from_utf8(line).ok().filter(|_| one_line);
        let line = line.ok_or_else(|| malformed("it is not one line of a note"))?;
        let claimed =
            SignedCheckpoint::parse(note).map_err(|error| malformed(&error.to_string()))?;
        let mut state = writing(&self.shared.cosigning.0);
        let mut offers = state.known.iter().rev().filter_map(|known| {
            let own = SignedCheckpoint::parse(&known.head().note).ok()?;
            (known.is_offered() && own.text() == claimed.text())
                .then(|| (known.head().clone(), own))
        });
        let (head, own) = offers.next().ok_or(Refusal::NotOffered)?;
        let signed = own
            .with_line(line)
            .map_err(|error| malformed(&error.to_string()))?;
        let (number, time) = state
            .auditors
            .iter()
            .enumerate()
            .find_map(|(number, key)| match signed.cosigned_by(key) {
                Ok(Some(time)) => Some((number, time)),
                _ => None,
            })
            .ok_or_else(|| malformed("it is no cosignature of an auditor known here"))?;
        if time > clock::now() + FUTURE_SECONDS_MAX {
            return Err(malformed("its time lies ahead"));
        }
        let kind = Kind::Auditor;
        let known = state.entry(&head);
        known.take(Place { kind, number }, line);
        let count = known.of_kind(kind);
        state.prune();
        Ok(count)
    }

    /// Keeps a line that a witness was asked for, and that was found to be its own.
    pub(crate) fn witnessed(&self, head: &Arc<Head>, key: &VerifierKey, line: &str) {
        let mut state = writing(&self.shared.cosigning.0);
        if let Some(place) = state.place(key) {
            state.entry(head).take(place, line);
            state.prune();
        }
    }

    /// What a witness needs that cosigned `old` leaves last; `None` if that is no size below.
    pub(crate) fn consistency_of(&self, old: TreeSize, head: &Head) -> Option<Vec<NodeHash>> {
        if old.0 == 0 || old == head.size() {
            return Some(Vec::new());
        }
        prove_consistency(&*reading(&self.shared.tree), old, head.size())
    }

    /// The newest note, with all lines that there are for it.
    pub(crate) fn signed_note(&self) -> Bytes {
        let head = self.head();
        let state = reading(&self.shared.cosigning.0);
        let known = state.known.iter().find(|it| it.size() == head.size());
        known.map_or_else(|| head.note.clone(), |known| known.note(&head.note))
    }

    /// The newest head that all who are wanted cosigned, its note with their lines; the newest of
    /// all where there is none, with what lines there are.
    pub(super) fn cosigned_head(&self, wanted: &Wanted<'_>) -> Arc<Head> {
        let newest = self.head();
        if wanted.is_nobody() {
            return newest;
        }
        let state = reading(&self.shared.cosigning.0);
        let same = |known: &&Known| known.size() == newest.size();
        let Some(known) = state
            .newest(wanted)
            .or_else(|| state.known.iter().find(same))
        else {
            return newest;
        };
        // The newest note of that size has the newest time.
        let base = if same(&known) { &newest } else { known.head() };
        Arc::new(Head {
            note: known.note(&base.note),
            ..(**base).clone()
        })
    }
}
