//! Writing below a directory that somebody else may write to as well.
//!
//! Invariants: nothing is written outside the directory that the caller named, whatever the
//! artifact's name and whatever links lie there; a file appears whole, with its mode, or not
//! at all; a directory is never replaced.
//!
//! **Unfinished files** lie beside the target as `.cairn-partial-<hash of the target's
//! name>-<content id>`, private and locked while one process writes. What was left by a run
//! that broke off is taken up only if it is a regular file of this user that nobody else can
//! open and that has no other name; its bytes are for the caller to hash again. Whatever else
//! has that name is left alone, and a file with a name of its own is used, which goes with
//! its process.

#[cfg(test)]
mod tests;
mod whole;

use std::{
    fs::{File, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::fd::OwnedFd,
    path::Path,
};

use cairn_proto::{hash::ContentId, manifest::Mode, name::ArtifactName};
use rustix::{
    fs::{
        AtFlags, CWD, Dir, FileType, Mode as Bits, OFlags, RawMode, fstat, mkdirat, openat,
        renameat, statat, symlinkat, unlinkat,
    },
    io::Errno,
};

pub(crate) use whole::{remove_below, write_below};

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// A pipe that somebody put there must not make us wait.
const FILE: OFlags = OFlags::RDWR
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);
/// Permission bits of a file of which none were recorded.
const MODE_DEFAULT: u32 = 0o644;
/// Free names that are tried for a temporary file.
const NAMES_MAX: u32 = 100;
/// Bytes that are hashed again at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// A name in a directory that was reached without a symbolic link below the caller's own.
pub(super) struct Place {
    directory: OwnedFd,
    name: String,
}

/// What becomes of a file that is dropped unpublished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// It is gone, or has its final name.
    Done,
    /// It is removed.
    Removed,
    /// Another run goes on after what is in it.
    Kept,
}

/// A file that nobody takes for the finished one yet.
pub(super) struct NewFile<'a> {
    place: &'a Place,
    name: String,
    pub(super) file: File,
    left: Left,
}

impl Place {
    pub(super) fn open(to: &Path, name: &ArtifactName) -> io::Result<Self> {
        // The caller's own directory is resolved as the system does; what follows is not.
        let flags = DIRECTORY.difference(OFlags::NOFOLLOW);
        let mut directory = openat(CWD, to, flags, Bits::empty())?;
        let mut segments: Vec<_> = name.as_str().split('/').collect();
        let last = segments.pop().unwrap_or_default().to_owned();
        if matches!(last.as_str(), "" | "." | "..") {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        for segment in segments {
            if matches!(segment, "" | "." | "..") {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            match mkdirat(&directory, segment, Bits::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            directory = openat(&directory, segment, DIRECTORY, Bits::empty())?;
        }
        let place = Self {
            directory,
            name: last,
        };
        Ok(place)
    }

    /// What stands there may be replaced, unless it is a directory.
    fn replaceable(&self) -> io::Result<()> {
        match statat(&self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => Err(io::ErrorKind::IsADirectory.into()),
                _ => Ok(()),
            },
        }
    }

    pub(super) fn directory(&self, mode: Option<Mode>) -> io::Result<()> {
        match mkdirat(&self.directory, &self.name, Bits::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let directory = openat(&self.directory, &self.name, DIRECTORY, Bits::empty())?;
        if let Some(mode) = mode {
            rustix::fs::fchmod(&directory, bits(mode.bits()))?;
        }
        Ok(())
    }

    pub(super) fn symlink(&self, target: &[u8]) -> io::Result<()> {
        use std::os::unix::ffi::OsStrExt as _;
        self.replaceable()?;
        let target = std::ffi::OsStr::from_bytes(target);
        for number in 0..NAMES_MAX {
            let name = temporary(number);
            match symlinkat(target, &self.directory, &name) {
                Ok(()) => {
                    let renamed = renameat(&self.directory, &name, &self.directory, &self.name);
                    if renamed.is_err() {
                        // What matters is the first error.
                        let _ = unlinkat(&self.directory, &name, AtFlags::empty());
                    }
                    return Ok(renamed?);
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// A file for a content: what an earlier run left of it, or a new one.
    pub(super) fn create(&self, content: &ContentId) -> io::Result<NewFile<'_>> {
        self.replaceable()?;
        let name = format!("{}{content}", self.prefix());
        // A process that finished meanwhile leaves us its file under another name: once more.
        for _ in 0..NAMES_MAX {
            let file = match self.partial(&name)? {
                Found::Ours(file) => file,
                Found::Busy | Found::Other => break,
                Found::Gone => continue,
            };
            return Ok(NewFile {
                place: self,
                name,
                file,
                left: Left::Kept,
            });
        }
        self.temporary()
    }

    /// Begins the names of all that was left of this target.
    fn prefix(&self) -> String {
        let mut tag = [0; 8];
        blake3::Hasher::new_derive_key("cairn 2026 unfinished file")
            .update(self.name.as_bytes())
            .finalize_xof()
            .fill(&mut tag);
        format!(".cairn-partial-{}-", hex::encode(tag))
    }

    fn partial(&self, name: &str) -> io::Result<Found> {
        let create = FILE.union(OFlags::CREATE).union(OFlags::EXCL);
        let made = openat(&self.directory, name, create, Bits::from_raw_mode(0o600));
        let is_new = made.is_ok();
        let opened = match made {
            Err(Errno::EXIST) => openat(&self.directory, name, FILE, Bits::empty()),
            opened => opened,
        };
        let file = match opened {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(Found::Gone),
            // A link, a directory, a file of somebody else: none of them is touched.
            Err(Errno::LOOP | Errno::ISDIR | Errno::ACCESS | Errno::NXIO) => {
                return Ok(Found::Other);
            }
            Err(error) => return Err(error.into()),
        };
        let found = self.found(name, file)?;
        if is_new && matches!(found, Found::Other) {
            // A file system without locks or private files: nothing may stay under this name.
            unlinkat(&self.directory, name, AtFlags::empty())?;
        }
        Ok(found)
    }

    /// What an open file is, and whether the name is still its own.
    fn found(&self, name: &str, file: File) -> io::Result<Found> {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => return Ok(Found::Busy),
            Err(TryLockError::Error(_)) => return Ok(Found::Other),
            Ok(()) => {}
        }
        let there = statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW);
        let here = fstat(&file)?;
        if !there.is_ok_and(|it| (it.st_dev, it.st_ino) == (here.st_dev, here.st_ino)) {
            return Ok(Found::Gone);
        }
        let ours = FileType::from_raw_mode(here.st_mode) == FileType::RegularFile
            && here.st_uid == rustix::process::geteuid().as_raw()
            && here.st_nlink == 1
            && here.st_mode & 0o7777 == 0o600;
        Ok(if ours {
            Found::Ours(file)
        } else {
            Found::Other
        })
    }

    fn temporary(&self) -> io::Result<NewFile<'_>> {
        let flags = FILE.union(OFlags::CREATE).union(OFlags::EXCL);
        for number in 0..NAMES_MAX {
            let name = temporary(number);
            match openat(&self.directory, &name, flags, Bits::from_raw_mode(0o600)) {
                Ok(file) => {
                    return Ok(NewFile {
                        place: self,
                        name,
                        file: file.into(),
                        left: Left::Removed,
                    });
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Removes what runs left of this target that were to restore other bytes, unless one of
    /// them is still at it. The target is there, so a failure costs only room.
    fn sweep(&self) {
        let prefix = self.prefix();
        let names: Vec<_> = Dir::read_from(&self.directory)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned))
            .filter(|name| name.starts_with(&prefix))
            .collect();
        for name in names {
            if let Ok(file) = openat(&self.directory, &name, FILE, Bits::empty())
                && let Ok(Found::Ours(_locked)) = self.found(&name, file.into())
            {
                let _ = unlinkat(&self.directory, &name, AtFlags::empty());
            }
        }
    }
}

/// What has the name of an unfinished file.
enum Found {
    /// A private file, locked.
    Ours(File),
    /// What another process works on.
    Busy,
    /// Something to be left alone.
    Other,
    /// It went away while it was looked at.
    Gone,
}

impl NewFile<'_> {
    /// Hands out what an earlier run left, and says how many bytes that is; what cannot be a
    /// beginning of `size` bytes is dropped. The next byte is written after them.
    pub(super) fn reread(&mut self, size: u64, mut hash: impl FnMut(&[u8])) -> io::Result<u64> {
        if self.file.metadata()?.len() > size {
            self.file.set_len(0)?;
        }
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut kept = 0;
        self.file.rewind()?;
        loop {
            let count = self.file.read(&mut buffer)?;
            let chunk = buffer.get(..count).unwrap_or_default();
            if chunk.is_empty() {
                return Ok(kept);
            }
            hash(chunk);
            kept += u64::try_from(count).unwrap_or(0);
        }
    }

    /// Drops all bytes.
    pub(super) fn empty(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()
    }

    /// No run shall go on after what is in it.
    pub(super) fn discard(&mut self) {
        self.left = Left::Removed;
    }

    pub(super) fn publish(mut self, mode: Option<Mode>) -> io::Result<()> {
        self.file.flush()?;
        let mode = mode.map_or(MODE_DEFAULT, Mode::bits);
        rustix::fs::fchmod(&self.file, bits(mode))?;
        self.file.sync_all()?;
        let directory = &self.place.directory;
        renameat(directory, &self.name, directory, &self.place.name)?;
        self.left = Left::Done;
        rustix::fs::fsync(directory)?;
        self.place.sweep();
        Ok(())
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        let worth = self.left == Left::Kept && self.file.metadata().is_ok_and(|it| it.len() > 0);
        if self.left != Left::Done && !worth {
            // Nothing can be done about a failure: it costs the room that it takes.
            let _ = unlinkat(&self.place.directory, &self.name, AtFlags::empty());
        }
    }
}

fn bits(mode: u32) -> Bits {
    Bits::from_raw_mode(RawMode::from(mode))
}

fn temporary(number: u32) -> String {
    format!(".cairn-{}-{number}", std::process::id())
}
