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
mod table;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use cairn_proto::hash::ContentId;

use super::{
    ContentError, ContentLimits, empty_content,
    erased::Erased,
    upload::{Ready, State, Upload},
};
use crate::{disk::Disk, segment::StoreError};
use table::{Owner, Row, Table, list_owner, owner_of, parse_owner};

/// Whether more parts follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// More follow.
    More,
    /// This one ends the content.
    Last,
}

/// The staging area.
#[derive(Debug)]
pub struct Staging {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    limits: ContentLimits,
    erased: Arc<Erased>,
    table: Mutex<Table>,
}

impl Staging {
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        limits: ContentLimits,
        erased: Arc<Erased>,
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
            erased,
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
                // Under the upload's lock: what is written before an erasure is found by it.
                let result = self.erased.check(&id).and_then(|()| {
                    upload.resolve(self.disk.as_ref(), state)?;
                    let charged = self.charge(state, offset, data.len() as u64)?;
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

    /// Whether anybody's copy of the content, or a part of one, is staged.
    pub(super) fn holds(&self, id: &ContentId) -> bool {
        let table = self.table();
        table.owners.values().any(|it| it.rows.contains_key(id))
    }

    /// Overwrites and drops every owner's copies of the contents; durable on return.
    pub(super) fn erase(&self, ids: &[ContentId]) -> Result<(), StoreError> {
        let mut found = Vec::new();
        for (owner, owned) in &self.table().owners {
            let rows = ids.iter().filter_map(|id| owned.rows.get(id));
            found.extend(rows.map(|row| (*owner, Arc::clone(&row.upload))));
        }
        for (owner, upload) in found {
            let mut state = upload.state();
            let before = state.weight();
            let erased = upload.erase(self.disk.as_ref(), &mut state);
            self.table().book(&owner, &upload, before, &state);
            erased?;
        }
        // Those of owners without uploads too: a file that went when its content was packed
        // comes back after a crash, until its directory says durably that it is gone.
        let names = self.disk.list(&self.directory);
        let names = names.map_err(StoreError::io(&self.directory, 0))?;
        let owners = names.iter().filter(|name| parse_owner(name).is_some());
        let owners = owners.map(|name| self.directory.join(name));
        for directory in owners.chain([self.directory.clone()]) {
            let synced = self.disk.sync_dir(&directory);
            synced.map_err(StoreError::io(&directory, 0))?;
        }
        Ok(())
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
