//! Private files: written whole or not at all, read within bounds, changed under a lock.
//!
//! Invariant: after a crash at any moment a file is what it was before or what it was to
//! become. Directories are made 0700, files 0600.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tempfile::NamedTempFile;

use crate::error::HomeError;

/// How long another process may hold a lock: an update takes milliseconds.
const LOCK_WAIT: Duration = Duration::from_secs(10);

pub(crate) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> HomeError + use<> {
    let path = path.to_owned();
    move |error| HomeError::Io { path, error }
}

/// Makes a directory, and those above it, for this user alone.
pub(crate) fn create_directory(path: &Path) -> Result<(), HomeError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(io_error(path))
}

/// A file with these bytes, in the directory of `path` and under a name nobody can guess.
fn draft(path: &Path, bytes: &[u8]) -> Result<NamedTempFile, HomeError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    create_directory(directory)?;
    let make = || {
        // `tempfile` creates 0600.
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(directory)?;
        file.write_all(bytes)?;
        Ok(file)
    };
    make().map_err(io_error(path))
}

/// A draft whose bytes are durable before a name points at them.
fn durable_draft(path: &Path, bytes: &[u8]) -> Result<NamedTempFile, HomeError> {
    let file = draft(path, bytes)?;
    file.as_file().sync_all().map_err(io_error(path))?;
    Ok(file)
}

/// Replaces a file. The bytes are durable before the name points at them, and the name is
/// durable before this returns.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), HomeError> {
    let file = durable_draft(path, bytes)?;
    let persisted = file.persist(path);
    persisted.map_err(|error| io_error(path)(error.error))?;
    sync(path)
}

/// Makes sure that a file that stands is there after a crash as well: whoever replaced it may
/// have been killed before its name was durable.
pub(crate) fn sync(path: &Path) -> Result<(), HomeError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let sync = || File::open(directory)?.sync_all();
    sync().map_err(io_error(path))
}

/// Replaces a file whose loss or damage costs nothing but time.
pub(crate) fn write_unsynced(path: &Path, bytes: &[u8]) -> Result<(), HomeError> {
    let persisted = draft(path, bytes)?.persist(path);
    persisted.map_err(|error| io_error(path)(error.error))?;
    Ok(())
}

/// Creates a file under a name that is free; `false` if it is taken.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> Result<bool, HomeError> {
    match durable_draft(path, bytes)?.persist_noclobber(path) {
        Ok(_) => sync(path).map(|()| true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(io_error(path)(error.error)),
    }
}

/// Reads a file of at most `bytes_max` bytes; `None` if there is none.
pub(crate) fn read(path: &Path, bytes_max: usize) -> Result<Option<Vec<u8>>, HomeError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(path)(error)),
    };
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(io_error(path))?;
    if bytes.len() > bytes_max {
        return Err(HomeError::Damaged {
            path: path.to_owned(),
            why: "it is larger than such a file can be",
        });
    }
    Ok(Some(bytes))
}

/// An advisory lock, held until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock file beside `path`.
    pub(crate) fn of(path: &Path) -> Result<Self, HomeError> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        create_directory(path.parent().unwrap_or(Path::new(".")))?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(io_error(&path))?;
        let started = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(fs::TryLockError::Error(error)) => return Err(io_error(&path)(error)),
                Err(fs::TryLockError::WouldBlock) if started.elapsed() > LOCK_WAIT => {
                    return Err(HomeError::Locked { path });
                }
                Err(fs::TryLockError::WouldBlock) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
    }
}
