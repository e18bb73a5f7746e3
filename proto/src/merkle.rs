//! The RFC 6962 tree: appending, and inclusion and consistency proofs built and verified.
//!
//! Verifying follows RFC 9162 sections 2.1.3.2 and 2.1.4.2; building follows the recursive
//! definitions of RFC 6962 section 2.1, over any store of complete subtrees.
//! Invariant: the two share no code but the node hash, so one checks the other.

use thiserror::Error;

use crate::hash::{Index, LeafHash, NodeHash, RootHash, TreeSize};

/// The hashes do not prove what they were given for. Nothing follows about who is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The index or the sizes make no sense together.
    #[error("index or sizes out of range")]
    OutOfRange,
    /// There are more or fewer hashes than the sizes call for.
    #[error("wrong number of hashes")]
    WrongLength,
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    RootMismatch,
}

/// Proves that `leaf` is at `index` of the tree of `size` leaves with `root`.
pub fn verify_inclusion(
    leaf: LeafHash,
    index: Index,
    size: TreeSize,
    proof: &[NodeHash],
    root: &RootHash,
) -> Result<(), ProofError> {
    let last = size.0.checked_sub(1).ok_or(ProofError::OutOfRange)?;
    if index.0 > last {
        return Err(ProofError::OutOfRange);
    }
    let (mut place, mut last) = (index.0, last);
    let mut node = NodeHash::from(leaf);
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if place & 1 == 1 || place == last {
            node = NodeHash::parent(sibling, &node);
            skip_left_edge(&mut place, &mut last);
        } else {
            node = NodeHash::parent(&node, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::WrongLength);
    }
    same_root(node, root)
}

/// Climbs past the levels at which the right edge has no sibling.
fn skip_left_edge(place: &mut u64, last: &mut u64) {
    while *place & 1 == 0 && *place != 0 {
        *place >>= 1;
        *last >>= 1;
    }
}

fn same_root(node: NodeHash, root: &RootHash) -> Result<(), ProofError> {
    if node.0 == root.0 {
        Ok(())
    } else {
        Err(ProofError::RootMismatch)
    }
}

/// Proves that the tree of `from` leaves is a prefix of the tree of `to` leaves.
///
/// From size 0 nothing can be proven and nothing needs to be: it is refused.
pub fn verify_consistency(
    from: TreeSize,
    to: TreeSize,
    proof: &[NodeHash],
    from_root: &RootHash,
    to_root: &RootHash,
) -> Result<(), ProofError> {
    if from.0 == 0 || from > to {
        return Err(ProofError::OutOfRange);
    }
    if from == to {
        let empty = proof
            .is_empty()
            .then_some(())
            .ok_or(ProofError::WrongLength);
        return empty.and_then(|()| same_root(NodeHash(from_root.0), to_root));
    }
    let (start, rest) = if from.0.is_power_of_two() {
        (NodeHash(from_root.0), proof)
    } else {
        let (first, rest) = proof.split_first().ok_or(ProofError::WrongLength)?;
        (*first, rest)
    };
    let (mut place, mut last) = (from.0.wrapping_sub(1), to.0.wrapping_sub(1));
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    let (mut old, mut new) = (start, start);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::WrongLength);
        }
        if place & 1 == 1 || place == last {
            old = NodeHash::parent(sibling, &old);
            new = NodeHash::parent(sibling, &new);
            skip_left_edge(&mut place, &mut last);
        } else {
            new = NodeHash::parent(&new, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::WrongLength);
    }
    same_root(old, from_root)?;
    same_root(new, to_root)
}

/// The right edge of a tree: enough to append and to know the root, O(log n) hashes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// Roots of the complete subtrees, largest first: one for each bit set in `size`.
    nodes: Vec<NodeHash>,
}

impl Frontier {
    /// Rebuilds a stored frontier; `None` if the number of hashes does not fit the size.
    pub fn from_parts(size: TreeSize, nodes: Vec<NodeHash>) -> Option<Self> {
        let fits = u32::try_from(nodes.len()).ok()? == size.0.count_ones();
        fits.then_some(Self {
            size: size.0,
            nodes,
        })
    }

    /// The right edge of the first `size` leaves of a store; `None` where it does not reach.
    pub fn of(nodes: &impl Nodes, size: TreeSize) -> Option<Self> {
        let mut edge = Vec::new();
        let mut start = 0_u64;
        for level in (0..u64::BITS).rev() {
            let width = 1_u64.wrapping_shl(level);
            if size.0 & width != 0 {
                edge.push(nodes.node(level, start.wrapping_shr(level))?);
                start = start.wrapping_add(width);
            }
        }
        Self::from_parts(size, edge)
    }

    /// Roots of the complete subtrees, largest first.
    pub fn nodes(&self) -> &[NodeHash] {
        &self.nodes
    }

    /// Number of leaves.
    pub fn size(&self) -> TreeSize {
        TreeSize(self.size)
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: LeafHash) {
        let mut node = NodeHash::from(leaf);
        let mut size = self.size;
        while size & 1 == 1 {
            if let Some(left) = self.nodes.pop() {
                node = NodeHash::parent(&left, &node);
            }
            size >>= 1;
        }
        self.nodes.push(node);
        self.size = self.size.saturating_add(1);
    }

    /// Root of the tree.
    pub fn root(&self) -> RootHash {
        let mut nodes = self.nodes.iter().rev();
        let Some(smallest) = nodes.next() else {
            return RootHash::empty();
        };
        let root = nodes.fold(*smallest, |right, left| NodeHash::parent(left, &right));
        RootHash(root.0)
    }
}

/// A store of complete subtrees: the node at (level, index) covers the leaves
/// `index * 2^level` to `(index + 1) * 2^level - 1`.
pub trait Nodes {
    /// The node's hash; `None` where the store does not reach.
    fn node(&self, level: u32, index: u64) -> Option<NodeHash>;
}

/// Largest power of two below `count`, for `count` of at least 2.
fn split_point(count: u64) -> u64 {
    count
        .wrapping_sub(1)
        .checked_ilog2()
        .map_or(0, |level| 1_u64.wrapping_shl(level))
}

/// Hash of the leaves from `start` to `end`, where `start` is a multiple of the largest
/// power of two that is not above their number.
fn subtree(nodes: &impl Nodes, start: u64, end: u64) -> Option<NodeHash> {
    let count = end.checked_sub(start)?;
    if count.is_power_of_two() {
        let level = count.trailing_zeros();
        return nodes.node(level, start.wrapping_shr(level));
    }
    let middle = start.checked_add(split_point(count))?;
    let left = subtree(nodes, start, middle)?;
    let right = subtree(nodes, middle, end)?;
    Some(NodeHash::parent(&left, &right))
}

/// Root of the first `size` leaves.
pub fn root_at(nodes: &impl Nodes, size: TreeSize) -> Option<RootHash> {
    if size.0 == 0 {
        return Some(RootHash::empty());
    }
    subtree(nodes, 0, size.0).map(|node| RootHash(node.0))
}

/// Builds the proof that [`verify_inclusion`] accepts; `None` out of range.
pub fn prove_inclusion(nodes: &impl Nodes, index: Index, size: TreeSize) -> Option<Vec<NodeHash>> {
    if index >= Index(size.0) {
        return None;
    }
    let (mut start, mut end) = (0_u64, size.0);
    let mut siblings = Vec::new();
    while end.checked_sub(start)? > 1 {
        let middle = start.checked_add(split_point(end.checked_sub(start)?))?;
        if index.0 < middle {
            siblings.push(subtree(nodes, middle, end)?);
            end = middle;
        } else {
            siblings.push(subtree(nodes, start, middle)?);
            start = middle;
        }
    }
    siblings.reverse();
    Some(siblings)
}

/// Builds the proof that [`verify_consistency`] accepts; `None` out of range.
pub fn prove_consistency(
    nodes: &impl Nodes,
    from: TreeSize,
    to: TreeSize,
) -> Option<Vec<NodeHash>> {
    if from.0 == 0 || from > to {
        return None;
    }
    let (mut start, mut end) = (0_u64, to.0);
    let mut siblings = Vec::new();
    // RFC 6962 SUBPROOF: descend to the subtree that ends where the old tree ends.
    while end != from.0 {
        let middle = start.checked_add(split_point(end.checked_sub(start)?))?;
        if from.0 <= middle {
            siblings.push(subtree(nodes, middle, end)?);
            end = middle;
        } else {
            siblings.push(subtree(nodes, start, middle)?);
            start = middle;
        }
    }
    if start != 0 {
        siblings.push(subtree(nodes, start, end)?);
    }
    siblings.reverse();
    Some(siblings)
}

/// Every complete subtree of a log, in memory: 64 bytes a leaf.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    levels: Vec<Vec<NodeHash>>,
}

impl Tree {
    /// Number of leaves.
    pub fn size(&self) -> TreeSize {
        let leaves = self.levels.first().map_or(0, Vec::len);
        TreeSize(u64::try_from(leaves).unwrap_or(u64::MAX))
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: LeafHash) {
        let mut node = NodeHash::from(leaf);
        for level in 0_usize.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let Some(row) = self.levels.get_mut(level) else {
                return;
            };
            row.push(node);
            // A row of even length has just completed a pair.
            match row.as_slice() {
                [.., left, right] if row.len() & 1 == 0 => node = NodeHash::parent(left, right),
                _ => return,
            }
        }
    }

    /// Forgets the leaves from `size` on.
    pub fn truncate(&mut self, size: TreeSize) {
        let mut length = usize::try_from(size.0).unwrap_or(usize::MAX);
        for row in &mut self.levels {
            row.truncate(length);
            length >>= 1;
        }
    }

    /// Leaf hash at an index.
    pub fn leaf(&self, index: Index) -> Option<LeafHash> {
        self.node(0, index.0).map(|node| LeafHash(node.0))
    }

    /// Root of the whole tree.
    pub fn root(&self) -> RootHash {
        root_at(self, self.size()).unwrap_or_else(RootHash::empty)
    }
}

impl Nodes for Tree {
    fn node(&self, level: u32, index: u64) -> Option<NodeHash> {
        let row = self.levels.get(usize::try_from(level).ok()?)?;
        row.get(usize::try_from(index).ok()?).copied()
    }
}
