//! Crashes at every change of the disk, in pairs, with unsynced bytes lost, shown or torn.

use super::*;
use crate::content::ContentError;

const ENDS: [Unsynced; 4] = [
    Unsynced::Lost,
    Unsynced::Shown,
    Unsynced::Torn(1),
    Unsynced::Torn(2),
];

/// What was promised.
#[derive(Debug, Default)]
struct Promised {
    /// Records of which a checkpoint may have been signed.
    records: Vec<Record>,
    contents: Vec<(ContentId, Vec<u8>)>,
}

impl Promised {
    /// Uploads and promotes, commits and anchors, until the disk fails.
    fn work(&mut self, disk: &FakeDisk) -> Option<()> {
        let store = match open(disk) {
            Err(OpenError::NoStore { .. }) => {
                Store::create(&disk.shared(), Path::new(DIRECTORY), &options()).ok()?
            }
            result => result.ok()?,
        };
        self.hold(&store);
        for _ in 0..2 {
            let position = store.journal().tail().position;
            let small = format!("content {position}").repeat(200).into_bytes();
            let large = position.to_le_bytes().repeat((1 << 20) / 8 + 1);
            for content in [small, large] {
                let id = ContentId::of(&content);
                send(&store, id, &content)?;
                store.content().promote("owner", &[id]).ok()?;
                self.contents.push((id, content));
            }
            let next = record(&store.journal().tail(), 2, 1);
            let committed = store.commit(&next).ok()?;
            assert_eq!(committed, Appended::Created);
            store.advance_anchor().ok()?;
            self.records.push(next);
        }
        Some(())
    }

    /// All that was promised is there; what else is there counts as promised from now on,
    /// for the store is open, and its head may be signed.
    fn hold(&mut self, store: &Store) {
        let tail = store.journal().tail();
        assert!(
            tail.position >= self.records.len() as u64,
            "records were lost"
        );
        assert_eq!(store.anchored().size, tail.size);
        for (position, record) in (0..).zip(&self.records) {
            assert_eq!(store.journal().read(position).unwrap(), *record);
        }
        for position in self.records.len() as u64..tail.position {
            self.records.push(store.journal().read(position).unwrap());
        }
        for (id, content) in &self.contents {
            assert_eq!(store.content().size(id), Some(content.len() as u64));
            let read = store.content().read(id, 0..content.len() as u64).unwrap();
            assert_eq!(read, content);
        }
    }
}

/// Goes on where an earlier process stopped. What the store says that it kept is right,
/// whatever was torn, so the rest always fits.
fn send(store: &Store, id: ContentId, content: &[u8]) -> Option<()> {
    store.staging().claimed("owner", &id).ok()?;
    let kept = store.staging().kept("owner", &id);
    let rest = content.get(usize::try_from(kept).unwrap()..).unwrap();
    let sent = store.staging().write("owner", id, kept, rest, Part::Last);
    let misled = matches!(
        sent,
        Err(ContentError::Mismatch { .. } | ContentError::Offset { .. })
    );
    assert!(!misled, "{sent:?} after {kept} bytes");
    sent.ok()
}

/// Runs twice with a failure each, then once without.
fn run(first: (Unsynced, u64), second: (Unsynced, u64)) -> (bool, bool) {
    let disk = FakeDisk::new();
    let mut promised = Promised::default();
    let [one, two] = [first, second].map(|(end, changes)| {
        disk.fail_after(changes);
        let _ = promised.work(&disk);
        let failed = disk.has_failed();
        disk.crash(end);
        failed
    });
    let done = promised.work(&disk);
    assert!(
        done.is_some(),
        "{first:?} then {second:?}: {:?}",
        open(&disk).err()
    );
    disk.crash(Unsynced::Lost);
    promised.hold(&open(&disk).unwrap());
    (one, two)
}

/// The ledger's own tests try every change; of these the quick form tries some.
fn stride(every: usize) -> usize {
    let long = std::env::var("CAIRN_LONG").is_ok_and(|value| value == "1");
    if long { 1 } else { every }
}

/// Every single failure, and after it every end.
#[test]
fn what_was_promised_survives_a_crash_at_any_change_of_the_disk() {
    for end in ENDS {
        for changes in (0..).step_by(stride(3)) {
            let (failed, _) = run((end, changes), (Unsynced::Lost, u64::MAX - 1));
            if !failed {
                break;
            }
        }
    }
}

/// A second crash while the first is being recovered from. The changes of an open are few
/// but for the zeros, which come in many; so strides that share no factor.
#[test]
fn what_was_promised_survives_a_second_crash_during_recovery() {
    for (number, end) in ENDS.into_iter().enumerate() {
        for first in (number as u64..260).step_by(37) {
            for second in (0..60).step_by(3 * stride(5)) {
                run((end, first), (ENDS[(number + 1) % 4], second));
            }
        }
    }
}
