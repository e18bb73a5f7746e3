//! What a witness must never do, whatever its disk does.
#![allow(clippy::unwrap_used)]

use std::{path::Path, sync::Arc};

use cairn_proto::{
    checkpoint::Checkpoint,
    hash::{LeafHash, TreeSize},
    key::{SecretKey, Signer as _},
    merkle::{Tree, prove_consistency, root_at},
    note::{Note, SignatureType, VerifierKey, sign_line},
    witness::{Refused, Submission, WitnessedLog},
};

use super::{NotCosigned, Witness, WitnessError};
use crate::disk::fake::{FakeDisk, Unsynced};

const DIRECTORY: &str = "/witness";
const ORIGIN: &str = "log.example/one";
const NAME: &str = "witness.example/w";

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32]).unwrap()
}

/// A log, and any number of others with the same key and another history.
struct Log(Tree);

impl Log {
    fn new(history: u8) -> Self {
        let mut tree = Tree::default();
        for number in 0..32_u8 {
            // They part after the second leaf.
            let last = if number < 2 { 0 } else { history };
            tree.push(LeafHash::of(&[number, last]));
        }
        Self(tree)
    }

    fn known() -> WitnessedLog {
        let key = VerifierKey::new(ORIGIN, SignatureType::Ed25519, key(1).public_key());
        WitnessedLog {
            origin: ORIGIN.to_owned(),
            keys: vec![key.unwrap()],
        }
    }

    /// A submission of a size, from an old one.
    fn submit(&self, old: u64, size: u64) -> Vec<u8> {
        let checkpoint = Checkpoint {
            origin: ORIGIN.parse().unwrap(),
            size: TreeSize(size),
            root: root_at(&self.0, TreeSize(size)).unwrap(),
        };
        let text = checkpoint.text();
        let line = sign_line(ORIGIN, &text, &key(1)).unwrap();
        let proof = match old {
            0 => None,
            _ if old < size => prove_consistency(&self.0, TreeSize(old), TreeSize(size)),
            _ => None,
        };
        let submission = Submission {
            old: TreeSize(old),
            proof: proof.unwrap_or_default(),
            note: format!("{text}\n{line}").into_bytes(),
        };
        submission.encode()
    }
}

fn witness(disk: &FakeDisk, new: bool) -> Result<Witness, WitnessError> {
    let key = Arc::new(key(2));
    let logs = vec![Log::known()];
    Witness::on(disk.shared(), Path::new(DIRECTORY), new, NAME, key, logs)
}

fn refused(answer: Result<String, NotCosigned>) -> Refused {
    match answer {
        Err(NotCosigned::Refused(refused)) => refused,
        other => panic!("{other:?}"),
    }
}

/// Goal: what is cosigned verifies, and what was cosigned is never gone back on, also by
/// whoever opens the directory next.
#[test]
fn a_witness_goes_on_from_where_it_was() {
    let disk = FakeDisk::new();
    let (log, other) = (Log::new(1), Log::new(2));
    let first = witness(&disk, true).unwrap();
    let line = first.add_checkpoint(&log.submit(0, 8)).unwrap();
    let body = log.submit(0, 8);
    let note = Submission::decode(&body).unwrap().note;
    let note = [note, line.into_bytes()].concat();
    let vkey = first.verifier_key().unwrap();
    assert!(
        Note::parse(&note)
            .unwrap()
            .signature_by(&vkey)
            .unwrap()
            .is_some()
    );
    drop(first);
    disk.crash(Unsynced::Lost);
    let again = witness(&disk, false).unwrap();
    let conflict = Refused::Conflict {
        latest: TreeSize(8),
    };
    assert_eq!(refused(again.add_checkpoint(&log.submit(0, 9))), conflict);
    assert_eq!(refused(again.add_checkpoint(&other.submit(8, 8))), conflict);
    let fork = other.submit(8, 9);
    assert_eq!(refused(again.add_checkpoint(&fork)), Refused::Unproven);
    again.add_checkpoint(&log.submit(8, 8)).unwrap();
    again.add_checkpoint(&log.submit(8, 20)).unwrap();
}

/// Goal: nothing is ever taken for a fresh start.
#[test]
fn a_lost_or_damaged_state_is_no_new_witness() {
    let disk = FakeDisk::new();
    assert!(matches!(
        witness(&disk, false),
        Err(WitnessError::Absent { .. })
    ));
    drop(witness(&disk, true).unwrap());
    assert!(matches!(
        witness(&disk, true),
        Err(WitnessError::Exists { .. })
    ));
    let running = witness(&disk, false).unwrap();
    assert!(matches!(
        witness(&disk, false),
        Err(WitnessError::Locked { .. })
    ));
    running.add_checkpoint(&Log::new(1).submit(0, 8)).unwrap();
    drop(running);
    let file = Path::new(DIRECTORY).join("heads.json");
    let good = disk.get(&file);
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        disk.put(&file, &bytes);
        let opened = witness(&disk, false);
        assert!(matches!(opened, Err(WitnessError::Damaged { .. })), "{at}");
        disk.put(&file, &good[..at]);
        let opened = witness(&disk, false);
        assert!(matches!(opened, Err(WitnessError::Damaged { .. })), "{at}");
    }
}

/// Goal: a line that left the witness binds it for ever. Method: the disk fails at every change,
/// twice in a row, in every way; whatever was cosigned before, a fork of it is refused after.
#[test]
fn no_crash_has_a_witness_cosign_two_histories() {
    let ends = [
        Unsynced::Lost,
        Unsynced::Shown,
        Unsynced::Kept,
        Unsynced::Torn(1),
        Unsynced::Torn(2),
    ];
    let (log, other) = (Log::new(1), Log::new(2));
    let mut points = 0;
    for (first, second) in ends
        .iter()
        .flat_map(|one| ends.iter().map(move |two| (one, two)))
    {
        for changes in (0..12).flat_map(|one| (0..8).map(move |two| [one, two])) {
            let disk = FakeDisk::new();
            drop(witness(&disk, true).unwrap());
            let mut told = 0;
            for (end, changes) in [first, second].into_iter().zip(changes) {
                let running = witness(&disk, false).unwrap();
                disk.fail_after(changes);
                for size in 3..8 {
                    // From whatever it says that it has, as a log would.
                    let mut answer = running.add_checkpoint(&log.submit(told, size));
                    if let Err(NotCosigned::Refused(Refused::Conflict { latest })) = answer {
                        if latest.0 > size {
                            continue;
                        }
                        answer = running.add_checkpoint(&log.submit(latest.0, size));
                    }
                    match answer {
                        Ok(_) => told = told.max(size),
                        Err(NotCosigned::State(_)) => {
                            let then = running.add_checkpoint(&log.submit(told, size));
                            assert!(matches!(
                                then,
                                Err(NotCosigned::State(WitnessError::Broken))
                            ));
                        }
                        Err(other) => panic!("{other:?}"),
                    }
                }
                drop(running);
                disk.crash(*end);
                points += 1;
            }
            let after = witness(&disk, false).unwrap();
            for (old, size) in [(0, 9), (2, 9), (told, told), (told, 9)] {
                if told > 0 && old <= size {
                    let answer = after.add_checkpoint(&other.submit(old, size));
                    assert!(answer.is_err(), "told {told}, {old} to {size}");
                }
            }
        }
    }
    println!("{points} crashes");
}

/// Goal: of two submissions that come at once one meets what the other left. Method: many
/// threads, two histories: all lines are of one.
#[test]
fn submissions_that_come_at_once_get_lines_of_one_history() {
    let disk = FakeDisk::new();
    let witness = witness(&disk, true).unwrap();
    let logs = [Log::new(1), Log::new(2)];
    let cosigned = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|number| {
                let (witness, log) = (&witness, &logs[number % 2]);
                scope.spawn(move || {
                    let body = log.submit(0, 5 + number as u64);
                    witness.add_checkpoint(&body).is_ok()
                })
            })
            .collect();
        let ended = threads.into_iter().map(|thread| thread.join().unwrap());
        ended.filter(|cosigned| *cosigned).count()
    });
    assert_eq!(cosigned, 1, "all begin from nothing");
}
