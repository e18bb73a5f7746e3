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
//! Of it counts what was noted while it came ([`Marks`]): a length alone says nothing, since
//! after a crash the last bytes may be lost, torn or zeros.
//! Out of scope: caps and accounts (`staging`).

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use cairn_proto::hash::ContentId;

use super::{
    ContentError, PACKED_BYTES_LIMIT, Part,
    erased::wipe,
    marks::{Marks, marks_path},
};
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
    marks: Marks,
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

    /// Notes how far it is, for a process after this one: nobody sends any more.
    pub(super) fn pause(&mut self, disk: &dyn Disk) -> Result<(), StoreError> {
        match self {
            Self::Open(open) => open.note(disk),
            _ => Ok(()),
        }
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
        let mut open = Open::of(file, Marks::read(disk, &self.path)?);
        let mut sure = (open.hasher.clone(), 0);
        let mut holding = 0;
        for mark in open.marks.take_noted() {
            open.reread(&self.path, mark.bytes)?;
            if open.bytes != mark.bytes || open.found() != mark.found {
                break;
            }
            sure = (open.hasher.clone(), open.bytes);
            holding += 1;
        }
        open.reread(&self.path, u64::MAX)?;
        *state = if open.found() == self.id {
            self.complete(disk, &open)?
        } else {
            (open.hasher, open.bytes) = sure;
            open.marks.keep(disk, holding, open.bytes)?;
            open.file
                .set_size(open.bytes)
                .map_err(StoreError::io(&self.path, open.bytes))?;
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
            match self.complete(disk, open) {
                Ok(complete) => *state = complete,
                Err(error) => {
                    // After a failed sync another one proves nothing: all is sent again.
                    self.discard(disk, state)?;
                    return Err(error.into());
                }
            }
        } else if open.bytes >= open.marks.next() {
            open.note(disk)?;
        }
        Ok(())
    }

    fn complete(&self, disk: &dyn Disk, open: &Open) -> Result<State, StoreError> {
        let complete = open.complete(&self.path)?;
        remove(disk, &marks_path(&self.path))?;
        Ok(complete)
    }

    fn create(&self, disk: &dyn Disk) -> Result<Open, StoreError> {
        let io = |error| StoreError::write(&self.path, 0)(error);
        if let Some(owner) = self.path.parent() {
            disk.create_dir(owner).map_err(io)?;
        }
        self.remove(disk)?;
        let file = disk.create(&self.path).map_err(io)?;
        Ok(Open::of(file, Marks::none(&self.path)))
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

    /// Overwrites the file, whatever there is of it, and drops it. The caller syncs the directory.
    pub(super) fn erase(&self, disk: &dyn Disk, state: &mut State) -> Result<(), StoreError> {
        *state = State::Gone;
        wipe(disk, &self.path)?;
        remove(disk, &marks_path(&self.path))
    }

    fn remove(&self, disk: &dyn Disk) -> Result<(), StoreError> {
        // The notes last: without a file they are of nothing, and removed when next seen.
        remove(disk, &self.path)?;
        remove(disk, &marks_path(&self.path))
    }
}

/// Removes a file; one that is gone is fine.
fn remove(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    match disk.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(StoreError::io(path, 0)),
    }
}

impl Open {
    fn of(file: Arc<dyn DiskFile>, marks: Marks) -> Self {
        Self {
            file,
            hasher: blake3::Hasher::new(),
            bytes: 0,
            marks,
        }
    }

    /// Hashes, and writes again, up to a length or to the file's end.
    fn reread(&mut self, path: &Path, until: u64) -> Result<(), StoreError> {
        let mut buffer = vec![0; CHUNK_BYTES];
        while self.bytes < until {
            let at = self.bytes;
            let left = usize::try_from(until - at).unwrap_or(usize::MAX);
            let chunk = buffer.get_mut(..left.min(CHUNK_BYTES)).unwrap_or_default();
            let count = self.file.read_at(chunk, at);
            let count = count.map_err(StoreError::read(path, at))?;
            let chunk = chunk.get(..count).unwrap_or_default();
            if chunk.is_empty() {
                break;
            }
            self.hasher.update(chunk);
            self.file
                .write_at(chunk, at)
                .map_err(StoreError::io(path, at))?;
            self.bytes += chunk.len() as u64;
        }
        Ok(())
    }

    fn note(&mut self, disk: &dyn Disk) -> Result<(), StoreError> {
        let found = self.found();
        self.marks.note(disk, self.bytes, found)
    }

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
