//! Auditors' cosignatures: which head is on offer for them, and which heads they signed.
//!
//! Cosigning takes an auditor minutes, and the log goes on meanwhile. So one head at a time is on
//! offer, with the map under it, until all have cosigned it or too long has passed, and may be
//! cosigned for some time after; and heads that
//! were cosigned are kept, to be answered from, until a later one was cosigned by the same
//! auditors and perhaps more. So whoever asks for some of them gets the newest that those signed,
//! and an auditor that stops holds up only those who insist on it.
//!
//! Out of scope: what a cosignature is worth (the client pins whom it believes). What is here is
//! lost at a restart; auditors that follow the log sign again.

use std::{
    collections::BTreeMap,
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use cairn_proto::{
    checkpoint::SignedCheckpoint,
    limits::{AUDITORS_MAX, FUTURE_SECONDS_MAX},
    note::VerifierKey,
    trust::{Auditors, AuditorsError},
};

use super::{Head, Ledger, Refusal, commit::now_ms, reading, writing};

/// Offers that may still be cosigned: a slow auditor finishes what it began.
const OFFERS_MAX: usize = 8;
/// Cosigned heads that are kept, each with the rows of the map that changed since.
const HEADS_MAX: usize = 16;
/// How long the others have at least, after the first auditor.
const GRACE: Duration = Duration::from_secs(10);
/// How long a head is on offer if nobody cosigns it.
const OFFER: Duration = Duration::from_mins(10);
/// Bytes of a signature line: a name of 255 and a signature.
const LINE_BYTES_MAX: usize = 512;

/// A head, and the lines that auditors added to its note.
#[derive(Debug, Clone)]
struct Cosigned {
    head: Arc<Head>,
    since: Instant,
    /// How long the first auditor took.
    first: Option<Duration>,
    /// By the auditor's place in the list.
    lines: BTreeMap<usize, String>,
}

#[derive(Debug, Default)]
struct State {
    auditors: Vec<VerifierKey>,
    /// The last one is on offer; whoever began with one before may still finish it.
    offers: Vec<Cosigned>,
    /// Oldest first; of two the older one has an auditor's line that the newer one has not.
    cosigned: Vec<Cosigned>,
}

impl State {
    /// Keeps a head in the place of all that say nothing more.
    fn keep(&mut self, head: Cosigned) {
        self.cosigned.retain(|known| {
            let newer = known.head.size() > head.head.size();
            newer
                || known
                    .lines
                    .keys()
                    .any(|place| !head.lines.contains_key(place))
        });
        let at = self
            .cosigned
            .partition_point(|known| known.head.size() <= head.head.size());
        self.cosigned.insert(at, head);
        if self.cosigned.len() > HEADS_MAX {
            self.cosigned.remove(0);
        }
    }

    /// The newest head that so many of these auditors signed.
    fn newest(&self, keys: &[[u8; 32]], quorum: usize) -> Option<&Cosigned> {
        self.cosigned.iter().rev().find(|cosigned| {
            let signers = cosigned
                .lines
                .keys()
                .filter_map(|place| self.auditors.get(*place));
            let counted = signers.filter(|key| keys.contains(key.key().as_bytes()));
            counted.count() >= quorum
        })
    }
}

/// What auditors said.
#[derive(Debug, Default)]
pub(super) struct Cosigning(RwLock<State>);

impl Cosigned {
    fn of(head: Arc<Head>) -> Self {
        Self {
            head,
            since: Instant::now(),
            first: None,
            lines: BTreeMap::new(),
        }
    }

    /// Whether it has been on offer for long enough: until all signed it, or for twice as long as
    /// the first one took, which is time for the others.
    fn is_done(&self, auditors: usize) -> bool {
        let waited = self.since.elapsed();
        let first = self.first.is_some_and(|first| waited >= first * 2 + GRACE);
        self.lines.len() >= auditors || first || waited >= OFFER
    }

    /// A note of the same head with the lines below.
    fn note(&self, base: &Bytes) -> Bytes {
        let mut note = base.to_vec();
        let lines = self.lines.values();
        lines.for_each(|line| note.extend_from_slice(line.as_bytes()));
        note.into()
    }
}

impl Ledger {
    /// From now on cosignatures of these auditors are taken.
    pub fn collect(&self, auditors: Vec<VerifierKey>) -> Result<(), AuditorsError> {
        let quorum = auditors.len();
        let auditors = Auditors::new(auditors, quorum)?;
        self.trust().clone().with_auditors(auditors.clone())?;
        writing(&self.shared.cosigning.0).auditors = auditors.keys().to_vec();
        Ok(())
    }

    /// The note on offer.
    pub(crate) fn offer(&self) -> Result<Bytes, Refusal> {
        if self.shared.is_halted() {
            return Err(Refusal::NotSigning);
        }
        let newest = self.head();
        let mut state = writing(&self.shared.cosigning.0);
        let all = state.auditors.len();
        let newest_size = newest.size();
        let standing = state.offers.last();
        let stands = standing
            .is_some_and(|offered| offered.head.size() == newest_size || !offered.is_done(all));
        if !stands {
            state.offers.push(Cosigned::of(newest));
            if state.offers.len() > OFFERS_MAX {
                state.offers.remove(0);
            }
        }
        let offered = state.offers.last().ok_or(Refusal::SelfCheck)?;
        let note = offered.head.note.clone();
        Ok(note)
    }

    /// Takes an auditor's line for the head on offer; answers how many there are now.
    pub(crate) fn cosign(&self, note: &[u8], line: &[u8]) -> Result<usize, Refusal> {
        let malformed = |why: &str| Refusal::Cosignature {
            why: why.to_owned(),
        };
        let one_line = line.len() <= LINE_BYTES_MAX
            && line.iter().position(|byte| *byte == b'\n') == line.len().checked_sub(1);
        let line = std::str::from_utf8(line).ok().filter(|_| one_line);
        let line = line.ok_or_else(|| malformed("it is not one line of a note"))?;
        let claimed =
            SignedCheckpoint::parse(note).map_err(|error| malformed(&error.to_string()))?;
        let mut state = writing(&self.shared.cosigning.0);
        let State {
            auditors, offers, ..
        } = &mut *state;
        let mut offers = offers.iter_mut().rev().filter_map(|offered| {
            let own = SignedCheckpoint::parse(&offered.head.note).ok()?;
            (own.text() == claimed.text()).then_some((offered, own))
        });
        let (offered, own) = offers.next().ok_or(Refusal::NotOffered)?;
        let signed = own
            .with_line(line)
            .map_err(|error| malformed(&error.to_string()))?;
        let (place, time) = auditors
            .iter()
            .take(AUDITORS_MAX)
            .enumerate()
            .find_map(|(place, key)| match signed.cosigned_by(key) {
                Ok(Some(time)) => Some((place, time)),
                _ => None,
            })
            .ok_or_else(|| malformed("it is no cosignature of an auditor known here"))?;
        if time > now_ms() / 1_000 + FUTURE_SECONDS_MAX {
            return Err(malformed("its time lies ahead"));
        }
        offered.lines.insert(place, line.to_owned());
        let waited = offered.since.elapsed();
        offered.first.get_or_insert(waited);
        let (offered, count) = (offered.clone(), offered.lines.len());
        state.keep(offered);
        Ok(count)
    }

    /// The newest head that so many of these auditors cosigned, its note with their lines; the
    /// newest of all where there is none.
    pub(super) fn audited_head(&self, keys: &[[u8; 32]], quorum: usize) -> Arc<Head> {
        let newest = self.head();
        let state = reading(&self.shared.cosigning.0);
        let Some(cosigned) = state.newest(keys, quorum) else {
            return newest;
        };
        // The newest note of that size has the newest time.
        let base = if newest.size() == cosigned.head.size() {
            &newest
        } else {
            &cosigned.head
        };
        Arc::new(Head {
            note: cosigned.note(&base.note),
            ..(**base).clone()
        })
    }
}
