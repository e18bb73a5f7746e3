//! The table of uploads: whose, how many, how many bytes.
//!
//! Invariant: what the table counts is what its rows weigh; an owner without rows is not in it.

use std::{collections::HashMap, path::Path, sync::Arc, time::Instant};

use cairn_proto::hash::ContentId;

use super::super::{
    marks,
    upload::{State, Upload, Weight},
};
use crate::{disk::Disk, segment::StoreError};

/// Owners are arbitrary text: a hash of it makes a file name.
pub(super) type Owner = [u8; 16];

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) owners: HashMap<Owner, Owned>,
    pub(super) uploads: usize,
    pub(super) unfinished: usize,
    pub(super) bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Owned {
    pub(super) rows: HashMap<ContentId, Row>,
    pub(super) unfinished: usize,
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) upload: Arc<Upload>,
    pub(super) touched: Instant,
}

pub(super) fn owner_of(text: &str) -> Owner {
    let mut owner = [0; 16];
    blake3::Hasher::new_derive_key("cairn 2025 staging owner")
        .update(text.as_bytes())
        .finalize_xof()
        .fill(&mut owner);
    owner
}

pub(super) fn parse_owner(name: &str) -> Option<Owner> {
    let mut owner = [0; 16];
    hex::decode_to_slice(name, &mut owner).ok()?;
    (hex::encode(owner) == name).then_some(owner)
}

impl Table {
    pub(super) fn insert(&mut self, owner: Owner, upload: Arc<Upload>, weight: Weight) {
        let theirs = self.owners.entry(owner).or_default();
        theirs.unfinished += weight.unfinished;
        self.unfinished += weight.unfinished;
        self.bytes += weight.bytes;
        self.uploads += 1;
        theirs.rows.insert(
            upload.id,
            Row {
                upload,
                touched: Instant::now(),
            },
        );
    }

    /// Books what an operation made of an upload, and forgets one that is gone.
    pub(super) fn book(&mut self, owner: &Owner, upload: &Upload, before: Weight, after: &State) {
        let now = after.weight();
        let count = |total: usize| (total + now.unfinished).saturating_sub(before.unfinished);
        self.bytes = (self.bytes + now.bytes).saturating_sub(before.bytes);
        self.unfinished = count(self.unfinished);
        if let Some(theirs) = self.owners.get_mut(owner) {
            theirs.unfinished = count(theirs.unfinished);
            if matches!(after, State::Gone) && theirs.rows.remove(&upload.id).is_some() {
                self.uploads -= 1;
            }
            if theirs.rows.is_empty() {
                self.owners.remove(owner);
            }
        }
    }
}

/// Takes up what an earlier process left of one owner.
pub(super) fn list_owner(
    disk: &dyn Disk,
    directory: &Path,
    owner: Owner,
    table: &mut Table,
) -> Result<(), StoreError> {
    let mut kept = 0;
    for name in disk
        .list(directory)
        .map_err(StoreError::read(directory, 0))?
    {
        let path = directory.join(&name);
        if marks::sweep(disk, &path) {
            continue;
        }
        if let Ok(id) = name.parse::<ContentId>() {
            let bytes = disk.open(&path).and_then(|file| file.size());
            let state = State::Kept(bytes.map_err(StoreError::read(&path, 0))?);
            let weight = state.weight();
            table.insert(owner, Arc::new(Upload::new(id, path, state)), weight);
        }
        kept += 1;
    }
    if kept == 0 {
        // Best effort: an empty directory costs nothing but its name.
        let _ = disk.remove_dir(directory);
    }
    Ok(())
}
