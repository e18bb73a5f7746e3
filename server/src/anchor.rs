//! The anchor: what may not be lost, in one small file.
//!
//! ```text
//! file  two slots of 512 bytes, at offsets 0 and 4096, in 8192 preallocated bytes
//! slot  magic [8], version u32, zero u32, generation u64, ledger [16],
//!       size u64, root [32],
//!       journal: segment u32, zero u32, offset u64, position u64, record hash [32],
//!       packs:   segment u32, zero u32, offset u64, position u64,
//!       BLAKE3 of all that [32]; zeros
//! ```
//!
//! Generation g stands in slot g mod 2, so a write never touches the newest good state, and
//! a torn write leaves the one before it. The slots lie in different 4096-byte sectors.
//!
//! Invariants:
//! - `write` returns only when the state is durable, and fails if anybody else wrote since.
//! - The newest good slot is rewritten and synced before the other slot is first touched:
//!   after a failed sync and a restart without a reboot, what was read may be in the page
//!   cache only, and tearing the other slot then would lose both.
//!
//! Out of scope: whether the journal agrees (`store`).

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use cairn_proto::hash::{RootHash, TreeSize};

use crate::{
    disk::{Disk, DiskFile, is_no_space},
    journal::RecordHash,
    segment::{LedgerTag, SeriesTail, StoreError},
};

#[cfg(test)]
mod tests;

const SLOT_BYTES: usize = 512;
const SLOT_OFFSETS: [u64; 2] = [0, 4096];
const FILE_BYTES: usize = 8192;
const MAGIC: &[u8; 8] = b"CAIRNANC";
const VERSION: u32 = 1;
const CHECKED_BYTES: usize = 8 + 4 + 4 + 8 + 16 + 8 + 32 + 56 + 24;

/// What the ledger may never again be less than.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnchorState {
    /// Leaves in the tree.
    pub size: TreeSize,
    /// Root of the tree.
    pub root: RootHash,
    /// End of the journal's files.
    pub journal: SeriesTail,
    /// Hash of the journal's last record.
    pub record: RecordHash,
    /// End of the packs' files.
    pub packs: SeriesTail,
}

impl AnchorState {
    /// The state of a new ledger.
    pub fn empty() -> Self {
        Self {
            size: TreeSize(0),
            root: RootHash::empty(),
            journal: SeriesTail::START,
            record: RecordHash::NONE,
            packs: SeriesTail::START,
        }
    }
}

/// What stands at an anchor's path.
#[derive(Debug)]
pub enum AnchorFound {
    /// No file.
    Missing,
    /// A file without a good slot.
    Unreadable,
    /// A file of another ledger.
    Foreign,
    /// A file with a good slot: `state` is the newest, `write` puts the next beside it.
    Good(Box<Anchor>),
}

/// An open anchor.
#[derive(Debug)]
pub struct Anchor {
    path: PathBuf,
    ledger: LedgerTag,
    file: Arc<dyn DiskFile>,
    newest: Mutex<Newest>,
}

#[derive(Debug)]
struct Newest {
    generation: u64,
    state: AnchorState,
    /// Whether this process knows the slot to be durable.
    durable: bool,
    /// Whether a write failed, or a panic came between.
    broken: bool,
}

struct Slot {
    generation: u64,
    ledger: LedgerTag,
    state: AnchorState,
}

impl Anchor {
    /// Makes the file, durable with its name, replacing one that was judged unreadable.
    pub fn create(
        disk: &dyn Disk,
        path: &Path,
        ledger: LedgerTag,
        state: &AnchorState,
    ) -> Result<Self, StoreError> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let draft = path.with_file_name(name);
        let slot = Slot {
            generation: 0,
            ledger,
            state: *state,
        };
        let made = (|| {
            match disk.remove(&draft) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let file = disk.create(&draft)?;
            let mut bytes = slot.encode();
            bytes.resize(FILE_BYTES, 0);
            file.write_at(&bytes, 0)?;
            file.sync()?;
            // Named only once it is whole: the path never shows a half-made anchor.
            disk.rename(&draft, path)?;
            let parent = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            disk.sync_dir(parent.unwrap_or(Path::new(".")))?;
            Ok(file)
        })();
        let file = made.map_err(|error| {
            if is_no_space(&error) {
                StoreError::NoSpace {
                    file: path.to_owned(),
                    bytes: FILE_BYTES as u64,
                }
            } else {
                StoreError::io(path, 0)(error)
            }
        })?;
        let newest = Newest {
            generation: 0,
            state: *state,
            durable: true,
            broken: false,
        };
        Ok(Self {
            path: path.to_owned(),
            ledger,
            file,
            newest: Mutex::new(newest),
        })
    }

    /// Reads what stands at the path. Changes nothing.
    pub fn find(
        disk: &dyn Disk,
        path: &Path,
        ledger: LedgerTag,
    ) -> Result<AnchorFound, StoreError> {
        let file = match disk.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(AnchorFound::Missing);
            }
            result => result.map_err(StoreError::read(path, 0))?,
        };
        let Some(slot) = newest_slot(file.as_ref()).map_err(StoreError::read(path, 0))? else {
            return Ok(AnchorFound::Unreadable);
        };
        if slot.ledger != ledger {
            return Ok(AnchorFound::Foreign);
        }
        let Slot {
            generation, state, ..
        } = slot;
        let newest = Newest {
            generation,
            state,
            durable: false,
            broken: false,
        };
        let anchor = Self {
            path: path.to_owned(),
            ledger,
            file,
            newest: Mutex::new(newest),
        };
        Ok(AnchorFound::Good(Box::new(anchor)))
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The newest state written or found.
    pub fn state(&self) -> AnchorState {
        self.newest
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .state
    }

    /// Writes the next state; durable on return. Any error means: abort.
    pub fn write(&self, state: &AnchorState) -> Result<(), StoreError> {
        let broken = || StoreError::Broken {
            directory: self.path.clone(),
        };
        let mut newest = self.newest.lock().map_err(|_| broken())?;
        if newest.broken {
            return Err(broken());
        }
        newest.broken = true;
        self.write_next(&mut newest, state)?;
        newest.broken = false;
        Ok(())
    }

    fn write_next(&self, newest: &mut Newest, state: &AnchorState) -> Result<(), StoreError> {
        // Two copies of a data directory may share one anchor, and the lock of neither sees
        // the other. Whoever writes second finds a state that is not the one it left.
        let there = newest_slot(self.file.as_ref()).map_err(StoreError::io(&self.path, 0))?;
        let ours = there.is_some_and(|slot| {
            slot.generation == newest.generation
                && slot.ledger == self.ledger
                && slot.state == newest.state
        });
        if !ours {
            return Err(StoreError::AnchorMoved {
                file: self.path.clone(),
            });
        }
        if !newest.durable {
            self.write_slot(newest.generation, &newest.state)?;
            newest.durable = true;
        }
        let next = newest
            .generation
            .checked_add(1)
            .ok_or_else(|| StoreError::Broken {
                directory: self.path.clone(),
            })?;
        self.write_slot(next, state)?;
        newest.generation = next;
        newest.state = *state;
        Ok(())
    }

    fn write_slot(&self, generation: u64, state: &AnchorState) -> Result<(), StoreError> {
        let offset = SLOT_OFFSETS[usize::from(!generation.is_multiple_of(2))];
        let io = |error| StoreError::io(&self.path, offset)(error);
        let slot = Slot {
            generation,
            ledger: self.ledger,
            state: *state,
        };
        self.file.write_at(&slot.encode(), offset).map_err(io)?;
        self.file.sync().map_err(io)
    }
}

fn newest_slot(file: &dyn DiskFile) -> io::Result<Option<Slot>> {
    let mut newest: Option<Slot> = None;
    for (parity, offset) in SLOT_OFFSETS.into_iter().enumerate() {
        let mut bytes = [0; SLOT_BYTES];
        file.read_at(&mut bytes, offset)?;
        let slot = Slot::decode(&bytes).filter(|slot| slot.generation % 2 == parity as u64);
        if let Some(slot) = slot
            && newest
                .as_ref()
                .is_none_or(|other| other.generation < slot.generation)
        {
            newest = Some(slot);
        }
    }
    Ok(newest)
}

impl Slot {
    fn encode(&self) -> Vec<u8> {
        let state = &self.state;
        let mut out = Vec::with_capacity(FILE_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.ledger.0);
        out.extend_from_slice(&state.size.0.to_le_bytes());
        out.extend_from_slice(&state.root.0);
        encode_tail(&state.journal, &mut out);
        out.extend_from_slice(&state.record.0);
        encode_tail(&state.packs, &mut out);
        let sum = blake3::hash(&out);
        out.extend_from_slice(sum.as_bytes());
        out.resize(SLOT_BYTES, 0);
        out
    }

    /// Accepts exactly what `encode` writes.
    fn decode(bytes: &[u8; SLOT_BYTES]) -> Option<Self> {
        let mut rest = bytes.get(..CHECKED_BYTES)?.get(16..)?;
        let generation = u64::from_le_bytes(take(&mut rest)?);
        let ledger = LedgerTag(take(&mut rest)?);
        let size = TreeSize(u64::from_le_bytes(take(&mut rest)?));
        let root = RootHash(take(&mut rest)?);
        let journal = decode_tail(&mut rest)?;
        let record = RecordHash(take(&mut rest)?);
        let packs = decode_tail(&mut rest)?;
        let state = AnchorState {
            size,
            root,
            journal,
            record,
            packs,
        };
        let slot = Self {
            generation,
            ledger,
            state,
        };
        // Magic, version, reserved bytes, checksum and padding in one comparison.
        (slot.encode() == bytes).then_some(slot)
    }
}

fn encode_tail(tail: &SeriesTail, out: &mut Vec<u8>) {
    out.extend_from_slice(&tail.segment.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&tail.offset.to_le_bytes());
    out.extend_from_slice(&tail.position.to_le_bytes());
}

fn decode_tail(rest: &mut &[u8]) -> Option<SeriesTail> {
    let segment = u32::from_le_bytes(take(rest)?);
    let _reserved: [u8; 4] = take(rest)?;
    let offset = u64::from_le_bytes(take(rest)?);
    let position = u64::from_le_bytes(take(rest)?);
    Some(SeriesTail {
        segment,
        offset,
        position,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}
