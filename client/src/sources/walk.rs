//! What lies in a directory: every file, symbolic link and empty directory, sorted by name,
//! bytewise. Nothing is skipped, nothing is read, no link is followed.
//!
//! Out of scope: what the things are for. What cannot be part of a manifest is a fault,
//! and the caller decides whether faults end the capture.

use std::{ffi::CString, io, os::fd::OwnedFd, os::unix::ffi::OsStrExt};

use cairn_proto::{manifest::Mode, name::ArtifactName};
use rustix::fs::{AtFlags, Dir, FileType, Stat, statat};

use super::{
    error::SourceError,
    root::{Root, open_directory_in},
};

/// What a walk tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink,
    /// A directory with nothing in it.
    Directory,
}

/// One thing that was found.
#[derive(Debug)]
pub(super) struct Found {
    /// Path from the walk's root; a valid artifact name.
    pub(super) relative: String,
    /// What it is.
    pub(super) kind: Kind,
    /// Its permission bits.
    pub(super) mode: Mode,
    /// Its size, to plan by; what counts is how much is read.
    pub(super) size: u64,
}

/// Something that stands in the way.
#[derive(Debug)]
pub(super) struct Fault {
    /// Path from the walk's root, where a manifest could hold it.
    pub(super) relative: Option<String>,
    /// What is wrong.
    pub(super) error: SourceError,
}

/// What a directory holds.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Everything that can be captured, sorted.
    pub(super) found: Vec<Found>,
    /// Everything that cannot.
    pub(super) faults: Vec<Fault>,
}

/// Walks a directory.
pub(super) fn walk(root: &Root) -> Walk {
    let mut walker = Walker {
        root,
        walk: Walk::default(),
    };
    match list(root.directory()) {
        Ok(names) => walker.visit_all(root.directory(), "", names),
        Err(error) => walker.fault("", |path| SourceError::unreadable(path, error)),
    }
    let mut walk = walker.walk;
    walk.found
        .sort_unstable_by(|left, right| left.relative.cmp(&right.relative));
    walk
}

/// The kind of one thing in a directory, without following it.
pub(super) fn look(root: &Root, name: &std::ffi::OsStr) -> Result<(Kind, Mode, u64), SourceError> {
    let path = root.path(name);
    let stat = statat(root.directory(), name, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| SourceError::unreadable(&path, error))?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Symlink => Kind::Symlink,
        FileType::Directory => Kind::Directory,
        other => {
            return Err(SourceError::Special {
                path: super::error::shown(&path),
                what: special(other),
            });
        }
    };
    Ok((kind, Mode::of(stat.st_mode), size(&stat)))
}

fn size(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or_default()
}

fn special(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "named pipe",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        _ => "special file",
    }
}

/// The names in a directory, sorted bytewise.
fn list(directory: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

struct Walker<'a> {
    root: &'a Root,
    walk: Walk,
}

impl Walker<'_> {
    /// Recursion is bounded by the length of a name: at most 512 directories deep.
    fn visit_all(&mut self, directory: &OwnedFd, above: &str, names: Vec<CString>) {
        for name in names {
            let mut bytes = above.as_bytes().to_vec();
            if !above.is_empty() {
                bytes.push(b'/');
            }
            bytes.extend_from_slice(name.to_bytes());
            let valid = |text: &String| text.parse::<ArtifactName>().is_ok();
            match String::from_utf8(bytes) {
                Ok(relative) if valid(&relative) => self.visit(directory, relative, &name),
                Ok(relative) => self.unnameable(relative.as_bytes()),
                Err(error) => self.unnameable(error.as_bytes()),
            }
        }
    }

    fn visit(&mut self, directory: &OwnedFd, relative: String, name: &CString) {
        let stat = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(rustix::io::Errno::NOENT) => return self.fault(&relative, SourceError::changed),
            Err(error) => {
                return self.fault(&relative, |path| SourceError::unreadable(path, error));
            }
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Symlink,
            FileType::Directory => return self.descend(directory, relative, name, &stat),
            other => {
                return self.fault(&relative, |path| SourceError::Special {
                    path: super::error::shown(path),
                    what: special(other),
                });
            }
        };
        self.found(relative, kind, &stat);
    }

    fn descend(&mut self, parent: &OwnedFd, relative: String, name: &CString, stat: &Stat) {
        let opened = open_directory_in(parent, name)
            .and_then(|directory| list(&directory).map(|names| (directory, names)));
        match opened {
            Ok((_, names)) if names.is_empty() => self.found(relative, Kind::Directory, stat),
            Ok((directory, names)) => self.visit_all(&directory, &relative, names),
            Err(error) => self.fault(&relative, |path| SourceError::unreadable(path, error)),
        }
    }

    fn found(&mut self, relative: String, kind: Kind, stat: &Stat) {
        self.walk.found.push(Found {
            relative,
            kind,
            mode: Mode::of(stat.st_mode),
            size: size(stat),
        });
    }

    fn fault(&mut self, relative: &str, error: impl FnOnce(&std::path::Path) -> SourceError) {
        let path = self.root.path(relative.as_ref());
        self.walk.faults.push(Fault {
            relative: Some(relative.to_owned()),
            error: error(&path),
        });
    }

    fn unnameable(&mut self, relative: &[u8]) {
        let path = self.root.path(std::ffi::OsStr::from_bytes(relative));
        self.walk.faults.push(Fault {
            relative: None,
            error: SourceError::name(&path),
        });
    }
}
