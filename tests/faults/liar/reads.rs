//! Lies of everything else that is read: contents, entries, lists, digests, tiles and
//! documents; and answers that are too long, too short, or never come.

use bytes::Bytes;
use cairn_grpc::v1;
use cairn_proto::{
    hash::{Index, Sha256},
    reason::Reason,
    row::RowName,
};

use super::{
    act::Act,
    base::WEB,
    case::{Lie, lie},
    forged::other_ledger,
    stage::Delivery,
};

const UNPROVEN: &str = "INCLUSION_UNPROVEN";
/// Milliseconds that the client waits where the answer never comes.
const SOON: u64 = 250;

/// One bit of one byte changed.
pub(super) fn flipped(bytes: &[u8], at: usize) -> Bytes {
    let mut changed = bytes.to_vec();
    let at = at % changed.len();
    changed[at] ^= 1;
    changed.into()
}

fn contents() -> Vec<Lie> {
    let restored = |name, change: fn(&mut Vec<u8>)| {
        lie(name, move |stage| stage.content(change)).act(Act::Restore)
    };
    let delivered = |name, delivery| {
        lie(name, move |stage| {
            stage.lies.delivery = Some(("GetContent", delivery));
        })
        .act(Act::Restore)
    };
    vec![
        restored("wrong content", |bytes| *bytes = WEB[0].to_vec())
            .gives("TAMPERED", "CONTENT_MISMATCH"),
        restored("wrong range of the content", |bytes| bytes.rotate_left(1))
            .gives("TAMPERED", "CONTENT_MISMATCH"),
        restored("range that ends early", |bytes| bytes.truncate(5)).gives("FAILED", UNPROVEN),
        restored("more than the content", |bytes| bytes.push(b'\n'))
            .gives("TAMPERED", "CONTENT_MISMATCH"),
        delivered("stream cut in good order", Delivery::Short).gives("FAILED", UNPROVEN),
        delivered("truncated stream", Delivery::Broken).gives("UNREACHABLE", "UNREACHABLE"),
        delivered("endless stream", Delivery::Endless).gives("FAILED", "INVALID_REQUEST"),
        delivered("endless stream of nothing", Delivery::EndlessNothing)
            .patience(SOON)
            .gives("UNREACHABLE", "UNREACHABLE"),
    ]
}

fn entries() -> Vec<Lie> {
    let shown = |name, change: fn(&mut v1::GetEntryResponse)| {
        lie(name, move |stage| stage.entry(change)).act(Act::Show("staging#1"))
    };
    let listed = |name, act, change: fn(&mut v1::ListEntriesResponse)| {
        lie(name, move |stage| stage.page(change)).act(act)
    };
    vec![
        shown("entry of altered bytes", |it| {
            it.entry = flipped(&it.entry, 30);
        })
        .gives("FAILED", UNPROVEN),
        shown("entry's document of altered bytes", |it| {
            it.document = flipped(&it.document, 30);
        })
        .gives("TAMPERED", "DOCUMENT_MISMATCH"),
        shown("entry without its document", |it| {
            it.document = Bytes::new();
        })
        .gives("FAILED", "DOCUMENT_MISSING"),
        listed("listed entry of altered bytes", Act::Log("staging"), |it| {
            it.entries[1].entry = flipped(&it.entries[1].entry, 30);
        })
        .gives("FAILED", UNPROVEN),
        listed("listed entry at another index", Act::Log(""), |it| {
            it.entries[0].index -= 1;
            it.entries.remove(1);
        })
        .gives("FAILED", UNPROVEN),
        listed(
            "history with a release left out",
            Act::Log("staging"),
            |it| {
                it.entries.pop();
            },
        )
        .gives("FAILED", UNPROVEN),
        listed("log with an entry left out", Act::Log(""), |it| {
            it.entries.remove(4);
        })
        .gives("FAILED", UNPROVEN),
        listed("log without its newest entries", Act::Log(""), |it| {
            it.entries.drain(..2);
        })
        .gives("FAILED", UNPROVEN),
        listed("log without its beginning", Act::Log(""), |it| {
            it.entries.truncate(7);
        })
        .gives("FAILED", UNPROVEN),
        listed("pages without end", Act::Log("staging"), |it| {
            "1".clone_into(&mut it.next_page_token);
            it.entries.pop();
        })
        .gives("FAILED", UNPROVEN),
    ]
}

fn digests() -> Vec<Lie> {
    let of = |name, bytes: &'static [u8]| {
        lie(name, move |stage| {
            let sha256 = Sha256::of(bytes);
            let other = stage.world.proof(&RowName::Digest(&sha256));
            stage.digest(move |it| it.digest = Some(other.clone()));
        })
        .act(Act::Find)
    };
    vec![
        of("released digest called never released", b"never").gives("FAILED", "MAP_PROOF"),
        of("row of another digest", b"port: 80\n").gives("FAILED", "MAP_PROOF"),
        lie("digest found in an entry that is another", |stage| {
            let other = stage.world.leaf(Index(10));
            stage.entry(move |it| it.entry.clone_from(&other));
        })
        .act(Act::Find)
        .gives("FAILED", UNPROVEN),
    ]
}

fn met() -> Vec<Lie> {
    vec![
        lie("genesis swapped at the first meeting", |stage| {
            let other = other_ledger(&stage.world, 0);
            let (entry, document) = (other.leaf(Index(0)), other.document(Index(0)));
            stage.entry(move |it| {
                it.entry.clone_from(&entry);
                it.document.clone_from(&document);
            });
        })
        .act(Act::Meet)
        .gives("FAILED", "WRONG_GENESIS"),
        lie(
            "other keys than those of genesis at the first meeting",
            |stage| {
                stage.ledger(|it| std::mem::swap(&mut it.log_key, &mut it.clock_key));
            },
        )
        .act(Act::Meet)
        .gives("FAILED", "WRONG_GENESIS"),
    ]
}

/// Files of the read API.
fn files() -> Vec<Lie> {
    let served = |name, begins: &'static str, change: fn(Bytes) -> Option<Bytes>| {
        lie(name, move |stage| {
            stage.file(move |(path, bytes)| {
                if path.starts_with(begins) {
                    *bytes = bytes.take().and_then(change);
                }
            });
        })
        .act(Act::Audit)
    };
    let altered = |bytes: Bytes| Some(flipped(&bytes, 77));
    vec![
        served("tile that does not hash to the root", "tile/0/", altered)
            .gives("TAMPERED", UNPROVEN),
        served(
            "bundle that does not hash to the root",
            "tile/entries/",
            altered,
        )
        .newcomer()
        .gives("FAILED", "WRONG_GENESIS"),
        served(
            "bundle with its last bytes altered",
            "tile/entries/",
            |bytes| Some(flipped(&bytes, bytes.len() - 2)),
        )
        .gives("TAMPERED", UNPROVEN),
        served("bundle that is cut", "tile/entries/", |bytes| {
            Some(bytes.slice(..bytes.len() - 1))
        })
        .gives("FAILED", UNPROVEN),
        served("no bundle", "tile/entries/", |_| None).gives("FAILED", UNPROVEN),
        served("bundle's document of altered bytes", "documents/", altered)
            .gives("TAMPERED", "DOCUMENT_MISMATCH"),
        served("no documents at all", "document", |_| None).gives("FAILED", "DOCUMENT_MISSING"),
        lie("a document of the log missing", |stage| {
            let gone = stage.world.document(Index(2));
            stage
                .world
                .documents
                .retain(|_, document| *document != gone);
        })
        .act(Act::Audit)
        .gives("FAILED", "DOCUMENT_MISSING"),
        lie("a release's document exchanged for another's", |stage| {
            let (gone, other) = (
                stage.world.document(Index(2)),
                stage.world.document(Index(8)),
            );
            for document in stage.world.documents.values_mut() {
                if *document == gone {
                    document.clone_from(&other);
                }
            }
        })
        .act(Act::Audit)
        .gives("TAMPERED", "DOCUMENT_MISMATCH"),
        served("document of altered bytes", "document/", altered)
            .act(Act::Document)
            .gives("FAILED", UNPROVEN),
        served("no document", "document/", |_| None)
            .act(Act::Document)
            .gives("FAILED", "NOT_FOUND"),
    ]
}

/// How much is answered, and when.
fn deliveries() -> Vec<Lie> {
    let delivered = |name, call, delivery| {
        lie(name, move |stage| {
            stage.lies.delivery = Some((call, delivery));
        })
    };
    vec![
        delivered("answer that never comes", "Lookup", Delivery::Never)
            .patience(SOON)
            .gives("UNREACHABLE", "UNREACHABLE"),
        delivered("answer that breaks off", "Lookup", Delivery::Broken)
            .gives("UNREACHABLE", "UNREACHABLE"),
        delivered("oversized answer", "Lookup", Delivery::Claims(65 << 20))
            .gives("FAILED", "INVALID_REQUEST"),
        delivered(
            "answer shorter than it says",
            "Lookup",
            Delivery::Claims(1 << 20),
        )
        .patience(SOON)
        .gives("UNREACHABLE", "UNREACHABLE"),
        delivered("checkpoint that never comes", "checkpoint", Delivery::Never)
            .act(Act::Audit)
            .patience(SOON)
            .gives("UNREACHABLE", "UNREACHABLE"),
        delivered("endless bundle", "tile/entries/", Delivery::Endless)
            .act(Act::Audit)
            .gives("FAILED", "INVALID_REQUEST"),
        delivered("bundle that breaks off", "tile/entries/", Delivery::Broken)
            .act(Act::Audit)
            .gives("UNREACHABLE", "UNREACHABLE"),
        lie("answer that is no message", |stage| {
            stage.encoded(|(call, bytes)| {
                if call == "Lookup" {
                    *bytes = vec![0xff; 200];
                }
            });
        })
        .gives("FAILED", "INTERNAL"),
        lie("present environment refused as not found", |stage| {
            stage.lies.refuses = Some(("Lookup", Reason::NotFound));
        })
        .gives("FAILED", "NOT_FOUND"),
    ]
}

pub(super) fn lies() -> Vec<Lie> {
    let mut all = contents();
    all.extend(entries());
    all.extend(digests());
    all.extend(met());
    all.extend(files());
    all.extend(deliveries());
    all
}
