//! Up to 12 rows that stand next to each other in the map, and the trie over them.
//!
//! The rows lie in the order of their keys in one piece, which is copied whole: that costs less
//! than to follow and to count a pointer for each node. A fork of the trie over `n` rows stands
//! between two neighbours, at the first bit in which these differ; the uppermost one is that of
//! the least bit, the others follow alike on both sides of it.

use std::{iter, mem, sync::Arc};

use super::{EMPTY, bit_of, inner_node, leaf_node};
use crate::{hash::MapKey, row::Row};

/// Rows that a page holds at most.
const MOST: usize = 12;

/// A row, and the fork between it and the next one of its page.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) key: MapKey,
    pub(super) row: Row,
    leaf: [u8; 32],
    /// First bit in which the next key differs; means nothing in the last slot.
    bit: u8,
    /// The fork's hash; `None` since something below it changed.
    fork: Option<[u8; 32]>,
}

impl Slot {
    pub(super) fn new(key: MapKey, row: Row) -> Self {
        let leaf = leaf_node(&key, &row.hash());
        Self {
            key,
            row,
            leaf,
            bit: 0,
            fork: None,
        }
    }
}

/// One row at least.
#[derive(Debug, Clone)]
pub(super) struct Page(Arc<[Slot]>);

/// The uppermost fork over these rows: how many are on its left, the last of which keeps it, and
/// its bit. `None` over one row.
fn fork(slots: &[Slot]) -> Option<(usize, u8)> {
    let (_, forks) = slots.split_last()?;
    let bits = (1..).zip(forks.iter().map(|slot| slot.bit));
    bits.min_by_key(|(_, bit)| *bit)
}

/// Fills in the hashes of these rows' forks, of which there are less than a page has rows.
fn settle(slots: &mut [Slot]) -> [u8; 32] {
    if let Some(hash) = settled(slots) {
        return hash;
    }
    let Some((at, bit)) = fork(slots) else {
        return EMPTY.0;
    };
    let (left, right) = slots.split_at_mut(at);
    let hash = inner_node(bit, &settle(left), &settle(right));
    if let Some(keeper) = left.last_mut() {
        keeper.fork = Some(hash);
    }
    hash
}

/// The hash of the trie over these rows, if it is known.
fn settled(slots: &[Slot]) -> Option<[u8; 32]> {
    match fork(slots) {
        None => Some(slots.first()?.leaf),
        Some((at, _)) => slots.split_at(at).0.last()?.fork,
    }
}

/// The row that the key's bits lead to, as one whose forks all have to be hashed anew.
fn touch<'a>(mut slots: &'a mut [Slot], key: &MapKey) -> Option<&'a mut Slot> {
    while let Some((at, bit)) = fork(slots) {
        let (left, right) = slots.split_at_mut(at);
        if let Some(keeper) = left.last_mut() {
            keeper.fork = None;
        }
        slots = if bit_of(key, bit) { right } else { left };
    }
    slots.first_mut()
}

impl Page {
    pub(super) fn of(slot: Slot) -> Self {
        Self(Arc::from([slot]))
    }

    /// The row that the key's bits lead to.
    pub(super) fn nearest(&self, key: &MapKey) -> Option<&Slot> {
        let mut slots = &*self.0;
        while let Some((at, bit)) = fork(slots) {
            let (left, right) = slots.split_at(at);
            slots = if bit_of(key, bit) { right } else { left };
        }
        slots.first()
    }

    /// Adds the steps down to the row that the key's bits lead to. `None` if a hash is not known.
    pub(super) fn prove(&self, key: &MapKey, steps: &mut Vec<(u8, [u8; 32])>) -> Option<&Slot> {
        let mut slots = &*self.0;
        while let Some((at, bit)) = fork(slots) {
            let (left, right) = slots.split_at(at);
            let (next, sibling) = if bit_of(key, bit) {
                (right, left)
            } else {
                (left, right)
            };
            steps.push((bit, settled(sibling)?));
            slots = next;
        }
        slots.first()
    }

    /// The hash of the page's trie.
    pub(super) fn settle(&mut self) -> [u8; 32] {
        settled(&self.0).unwrap_or_else(|| settle(Arc::make_mut(&mut self.0)))
    }

    /// Puts a row in its place. `critical` is the first bit in which its key differs from the
    /// nearest one; `None` replaces that one.
    pub(super) fn put(&mut self, slot: Slot, critical: Option<u8>) {
        let key = slot.key;
        if let Some(bit) = critical {
            self.0 = self.with(slot, bit);
        }
        if let Some(place) = touch(Arc::make_mut(&mut self.0), &key) {
            (place.row, place.leaf) = (slot.row, slot.leaf);
        }
    }

    /// These rows and one more, which parts at `bit` from those that it has all bits before in
    /// common with: it stands next to them, on the side that the bit says.
    fn with(&self, mut slot: Slot, bit: u8) -> Arc<[Slot]> {
        let right = bit_of(&slot.key, bit);
        let (before, after) = self.0.split_at(self.edge(&slot.key, bit, right));
        let mut left = before.last().copied();
        slot.bit = bit;
        if let Some(keeper) = left.as_mut().filter(|_| right) {
            slot.bit = mem::replace(&mut keeper.bit, bit);
        }
        let before = before.split_last().map_or(before, |(_, others)| others);
        let added = left.into_iter().chain(iter::once(slot));
        let before = before.iter().copied().chain(added);
        before.chain(after.iter().copied()).collect()
    }

    /// Where those rows begin, or end, that have all bits before `bit` in common with the key.
    fn edge(&self, key: &MapKey, bit: u8, end: bool) -> usize {
        let (mut slots, mut start) = (&*self.0, 0_usize);
        while let Some((at, next)) = fork(slots).filter(|(_, next)| *next < bit) {
            let (left, right) = slots.split_at(at);
            if bit_of(key, next) {
                (slots, start) = (right, start.saturating_add(at));
            } else {
                slots = left;
            }
        }
        start.saturating_add(if end { slots.len() } else { 0 })
    }

    /// The two parts of a page that has become too large, and the bit that parts them.
    pub(super) fn split(&self) -> Option<(u8, Self, Self)> {
        let (at, bit) = fork(&self.0).filter(|_| self.0.len() > MOST)?;
        let (left, right) = self.0.split_at(at);
        Some((bit, Self(left.into()), Self(right.into())))
    }
}
