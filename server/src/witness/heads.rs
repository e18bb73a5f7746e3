//! What a witness cosigned last of each log, on disk.
//!
//! Invariants: a head is durable before anybody is told that it was cosigned; after an error
//! nothing is cosigned until the file was read again; a file that is missing or damaged is never
//! a fresh start. Out of scope: whether a head may follow another (`cairn_proto::witness`).

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use cairn_proto::{
    hash::{RootHash, TreeSize},
    reason::Reason,
    witness::{Accepted, Head},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::disk::{Disk, Held, LockError, read_exact_at};

const SCHEMA: &str = "cairn.witness/v1";
const FILE: &str = "heads.json";
const LOCK: &str = "lock";
/// Bytes of the file: some ten thousand logs.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Why a witness does not run, or stopped cosigning.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// The directory holds no witness.
    #[error("{} holds no witness", directory.display())]
    Absent {
        /// The directory.
        directory: PathBuf,
    },
    /// It holds one already.
    #[error("{} holds a witness already", directory.display())]
    Exists {
        /// The directory.
        directory: PathBuf,
    },
    /// Another process runs it.
    #[error("{}: {error}", directory.display())]
    Locked {
        /// The directory.
        directory: PathBuf,
        /// Who has it.
        error: LockError,
    },
    /// What it says is not what was written.
    #[error("{}: {why}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The disk.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A write failed before: what is durable is not known.
    #[error("an earlier write failed: nothing is cosigned until the witness is started again")]
    Broken,
}

impl WitnessError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Absent { .. } | Self::Exists { .. } => Reason::Usage,
            Self::Locked { .. } => Reason::StoreLocked,
            _ => Reason::WitnessState,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Over the one spelling of `heads`.
    blake3: String,
    heads: BTreeMap<String, Entry>,
    schema: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    root: String,
    size: u64,
}

fn checksum(heads: &BTreeMap<String, Entry>) -> String {
    let bytes = serde_json::to_vec(heads).unwrap_or_default();
    blake3::hash(&bytes).to_hex().to_string()
}

/// The heads, by the origin of their log.
#[derive(Debug)]
pub(super) struct Heads {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    known: BTreeMap<String, Entry>,
    broken: bool,
    _lock: Box<dyn Held>,
}

impl Heads {
    /// A witness that never cosigned anything, in a directory that holds none.
    pub(super) fn create(disk: Arc<dyn Disk>, directory: &Path) -> Result<Self, WitnessError> {
        disk.create_dir(directory).map_err(at(directory))?;
        let heads = Self::locked(disk, directory)?;
        if heads.read()?.is_some() {
            return Err(WitnessError::Exists {
                directory: directory.to_owned(),
            });
        }
        heads.write(&BTreeMap::new())?;
        Ok(heads)
    }

    /// The witness of a directory.
    pub(super) fn open(disk: Arc<dyn Disk>, directory: &Path) -> Result<Self, WitnessError> {
        let absent = || WitnessError::Absent {
            directory: directory.to_owned(),
        };
        let file = directory.join(FILE);
        if let Err(error) = disk.open(&file) {
            return Err(match error.kind() {
                io::ErrorKind::NotFound => absent(),
                _ => at(&file)(error),
            });
        }
        let mut heads = Self::locked(disk, directory)?;
        let read = heads.read()?.ok_or_else(absent)?;
        for entry in read.values() {
            head(entry).ok_or_else(|| heads.damaged("it holds a root that is none"))?;
        }
        // What is seen may not be durable: a process may have been killed before it synced.
        heads.write(&read)?;
        heads.known = read;
        Ok(heads)
    }

    fn locked(disk: Arc<dyn Disk>, directory: &Path) -> Result<Self, WitnessError> {
        let lock = disk.lock(&directory.join(LOCK));
        let lock = lock.map_err(|error| WitnessError::Locked {
            directory: directory.to_owned(),
            error,
        })?;
        Ok(Self {
            disk,
            directory: directory.to_owned(),
            known: BTreeMap::new(),
            broken: false,
            _lock: lock,
        })
    }

    /// What was cosigned last of a log.
    pub(super) fn latest(&self, origin: &str) -> Result<Option<Head>, WitnessError> {
        if self.broken {
            return Err(WitnessError::Broken);
        }
        Ok(self.known.get(origin).and_then(head))
    }

    /// From now on this was cosigned last; durable on return.
    pub(super) fn keep(&mut self, accepted: &Accepted) -> Result<(), WitnessError> {
        let Head { size, root } = accepted.head();
        // Durable since it was kept, or since `open`: anybody can submit the last head again.
        if self.latest(accepted.origin())? == Some(accepted.head()) {
            return Ok(());
        }
        let mut known = self.known.clone();
        let entry = Entry {
            root: root.to_string(),
            size: size.0,
        };
        known.insert(accepted.origin().to_owned(), entry);
        // Known to be durable only once all of it is done.
        self.broken = true;
        self.write(&known)?;
        self.broken = false;
        self.known = known;
        Ok(())
    }

    fn read(&self) -> Result<Option<BTreeMap<String, Entry>>, WitnessError> {
        let path = self.directory.join(FILE);
        let file = match self.disk.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(at(&path))?,
        };
        let length = file.size().map_err(at(&path))?;
        if length > FILE_BYTES_MAX {
            return Err(self.damaged("it is too long"));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        read_exact_at(&*file, &mut bytes, 0).map_err(at(&path))?;
        let file: File =
            serde_json::from_slice(&bytes).map_err(|_| self.damaged("it is not a witness's"))?;
        if file.schema != SCHEMA {
            return Err(self.damaged("its schema needs a newer cairn"));
        }
        if file.blake3 != checksum(&file.heads) {
            return Err(self.damaged("its checksum does not fit"));
        }
        Ok(Some(file.heads))
    }

    fn write(&self, heads: &BTreeMap<String, Entry>) -> Result<(), WitnessError> {
        let path = self.directory.join(FILE);
        let draft = self.directory.join("heads.json.new");
        let file = File {
            blake3: checksum(heads),
            heads: heads.clone(),
            schema: SCHEMA.to_owned(),
        };
        let bytes = serde_json::to_vec(&file).unwrap_or_default();
        let written = (|| {
            match self.disk.remove(&draft) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let file = self.disk.create(&draft)?;
            file.write_at(&bytes, 0)?;
            file.sync()?;
            // The name never shows a half-written file.
            self.disk.rename(&draft, &path)?;
            self.disk.sync_dir(&self.directory)
        })();
        written.map_err(at(&path))
    }

    fn damaged(&self, why: &'static str) -> WitnessError {
        WitnessError::Damaged {
            path: self.directory.join(FILE),
            why,
        }
    }
}

fn head(entry: &Entry) -> Option<Head> {
    let root: RootHash = entry.root.parse().ok()?;
    Some(Head {
        size: TreeSize(entry.size),
        root,
    })
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> WitnessError + '_ {
    move |error| WitnessError::Io {
        path: path.to_owned(),
        error,
    }
}
