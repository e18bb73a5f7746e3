//! Large contents, one file each, named by their id.
//!
//! Invariant: a file has its final name only after its bytes were hashed, by this process or
//! again by a later one that also wrote them again, and synced. So what `large/` lists at
//! open needs no second look; one sync of the directory makes the names durable.
//! Out of scope: parts of an upload (`staging`); checking a range against the id.

use std::{
    collections::HashMap,
    io,
    ops::Range,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use bytes::Bytes;
use cairn_proto::hash::ContentId;

use super::{ContentError, upload::Ready};
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
}

impl Large {
    pub(super) fn open(disk: Arc<dyn Disk>, directory: PathBuf) -> Result<Self, StoreError> {
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
        })
    }

    pub(super) fn size(&self, id: &ContentId) -> Option<u64> {
        reading(&self.sizes).get(id).copied()
    }

    /// Moves verified staged files here, durable on return. Their bytes were synced when
    /// they were complete (`staging`).
    pub(super) fn adopt(&self, staged: &[(ContentId, Ready)]) -> Result<(), ContentError> {
        if staged.is_empty() {
            return Ok(());
        }
        let _one = self.adopting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut adopted = Vec::new();
        let mut missing = Ok(());
        for (id, ready) in staged {
            if self.size(id).is_some() {
                continue;
            }
            let target = self.directory.join(id.to_string());
            match self.disk.rename(&ready.path, &target) {
                // It expired meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    missing = Err(ContentError::Missing { id: *id });
                }
                result => {
                    result.map_err(StoreError::io(&target, 0))?;
                    adopted.push((*id, ready.bytes));
                }
            }
        }
        self.disk
            .sync_dir(&self.directory)
            .map_err(StoreError::io(&self.directory, 0))?;
        writing(&self.sizes).extend(adopted);
        missing
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
