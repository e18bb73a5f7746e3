//! C2SP tlog-tiles: paths, hash tiles and entry bundles, and the documents beside them.
//! SPEC.md section 6.

use std::fmt;

use thiserror::Error;

use crate::{
    hash::{Index, NodeHash, TreeSize},
    merkle::Nodes,
};

/// Hashes of a full tile, entries of a full bundle.
pub const WIDTH: u64 = 256;
const LEVEL_MAX: u8 = 7;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TileKind {
    /// Hashes of level 8L of the tree.
    Hashes(u8),
    /// Entries.
    Entries,
    /// Documents of entries that are the first to name them.
    Documents,
}

/// The address of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tile {
    /// What it holds.
    pub kind: TileKind,
    /// Its place in its row.
    pub index: u64,
    /// Hashes or entries in it, 1 to 256.
    pub width: u16,
}

/// A path or a tile's bytes that are not of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a tile")]
pub struct TileError;

impl Tile {
    /// Parses a URL path without its leading slash: `tile/0/x001/067.p/8`.
    pub fn parse(path: &str) -> Result<Self, TileError> {
        let (kind, rest) = parse_kind(path).ok_or(TileError)?;
        let (index_text, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, parse_width(width).ok_or(TileError)?),
            None => (rest, 256),
        };
        let index = parse_index(index_text).ok_or(TileError)?;
        let tile = Self { kind, index, width };
        // One spelling only: what we would print.
        if tile.to_string() == path {
            Ok(tile)
        } else {
            Err(TileError)
        }
    }

    /// The tiles of a kind that a tree of `size` has, from the one that holds `from` on.
    pub fn covering(kind: TileKind, from: u64, size: TreeSize) -> impl Iterator<Item = Self> {
        let level = match kind {
            TileKind::Hashes(level) => u32::from(level).saturating_mul(8),
            TileKind::Entries | TileKind::Documents => 0,
        };
        let count = size.0.checked_shr(level).unwrap_or(0);
        (from.wrapping_div(WIDTH)..count.div_ceil(WIDTH)).map(move |index| Self {
            kind,
            index,
            width: width_of(count.saturating_sub(index.saturating_mul(WIDTH))),
        })
    }

    /// Index of the tile's first entry or hash in its row.
    pub fn first(&self) -> u64 {
        self.index.saturating_mul(WIDTH)
    }

    /// Whether a tree of `size` leaves has everything that the tile holds.
    pub fn within(&self, size: TreeSize) -> bool {
        let level = match self.kind {
            TileKind::Hashes(level) => u32::from(level).saturating_mul(8),
            TileKind::Entries | TileKind::Documents => 0,
        };
        let end = self.first().checked_add(u64::from(self.width));
        end.is_some_and(|end| end <= size.0.checked_shr(level).unwrap_or(0))
    }

    /// The bytes of a hash tile; `None` where the store does not reach.
    pub fn hashes(&self, nodes: &impl Nodes) -> Option<Vec<u8>> {
        let TileKind::Hashes(level) = self.kind else {
            return None;
        };
        let level = u32::from(level).checked_mul(8)?;
        let mut bytes = Vec::with_capacity(usize::from(self.width).saturating_mul(32));
        for offset in 0..u64::from(self.width) {
            let node = nodes.node(level, self.first().checked_add(offset)?)?;
            bytes.extend_from_slice(node.as_bytes());
        }
        Some(bytes)
    }
}

fn width_of(left: u64) -> u16 {
    u16::try_from(left.min(WIDTH)).unwrap_or(256)
}

fn parse_kind(path: &str) -> Option<(TileKind, &str)> {
    if let Some(rest) = path.strip_prefix("tile/entries/") {
        return Some((TileKind::Entries, rest));
    }
    if let Some(rest) = path.strip_prefix("documents/") {
        return Some((TileKind::Documents, rest));
    }
    let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
    let level = level.parse().ok().filter(|level| *level <= LEVEL_MAX)?;
    Some((TileKind::Hashes(level), rest))
}

fn parse_width(text: &str) -> Option<u16> {
    text.parse().ok().filter(|width| (1..256).contains(width))
}

fn parse_index(text: &str) -> Option<u64> {
    text.split('/').try_fold(0_u64, |index, element| {
        let digits = element.strip_prefix('x').unwrap_or(element);
        let three = digits.len() == 3 && digits.bytes().all(|digit| digit.is_ascii_digit());
        let value: u64 = digits.parse().ok().filter(|_| three)?;
        index.checked_mul(1_000)?.checked_add(value)
    })
}

impl fmt::Display for Tile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(out, "tile/{level}/")?,
            TileKind::Entries => write!(out, "tile/entries/")?,
            TileKind::Documents => write!(out, "documents/")?,
        }
        let mut groups = Vec::new();
        let mut rest = self.index;
        loop {
            groups.push(rest.wrapping_rem(1_000));
            rest = rest.wrapping_div(1_000);
            if rest == 0 {
                break;
            }
        }
        for (position, group) in groups.iter().enumerate().rev() {
            match position {
                0 => write!(out, "{group:03}")?,
                _ => write!(out, "x{group:03}/")?,
            }
        }
        match self.width {
            256 => Ok(()),
            width => write!(out, ".p/{width}"),
        }
    }
}

/// Appends one entry to an entry bundle. Entries are at most 65,535 bytes.
pub fn push_entry(bundle: &mut Vec<u8>, entry: &[u8]) {
    let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
}

/// Splits an entry bundle of `width` entries.
pub fn split_entries(bundle: &[u8], width: u16) -> Result<Vec<&[u8]>, TileError> {
    let mut entries = Vec::new();
    let mut rest = bundle;
    for _ in 0..width {
        let (length, tail) = rest.split_first_chunk::<2>().ok_or(TileError)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, tail) = tail.split_at_checked(length).ok_or(TileError)?;
        entries.push(entry);
        rest = tail;
    }
    rest.is_empty().then_some(entries).ok_or(TileError)
}

/// Splits the bytes of a hash tile of `width` hashes.
pub fn split_hashes(tile: &[u8], width: u16) -> Result<Vec<NodeHash>, TileError> {
    let (hashes, rest) = tile.as_chunks::<32>();
    if rest.is_empty() && hashes.len() == usize::from(width) {
        Ok(hashes.iter().copied().map(NodeHash).collect())
    } else {
        Err(TileError)
    }
}

/// The head of one document in `/documents/<N>`: offset of its entry, length of its bytes.
pub fn document_head(offset: u8, length: u32) -> [u8; 5] {
    let [a, b, c, d] = length.to_be_bytes();
    [offset, a, b, c, d]
}

/// Splits `/documents/<N>` into (index of the entry, document).
pub fn split_documents(bytes: &[u8], tile: &Tile) -> Result<Vec<(Index, Vec<u8>)>, TileError> {
    let mut documents: Vec<(Index, Vec<u8>)> = Vec::new();
    let mut rest = bytes;
    while let Some(([offset, length @ ..], tail)) = rest.split_first_chunk::<5>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| TileError)?;
        let (document, tail) = tail.split_at_checked(length).ok_or(TileError)?;
        let index = Index(tile.first().saturating_add(u64::from(*offset)));
        let ascending = documents.last().is_none_or(|(last, _)| *last < index);
        if !ascending || u16::from(*offset) >= tile.width {
            return Err(TileError);
        }
        documents.push((index, document.to_vec()));
        rest = tail;
    }
    rest.is_empty().then_some(documents).ok_or(TileError)
}
