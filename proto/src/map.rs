//! The map: a Merkle crit-bit trie whose root is a function of its rows alone, and the
//! proofs that a name has a row, or has none. SPEC.md section 8.
//!
//! Nodes are shared between versions: a clone is a snapshot and costs one pointer; an
//! insert copies what a snapshot still holds. Hashes are filled in when the root is asked
//! for, so that a batch hashes each touched node once.
//! Nothing outside this module knows how nodes are kept.

use std::sync::Arc;

use thiserror::Error;

use crate::{
    hash::{MapKey, MapRoot, RowHash},
    row::{Row, RowName},
};

const EMPTY: MapRoot = MapRoot([0; 32]);

fn leaf_node(key: &MapKey, row: &RowHash) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[0]);
    hasher.update(key.as_bytes());
    hasher.update(row.as_bytes());
    *hasher.finalize().as_bytes()
}

fn inner_node(bit: u8, left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&[1, bit]);
    hasher.update(left);
    hasher.update(right);
    *hasher.finalize().as_bytes()
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

#[derive(Debug, Clone)]
struct Leaf {
    key: MapKey,
    row: Row,
    hash: [u8; 32],
}

#[derive(Debug, Clone)]
struct Inner {
    bit: u8,
    /// `None` since something below changed.
    hash: Option<[u8; 32]>,
    left: Node,
    right: Node,
}

#[derive(Debug, Clone)]
enum Node {
    Leaf(Arc<Leaf>),
    Inner(Arc<Inner>),
}

impl Node {
    fn leaf(key: MapKey, row: Row) -> Self {
        let hash = leaf_node(&key, &row.hash());
        Self::Leaf(Arc::new(Leaf { key, row, hash }))
    }

    /// The hash as of the last [`Node::settle`].
    fn hash(&self) -> Option<[u8; 32]> {
        match self {
            Self::Leaf(leaf) => Some(leaf.hash),
            Self::Inner(inner) => inner.hash,
        }
    }

    /// Fills in the hashes below. Recursion is bounded by the 256 bits of a key.
    fn settle(&mut self) -> [u8; 32] {
        match self {
            Self::Leaf(leaf) => leaf.hash,
            Self::Inner(inner) => {
                if let Some(hash) = inner.hash {
                    return hash;
                }
                let inner = Arc::make_mut(inner);
                let hash = inner_node(inner.bit, &inner.left.settle(), &inner.right.settle());
                inner.hash = Some(hash);
                hash
            }
        }
    }

    /// The leaf that the key's bits lead to.
    fn nearest(&self, key: &MapKey) -> &Leaf {
        let mut node = self;
        loop {
            match node {
                Self::Leaf(leaf) => return leaf,
                Self::Inner(inner) => {
                    node = if bit_of(key, inner.bit) {
                        &inner.right
                    } else {
                        &inner.left
                    };
                }
            }
        }
    }

    /// Puts a leaf where its bits lead. `critical` is the first bit in which its key differs
    /// from the nearest one; `None` replaces that one.
    fn put(&mut self, leaf: Node, key: &MapKey, critical: Option<u8>) {
        match self {
            Self::Inner(inner) if critical.is_none_or(|bit| inner.bit < bit) => {
                let inner = Arc::make_mut(inner);
                inner.hash = None;
                let side = if bit_of(key, inner.bit) {
                    &mut inner.right
                } else {
                    &mut inner.left
                };
                side.put(leaf, key, critical);
            }
            _ => match critical {
                None => *self = leaf,
                Some(bit) => {
                    let other = self.clone();
                    let (left, right) = if bit_of(key, bit) {
                        (other, leaf)
                    } else {
                        (leaf, other)
                    };
                    let hash = None;
                    *self = Self::Inner(Arc::new(Inner {
                        bit,
                        hash,
                        left,
                        right,
                    }));
                }
            },
        }
    }
}

/// Rows by key, with a root.
#[derive(Debug, Clone, Default)]
pub struct Map {
    root: Option<Node>,
    rows: u64,
}

impl Map {
    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Sets a row.
    pub fn insert(&mut self, key: MapKey, row: Row) {
        let leaf = Node::leaf(key, row);
        match &mut self.root {
            None => {
                self.root = Some(leaf);
                self.rows = 1;
            }
            Some(root) => {
                let critical = critical_bit(&root.nearest(&key).key, &key);
                if critical.is_some() {
                    self.rows = self.rows.saturating_add(1);
                }
                root.put(leaf, &key, critical);
            }
        }
    }

    /// The row of a key.
    pub fn get(&self, key: &MapKey) -> Option<&Row> {
        let leaf = self.root.as_ref()?.nearest(key);
        (leaf.key == *key).then_some(&leaf.row)
    }

    /// The root; also makes [`Map::prove`] ready for this state.
    pub fn root(&mut self) -> MapRoot {
        self.root
            .as_mut()
            .map_or(EMPTY, |root| MapRoot(root.settle()))
    }

    /// Proves that a key has its row, or that it has none. `None` if a row was set since the
    /// root was last asked for.
    pub fn prove(&self, key: &MapKey) -> Option<MapProof> {
        let mut steps = Vec::new();
        let Some(mut node) = self.root.as_ref() else {
            return Some(MapProof {
                steps,
                reached: None,
            });
        };
        loop {
            match node {
                Node::Leaf(leaf) => {
                    let reached = Some((leaf.key, leaf.row.hash()));
                    return Some(MapProof { steps, reached });
                }
                Node::Inner(inner) => {
                    let (next, sibling) = if bit_of(key, inner.bit) {
                        (&inner.right, &inner.left)
                    } else {
                        (&inner.left, &inner.right)
                    };
                    steps.push((inner.bit, sibling.hash()?));
                    node = next;
                }
            }
        }
    }
}

/// The path to the leaf that a key leads to, and that leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapProof {
    steps: Vec<(u8, [u8; 32])>,
    reached: Option<(MapKey, RowHash)>,
}

/// The bytes do not prove what the map says of the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the map proof does not hold")]
pub struct MapProofError;

impl MapProof {
    /// The binary encoding of SPEC.md section 8.3.
    pub fn encode(&self) -> Vec<u8> {
        let count = u16::try_from(self.steps.len()).unwrap_or(u16::MAX);
        let mut bytes = count.to_be_bytes().to_vec();
        for (bit, sibling) in &self.steps {
            bytes.push(*bit);
            bytes.extend_from_slice(sibling);
        }
        match &self.reached {
            None => bytes.push(0),
            Some((key, row)) => {
                bytes.push(1);
                bytes.extend_from_slice(key.as_bytes());
                bytes.extend_from_slice(row.as_bytes());
            }
        }
        bytes
    }

    /// Decodes; bit indices strictly increase, so that there are at most 256 steps.
    pub fn decode(bytes: &[u8]) -> Result<Self, MapProofError> {
        let (count, mut rest) = bytes.split_first_chunk::<2>().ok_or(MapProofError)?;
        let mut steps: Vec<(u8, [u8; 32])> = Vec::new();
        for _ in 0..u16::from_be_bytes(*count) {
            let ([bit, sibling @ ..], tail) =
                rest.split_first_chunk::<33>().ok_or(MapProofError)?;
            if steps.last().is_some_and(|(last, _)| last >= bit) {
                return Err(MapProofError);
            }
            steps.push((*bit, *sibling));
            rest = tail;
        }
        let reached = match rest {
            [0] if steps.is_empty() => None,
            [1, leaf @ ..] => {
                let leaf = <&[u8; 64]>::try_from(leaf).map_err(|_| MapProofError)?;
                let (key, row) = leaf.split_at(32);
                let key = MapKey::from_slice(key).ok_or(MapProofError)?;
                Some((key, RowHash::from_slice(row).ok_or(MapProofError)?))
            }
            _ => return Err(MapProofError),
        };
        Ok(Self { steps, reached })
    }

    /// What a map with `root` says of `name`: `row`'s bytes, decoded, or nothing at all.
    ///
    /// `row` is empty exactly where absence is to be proven.
    pub fn verify(
        &self,
        root: &MapRoot,
        name: &RowName<'_>,
        row: &[u8],
    ) -> Result<Option<Row>, MapProofError> {
        match (self.row_hash(root, &name.key())?, row.is_empty()) {
            (None, true) => Ok(None),
            (Some(hash), false) => {
                let row = name.decode(row).ok_or(MapProofError)?;
                (row.hash() == hash)
                    .then_some(Some(row))
                    .ok_or(MapProofError)
            }
            _ => Err(MapProofError),
        }
    }

    /// What a map with `root` says of a key: the hash of its row, or that it has none.
    pub fn row_hash(
        &self,
        root: &MapRoot,
        asked: &MapKey,
    ) -> Result<Option<RowHash>, MapProofError> {
        let Some((key, row_hash)) = &self.reached else {
            return (*root == EMPTY).then_some(None).ok_or(MapProofError);
        };
        let mut node = leaf_node(key, row_hash);
        for (bit, sibling) in self.steps.iter().rev() {
            let side = bit_of(asked, *bit);
            if bit_of(key, *bit) != side {
                return Err(MapProofError);
            }
            node = if side {
                inner_node(*bit, sibling, &node)
            } else {
                inner_node(*bit, &node, sibling)
            };
        }
        if node == root.0 {
            Ok((key == asked).then_some(*row_hash))
        } else {
            Err(MapProofError)
        }
    }
}
