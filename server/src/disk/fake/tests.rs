//! The fake itself: what it loses and what it keeps, or every test above it proves nothing.

use std::path::Path;

use super::{super::Disk as _, *};

const SEEDS: u64 = 64;

fn path(name: &str) -> PathBuf {
    Path::new("/d").join(name)
}

/// A strict disk with a durable directory and a durable file `a` of 2 KiB of ones.
fn disk() -> FakeDisk {
    let disk = FakeDisk::with(Platter::strict());
    disk.create_dir(Path::new("/d")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    let file = disk.create(&path("a")).unwrap();
    file.write_at(&[1; 2048], 0).unwrap();
    file.sync().unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    disk
}

fn after(disk: &FakeDisk, unsynced: Unsynced) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut platter = disk.platter();
    platter.crash(unsynced);
    FakeDisk::with(platter).image()
}

/// Every end that a crash can have, as far as the seeds reach.
fn ends(disk: &FakeDisk) -> Vec<BTreeMap<PathBuf, Vec<u8>>> {
    (0..SEEDS)
        .map(|seed| after(disk, Unsynced::Torn(seed)))
        .collect()
}

#[test]
fn a_write_is_seen_at_once_and_survives_only_its_sync() {
    let disk = disk();
    let file = disk.open(&path("a")).unwrap();
    file.write_at(&[2; 1024], 512).unwrap();
    assert_eq!(disk.get(&path("a"))[512..1536], [2; 1024]);
    assert_eq!(after(&disk, Unsynced::Lost)[&path("a")], [1; 2048]);
    file.sync().unwrap();
    assert_eq!(
        after(&disk, Unsynced::Lost)[&path("a")],
        disk.get(&path("a"))
    );
}

#[test]
fn a_torn_write_lands_in_any_set_of_its_sectors() {
    let disk = disk();
    let file = disk.open(&path("a")).unwrap();
    file.write_at(&[2; 1024], 512).unwrap();
    let sectors = |image: &BTreeMap<PathBuf, Vec<u8>>| {
        let bytes = &image[&path("a")];
        assert!(
            bytes
                .chunks(512)
                .all(|sector| sector.iter().all(|byte| *byte == sector[0]))
        );
        [bytes[0], bytes[512], bytes[1024], bytes[1536]]
    };
    let mut found: Vec<_> = ends(&disk).iter().map(sectors).collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(
        found,
        [[1, 1, 1, 1], [1, 1, 2, 1], [1, 2, 1, 1], [1, 2, 2, 1]]
    );
}

#[test]
fn growth_may_come_without_the_bytes_and_not_at_all() {
    let disk = disk();
    disk.open(&path("a"))
        .unwrap()
        .write_at(&[2; 512], 2048)
        .unwrap();
    let mut found: Vec<_> = ends(&disk)
        .iter()
        .map(|image| image[&path("a")][2048..].first().copied())
        .collect();
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, [None, Some(0), Some(2)]);
}

#[test]
fn a_file_whose_name_was_not_synced_may_vanish_whatever_was_synced_of_it() {
    let disk = disk();
    let file = disk.create(&path("b")).unwrap();
    file.write_at(b"b", 0).unwrap();
    file.sync().unwrap();
    let there = |image: &BTreeMap<_, _>| image.contains_key(&path("b"));
    assert!(!there(&after(&disk, Unsynced::Lost)));
    let found = ends(&disk);
    assert!(found.iter().any(there) && !found.iter().all(there));
    disk.sync_dir(Path::new("/d")).unwrap();
    assert!(ends(&disk).iter().all(there));
}

#[test]
fn a_rename_or_a_removal_may_or_may_not_have_happened() {
    let disk = disk();
    disk.rename(&path("a"), &path("b")).unwrap();
    let mut names: Vec<Vec<_>> = ends(&disk)
        .into_iter()
        .map(|image| image.into_keys().collect())
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, [[path("a")], [path("b")]]);
    disk.sync_dir(Path::new("/d")).unwrap();
    disk.remove(&path("b")).unwrap();
    assert_eq!(after(&disk, Unsynced::Lost).len(), 1);
    assert_eq!(after(&disk, Unsynced::Kept).len(), 0);
}

#[test]
fn a_directory_whose_name_is_lost_takes_along_what_is_in_it() {
    let disk = FakeDisk::with(Platter::strict());
    disk.create_dir(Path::new("/d")).unwrap();
    disk.create(&path("a")).unwrap();
    disk.sync_dir(Path::new("/d")).unwrap();
    assert!(after(&disk, Unsynced::Lost).is_empty());
    disk.sync_dir(Path::new("/")).unwrap();
    assert_eq!(after(&disk, Unsynced::Lost).len(), 1);
}

#[test]
fn after_a_failed_sync_the_bytes_are_seen_and_no_later_sync_writes_them() {
    let disk = disk();
    let file = disk.open(&path("a")).unwrap();
    file.write_at(&[2; 512], 0).unwrap();
    disk.plan(Plan::ErrorAt(0));
    file.sync().unwrap_err();
    file.sync().unwrap();
    disk.crash(Unsynced::Shown);
    assert_eq!(disk.get(&path("a"))[0], 2);
    assert_eq!(after(&disk, Unsynced::Kept)[&path("a")][0], 1);
    // Written again, it is as any other write.
    file.write_at(&[2; 512], 0).unwrap();
    file.sync().unwrap();
    assert_eq!(after(&disk, Unsynced::Lost)[&path("a")][0], 2);
}

#[test]
fn two_platters_have_the_same_print_only_if_nobody_can_tell_them_apart() {
    let print = |disk: &FakeDisk| disk.platter().print();
    let disk = disk();
    let before = print(&disk);
    let file = disk.open(&path("a")).unwrap();
    file.write_at(&[1; 512], 0).unwrap();
    assert_eq!(print(&disk), before, "nothing was changed");
    file.write_at(&[2; 512], 0).unwrap();
    let unsynced = print(&disk);
    file.sync().unwrap();
    let synced = print(&disk);
    disk.rename(&path("a"), &path("b")).unwrap();
    let renamed = print(&disk);
    let mut all = vec![before, unsynced, synced, renamed];
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 4);
}

#[test]
fn the_last_change_may_be_the_only_one_that_the_disk_got() {
    let disk = disk();
    disk.rename(&path("a"), &path("b")).unwrap();
    let file = disk.open(&path("b")).unwrap();
    file.write_at(&[2; 512], 0).unwrap();
    let before = disk.platter();
    file.write_at(&[3; 512], 512).unwrap();
    let mut after = disk.platter();
    after.crash_since(&before);
    let image = FakeDisk::with(after).image();
    assert_eq!(
        (image.len(), image[&path("a")][0], image[&path("a")][512]),
        (1, 1, 3)
    );
}
