//! Files that hold secrets: read only if they are this user's alone, written once.
//!
//! Invariant: what is checked (owner, permissions, kind) is the very file that is read,
//! since both go through one descriptor; and a file appears under its name complete, or
//! not at all, and never in place of another.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use cairn_proto::reason::Reason;
use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    process::geteuid,
};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::detail::printable_bytes;

/// Why a file with a secret was not read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PrivateFileError {
    /// The system would not.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// A symbolic link, which somebody else may point elsewhere.
    #[error("{path} is a symbolic link; name the file itself")]
    Link {
        /// The file.
        path: String,
    },
    /// No regular file.
    #[error("{path} is not a regular file")]
    NotAFile {
        /// The file.
        path: String,
    },
    /// Group or others may do something with it.
    #[error("{path} has mode {mode:04o}: others than its owner have access")]
    Mode {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// It is somebody else's.
    #[error("{path} is owned by user {owner}, not by this one")]
    Owner {
        /// The file.
        path: String,
        /// Its owner.
        owner: u32,
    },
    /// Longer than any key.
    #[error("{path} is too long for a key")]
    TooLarge {
        /// The file.
        path: String,
    },
    /// There is one already; it is never overwritten.
    #[error("{path} exists already")]
    Exists {
        /// The file.
        path: String,
    },
}

impl PrivateFileError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Mode { .. } | Self::Owner { .. } | Self::Link { .. } => Reason::KeyFileLoose,
            _ => Reason::KeyFile,
        }
    }

    /// Whether there is no such file.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { error, .. } if error.kind() == io::ErrorKind::NotFound)
    }
}

/// Bytes of a file with a key: the longest PKCS#8 in use has a few hundred.
const BYTES_MAX: u64 = 16 << 10;

pub(crate) fn shown(path: &Path) -> String {
    printable_bytes(path.as_os_str().as_encoded_bytes())
}

/// Reads a file that nobody else may read or write.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, PrivateFileError> {
    let io = |error: io::Error| PrivateFileError::Io {
        path: shown(path),
        error,
    };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: File = match openat(CWD, path, flags, Mode::empty()) {
        Ok(file) => file.into(),
        Err(rustix::io::Errno::LOOP) => return Err(PrivateFileError::Link { path: shown(path) }),
        Err(error) => return Err(io(error.into())),
    };
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(PrivateFileError::NotAFile { path: shown(path) });
    }
    if metadata.uid() != geteuid().as_raw() {
        return Err(PrivateFileError::Owner {
            path: shown(path),
            owner: metadata.uid(),
        });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(PrivateFileError::Mode {
            path: shown(path),
            mode,
        });
    }
    // One allocation of the largest size: a vector that grows leaves copies behind.
    let capacity = usize::try_from(BYTES_MAX + 1).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() >= capacity {
        return Err(PrivateFileError::TooLarge { path: shown(path) });
    }
    Ok(bytes)
}

/// Writes a new file with mode 0600. It is durable on return.
pub(crate) fn create(path: &Path, bytes: &[u8]) -> Result<(), PrivateFileError> {
    let io = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => PrivateFileError::Exists { path: shown(path) },
        _ => PrivateFileError::Io {
            path: shown(path),
            error,
        },
    };
    let directory = match path.parent() {
        Some(parent) if parent.as_os_str() != OsStr::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    // Made aside with O_EXCL and mode 0600, then linked to its name: after a crash there is
    // the whole key or none.
    let mut aside = tempfile::Builder::new()
        .prefix(".new-key-")
        .tempfile_in(&directory)
        .map_err(io)?;
    aside.write_all(bytes).map_err(io)?;
    aside.as_file().sync_all().map_err(io)?;
    aside
        .persist_noclobber(path)
        .map_err(|error| io(error.error))?;
    File::open(&directory)
        .and_then(|directory| directory.sync_all())
        .map_err(io)
}
