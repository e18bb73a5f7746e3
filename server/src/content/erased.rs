//! Which contents an order of the admins erased: from then on nobody reads, sends or stores them.
//!
//! Invariant: an id is here before the first of its bytes is overwritten. Whoever looks after
//! taking the lock under which bytes of a content would be written (an upload's state, the packs'
//! batch, the large files' adoption) either sees it here, or wrote what the erasure still finds.
//! Out of scope: overwriting; which order it was allowed by.

use std::{collections::HashMap, io, path::Path, sync::RwLock};

use cairn_proto::hash::{ContentId, Index};

use super::ContentError;
use crate::{
    disk::Disk,
    segment::{StoreError, reading, writing, zero},
};

/// Erased contents, and the index of the order that erased each.
#[derive(Debug, Default)]
pub(super) struct Erased(RwLock<HashMap<ContentId, Index>>);

impl Erased {
    pub(super) fn add(&self, contents: impl IntoIterator<Item = (ContentId, Index)>) {
        let mut erased = writing(&self.0);
        for (id, index) in contents {
            erased.entry(id).or_insert(index);
        }
    }

    pub(super) fn index(&self, id: &ContentId) -> Option<Index> {
        reading(&self.0).get(id).copied()
    }

    pub(super) fn any(&self) -> bool {
        !reading(&self.0).is_empty()
    }

    /// Refuses what was erased.
    pub(super) fn check(&self, id: &ContentId) -> Result<(), ContentError> {
        match self.index(id) {
            Some(index) => Err(ContentError::Erased { id: *id, index }),
            None => Ok(()),
        }
    }
}

/// Overwrites a file durably, then removes it; one that is gone is fine. The caller syncs the
/// directory.
pub(super) fn wipe(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    let file = match disk.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result.map_err(StoreError::io(path, 0))?,
    };
    let size = file.size().map_err(StoreError::io(path, 0))?;
    zero(file.as_ref(), 0, size).map_err(StoreError::io(path, 0))?;
    file.sync().map_err(StoreError::io(path, 0))?;
    disk.remove(path).map_err(StoreError::io(path, 0))
}
