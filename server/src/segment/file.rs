//! One segment file: its header, its frames, its allocated space.
//!
//! Invariant: a file with a segment's name has a synced header and a synced first step of
//! zeros, for it gets that name only afterwards. So a bad segment header is always damage,
//! never the trace of a crash.
//! Out of scope: the order of segments, what a bad frame means (`scan`).

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    Damage, Frame, FrameAt, LedgerTag, Place, STEP_BYTES_MIN, SeriesConfig, StoreError,
    frame::{FRAME_HEADER_BYTES, FRAME_MAGIC, FrameHeader, Parsed, frame_bytes},
};
use crate::disk::{Disk, DiskFile, is_no_space};

/// The header has a block of its own, so that writing a frame never rewrites its sector.
pub(super) const HEADER_BYTES: u64 = 4096;
const MAGIC: &[u8; 8] = b"CAIRNSEG";
const VERSION: u32 = 1;
const CHECKED_BYTES: usize = 80;
const ZEROS: &[u8] = &[0; 1 << 16];
/// What a search reads at once.
const SEARCH_BYTES: usize = 1 << 20;
/// What a search skips at once if it is zero.
const BLOCK_BYTES: usize = 4096;

/// An open segment.
#[derive(Debug)]
pub(super) struct SegmentFile {
    pub(super) path: PathBuf,
    pub(super) number: u32,
    /// Position of its first frame.
    pub(super) first: u64,
    key: [u8; 32],
    file: Arc<dyn DiskFile>,
}

/// The name of a segment's file.
pub(super) fn name(number: u32) -> String {
    format!("{number:08}.seg")
}

fn encode_header(config: &SeriesConfig, number: u32, first: u64, key: &[u8; 32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(CHECKED_BYTES + 32);
    out.extend_from_slice(MAGIC);
    for field in [VERSION, config.kind.code(), number, 0] {
        out.extend_from_slice(&field.to_le_bytes());
    }
    out.extend_from_slice(&first.to_le_bytes());
    out.extend_from_slice(key);
    out.extend_from_slice(&config.ledger.0);
    let sum = blake3::keyed_hash(key, &out);
    out.extend_from_slice(sum.as_bytes());
    out
}

impl SegmentFile {
    /// Makes a segment, durable on return. `NoSpace` leaves nothing behind.
    pub(super) fn create(
        disk: &dyn Disk,
        config: &SeriesConfig,
        number: u32,
        first: u64,
    ) -> Result<Self, StoreError> {
        let path = config.directory.join(name(number));
        let draft = path.with_extension("new");
        let io = |error| StoreError::io(&draft, 0)(error);
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|error| io(io::Error::other(error)))?;
        // A draft of a crashed process was never named by anything: begin anew.
        match disk.remove(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
            _ => {}
        }
        let made = (|| {
            let file = disk.create(&draft)?;
            file.write_at(&encode_header(config, number, first, &key), 0)?;
            let step = STEP_BYTES_MIN.min(config.segment_bytes_max);
            zero(
                file.as_ref(),
                encode_header(config, number, first, &key).len() as u64,
                step,
            )?;
            file.sync()?;
            // The name only now: see the invariant above.
            disk.rename(&draft, &path)?;
            Ok(file)
        })();
        let file = match made {
            Ok(file) => file,
            Err(error) if is_no_space(&error) => {
                // Best effort: the next open or create removes the draft too.
                let _ = disk.remove(&draft);
                let bytes = STEP_BYTES_MIN;
                return Err(StoreError::NoSpace { file: path, bytes });
            }
            Err(error) => return Err(io(error)),
        };
        disk.sync_dir(&config.directory).map_err(io)?;
        Ok(Self {
            path,
            number,
            first,
            key,
            file,
        })
    }

    /// Opens a segment and checks its header.
    pub(super) fn open(
        disk: &dyn Disk,
        config: &SeriesConfig,
        number: u32,
    ) -> Result<Self, StoreError> {
        let path = config.directory.join(name(number));
        let damaged = |damage| {
            let frame = FrameAt {
                file: path.clone(),
                offset: 0,
                position: 0,
            };
            StoreError::Damaged { frame, damage }
        };
        let file = match disk.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged(Damage::SegmentMissing));
            }
            result => result.map_err(StoreError::read(&path, 0))?,
        };
        let mut header = [0; CHECKED_BYTES + 32];
        let count = file
            .read_at(&mut header, 0)
            .map_err(StoreError::read(&path, 0))?;
        let (mut first, mut key, mut ledger) = ([0; 8], [0; 32], [0; 16]);
        first.copy_from_slice(&header[24..32]);
        key.copy_from_slice(&header[32..64]);
        ledger.copy_from_slice(&header[64..CHECKED_BYTES]);
        let first = u64::from_le_bytes(first);
        // Encoded with the ledger that the file states, so that the file of another ledger
        // is told apart from a damaged one.
        let stated = SeriesConfig {
            ledger: LedgerTag(ledger),
            ..config.clone()
        };
        if count != header.len() || header[..] != encode_header(&stated, number, first, &key)[..] {
            return Err(damaged(Damage::SegmentHeader));
        }
        if stated.ledger != config.ledger {
            return Err(damaged(Damage::Ledger));
        }
        Ok(Self {
            path,
            number,
            first,
            key,
            file,
        })
    }

    /// Bytes of the file: the allocated space.
    pub(super) fn allocated(&self) -> Result<u64, StoreError> {
        self.file.size().map_err(StoreError::read(&self.path, 0))
    }

    /// Fills the buffer from the offset, as far as the file goes.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<usize, StoreError> {
        self.file
            .read_at(buffer, offset)
            .map_err(StoreError::read(&self.path, offset))
    }

    pub(super) fn write(&self, data: &[u8], offset: u64) -> Result<(), StoreError> {
        self.file
            .write_at(data, offset)
            .map_err(StoreError::io(&self.path, offset))
    }

    /// Zeros from one offset to another.
    pub(super) fn clear(&self, from: u64, to: u64) -> Result<(), StoreError> {
        zero(self.file.as_ref(), from, to).map_err(StoreError::io(&self.path, from))
    }

    /// Zeros over the payload of a frame, and nothing beside it.
    pub(super) fn erase(&self, place: Place) -> Result<(), StoreError> {
        let from = place.offset + FRAME_HEADER_BYTES as u64;
        self.clear(from, from + u64::from(place.bytes))
    }

    /// Whether the payload of a frame is zeros.
    pub(super) fn is_erased(&self, place: Place) -> Result<bool, StoreError> {
        let mut payload = vec![0; place.bytes as usize];
        let count = self.read(&mut payload, place.offset + FRAME_HEADER_BYTES as u64)?;
        Ok(count == payload.len() && payload.iter().all(|byte| *byte == 0))
    }

    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync().map_err(StoreError::io(&self.path, 0))
    }

    /// Extends the zeros, durable on return. The caller has nothing unsynced in the file,
    /// so a failure here can have lost nothing but zeros.
    pub(super) fn grow(&self, from: u64, to: u64) -> Result<(), StoreError> {
        match zero(self.file.as_ref(), from, to).and_then(|()| self.file.sync()) {
            Ok(()) => Ok(()),
            Err(error) if is_no_space(&error) => {
                // Gives back what was taken, and with it the pages whose state is unknown.
                self.file
                    .set_size(from)
                    .map_err(StoreError::io(&self.path, from))?;
                Err(StoreError::NoSpace {
                    file: self.path.clone(),
                    bytes: to - from,
                })
            }
            Err(error) => Err(StoreError::io(&self.path, from)(error)),
        }
    }

    /// What stands at an offset, given the bytes there.
    pub(super) fn parse(&self, bytes: &[u8], config: &SeriesConfig, offset: u64) -> Parsed {
        let bytes = bytes.get(..FRAME_HEADER_BYTES).unwrap_or(bytes);
        FrameHeader::parse(bytes, &self.key, config, offset)
    }

    /// The bytes of a frame as they stand, or will stand, in the file.
    pub(super) fn encode(&self, frame: &Frame, ledger: LedgerTag, payload: &[u8]) -> Vec<u8> {
        let Frame {
            place,
            position,
            digest,
        } = *frame;
        let header = FrameHeader {
            bytes: place.bytes,
            position,
            digest,
        };
        let bytes = frame_bytes(place.bytes);
        let mut out = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
        out.extend_from_slice(&header.encode(&self.key, ledger, place.offset));
        out.extend_from_slice(payload);
        out.resize(out.len().next_multiple_of(8), 0);
        out
    }

    /// Reads a whole frame and verifies header and payload.
    pub(super) fn read_frame(
        &self,
        config: &SeriesConfig,
        place: Place,
        position: u64,
    ) -> Result<(Frame, Bytes), StoreError> {
        let damaged = |damage| StoreError::Damaged {
            frame: self.at(place.offset, position),
            damage,
        };
        let mut buffer = vec![0; FRAME_HEADER_BYTES + place.bytes as usize];
        let count = self.read(&mut buffer, place.offset)?;
        let header = match self.parse(&buffer, config, place.offset) {
            Parsed::Good(header)
                if header.bytes == place.bytes
                    && header.position == position
                    && count == buffer.len() =>
            {
                header
            }
            _ => return Err(damaged(Damage::Header)),
        };
        let payload = Bytes::from(buffer).split_off(FRAME_HEADER_BYTES);
        if *blake3::hash(&payload).as_bytes() != header.digest {
            return Err(damaged(Damage::Payload));
        }
        Ok((
            Frame {
                place,
                position,
                digest: header.digest,
            },
            payload,
        ))
    }

    /// Whether any good header begins after `from`, up to the end of the allocated space.
    pub(super) fn has_frame_after(
        &self,
        config: &SeriesConfig,
        from: u64,
    ) -> Result<bool, StoreError> {
        let mut buffer = vec![0; SEARCH_BYTES + FRAME_HEADER_BYTES];
        let mut base = (from + 1).next_multiple_of(8);
        loop {
            // Windows overlap by a header, so that none lies across two of them unseen.
            let count = self.read(&mut buffer, base)?;
            let bytes = buffer.get(..count).unwrap_or_default();
            for block in (0..count.min(SEARCH_BYTES)).step_by(BLOCK_BYTES) {
                let end = count.min(block + BLOCK_BYTES);
                // Most of what is searched is zeros, where no header begins.
                if bytes.get(block..end) == ZEROS.get(..end - block) {
                    continue;
                }
                for start in (block..end).step_by(8) {
                    let candidate = bytes.get(start..).unwrap_or_default();
                    if candidate.starts_with(&FRAME_MAGIC.to_le_bytes())
                        && let Parsed::Good(_) = self.parse(candidate, config, base + start as u64)
                    {
                        return Ok(true);
                    }
                }
            }
            if count < buffer.len() {
                return Ok(false);
            }
            base += SEARCH_BYTES as u64;
        }
    }

    pub(super) fn at(&self, offset: u64, position: u64) -> FrameAt {
        FrameAt {
            file: self.path.clone(),
            offset,
            position,
        }
    }
}

/// Zeros from one offset of a file to another.
pub(crate) fn zero(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    let mut offset = from;
    while offset < to {
        let count = (to - offset).min(ZEROS.len() as u64);
        let chunk = usize::try_from(count)
            .ok()
            .and_then(|count| ZEROS.get(..count));
        file.write_at(chunk.unwrap_or_default(), offset)?;
        offset += count;
    }
    Ok(())
}

/// Whether a crash left this while a file was being made.
pub(crate) fn is_draft(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "new")
}

/// Numbers of the segments in a directory, and the drafts that a crash left there.
pub(super) fn list(
    disk: &dyn Disk,
    directory: &Path,
) -> Result<(Vec<u32>, Vec<PathBuf>), StoreError> {
    let names = disk
        .list(directory)
        .map_err(StoreError::read(directory, 0))?;
    let mut numbers = Vec::new();
    let mut drafts = Vec::new();
    for file in names {
        if let Some(number) = file.strip_suffix(".seg").and_then(|stem| stem.parse().ok())
            && file == name(number)
        {
            numbers.push(number);
        } else if is_draft(&file) {
            drafts.push(directory.join(file));
        }
    }
    numbers.sort_unstable();
    Ok((numbers, drafts))
}
