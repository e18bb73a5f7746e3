//! The operating system's disk: modes, links, the lock.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::{MetadataExt as _, symlink};

use super::*;

#[test]
fn files_and_directories_are_for_their_owner_alone() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("d");
    OsDisk.create_dir(&directory).unwrap();
    OsDisk.create_dir(&directory).unwrap();
    let file = directory.join("f");
    OsDisk.create(&file).unwrap().write_at(b"abc", 2).unwrap();
    assert_eq!(fs::metadata(&directory).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let mut bytes = [1; 8];
    assert_eq!(
        OsDisk.open(&file).unwrap().read_at(&mut bytes, 1).unwrap(),
        4
    );
    assert_eq!(&bytes, b"\0abc\x01\x01\x01\x01");
    assert_eq!(
        OsDisk.create(&file).unwrap_err().kind(),
        io::ErrorKind::AlreadyExists
    );
}

#[test]
fn a_symbolic_link_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let (file, link) = (root.path().join("f"), root.path().join("l"));
    OsDisk.create(&file).unwrap();
    symlink(&file, &link).unwrap();
    OsDisk.open(&link).unwrap_err();
    OsDisk.lock(&link).unwrap_err();
    let directory = root.path().join("d");
    symlink(root.path(), &directory).unwrap();
    OsDisk.create_dir(&directory).unwrap_err();
}

#[test]
fn the_second_lock_names_the_holder_until_the_first_is_dropped() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("lock");
    let held = OsDisk.lock(&path).unwrap();
    let Err(LockError::Held { holder }) = OsDisk.lock(&path) else {
        panic!("locked twice");
    };
    assert_eq!(holder, Some(std::process::id()));
    drop(held);
    OsDisk.lock(&path).unwrap();
}
