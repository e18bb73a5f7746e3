//! The members of an archive, read once from its beginning to its end and never put on a disk.
//!
//! Invariants: a name stands for one member; a link leads to another member or is refused; of
//! what is long only digest and size are kept. Memory, members and what gzip may swell to are
//! bounded.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fs::File,
    io::{self, Cursor, Read},
    path::Path,
    rc::Rc,
};

use cairn_proto::hash::Sha256;
use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256 as Hasher};
use tar::{Archive, Entry, EntryType};

use super::graph::wrong;
use crate::sources::{SourceError, layout::JSON_BYTES_MAX};

/// Members of one archive: images have a few hundred.
const MEMBERS_MAX: usize = 65_536;
/// Bytes of all members that are kept.
const KEPT_BYTES_MAX: usize = 64 << 20;
/// Bytes of a member's header with its long names.
const HEADER_BYTES_MAX: u64 = 64 << 10;
/// How much more than its own length gzip may give, beyond what is always allowed. Layers give
/// ten times as much; what was made to swell a thousand times.
const SWELLS_MAX: u64 = 200;
const SWELLS_FREE_BYTES: u64 = 64 << 20;

/// A member that is a file.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) digest: Sha256,
    pub(super) size: u64,
    /// Its bytes, if they may be JSON.
    pub(super) bytes: Option<Vec<u8>>,
}

/// All members.
#[derive(Debug)]
pub(super) struct Tarball {
    /// What it is, for messages.
    pub(super) from: String,
    files: BTreeMap<String, Member>,
    links: BTreeMap<String, String>,
}

/// Whether bytes begin as an archive does.
pub(super) fn is_archive(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x8b]) || head.get(257..262) == Some(b"ustar")
}

impl Tarball {
    pub(super) fn open(from: &str, path: &Path) -> Result<Self, SourceError> {
        let unreadable = |error| SourceError::unreadable(path, error);
        let mut file = File::open(path).map_err(unreadable)?;
        let mut head = [0; 2];
        let length = file.read(&mut head).map_err(unreadable)?;
        let head = head.get(..length).unwrap_or_default().to_vec();
        Self::read(from, &head.clone(), Cursor::new(head).chain(file))
    }

    pub(super) fn of_bytes(from: &str, bytes: &[u8]) -> Result<Self, SourceError> {
        Self::read(from, bytes, bytes)
    }

    fn read(from: &str, head: &[u8], bytes: impl Read) -> Result<Self, SourceError> {
        let mut tarball = Self {
            from: from.to_owned(),
            files: BTreeMap::new(),
            links: BTreeMap::new(),
        };
        let packed = Rc::new(Cell::new(0));
        let left = Rc::new(Cell::new(0));
        let counted = Counted {
            inner: bytes,
            count: Rc::clone(&packed),
        };
        let read = if head.starts_with(&[0x1f, 0x8b]) {
            let unpacked = Swelling {
                inner: MultiGzDecoder::new(counted),
                packed,
                given: 0,
            };
            tarball.members(unpacked, &left)
        } else {
            tarball.members(counted, &left)
        };
        read.map_err(|why| wrong(from, why))?;
        tarball.check_links().map_err(|why| wrong(from, why))?;
        Ok(tarball)
    }

    fn members(&mut self, bytes: impl Read, left: &Rc<Cell<u64>>) -> Result<(), String> {
        let cut = |error: io::Error| format!("as an archive: {error}");
        let mut archive = Archive::new(Allowed {
            inner: bytes,
            left: Rc::clone(left),
        });
        left.set(HEADER_BYTES_MAX);
        let mut kept = 0;
        for entry in archive.entries().map_err(cut)? {
            let entry = entry.map_err(cut)?;
            if self.files.len() + self.links.len() >= MEMBERS_MAX {
                return Err(format!("it has more than {MEMBERS_MAX} members"));
            }
            left.set(entry.size().saturating_add(HEADER_BYTES_MAX));
            self.member(entry, &mut kept)?;
            left.set(HEADER_BYTES_MAX);
        }
        Ok(())
    }

    fn member(&mut self, mut entry: Entry<'_, impl Read>, kept: &mut usize) -> Result<(), String> {
        let name = entry.path_bytes().into_owned();
        let name = String::from_utf8(name).map_err(|_| "a member's name is not UTF-8")?;
        let name = resolve("", &name)
            .ok_or_else(|| format!("the member {name} leads out of the archive"))?;
        let kind = entry.header().entry_type();
        if kind == EntryType::Directory {
            return Ok(());
        }
        if self.files.contains_key(&name) || self.links.contains_key(&name) {
            return Err(format!("the member {name} is there twice"));
        }
        match kind {
            EntryType::Regular | EntryType::Continuous => {
                let member = measure(&mut entry, kept).map_err(|why| format!("{name}: {why}"))?;
                self.files.insert(name, member);
                Ok(())
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let target = String::from_utf8_lossy(&target).into_owned();
                let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
                let inside = resolve(folder, &target).ok_or_else(|| {
                    format!("the member {name} is a link that leads out of the archive: {target}")
                })?;
                self.links.insert(name, inside);
                Ok(())
            }
            _ => Err(format!("the member {name} is neither a file nor a link")),
        }
    }

    /// Docker keeps a layer that comes twice as a link to the first.
    fn check_links(&self) -> Result<(), String> {
        match self.links.iter().find(|it| !self.files.contains_key(it.1)) {
            Some((name, target)) => Err(format!(
                "the member {name} is a link to {target}, which is no file in the archive"
            )),
            None => Ok(()),
        }
    }

    /// The file of a name.
    pub(super) fn get(&self, name: &str) -> Option<&Member> {
        let name = self.links.get(name).map_or(name, String::as_str);
        self.files.get(name)
    }

    /// Its bytes, which must be short enough for JSON.
    pub(super) fn json(&self, name: &str) -> Result<&[u8], SourceError> {
        let missing = || wrong(&self.from, format!("there is no {name} in it"));
        let member = self.get(name).ok_or_else(missing)?;
        let bytes = member.bytes.as_deref();
        bytes.ok_or_else(|| wrong(&self.from, format!("{name} is no JSON that can be read")))
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &Member)> {
        self.files
            .iter()
            .map(|(name, member)| (name.as_str(), member))
    }
}

/// Digest and size of a member, and its bytes if it begins as JSON does and is short.
fn measure<R: Read>(entry: &mut Entry<'_, R>, kept: &mut usize) -> Result<Member, String> {
    let mut hasher = Hasher::new();
    let mut bytes = Some(Vec::new());
    let mut size = 0_u64;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = entry.read(&mut buffer).map_err(|error| error.to_string())?;
        let Some(part @ [first, ..]) = buffer.get(..length) else {
            break;
        };
        hasher.update(part);
        if size == 0 && !matches!(first, b'{' | b'[') {
            bytes = None;
        }
        size = size.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        if size > JSON_BYTES_MAX {
            bytes = None;
        }
        if let Some(bytes) = &mut bytes {
            bytes.extend_from_slice(part);
        }
    }
    if size != entry.size() {
        return Err("the archive ends within it".to_owned());
    }
    *kept = kept.saturating_add(bytes.as_ref().map_or(0, Vec::len));
    if *kept > KEPT_BYTES_MAX {
        return Err("the archive has more JSON than any image".to_owned());
    }
    let digest = Sha256(hasher.finalize().into());
    Ok(Member {
        digest,
        size,
        bytes,
    })
}

/// A path below a folder, without `.` and `..`; `None` if it leads out.
fn resolve(folder: &str, path: &str) -> Option<String> {
    if path.starts_with('/') || path.contains(['\\', '\0']) {
        return None;
    }
    let mut steps: Vec<&str> = folder.split('/').filter(|step| !step.is_empty()).collect();
    // A member's own name has no business going up at all.
    let may_rise = !steps.is_empty();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." if may_rise => {
                steps.pop()?;
            }
            ".." => return None,
            step => steps.push(step),
        }
    }
    Some(steps.join("/"))
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        let more = u64::try_from(length).unwrap_or(u64::MAX);
        self.count.set(self.count.get().saturating_add(more));
        Ok(length)
    }
}

/// Ends with an error where gzip gives far more than it took.
struct Swelling<R> {
    inner: R,
    packed: Rc<Cell<u64>>,
    given: u64,
}

impl<R: Read> Read for Swelling<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        let more = u64::try_from(length).unwrap_or(u64::MAX);
        self.given = self.given.saturating_add(more);
        let most = self.packed.get().saturating_mul(SWELLS_MAX);
        if self.given > most.saturating_add(SWELLS_FREE_BYTES) {
            return Err(io::Error::other("gzip that was made to swell"));
        }
        Ok(length)
    }
}

/// Ends with an error where a header is longer than it may be: its names are held in memory.
struct Allowed<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R: Read> Read for Allowed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        let more = u64::try_from(length).unwrap_or(u64::MAX);
        let left = self.left.get().checked_sub(more);
        self.left
            .set(left.ok_or_else(|| io::Error::other("a header that is too long"))?);
        Ok(length)
    }
}
