//! Finding the end of a series at open, and making it fit to append to.
//!
//! `Scan::read` reads headers only, except at or after the anchored tail, where it verifies
//! whole frames; it changes nothing. `Scan::settle` then cuts, rewrites, zeroes and syncs.
//! Between the two, the owner of the series may still refuse to open.
//!
//! Invariant: below the anchored tail nothing is ever cut: a bad frame there is damage, and
//! missing frames leave `meets_anchor` false. Above it nothing was ever acknowledged.
//! Out of scope: the anchor itself, the payloads' meaning.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;

use super::{
    Damage, Frame, FrameAt, Place, Series, SeriesConfig, SeriesTail, StoreError, Successor,
    file::{self, HEADER_BYTES, SegmentFile},
    frame::{FRAME_HEADER_BYTES, Parsed, frame_bytes},
};
use crate::disk::Disk;

/// Bytes of a payload's beginning that a visitor sees.
const HEAD_BYTES: usize = 96;
/// What is read at once: small frames lie close together, large ones are skipped.
const WINDOW_BYTES: usize = 16 << 10;

/// A frame met by a scan.
#[derive(Debug, Clone, Copy)]
pub struct Found<'a> {
    /// The frame; its header is good.
    pub frame: Frame,
    /// The first bytes of its payload, up to 96; unverified unless `payload` is there.
    pub head: &'a [u8],
    /// The verified payload of a frame at or after the anchored tail.
    pub payload: Option<&'a Bytes>,
}

/// A series as it stands on disk.
#[derive(Debug)]
pub struct Scan {
    disk: Arc<dyn Disk>,
    config: SeriesConfig,
    segments: Vec<Arc<SegmentFile>>,
    drafts: Vec<PathBuf>,
    anchored: SeriesTail,
    successor: Successor,
    meets_anchor: bool,
    tail: SeriesTail,
    cut: Option<(FrameAt, Damage)>,
    unsettled: Vec<Frame>,
}

/// Where a scan cannot go on.
struct Stop {
    segment: usize,
    offset: u64,
    position: u64,
    /// `None` for zeros.
    damage: Option<Damage>,
}

impl Scan {
    /// Reads the series. `anchored` is where it is known to reach, `START` if that is not
    /// known; the visitor sees every frame in order and may call it damaged.
    pub fn read(
        disk: &Arc<dyn Disk>,
        config: SeriesConfig,
        anchored: SeriesTail,
        successor: Successor,
        visit: &mut dyn FnMut(Found<'_>) -> Result<(), Damage>,
    ) -> Result<Self, StoreError> {
        Self::read_sparing(disk, config, anchored, successor, &|_| false, visit)
    }

    /// As `read`; a frame that is `spared` may have another payload than its header says, or half
    /// of it: it was erased, or was being erased when the process ended.
    pub fn read_sparing(
        disk: &Arc<dyn Disk>,
        config: SeriesConfig,
        anchored: SeriesTail,
        successor: Successor,
        spared: &dyn Fn(&Frame) -> bool,
        visit: &mut dyn FnMut(Found<'_>) -> Result<(), Damage>,
    ) -> Result<Self, StoreError> {
        let (numbers, drafts) = file::list(disk.as_ref(), &config.directory)?;
        // Nothing is ever deleted, so a gap in the numbers, or none at all, is a loss.
        let count = numbers.last().map_or(1, |last| last.saturating_add(1));
        let segments = (0..count)
            .map(|number| SegmentFile::open(disk.as_ref(), &config, number).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let mut scan = Self {
            disk: Arc::clone(disk),
            config,
            segments,
            drafts,
            anchored,
            successor,
            meets_anchor: false,
            tail: SeriesTail::START,
            cut: None,
            unsettled: Vec::new(),
        };
        let stop = scan.walk(spared, visit)?;
        scan.judge(&stop)?;
        Ok(scan)
    }

    /// Where the series ends.
    pub fn tail(&self) -> SeriesTail {
        self.tail
    }

    /// Whether the anchored tail is the end of one of the frames, or the beginning.
    pub fn meets_anchor(&self) -> bool {
        self.meets_anchor
    }

    /// The first frame that `settle` will cut off, and why.
    pub fn cut(&self) -> Option<&(FrameAt, Damage)> {
        self.cut.as_ref()
    }

    /// Frames that `settle` will rewrite.
    pub fn unsettled(&self) -> usize {
        self.unsettled.len()
    }

    /// A frame's payload, verified.
    pub fn payload(&self, frame: &Frame) -> Result<Bytes, StoreError> {
        let segment = self.segment(frame.place.segment)?;
        let (_, payload) = segment.read_frame(&self.config, frame.place, frame.position)?;
        Ok(payload)
    }

    /// Names a frame.
    pub fn name(&self, frame: &Frame) -> FrameAt {
        let file = self.config.directory.join(file::name(frame.place.segment));
        FrameAt {
            file,
            offset: frame.place.offset,
            position: frame.position,
        }
    }

    fn segment(&self, number: u32) -> Result<&Arc<SegmentFile>, StoreError> {
        self.segments
            .get(number as usize)
            .ok_or(StoreError::Absent {
                number: u64::from(number),
            })
    }

    /// Visits all good frames up to the first place where none stands.
    fn walk(
        &mut self,
        spared: &dyn Fn(&Frame) -> bool,
        visit: &mut dyn FnMut(Found<'_>) -> Result<(), Damage>,
    ) -> Result<Stop, StoreError> {
        let mut at = SeriesTail::START;
        let mut index = 0;
        while let Some(segment) = self.segments.get(index).cloned() {
            if segment.first != at.position {
                // The segment before lost frames at its end, or gained some.
                return Ok(Stop {
                    segment: index.saturating_sub(1),
                    offset: at.offset,
                    position: at.position,
                    damage: Some(Damage::Missing),
                });
            }
            at = SeriesTail {
                segment: segment.number,
                offset: HEADER_BYTES,
                ..at
            };
            self.tail = at;
            let damage = self.walk_segment(&segment, &mut at, spared, visit)?;
            index += 1;
            if damage.is_some() || index == self.segments.len() {
                let (offset, position) = (at.offset, at.position);
                return Ok(Stop {
                    segment: index - 1,
                    offset,
                    position,
                    damage,
                });
            }
        }
        Err(StoreError::Absent { number: 0 })
    }

    /// Visits the good frames of one segment; what is bad about the next, `None` for zeros.
    fn walk_segment(
        &mut self,
        segment: &SegmentFile,
        at: &mut SeriesTail,
        spared: &dyn Fn(&Frame) -> bool,
        visit: &mut dyn FnMut(Found<'_>) -> Result<(), Damage>,
    ) -> Result<Option<Damage>, StoreError> {
        let allocated = segment.allocated()?;
        let mut window = Window::default();
        loop {
            self.meets_anchor |= *at == self.anchored;
            let bytes = window.fill(segment, at.offset)?;
            let header = match segment.parse(bytes, &self.config, at.offset) {
                Parsed::Zero => return Ok(None),
                Parsed::Good(header) if header.position == at.position => header,
                Parsed::Good(_) | Parsed::Bad => return Ok(Some(Damage::Header)),
            };
            let end = at.offset + frame_bytes(header.bytes);
            if end > allocated {
                return Ok(Some(Damage::Payload));
            }
            let place = Place {
                segment: segment.number,
                bytes: header.bytes,
                offset: at.offset,
            };
            let frame = Frame {
                place,
                position: at.position,
                digest: header.digest,
            };
            let mut payload = None;
            if !self.is_below(at.segment, at.offset) {
                match segment.read_frame(&self.config, place, at.position) {
                    Ok((_, verified)) => {
                        payload = Some(verified);
                        self.unsettled.push(frame);
                    }
                    Err(StoreError::Damaged {
                        damage: Damage::Payload,
                        ..
                    }) if spared(&frame) => {}
                    Err(StoreError::Damaged { damage, .. }) => return Ok(Some(damage)),
                    Err(error) => return Err(error),
                }
            }
            let head = bytes.get(FRAME_HEADER_BYTES..).unwrap_or_default();
            let head = head.get(..header.bytes as usize).unwrap_or(head);
            let found = Found {
                frame,
                head,
                payload: payload.as_ref(),
            };
            visit(found).map_err(|damage| {
                let frame = segment.at(at.offset, at.position);
                StoreError::Damaged { frame, damage }
            })?;
            *at = SeriesTail {
                offset: end,
                position: at.position + 1,
                ..*at
            };
            self.tail = *at;
        }
    }

    fn is_below(&self, segment: u32, offset: u64) -> bool {
        (segment, offset) < (self.anchored.segment, self.anchored.offset)
    }

    /// Decides whether the place where the walk stopped is the end, a cut, or damage.
    fn judge(&mut self, stop: &Stop) -> Result<(), StoreError> {
        let segment = self.segments.get(stop.segment).cloned();
        let segment = segment.ok_or(StoreError::Absent { number: 0 })?;
        let below = self.is_below(segment.number, stop.offset);
        let damage = stop.damage.unwrap_or(Damage::Missing);
        let refuse = match stop.damage {
            Some(_) if below => true,
            // Zeros below the tail with nothing after them are an old copy, not damage:
            // `meets_anchor` is false, and the owner says so. Above it, in a series with
            // many frames to a sync, whatever follows was torn and is zeroed.
            None if !below && self.successor == Successor::IsCut => return Ok(()),
            Some(_) if self.successor == Successor::IsCut => false,
            _ => self.has_frame_after(stop, &segment)?,
        };
        let frame = segment.at(stop.offset, stop.position);
        if refuse {
            return Err(StoreError::Damaged { frame, damage });
        }
        if stop.damage.is_some() {
            self.cut = Some((frame, damage));
        }
        Ok(())
    }

    fn has_frame_after(&self, stop: &Stop, segment: &SegmentFile) -> Result<bool, StoreError> {
        let later = self.segments.get(stop.segment + 1..).unwrap_or_default();
        if later.iter().any(|segment| segment.first != stop.position) {
            return Ok(true);
        }
        if segment.has_frame_after(&self.config, stop.offset)? {
            return Ok(true);
        }
        for segment in later {
            if segment.has_frame_after(&self.config, HEADER_BYTES - 8)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes the disk say what the scan found, durably, and opens the series for appending.
    ///
    /// Everything at or after the anchored tail is written again byte for byte: after a
    /// failed sync and a restart without a reboot, the page cache shows bytes that the disk
    /// never got, and a sync alone would find nothing to do. Zeros past the end likewise.
    pub fn settle(mut self) -> Result<Series, StoreError> {
        let directory = self.config.directory.clone();
        // Last first, so that a crash in between leaves no gap in the numbers. The cut
        // frame still stands and is met again by the next open.
        let keep = self.tail.segment as usize + 1;
        while self.segments.len() > keep {
            if let Some(segment) = self.segments.pop() {
                self.disk
                    .remove(&segment.path)
                    .map_err(StoreError::io(&segment.path, 0))?;
            }
        }
        for draft in &self.drafts {
            self.disk.remove(draft).map_err(StoreError::io(draft, 0))?;
        }
        self.disk
            .sync_dir(&directory)
            .map_err(StoreError::io(&directory, 0))?;

        for frame in &self.unsettled {
            let segment = self.segment(frame.place.segment)?;
            let (_, payload) = segment.read_frame(&self.config, frame.place, frame.position)?;
            let bytes = segment.encode(frame, self.config.ledger, &payload);
            segment.write(&bytes, frame.place.offset)?;
        }
        let last = Arc::clone(self.segment(self.tail.segment)?);
        let allocated = last.allocated()?;
        last.clear(self.tail.offset, allocated)?;
        for segment in self.segments.iter().skip(self.anchored.segment as usize) {
            segment.sync()?;
        }
        // With a cut, the end may lie before the segment that the loop began with.
        last.sync()?;
        Ok(Series::new(
            self.disk,
            self.config,
            self.segments,
            self.tail,
            allocated,
        ))
    }
}

/// A buffer over a segment, moved forward as the scan goes.
#[derive(Default)]
struct Window {
    base: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The bytes of a header and the payload's beginning, fewer at the end of the file.
    fn fill(&mut self, segment: &SegmentFile, offset: u64) -> Result<&[u8], StoreError> {
        const WANT: usize = FRAME_HEADER_BYTES + HEAD_BYTES;
        let inside = |base: u64, bytes: &[u8]| {
            let start = usize::try_from(offset.checked_sub(base)?).ok()?;
            (start + WANT <= bytes.len()).then_some(start)
        };
        let start = if let Some(start) = inside(self.base, &self.bytes) {
            start
        } else {
            self.bytes.resize(WINDOW_BYTES, 0);
            let count = segment.read(&mut self.bytes, offset)?;
            self.bytes.truncate(count);
            self.base = offset;
            0
        };
        let end = self.bytes.len().min(start + WANT);
        Ok(self.bytes.get(start..end).unwrap_or_default())
    }
}
