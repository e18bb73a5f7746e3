//! Where documents lie, in RAM: some 45 bytes a document.
//!
//! Invariant: what was added is found, by its whole id. Two ids with one hash are told apart.

use std::hash::{BuildHasher as _, RandomState};

use cairn_proto::hash::DocumentId;

/// Where a document lies in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DocumentPlace {
    /// The record.
    pub(crate) position: u64,
    /// Which of its documents.
    pub(crate) ordinal: u32,
}

/// Documents in the order of the journal, and a table of their numbers.
#[derive(Debug, Default)]
pub(crate) struct DocumentIndex {
    ids: Vec<DocumentId>,
    /// Of each record that has any: its position, the number of its first one.
    records: Vec<(u64, usize)>,
    /// Open addressing; 0 is empty, else a number plus one. At most three quarters are full.
    table: Vec<u32>,
    /// Keyed, so that nobody can choose ids that fall in one place.
    hasher: RandomState,
}

impl DocumentIndex {
    /// Where a document lies.
    pub(crate) fn place(&self, id: &DocumentId) -> Option<DocumentPlace> {
        if self.table.is_empty() {
            return None;
        }
        let number = self.number_at(self.slot(id))?;
        let after = self.records.partition_point(|(_, first)| *first <= number);
        let (position, first) = self.records.get(after.checked_sub(1)?)?;
        Some(DocumentPlace {
            position: *position,
            ordinal: u32::try_from(number - first).ok()?,
        })
    }

    /// Adds the documents of a record, in their order. One that is here already keeps its
    /// first place.
    pub(crate) fn add(&mut self, position: u64, ids: impl IntoIterator<Item = DocumentId>) {
        self.records.push((position, self.ids.len()));
        for id in ids {
            if (self.ids.len() + 1) * 4 > self.table.len() * 3 {
                self.grow();
            }
            let slot = self.slot(&id);
            self.ids.push(id);
            let number = u32::try_from(self.ids.len()).unwrap_or(0);
            if let Some(entry) = self.table.get_mut(slot)
                && *entry == 0
            {
                *entry = number;
            }
        }
    }

    fn number_at(&self, slot: usize) -> Option<usize> {
        let entry = *self.table.get(slot)?;
        usize::try_from(entry).ok()?.checked_sub(1)
    }

    /// The slot of an id, or the empty one where it belongs.
    fn slot(&self, id: &DocumentId) -> usize {
        let mask = self.table.len().wrapping_sub(1);
        let hash = self.hasher.hash_one(id.as_bytes());
        let mut slot = usize::try_from(hash & mask as u64).unwrap_or_default();
        while let Some(number) = self.number_at(slot) {
            if self.ids.get(number) == Some(id) {
                break;
            }
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn grow(&mut self) {
        self.table = vec![0; (self.table.len() * 2).max(64)];
        for number in 0..self.ids.len() {
            let Some(id) = self.ids.get(number).copied() else {
                return;
            };
            let slot = self.slot(&id);
            if let Some(entry) = self.table.get_mut(slot)
                && *entry == 0
            {
                *entry = u32::try_from(number + 1).unwrap_or(0);
            }
        }
    }
}
