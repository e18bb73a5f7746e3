//! One upload of one owner: a staged file and what is known of it.
//!
//! ```text
//! New ─▶ Open ─last part─▶ Complete ─promoted─▶ Durable
//!   Kept (a restart) ─rehash─▶ Open | Complete      any ─▶ Gone
//! ```
//!
//! Invariant: `Complete` was hashed from first to last byte by this process; a large one is
//! synced too, by the very descriptor that wrote it, so that no failed write went unseen.
//! What an earlier process left is hashed again and written again before it counts: after a
//! failed sync and a restart without a reboot, the page cache shows what the disk never got.
//! Out of scope: caps and accounts (`staging`).

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cairn_proto::hash::ContentId;

use super::{ContentError, PACKED_BYTES_LIMIT, Part};
use crate::{
    disk::{Disk, DiskFile},
    segment::StoreError,
};

const CHUNK_BYTES: usize = 1 << 20;

/// A staged content, whole and verified.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

/// One owner's upload of one content.
#[derive(Debug)]
pub(super) struct Upload {
    pub(super) id: ContentId,
    pub(super) path: PathBuf,
    state: Mutex<State>,
}

/// How far it is.
#[derive(Debug)]
pub(super) enum State {
    /// Nothing was written yet.
    New,
    /// An earlier process left so many bytes; nothing is known of them.
    Kept(u64),
    /// Parts are still to come.
    Open(Box<Open>),
    /// All bytes are in the file and hash to the id.
    Complete(u64),
    /// The file is gone to where it is, or is about to be, durable; what is left is the
    /// owner's claim.
    Durable(u64),
    /// Dropped; whoever meets this looks again.
    Gone,
}

#[derive(Debug)]
pub(super) struct Open {
    file: Arc<dyn DiskFile>,
    hasher: blake3::Hasher,
    bytes: u64,
}

/// What an upload counts for in its owner's and the common account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) unfinished: usize,
    pub(super) bytes: u64,
}

impl State {
    pub(super) fn weight(&self) -> Weight {
        let (unfinished, bytes) = match self {
            Self::New => (1, 0),
            Self::Open(open) => (1, open.bytes),
            Self::Kept(bytes) | Self::Complete(bytes) => (0, *bytes),
            Self::Durable(_) | Self::Gone => (0, 0),
        };
        Weight { unfinished, bytes }
    }

    /// Bytes that need not be sent again.
    pub(super) fn kept(&self) -> u64 {
        match self {
            Self::New | Self::Gone => 0,
            Self::Kept(bytes) | Self::Complete(bytes) | Self::Durable(bytes) => *bytes,
            Self::Open(open) => open.bytes,
        }
    }
}

impl Upload {
    pub(super) fn new(id: ContentId, path: PathBuf, state: State) -> Self {
        Self {
            id,
            path,
            state: Mutex::new(state),
        }
    }

    /// Poisoned by a panic between a write and its count: the bytes then hash to something
    /// else, and the upload is dropped at its last part.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds out what an earlier process left.
    pub(super) fn resolve(&self, disk: &dyn Disk, state: &mut State) -> Result<(), StoreError> {
        if !matches!(state, State::Kept(_)) {
            return Ok(());
        }
        let file = match disk.open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                *state = State::New;
                return Ok(());
            }
            result => result.map_err(StoreError::read(&self.path, 0))?,
        };
        let mut open = Open {
            file,
            hasher: blake3::Hasher::new(),
            bytes: 0,
        };
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let at = open.bytes;
            let count = open.file.read_at(&mut buffer, at);
            let count = count.map_err(StoreError::read(&self.path, at))?;
            let chunk = buffer.get(..count).unwrap_or_default();
            if chunk.is_empty() {
                break;
            }
            open.hasher.update(chunk);
            open.file
                .write_at(chunk, at)
                .map_err(StoreError::io(&self.path, at))?;
            open.bytes += chunk.len() as u64;
        }
        *state = if open.found() == self.id {
            open.complete(&self.path)?
        } else {
            State::Open(Box::new(open))
        };
        Ok(())
    }

    /// Adds a part. `Gone` afterwards if the whole is not what it was sent as.
    pub(super) fn add(
        &self,
        disk: &dyn Disk,
        state: &mut State,
        offset: u64,
        data: &[u8],
        part: Part,
    ) -> Result<(), ContentError> {
        let end = offset.checked_add(data.len() as u64);
        if let State::Complete(bytes) | State::Durable(bytes) = state {
            // A repetition of what was acknowledged, or nonsense.
            return if end.is_some_and(|end| end <= *bytes) {
                Ok(())
            } else {
                Err(ContentError::Offset { kept: *bytes })
            };
        }
        if offset != state.kept() {
            return Err(ContentError::Offset { kept: state.kept() });
        }
        if let State::New = state {
            *state = State::Open(Box::new(self.create(disk)?));
        }
        let State::Open(open) = state else {
            return Err(ContentError::Missing { id: self.id });
        };
        // Bytes first, then the count: a part that failed halfway is sent again over itself.
        open.file
            .write_at(data, offset)
            .map_err(StoreError::write(&self.path, offset))?;
        open.hasher.update(data);
        open.bytes += data.len() as u64;
        if part == Part::Last {
            let found = open.found();
            if found != self.id {
                self.discard(disk, state)?;
                return Err(ContentError::Mismatch { id: self.id, found });
            }
            match open.complete(&self.path) {
                Ok(complete) => *state = complete,
                Err(error) => {
                    // After a failed sync another one proves nothing: all is sent again.
                    self.discard(disk, state)?;
                    return Err(error.into());
                }
            }
        }
        Ok(())
    }

    fn create(&self, disk: &dyn Disk) -> Result<Open, StoreError> {
        let io = |error| StoreError::write(&self.path, 0)(error);
        if let Some(owner) = self.path.parent() {
            disk.create_dir(owner).map_err(io)?;
        }
        self.remove(disk)?;
        let file = disk.create(&self.path).map_err(io)?;
        Ok(Open {
            file,
            hasher: blake3::Hasher::new(),
            bytes: 0,
        })
    }

    /// The content is durable elsewhere: the file goes, the claim stays.
    pub(super) fn settle(&self, disk: &dyn Disk, state: &mut State) -> Result<(), StoreError> {
        if let State::Complete(bytes) = *state {
            self.remove(disk)?;
            *state = State::Durable(bytes);
        }
        Ok(())
    }

    /// Gives a complete file its final name; `None` if there is none. Under the state's lock,
    /// so that it is this file and not that of a later upload, begun after an expiry.
    pub(super) fn hand_over(
        &self,
        disk: &dyn Disk,
        state: &mut State,
        target: &Path,
    ) -> Result<Option<u64>, StoreError> {
        let State::Complete(bytes) = *state else {
            return Ok(None);
        };
        disk.rename(&self.path, target)
            .map_err(StoreError::io(target, 0))?;
        *state = State::Durable(bytes);
        Ok(Some(bytes))
    }

    /// Drops the file.
    pub(super) fn discard(&self, disk: &dyn Disk, state: &mut State) -> Result<(), StoreError> {
        *state = State::Gone;
        self.remove(disk)
    }

    fn remove(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        match disk.remove(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(StoreError::io(&self.path, 0)),
        }
    }
}

impl Open {
    fn found(&self) -> ContentId {
        ContentId(*self.hasher.finalize().as_bytes())
    }

    /// Only a large file needs its sync: it will be renamed, a small one is copied to a pack.
    fn complete(&self, path: &Path) -> Result<State, StoreError> {
        if self.bytes >= PACKED_BYTES_LIMIT {
            // A part that failed halfway, for want of space, may have left bytes after those
            // that were hashed, and the file's length is the content's from now on.
            self.file
                .set_size(self.bytes)
                .map_err(StoreError::io(path, self.bytes))?;
            // Not `NoSpace`: whatever fails here may have dropped bytes that were hashed.
            self.file.sync().map_err(StoreError::io(path, 0))?;
        }
        Ok(State::Complete(self.bytes))
    }
}
