//! A store whose contents were erased, opened where its anchor is not what it was.

use cairn_proto::{
    hash::Index,
    order::{OrderDocument, Redaction},
};

use super::*;
use crate::{content::ContentError, segment::SeriesTail};

/// Three contents, of which the second was erased by an order in the journal.
fn erased() -> (FakeDisk, [ContentId; 3]) {
    let disk = create(1);
    let store = open(&disk).unwrap();
    let ids = [b"first", b"other", b"third"].map(|text| upload(&store, &text.repeat(300)));
    store.content().promote("owner", &ids).unwrap();
    let mut order = record(&store.journal().tail(), 2, 1);
    let redaction = Redaction {
        contents: vec![ids[1]],
        reason: "by mistake".to_owned(),
    };
    order.documents[0].bytes = OrderDocument::Redaction(redaction).encode().into();
    let _ = store.commit(&order).unwrap();
    store.content().bar(&[(ids[1], Index(2))]);
    store.advance_anchor().unwrap();
    store.content().erase(&[ids[1]]).unwrap();
    assert!(disk.platter().mentions(b"otherother").is_empty());
    (disk, ids)
}

fn has_the_others(store: &Store, ids: &[ContentId; 3]) {
    for (id, text) in [(ids[0], b"first"), (ids[2], b"third")] {
        let bytes = store.content().read(&id, 0..1500).unwrap();
        assert_eq!(bytes, text.repeat(300));
    }
    store.content().bar(&[(ids[1], Index(2))]);
    let read = store.content().read(&ids[1], 0..1);
    assert!(matches!(read, Err(ContentError::Erased { .. })));
}

/// Goal: an erased content never looks like a torn end or like damage, which would take what
/// follows it along or stop a start. Method: the anchor as it is, each of its slots lost, both, and
/// no anchor, where a person accepts the head.
#[test]
fn erased_contents_are_neither_damage_nor_a_torn_end_whatever_the_anchor_says() {
    let (disk, ids) = erased();
    let image = disk.image();
    has_the_others(&open(&disk).unwrap(), &ids);
    for slot in [0, 4096] {
        let disk = FakeDisk::of(&image);
        let mut anchor = disk.get(&path("anchor"));
        anchor[slot + 20] ^= 1;
        disk.put(&path("anchor"), &anchor);
        let store = open(&disk).unwrap();
        assert!(store.recovery().cuts.is_empty());
        has_the_others(&store, &ids);
    }
    let disk = FakeDisk::of(&image);
    disk.shared().remove(&path("anchor")).unwrap();
    let Err(OpenError::AnchorMissing { held, .. }) = open(&disk) else {
        panic!("it opened without an anchor");
    };
    let options = StoreOptions {
        accept_head: Some((held.size, held.root)),
        ..options()
    };
    let store = Store::open(&disk.shared(), Path::new(DIRECTORY), &options).unwrap();
    has_the_others(&store, &ids);
    assert_ne!(store.anchored().packs, SeriesTail::START);
}

/// Goal: what the mark says is believed only as far as it can be understood, and losing it loses
/// nothing. Method: one that was written, and others that nobody wrote.
#[test]
fn a_mark_of_what_was_erased_is_read_as_it_was_written_or_not_at_all() {
    let disk = create(1);
    let store = open(&disk).unwrap();
    assert_eq!(store.erased().read().unwrap(), None);
    for number in [1, 2] {
        let leaf = cairn_proto::hash::LeafHash([9; 32]);
        let carried = Carried { number, leaf };
        store.erased().write(carried).unwrap();
        drop(disk.platter());
        assert_eq!(store.erased().read().unwrap(), Some(carried));
    }
    let text = String::from_utf8(disk.get(&path("erased"))).unwrap();
    let spoilt = [
        String::new(),
        text.trim().to_owned(),
        text.replace("cairn-erased 1", "cairn-erased 2"),
        text.replace(" 2 ", " two "),
        text.replace('\n', " more\n"),
        text.repeat(9),
    ];
    for wrong in spoilt {
        disk.put(&path("erased"), wrong.as_bytes());
        assert_eq!(store.erased().read().unwrap(), None, "{wrong:?}");
    }
}
