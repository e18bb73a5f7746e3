//! Proofs that a name has a row, or has none: all that a client checks of a map. SPEC.md
//! section 8.3.

use thiserror::Error;

use super::{EMPTY, bit_of, inner_node, leaf_node};
use crate::{
    hash::{MapKey, MapRoot, RowHash},
    row::{Row, RowName},
};

/// The path to the leaf that a key leads to, and that leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapProof {
    /// Bit index and sibling, from the root on.
    pub(super) steps: Vec<(u8, [u8; 32])>,
    pub(super) reached: Option<(MapKey, RowHash)>,
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
