//! Up to which order of the admins the contents are erased, durably.
//!
//! ```text
//! erased   "cairn-erased 1 <number> <leaf hash>\n": the last order that was carried out
//! ```
//!
//! A start looks at what orders up to there erased, and overwrites what is not zeros; of later
//! ones it overwrites everything, for zeros that it sees may be in the page cache alone.
//! Invariant: the file never says more than was done. It may be lost at any time: then a start
//! takes longer.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use cairn_proto::hash::LeafHash;

use crate::{
    disk::{Disk, is_no_space},
    segment::StoreError,
};

const NAME: &str = "erased";
const HEAD: &str = "cairn-erased 1";
const BYTES_MAX: usize = 256;

/// An order whose contents are erased, and those of all orders before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Carried {
    /// Its number, from 1.
    pub number: u64,
    /// Leaf hash of its entry.
    pub leaf: LeafHash,
}

/// The file.
#[derive(Debug)]
pub struct ErasedMark {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
}

impl ErasedMark {
    pub(super) fn below(disk: &Arc<dyn Disk>, directory: &Path) -> Self {
        Self {
            disk: Arc::clone(disk),
            directory: directory.to_owned(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.join(NAME)
    }

    /// What the file says; `None` if it says nothing that can be understood.
    pub fn read(&self) -> Result<Option<Carried>, StoreError> {
        let path = self.path();
        let mut text = [0; BYTES_MAX];
        let count = match self.disk.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file.and_then(|file| file.read_at(&mut text, 0)),
        };
        let count = count.map_err(StoreError::read(&path, 0))?;
        let text = text.get(..count).unwrap_or_default();
        Ok(std::str::from_utf8(text).ok().and_then(Carried::parse))
    }

    /// Says that so much is done. A full disk is no failure: the next start does it again.
    pub fn write(&self, carried: Carried) -> Result<(), StoreError> {
        let draft = self.path().with_extension("new");
        let text = format!("{HEAD} {} {}\n", carried.number, carried.leaf);
        let written = (|| {
            match self.disk.remove(&draft) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let file = self.disk.create(&draft)?;
            file.write_at(text.as_bytes(), 0)?;
            file.sync()?;
            self.disk.rename(&draft, &self.path())?;
            self.disk.sync_dir(&self.directory)
        })();
        match written {
            Err(error) if is_no_space(&error) => Ok(()),
            result => result.map_err(StoreError::io(&draft, 0)),
        }
    }
}

impl Carried {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_prefix(HEAD)?.strip_suffix('\n')?.split(' ');
        let carried = Self {
            number: words.nth(1)?.parse().ok()?,
            leaf: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(carried)
    }
}
