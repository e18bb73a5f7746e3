//! Large contents, one file each, named by their id.
//!
//! Invariant: a file has its final name only after its bytes were hashed, by this process or
//! again by a later one that also wrote them again, and synced. So what `large/` lists at
//! open needs no second look; one sync of the directory makes the names durable.
//! Out of scope: parts of an upload (`staging`); checking a range against the id.

use std::{
    collections::HashMap,
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use bytes::Bytes;
use cairn_proto::hash::ContentId;

use super::{
    ContentError,
    erased::{Erased, wipe},
};
use crate::{
    disk::{Disk, read_exact_at},
    segment::{StoreError, reading, writing},
};

/// Large contents.
#[derive(Debug)]
pub(super) struct Large {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    /// Bytes of each durable content.
    sizes: RwLock<HashMap<ContentId, u64>>,
    /// Held from rename to sync, so that nobody takes a renamed file for missing.
    adopting: Mutex<()>,
    erased: Arc<Erased>,
}

impl Large {
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        erased: Arc<Erased>,
    ) -> Result<Self, StoreError> {
        // A crash may have come between a rename and the sync of its directory.
        disk.sync_dir(&directory)
            .map_err(StoreError::io(&directory, 0))?;
        let names = disk
            .list(&directory)
            .map_err(StoreError::read(&directory, 0))?;
        let mut sizes = HashMap::new();
        for name in names {
            let path = directory.join(&name);
            // Whatever has another name was not put here by us, and is left alone.
            if let Ok(id) = name.parse::<ContentId>() {
                let size = disk.open(&path).and_then(|file| file.size());
                sizes.insert(id, size.map_err(StoreError::read(&path, 0))?);
            }
        }
        let sizes = RwLock::new(sizes);
        Ok(Self {
            disk,
            directory,
            sizes,
            adopting: Mutex::new(()),
            erased,
        })
    }

    pub(super) fn size(&self, id: &ContentId) -> Option<u64> {
        reading(&self.sizes).get(id).copied()
    }

    /// Moves verified staged files here, durable on return. `hand_over` renames the file of a
    /// content, whose bytes were synced when it was complete, and says how many they are.
    pub(super) fn adopt(
        &self,
        ids: &[ContentId],
        hand_over: impl Fn(&ContentId, &Path) -> Result<Option<u64>, ContentError>,
    ) -> Result<(), ContentError> {
        if ids.is_empty() {
            return Ok(());
        }
        let _one = self.adopting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut adopted = Vec::new();
        let mut missing = Ok(());
        for id in ids.iter().filter(|id| self.size(id).is_none()) {
            // Under the lock: what is adopted before an erasure is found by it.
            if let Err(error) = self.erased.check(id) {
                missing = Err(error);
                continue;
            }
            let target = self.directory.join(id.to_string());
            if let Some(bytes) = hand_over(id, &target)? {
                adopted.push((*id, bytes));
            } else {
                // It expired meanwhile. What was renamed before is published all the same.
                missing = Err(ContentError::Missing { id: *id });
            }
        }
        self.disk
            .sync_dir(&self.directory)
            .map_err(StoreError::io(&self.directory, 0))?;
        writing(&self.sizes).extend(adopted);
        missing
    }

    /// Overwrites and removes those of the contents that are here; durable on return.
    pub(super) fn erase(&self, ids: &[ContentId]) -> Result<(), StoreError> {
        // What is barred is adopted no more; who began before is waited for, and nobody waits for the rest.
        drop(self.adopting.lock().unwrap_or_else(PoisonError::into_inner));
        // Also one that is not listed: an adoption that failed may have left it.
        for id in ids {
            wipe(self.disk.as_ref(), &self.directory.join(id.to_string()))?;
            writing(&self.sizes).remove(id);
        }
        self.disk
            .sync_dir(&self.directory)
            .map_err(StoreError::io(&self.directory, 0))
    }

    /// A part of a content; the caller knows its size.
    pub(super) fn read(&self, id: &ContentId, range: Range<u64>) -> Result<Bytes, StoreError> {
        let path = self.directory.join(id.to_string());
        let length = usize::try_from(range.end - range.start).unwrap_or_default();
        let mut buffer = vec![0; length];
        self.disk
            .open(&path)
            .and_then(|file| read_exact_at(file.as_ref(), &mut buffer, range.start))
            .map_err(StoreError::read(&path, range.start))?;
        Ok(buffer.into())
    }
}
