//! The small file interface that everything durable goes through.
//!
//! `OsDisk` is the real one. A storage fake (live against durable bytes, torn sectors,
//! injected errors) stands in behind the same two traits.
//! Invariant: nothing here is durable before `sync` (bytes) or `sync_dir` (names) says so.
//! No symbolic link is followed in a path's last component; files are 0600, directories 0700.
//! Out of scope: formats, retries. After a failed `sync` nothing may be retried in place:
//! the kernel may have dropped the bytes and marked the pages clean.

use std::{
    fmt,
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt as _, FileExt as _},
    path::Path,
    sync::Arc,
};

use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use thiserror::Error;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

/// An open file. All methods may be called from several threads at once.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Fills the buffer from `offset`; the count is short only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of the data at `offset`, growing the file if need be.
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()>;
    /// Bytes of the file.
    fn size(&self) -> io::Result<u64>;
    /// Cuts the file to, or extends it with zeros to, so many bytes.
    fn set_size(&self, bytes: u64) -> io::Result<()>;
    /// Makes bytes and size durable (`fdatasync`).
    fn sync(&self) -> io::Result<()>;
}

/// A held lock; dropping it releases.
pub trait Held: Send + Sync + fmt::Debug {}

/// Why a lock was not taken.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process has it.
    #[error("held by {}", holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}")))]
    Held {
        /// Its process id, as far as it wrote one.
        holder: Option<u32>,
    },
    /// The lock file could not be used.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Names, and what can be done with them.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens an existing regular file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Creates a file that must not exist. The name is durable after `sync_dir`.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Names in a directory, in no order.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// Creates a directory; one that exists is fine.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Gives a file another name, replacing what has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, directory: &Path) -> io::Result<()>;
    /// Takes the exclusive lock that a file stands for, creating it, without waiting.
    fn lock(&self, path: &Path) -> Result<Box<dyn Held>, LockError>;
}

/// Whether the error says that there is no room: disk, quota or file size limit.
pub fn is_no_space(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Reads exactly the buffer; a short file is an error.
pub(crate) fn read_exact_at(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    if file.read_at(buffer, offset)? == buffer.len() {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisk;

#[derive(Debug)]
struct OsFile(File);

#[derive(Debug)]
struct OsLock {
    /// The lock lives as long as this descriptor. It is close-on-exec, so no child keeps it.
    _file: File,
}

impl Held for OsLock {}

const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
const DIRECTORY_MODE: u32 = 0o700;

fn open_file(path: &Path, extra: OFlags) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | extra;
    let file = File::from(rustix::fs::open(path, flags, FILE_MODE)?);
    // A pipe or device in a file's place would block or answer anything.
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ))
    }
}

impl Disk for OsDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OsFile(open_file(path, OFlags::empty())?)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = open_file(path, OFlags::CREATE | OFlags::EXCL)?;
        Ok(Arc::new(OsFile(file)))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(directory)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
            // `is_dir` of the link's own metadata: a link to elsewhere is not our directory.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::symlink_metadata(path)?.is_dir() {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            result => result,
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
        let handle = rustix::fs::open(directory, flags, Mode::empty())?;
        Ok(rustix::fs::fsync(handle)?)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Held>, LockError> {
        let file = open_file(path, OFlags::CREATE)?;
        if let Err(error) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(LockError::Io(error.into()));
            }
            // The file's text only helps the person; the lock itself is the kernel's.
            let mut text = [0; 16];
            let count = file.read_at(&mut text, 0).unwrap_or(0);
            let holder = std::str::from_utf8(text.get(..count).unwrap_or_default())
                .ok()
                .and_then(|text| text.trim().parse().ok());
            return Err(LockError::Held { holder });
        }
        file.set_len(0)?;
        file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0)?;
        Ok(Box::new(OsLock { _file: file }))
    }
}

impl DiskFile for OsFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.0.read_at(rest, offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
