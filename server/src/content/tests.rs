//! Contents: uploads in parts, promotion, expiry, restarts.
#![allow(clippy::unwrap_used)]

mod erasing;
mod keep;
mod resume;

use std::{collections::HashSet, thread, time::Duration};

use super::*;
use crate::disk::fake::{FakeDisk, Unsynced};

const LEDGER: LedgerTag = LedgerTag([7; 16]);

fn limits() -> ContentLimits {
    ContentLimits {
        content_bytes_max: 4 << 20,
        staged_bytes_max: 6 << 20,
        uploads_max: 40,
        unfinished_max: 5,
        unfinished_per_owner_max: 3,
    }
}

fn open(disk: &FakeDisk) -> ContentFiles {
    let (shared, paths) = (disk.shared(), ContentPaths::below(Path::new("/data")));
    if shared.list(&paths.packs).unwrap().is_empty() {
        ContentFiles::create(&shared, &paths, LEDGER).unwrap();
    }
    let none = HashSet::new();
    let packs = PackScan::read(&shared, paths.packs.clone(), LEDGER, None, &none).unwrap();
    ContentFiles::open(&shared, &paths, packs, limits()).unwrap()
}

fn content(seed: u8, bytes: usize) -> (ContentId, Vec<u8>) {
    let content: Vec<u8> = (0..=250)
        .map(|byte| byte ^ seed)
        .cycle()
        .take(bytes)
        .collect();
    (ContentId::of(&content), content)
}

fn send(files: &ContentFiles, owner: &str, id: ContentId, content: &[u8]) {
    files
        .staging()
        .write(owner, id, 0, content, Part::Last)
        .unwrap();
}

fn verify(files: &ContentFiles, id: &ContentId, content: &[u8]) {
    let size = content.len() as u64;
    assert_eq!(files.size(id), Some(size));
    assert_eq!(files.read(id, 0..size).unwrap(), content);
    assert_eq!(
        files.read(id, size / 2..size / 2 + 1).unwrap(),
        content[content.len() / 2..][..1]
    );
    assert_eq!(files.read(id, size..size).unwrap(), Bytes::new());
    for wrong in [0..size + 1, size + 1..size + 1, 0..u64::MAX] {
        assert!(matches!(
            files.read(id, wrong),
            Err(ContentError::Range { .. })
        ));
    }
}

#[test]
fn promoted_contents_of_all_sizes_are_there_after_a_crash() {
    let disk = FakeDisk::new();
    let files = open(&disk);
    let limit = usize::try_from(PACKED_BYTES_LIMIT).unwrap();
    let contents: Vec<_> = [1, 1000, limit - 1, limit, limit + 1]
        .into_iter()
        .zip(1..)
        .map(|(bytes, seed)| content(seed, bytes))
        .collect();
    for (id, bytes) in &contents {
        send(&files, "owner", *id, bytes);
        assert_eq!(files.size(id), None, "staged is not durable");
        assert_eq!(
            files.staging().claimed("owner", id).unwrap(),
            Some(bytes.len() as u64)
        );
    }
    let ids: Vec<_> = contents
        .iter()
        .map(|(id, _)| *id)
        .chain([empty_content()])
        .collect();
    files.promote("owner", &ids).unwrap();
    files.promote("owner", &ids).unwrap();
    drop(files);
    disk.crash(Unsynced::Lost);
    let files = open(&disk);
    for (id, bytes) in &contents {
        verify(&files, id, bytes);
    }
    let staged = disk.shared().list(Path::new("/data/staging")).unwrap();
    assert!(staged.is_empty(), "{staged:?}");
    // Durable already: nobody need have sent it.
    files.promote("stranger", &ids).unwrap();
}

#[test]
fn the_empty_content_always_exists() {
    let files = open(&FakeDisk::new());
    let id = empty_content();
    assert_eq!(files.size(&id), Some(0));
    assert_eq!(files.read(&id, 0..0).unwrap(), Bytes::new());
    assert_eq!(files.staging().claimed("owner", &id).unwrap(), Some(0));
    send(&files, "owner", id, &[]);
    let wrong = files.staging().write("owner", id, 0, b"x", Part::Last);
    assert!(matches!(wrong, Err(ContentError::Mismatch { .. })));
    files.promote("owner", &[id]).unwrap();
}

#[test]
fn an_upload_goes_on_where_it_stopped_also_after_a_restart() {
    for end in [Unsynced::Shown, Unsynced::Lost, Unsynced::Torn(1)] {
        let disk = FakeDisk::new();
        let (id, bytes) = content(1, 3 << 20);
        let files = open(&disk);
        let part = 1 << 20;
        files
            .staging()
            .write("owner", id, 0, &bytes[..part], Part::More)
            .unwrap();
        let skipped = files
            .staging()
            .write("owner", id, 5, &bytes[5..part], Part::More);
        assert!(matches!(
            skipped,
            Err(ContentError::Offset { kept: 1_048_576 })
        ));
        drop(files);
        disk.crash(end);
        let files = open(&disk);
        let staging = files.staging();
        assert_eq!(staging.claimed("owner", &id).unwrap(), None);
        let kept = usize::try_from(staging.kept("owner", &id)).unwrap();
        assert!(kept == part || end != Unsynced::Shown);
        // Whatever the crash tore: what is said to be kept is right, so the rest fits.
        staging
            .write("owner", id, kept as u64, &bytes[kept..], Part::Last)
            .unwrap();
        files.promote("owner", &[id]).unwrap();
        drop(files);
        disk.crash(Unsynced::Lost);
        verify(&open(&disk), &id, &bytes);
    }
}

#[test]
fn a_complete_upload_is_hashed_and_written_again_after_a_restart() {
    let disk = FakeDisk::new();
    let (good, bytes) = content(1, 2 << 20);
    let (bad, other) = content(2, 2 << 20);
    let files = open(&disk);
    send(&files, "owner", good, &bytes);
    send(&files, "owner", bad, &other);
    drop(files);
    let path = disk
        .image()
        .into_keys()
        .find(|path| path.ends_with(bad.to_string()))
        .unwrap();
    let mut changed = other;
    changed[77] ^= 1;
    disk.put(&path, &changed);
    disk.crash(Unsynced::Shown);
    let files = open(&disk);
    let claimed = |id| files.staging().claimed("owner", id).unwrap();
    assert_eq!((claimed(&good), claimed(&bad)), (Some(2 << 20), None));
    let rewritten = disk.written();
    assert!(
        rewritten
            .iter()
            .any(|(path, _)| path.ends_with(good.to_string()))
    );
    let missing = files.promote("owner", &[good, bad]).unwrap_err();
    assert!(matches!(missing, ContentError::Missing { id } if id == bad));
    files.promote("owner", &[good]).unwrap();
}

/// A part that the disk had no room for leaves bytes behind; sent again in smaller ones, the
/// content ends where it should.
#[test]
fn a_part_that_failed_halfway_leaves_nothing_behind_in_the_content() {
    let disk = FakeDisk::new();
    let files = open(&disk);
    let (id, bytes) = content(1, (1 << 20) + 10);
    let write = |from, to, part| {
        files
            .staging()
            .write("owner", id, from as u64, &bytes[from..to], part)
    };
    write(0, 1 << 20, Part::More).unwrap();
    disk.fill_up(true);
    let longer = vec![1; 1000];
    let full = files
        .staging()
        .write("owner", id, 1 << 20, &longer, Part::More);
    assert_eq!(full.unwrap_err().reason(), Reason::NoSpace);
    disk.fill_up(false);
    write(1 << 20, bytes.len(), Part::Last).unwrap();
    files.promote("owner", &[id]).unwrap();
    verify(&files, &id, &bytes);
    drop(files);
    verify(&open(&disk), &id, &bytes);
}

#[test]
fn bytes_that_hash_to_something_else_are_dropped() {
    let disk = FakeDisk::new();
    let files = open(&disk);
    let (id, bytes) = content(1, 1000);
    let error = files
        .staging()
        .write("owner", id, 0, &bytes[1..], Part::Last)
        .unwrap_err();
    assert!(matches!(error, ContentError::Mismatch { .. }));
    assert_eq!(error.reason(), Reason::ContentMismatch);
    assert_eq!(files.staging().kept("owner", &id), 0);
    assert!(matches!(
        files.promote("owner", &[id]),
        Err(ContentError::Missing { .. })
    ));
    send(&files, "owner", id, &bytes);
    // A part sent twice is no new part.
    send(&files, "owner", id, &bytes);
}

#[test]
fn an_owner_cannot_claim_what_another_sent() {
    let files = open(&FakeDisk::new());
    let (id, bytes) = content(1, 1000);
    send(&files, "one", id, &bytes);
    assert_eq!(files.staging().kept("two", &id), 0);
    assert_eq!(files.staging().claimed("two", &id).unwrap(), None);
    assert!(matches!(
        files.promote("two", &[id]),
        Err(ContentError::Missing { .. })
    ));
    files.promote("one", &[id]).unwrap();
    assert_eq!(files.staging().claimed("two", &id).unwrap(), None);
    assert_eq!(files.staging().claimed("one", &id).unwrap(), Some(1000));
}

#[test]
fn every_cap_refuses_and_expiry_makes_room() {
    let disk = FakeDisk::new();
    let files = open(&disk);
    let staging = files.staging();
    let begin = |owner: &str, seed, bytes| {
        let (id, content) = content(seed, bytes);
        staging.write(owner, id, 0, &content, Part::More)
    };
    let large = begin("a", 9, (4 << 20) + 1).unwrap_err();
    assert!(matches!(large, ContentError::TooLarge { .. }));
    for seed in 1..4 {
        begin("a", seed, 10).unwrap();
    }
    assert!(matches!(
        begin("a", 4, 10),
        Err(ContentError::TooManyUploads { max: 3 })
    ));
    begin("b", 4, 4 << 20).unwrap();
    assert!(matches!(
        begin("b", 5, 3 << 20),
        Err(ContentError::StagingFull)
    ));
    begin("b", 5, 10).unwrap();
    assert!(matches!(begin("c", 6, 10), Err(ContentError::StagingFull)));
    assert_eq!(staging.expire(Duration::from_hours(1)).unwrap(), 0);
    assert_eq!(staging.expire(Duration::ZERO).unwrap(), 5);
    let left = disk
        .image()
        .into_keys()
        .filter(|path| path.starts_with("/data/staging"));
    assert_eq!(left.count(), 0);
    // All that was counted is given back: the same fits again.
    begin("b", 4, 4 << 20).unwrap();
    for seed in 5..7 {
        begin("b", seed, 10).unwrap();
    }
    assert_eq!(staging.expire(Duration::ZERO).unwrap(), 3);
    for number in 0..40 {
        let (id, bytes) = content(1, 100 + number);
        send(&files, "c", id, &bytes);
    }
    assert!(matches!(begin("d", 1, 1), Err(ContentError::StagingFull)));
}

#[test]
fn concurrent_callers_are_all_answered_and_share_syncs() {
    let disk = FakeDisk::new();
    let files = open(&disk);
    let contents: Vec<_> = (0..32)
        .map(|number| content(number, 500 + usize::from(number) / 2))
        .collect();
    for (number, (id, bytes)) in contents.iter().enumerate() {
        send(&files, &format!("owner {number}"), *id, bytes);
    }
    thread::scope(|scope| {
        for (number, (id, bytes)) in contents.iter().enumerate() {
            let files = &files;
            scope.spawn(move || {
                files.promote(&format!("owner {number}"), &[*id]).unwrap();
                verify(files, id, bytes);
            });
        }
    });
    let error = files.promote("owner 0", &[content(99, 5).0]).unwrap_err();
    assert!(matches!(error, ContentError::Missing { .. }));
    drop(files);
    disk.crash(Unsynced::Lost);
    let files = open(&disk);
    for (id, bytes) in &contents {
        verify(&files, id, bytes);
    }
}

/// A damaged packed content is named, not served; the others are.
#[test]
fn a_flipped_byte_of_a_packed_content_is_never_served() {
    let disk = FakeDisk::new();
    let files = open(&disk);
    let (one, bytes) = content(1, 300);
    let (two, others) = content(2, 300);
    send(&files, "owner", one, &bytes);
    send(&files, "owner", two, &others);
    files.promote("owner", &[one]).unwrap();
    files.promote("owner", &[two]).unwrap();
    let pack = Path::new("/data/packs/00000000.seg");
    let good = disk.get(pack);
    for at in 4096..4096 + 80 + 300 {
        let mut changed = good.clone();
        changed[at] ^= 1;
        disk.put(pack, &changed);
        // The open file is another one now: read through a fresh scan, without the anchor.
        let shared = disk.shared();
        let scan = PackScan::read(&shared, "/data/packs".into(), LEDGER, None, &HashSet::new());
        let scan = scan.unwrap_err();
        assert!(scan.to_string().contains("offset 4096"), "at {at}: {scan}");
    }
}
