//! Opened inputs, and the only ways to reach what lies below them.
//!
//! Invariant: every step below an input is taken from an open directory, by one name, and
//! never through a symbolic link. A directory that is swapped for a link while it is
//! walked yields an error, not somebody else's files. Only the input's own path, which the
//! caller chose, is resolved as the system does.

use std::{
    ffi::OsStr,
    fs::{File, Metadata},
    io,
    os::{fd::AsFd, fd::OwnedFd, unix::ffi::OsStrExt, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// A directory that was opened once: an input, or where an input file lies.
#[derive(Debug)]
pub(crate) struct Root {
    directory: OwnedFd,
    path: PathBuf,
}

impl Root {
    /// Opens a directory; a symbolic link in its path is followed, this once.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            directory: openat(CWD, path, DIRECTORY, Mode::empty())?,
            path: path.to_owned(),
        })
    }

    /// The directory itself.
    pub(crate) fn directory(&self) -> &OwnedFd {
        &self.directory
    }

    /// A path below, for messages.
    pub(crate) fn path(&self, relative: &OsStr) -> PathBuf {
        if relative.is_empty() {
            self.path.clone()
        } else {
            self.path.join(relative)
        }
    }

    /// Opens a file for reading. It is not blocked by a pipe; the caller checks what it got.
    pub(crate) fn open_file(&self, relative: &OsStr) -> io::Result<File> {
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        self.at(relative, |directory, name| {
            Ok(openat(directory, name, flags, Mode::empty())?.into())
        })
    }

    /// The target of a symbolic link.
    pub(super) fn read_link(&self, relative: &OsStr) -> io::Result<Vec<u8>> {
        self.at(relative, |directory, name| {
            Ok(readlinkat(directory, name, Vec::new())?.into_bytes())
        })
    }

    /// Walks to the directory that holds the last name, then does `what` there.
    fn at<T>(
        &self,
        relative: &OsStr,
        what: impl FnOnce(rustix::fd::BorrowedFd<'_>, &OsStr) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut names = relative.as_bytes().split(|byte| *byte == b'/');
        let last = names.next_back().unwrap_or_default();
        let mut directory: Option<OwnedFd> = None;
        for name in names {
            let here = directory.as_ref().unwrap_or(&self.directory);
            directory = Some(open_directory_in(here, OsStr::from_bytes(name))?);
        }
        let here = directory.as_ref().unwrap_or(&self.directory);
        what(here.as_fd(), OsStr::from_bytes(last))
    }
}

/// Opens a regular file below a folder, by a path that somebody wrote into a file there.
pub(crate) fn open_below(folder: &Path, relative: &Path) -> io::Result<File> {
    let file = Root::open(folder)?.open_file(relative.as_os_str())?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(file)
}

/// Opens a directory by its name in another; a symbolic link is refused.
pub(super) fn open_directory_in(
    parent: impl AsFd,
    name: impl rustix::path::Arg,
) -> io::Result<OwnedFd> {
    Ok(openat(
        parent,
        name,
        DIRECTORY | OFlags::NOFOLLOW,
        Mode::empty(),
    )?)
}

/// What tells that a file is still the one that was read, with the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of an open file.
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Bytes that the file then had.
    pub(super) fn size(&self) -> u64 {
        self.size
    }
}
