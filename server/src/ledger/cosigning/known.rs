//! One head, and who cosigned it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cairn_proto::hash::TreeSize;

use super::{GRACE, Head, OFFER};

/// What a cosigner says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// That it recomputed the map.
    Auditor,
    /// That it saw no other history.
    Witness,
}

/// Which of the cosigners of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) kind: Kind,
    pub(super) number: usize,
}

#[derive(Debug, Clone)]
struct Offered {
    since: Instant,
    /// How long the first auditor took.
    first: Option<Duration>,
}

/// A head, and the lines that were added to its note.
#[derive(Debug, Clone)]
pub(super) struct Known {
    head: Arc<Head>,
    lines: BTreeMap<Place, String>,
    offered: Option<Offered>,
    /// When the last witness's line came.
    witnessed: Option<Instant>,
    since: Instant,
}

impl Known {
    pub(super) fn of(head: Arc<Head>) -> Self {
        Self {
            head,
            lines: BTreeMap::new(),
            offered: None,
            witnessed: None,
            since: Instant::now(),
        }
    }

    pub(super) fn head(&self) -> &Arc<Head> {
        &self.head
    }

    pub(super) fn size(&self) -> TreeSize {
        self.head.size()
    }

    /// Whether whoever signed another head signed this one, too.
    pub(super) fn says_all_of(&self, other: &Self) -> bool {
        other
            .lines
            .keys()
            .all(|place| self.lines.contains_key(place))
    }

    /// Whether it is known for no longer than that.
    pub(super) fn is_young(&self, time: Duration) -> bool {
        self.since.elapsed() <= time
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        self.lines.keys()
    }

    /// Cosigners of a kind.
    pub(super) fn of_kind(&self, kind: Kind) -> usize {
        self.places().filter(|place| place.kind == kind).count()
    }

    /// Whether a witness signed it so lately.
    pub(super) fn is_witnessed_within(&self, time: Duration) -> bool {
        self.witnessed.is_some_and(|when| when.elapsed() <= time)
    }

    /// Puts it on offer.
    pub(super) fn offer(&mut self) {
        self.offered = Some(Offered {
            since: Instant::now(),
            first: None,
        });
    }

    pub(super) fn withdraw(&mut self) {
        self.offered = None;
    }

    pub(super) fn is_offered(&self) -> bool {
        self.offered.is_some()
    }

    /// Whether it has been on offer for long enough: until all auditors signed it, or for twice as
    /// long as the first one took, which is time for the others.
    pub(super) fn is_done(&self, auditors: usize) -> bool {
        let Some(offered) = &self.offered else {
            return true;
        };
        let waited = offered.since.elapsed();
        let first = offered.first;
        let first = first.is_some_and(|first| waited >= first * 2 + GRACE);
        self.of_kind(Kind::Auditor) >= auditors || first || waited >= OFFER
    }

    /// A cosigner's line, in the place of its last.
    pub(super) fn take(&mut self, place: Place, line: &str) {
        self.lines.insert(place, line.to_owned());
        if place.kind == Kind::Witness {
            self.witnessed = Some(Instant::now());
        }
        if let (Kind::Auditor, Some(offered)) = (place.kind, &mut self.offered) {
            let waited = offered.since.elapsed();
            offered.first.get_or_insert(waited);
        }
    }

    /// A note of the same head with the lines below.
    pub(super) fn note(&self, base: &Bytes) -> Bytes {
        let mut note = base.to_vec();
        let lines = self.lines.values();
        lines.for_each(|line| note.extend_from_slice(line.as_bytes()));
        note.into()
    }
}
