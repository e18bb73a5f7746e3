//! Held state against crashes, damage, other processes and other histories.

use std::{fs, thread};

use cairn_proto::{
    checkpoint::{AdvanceError, TrustedCheckpoint},
    hash::{Sequence, TreeSize},
    merkle::prove_consistency,
    name::Environment,
    reason::Reason,
};

use super::{Held, HeldStore, HoldError, Kept, Seen};
use crate::{
    home::Home,
    test::{Log, manifest},
};

const TIME: u64 = 1_800_000_000;

struct Case {
    log: Log,
    home: Home,
    _directory: tempfile::TempDir,
}

impl Case {
    /// A log of 10 leaves, and an empty home.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            log: grown(1),
            home: Home::at(directory.path()),
            _directory: directory,
        }
    }

    fn store(&self) -> HeldStore {
        HeldStore::new(&self.home, &self.log.trust())
    }

    /// Keeps a size as a client would: linked to what was held before.
    fn keep(&self, size: u64, sequence: u64) -> Held {
        let store = self.store();
        let held = store.load().unwrap();
        let checkpoint = self.linked(held.as_ref(), size);
        let environment = environment();
        let seen = Seen {
            base: held.as_ref().map(Held::checkpoint),
            floor: None,
            checkpoint: &checkpoint,
            environment: Some((&environment, Sequence(sequence))),
            policy_version: 1,
            now: TIME,
        };
        match store.keep(&seen).unwrap() {
            Kept::Now(held) => *held,
            Kept::Moved(_) => panic!("nobody else is here"),
        }
    }

    fn linked(&self, held: Option<&Held>, size: u64) -> TrustedCheckpoint {
        let offered = self.log.checkpoint_at(size, TIME);
        let Some(held) = held else {
            return offered.trust_first();
        };
        let own = held.checkpoint().head().size().0;
        let (small, large) = (TreeSize(own.min(size)), TreeSize(own.max(size)));
        let proof = if small == large {
            Vec::new()
        } else {
            prove_consistency(&self.log.tree, small, large).unwrap()
        };
        held.checkpoint().advance(offered, &proof).unwrap()
    }
}

fn grown(seed: u8) -> Log {
    let mut log = Log::new(seed);
    for number in 0..4 {
        let text = format!("replicas: {number}");
        log.release("prod/shop", &manifest(&[("web.yaml", &text)]));
    }
    log
}

fn environment() -> Environment {
    "prod/shop".parse().unwrap()
}

fn held_size(held: &Held) -> u64 {
    held.checkpoint().head().size().0
}

/// Goal: nothing that was seen is forgotten. Method: a larger head, then a smaller one.
#[test]
fn what_is_held_only_grows() {
    let case = Case::new();
    assert!(case.store().load().unwrap().is_none());
    case.keep(8, 3);
    let back = case.keep(4, 1);
    assert_eq!(held_size(&back), 8);
    assert_eq!(back.sequence(&environment()), Some(Sequence(3)));
    let forth = case.keep(10, 4);
    assert_eq!(held_size(&forth), 10);
    let read = case.store().load().unwrap().unwrap();
    assert_eq!(held_size(&read), 10);
    assert_eq!(read.sequence(&environment()), Some(Sequence(4)));
    assert_eq!((read.policy_version(), read.seen()), (1, TIME));
}

/// Goal: damage is an error, never a fresh start. Method: each byte of the file flipped,
/// and every length cut.
#[test]
fn a_damaged_file_is_never_taken_for_no_file() {
    let case = Case::new();
    case.keep(8, 3);
    let path = case.home.held_file(case.log.trust().genesis());
    let whole = fs::read(&path).unwrap();
    let damaged = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        let error = case.store().load().unwrap_err();
        assert_eq!(error.reason(), Reason::StateDamaged);
    };
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        damaged(&bytes);
    }
    for length in 0..whole.len() {
        damaged(&whole[..length]);
    }
    let seen = Seen {
        base: None,
        floor: None,
        checkpoint: &case.linked(None, 4),
        environment: None,
        policy_version: 1,
        now: TIME,
    };
    fs::write(&path, &whole[1..]).unwrap();
    assert!(matches!(case.store().keep(&seen), Err(HoldError::Home(_))));
    assert_eq!(fs::read(&path).unwrap(), &whole[1..]);
}

/// Goal: a note that another key signed is not held state. Method: the file of another
/// ledger under this one's name.
#[test]
fn the_saved_note_is_authenticated_on_every_load() {
    let (case, other) = (Case::new(), Case::new());
    case.keep(8, 3);
    let store = HeldStore::new(&case.home, &Log::new(2).trust());
    let from = case.home.held_file(case.log.trust().genesis());
    let to = case.home.held_file(Log::new(2).trust().genesis());
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::copy(from, to).unwrap();
    assert_eq!(store.load().unwrap_err().reason(), Reason::StateDamaged);
    assert!(other.store().load().unwrap().is_none());
}

/// Goal: a crash between writing and renaming loses nothing. Method: the temporary file of
/// a writer that died lies beside the file.
#[test]
fn a_half_written_file_beside_it_changes_nothing() {
    let case = Case::new();
    case.keep(8, 3);
    let path = case.home.held_file(case.log.trust().genesis());
    fs::write(path.with_file_name(".new-abc"), b"{\"blake3\":").unwrap();
    assert_eq!(held_size(&case.store().load().unwrap().unwrap()), 8);
    assert_eq!(held_size(&case.keep(10, 4)), 10);
}

/// Goal: two heads that different processes saw are linked before the larger stays.
/// Method: both start from the same held head.
#[test]
fn a_head_that_another_process_moved_must_be_linked_first() {
    let case = Case::new();
    case.keep(4, 1);
    let store = case.store();
    let before = store.load().unwrap().unwrap();
    let ours = case.linked(Some(&before), 8);
    case.keep(10, 4);
    let seen = Seen {
        base: Some(before.checkpoint()),
        floor: None,
        checkpoint: &ours,
        environment: None,
        policy_version: 1,
        now: TIME,
    };
    let Kept::Moved(moved) = store.keep(&seen).unwrap() else {
        panic!("it was moved");
    };
    assert_eq!(held_size(&moved), 10);
    let again = case.linked(Some(&moved), 8);
    let seen = Seen {
        base: Some(moved.checkpoint()),
        floor: None,
        checkpoint: &again,
        ..seen
    };
    let Kept::Now(held) = store.keep(&seen).unwrap() else {
        panic!("it is linked");
    };
    assert_eq!(held_size(&held), 10);
}

/// Goal: two histories of one size are a fork whoever saw them first. Method: a second log
/// under the same keys.
#[test]
fn another_root_at_the_held_size_is_a_fork() {
    let case = Case::new();
    case.keep(10, 4);
    let mut other = Log::new(1);
    for _ in 0..4 {
        other.release("prod/other", &manifest(&[("web.yaml", "x")]));
    }
    let forged = other.checkpoint_at(10, TIME).trust_first();
    let seen = Seen {
        base: None,
        floor: None,
        checkpoint: &forged,
        environment: None,
        policy_version: 1,
        now: TIME,
    };
    let error = case.store().keep(&seen).unwrap_err();
    assert!(matches!(error, HoldError::Advance(AdvanceError::Forked(_))));
    assert_eq!(held_size(&case.store().load().unwrap().unwrap()), 10);
}

/// Goal: concurrent writers lose nothing. Method: threads with stores of their own keep
/// different environments at once.
#[test]
fn concurrent_writers_all_leave_their_mark() {
    let case = Case::new();
    case.keep(10, 1);
    thread::scope(|scope| {
        for number in 1..=8_u64 {
            let case = &case;
            scope.spawn(move || {
                let environment: Environment = format!("prod/env-{number}").parse().unwrap();
                for sequence in 1..=10 {
                    let checkpoint = case.log.checkpoint_at(10, TIME + sequence).trust_first();
                    let seen = Seen {
                        base: None,
                        floor: None,
                        checkpoint: &checkpoint,
                        environment: Some((&environment, Sequence(sequence))),
                        policy_version: sequence,
                        now: TIME + sequence,
                    };
                    assert!(matches!(case.store().keep(&seen), Ok(Kept::Now(_))));
                }
            });
        }
    });
    let held = case.store().load().unwrap().unwrap();
    for number in 1..=8_u64 {
        let environment: Environment = format!("prod/env-{number}").parse().unwrap();
        assert_eq!(held.sequence(&environment), Some(Sequence(10)));
    }
    assert_eq!(held.checkpoint().head().time(), Some(TIME + 10));
    assert_eq!(held.policy_version(), 10);
}
