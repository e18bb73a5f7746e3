//! Reading captured bytes again, for sending.

use std::{
    fs,
    io::{ErrorKind, Read},
};

use cairn_proto::hash::ContentId;

use super::{
    super::{Content, ContentSource},
    *,
};

fn read(content: &Content, offset: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    content
        .open(offset)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

#[test]
fn a_content_reads_back_from_any_offset() {
    let bytes = vec![b'x'; 100_000];
    let root = directory(&[("file", &bytes)]);
    let capture = record(root.path());
    let content = &capture.contents[0];
    assert_eq!(read(content, 0), bytes);
    assert_eq!(read(content, 99_990).len(), 10);
    assert_eq!(read(content, 100_000).len(), 0);
    assert_eq!(read(content, 200_000).len(), 0);
    assert_eq!(content.open(60_000).unwrap().left(), 40_000);
}

#[test]
fn a_file_that_changed_since_it_was_measured_is_not_opened() {
    let root = directory(&[("file", b"before")]);
    let capture = record(root.path());
    fs::write(root.path().join("file"), b"after!").unwrap();
    let error = capture.contents[0].open(0).unwrap_err();
    assert_eq!(error.reason(), Reason::PathChanged);
}

#[test]
fn a_file_that_changes_while_it_is_sent_never_yields_its_last_byte() {
    let root = directory(&[("file", &[b'x'; 1000])]);
    let capture = record(root.path());
    let mut reader = capture.contents[0].open(0).unwrap();
    let mut buffer = [0; 600];
    reader.read_exact(&mut buffer).unwrap();
    fs::write(root.path().join("file"), [b'y'; 1000]).unwrap();
    let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);

    let root = directory(&[("file", &[b'x'; 1000])]);
    let capture = record(root.path());
    let mut reader = capture.contents[0].open(0).unwrap();
    fs::write(root.path().join("file"), [b'x'; 10]).unwrap();
    let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn bytes_in_memory_are_checked_too() {
    let content = Content {
        id: ContentId::of(b"right"),
        size: 5,
        source: ContentSource::Bytes("wrong".into()),
    };
    let error = content
        .open(0)
        .unwrap()
        .read_to_end(&mut Vec::new())
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
}
