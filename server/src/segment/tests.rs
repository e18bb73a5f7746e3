//! A series by itself: torn batches, rolling, payloads that look like frames.
#![allow(clippy::unwrap_used)]

use std::{path::Path, sync::Mutex};

use super::*;
use crate::disk::fake::{FakeDisk, Unsynced};

const DIRECTORY: &str = "/series";

fn config() -> SeriesConfig {
    SeriesConfig {
        directory: DIRECTORY.into(),
        kind: Kind::Pack,
        ledger: LedgerTag([7; 16]),
        payload_bytes_max: 4096,
        segment_bytes_max: 16 << 10,
    }
}

/// The frames that a scan finds, and the scan.
fn scan(
    disk: &FakeDisk,
    anchored: SeriesTail,
    successor: Successor,
) -> Result<(Vec<Frame>, Scan), StoreError> {
    let mut frames = Vec::new();
    let scan = Scan::read(
        &disk.shared(),
        config(),
        anchored,
        successor,
        &mut |found| {
            frames.push(found.frame);
            Ok(())
        },
    )?;
    Ok((frames, scan))
}

fn create() -> (FakeDisk, Series) {
    let disk = FakeDisk::new();
    super::create(&disk.shared(), &config()).unwrap();
    let (_, scan) = scan(&disk, SeriesTail::START, Successor::IsCut).unwrap();
    (disk, scan.settle().unwrap())
}

fn append(series: &Series, payload: &[u8]) -> Frame {
    series
        .append(payload, *blake3::hash(payload).as_bytes())
        .unwrap()
}

fn segment(number: u32) -> PathBuf {
    Path::new(DIRECTORY).join(file::name(number))
}

#[test]
fn frames_never_span_segments_and_are_found_again() {
    let (disk, series) = create();
    let payloads: Vec<Vec<u8>> = (1..40)
        .map(|number: u8| vec![number; 97 * usize::from(number)])
        .collect();
    let frames: Vec<Frame> = payloads
        .iter()
        .map(|payload| append(&series, payload))
        .collect();
    let tail = series.sync().unwrap();
    assert!(tail.segment > 3);
    disk.crash(Unsynced::Lost);
    let (found, scanned) = scan(&disk, tail, Successor::IsDamage).unwrap();
    assert_eq!(found, frames);
    assert!(scanned.meets_anchor() && scanned.unsettled() == 0);
    let series = scanned.settle().unwrap();
    for (position, (frame, payload)) in (0..).zip(frames.iter().zip(&payloads)) {
        assert_eq!(series.read(frame.place, position).unwrap().1, payload[..]);
        assert!(disk.get(&segment(frame.place.segment)).len() <= 16 << 10);
    }
}

#[test]
fn a_payload_of_no_or_too_many_bytes_is_refused_and_nothing_breaks() {
    let (_, series) = create();
    for bytes in [0, 4097] {
        let error = series.append(&vec![1; bytes], [0; 32]).unwrap_err();
        assert!(matches!(error, StoreError::Payload { .. }), "{error}");
    }
    append(&series, &[1; 4096]);
}

/// Many frames share a sync, and a power cut left the first torn and the others whole.
#[test]
fn a_torn_batch_beyond_the_anchor_is_cut_before_its_first_bad_frame() {
    let (disk, series) = create();
    append(&series, b"before");
    let anchored = series.sync().unwrap();
    let frames: Vec<Frame> = (0..30)
        .map(|number| append(&series, &[number + 1; 2000]))
        .collect();
    series.sync().unwrap();
    let torn = frames[1].place;
    let mut bytes = disk.get(&segment(torn.segment));
    bytes[usize::try_from(torn.offset).unwrap() + 500] ^= 1;
    disk.put(&segment(torn.segment), &bytes);

    let refused = scan(&disk, anchored, Successor::IsDamage).unwrap_err();
    assert!(matches!(refused, StoreError::Damaged { frame, .. } if frame.offset == torn.offset));
    let (found, scanned) = scan(&disk, anchored, Successor::IsCut).unwrap();
    assert_eq!(found.len(), 2);
    assert!(scanned.cut().is_some());
    let series = scanned.settle().unwrap();
    // What was cut is gone from this segment and the later ones.
    append(&series, b"after");
    let tail = series.sync().unwrap();
    let (found, scanned) = scan(&disk, tail, Successor::IsDamage).unwrap();
    assert_eq!((found.len(), scanned.cut()), (3, None));
}

/// A good segment that does not begin where the one before it ends: frames are missing.
#[test]
fn frames_that_are_missing_at_the_end_of_a_segment_are_noticed() {
    let (disk, series) = create();
    let frames: Vec<Frame> = (0..20).map(|_| append(&series, &[1; 2000])).collect();
    let tail = series.sync().unwrap();
    let last = frames
        .iter()
        .rev()
        .find(|frame| frame.place.segment == 0)
        .unwrap();
    let mut bytes = disk.get(&segment(0));
    bytes[usize::try_from(last.place.offset).unwrap()..].fill(0);
    disk.put(&segment(0), &bytes);
    let error = scan(&disk, tail, Successor::IsCut).unwrap_err();
    let StoreError::Damaged { frame, damage } = error else {
        panic!("{error}");
    };
    assert_eq!(
        (frame.offset, frame.position),
        (last.place.offset, last.position)
    );
    assert_eq!(damage, Damage::Missing);
}

/// A document holds the very bytes of a frame, and the frame that holds it is torn: what is
/// inside it does not count as a frame after it. Nor does a frame of another segment or offset.
#[test]
fn the_bytes_of_a_frame_inside_a_payload_are_no_frame() {
    let (disk, series) = create();
    let copied = append(&series, b"a frame to be copied");
    let anchored = series.sync().unwrap();
    let at = usize::try_from(copied.place.offset).unwrap();
    let bytes = disk.get(&segment(0))[at..at + 104].to_vec();
    let mut payload = vec![1; 80];
    payload.extend_from_slice(&bytes);
    let outer = append(&series, &payload);
    series.sync().unwrap();
    let mut image = disk.get(&segment(0));
    image[usize::try_from(outer.place.offset).unwrap()] ^= 1;
    disk.put(&segment(0), &image);
    let (found, scanned) = scan(&disk, anchored, Successor::IsDamage).unwrap();
    assert_eq!((found.len(), scanned.tail()), (1, anchored));
}

/// A failed sync, and a restart without a reboot: the page cache shows the frame, the disk
/// never got it, and another sync would find nothing to do.
#[test]
fn what_only_the_page_cache_shows_is_written_again_before_it_counts() {
    let (disk, series) = create();
    append(&series, b"never reached the disk");
    disk.fail_after(0);
    let error = series.sync().unwrap_err();
    assert!(error.is_fatal());
    disk.crash(Unsynced::Shown);
    let (found, scanned) = scan(&disk, SeriesTail::START, Successor::IsDamage).unwrap();
    assert!(disk.written().is_empty(), "a scan changes nothing");
    let series = scanned.settle().unwrap();
    let offset = found[0].place.offset;
    assert!(
        disk.written().contains(&(segment(0), offset)),
        "not written again"
    );
    disk.crash(Unsynced::Lost);
    series.read(found[0].place, 0).unwrap();
}

/// Goal: a frame counts only in a segment whose name is durable as well. Method: small frames
/// over several segments; a crash at every change keeps what was synced by then.
#[test]
fn no_crash_while_segments_are_made_loses_a_synced_frame() {
    let (disk, series) = create();
    let synced = Arc::new(Mutex::new(series.durable_tail()));
    let left = Arc::new(Mutex::new(Vec::new()));
    let (seen, kept) = (synced.clone(), left.clone());
    disk.watch(move |platter, _| {
        let tail = *seen.lock().unwrap();
        for unsynced in [Unsynced::Lost, Unsynced::Torn(1), Unsynced::Torn(2)] {
            let mut after = platter.clone();
            after.crash(unsynced);
            kept.lock().unwrap().push((after, tail));
        }
    });
    for number in 1..20 {
        append(&series, &[number; 3_000]);
        *synced.lock().unwrap() = series.sync().unwrap();
    }
    assert!(series.durable_tail().segment > 3);
    for (platter, tail) in left.lock().unwrap().drain(..) {
        let disk = FakeDisk::with(platter);
        let (_, scanned) = scan(&disk, tail, Successor::IsDamage).unwrap();
        assert!(scanned.meets_anchor(), "less than {tail}");
        scanned.settle().unwrap();
    }
}
