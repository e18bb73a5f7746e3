//! A settled series: reserve, append, sync, and reads beside them.
//!
//! Invariant: readers take no lock that is held across a sync. One appender at a time; after
//! any failed write or sync, or a panic while appending, every later append is `Broken`.
//! A frame is durable only once `sync` has returned; `durable_tail` never runs ahead of it.
//! Out of scope: which frames may be relied on before that; the owner decides.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, RwLock},
};

use bytes::Bytes;

use super::{
    Frame, FrameAt, Place, STEP_BYTES_MAX, STEP_BYTES_MIN, SeriesConfig, SeriesTail, StoreError,
    file::{HEADER_BYTES, SegmentFile, name},
    frame::{FRAME_HEADER_BYTES, frame_bytes},
    reading, writing,
};
use crate::disk::Disk;

/// Segment files that can be appended to.
#[derive(Debug)]
pub struct Series {
    disk: Arc<dyn Disk>,
    config: SeriesConfig,
    segments: RwLock<Vec<Arc<SegmentFile>>>,
    appender: Mutex<Appender>,
    /// Apart from the appender, so that nobody waits for a sync to learn what is durable.
    durable: RwLock<SeriesTail>,
}

#[derive(Debug)]
struct Appender {
    current: Arc<SegmentFile>,
    tail: SeriesTail,
    /// Zeroed and synced up to here.
    allocated: u64,
    /// Whether frames stand before the tail that no sync has covered.
    dirty: bool,
    /// Whether a write or sync failed.
    broken: bool,
}

impl Series {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        config: SeriesConfig,
        segments: Vec<Arc<SegmentFile>>,
        tail: SeriesTail,
        allocated: u64,
    ) -> Self {
        let current = Arc::clone(&segments[tail.segment as usize]);
        let appender = Appender {
            current,
            tail,
            allocated,
            dirty: false,
            broken: false,
        };
        Self {
            disk,
            config,
            segments: RwLock::new(segments),
            appender: Mutex::new(appender),
            durable: RwLock::new(tail),
        }
    }

    /// How the series is kept.
    pub fn config(&self) -> &SeriesConfig {
        &self.config
    }

    /// The end of what is durable.
    pub fn durable_tail(&self) -> SeriesTail {
        *reading(&self.durable)
    }

    /// Allocates room for one more frame, zeroed and durable. `NoSpace` changes nothing.
    pub fn reserve(&self, payload_bytes: u64) -> Result<(), StoreError> {
        let mut appender = self.appender()?;
        let result = self.make_room(&mut appender, payload_bytes).map(drop);
        note_failure(&mut appender, result)
    }

    /// Writes a frame into reserved room, reserving it if need be. Not durable yet.
    pub fn append(&self, payload: &[u8], digest: [u8; 32]) -> Result<Frame, StoreError> {
        let mut appender = self.appender()?;
        let result = self.append_frame(&mut appender, payload, digest);
        note_failure(&mut appender, result)
    }

    /// Makes everything appended durable.
    pub fn sync(&self) -> Result<SeriesTail, StoreError> {
        let mut appender = self.appender()?;
        let result = self.sync_appended(&mut appender);
        note_failure(&mut appender, result)?;
        Ok(appender.tail)
    }

    /// A whole frame's payload, verified.
    pub fn read(&self, place: Place, position: u64) -> Result<(Frame, Bytes), StoreError> {
        self.segment(place.segment)?
            .read_frame(&self.config, place, position)
    }

    /// Bytes of a frame's payload, **not verified**: the caller knows a hash of them.
    /// `None` if they do not lie within the payload.
    pub fn read_part(
        &self,
        place: Place,
        from: u64,
        bytes: u64,
    ) -> Result<Option<Bytes>, StoreError> {
        let inside = from
            .checked_add(bytes)
            .is_some_and(|end| end <= u64::from(place.bytes));
        let Some(length) = usize::try_from(bytes).ok().filter(|_| inside) else {
            return Ok(None);
        };
        let mut buffer = vec![0; length];
        let offset = place.offset + FRAME_HEADER_BYTES as u64 + from;
        let count = self.segment(place.segment)?.read(&mut buffer, offset)?;
        Ok((count == length).then(|| buffer.into()))
    }

    /// Overwrites payloads with zeros, durably; the headers stay, and all that lies beside. A scan
    /// verifies what lies beyond the anchored end, and must be told to spare these.
    pub fn erase(&self, places: &[Place]) -> Result<(), StoreError> {
        // The appender's lock, so that a sync that fails here is not taken for one that went
        // well there: the system reports it once.
        let mut appender = self.appender()?;
        let numbers: BTreeSet<u32> = places.iter().map(|place| place.segment).collect();
        let erased = places
            .iter()
            .try_for_each(|place| self.segment(place.segment)?.erase(*place))
            .and_then(|()| {
                let mut numbers = numbers.into_iter();
                numbers.try_for_each(|number| self.segment(number)?.sync())
            });
        note_failure(&mut appender, erased)
    }

    /// Whether a frame's payload is zeros.
    pub fn is_erased(&self, place: Place) -> Result<bool, StoreError> {
        self.segment(place.segment)?.is_erased(place)
    }

    /// Names a frame.
    pub fn name(&self, place: Place, position: u64) -> FrameAt {
        let file = self.config.directory.join(name(place.segment));
        FrameAt {
            file,
            offset: place.offset,
            position,
        }
    }

    fn segment(&self, number: u32) -> Result<Arc<SegmentFile>, StoreError> {
        let found = reading(&self.segments).get(number as usize).cloned();
        found.ok_or(StoreError::Absent {
            number: u64::from(number),
        })
    }

    fn broken(&self) -> StoreError {
        StoreError::Broken {
            directory: self.config.directory.clone(),
        }
    }

    fn appender(&self) -> Result<MutexGuard<'_, Appender>, StoreError> {
        // A poisoned lock: a thread panicked between a write and the tail's advance.
        let appender = self.appender.lock().map_err(|_| self.broken())?;
        if appender.broken {
            Err(self.broken())
        } else {
            Ok(appender)
        }
    }

    /// Room for one frame behind the tail, in this segment or the next.
    fn make_room(&self, appender: &mut Appender, payload_bytes: u64) -> Result<u32, StoreError> {
        let length = u32::try_from(payload_bytes)
            .ok()
            .filter(|length| (1..=self.config.payload_bytes_max).contains(length))
            .ok_or(StoreError::Payload {
                bytes: payload_bytes,
            })?;
        let bytes = frame_bytes(length);
        let max = self.config.segment_bytes_max;
        if appender.tail.offset + bytes <= appender.allocated {
            return Ok(length);
        }
        // Frames first: if growing fails for want of space, only zeros can be in doubt.
        self.sync_appended(appender)?;
        if appender.tail.offset + bytes > max {
            self.roll(appender)?;
        }
        let needed = appender.tail.offset + bytes;
        if needed > appender.allocated {
            let step = appender.allocated.clamp(STEP_BYTES_MIN, STEP_BYTES_MAX);
            let wanted = needed
                .max(appender.allocated.saturating_add(step))
                .min(max.max(needed));
            appender.current.grow(appender.allocated, wanted)?;
            appender.allocated = wanted;
        }
        Ok(length)
    }

    fn roll(&self, appender: &mut Appender) -> Result<(), StoreError> {
        let SeriesTail {
            segment, position, ..
        } = appender.tail;
        let number = segment.checked_add(1).ok_or_else(|| self.broken())?;
        let next = SegmentFile::create(self.disk.as_ref(), &self.config, number, position)?;
        let next = Arc::new(next);
        appender.allocated = next.allocated()?;
        appender.tail = SeriesTail {
            segment: number,
            offset: HEADER_BYTES,
            position,
        };
        appender.current = Arc::clone(&next);
        writing(&self.segments).push(next);
        *writing(&self.durable) = appender.tail;
        Ok(())
    }

    fn append_frame(
        &self,
        appender: &mut Appender,
        payload: &[u8],
        digest: [u8; 32],
    ) -> Result<Frame, StoreError> {
        let bytes = self.make_room(appender, payload.len() as u64)?;
        let SeriesTail {
            segment,
            offset,
            position,
        } = appender.tail;
        let place = Place {
            segment,
            bytes,
            offset,
        };
        let frame = Frame {
            place,
            position,
            digest,
        };
        appender.dirty = true;
        let encoded = appender.current.encode(&frame, self.config.ledger, payload);
        appender.current.write(&encoded, offset)?;
        appender.tail.offset += frame_bytes(bytes);
        appender.tail.position += 1;
        Ok(frame)
    }

    fn sync_appended(&self, appender: &mut Appender) -> Result<(), StoreError> {
        if appender.dirty {
            appender.current.sync()?;
            appender.dirty = false;
            *writing(&self.durable) = appender.tail;
        }
        Ok(())
    }
}

/// After a failed write nothing may be appended any more: the tail is no longer known.
fn note_failure<T>(
    appender: &mut Appender,
    result: Result<T, StoreError>,
) -> Result<T, StoreError> {
    if let Err(error) = &result {
        appender.broken = !matches!(
            error,
            StoreError::NoSpace { .. } | StoreError::Payload { .. }
        );
    }
    result
}
