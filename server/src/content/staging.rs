//! Uploads that no entry names yet, per owner.
//!
//! Invariants:
//! - What is staged is bounded: bytes, contents and unfinished uploads of all owners, the
//!   latter of one owner, bytes of one content. A refusal for any of them drops nothing that was accepted.
//! - An owner learns nothing of another's uploads, and gains nothing from them.
//! - Nothing here is durable, nor need it be: what is lost is sent again.
//!
//! Locks: the large files', an upload's state, the table; never the other way round. Ages are counted by
//! the monotonic clock from the last touch in this process, so no wrong clock expires
//! anything; a restart begins them anew. An owner's directory stays until the next open.
//! Out of scope: who an owner is; making contents durable (`ContentFiles::promote`).

mod keep;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use cairn_proto::hash::ContentId;

use super::{
    ContentError, ContentLimits, empty_content, marks,
    upload::{Ready, State, Upload, Weight},
};
use crate::{disk::Disk, segment::StoreError};

/// Whether more parts follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// More follow.
    More,
    /// This one ends the content.
    Last,
}

/// Owners are arbitrary text: a hash of it makes a file name.
type Owner = [u8; 16];

/// The staging area.
#[derive(Debug)]
pub struct Staging {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    limits: ContentLimits,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    owners: HashMap<Owner, Owned>,
    uploads: usize,
    unfinished: usize,
    bytes: u64,
}

#[derive(Debug, Default)]
struct Owned {
    rows: HashMap<ContentId, Row>,
    unfinished: usize,
}

#[derive(Debug)]
struct Row {
    upload: Arc<Upload>,
    touched: Instant,
}

fn owner_of(text: &str) -> Owner {
    let mut owner = [0; 16];
    blake3::Hasher::new_derive_key("cairn 2025 staging owner")
        .update(text.as_bytes())
        .finalize_xof()
        .fill(&mut owner);
    owner
}

fn parse_owner(name: &str) -> Option<Owner> {
    let mut owner = [0; 16];
    hex::decode_to_slice(name, &mut owner).ok()?;
    (hex::encode(owner) == name).then_some(owner)
}

impl Table {
    fn insert(&mut self, owner: Owner, upload: Arc<Upload>, weight: Weight) {
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
    fn book(&mut self, owner: &Owner, upload: &Upload, before: Weight, after: &State) {
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

impl Staging {
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        limits: ContentLimits,
    ) -> Result<Self, StoreError> {
        let mut table = Table::default();
        for name in disk
            .list(&directory)
            .map_err(StoreError::read(&directory, 0))?
        {
            if let Some(owner) = parse_owner(&name) {
                list_owner(disk.as_ref(), &directory.join(name), owner, &mut table)?;
            }
        }
        Ok(Self {
            disk,
            directory,
            limits,
            table: Mutex::new(table),
        })
    }

    /// Adds a part of a content, in order. With the last part the whole must hash to the id,
    /// else what is staged of it is dropped. A part of a complete content is a repetition.
    pub fn write(
        &self,
        owner: &str,
        id: ContentId,
        offset: u64,
        data: &[u8],
        part: Part,
    ) -> Result<(), ContentError> {
        if id == empty_content() {
            let found = ContentId::of(data);
            let right = offset == 0 && data.is_empty();
            return if right {
                Ok(())
            } else {
                Err(ContentError::Mismatch { id, found })
            };
        }
        let max = self.limits.content_bytes_max;
        if offset.saturating_add(data.len() as u64) > max {
            return Err(ContentError::TooLarge { max });
        }
        let owner = owner_of(owner);
        loop {
            let upload = self.begin(owner, id, offset)?;
            let mut state = upload.state();
            if let State::Gone = *state {
                // Its row went before the lock did: the next look finds another or none.
                continue;
            }
            return self.booked(&owner, &upload, &mut state, |state| {
                upload.resolve(self.disk.as_ref(), state)?;
                let charged = self.charge(state, offset, data.len() as u64);
                let result = charged.and_then(|charged| {
                    let result = upload.add(self.disk.as_ref(), state, offset, data, part);
                    self.table().bytes -= charged;
                    result
                });
                if let State::New = state {
                    // Nothing came of it, so it shall not count.
                    *state = State::Gone;
                }
                result
            });
        }
    }

    /// Nobody sends this content any more: how far it came is noted, so that it counts after
    /// a restart too.
    pub fn pause(&self, owner: &str, id: &ContentId) -> Result<(), ContentError> {
        let Some(upload) = self.find(&owner_of(owner), id) else {
            return Ok(());
        };
        let mut state = upload.state();
        Ok(state.pause(self.disk.as_ref())?)
    }

    /// Bytes that the owner need not send again; after a restart not yet verified (`claimed`
    /// does that).
    pub fn kept(&self, owner: &str, id: &ContentId) -> u64 {
        self.find(&owner_of(owner), id)
            .map_or(0, |upload| upload.state().kept())
    }

    /// Bytes of a content that this owner has sent whole; `None` if it has not.
    pub fn claimed(&self, owner: &str, id: &ContentId) -> Result<Option<u64>, ContentError> {
        if *id == empty_content() {
            return Ok(Some(0));
        }
        Ok(self.ready(owner, id)?.map(|ready| ready.bytes))
    }

    /// Drops uploads and claims that nobody touched for so long; says how many.
    pub fn expire(&self, older_than: Duration) -> Result<usize, ContentError> {
        let old = |row: &Row| row.touched.elapsed() >= older_than;
        let mut found = Vec::new();
        for (owner, owned) in &self.table().owners {
            let rows = owned.rows.values().filter(|row| old(row));
            found.extend(rows.map(|row| (*owner, Arc::clone(&row.upload))));
        }
        let mut dropped = 0;
        for (owner, upload) in found {
            let mut state = upload.state();
            let still_old = {
                let table = self.table();
                let row = table
                    .owners
                    .get(&owner)
                    .and_then(|owned| owned.rows.get(&upload.id));
                row.is_some_and(|row| Arc::ptr_eq(&row.upload, &upload) && old(row))
            };
            if still_old {
                self.booked(&owner, &upload, &mut state, |state| {
                    Ok(upload.discard(self.disk.as_ref(), state)?)
                })?;
                dropped += 1;
            }
        }
        Ok(dropped)
    }

    /// The staged file of a content that the owner has sent whole.
    pub(super) fn ready(&self, owner: &str, id: &ContentId) -> Result<Option<Ready>, ContentError> {
        let owner = owner_of(owner);
        let Some(upload) = self.find(&owner, id) else {
            return Ok(None);
        };
        let mut state = upload.state();
        self.booked(&owner, &upload, &mut state, |state| {
            Ok(upload.resolve(self.disk.as_ref(), state)?)
        })?;
        Ok(match *state {
            State::Complete(bytes) | State::Durable(bytes) => Some(Ready {
                path: upload.path.clone(),
                bytes,
            }),
            _ => None,
        })
    }

    /// Gives the staged file of a complete content its final name, and says how many bytes
    /// it has; `None` if there is none.
    pub(super) fn hand_over(
        &self,
        owner: &str,
        id: &ContentId,
        target: &Path,
    ) -> Result<Option<u64>, ContentError> {
        let owner = owner_of(owner);
        let Some(upload) = self.find(&owner, id) else {
            return Ok(None);
        };
        let mut state = upload.state();
        self.booked(&owner, &upload, &mut state, |state| {
            Ok(upload.hand_over(self.disk.as_ref(), state, target)?)
        })
    }

    /// Notes that a content is durable elsewhere.
    pub(super) fn settle(&self, owner: &str, id: &ContentId) -> Result<(), ContentError> {
        let owner = owner_of(owner);
        let Some(upload) = self.find(&owner, id) else {
            return Ok(());
        };
        let mut state = upload.state();
        self.booked(&owner, &upload, &mut state, |state| {
            Ok(upload.settle(self.disk.as_ref(), state)?)
        })
    }

    /// Poisoned by a panic between two additions: at worst a count is off until a restart.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, owner: &Owner, id: &ContentId) -> Option<Arc<Upload>> {
        let mut table = self.table();
        let row = table.owners.get_mut(owner)?.rows.get_mut(id)?;
        row.touched = Instant::now();
        Some(Arc::clone(&row.upload))
    }

    /// The owner's upload of the content, begun if there is none.
    fn begin(&self, owner: Owner, id: ContentId, offset: u64) -> Result<Arc<Upload>, ContentError> {
        if let Some(upload) = self.find(&owner, &id) {
            return Ok(upload);
        }
        if offset != 0 {
            return Err(ContentError::Offset { kept: 0 });
        }
        let mut table = self.table();
        if let Some(row) = table
            .owners
            .get(&owner)
            .and_then(|owned| owned.rows.get(&id))
        {
            return Ok(Arc::clone(&row.upload));
        }
        let limits = &self.limits;
        if table.uploads >= limits.uploads_max || table.unfinished >= limits.unfinished_max {
            return Err(ContentError::StagingFull);
        }
        let max = limits.unfinished_per_owner_max;
        if table
            .owners
            .get(&owner)
            .is_some_and(|owned| owned.unfinished >= max)
        {
            return Err(ContentError::TooManyUploads { max });
        }
        let path = self.directory.join(hex::encode(owner)).join(id.to_string());
        let upload = Arc::new(Upload::new(id, path, State::New));
        table.insert(owner, Arc::clone(&upload), State::New.weight());
        Ok(upload)
    }

    /// Counts a part before it is written, so that concurrent parts keep the cap together.
    fn charge(&self, state: &State, offset: u64, bytes: u64) -> Result<u64, ContentError> {
        let appends = matches!(state, State::New | State::Open(_)) && offset == state.kept();
        if !appends {
            return Ok(0);
        }
        let mut table = self.table();
        let total = table.bytes.saturating_add(bytes);
        if total > self.limits.staged_bytes_max {
            return Err(ContentError::StagingFull);
        }
        table.bytes = total;
        Ok(bytes)
    }

    /// Runs an operation on an upload's state, and books the difference, come what may.
    fn booked<T>(
        &self,
        owner: &Owner,
        upload: &Upload,
        state: &mut State,
        operation: impl FnOnce(&mut State) -> Result<T, ContentError>,
    ) -> Result<T, ContentError> {
        let before = state.weight();
        let result = operation(state);
        self.table().book(owner, upload, before, state);
        result
    }
}

/// Takes up what an earlier process left of one owner.
fn list_owner(
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
