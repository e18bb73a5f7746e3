//! Small contents in segment files, with one sync for all callers of a moment.
//!
//! Invariant: a content is in the index only after the sync that covers its frame.
//! Whoever comes while a batch is being written waits for it to end; then one of the waiters
//! writes for all of them. No timers: a lone caller pays one sync of latency.
//! Out of scope: who sent a content, and whether it may be stored.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry},
    io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError},
};

use bytes::Bytes;
use cairn_proto::hash::ContentId;

use super::{ContentError, PACKED_BYTES_LIMIT, erased::Erased, index::Index};
use crate::{
    disk::{Disk, read_exact_at},
    segment::{
        self, Frame, Kind, LedgerTag, Place, SEGMENT_BYTES_MAX, Scan, Series, SeriesConfig,
        SeriesTail, StoreError, Successor,
    },
};

/// What the pack files hold, before anything was changed.
#[derive(Debug)]
pub struct PackScan {
    scan: Scan,
    frames: HashMap<ContentId, Frame>,
    again: Vec<Frame>,
}

fn config(directory: PathBuf, ledger: LedgerTag) -> SeriesConfig {
    SeriesConfig {
        directory,
        kind: Kind::Pack,
        ledger,
        payload_bytes_max: u32::try_from(PACKED_BYTES_LIMIT).unwrap_or(u32::MAX),
        segment_bytes_max: SEGMENT_BYTES_MAX,
    }
}

pub(super) fn create(
    disk: &Arc<dyn Disk>,
    directory: PathBuf,
    ledger: LedgerTag,
) -> Result<(), StoreError> {
    segment::create(disk, &config(directory, ledger))
}

impl PackScan {
    /// Reads the packs; `anchored` is where they are known to reach, if that is known. Contents
    /// that are `erased` need not hash to their ids.
    pub fn read(
        disk: &Arc<dyn Disk>,
        directory: PathBuf,
        ledger: LedgerTag,
        anchored: Option<SeriesTail>,
        erased: &HashSet<ContentId>,
    ) -> Result<Self, StoreError> {
        let mut frames = HashMap::new();
        let mut again = Vec::new();
        // With an anchor, what lies beyond it was promised to nobody, and a torn batch is
        // cut. Without one, nobody knows what was promised: a good frame after a bad one is
        // shown to a person.
        let successor = if anchored.is_some() {
            Successor::IsCut
        } else {
            Successor::IsDamage
        };
        let anchored = anchored.unwrap_or(SeriesTail::START);
        let config = config(directory, ledger);
        let spared = |frame: &Frame| erased.contains(&ContentId(frame.digest));
        let scan = Scan::read_sparing(disk, config, anchored, successor, &spared, &mut |found| {
            let frame = found.frame;
            match frames.entry(ContentId(frame.digest)) {
                Entry::Vacant(place) => drop(place.insert(frame)),
                Entry::Occupied(_) => again.push(frame),
            }
            Ok(())
        })?;
        Ok(Self {
            scan,
            frames,
            again,
        })
    }

    /// The underlying scan.
    pub fn series(&self) -> &Scan {
        &self.scan
    }

    pub(super) fn settle(
        self,
        disk: Arc<dyn Disk>,
        erased: Arc<Erased>,
    ) -> Result<Packs, StoreError> {
        Ok(Packs {
            disk,
            series: self.scan.settle()?,
            index: Index::of(self.frames, self.again),
            erased,
            writing: Mutex::default(),
            queue: Mutex::default(),
            answered: Condvar::new(),
        })
    }
}

/// A verified staged content, to be packed.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) id: ContentId,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

/// Small contents.
#[derive(Debug)]
pub(super) struct Packs {
    disk: Arc<dyn Disk>,
    series: Series,
    index: Index,
    erased: Arc<Erased>,
    /// Held while a batch is written, and while contents are erased.
    writing: Mutex<()>,
    queue: Mutex<Queue>,
    answered: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Request>,
    /// Whether somebody is writing a batch.
    led: bool,
}

type Answer = Arc<OnceLock<Result<(), ContentError>>>;

#[derive(Debug)]
struct Request {
    contents: Vec<Packed>,
    answer: Answer,
}

/// Whoever writes for all. Dropped, it answers those it did not come to, so that a panic
/// in a batch leaves nobody waiting.
struct Lead<'a> {
    packs: &'a Packs,
    batch: Vec<Request>,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        for request in &self.batch {
            let directory = self.packs.series.config().directory.clone();
            // Fails where an answer was given already, which is what was wanted.
            let _ = request
                .answer
                .set(Err(StoreError::Broken { directory }.into()));
        }
        self.packs.queue().led = false;
        self.packs.answered.notify_all();
    }
}

impl Packs {
    pub(super) fn durable_tail(&self) -> SeriesTail {
        self.series.durable_tail()
    }

    pub(super) fn size(&self, id: &ContentId) -> Option<u64> {
        self.index.get(id).map(|frame| u64::from(frame.place.bytes))
    }

    /// The whole content, verified; `None` if it is not packed.
    pub(super) fn read(&self, id: &ContentId) -> Result<Option<Bytes>, StoreError> {
        let Some(frame) = self.index.get(id) else {
            return Ok(None);
        };
        let (there, payload) = self.series.read(frame.place, frame.position)?;
        if there.digest == id.0 {
            Ok(Some(payload))
        } else {
            Err(StoreError::Mismatch {
                frame: self.series.name(frame.place, frame.position),
            })
        }
    }

    /// Makes the contents durable.
    pub(super) fn put(&self, contents: Vec<Packed>) -> Result<(), ContentError> {
        if contents.is_empty() {
            return Ok(());
        }
        let answer = Answer::default();
        let mut queue = self.queue();
        queue.waiting.push(Request {
            contents,
            answer: Arc::clone(&answer),
        });
        loop {
            if let Some(result) = answer.get() {
                return result.clone();
            }
            if queue.led {
                queue = self
                    .answered
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            queue.led = true;
            let lead = Lead {
                packs: self,
                batch: std::mem::take(&mut queue.waiting),
            };
            drop(queue);
            self.write_batch(&lead.batch);
            drop(lead);
            queue = self.queue();
        }
    }

    /// On return, no batch is under way that did not know what is erased by now.
    pub(super) fn pass_erased(&self) {
        drop(self.batch());
    }

    /// Whether a byte of the content is still in a pack.
    pub(super) fn remains(&self, id: &ContentId) -> Result<bool, StoreError> {
        for frame in self.index.all(id) {
            if !self.series.is_erased(frame.place)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Overwrites the contents, durably.
    pub(super) fn erase(&self, ids: &[ContentId]) -> Result<(), StoreError> {
        let _one = self.batch();
        let frames = ids.iter().flat_map(|id| self.index.all(id));
        let places: Vec<Place> = frames.map(|frame| frame.place).collect();
        // Even where there is none: a series that broke says so, since then a frame may be left unlisted.
        self.series.erase(&places)
    }

    fn batch(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Frames for all requests, one sync, then the index, then the answers.
    fn write_batch(&self, batch: &[Request]) {
        let _one = self.batch();
        let mut written = HashSet::new();
        let mut frames = Vec::new();
        let mut results = Vec::new();
        for request in batch {
            // A request that fails halfway leaves frames that nothing names: they are
            // whole contents, and harmless.
            results.push(request.contents.iter().try_for_each(|content| {
                self.erased.check(&content.id)?;
                if self.index.get(&content.id).is_none() && !written.contains(&content.id) {
                    frames.push(self.append(content)?);
                    written.insert(content.id);
                }
                Ok(())
            }));
        }
        let synced = self.series.sync();
        if synced.is_ok() {
            self.index.insert(frames);
        }
        for (request, result) in batch.iter().zip(results) {
            let durable = synced
                .as_ref()
                .map(drop)
                .map_err(|error| error.clone().into());
            let _ = request.answer.set(durable.and(result));
        }
    }

    fn append(&self, content: &Packed) -> Result<Frame, ContentError> {
        let Packed { id, path, bytes } = content;
        let mut buffer = vec![0; usize::try_from(*bytes).unwrap_or_default()];
        let read = self.disk.open(path);
        match read.and_then(|file| read_exact_at(file.as_ref(), &mut buffer, 0)) {
            // It expired meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ContentError::Missing { id: *id });
            }
            result => result.map_err(StoreError::read(path, 0))?,
        }
        // Hashed again although it was when it came: the file was not durable since.
        let found = ContentId::of(&buffer);
        if found != *id {
            return Err(ContentError::Mismatch { id: *id, found });
        }
        Ok(self.series.append(&buffer, id.0)?)
    }
}
