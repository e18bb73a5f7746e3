//! A store as its owner meets it: what open accepts, heals and refuses.
#![allow(clippy::unwrap_used)]

mod crash;
mod damage;
mod erasing;

use std::path::{Path, PathBuf};

use cairn_proto::hash::ContentId;

use super::*;
use crate::{
    content::{ContentStore as _, Part},
    disk::{
        OsDisk,
        fake::{FakeDisk, Unsynced},
    },
    journal::tests::record,
};

const DIRECTORY: &str = "/data";

fn options() -> StoreOptions {
    StoreOptions {
        ledger: LedgerTag([7; 16]),
        anchor: None,
        accept_head: None,
        limits: ContentLimits::default(),
    }
}

fn path(name: &str) -> PathBuf {
    Path::new(DIRECTORY).join(name)
}

fn open(disk: &FakeDisk) -> Result<Store, OpenError> {
    Store::open(&disk.shared(), Path::new(DIRECTORY), &options())
}

/// Commits so many records and anchors each.
fn grow(store: &Store, records: u8) {
    for _ in 0..records {
        let next = record(&store.journal().tail(), 2, 1);
        assert_eq!(store.commit(&next).unwrap(), Appended::Created);
        store.advance_anchor().unwrap();
    }
}

fn upload(store: &Store, content: &[u8]) -> ContentId {
    let id = ContentId::of(content);
    store
        .staging()
        .write("owner", id, 0, content, Part::Last)
        .unwrap();
    id
}

fn create(records: u8) -> FakeDisk {
    let disk = FakeDisk::new();
    let store = Store::create(&disk.shared(), Path::new(DIRECTORY), &options()).unwrap();
    grow(&store, records);
    disk
}

#[test]
fn a_store_on_a_real_disk_is_there_again_and_open_once() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("data");
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    let store = Store::create(&disk, &directory, &options()).unwrap();
    let id = upload(&store, b"content");
    store.content().promote("owner", &[id]).unwrap();
    grow(&store, 3);
    let tail = store.journal().tail();
    let second = Store::open(&disk, &directory, &options()).unwrap_err();
    assert_eq!(second.reason(), cairn_proto::reason::Reason::StoreLocked);
    assert!(
        second
            .to_string()
            .contains(&format!("process {}", std::process::id()))
    );
    drop(store);
    let store = Store::open(&disk, &directory, &options()).unwrap();
    assert_eq!(store.journal().tail(), tail);
    assert_eq!(store.anchored().size, tail.size);
    assert_eq!(store.content().read(&id, 0..7).unwrap(), &b"content"[..]);
    drop(store);
    let again = Store::create(&disk, &directory, &options()).unwrap_err();
    assert!(matches!(again, OpenError::Exists { .. }));
    let elsewhere = Store::open(&disk, root.path(), &options()).unwrap_err();
    assert!(matches!(elsewhere, OpenError::NoStore { .. }));
    assert!(!root.path().join("lock").exists());
}

#[test]
fn an_old_copy_is_refused_beside_the_newer_anchor_and_left_as_it_is() {
    let disk = create(2);
    let old = disk.image();
    grow(&open(&disk).unwrap(), 2);
    let anchor = disk.get(&path("anchor"));
    let copy = FakeDisk::of(&old);
    copy.put(&path("anchor"), &anchor);
    let before = copy.image();
    let error = open(&copy).unwrap_err();
    let OpenError::AnchorDisagrees { anchored, held, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!((anchored.size.0, held.size.0), (8, 4));
    assert!(error.to_string().contains(&anchored.to_string()));
    assert!(error.to_string().contains(&held.to_string()));
    // Nobody's word outweighs an anchor that can be read.
    let accept_head = Some((held.size, held.root));
    let options = StoreOptions {
        accept_head,
        ..options()
    };
    let accepted = Store::open(&copy.shared(), Path::new(DIRECTORY), &options);
    assert!(matches!(accepted, Err(OpenError::AnchorDisagrees { .. })));
    let after: Vec<_> = copy.image().into_iter().collect();
    assert_eq!(before.into_iter().collect::<Vec<_>>(), after);
}

#[test]
fn another_history_of_the_same_length_is_refused() {
    let disk = create(2);
    let other = FakeDisk::new();
    let store = Store::create(&other.shared(), Path::new(DIRECTORY), &options()).unwrap();
    for _ in 0..2 {
        let mut next = record(&store.journal().tail(), 2, 1);
        next.root.0[0] ^= 1;
        assert_eq!(store.commit(&next).unwrap(), Appended::Created);
    }
    drop(store);
    other.put(&path("anchor"), &disk.get(&path("anchor")));
    assert!(matches!(
        open(&other),
        Err(OpenError::AnchorDisagrees { .. })
    ));
}

#[test]
fn records_beyond_the_anchor_are_rewritten_and_then_anchored() {
    let disk = create(2);
    let anchor = disk.get(&path("anchor"));
    grow(&open(&disk).unwrap(), 3);
    disk.put(&path("anchor"), &anchor);
    let store = open(&disk).unwrap();
    assert_eq!(store.recovery().records_rewritten, 3);
    assert_eq!(store.anchored().size.0, 10);
    drop(store);
    assert_eq!(open(&disk).unwrap().recovery().records_rewritten, 0);
}

#[test]
fn without_an_anchor_only_the_very_head_that_is_held_is_accepted() {
    let disk = create(3);
    let tail = open(&disk).unwrap().journal().tail();
    let head = (tail.size, tail.root);
    let good = disk.image();
    let accept = |disk: &FakeDisk, accept_head| {
        let options = StoreOptions {
            accept_head,
            ..options()
        };
        Store::open(&disk.shared(), Path::new(DIRECTORY), &options)
    };
    for unreadable in [false, true] {
        let disk = FakeDisk::of(&good);
        if unreadable {
            disk.put(&path("anchor"), &[0x55; 8192]);
            assert!(matches!(
                open(&disk),
                Err(OpenError::AnchorUnreadable { .. })
            ));
        } else {
            disk.shared().remove(&path("anchor")).unwrap();
            assert!(matches!(open(&disk), Err(OpenError::AnchorMissing { .. })));
        }
        for wrong in [
            (TreeSize(4), head.1),
            (TreeSize(8), head.1),
            (head.0, RootHash::empty()),
        ] {
            let error = accept(&disk, Some(wrong)).unwrap_err();
            assert!(matches!(error, OpenError::HeadNotHeld { .. }), "{error}");
        }
        let store = accept(&disk, Some(head)).unwrap();
        assert!(store.recovery().accepted_head);
        assert_eq!(store.anchored().size, tail.size);
        drop(store);
        assert!(!open(&disk).unwrap().recovery().accepted_head);
    }
}

#[test]
fn another_ledgers_files_and_anchor_are_refused() {
    let disk = create(1);
    let other = StoreOptions {
        ledger: LedgerTag([8; 16]),
        ..options()
    };
    let error = Store::open(&disk.shared(), Path::new(DIRECTORY), &other).unwrap_err();
    assert!(matches!(error, OpenError::AnchorForeign { .. }));
    disk.shared().remove(&path("anchor")).unwrap();
    let error = Store::open(&disk.shared(), Path::new(DIRECTORY), &other).unwrap_err();
    assert!(error.to_string().contains("another ledger"), "{error}");
}

/// The data directory was lost, its anchor elsewhere was not: a new ledger under the same
/// name must not take its place.
#[test]
fn a_new_store_does_not_replace_an_anchor_that_says_anything() {
    let disk = create(1);
    let store = Store::create(
        &disk.shared(),
        Path::new("/new"),
        &StoreOptions {
            anchor: Some(path("anchor")),
            ..options()
        },
    );
    assert!(matches!(store, Err(OpenError::AnchorTaken { .. })));
}

#[test]
fn a_full_disk_refuses_before_anything_counts_and_goes_on_when_there_is_room() {
    let disk = create(1);
    let store = open(&disk).unwrap();
    disk.fill_up(true);
    let error = store.journal().reserve(3 << 20).unwrap_err();
    assert!(
        matches!(error, StoreError::NoSpace { .. }) && !error.is_fatal(),
        "{error}"
    );
    assert_eq!(disk.get(&path("journal/00000000.seg")).len(), 1 << 20);
    // What fits into the room that there is goes on.
    grow(&store, 1);
    disk.fill_up(false);
    store.journal().reserve(3 << 20).unwrap();
    grow(&store, 1);
    assert_eq!(store.journal().read(2).unwrap().size.0, 6);
    drop(store);
    disk.crash(Unsynced::Lost);
    assert_eq!(open(&disk).unwrap().journal().tail().size.0, 6);
}

#[test]
fn after_a_failed_write_nothing_more_is_written() {
    let disk = create(1);
    let store = open(&disk).unwrap();
    let next = record(&store.journal().tail(), 2, 1);
    disk.fail_after(1);
    let error = store.commit(&next).unwrap_err();
    assert!(
        matches!(error, StoreError::Io { .. }) && error.is_fatal(),
        "{error}"
    );
    disk.fail_after(u64::MAX);
    let error = store.commit(&next).unwrap_err();
    assert!(
        matches!(error, StoreError::Broken { .. }) && error.is_fatal(),
        "{error}"
    );
    assert_eq!(store.journal().tail().position, 1);
}
