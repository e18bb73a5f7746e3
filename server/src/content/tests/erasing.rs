//! Erasing: what goes, what stays beside it, and who is refused from then on.

use std::{ops::Range, path::PathBuf};

use super::*;
use crate::{
    disk::fake::Random,
    segment::{Damage, SeriesTail},
};

const BY: Index = Index(7);

/// Every file's bytes, and where the pack's segment is.
fn pack(disk: &FakeDisk) -> (PathBuf, Vec<u8>) {
    let path = PathBuf::from("/data/packs/00000000.seg");
    let bytes = disk.get(&path);
    (path, bytes)
}

fn place_of(bytes: &[u8], content: &[u8]) -> Range<usize> {
    let start = bytes.windows(content.len()).position(|it| it == content);
    let start = start.unwrap();
    start..start + content.len()
}

fn erase(files: &ContentFiles, ids: &[ContentId]) {
    let barred: Vec<_> = ids.iter().map(|id| (*id, BY)).collect();
    files.bar(&barred);
    files.erase(ids).unwrap();
}

fn is_erased<T>(result: &Result<T, ContentError>) -> bool {
    matches!(result, Err(ContentError::Erased { index: BY, .. }))
}

/// Goal: an erased content is zeros in its pack and gone elsewhere, and no other byte of the disk
/// changes. Method: contents of both sizes between others, staged by two more owners, one of whom
/// sent a part; images before and after.
#[test]
fn an_erased_content_is_gone_and_nothing_beside_it_changes() {
    let disk = FakeDisk::new();
    let files = open(&disk);
    let small: Vec<_> = (1..=3).map(|seed| content(seed, 5000)).collect();
    let large: Vec<_> = (4..=5).map(|seed| content(seed, 1 << 20)).collect();
    for (id, bytes) in small.iter().chain(&large) {
        send(&files, "owner", *id, bytes);
        files.promote("owner", &[*id]).unwrap();
    }
    let erased = [small[1].clone(), large[0].clone()];
    for (id, bytes) in &erased {
        send(&files, "second", *id, bytes);
        let part = &bytes[..bytes.len() / 2];
        let staging = files.staging();
        staging.write("third", *id, 0, part, Part::More).unwrap();
        staging.pause("third", id).unwrap();
    }
    let (path, before) = pack(&disk);
    let ids = erased.clone().map(|(id, _)| id);
    erase(&files, &ids);
    let (_, after) = pack(&disk);
    let place = place_of(&before, &small[1].1);
    let mut expected = before;
    expected[place].fill(0);
    assert!(
        after == expected,
        "other bytes of {} changed",
        path.display()
    );
    let paths = ContentPaths::below(Path::new("/data"));
    let known = ids.into_iter().collect();
    let scan = PackScan::read(&disk.shared(), paths.packs.clone(), LEDGER, None, &known);
    let again = ContentFiles::open(&disk.shared(), &paths, scan.unwrap(), limits()).unwrap();
    for files in [files, again] {
        erase(&files, &ids);
        for (id, bytes) in &erased {
            assert_eq!(files.size(id), None);
            assert!(is_erased(&files.read(id, 0..1)));
            assert!(is_erased(&files.promote("owner", &[*id])));
            for part in [Part::More, Part::Last] {
                let written = files.staging().write("owner", *id, 0, bytes, part);
                assert!(is_erased(&written));
            }
            assert_eq!(files.staging().claimed("second", id).unwrap(), None);
            assert!(!files.remains(id).unwrap());
        }
        for (id, bytes) in [&small[0], &small[2], &large[1]] {
            verify(&files, id, bytes);
        }
    }
    let left: Vec<_> = disk.image().into_keys().collect();
    let names = |id: &ContentId| {
        left.iter()
            .any(|it| it.to_string_lossy().contains(&id.to_string()))
    };
    assert!(!ids.iter().any(names), "{left:?}");
}

/// Goal: a content that was half overwritten is no torn end, which would take with it what follows,
/// and no damage. Method: half of it zeros, with the anchor far below and without one; and the same
/// where no order is known, which is damage.
#[test]
fn a_half_erased_content_takes_nothing_with_it() {
    let disk = FakeDisk::new();
    let files = open(&disk);
    let contents: Vec<_> = (1..=3).map(|seed| content(seed, 5000)).collect();
    for (id, bytes) in &contents {
        send(&files, "owner", *id, bytes);
        files.promote("owner", &[*id]).unwrap();
    }
    let tail = files.packs_tail();
    drop(files);
    let (path, mut bytes) = pack(&disk);
    let place = place_of(&bytes, &contents[1].1);
    bytes[place.start..place.start + 2500].fill(0);
    disk.put(&path, &bytes);
    let read = |erased: &[ContentId], anchored| {
        let erased = erased.iter().copied().collect();
        PackScan::read(
            &disk.shared(),
            "/data/packs".into(),
            LEDGER,
            anchored,
            &erased,
        )
    };
    let damaged = read(&[], None).unwrap_err();
    assert!(matches!(
        damaged,
        StoreError::Damaged {
            damage: Damage::Payload,
            ..
        }
    ));
    let (second, paths) = (contents[1].0, ContentPaths::below(Path::new("/data")));
    for anchored in [None, Some(SeriesTail::START), Some(tail)] {
        let scan = read(&[second], anchored).unwrap();
        assert_eq!((scan.series().tail(), scan.series().cut()), (tail, None));
        let files = ContentFiles::open(&disk.shared(), &paths, scan, limits()).unwrap();
        for (id, bytes) in [&contents[0], &contents[2]] {
            verify(&files, id, bytes);
        }
        assert!(files.remains(&second).unwrap());
    }
    let scan = read(&[second], Some(tail)).unwrap();
    let files = ContentFiles::open(&disk.shared(), &paths, scan, limits()).unwrap();
    erase(&files, &[second]);
    assert!(!files.remains(&second).unwrap());
}

/// Goal: no upload or promotion that is under way brings a byte back. Method: several owners send
/// and promote the same contents while they are erased, at moments that a seed chooses.
#[test]
fn an_upload_that_is_under_way_brings_nothing_back() {
    for seed in 0..30 {
        let disk = FakeDisk::new();
        let files = open(&disk);
        let (small, bytes) = content(1, 3000);
        let (large, more) = content(2, 1 << 20);
        let mut random = Random(seed);
        let pauses: Vec<u64> = (0..4).map(|_| random.below(400)).collect();
        thread::scope(|scope| {
            for (owner, pause) in ["one", "two", "three"].into_iter().zip(&pauses) {
                let (files, bytes, more) = (&files, &bytes, &more);
                scope.spawn(move || {
                    thread::sleep(Duration::from_micros(*pause));
                    for (id, bytes) in [(small, bytes), (large, more)] {
                        let sent = files.staging().write(owner, id, 0, bytes, Part::Last);
                        let kept = sent.and_then(|()| files.promote(owner, &[id]));
                        let refused = ["CONTENT_ERASED", "CONTENT_MISSING"];
                        let code = kept.err().map(|error| error.reason().code());
                        assert!(code.is_none_or(|code| refused.contains(&code)), "{code:?}");
                    }
                });
            }
            thread::sleep(Duration::from_micros(pauses[3] * 4));
            erase(&files, &[small, large]);
        });
        let left: Vec<_> = disk.image().into_keys().collect();
        let (_, pack) = pack(&disk);
        assert!(
            !pack.windows(300).any(|it| it == &bytes[..300]),
            "seed {seed}"
        );
        let stray = left.iter().filter(|it| !it.starts_with("/data/packs"));
        assert_eq!(stray.count(), 0, "seed {seed}: {left:?}");
    }
}
