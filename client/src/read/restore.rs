//! Putting recorded bytes back on disk.
//!
//! Invariants: nothing is written outside the directory that the caller named, whatever
//! the artifact's name and whatever links lie there; a file appears whole, with its mode,
//! or not at all; a directory is never replaced.

use std::{
    fs::File,
    io::{self, Write as _},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use cairn_proto::{
    limits::TREE_BYTES_MAX,
    manifest::{ArtifactKind, Bytes, Digests, Manifest, Mode},
    name::ArtifactName,
    tree::{Tree, TreeBytes},
};
use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode as Bits, OFlags, RawMode, mkdirat, openat, renameat, statat,
        symlinkat, unlinkat,
    },
    io::Errno,
};

use super::{Proven, Reference, content::Want};
use crate::{error::ClientError, ledger::Ledger};

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
/// Permission bits of a file of which none were recorded.
const MODE_DEFAULT: u32 = 0o644;
/// Bytes of a symbolic link's target: no system takes more, whatever was recorded.
const TARGET_BYTES_MAX: usize = 4_096;
/// Free names that are tried for a temporary file.
const NAMES_MAX: u32 = 100;

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where it is now.
    pub path: PathBuf,
    /// Its number of bytes.
    pub bytes: u64,
}

/// One recorded thing that can be put back.
struct Item {
    name: ArtifactName,
    kind: ArtifactKind,
    mode: Option<Mode>,
    digests: Digests,
    size: u64,
}

impl Ledger {
    /// Writes what a release recorded under `name` (a file of a tree: `tree/file`) to the
    /// same name below `to`.
    pub async fn restore(
        &self,
        reference: &Reference,
        name: &ArtifactName,
        to: &Path,
    ) -> Result<Restored, ClientError> {
        let proven = self.resolve(reference).await?;
        let item = self.find_item(&proven, name).await?;
        let path = to.join(item.name.as_str());
        let file = |error: io::Error| ClientError::File {
            path: path.clone(),
            error,
        };
        let place = Place::open(to, &item.name).map_err(file)?;
        let want = want(&proven, &item);
        match item.kind {
            ArtifactKind::Directory => place.directory(item.mode).map_err(file)?,
            ArtifactKind::Symlink => {
                let target = self.fetch(&want, TARGET_BYTES_MAX).await?;
                let target = target.ok_or_else(|| file(Errno::NAMETOOLONG.into()))?;
                place.symlink(&target).map_err(file)?;
            }
            _ => {
                let mut new = place.create().map_err(file)?;
                self.fetch_to(&want, &mut new.file).await?;
                new.publish(item.mode).map_err(file)?;
            }
        }
        Ok(Restored {
            path,
            bytes: item.size,
        })
    }

    async fn find_item(&self, proven: &Proven, name: &ArtifactName) -> Result<Item, ClientError> {
        if let Some(item) = own(&proven.manifest, name)? {
            return Ok(item);
        }
        for tree in trees_above(&proven.manifest, name) {
            let inside = match tree.name.as_str() {
                "." => Some(name.as_str()),
                tree => name
                    .as_str()
                    .strip_prefix(tree)
                    .and_then(|rest| rest.strip_prefix('/')),
            };
            let listing = self.fetch(&want(proven, &tree), TREE_BYTES_MAX).await?;
            let (Some(inside), Some(listing)) = (inside, listing) else {
                continue;
            };
            let listing = Tree::decode(&listing).map_err(|_| ClientError::Lacks {
                what: format!("a listing of {}", tree.name),
            })?;
            let entry = listing
                .entries()
                .iter()
                .find(|entry| entry.name.as_str() == inside);
            match entry.map(|entry| (entry, entry.bytes)) {
                Some((entry, TreeBytes::Stored { digests, size })) => {
                    return Ok(Item {
                        name: name.clone(),
                        kind: entry.kind,
                        mode: Some(entry.mode),
                        digests,
                        size,
                    });
                }
                Some((_, TreeBytes::Withheld(_))) => return Err(not_stored(name, "withheld")),
                None => {}
            }
        }
        Err(ClientError::NotFound {
            what: format!(
                "{name} of {}#{}",
                proven.release.environment, proven.release.sequence
            ),
        })
    }
}

fn want<'a>(proven: &'a Proven, item: &'a Item) -> Want<'a> {
    Want {
        environment: &proven.release.environment,
        sequence: proven.release.sequence,
        digests: item.digests,
        size: item.size,
        name: item.name.as_str(),
    }
}

fn not_stored(name: &ArtifactName, why: &str) -> ClientError {
    ClientError::NotFound {
        what: format!("the content of {name}, which was recorded as {why},"),
    }
}

fn own(manifest: &Manifest, name: &ArtifactName) -> Result<Option<Item>, ClientError> {
    let Some(artifact) = manifest.artifact(name.as_str()) else {
        return Ok(None);
    };
    if artifact.kind == ArtifactKind::Tree {
        return Err(ClientError::Usage {
            why: format!("{name} is a tree; name a file of it"),
        });
    }
    match artifact.bytes {
        Bytes::Stored { digests, size } => Ok(Some(Item {
            name: name.clone(),
            kind: artifact.kind,
            mode: artifact.mode,
            digests,
            size,
        })),
        Bytes::External { .. } => Err(not_stored(name, "external")),
        Bytes::Withheld(_) => Err(not_stored(name, "withheld")),
    }
}

/// The recorded trees that may list a name.
fn trees_above(manifest: &Manifest, name: &ArtifactName) -> Vec<Item> {
    let above = |tree: &ArtifactName| {
        tree.as_str() == "."
            || name
                .as_str()
                .strip_prefix(tree.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
    };
    let trees = manifest
        .artifacts()
        .iter()
        .filter(|artifact| artifact.kind == ArtifactKind::Tree && above(&artifact.name));
    trees
        .filter_map(|artifact| match artifact.bytes {
            Bytes::Stored { digests, size } => Some(Item {
                name: artifact.name.clone(),
                kind: artifact.kind,
                mode: None,
                digests,
                size,
            }),
            _ => None,
        })
        .collect()
}

/// A name in a directory that was reached without a symbolic link below the caller's own.
struct Place {
    directory: OwnedFd,
    name: String,
}

/// A file that nobody sees yet; removed when dropped unpublished.
struct NewFile<'a> {
    place: &'a Place,
    name: String,
    file: File,
    published: bool,
}

impl Place {
    fn open(to: &Path, name: &ArtifactName) -> io::Result<Self> {
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

    fn directory(&self, mode: Option<Mode>) -> io::Result<()> {
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

    fn symlink(&self, target: &[u8]) -> io::Result<()> {
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

    fn create(&self) -> io::Result<NewFile<'_>> {
        self.replaceable()?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for number in 0..NAMES_MAX {
            let name = temporary(number);
            match openat(&self.directory, &name, flags, Bits::from_raw_mode(0o600)) {
                Ok(file) => {
                    return Ok(NewFile {
                        place: self,
                        name,
                        file: file.into(),
                        published: false,
                    });
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl NewFile<'_> {
    fn publish(mut self, mode: Option<Mode>) -> io::Result<()> {
        self.file.flush()?;
        let mode = mode.map_or(MODE_DEFAULT, Mode::bits);
        rustix::fs::fchmod(&self.file, bits(mode))?;
        self.file.sync_all()?;
        let directory = &self.place.directory;
        renameat(directory, &self.name, directory, &self.place.name)?;
        self.published = true;
        Ok(rustix::fs::fsync(directory)?)
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if !self.published {
            // Nothing can be done about a failure, and the name is never used again.
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

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::Write as _,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::{Mode, Place};

    fn place(root: &std::path::Path, name: &str) -> std::io::Result<Place> {
        Place::open(root, &name.parse().unwrap())
    }

    /// Goal: a link below the target never leads a restored file elsewhere. Method: a
    /// directory and a file are links that point outside.
    #[test]
    fn a_symbolic_link_never_leads_out_of_the_directory() {
        let inside = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        symlink(outside.path(), inside.path().join("conf")).unwrap();
        assert!(place(inside.path(), "conf/web.yaml").is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        let victim = outside.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, inside.path().join("web.yaml")).unwrap();
        let there = place(inside.path(), "web.yaml").unwrap();
        let mut new = there.create().unwrap();
        new.file.write_all(b"restored").unwrap();
        new.publish(Some(Mode::of(0o640))).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        let path = inside.path().join("web.yaml");
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        assert_eq!(fs::read(&path).unwrap(), b"restored");
        assert_eq!(
            path.metadata().unwrap().permissions().mode() & 0o7777,
            0o640
        );
    }

    /// Goal: a directory is never replaced, and a failed restore leaves nothing behind.
    #[test]
    fn a_directory_stays_and_an_unfinished_file_goes() {
        let inside = tempfile::tempdir().unwrap();
        fs::create_dir(inside.path().join("conf")).unwrap();
        assert!(place(inside.path(), "conf").unwrap().create().is_err());
        assert!(place(inside.path(), "conf").unwrap().symlink(b"x").is_err());
        drop(place(inside.path(), "new/file").unwrap().create().unwrap());
        let left = fs::read_dir(inside.path().join("new")).unwrap().count();
        assert_eq!(left, 0);
        assert!(place(inside.path(), ".").is_err());
    }
}
