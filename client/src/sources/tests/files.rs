//! Files, links and directories, well-behaved and not.

use std::{
    ffi::OsStr,
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
        net::UnixListener,
    },
};

use cairn_proto::{
    manifest::{ArtifactKind, Bytes, Digests},
    reason::Reason,
};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

#[test]
fn every_file_link_and_empty_directory_is_an_artifact_sorted_by_name() {
    let root = directory(&[("b/z.txt", b"zed"), ("b-1", b""), ("a.yaml", b"x: 1\n")]);
    fs::create_dir(root.path().join("empty")).unwrap();
    put(root.path(), ".git/config", b"[core]");
    symlink("../elsewhere", root.path().join("link")).unwrap();
    fs::set_permissions(
        root.path().join("a.yaml"),
        fs::Permissions::from_mode(0o640),
    )
    .unwrap();

    let capture = record(root.path());

    let expected = [".git/config", "a.yaml", "b-1", "b/z.txt", "empty", "link"];
    assert_eq!(names(&capture), expected);
    let kind = |name: &str| capture.artifact(name).unwrap().kind;
    assert_eq!(kind("a.yaml"), ArtifactKind::File);
    assert_eq!(kind("link"), ArtifactKind::Symlink);
    assert_eq!(kind("empty"), ArtifactKind::Directory);
    let mode = |name: &str| capture.artifact(name).unwrap().mode.unwrap().to_string();
    assert_eq!(
        (mode("a.yaml"), mode("link")),
        ("0640".into(), "0777".into())
    );
    let expected = Bytes::Stored {
        digests: Digests::of(b"../elsewhere"),
        size: 12,
    };
    assert_eq!(capture.artifact("link").unwrap().bytes, expected);
    assert_eq!((capture.files, capture.images), (6, 0));
    // The empty file and the empty directory need no content.
    assert_eq!(capture.contents.len(), 4);
    assert_eq!(capture.bytes, 12 + 3 + 5 + 6);
    manifest(&capture);
}

#[test]
fn equal_files_are_one_content() {
    let root = directory(&[("a", b"same"), ("b", b"same"), ("c", b"")]);
    let capture = record(root.path());
    assert_eq!((capture.artifacts.len(), capture.contents.len()), (3, 1));
    let id = capture
        .artifact("a")
        .unwrap()
        .bytes
        .digests()
        .unwrap()
        .blake3;
    assert_eq!(capture.content(&id).unwrap().size, 4);
}

#[test]
fn a_file_longer_than_the_buffer_has_the_digests_of_all_its_bytes() {
    let bytes: Vec<u8> = (0..3_000_001_u32).map(|at| at.to_le_bytes()[0]).collect();
    let root = directory(&[("large", &bytes)]);
    let capture = record(root.path());
    let large = capture.artifact("large").unwrap();
    assert_eq!(large.bytes.digests(), Some(&Digests::of(&bytes)));
}

#[test]
fn loops_of_links_are_recorded_as_links() {
    let root = directory(&[("sub/file", b"x")]);
    symlink(".", root.path().join("self")).unwrap();
    symlink("../sub", root.path().join("sub/up")).unwrap();
    symlink("b", root.path().join("a")).unwrap();
    symlink("a", root.path().join("b")).unwrap();
    let capture = record(root.path());
    assert_eq!(names(&capture), ["a", "b", "self", "sub/file", "sub/up"]);
}

#[test]
fn names_that_a_terminal_or_a_manifest_cannot_hold_are_refused_and_shown_escaped() {
    for (name, shown) in [
        (&b"esc\x1b[31m"[..], "esc\\u{1b}[31m"),
        (b"new\nline", "new\\nline"),
        (b"latin\xe9", "latin\\xe9"),
        (b"del\x7f", "del\\u{7f}"),
    ] {
        let root = directory(&[("fine", b"x")]);
        fs::write(root.path().join(OsStr::from_bytes(name)), b"x").unwrap();
        let error = try_record(root.path()).unwrap_err();
        assert_eq!(error.reason(), Reason::PathName);
        assert!(error.to_string().contains(shown), "{error}");
    }
}

#[test]
fn a_name_longer_than_a_manifest_holds_is_refused() {
    let root = directory(&[]);
    let deep = (0..6).fold(root.path().to_owned(), |path, _| path.join("d".repeat(200)));
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("file"), b"x").unwrap();
    assert_eq!(refusal(root.path()), Reason::PathName);
}

#[test]
fn pipes_and_sockets_are_refused_and_never_opened() {
    let root = directory(&[("fine", b"x")]);
    mknodat(CWD, root.path().join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    let error = try_record(root.path()).unwrap_err();
    assert_eq!(error.reason(), Reason::PathSpecial);
    assert!(
        error.to_string().ends_with("pipe is a named pipe"),
        "{error}"
    );
    assert_eq!(refusal(&root.path().join("pipe")), Reason::PathSpecial);

    let root = directory(&[("fine", b"x")]);
    let _socket = UnixListener::bind(root.path().join("socket")).unwrap();
    assert_eq!(refusal(root.path()), Reason::PathSpecial);
}

#[test]
fn an_input_that_is_not_there_is_named() {
    let error = try_record(Path::new("no/such/path")).unwrap_err();
    assert_eq!(error.reason(), Reason::PathUnreadable);
    assert!(error.to_string().contains("no/such/path"));
}

#[test]
fn an_empty_input_is_nothing_to_record_but_can_be_verified() {
    let root = directory(&[]);
    assert_eq!(refusal(root.path()), Reason::PathEmpty);
    let other = directory(&[("a", b"x")]);
    let recorded = manifest(&record(other.path()));
    let capture = verify(root.path(), &Recorded::new(&recorded));
    assert!(capture.artifacts.is_empty());
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    let changes: [fn(&mut fs::File); 3] = [
        |file| {
            file.seek(SeekFrom::End(0)).unwrap();
            file.write_all(b"more").unwrap();
        },
        |file| file.write_all(b"other").unwrap(),
        |file| file.set_len(10).unwrap(),
    ];
    for change in changes {
        let root = directory(&[("log", &vec![b'x'; 3 << 20])]);
        let path = root.path().join("log");
        let neighbour = Once::after_a_read(|| {
            let mut file = OpenOptions::new().write(true).open(&path).unwrap();
            change(&mut file);
        });
        let options = CaptureOptions::new(Purpose::Record);
        let error = capture(&[input(root.path())], &options, None, &neighbour).unwrap_err();
        assert_eq!(error.reason(), Reason::PathChanged);
    }
}

#[test]
fn a_directory_swapped_for_a_link_after_the_walk_yields_an_error_not_other_files() {
    let secret = directory(&[("file", b"somebody else's")]);
    let root = directory(&[("sub/file", b"ours")]);
    let neighbour = Once::after_the_walk(|| {
        fs::rename(root.path().join("sub"), root.path().join("gone")).unwrap();
        symlink(secret.path(), root.path().join("sub")).unwrap();
    });
    let options = CaptureOptions::new(Purpose::Record);
    let error = capture(&[input(root.path())], &options, None, &neighbour).unwrap_err();
    assert_eq!(error.reason(), Reason::PathChanged);
}

#[test]
fn a_file_swapped_for_a_pipe_or_a_link_after_the_walk_is_an_error_and_blocks_nothing() {
    for with_link in [false, true] {
        let root = directory(&[("file", b"ours"), ("other", b"x")]);
        let path = root.path().join("file");
        let neighbour = Once::after_the_walk(|| {
            fs::remove_file(&path).unwrap();
            if with_link {
                symlink("other", &path).unwrap();
            } else {
                mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
            }
        });
        let options = CaptureOptions::new(Purpose::Record);
        let error = capture(&[input(root.path())], &options, None, &neighbour).unwrap_err();
        let expected = if with_link {
            Reason::PathChanged
        } else {
            Reason::PathSpecial
        };
        assert_eq!(error.reason(), expected);
    }
}

#[test]
fn what_stands_in_the_way_of_verifying_is_listed_as_unmeasured() {
    let root = directory(&[("a", b"x"), ("b", b"y")]);
    let recorded = manifest(&record(root.path()));
    fs::remove_file(root.path().join("b")).unwrap();
    mknodat(CWD, root.path().join("b"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::write(root.path().join("new\nline"), b"x").unwrap();
    let capture = verify(root.path(), &Recorded::new(&recorded));
    assert_eq!(names(&capture), ["a"]);
    let mut reasons: Vec<_> = capture
        .unmeasured
        .iter()
        .map(|it| (it.name.as_ref().map(ToString::to_string), it.reason.code()))
        .collect();
    reasons.sort();
    let expected = [(None, "PATH_NAME"), (Some("b".to_owned()), "PATH_SPECIAL")];
    assert_eq!(reasons, expected);
}
