use cairn_proto::hash::DocumentId;

use super::{DocumentIndex, DocumentPlace};

fn id(number: u64) -> DocumentId {
    DocumentId::of(&number.to_be_bytes())
}

/// Goal: every document is found at its own place, through all growths of the table, and
/// nothing that was not added. Method: records of none to four documents.
#[test]
fn each_document_is_found_where_it_lies_and_no_other() {
    let mut index = DocumentIndex::default();
    assert_eq!(index.place(&id(0)), None);
    let mut next = 0;
    let mut expected = Vec::new();
    for position in 0..2_000 {
        let count = position % 5;
        for (number, ordinal) in (next..next + count).zip(0..) {
            expected.push((id(number), DocumentPlace { position, ordinal }));
        }
        index.add(position, (next..next + count).map(id));
        next += count;
    }
    assert_eq!(expected.len(), 4_000);
    for (id, place) in expected {
        assert_eq!(index.place(&id), Some(place));
    }
    assert_eq!(index.place(&id(next)), None);
}

/// Goal: the record that first brought a document keeps it.
#[test]
fn a_document_that_comes_again_keeps_its_first_place() {
    let mut index = DocumentIndex::default();
    index.add(3, [id(1), id(2)]);
    index.add(4, [id(3), id(1)]);
    let at = |position, ordinal| Some(DocumentPlace { position, ordinal });
    assert_eq!(index.place(&id(1)), at(3, 0));
    assert_eq!(index.place(&id(2)), at(3, 1));
    assert_eq!(index.place(&id(3)), at(4, 0));
}
