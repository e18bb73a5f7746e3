//! Slots: which one counts, and what a crash or another process can do to them.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::disk::fake::{FakeDisk, Unsynced};

const PATH: &str = "/anchor";
const LEDGER: LedgerTag = LedgerTag([7; 16]);

fn state(size: u64) -> AnchorState {
    let root = RootHash([u8::try_from(size).unwrap(); 32]);
    AnchorState {
        size: TreeSize(size),
        root,
        ..AnchorState::empty()
    }
}

fn create(disk: &FakeDisk) -> Anchor {
    Anchor::create(disk, Path::new(PATH), LEDGER, &state(0)).unwrap()
}

fn find(disk: &FakeDisk) -> Option<AnchorState> {
    match Anchor::find(disk, Path::new(PATH), LEDGER).unwrap() {
        AnchorFound::Good(anchor) => Some(anchor.state()),
        AnchorFound::Unreadable => None,
        found => panic!("{found:?}"),
    }
}

#[test]
fn what_was_written_last_is_found_again() {
    let disk = FakeDisk::new();
    let anchor = create(&disk);
    for size in 1..6 {
        anchor.write(&state(size)).unwrap();
        disk.crash(Unsynced::Lost);
        assert_eq!(find(&disk), Some(state(size)));
    }
    assert_eq!(disk.get(Path::new(PATH)).len(), FILE_BYTES);
}

#[test]
fn a_flipped_byte_leaves_the_state_before_or_nothing() {
    let disk = FakeDisk::new();
    let anchor = create(&disk);
    anchor.write(&state(1)).unwrap();
    let good = disk.get(Path::new(PATH));
    for at in (0..SLOT_BYTES).chain(4096..4096 + SLOT_BYTES) {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        disk.put(Path::new(PATH), &bytes);
        let left = if at < 4096 { state(1) } else { state(0) };
        assert_eq!(find(&disk), Some(left), "at {at}");
        bytes[4096 + 100] ^= 2;
        bytes[100] ^= 2;
        disk.put(Path::new(PATH), &bytes);
        assert_eq!(find(&disk), None, "at {at}");
    }
    for length in [0, 100, 4096, 4096 + 100] {
        disk.put(Path::new(PATH), &good[..length]);
        let left = (length >= SLOT_BYTES).then(|| state(0));
        assert_eq!(find(&disk), left, "cut to {length}");
    }
}

#[test]
fn missing_and_foreign_are_told_apart() {
    let disk = FakeDisk::new();
    let find = |ledger| Anchor::find(&disk, Path::new(PATH), ledger).unwrap();
    assert!(matches!(find(LEDGER), AnchorFound::Missing));
    create(&disk);
    assert!(matches!(find(LedgerTag([8; 16])), AnchorFound::Foreign));
}

/// Two copies of a data directory with one anchor: the second writer learns of the first.
#[test]
fn a_write_fails_when_another_process_wrote_since() {
    let disk = FakeDisk::new();
    create(&disk);
    let open = || match Anchor::find(&disk, Path::new(PATH), LEDGER).unwrap() {
        AnchorFound::Good(anchor) => anchor,
        found => panic!("{found:?}"),
    };
    let (one, two) = (open(), open());
    one.write(&state(1)).unwrap();
    let error = two.write(&state(2)).unwrap_err();
    assert!(matches!(error, StoreError::AnchorMoved { .. }) && error.is_fatal());
    assert!(matches!(
        two.write(&state(2)),
        Err(StoreError::Broken { .. })
    ));
    one.write(&state(3)).unwrap();
}

/// Fails each operation in turn, twice in a row: whatever reached the disk, the anchor never
/// says less than the last write that returned.
#[test]
fn no_crash_takes_back_what_was_written() {
    let ends = [
        Unsynced::Lost,
        Unsynced::Shown,
        Unsynced::Torn(1),
        Unsynced::Torn(2),
    ];
    for first in ends {
        for second in ends {
            for changes in (0..7).flat_map(|one| (0..7).map(move |two| (one, two))) {
                let disk = FakeDisk::new();
                create(&disk);
                let mut written = 0;
                for (end, changes) in [(first, changes.0), (second, changes.1)] {
                    let anchor = Anchor::find(&disk, Path::new(PATH), LEDGER).unwrap();
                    let AnchorFound::Good(anchor) = anchor else {
                        panic!("{anchor:?}")
                    };
                    let start = anchor.state().size.0;
                    disk.fail_after(changes);
                    for size in start + 1..start + 4 {
                        if anchor.write(&state(size)).is_ok() {
                            written = size;
                        }
                    }
                    disk.crash(end);
                    assert!(
                        find(&disk).unwrap().size.0 >= written,
                        "{first:?} {second:?}"
                    );
                }
                // What a process only saw in the page cache it had to make durable.
                disk.crash(Unsynced::Lost);
                assert!(
                    find(&disk).unwrap().size.0 >= written,
                    "{first:?} {second:?}"
                );
            }
        }
    }
}
