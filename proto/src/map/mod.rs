//! The map: a Merkle crit-bit trie whose root is a function of its rows alone, and the
//! proofs that a name has a row, or has none. SPEC.md section 8.
//!
//! The trie is kept in two parts: its ends as pages of up to 12 rows in the order of their
//! keys, what is above them as nodes. Both are shared between versions: a clone is a snapshot
//! and costs one pointer; an insert copies what a snapshot still holds, one page and the nodes
//! above it. Rows are noted when they are set, and put in with their hashes when the root is
//! asked for: in the order of their keys, so that a batch copies and hashes each touched node
//! once, and for a large batch both halves of the map at a time, since putting rows in is
//! waiting for memory. Nothing outside this module knows how nodes are kept.

mod page;
mod proof;

use std::{
    collections::BTreeMap,
    mem, panic,
    sync::Arc,
    thread::{self, ScopedJoinHandle},
};

use crate::{
    hash::{MapKey, MapRoot, RowHash},
    row::Row,
};

use page::{Page, Slot};
pub use proof::{MapProof, MapProofError};

const EMPTY: MapRoot = MapRoot([0; 32]);

/// Rows that are noted at most before they are put in.
const NOTED: usize = 4_096;

/// Rows from which on a second thread costs less than it saves.
const LARGE: usize = 128;

fn leaf_node(key: &MapKey, row: &RowHash) -> [u8; 32] {
    let mut bytes = [0; 65];
    bytes[1..33].copy_from_slice(key.as_bytes());
    bytes[33..].copy_from_slice(row.as_bytes());
    *blake3::hash(&bytes).as_bytes()
}

fn inner_node(bit: u8, left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut bytes = [1; 66];
    bytes[1] = bit;
    bytes[2..34].copy_from_slice(left);
    bytes[34..].copy_from_slice(right);
    *blake3::hash(&bytes).as_bytes()
}

/// Bit 0 is the most significant bit of byte 0.
fn bit_of(key: &MapKey, bit: u8) -> bool {
    let byte = key.0.get(usize::from(bit >> 3)).copied().unwrap_or(0);
    byte.wrapping_shl(u32::from(bit & 7)) & 0x80 != 0
}

/// First bit in which two keys differ.
fn critical_bit(left: &MapKey, right: &MapKey) -> Option<u8> {
    let mut pairs = left.0.iter().zip(&right.0).enumerate();
    let (byte, (a, b)) = pairs.find(|(_, (a, b))| a != b)?;
    let bit = u32::try_from(byte)
        .ok()?
        .checked_mul(8)?
        .checked_add((a ^ b).leading_zeros())?;
    u8::try_from(bit).ok()
}

/// A node that tests one bit of a key.
#[derive(Debug, Clone)]
struct Fork {
    bit: u8,
    left: Branch,
    right: Branch,
}

/// What hangs below a fork, or is the whole map. The hash is kept here, beside its sibling's,
/// so that neither hashing nor copying a fork reads what it does not touch.
#[derive(Debug, Clone)]
struct Branch {
    /// `None` since something below changed.
    hash: Option<[u8; 32]>,
    node: Node,
}

#[derive(Debug, Clone)]
enum Node {
    Page(Page),
    Fork(Arc<Fork>),
}

impl Fork {
    /// [`Branch::put_all`] for a fork of bit 0, on both sides at a time.
    fn put_halves(&mut self, rows: &[(MapKey, Row)]) -> u64 {
        let (left, right) = rows.split_at(rows.partition_point(|(key, _)| !bit_of(key, 0)));
        let (elsewhere, here) = thread::scope(|scope| {
            let elsewhere = thread::Builder::new().spawn_scoped(scope, || self.left.put_all(left));
            let here = self.right.put_all(right);
            (elsewhere.ok().map(ScopedJoinHandle::join), here)
        });
        let elsewhere = match elsewhere {
            Some(joined) => joined.unwrap_or_else(|panic| panic::resume_unwind(panic)),
            // There is no thread to be had.
            None => self.left.put_all(left),
        };
        here.saturating_add(elsewhere)
    }
}

impl From<Page> for Branch {
    fn from(page: Page) -> Self {
        let node = Node::Page(page);
        Self { hash: None, node }
    }
}

impl Node {
    fn fork(bit: u8, left: Branch, right: Branch) -> Self {
        Self::Fork(Arc::new(Fork { bit, left, right }))
    }

    /// The page that the key's bits lead to.
    fn page(&self, key: &MapKey) -> &Page {
        let mut node = self;
        loop {
            match node {
                Self::Page(page) => return page,
                Self::Fork(fork) => {
                    let right = bit_of(key, fork.bit);
                    node = if right {
                        &fork.right.node
                    } else {
                        &fork.left.node
                    };
                }
            }
        }
    }
}

impl Branch {
    /// Fills in the hashes below. Recursion is bounded by the 256 bits of a key.
    fn settle(&mut self) -> [u8; 32] {
        if let Some(hash) = self.hash {
            return hash;
        }
        let hash = match &mut self.node {
            Node::Page(page) => page.settle(),
            Node::Fork(fork) => {
                let fork = Arc::make_mut(fork);
                inner_node(fork.bit, &fork.left.settle(), &fork.right.settle())
            }
        };
        self.hash = Some(hash);
        hash
    }

    /// Puts rows in, in the order of their keys, fills in the hashes, and says how many of the
    /// keys are new.
    fn put_all(&mut self, rows: &[(MapKey, Row)]) -> u64 {
        if let Node::Fork(fork) = &mut self.node
            && fork.bit == 0
            && rows.len() >= LARGE
        {
            let added = Arc::make_mut(fork).put_halves(rows);
            self.hash = None;
            self.settle();
            return added;
        }
        let mut added = 0_u64;
        for (key, row) in rows {
            let nearest = self.node.page(key).nearest(key);
            let critical = nearest.and_then(|nearest| critical_bit(&nearest.key, key));
            added = added.saturating_add(u64::from(critical.is_some()));
            self.put(Slot::new(*key, *row), critical);
        }
        self.settle();
        added
    }

    /// Puts a row where its bits lead. `critical` is the first bit in which its key differs
    /// from the nearest one; `None` replaces that one.
    fn put(&mut self, slot: Slot, critical: Option<u8>) {
        match (&mut self.node, critical) {
            // It parts from everything below here.
            (Node::Fork(fork), Some(bit)) if bit < fork.bit => {
                let right = bit_of(&slot.key, bit);
                let alone = Self::from(Page::of(slot));
                let other = mem::replace(self, alone.clone());
                let (left, right) = if right {
                    (other, alone)
                } else {
                    (alone, other)
                };
                self.node = Node::fork(bit, left, right);
            }
            (Node::Fork(fork), _) => {
                let fork = Arc::make_mut(fork);
                let right = bit_of(&slot.key, fork.bit);
                let side = if right {
                    &mut fork.right
                } else {
                    &mut fork.left
                };
                side.put(slot, critical);
            }
            (Node::Page(page), _) => {
                page.put(slot, critical);
                if let Some((bit, left, right)) = page.split() {
                    self.node = Node::fork(bit, left.into(), right.into());
                }
            }
        }
        self.hash = None;
    }
}

/// Rows by key, with a root.
#[derive(Debug, Clone, Default)]
pub struct Map {
    root: Option<Branch>,
    rows: u64,
    /// Set, and not put in yet.
    noted: BTreeMap<MapKey, Row>,
    /// Whether a row was set since the root was asked for.
    changed: bool,
}

impl Map {
    /// Number of rows.
    pub fn rows(&self) -> u64 {
        let new = self.noted.keys().filter(|key| self.held(key).is_none());
        new.fold(self.rows, |rows, _| rows.saturating_add(1))
    }

    /// Sets a row.
    pub fn insert(&mut self, key: MapKey, row: Row) {
        self.changed = true;
        self.noted.insert(key, row);
        if self.noted.len() >= NOTED {
            self.put_noted();
        }
    }

    /// The row of a key.
    pub fn get(&self, key: &MapKey) -> Option<&Row> {
        self.noted.get(key).or_else(|| self.held(key))
    }

    /// The same among those that were put in.
    fn held(&self, key: &MapKey) -> Option<&Row> {
        let nearest = self.root.as_ref()?.node.page(key).nearest(key)?;
        (nearest.key == *key).then_some(&nearest.row)
    }

    /// The root; also makes [`Map::prove`] ready for this state.
    pub fn root(&mut self) -> MapRoot {
        self.changed = false;
        self.put_noted()
    }

    /// Puts in what is noted.
    fn put_noted(&mut self) -> MapRoot {
        let mut noted = mem::take(&mut self.noted);
        let first = match &self.root {
            None => noted.pop_first(),
            Some(_) => None,
        };
        if let Some((key, row)) = first {
            self.root = Some(Page::of(Slot::new(key, row)).into());
            self.rows = 1;
        }
        let Some(root) = &mut self.root else {
            return EMPTY;
        };
        let noted: Vec<_> = noted.into_iter().collect();
        self.rows = self.rows.saturating_add(root.put_all(&noted));
        MapRoot(root.settle())
    }

    /// Proves that a key has its row, or that it has none. `None` if a row was set since the
    /// root was last asked for.
    pub fn prove(&self, key: &MapKey) -> Option<MapProof> {
        if self.changed {
            return None;
        }
        let mut steps = Vec::new();
        let Some(root) = self.root.as_ref() else {
            return Some(MapProof {
                steps,
                reached: None,
            });
        };
        let mut node = &root.node;
        loop {
            match node {
                Node::Page(page) => {
                    let reached = page.prove(key, &mut steps)?;
                    let reached = Some((reached.key, reached.row.hash()));
                    return Some(MapProof { steps, reached });
                }
                Node::Fork(fork) => {
                    let (next, sibling) = if bit_of(key, fork.bit) {
                        (&fork.right, &fork.left)
                    } else {
                        (&fork.left, &fork.right)
                    };
                    steps.push((fork.bit, sibling.hash?));
                    node = &next.node;
                }
            }
        }
    }
}
