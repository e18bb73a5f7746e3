//! Why a data directory was not opened, and what stands on both sides.
//!
//! Invariant: whatever is refused here was not changed.
//! Out of scope: errors of an open store (`segment::StoreError`).

use std::{fmt, path::PathBuf};

use cairn_proto::{
    hash::{RootHash, TreeSize},
    reason::Reason,
};
use thiserror::Error;

use crate::segment::{FrameAt, SeriesTail, StoreError};

/// Size and root, as `--accept-head` takes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Leaves in the tree.
    pub size: TreeSize,
    /// Its root.
    pub root: RootHash,
}

impl fmt::Display for Head {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.size, self.root)
    }
}

/// Why a store was not made or opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process has it open.
    #[error("{} is open in {}", directory.display(), Holder(*holder))]
    Locked {
        /// The data directory.
        directory: PathBuf,
        /// That process, as far as it said.
        holder: Option<u32>,
    },
    /// There is no store.
    #[error("{} is not a ledger's data directory", directory.display())]
    NoStore {
        /// The directory.
        directory: PathBuf,
    },
    /// There is one already.
    #[error("{} holds a ledger already", directory.display())]
    Exists {
        /// The directory.
        directory: PathBuf,
    },
    /// The directory to make a store in holds a journal with records, but no store.
    #[error("{} holds records of a ledger, but is not whole", directory.display())]
    NotEmpty {
        /// The directory.
        directory: PathBuf,
    },
    /// Another version of the format, or a damaged file.
    #[error("{} does not say cairn-store 1", file.display())]
    Format {
        /// The file that says which.
        file: PathBuf,
    },
    /// The new store's anchor would replace one of other data.
    #[error("{} is the anchor of other data", file.display())]
    AnchorTaken {
        /// The anchor.
        file: PathBuf,
    },
    /// The anchor is another ledger's.
    #[error("{} is the anchor of another ledger", file.display())]
    AnchorForeign {
        /// The anchor.
        file: PathBuf,
    },
    /// The journal does not hold what the anchor says: an old copy, a loss, or another
    /// journal. Not to be signed for.
    #[error(
        "the anchor {} says {anchored}, and the journal, which holds {held}, does not reach or contradicts it",
        file.display()
    )]
    AnchorDisagrees {
        /// The anchor.
        file: PathBuf,
        /// What it says.
        anchored: Head,
        /// What the journal holds.
        held: Head,
    },
    /// The packs do not reach what the anchor says: an old copy or a loss.
    #[error(
        "the anchor {} says that the packs reach {anchored}, and they reach {held}",
        file.display()
    )]
    PacksShort {
        /// The anchor.
        file: PathBuf,
        /// What it says.
        anchored: SeriesTail,
        /// Where the packs end.
        held: SeriesTail,
    },
    /// There is no anchor, and nobody accepted the head.
    #[error("the anchor {} is missing; the journal holds {held}{}", file.display(), Torn(cut))]
    AnchorMissing {
        /// Where it should be.
        file: PathBuf,
        /// What the journal holds.
        held: Head,
        /// A frame after that which is not whole.
        cut: Option<FrameAt>,
    },
    /// The anchor is damaged, and nobody accepted the head.
    #[error("the anchor {} is unreadable; the journal holds {held}{}", file.display(), Torn(cut))]
    AnchorUnreadable {
        /// The anchor.
        file: PathBuf,
        /// What the journal holds.
        held: Head,
        /// A frame after that which is not whole.
        cut: Option<FrameAt>,
    },
    /// The head that was to be accepted is not what the journal holds.
    #[error(
        "{accepted} was to be accepted, and the journal holds {held}{}",
        Torn(cut)
    )]
    HeadNotHeld {
        /// What was to be accepted.
        accepted: Head,
        /// What the journal holds.
        held: Head,
        /// A frame after that which is not whole.
        cut: Option<FrameAt>,
    },
    /// The files below failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OpenError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Locked { .. } => Reason::StoreLocked,
            Self::NoStore { .. } | Self::Exists { .. } | Self::NotEmpty { .. } => Reason::Usage,
            Self::Format { .. } => Reason::StoreDamaged,
            Self::AnchorTaken { .. }
            | Self::AnchorForeign { .. }
            | Self::AnchorDisagrees { .. }
            | Self::PacksShort { .. }
            | Self::AnchorMissing { .. }
            | Self::AnchorUnreadable { .. }
            | Self::HeadNotHeld { .. } => Reason::StoreAnchor,
            Self::Store(error) => error.reason(),
        }
    }
}

struct Holder(Option<u32>);

impl fmt::Display for Holder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(pid) => write!(out, "process {pid}"),
            None => out.write_str("another process"),
        }
    }
}

struct Torn<'a>(&'a Option<FrameAt>);

impl fmt::Display for Torn<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(frame) => write!(out, " before {frame}, which is not whole"),
            None => Ok(()),
        }
    }
}
