//! A disk in memory that can lose what was not synced, and fail at a chosen operation.
//!
//! Bytes and names are each live (what a reader sees) and durable (what a sync covered), in
//! `platter`. A `Plan` says at which operation the disk fails and how; a `Watcher` sees the
//! platter before every change, and may keep what a crash at that moment would leave.
//! Invariant: what was synced survives every crash, and nothing else is sure to.
//! Out of scope: permissions, links, two processes (the lock is one flag for each disk).
#![allow(clippy::unwrap_used)]

mod change;
mod content;
mod file;
mod platter;
mod random;
mod tests;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

pub(crate) use change::{Change, Unsynced};
pub(crate) use platter::Platter;
pub(crate) use random::Random;

use super::{Disk, DiskFile, Held, LockError};

/// What the operation at a number does instead of what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Plan {
    /// All goes well.
    #[default]
    Well,
    /// Every change fails from the n-th one on, as after a crash.
    DiesAfterChanges(u64),
    /// The n-th operation, of reads too, fails once; the process goes on.
    ErrorAt(u64),
    /// From the n-th operation on nothing can grow, until `relieve`.
    FullFrom(u64),
}

/// Sees every change before it happens.
type Watcher = Box<dyn FnMut(&Platter, &Change) + Send>;

#[derive(Default)]
struct State {
    platter: Platter,
    plan: Plan,
    /// Operations so far, reads included.
    operations: u64,
    /// Changes so far.
    changes: u64,
    /// What the plan made fail, if it did.
    failed: Option<String>,
    full: bool,
    locked: bool,
    /// Where each write since the last crash began.
    written: Vec<(PathBuf, u64)>,
    watcher: Option<Watcher>,
}

impl fmt::Debug for State {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "State({:?}, {:?})", self.plan, self.failed)
    }
}

/// The fake. Clones share their files.
#[derive(Debug, Clone, Default)]
pub(crate) struct FakeDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct FakeFile {
    disk: FakeDisk,
    path: PathBuf,
    file: u64,
}

#[derive(Debug)]
struct FakeLock(FakeDisk);

impl Held for FakeLock {}

impl Drop for FakeLock {
    fn drop(&mut self) {
        self.0.state().locked = false;
    }
}

const READ: &str = "a read";

fn injected() -> io::Error {
    io::Error::other("injected")
}

impl FakeDisk {
    /// An empty disk on which every directory exists.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A disk with these contents.
    pub(crate) fn with(platter: Platter) -> Self {
        let disk = Self::default();
        disk.state().platter = platter;
        disk
    }

    /// A disk with these files, all durable.
    pub(crate) fn of(image: &BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let disk = Self::new();
        for (path, bytes) in image {
            disk.put(path, bytes);
        }
        disk
    }

    pub(crate) fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// What will fail, counted from now.
    pub(crate) fn plan(&self, plan: Plan) {
        let mut state = self.state();
        (state.operations, state.changes, state.full) = (0, 0, false);
        state.failed = None;
        state.plan = plan;
    }

    /// Shows every change from now on to the watcher before it happens.
    pub(crate) fn watch(&self, watcher: impl FnMut(&Platter, &Change) + Send + 'static) {
        self.state().watcher = Some(Box::new(watcher));
    }

    /// After so many more changes, every change fails.
    pub(crate) fn fail_after(&self, changes: u64) {
        self.plan(Plan::DiesAfterChanges(changes));
    }

    /// Whether the plan made something fail.
    pub(crate) fn has_failed(&self) -> bool {
        self.state().failed.is_some()
    }

    /// What the plan made fail.
    pub(crate) fn failure(&self) -> Option<String> {
        self.state().failed.clone()
    }

    /// The change that an error was reported for, if one was. Reads are none, and nobody
    /// relies on the removal of an empty directory.
    pub(crate) fn failed_change(&self) -> Option<String> {
        let state = self.state();
        let failed = state.failed.clone();
        let planned = matches!(state.plan, Plan::ErrorAt(_));
        failed.filter(|what| planned && what != READ && !what.starts_with("RemoveDir"))
    }

    /// Operations since the plan was made.
    pub(crate) fn operations(&self) -> u64 {
        self.state().operations
    }

    /// Calls something that the plan shall not touch.
    pub(crate) fn quietly<T>(&self, call: impl FnOnce() -> T) -> T {
        let mut state = self.state();
        let plan = std::mem::take(&mut state.plan);
        let before = (state.operations, state.changes);
        drop(state);
        let result = call();
        let mut state = self.state();
        (state.operations, state.changes) = before;
        state.plan = plan;
        result
    }

    /// Whether files can grow.
    pub(crate) fn fill_up(&self, full: bool) {
        self.state().full = full;
    }

    /// There is room again.
    pub(crate) fn relieve(&self) {
        let mut state = self.state();
        state.full = false;
        state.plan = Plan::Well;
    }

    /// Whether a process has the lock.
    pub(crate) fn is_locked(&self) -> bool {
        self.state().locked
    }

    /// Ends the failing, and settles what became of what was not synced.
    pub(crate) fn crash(&self, unsynced: Unsynced) {
        let mut state = self.state();
        state.plan = Plan::Well;
        state.failed = None;
        state.written.clear();
        state.platter.crash(unsynced);
    }

    /// The disk as it is.
    pub(crate) fn platter(&self) -> Platter {
        self.state().platter.clone()
    }

    /// Where each write since the last crash began.
    pub(crate) fn written(&self) -> Vec<(PathBuf, u64)> {
        self.state().written.clone()
    }

    /// A file's live bytes.
    pub(crate) fn get(&self, path: &Path) -> Vec<u8> {
        self.state().platter.bytes(path).unwrap()
    }

    /// Replaces a file's bytes, durably.
    pub(crate) fn put(&self, path: &Path, bytes: &[u8]) {
        self.state().platter.put(path, bytes);
    }

    /// All files and their live bytes.
    pub(crate) fn image(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        let paths: Vec<_> = state.platter.files().collect();
        let one = |path: PathBuf| {
            let bytes = state.platter.bytes(&path).unwrap();
            (path, bytes)
        };
        paths.into_iter().map(one).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn read<T>(&self, what: impl FnOnce(&Platter) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state();
        state.operation(|| READ.to_owned())?;
        what(&state.platter)
    }

    /// Makes a change, or what the plan has in its place.
    fn change(&self, change: &Change) -> io::Result<u64> {
        let mut state = self.state();
        let state = &mut *state;
        if let Some(watcher) = &mut state.watcher {
            watcher(&state.platter, change);
        }
        let number = state.changes;
        state.changes += 1;
        if let Plan::DiesAfterChanges(after) = state.plan
            && number >= after
        {
            state.failed.get_or_insert_with(|| change.to_string());
            state.platter.fail(change);
            return Err(injected());
        }
        if let Err(error) = state.operation(|| change.to_string()) {
            state.platter.fail(change);
            return Err(error);
        }
        if state.full && state.platter.grows(change) {
            if let Plan::FullFrom(_) = state.plan {
                state.failed.get_or_insert_with(|| change.to_string());
            }
            state.platter.apply_half(change);
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let Change::Write { path, offset, .. } = change {
            state.written.push((path.clone(), *offset));
        }
        state.platter.apply(change)
    }
}

impl State {
    fn operation(&mut self, name: impl FnOnce() -> String) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        match self.plan {
            Plan::ErrorAt(at) if at == number => {
                self.failed = Some(name());
                Err(injected())
            }
            Plan::FullFrom(at) if at <= number => {
                self.full = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Disk for FakeDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.read(|platter| platter.file(path))?;
        Ok(self.opened(path, file))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.change(&Change::Create(path.to_owned()))?;
        Ok(self.opened(path, file))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.read(|platter| platter.list(directory))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.change(&Change::CreateDir(path.to_owned())).map(drop)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (from.to_owned(), to.to_owned());
        self.change(&Change::Rename { from, to }).map(drop)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(&Change::Remove(path.to_owned())).map(drop)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.change(&Change::RemoveDir(path.to_owned())).map(drop)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let directory = directory.to_owned();
        self.change(&Change::SyncDir(directory)).map(drop)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Held>, LockError> {
        if std::mem::replace(&mut self.state().locked, true) {
            return Err(LockError::Held { holder: None });
        }
        // Dropped, and so released, if the file cannot be made.
        let held = FakeLock(self.clone());
        match self.change(&Change::Create(path.to_owned())) {
            // There, or no room for a file that holds nothing: the lock is the kernel's.
            Err(error) if error.kind() == io::ErrorKind::Other => Err(error.into()),
            _ => Ok(Box::new(held)),
        }
    }
}

impl FakeDisk {
    fn opened(&self, path: &Path, file: u64) -> Arc<dyn DiskFile> {
        let (disk, path) = (self.clone(), path.to_owned());
        Arc::new(FakeFile { disk, path, file })
    }
}

impl DiskFile for FakeFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk
            .read(|platter| Ok(platter.read(self.file, buffer, offset)))
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let change = Change::Write {
            path: self.path.clone(),
            file: self.file,
            offset,
            data: data.into(),
        };
        self.disk.change(&change).map(drop)
    }

    fn size(&self) -> io::Result<u64> {
        self.disk.read(|platter| Ok(platter.size(self.file)))
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        let change = Change::SetSize {
            file: self.file,
            bytes,
        };
        self.disk.change(&change).map(drop)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk
            .change(&Change::Sync {
                path: self.path.clone(),
                file: self.file,
            })
            .map(drop)
    }
}
