//! Bytes that changed at rest: refused with the frame's name, healed, or harmless. Never a
//! wrong answer.

use std::collections::BTreeMap;

use cairn_proto::hash::{DocumentId, LeafHash};

use super::*;

const SEGMENT: &str = "journal/00000000.seg";
const FIRST_FRAME: usize = 4096;

type Image = BTreeMap<PathBuf, Vec<u8>>;

/// A small store, what its records are, and where each frame begins and the last ends.
fn small() -> (Image, Vec<Record>, Vec<usize>) {
    let disk = create(4);
    let records: Vec<Record> = {
        let store = open(&disk).unwrap();
        (0..4)
            .map(|position| store.journal().read(position).unwrap())
            .collect()
    };
    let mut at = FIRST_FRAME;
    let mut frames = vec![at];
    for record in &records {
        at += (80 + record.encoded_len()).next_multiple_of(8);
        frames.push(at);
    }
    (disk.image(), records, frames)
}

/// Opens the store, and reads all of it in every way; everything read must be right, or be
/// called damaged. What was refused or damaged, with the frame's name.
fn survey(image: &Image, records: &[Record]) -> Result<(), String> {
    let store = match open(&FakeDisk::of(image)) {
        Ok(store) => store,
        Err(error) => return Err(error.to_string()),
    };
    let journal = store.journal();
    let (position, last) = (journal.tail().position, records.last().unwrap());
    assert_eq!(position, records.len() as u64);
    assert_eq!(
        (journal.tail().size, journal.tail().root),
        (last.size, last.root)
    );
    let mut damaged = Ok(());
    let mut note = |error: StoreError| {
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        damaged = Err(error.to_string());
    };
    for (position, record) in (0..).zip(records) {
        match journal.read(position) {
            Ok(read) => assert_eq!(read, *record),
            Err(error) => note(error),
        }
        for (index, leaf) in (record.first.0..)
            .map(cairn_proto::hash::Index)
            .zip(&record.leaves)
        {
            assert_eq!(journal.position_of(index), Some(position));
            match journal.leaf_checked(index, &LeafHash::of(leaf)) {
                Ok(read) => assert_eq!(read, leaf),
                Err(error) => note(error),
            }
        }
        for (ordinal, document) in (0..).zip(&record.documents) {
            let id = DocumentId::of(&document.bytes);
            match journal.document(position, ordinal, &id) {
                Ok(read) => assert_eq!(read, document.bytes),
                Err(error) => note(error),
            }
        }
    }
    damaged
}

#[test]
fn any_flipped_byte_of_the_journal_is_refused_by_name_or_never_served() {
    let (good, records, frames) = small();
    survey(&good, &records).unwrap();
    let payload_ends: Vec<usize> = (0..4)
        .map(|number| frames[number] + 80 + records[number].encoded_len())
        .collect();
    let end = *frames.last().unwrap();
    for at in (0..112).chain(FIRST_FRAME..end) {
        let mut image = good.clone();
        image.get_mut(&path(SEGMENT)).unwrap()[at] ^= 0x10;
        let result = survey(&image, &records);
        let frame = frames.iter().rposition(|start| *start <= at);
        let padding = frame.is_some_and(|frame| at >= payload_ends[frame]);
        match result {
            Ok(()) => assert!(padding, "unnoticed at {at}"),
            Err(message) => {
                assert!(message.contains(SEGMENT), "at {at}: {message}");
                let frame = frame.map_or(0, |frame| frames[frame]);
                let offset = if at < 112 { 0 } else { frame };
                assert!(
                    message.contains(&format!("offset {offset} of")),
                    "at {at}: {message}"
                );
            }
        }
    }
}

#[test]
fn any_flipped_byte_of_the_anchor_is_healed() {
    let (good, records, _) = small();
    for at in (0..512).chain(4096..4608).chain([700, 5000, 8191]) {
        let mut image = good.clone();
        image.get_mut(&path("anchor")).unwrap()[at] ^= 0x10;
        survey(&image, &records).unwrap();
    }
}

#[test]
fn zeroed_and_foreign_frames_in_the_middle_are_refused_by_name() {
    let (good, records, frames) = small();
    for frame in 0..3 {
        let (start, end) = (frames[frame], frames[frame + 1]);
        for length_at in 4..8 {
            let mut image = good.clone();
            image.get_mut(&path(SEGMENT)).unwrap()[start + length_at] = 0xff;
            let message = survey(&image, &records).unwrap_err();
            assert!(
                message.contains(&format!("frame {frame} at offset {start}")),
                "{message}"
            );
        }
        let mut zeroed = good.clone();
        zeroed.get_mut(&path(SEGMENT)).unwrap()[start..end].fill(0);
        let message = survey(&zeroed, &records).unwrap_err();
        assert!(
            message.contains(&format!("frame {frame} at offset {start}")),
            "{message}"
        );
        assert!(message.contains("missing"), "{message}");
        // The next frame over this one: a good frame, in the wrong place.
        let mut moved = good.clone();
        moved
            .get_mut(&path(SEGMENT))
            .unwrap()
            .copy_within(end..frames[frame + 2], start);
        survey(&moved, &records).unwrap_err();
    }
}

/// An acknowledged end that is cut or overwritten is noticed at every byte.
#[test]
fn truncation_and_garbage_at_or_below_the_anchor_are_refused() {
    let (good, records, frames) = small();
    let end = 80 + frames[3] + records[3].encoded_len();
    for at in frames[2]..end {
        let mut cut = good.clone();
        cut.get_mut(&path(SEGMENT)).unwrap().truncate(at);
        survey(&cut, &records).unwrap_err();
        let mut zeroed = good.clone();
        zeroed.get_mut(&path(SEGMENT)).unwrap()[at..].fill(0);
        if zeroed == good {
            continue;
        }
        survey(&zeroed, &records).unwrap_err();
        let mut garbage = good.clone();
        garbage.get_mut(&path(SEGMENT)).unwrap()[at..].fill(0xa5);
        survey(&garbage, &records).unwrap_err();
    }
}

/// The same beyond the anchor: what was never acknowledged is cut, everything before it stays
/// and the journal goes on.
#[test]
fn truncation_and_garbage_beyond_the_anchor_are_cut() {
    let (mut good, records, frames) = small();
    // The anchor of the first three records.
    let earlier = create(3);
    let anchor = earlier.get(&path("anchor"));
    good.insert(path("anchor"), anchor);
    let end = frames[3] + 80 + records[3].encoded_len();
    for at in frames[3]..end {
        for garbage in [None, Some(0), Some(0xa5)] {
            let mut image = good.clone();
            let segment = image.get_mut(&path(SEGMENT)).unwrap();
            match garbage {
                None => segment.truncate(at),
                Some(byte) if segment[at..end].iter().any(|old| *old != byte) => {
                    segment[at..].fill(byte);
                }
                Some(_) => continue,
            }
            let disk = FakeDisk::of(&image);
            let store = open(&disk).unwrap_or_else(|error| panic!("at {at}: {error}"));
            assert_eq!(store.journal().tail().position, 3, "at {at}, {garbage:?}");
            let clean = at == frames[3] && garbage != Some(0xa5);
            assert_eq!(
                store.recovery().cuts.is_empty(),
                clean,
                "at {at}, {garbage:?}"
            );
            grow(&store, 1);
            drop(store);
            survey(&disk.image(), &records).unwrap();
        }
    }
}

/// A bad frame beyond the anchor with a good one after it: no crash explains that in a
/// journal, where each frame is synced before the next. It may have been acknowledged.
#[test]
fn a_bad_record_beyond_an_old_anchor_with_a_good_one_after_it_is_refused() {
    let (mut good, records, frames) = small();
    good.insert(path("anchor"), create(2).get(&path("anchor")));
    survey(&good, &records).unwrap();
    for at in [frames[2], frames[2] + 100] {
        let mut image = good.clone();
        image.get_mut(&path(SEGMENT)).unwrap()[at] ^= 1;
        let message = survey(&image, &records).unwrap_err();
        assert!(
            message.contains(&format!("frame 2 at offset {}", frames[2])),
            "{message}"
        );
    }
}

#[test]
fn a_missing_segment_is_refused_by_name() {
    let (good, records, _) = small();
    for file in [SEGMENT, "packs/00000000.seg"] {
        let mut image = good.clone();
        image.remove(&path(file));
        let message = survey(&image, &records).unwrap_err();
        assert!(message.contains(file), "{message}");
    }
}

/// Goal: a good record of another history, in its very place, is refused by the one after it.
/// Method: one store grown twice from the same bytes; a frame of one put into the other.
#[test]
fn a_record_of_another_history_in_its_place_is_refused_by_name() {
    let base = create(1).image();
    let grown = |flip: u8| {
        let disk = FakeDisk::of(&base);
        let store = open(&disk).unwrap();
        let mut next = record(&store.journal().tail(), 2, 1);
        next.root.0[0] ^= flip;
        assert_eq!(store.commit(&next).unwrap(), Appended::Created);
        store.advance_anchor().unwrap();
        grow(&store, 2);
        drop(store);
        disk.image()
    };
    let (mut one, other) = (grown(0), grown(1));
    let (_, records, frames) = small();
    survey(&one, &records).unwrap();
    let place = frames[1]..frames[2];
    let there = &other[&path(SEGMENT)][place.clone()];
    let here = &mut one.get_mut(&path(SEGMENT)).unwrap()[place];
    assert_ne!(here, there);
    here.copy_from_slice(there);
    let message = survey(&one, &records).unwrap_err();
    let expected = format!("frame 2 at offset {}", frames[2]);
    assert!(message.contains(&expected), "{message}");
}
