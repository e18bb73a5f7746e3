//! A disk in memory that can lose what was not synced, and fail at a chosen operation.
//!
//! Every file has live bytes (what a reader sees) and durable bytes (what a sync covered).
//! `crash` decides what of the difference the disk got, in sectors of 512 bytes.
//! Out of scope: names; a change of those is durable at once.
#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use super::{Disk, DiskFile, Held, LockError};

const SECTOR_BYTES: usize = 512;

/// What becomes of bytes that no sync covered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsynced {
    /// The disk got none of them.
    Lost,
    /// A restart without a reboot: the page cache still shows them all.
    Shown,
    /// The disk got some sectors and not others, as the seed says.
    Torn(u64),
}

#[derive(Debug, Default)]
struct Shared {
    files: Mutex<BTreeMap<PathBuf, Arc<Bytes>>>,
    locked: AtomicBool,
    /// Changes until one fails; `u64::MAX` for none.
    left: AtomicU64,
    full: AtomicBool,
    /// Where each write since the last crash began.
    written: Mutex<Vec<(PathBuf, u64)>>,
}

#[derive(Debug, Default)]
struct Bytes {
    live: Mutex<Vec<u8>>,
    durable: Mutex<Vec<u8>>,
}

/// The fake. Clones share their files.
#[derive(Debug, Clone)]
pub(crate) struct FakeDisk(Arc<Shared>);

#[derive(Debug)]
struct FakeFile {
    disk: FakeDisk,
    path: PathBuf,
    bytes: Arc<Bytes>,
}

#[derive(Debug)]
struct FakeLock(FakeDisk);

impl Held for FakeLock {}

impl Drop for FakeLock {
    fn drop(&mut self) {
        self.0.0.locked.store(false, SeqCst);
    }
}

impl FakeDisk {
    pub(crate) fn new() -> Self {
        let shared = Shared::default();
        shared.left.store(u64::MAX, SeqCst);
        Self(Arc::new(shared))
    }

    pub(crate) fn shared(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    /// After so many more changes, every change fails.
    pub(crate) fn fail_after(&self, changes: u64) {
        self.0.left.store(changes, SeqCst);
    }

    /// Whether a change has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.left.load(SeqCst) == 0
    }

    /// Whether files can grow.
    pub(crate) fn fill_up(&self, full: bool) {
        self.0.full.store(full, SeqCst);
    }

    /// Ends the failing, and settles what became of unsynced bytes.
    pub(crate) fn crash(&self, unsynced: Unsynced) {
        self.fail_after(u64::MAX);
        self.0.written.lock().unwrap().clear();
        for (number, file) in self.files().values().enumerate() {
            let mut live = file.live.lock().unwrap();
            let mut durable = file.durable.lock().unwrap();
            match unsynced {
                Unsynced::Lost => live.clone_from(&durable),
                Unsynced::Shown => {}
                Unsynced::Torn(seed) => {
                    if live.len() > durable.len() {
                        durable.resize(live.len(), 0);
                    }
                    let sectors = live
                        .chunks(SECTOR_BYTES)
                        .zip(durable.chunks_mut(SECTOR_BYTES));
                    for (sector, (new, old)) in sectors.enumerate() {
                        if old[..new.len()] == *new {
                            continue;
                        }
                        let coin = blake3::hash(format!("{seed} {number} {sector}").as_bytes());
                        if coin.as_bytes()[0] & 1 == 1 {
                            old[..new.len()].copy_from_slice(new);
                        }
                    }
                    live.clone_from(&durable);
                }
            }
        }
    }

    /// Where each write since the last crash began.
    pub(crate) fn written(&self) -> Vec<(PathBuf, u64)> {
        self.0.written.lock().unwrap().clone()
    }

    /// A file's live bytes.
    pub(crate) fn get(&self, path: &Path) -> Vec<u8> {
        self.files()[path].live.lock().unwrap().clone()
    }

    /// Replaces a file's bytes, durably.
    pub(crate) fn put(&self, path: &Path, bytes: &[u8]) {
        let file = Bytes {
            live: Mutex::new(bytes.to_vec()),
            durable: Mutex::new(bytes.to_vec()),
        };
        self.files().insert(path.to_owned(), Arc::new(file));
    }

    /// All files and their live bytes.
    pub(crate) fn image(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let files = self.files();
        let one = |(path, file): (&PathBuf, &Arc<Bytes>)| {
            (path.clone(), file.live.lock().unwrap().clone())
        };
        files.iter().map(one).collect()
    }

    /// A disk with these files, all durable.
    pub(crate) fn of(image: &BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let disk = Self::new();
        for (path, bytes) in image {
            disk.put(path, bytes);
        }
        disk
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Arc<Bytes>>> {
        self.0.files.lock().unwrap()
    }

    fn change(&self) -> io::Result<()> {
        let left = self.0.left.load(SeqCst);
        if left == 0 {
            return Err(io::Error::other("injected"));
        }
        if left != u64::MAX {
            self.0.left.store(left - 1, SeqCst);
        }
        Ok(())
    }

    fn file(&self, path: &Path, bytes: &Arc<Bytes>) -> Arc<dyn DiskFile> {
        let (disk, path, bytes) = (self.clone(), path.to_owned(), Arc::clone(bytes));
        Arc::new(FakeFile { disk, path, bytes })
    }
}

impl Disk for FakeDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let files = self.files();
        let bytes = files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(path, bytes))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.change()?;
        let mut files = self.files();
        if files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let bytes = files.entry(path.to_owned()).or_default();
        Ok(self.file(path, bytes))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names: Vec<String> = self
            .files()
            .keys()
            .filter_map(|path| path.strip_prefix(directory).ok()?.iter().next())
            .map(|name| name.to_str().unwrap().to_owned())
            .collect();
        names.dedup();
        Ok(names)
    }

    fn create_dir(&self, _: &Path) -> io::Result<()> {
        self.change()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change()?;
        let mut files = self.files();
        let bytes = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), bytes);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change()?;
        let gone = self.files().remove(path);
        gone.map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        self.change()
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        self.change()
    }

    fn lock(&self, _: &Path) -> Result<Box<dyn Held>, LockError> {
        if self.0.locked.swap(true, SeqCst) {
            return Err(LockError::Held { holder: None });
        }
        Ok(Box::new(FakeLock(self.clone())))
    }
}

impl DiskFile for FakeFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let live = self.bytes.live.lock().unwrap();
        let rest = live
            .get(usize::try_from(offset).unwrap()..)
            .unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.disk.change()?;
        self.disk
            .0
            .written
            .lock()
            .unwrap()
            .push((self.path.clone(), offset));
        let mut live = self.bytes.live.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        if start + data.len() > live.len() {
            if self.disk.0.full.load(SeqCst) {
                // As a disk does: what still fitted is written.
                let half = &data[..data.len() / 2];
                let end = live.len().max(start + half.len());
                live.resize(end, 0);
                live[start..start + half.len()].copy_from_slice(half);
                return Err(io::ErrorKind::StorageFull.into());
            }
            live.resize(start + data.len(), 0);
        }
        live[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.bytes.live.lock().unwrap().len() as u64)
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.disk.change()?;
        self.bytes
            .live
            .lock()
            .unwrap()
            .resize(usize::try_from(bytes).unwrap(), 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.change()?;
        let live = self.bytes.live.lock().unwrap();
        self.bytes.durable.lock().unwrap().clone_from(&live);
        Ok(())
    }
}
