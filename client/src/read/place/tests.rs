//! Files beside the target: links, leftovers, other processes.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use super::{ContentId, Mode, Place};

fn place(root: &std::path::Path, name: &str) -> std::io::Result<Place> {
    Place::open(root, &name.parse().unwrap())
}

const ID: ContentId = ContentId([7; 32]);

/// Goal: a link below the target never leads a restored file elsewhere. Method: a
/// directory and a file are links that point outside.
#[test]
fn a_symbolic_link_never_leads_out_of_the_directory() {
    let inside = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), inside.path().join("conf")).unwrap();
    assert!(place(inside.path(), "conf/web.yaml").is_err());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    let victim = outside.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, inside.path().join("web.yaml")).unwrap();
    let there = place(inside.path(), "web.yaml").unwrap();
    let mut new = there.create(&ID).unwrap();
    new.file.write_all(b"restored").unwrap();
    new.publish(Some(Mode::of(0o640))).unwrap();
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    let path = inside.path().join("web.yaml");
    assert!(fs::symlink_metadata(&path).unwrap().is_file());
    assert_eq!(fs::read(&path).unwrap(), b"restored");
    assert_eq!(
        path.metadata().unwrap().permissions().mode() & 0o7777,
        0o640
    );
}

/// Goal: a directory is never replaced, and a failed restore leaves nothing behind.
#[test]
fn a_directory_stays_and_an_unfinished_file_goes() {
    let inside = tempfile::tempdir().unwrap();
    fs::create_dir(inside.path().join("conf")).unwrap();
    assert!(place(inside.path(), "conf").unwrap().create(&ID).is_err());
    assert!(place(inside.path(), "conf").unwrap().symlink(b"x").is_err());
    drop(
        place(inside.path(), "new/file")
            .unwrap()
            .create(&ID)
            .unwrap(),
    );
    let left = fs::read_dir(inside.path().join("new")).unwrap().count();
    assert_eq!(left, 0);
    assert!(place(inside.path(), ".").is_err());
}

fn names(root: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(root).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Goal: what broke off is found again, by one process at a time, and goes when the file
/// is whole, with what was left of other bytes. Method: two contents for one target.
#[test]
fn an_unfinished_file_is_taken_up_once_and_goes_with_the_finished_one() {
    let inside = tempfile::tempdir().unwrap();
    let there = place(inside.path(), "disk.img").unwrap();
    let other = ContentId([8; 32]);
    let neighbour = place(inside.path(), "other.img").unwrap();
    for (place, id) in [(&there, &ID), (&there, &other), (&neighbour, &ID)] {
        place.create(id).unwrap().file.write_all(b"begun").unwrap();
    }
    assert_eq!(names(inside.path()).len(), 3);
    let mut new = there.create(&ID).unwrap();
    // Somebody else at the same time begins anew, and leaves nothing.
    let mut second = there.create(&ID).unwrap();
    assert_eq!(second.reread(9, |_| panic!("nothing is there")).unwrap(), 0);
    drop(second);
    let mut found = Vec::new();
    let kept = new.reread(9, |bytes| found.extend_from_slice(bytes));
    assert_eq!((kept.unwrap(), &found[..]), (5, &b"begun"[..]));
    new.file.write_all(b", done").unwrap();
    new.publish(None).unwrap();
    assert_eq!(
        fs::read(inside.path().join("disk.img")).unwrap(),
        b"begun, done"
    );
    assert_eq!(names(inside.path()).len(), 2, "the neighbour's is not ours");
    // More bytes than the whole has cannot be its beginning.
    let mut begun = neighbour.create(&ID).unwrap();
    assert_eq!(begun.reread(4, |_| panic!("too many")).unwrap(), 0);
    begun.discard();
    drop(begun);
    assert_eq!(names(inside.path()), ["disk.img"]);
}

/// Puts something of the first path's under the second.
type Make = fn(&std::path::Path, &std::path::Path);

/// Goal: nobody can make a restore read or write elsewhere by what lies under the name of
/// an unfinished file. Method: a link, a second name, a loose file, a pipe, a directory.
#[test]
fn only_a_private_file_of_our_own_is_taken_up() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
    let make: [(&str, Make); 5] = [
        ("link", |from, at| symlink(from, at).unwrap()),
        ("second name", |from, at| fs::hard_link(from, at).unwrap()),
        ("loose", |_, at| {
            fs::write(at, "loose").unwrap();
            fs::set_permissions(at, fs::Permissions::from_mode(0o644)).unwrap();
        }),
        ("pipe", |_, at| {
            let kind = rustix::fs::FileType::Fifo;
            let mode = super::Bits::from_raw_mode(0o600);
            rustix::fs::mknodat(super::CWD, at, kind, mode, 0).unwrap();
        }),
        ("directory", |_, at| fs::create_dir(at).unwrap()),
    ];
    for (what, make) in make {
        let inside = tempfile::tempdir_in(outside.path()).unwrap();
        let there = place(inside.path(), "web.yaml").unwrap();
        let name = format!("{}{ID}", there.prefix());
        make(&victim, &inside.path().join(&name));
        let mut new = there.create(&ID).unwrap();
        assert_eq!(new.reread(99, |_| panic!("{what} was read")).unwrap(), 0);
        new.file.write_all(b"restored").unwrap();
        new.publish(None).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious", "{what}");
        assert_eq!(
            fs::read(inside.path().join("web.yaml")).unwrap(),
            b"restored"
        );
        assert_eq!(names(inside.path()).len(), 2, "{what} is left alone");
    }
}
