//! Reading and hashing: each file once, in constant memory, two at a time.
//!
//! Invariant: a digest or tag is given only for a file that had the same identity, size
//! and times before and after it was read, and as many bytes as that size says.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Read, Seek},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use cairn_proto::{
    hash::{ContentId, Sha256},
    manifest::{Digests, Mode, Withheld},
    name::ArtifactName,
};
use sha2::Digest as _;

use super::{
    Progress, TagContext,
    error::{SourceError, shown},
    root::{Root, Stamp},
    sniff::Sniffer,
    walk::Kind,
};

/// Files that are read at once.
const WORKERS: usize = 2;
/// Bytes that are read at once: large enough that hashing, not calling, takes the time.
const BUFFER_BYTES: usize = 1 << 20;

/// How a file's bytes are to be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// By digests, whatever they are.
    Plain,
    /// By a tag.
    Tag,
    /// By digests, unless they look like a secret; then by a tag.
    Judge,
    /// By digests; and tell whether they look like a secret.
    Report,
}

/// One thing to measure.
#[derive(Debug)]
pub(super) struct Item {
    /// The input that it lies in.
    pub(super) root: Arc<Root>,
    /// Its path there.
    pub(super) relative: Arc<OsString>,
    /// Its name among all artifacts and files of trees.
    pub(super) name: ArtifactName,
    /// What the walk found.
    pub(super) kind: Kind,
    /// The mode that the walk found.
    pub(super) mode: Mode,
    /// How to measure it, if it is a file.
    pub(super) want: Want,
    /// Which tree it belongs to.
    pub(super) tree: Option<usize>,
}

impl Item {
    /// Its path, for messages.
    pub(super) fn path(&self) -> PathBuf {
        self.root.path(&self.relative)
    }
}

/// What was measured.
#[derive(Debug)]
pub(super) enum Measured {
    /// A file, by its digests.
    File {
        /// They.
        digests: Digests,
        /// Its permission bits.
        mode: Mode,
        /// How it was when it was read.
        stamp: Stamp,
        /// Whether it looks like a secret (where that was asked for).
        suspect: bool,
    },
    /// A file that counts as other bytes than it has: [`super::staples`].
    Made {
        /// They.
        bytes: Vec<u8>,
        /// Its permission bits.
        mode: Mode,
    },
    /// A file, by its tag.
    Tagged {
        /// The tag.
        withheld: Withheld,
        /// Its permission bits.
        mode: Mode,
    },
    /// A file that was to be tagged, and there is no key.
    KeyMissing {
        /// Its permission bits.
        mode: Mode,
    },
    /// A symbolic link's target.
    Link(Vec<u8>),
    /// An empty directory.
    Directory,
}

/// Results in the order of the items; `None` for what was not reached.
pub(super) type Results = Vec<Option<Result<Measured, SourceError>>>;

/// What measuring needs besides the items.
pub(super) struct Meter<'a> {
    /// The key for tags.
    pub(super) tags: Option<&'a TagContext>,
    /// Who is told.
    pub(super) progress: &'a dyn Progress,
    /// Whether the first error ends it.
    pub(super) stop_at_error: bool,
}

impl Meter<'_> {
    /// Measures all items.
    pub(super) fn measure(&self, items: &[Item]) -> Results {
        let next = AtomicUsize::new(0);
        let stopped = AtomicBool::new(false);
        let work = || {
            let mut done = Vec::new();
            let mut buffer = vec![0; BUFFER_BYTES];
            while !stopped.load(Ordering::Relaxed) {
                let position = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(position) else {
                    break;
                };
                let result = self.item(item, &mut buffer);
                if result.is_err() && self.stop_at_error {
                    stopped.store(true, Ordering::Relaxed);
                }
                self.progress.file_done();
                done.push((position, result));
            }
            done
        };
        let mut results: Results = items.iter().map(|_| None).collect();
        thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS).map(|_| scope.spawn(work)).collect();
            for worker in workers {
                let done = worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                for (position, result) in done {
                    if let Some(slot) = results.get_mut(position) {
                        *slot = Some(result);
                    }
                }
            }
        });
        results
    }

    /// Tags a file that turned out to be a secret after it was measured.
    pub(super) fn tag(&self, item: &Item) -> Result<Measured, SourceError> {
        self.file(item, Want::Tag, &mut vec![0; BUFFER_BYTES])
    }

    fn item(&self, item: &Item, buffer: &mut [u8]) -> Result<Measured, SourceError> {
        match item.kind {
            Kind::File => self.file(item, item.want, buffer),
            Kind::Directory => Ok(Measured::Directory),
            Kind::Symlink => item
                .root
                .read_link(&item.relative)
                .map(Measured::Link)
                .map_err(|error| SourceError::unreadable(&item.path(), error)),
        }
    }

    fn file(&self, item: &Item, want: Want, buffer: &mut [u8]) -> Result<Measured, SourceError> {
        let mut reading = Reading::open(item)?;
        let mode = reading.mode;
        if want == Want::Tag {
            return self.tagged(item, &mut reading, buffer);
        }
        let mut blake3 = blake3::Hasher::new();
        let mut sha256 = sha2::Sha256::new();
        let mut sniffer = (want != Want::Plain)
            .then(|| Sniffer::new(item.name.as_str(), &item.relative.to_string_lossy()));
        reading.stream(buffer, |bytes| {
            blake3.update(bytes);
            sha256.update(bytes);
            if let Some(sniffer) = &mut sniffer {
                sniffer.update(bytes);
            }
            self.progress.read(bytes.len());
        })?;
        let suspect = sniffer.is_some_and(Sniffer::finish);
        if suspect && want == Want::Judge {
            return self.tagged(item, &mut reading, buffer);
        }
        let digests = Digests {
            blake3: ContentId(*blake3.finalize().as_bytes()),
            sha256: Sha256(sha256.finalize().into()),
        };
        Ok(Measured::File {
            digests,
            mode,
            stamp: reading.before,
            suspect,
        })
    }

    fn tagged(
        &self,
        item: &Item,
        reading: &mut Reading<'_>,
        buffer: &mut [u8],
    ) -> Result<Measured, SourceError> {
        let mode = reading.mode;
        let Some(tags) = self.tags else {
            if self.stop_at_error {
                return Err(SourceError::KeyNeeded {
                    name: item.name.to_string(),
                });
            }
            return Ok(Measured::KeyMissing { mode });
        };
        let size = reading.before.size();
        let mut tagger = tags.key.tagger(&tags.environment, &item.name, "", size);
        reading.stream(buffer, |bytes| tagger.update(bytes))?;
        let withheld = tagger.finish();
        Ok(Measured::Tagged { withheld, mode })
    }
}

/// Reads a small file again, and only as it was measured.
pub(super) fn read_again(item: &Item, measured: &Digests) -> Result<Vec<u8>, SourceError> {
    let mut reading = Reading::open(item)?;
    let mut bytes = Vec::new();
    reading.stream(&mut vec![0; 64 << 10], |part| bytes.extend_from_slice(part))?;
    if Digests::of(&bytes) == *measured {
        Ok(bytes)
    } else {
        Err(SourceError::changed(&item.path()))
    }
}

/// A regular file, opened, and what it was like then.
struct Reading<'a> {
    item: &'a Item,
    file: File,
    before: Stamp,
    mode: Mode,
}

impl<'a> Reading<'a> {
    fn open(item: &'a Item) -> Result<Self, SourceError> {
        let unreadable = |error| SourceError::unreadable(&item.path(), error);
        // The walk saw a file here a moment ago: something else here now is a change.
        let gone = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
        };
        let file = item.root.open_file(&item.relative).map_err(|error| {
            if gone(&error) {
                SourceError::changed(&item.path())
            } else {
                unreadable(error)
            }
        })?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(SourceError::changed(&item.path()));
        }
        if !metadata.is_file() {
            return Err(SourceError::Special {
                path: shown(&item.path()),
                what: "special file",
            });
        }
        Ok(Self {
            item,
            file,
            before: Stamp::of(&metadata),
            mode: Mode::of(std::os::unix::fs::MetadataExt::mode(&metadata)),
        })
    }

    /// Reads all of it, from the start.
    fn stream(
        &mut self,
        buffer: &mut [u8],
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        let unreadable = |error| SourceError::unreadable(&self.item.path(), error);
        self.file.rewind().map_err(unreadable)?;
        let mut length = 0_u64;
        loop {
            let count = match self.file.read(buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(error)),
            };
            take(buffer.get(..count).unwrap_or_default());
            length = length.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
            if length > self.before.size() {
                break; // Something appends to it faster than we read: do not follow for ever.
            }
        }
        let after = Stamp::of(&self.file.metadata().map_err(unreadable)?);
        if after == self.before && length == after.size() {
            Ok(())
        } else {
            Err(SourceError::changed(&self.item.path()))
        }
    }
}
