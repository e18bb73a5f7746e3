//! Lies about the head: its root, its size, its age, who signed it, and other histories
//! under the ledger's own keys.

use bytes::Bytes;
use cairn_grpc::hash_list;
use cairn_proto::{
    checkpoint::Checkpoint,
    hash::{RootHash, TreeSize},
    note::{cosign_line, sign_line},
};

use super::{
    act::Act,
    base::STALENESS,
    case::{Lie, lie},
    forged::{next, other_ledger},
    stage::Stage,
    world::World,
};
use crate::support::{DEV, STRANGER, key, prove::now, server_keys};

/// The head with another root, by the ledger's own keys.
fn with_root(world: &World, size: u64, root: RootHash) -> Bytes {
    let claim = Checkpoint {
        size: TreeSize(size),
        root,
        ..world.checkpoint()
    };
    let keys = server_keys();
    let note = claim.sign(&*keys.log, &*keys.clock, now());
    note.unwrap().into()
}

/// The head, signed anew: what is said of it, and the lines below.
fn note(stage: &mut Stage, sign: impl Fn(&str) -> (String, Vec<String>)) {
    let (text, lines) = sign(&stage.world.checkpoint().text());
    let note = Bytes::from(format!("{text}\n{}", lines.concat()));
    stage.lookup(move |it| it.checkpoint.clone_from(&note));
}

fn log_line(text: &str) -> String {
    let name = text.lines().next().unwrap();
    sign_line(name, text, &*server_keys().log).unwrap()
}

fn clock_line(text: &str, seed: u8) -> String {
    let name = format!("{}/clock", text.lines().next().unwrap());
    cosign_line(&name, text, now(), &key(seed)).unwrap()
}

const CLOCK: u8 = 101;

fn roots() -> Vec<Lie> {
    let junk = RootHash([7; 32]);
    vec![
        lie("wrong root at the size that was seen", move |stage| {
            let note = with_root(&stage.world, 20, junk);
            stage.lookup(move |it| it.checkpoint.clone_from(&note));
        })
        .gives("TAMPERED", "FORKED"),
        lie("wrong root, to a newcomer", move |stage| {
            let note = with_root(&stage.world, 20, junk);
            stage.lookup(move |it| it.checkpoint.clone_from(&note));
        })
        .newcomer()
        .gives("FAILED", "INCLUSION_UNPROVEN"),
        lie("wrong root at a larger size", move |stage| {
            let note = with_root(&stage.world, 22, junk);
            stage.lookup(move |it| it.checkpoint.clone_from(&note));
        })
        .gives("FAILED", "CONSISTENCY_UNPROVEN"),
    ]
}

fn signatures() -> Vec<Lie> {
    vec![
        lie("checkpoint signed by a stranger", |stage| {
            note(stage, |text| {
                let name = text.lines().next().unwrap();
                let line = sign_line(name, text, &key(STRANGER)).unwrap();
                (text.to_owned(), vec![line, clock_line(text, CLOCK)])
            });
        })
        .gives("UNTRUSTED", "NOTE_SIGNATURE"),
        lie("checkpoint with the signature of another", |stage| {
            note(stage, |text| {
                let other = text.replacen("\n20\n", "\n18\n", 1);
                (
                    text.to_owned(),
                    vec![log_line(&other), clock_line(text, CLOCK)],
                )
            });
        })
        .gives("UNTRUSTED", "NOTE_SIGNATURE"),
        lie("checkpoint with an extension line", |stage| {
            note(stage, |text| {
                let text = format!("{text}more\n");
                let lines = vec![log_line(&text), clock_line(&text, CLOCK)];
                (text, lines)
            });
        })
        .gives("FAILED", "CHECKPOINT_SYNTAX"),
        lie("checkpoint of another origin", |stage| {
            note(stage, |text| {
                let (_, rest) = text.split_once('\n').unwrap();
                let text = format!("other.example/ledger\n{rest}");
                let lines = vec![log_line(&text), clock_line(&text, CLOCK)];
                (text, lines)
            });
        })
        .gives("FAILED", "WRONG_ORIGIN"),
        lie("checkpoint too long for a note", |stage| {
            let mut note = stage.world.note().to_vec();
            note.extend_from_slice("\u{2014} x AAAA\n".repeat(2_000).as_bytes());
            stage.lookup(move |it| it.checkpoint = note.clone().into());
        })
        .gives("FAILED", "NOTE_SYNTAX"),
    ]
}

fn clocks() -> Vec<Lie> {
    vec![
        lie("clock cosignature missing", |stage| {
            note(stage, |text| (text.to_owned(), vec![log_line(text)]));
        })
        .gives("STALE", "STALE"),
        lie("clock cosignature by another key", |stage| {
            note(stage, |text| {
                let lines = vec![log_line(text), clock_line(text, STRANGER)];
                (text.to_owned(), lines)
            });
        })
        .gives("STALE", "STALE"),
        lie("clock cosignature of another checkpoint", |stage| {
            note(stage, |text| {
                let other = text.replacen("\n20\n", "\n18\n", 1);
                (
                    text.to_owned(),
                    vec![log_line(text), clock_line(&other, CLOCK)],
                )
            });
        })
        .gives("UNTRUSTED", "NOTE_SIGNATURE"),
        lie("clock cosignature from the future", |stage| {
            let note = stage.world.note_at(now() + 3_600);
            stage.lookup(move |it| it.checkpoint.clone_from(&note));
        })
        .gives("FAILED", "NOTE_FROM_THE_FUTURE"),
    ]
}

fn older() -> Vec<Lie> {
    vec![
        lie("replayed head, older than the policy allows", |stage| {
            stage.world.age = STALENESS + 60;
        })
        .gives("STALE", "STALE"),
        lie("stale checkpoint: an answer from before", |stage| {
            stage.world = stage.world.at(18);
            stage.world.age = 600;
        })
        .gives("STALE", "ROLLED_BACK"),
        lie("rolled-back checkpoint, signed anew and proven", |stage| {
            let proof = hash_list(&stage.world.consistency(18, 20));
            stage.world = stage.world.at(18);
            stage.lookup(move |it| it.consistency.clone_from(&proof));
        })
        .gives("STALE", "ROLLED_BACK"),
        lie("rolled back behind the release that was seen", |stage| {
            let proof = hash_list(&stage.world.consistency(8, 20));
            stage.world = stage.world.at(8);
            stage.lookup(move |it| it.consistency.clone_from(&proof));
        })
        .files(&[
            ("web.yaml", super::base::WEB[0]),
            ("conf/api.yaml", b"port: 80\n"),
        ])
        .honest("SUPERSEDED")
        .gives("STALE", "ROLLED_BACK"),
        lie("rolled-back head of a status", |stage| {
            stage.world = stage.world.at(18);
        })
        .act(Act::Status)
        .gives("STALE", "ROLLED_BACK"),
    ]
}

/// The same ledger to size 10, then another history of so many releases.
pub(super) fn forked(world: &World, releases: usize) -> World {
    let mut other = world.at(10);
    for _ in 0..releases {
        let sent = next(&other, "qb").sign(&[DEV]);
        other.enter(&sent.envelope, &sent.document);
        other.seal();
    }
    other
}

fn without_tiles(stage: &mut Stage) {
    stage.file(|(path, bytes)| {
        if path.starts_with("tile/") {
            *bytes = None;
        }
    });
}

/// Another release than the true one, honestly entered.
fn grown(stage: &mut Stage) {
    let sent = next(&stage.world, "qa").sign(&[DEV]);
    stage.world.enter(&sent.envelope, &sent.document);
    stage.world.seal();
}

fn histories() -> Vec<Lie> {
    vec![
        lie("fork at a larger size", |stage| {
            stage.world = forked(&stage.world, 8);
        })
        .gives("TAMPERED", "FORKED"),
        lie("fork at the size that was seen", |stage| {
            stage.world = forked(&stage.world, 5);
        })
        .gives("TAMPERED", "FORKED"),
        lie("fork at a smaller size, beside the true tiles", |stage| {
            let truth = stage.world.clone();
            stage.world = forked(&stage.world, 4);
            stage.file(move |(path, bytes)| *bytes = truth.file(path));
        })
        .gives("TAMPERED", "FORKED"),
        lie("fork at a smaller size, without tiles", |stage| {
            stage.world = forked(&stage.world, 4);
            without_tiles(stage);
        })
        .gives("STALE", "ROLLED_BACK"),
        lie("fork without tiles", |stage| {
            stage.world = forked(&stage.world, 8);
            without_tiles(stage);
        })
        .gives("FAILED", "CONSISTENCY_UNPROVEN"),
        lie("fork in a consistency proof's place", |stage| {
            stage.world = forked(&stage.world, 8);
        })
        .act(Act::Status)
        .gives("TAMPERED", "FORKED"),
        lie("other ledger with the same origin and keys", |stage| {
            stage.world = other_ledger(&stage.world, 12);
        })
        .gives("TAMPERED", "FORKED"),
        lie(
            "other ledger with the same origin, to a newcomer",
            |stage| {
                stage.world = other_ledger(&stage.world, 12);
            },
        )
        .newcomer()
        .gives("FAILED", "WRONG_GENESIS"),
        lie("other ledger with the same origin, audited", |stage| {
            stage.world = other_ledger(&stage.world, 12);
        })
        .act(Act::Audit)
        .newcomer()
        .gives("FAILED", "WRONG_GENESIS"),
    ]
}

/// A head that is true, and no proof that it is.
fn links() -> Vec<Lie> {
    vec![
        lie("consistency proof missing, and the tiles", |stage| {
            grown(stage);
            without_tiles(stage);
            stage.lookup(|it| it.consistency.clear());
        })
        .gives("FAILED", "CONSISTENCY_UNPROVEN"),
        lie(
            "consistency proof of another history, without tiles",
            |stage| {
                grown(stage);
                without_tiles(stage);
                let other = hash_list(&forked(&stage.world, 6).consistency(20, 22));
                stage.consistency(move |it| it.hashes.clone_from(&other));
            },
        )
        .act(Act::Status)
        .gives("FAILED", "CONSISTENCY_UNPROVEN"),
        lie(
            "consistency proof of other sizes, tiles that lie",
            |stage| {
                grown(stage);
                let other = hash_list(&stage.world.consistency(18, 22));
                stage.file(|(path, bytes)| {
                    if path.starts_with("tile/0/") {
                        *bytes = bytes.take().map(|bytes| super::reads::flipped(&bytes, 40));
                    }
                });
                stage.lookup(move |it| it.consistency.clone_from(&other));
            },
        )
        .gives("FAILED", "CONSISTENCY_UNPROVEN"),
    ]
}

pub(super) fn lies() -> Vec<Lie> {
    let mut all = roots();
    all.extend(signatures());
    all.extend(clocks());
    all.extend(older());
    all.extend(histories());
    all.extend(links());
    all
}
