//! What can be done to a fake disk, and what can become of it.

use std::{fmt, path::PathBuf, sync::Arc};

/// What becomes of what no sync covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Unsynced {
    /// The disk got none of it.
    Lost,
    /// A restart without a reboot: what is seen stays, and stays to be synced.
    Shown,
    /// The disk got all of it.
    Kept,
    /// The disk got some sectors, sizes and names, and not others, as the seed says.
    Torn(u64),
}

/// One change of a disk.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    Create(PathBuf),
    CreateDir(PathBuf),
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove(PathBuf),
    RemoveDir(PathBuf),
    SyncDir(PathBuf),
    Write {
        path: PathBuf,
        file: u64,
        offset: u64,
        data: Arc<[u8]>,
    },
    SetSize {
        file: u64,
        bytes: u64,
    },
    Sync {
        path: PathBuf,
        file: u64,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write {
                path, offset, data, ..
            } => write!(
                out,
                "write {} bytes at {offset} of {}",
                data.len(),
                path.display()
            ),
            Self::Sync { path, .. } => write!(out, "sync {}", path.display()),
            other => write!(out, "{other:?}"),
        }
    }
}
