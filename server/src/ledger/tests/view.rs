//! Damage of the view, row by row and byte by byte.
//!
//! Goal: whatever stands in the view, the ledger opens with the state that the journal has, or
//! rebuilds the view; no answer is ever made of a lie. Method: a ledger with entries of every
//! kind is loaded from a view in which one thing is wrong, and compared as a whole with the
//! one that was replayed from the journal.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use cairn_proto::{
    hash::DocumentId,
    name::Environment,
    rules::{EnvironmentState, ReleaseMark},
};

use super::{life::Left, long, world::World};
use crate::{
    disk::fake::{FakeDisk, Plan},
    journal::Journal as _,
    ledger::replay::Replay,
    store::Store,
    view::{Shelf, View},
};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

const CHECK_BYTES: usize = 8;
/// Watermark, and what each record changed.
const KINDS: &[u8] = b"wb";

/// A finished ledger, its rows, and what it says.
pub(super) struct Case {
    pub(super) store: Store,
    rows: Rows,
    right: Said,
    documents: Vec<DocumentId>,
}

/// All that answers are made of.
#[derive(Debug, PartialEq)]
struct Said {
    tree: (u64, String),
    map: String,
    time: u64,
    position: u64,
    policies: usize,
    environments: BTreeMap<String, (EnvironmentState, Vec<ReleaseMark>)>,
}

fn shelf(rows: &Rows) -> Shelf {
    Arc::new(Mutex::new(rows.clone()))
}

/// Of an environment, what no root covers: the rules of later entries need it, no answer does.
/// A checksum covers it, so that only who forges checksums can change it.
fn without_rules(mut said: Said) -> Said {
    for (state, marks) in said.environments.values_mut() {
        state.manifest.blake3.0 = [0; 32];
        state.manifest.sha256.0 = [0; 32];
        state.releases.clear();
        for mark in marks {
            mark.artifacts = None;
        }
    }
    said
}

impl Case {
    pub(super) fn new() -> Self {
        let world = World::new();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let steps = world.steps.len();
        let lived = world.live(&runtime, &Left::nothing(), Plan::Well, steps, None);
        let disk = FakeDisk::with(lived.left.platter);
        let place = &world.place;
        let store = Store::open(&disk.shared(), &place.data, &place.options(None)).unwrap();
        let shelf = Shelf::default();
        let (replay, _) = Replay::run(&store, View::on(&shelf)).unwrap();
        let documents = (0..store.journal().tail().position)
            .flat_map(|position| store.journal().documents_of(position).unwrap())
            .map(|document| DocumentId::of(&document.bytes))
            .collect();
        let rows = shelf.lock().unwrap().clone();
        let kinds: BTreeSet<u8> = rows.keys().map(|key| key[0]).collect();
        assert_eq!(kinds, KINDS.iter().copied().collect(), "every kind of row");
        Self {
            right: said(&replay),
            store,
            rows,
            documents,
        }
    }

    /// Loads these rows: what the ledger goes on with, and whether the view was kept.
    fn load(&self, rows: &Rows) -> (Replay, bool) {
        let there = shelf(rows);
        let (replay, _) = Replay::run(&self.store, View::on(&there)).unwrap();
        let kept = *there.lock().unwrap() == *rows;
        (replay, kept)
    }

    /// Whatever is wrong with these rows, all is right afterwards.
    fn heals(&self, rows: &Rows, what: &str) {
        self.is_right(&self.load(rows).0, what);
    }

    /// Nothing is other than in the journal.
    pub(super) fn is_right(&self, replay: &Replay, what: &str) {
        let said = said(replay);
        assert!(said == self.right, "{what}: {said:?}");
        self.documents_right(replay, what, false);
    }

    /// Every document is right; or refused, if that is allowed.
    fn documents_right(&self, replay: &Replay, what: &str, refused: bool) {
        for id in &self.documents {
            let place = replay.documents.place(id);
            let read = place.map(|place| {
                let journal = self.store.journal();
                journal.document(place.position, place.ordinal, id)
            });
            match read {
                Some(Ok(document)) => assert_eq!(DocumentId::of(&document), *id, "{what}"),
                other => assert!(refused, "{what}: {other:?}"),
            }
        }
    }
}

fn said(replay: &Replay) -> Said {
    let mut map = replay.state.map().clone();
    let environments = replay.state.environments();
    let one = |(name, state): (&Environment, &EnvironmentState)| {
        (name.to_string(), (state.clone(), state.releases.clone()))
    };
    Said {
        tree: (replay.tree.size().0, format!("{:?}", replay.tree.root())),
        map: format!("{:?}", map.root()),
        time: replay.state.time(),
        position: replay.position,
        policies: replay.state.chain().unwrap().steps().count(),
        environments: environments.map(one).collect(),
    }
}

fn name(key: &[u8]) -> String {
    format!("row {} {}", char::from(key[0]), hex::encode(&key[1..]))
}

#[test]
fn rows_that_are_gone_are_noticed() {
    let case = Case::new();
    case.heals(&Rows::new(), "all rows gone");
    for kind in KINDS {
        let mut rows = case.rows.clone();
        rows.retain(|key, _| key[0] != *kind);
        case.heals(&rows, &format!("all rows {} gone", char::from(*kind)));
    }
    for key in case.rows.keys() {
        let mut rows = case.rows.clone();
        rows.remove(key);
        case.heals(&rows, &format!("{} gone", name(key)));
        let (_, kept) = case.load(&rows);
        assert!(!kept, "{} is not missed", name(key));
    }
}

#[test]
fn a_flipped_byte_of_a_row_is_noticed() {
    let case = Case::new();
    let stride = if long() { 1 } else { 13 };
    for (key, value) in &case.rows {
        for at in (0..value.len()).step_by(stride) {
            let mut rows = case.rows.clone();
            rows.get_mut(key).unwrap()[at] ^= 1 << (at % 8);
            let what = format!("{} flipped at {at}", name(key));
            case.heals(&rows, &what);
        }
        for at in 0..key.len() {
            let mut rows = case.rows.clone();
            rows.remove(key);
            let mut other = key.clone();
            other[at] ^= 1 << (at % 8);
            rows.insert(other.clone(), value.clone());
            case.heals(&rows, &format!("{} moved at {at}", name(key)));
            // The same with a checksum that fits.
            let bare = &value[..value.len() - CHECK_BYTES];
            rows.insert(other.clone(), View::seal(&other, bare));
            case.heals(&rows, &format!("{} moved at {at} and sealed", name(key)));
        }
    }
}

/// A lie that somebody took the trouble to seal: the roots find it, or no answer is made of
/// it, or it is a document's id, and then that document is not found.
#[test]
fn a_sealed_lie_is_no_answer() {
    let case = Case::new();
    let stride = if long() { 1 } else { 7 };
    let right = without_rules(said(&case.load(&case.rows).0));
    let (mut lies, mut believed) = (0, 0);
    for (key, value) in &case.rows {
        let bare = &value[..value.len() - CHECK_BYTES];
        for at in (0..bare.len()).step_by(stride) {
            for flip in [1, 0x80] {
                let mut lie = bare.to_vec();
                lie[at] ^= flip;
                let mut rows = case.rows.clone();
                rows.insert(key.clone(), View::seal(key, &lie));
                let what = format!("{} a lie at {at}", name(key));
                let (replay, kept) = case.load(&rows);
                if kept {
                    assert!(without_rules(said(&replay)) == right, "{what}");
                    case.documents_right(&replay, &what, true);
                } else {
                    case.is_right(&replay, &what);
                }
                lies += 1;
                believed += usize::from(kept);
            }
        }
    }
    println!("view: {lies} sealed lies, {believed} of them about what no answer is made of");
    assert!(believed < lies);
}

#[test]
fn foreign_rows_and_a_moved_watermark_are_noticed() {
    let case = Case::new();
    let put = |key: &[u8], value: &[u8], what: &str| {
        let mut rows = case.rows.clone();
        rows.insert(key.to_vec(), View::seal(key, value));
        case.heals(&rows, what);
    };
    let every: Vec<u8> = (0..=u8::MAX).collect();
    let kinds = if long() { &every } else { &b"wb\0z"[..] };
    for kind in kinds {
        for name in [&b""[..], b"x", &[0; 8], &[1; 32], b"prod/c"] {
            let key = [&[*kind], name].concat();
            if case.rows.contains_key(&key) {
                continue;
            }
            for value in [&b""[..], &[0; 8], &[0; 12], &[7; 32], &[1; 100]] {
                put(&key, value, &format!("a foreign row {key:?}"));
            }
        }
    }
    // Rows of one kind under the name of another row.
    let copies: Vec<_> = case.rows.iter().collect();
    for (key, value) in &copies {
        for (other, _) in &copies {
            if key[0] == other[0] && key != other {
                put(other, &value[..value.len() - CHECK_BYTES], "a copied row");
            }
        }
    }
    let watermark = &case.rows[&b"w"[..]];
    for field in 1..4 {
        for step in [1_u64, 2, u64::MAX, u64::MAX - 1, 1 << 40] {
            let mut moved = watermark[..watermark.len() - CHECK_BYTES].to_vec();
            let at = field * 8..field * 8 + 8;
            let number = u64::from_be_bytes(moved[at.clone()].try_into().unwrap());
            moved[at].copy_from_slice(&number.wrapping_add(step).to_be_bytes());
            put(
                b"w",
                &moved,
                &format!("watermark field {field} moved by {step}"),
            );
        }
    }
}
