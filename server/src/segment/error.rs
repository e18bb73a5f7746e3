//! What can go wrong in the store, with the file and the offset.
//!
//! Invariant: after `Io` or `Broken` the process must abort: what is durable is no longer
//! known, and only a restart, which verifies and rewrites, finds out. `Read` makes only one
//! answer impossible. `NoSpace` happens before anything was written that counts.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use cairn_proto::reason::Reason;
use thiserror::Error;

use crate::{disk::is_no_space, journal::RecordFault};

/// A place in a segment file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameAt {
    /// The segment file.
    pub file: PathBuf,
    /// Offset of the frame's header.
    pub offset: u64,
    /// The frame's ordinal over the series.
    pub position: u64,
}

impl fmt::Display for FrameAt {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            offset,
            position,
        } = self;
        write!(
            out,
            "frame {position} at offset {offset} of {}",
            file.display()
        )
    }
}

/// How a frame or file is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Damage {
    /// A frame's header fails its checksum, or says what cannot stand here.
    #[error("its header is not the one that was written")]
    Header,
    /// A payload fails its checksum.
    #[error("its payload is not the one that was written")]
    Payload,
    /// Zeros where a frame was.
    #[error("it is missing, with frames after it")]
    Missing,
    /// A segment's header fails its checksum, or belongs to another segment.
    #[error("the segment's header is not the one that was written")]
    SegmentHeader,
    /// A segment's header names another ledger.
    #[error("the segment belongs to another ledger")]
    Ledger,
    /// A file of the series is not there.
    #[error("the segment file is missing")]
    SegmentMissing,
    /// The payload's checksum is good and its contents are not.
    #[error("{0}")]
    Record(RecordFault),
    /// A record does not continue the one before it.
    #[error("the record does not continue the one before it")]
    Chain,
}

/// A failed operation of the store.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Stored bytes are not what was written. Nothing was served from them.
    #[error("{frame} is damaged: {damage}")]
    Damaged {
        /// The frame.
        frame: FrameAt,
        /// What is wrong with it.
        damage: Damage,
    },
    /// There is no room; nothing was recorded. Refuse the batch and go on.
    #[error("no space for {bytes} more bytes in {}", file.display())]
    NoSpace {
        /// The file that was to grow.
        file: PathBuf,
        /// By so many bytes.
        bytes: u64,
    },
    /// A write or sync failed after space was reserved. **The process must abort.**
    #[error("cannot write {} at offset {offset}", file.display())]
    Io {
        /// The file or directory.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// A read failed. That answer cannot be given.
    #[error("cannot read {} at offset {offset}", file.display())]
    Read {
        /// The file or directory.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// An earlier write failed. **The process must abort.**
    #[error("{} was not written after an earlier failure", directory.display())]
    Broken {
        /// The series.
        directory: PathBuf,
    },
    /// Another process wrote the anchor since. **The process must abort.**
    #[error("{} was changed by another process", file.display())]
    AnchorMoved {
        /// The anchor's file.
        file: PathBuf,
    },
    /// Nothing stands at that position, index or ordinal.
    #[error("nothing stands at {number}")]
    Absent {
        /// What was asked for.
        number: u64,
    },
    /// The frame is good, and what was asked for in it has another hash: the caller's index
    /// is wrong, not the store.
    #[error("{frame} is good, but holds nothing with the hash that was asked for")]
    Mismatch {
        /// The frame.
        frame: FrameAt,
    },
    /// The record to append is not well formed: a fault of the caller.
    #[error(transparent)]
    Malformed(#[from] RecordFault),
    /// The payload is empty or larger than a frame of this series may be: the caller's fault.
    #[error("a payload of {bytes} bytes does not fit into a frame")]
    Payload {
        /// Its length.
        bytes: u64,
    },
}

impl StoreError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Damaged { .. } => Reason::StoreDamaged,
            Self::NoSpace { .. } => Reason::NoSpace,
            Self::AnchorMoved { .. } => Reason::StoreAnchor,
            Self::Absent { .. } => Reason::NotFound,
            Self::Io { .. }
            | Self::Read { .. }
            | Self::Broken { .. }
            | Self::Mismatch { .. }
            | Self::Malformed(_)
            | Self::Payload { .. } => Reason::Internal,
        }
    }

    /// Whether the process must abort, because what is durable is no longer known.
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::Io { .. } | Self::Broken { .. } | Self::AnchorMoved { .. }
        )
    }

    /// For `map_err` on a write, sync or change of names.
    pub(crate) fn io(file: &Path, offset: u64) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::Io {
            file,
            offset,
            source: Arc::new(source),
        }
    }

    /// For `map_err` on a write that nothing was reserved for: a full disk is no failure.
    pub(crate) fn write(file: &Path, offset: u64) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| {
            if is_no_space(&source) {
                Self::NoSpace { file, bytes: 0 }
            } else {
                Self::Io {
                    file,
                    offset,
                    source: Arc::new(source),
                }
            }
        }
    }

    /// For `map_err` on a read.
    pub(crate) fn read(file: &Path, offset: u64) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |source| Self::Read {
            file,
            offset,
            source: Arc::new(source),
        }
    }
}
