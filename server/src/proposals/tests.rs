//! The room over a fake disk and a clock that a test sets: shares, expiry, restarts, crashes, damage.
//! Who may leave what is tested over a socket, in `tests/service/proposals.rs`.
#![allow(clippy::unwrap_used)]

use std::{cell::Cell, path::Path};

use cairn_proto::{
    hash::{LeafHash, Sequence},
    key::{SecretKey, Signer},
    manifest::{Comparison, Manifest},
    statement::{Action, Predicate, Release, Statement, Subject},
};

use super::*;
use crate::disk::fake::{FakeDisk, Unsynced};

const DATA: &str = "/data/proposals";
const BOTH: [u8; 2] = [1, 2];

thread_local! {
    static CLOCK: Cell<u64> = const { Cell::new(1_000) };
}

fn clock() -> u64 {
    CLOCK.get()
}

fn settings() -> Settings {
    Settings {
        directory: DATA.into(),
        limits: ProposalLimits {
            number_max: 5,
            bytes_max: 20_000,
            signer_number_max: 3,
            signer_bytes_max: 8_000,
        },
        wait_seconds: 100,
        clock,
    }
}

fn open(disk: &FakeDisk) -> Room {
    Room::open(disk.shared(), &settings())
}

/// A proposal for a sequence, signed by the keys of the seeds; `reason` makes it larger.
fn judged(sequence: u64, reason: &str, seeds: &[u8]) -> Judged {
    let artifacts = vec![cairn_proto::manifest::Artifact {
        name: "a".parse().unwrap(),
        kind: cairn_proto::manifest::ArtifactKind::File,
        media_type: None,
        mode: None,
        parent: None,
        platform: None,
        bytes: cairn_proto::manifest::Bytes::External {
            digests: cairn_proto::manifest::Digests::of(b"a"),
            size: 1,
        },
    }];
    let document = Manifest::new(artifacts, Comparison::default())
        .unwrap()
        .encode();
    let release = Release {
        ledger: LeafHash([7; 32]),
        environment: "prod/shop".parse().unwrap(),
        sequence: Sequence(sequence),
        previous: (sequence > 1).then_some(LeafHash([8; 32])),
        action: Action::Release,
        break_glass: None,
        rollback_to: None,
        reason: (!reason.is_empty()).then(|| reason.to_owned()),
        source: None,
        created_at: "2026-11-01T10:00:00Z".parse().unwrap(),
        annotations: std::collections::BTreeMap::default(),
    };
    let environment = Some(release.environment.clone());
    let place = Place::Release(release.environment.clone(), release.sequence);
    let statement = Statement {
        subject: Subject::of(&document),
        predicate: Predicate::Release(Box::new(release)),
    };
    let keys = seeds
        .iter()
        .map(|seed| SecretKey::from_seed(&[*seed; 32]).unwrap());
    let keys: Vec<_> = keys.collect();
    let signers: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
    let envelope = cairn_proto::envelope::Envelope::sign(statement.encode(), &signers).unwrap();
    Judged {
        id: Sha256::of(envelope.payload()),
        envelope,
        document: document.into(),
        environment,
        place,
        names_itself: None,
    }
}

fn signers(room: &Room, id: &Sha256) -> usize {
    room.get(id).map_or(0, |it| it.envelope.signatures().len())
}

fn all(room: &Room) -> Vec<Sha256> {
    let found = room.after(None, usize::MAX, |_| true);
    found.into_iter().map(|(id, _)| id).collect()
}

/// Goal: a proposal is there until its time is over, and not a second longer; more signatures do
/// not make it stay. Method: the clock, to the second.
#[test]
fn a_proposal_expires_when_it_is_said_to_whoever_signs_it_meanwhile() {
    CLOCK.set(1_000);
    let disk = FakeDisk::new();
    let room = open(&disk);
    let left = room.put(judged(1, "", &[1]), "token a").unwrap();
    assert_eq!(left.expires, 1_100);
    let id = judged(1, "", &[1]).id;
    CLOCK.set(1_099);
    let signed = room.put(judged(1, "", &[2]), "token b").unwrap();
    assert_eq!((signed.expires, &*signed.owner), (1_100, "token a"));
    assert_eq!(signers(&room, &id), 2);
    assert_eq!(room.owners(), ["token a".into()]);
    CLOCK.set(1_100);
    assert!(room.get(&id).is_none());
    assert!(all(&room).is_empty());
    let digits = id.to_string();
    let found = room.find(&digits, |_| true);
    assert!(matches!(found, Err(ProposalError::Absent { .. })));
    room.sweep(|_| false);
    assert!(disk.image().is_empty(), "{:?}", disk.image().keys());
    assert!(room.is_empty());
}

/// Goal: a restart loses nothing, and a clock that was set back keeps nothing for ever. Method: two
/// signers, a new process, then one whose clock is at the beginning of time.
#[test]
fn a_restart_keeps_proposals_signatures_and_their_time() {
    CLOCK.set(1_000);
    let disk = FakeDisk::new();
    let room = open(&disk);
    let id = judged(1, "", &[1]).id;
    room.put(judged(1, "", &[2]), "token a").unwrap();
    room.put(judged(1, "", &[1]), "token b").unwrap();
    room.put(judged(2, "", &[1]), "token b").unwrap();
    drop(room);
    disk.crash(Unsynced::Lost);
    CLOCK.set(1_050);
    let room = open(&disk);
    let kept = room.get(&id).unwrap();
    assert_eq!((kept.expires, &*kept.owner), (1_100, "token a"));
    assert_eq!(kept.envelope, judged(1, "", &BOTH).envelope);
    assert_eq!(kept.document, judged(1, "", &BOTH).document);
    assert_eq!(kept.place, judged(1, "", &BOTH).place);
    assert_eq!(kept.environment, judged(1, "", &BOTH).environment);
    assert_eq!(all(&room).len(), 2);
    CLOCK.set(0);
    assert_eq!(open(&disk).get(&id).unwrap().expires, 100);
}

/// Goal: whatever moment a process dies at, what was said to be kept is kept, and nothing is half.
/// Method: each change of a first put and of a second signature fails; each fate of the unsynced.
#[test]
fn a_crash_leaves_a_proposal_as_it_was_or_as_it_was_to_become() {
    CLOCK.set(1_000);
    let id = judged(1, "", &[1]).id;
    let fates = [
        Unsynced::Lost,
        Unsynced::Shown,
        Unsynced::Kept,
        Unsynced::Torn(1),
        Unsynced::Torn(2),
    ];
    for fate in fates {
        for after in 0..20 {
            let disk = FakeDisk::new();
            let room = open(&disk);
            disk.fail_after(after);
            let first = room.put(judged(1, "", &[1]), "token a").is_ok();
            let second = room.put(judged(1, "", &[2]), "token a").is_ok();
            assert!(
                first || signers(&room, &id) == 0,
                "what failed is not shown"
            );
            disk.crash(fate);
            let found = signers(&open(&disk), &id);
            let least = usize::from(first) + usize::from(second);
            assert!((least..=2).contains(&found), "{fate:?} {after}: {found}");
        }
    }
}

/// Goal: what was withdrawn is gone for good, and what could not be is there still. Method: each change
/// fails; each fate of the unsynced.
#[test]
fn no_crash_brings_back_what_was_withdrawn() {
    CLOCK.set(1_000);
    let id = judged(1, "", &[1]).id;
    for fate in [Unsynced::Lost, Unsynced::Shown, Unsynced::Torn(1)] {
        for after in 0..4 {
            let disk = FakeDisk::new();
            let room = open(&disk);
            room.put(judged(1, "", &[1]), "token a").unwrap();
            disk.fail_after(after);
            let gone = room.withdraw(&id).is_ok();
            assert_eq!(room.get(&id).is_none(), gone);
            disk.crash(fate);
            let found = open(&disk).get(&id).is_some();
            assert!(!(gone && found), "{fate:?} {after}");
        }
    }
}

/// Goal: a damaged file costs its proposal, and nothing else. Method: every byte of it flipped, cut
/// short, grown, renamed, no file at all; a sound one beside it.
#[test]
fn a_damaged_file_is_dropped_and_its_neighbours_stay() {
    CLOCK.set(1_000);
    let disk = FakeDisk::new();
    let room = open(&disk);
    room.put(judged(1, "", &[1]), "token a").unwrap();
    room.put(judged(2, "", &[1]), "token a").unwrap();
    let (id, other) = (judged(1, "", &[1]).id, judged(2, "", &[1]).id);
    let path = |id: &Sha256| Path::new(DATA).join(id.to_string());
    let sound = disk.get(&path(&id));
    let mut damaged: Vec<Vec<u8>> = (0..sound.len())
        .map(|at| {
            let mut bytes = sound.clone();
            bytes[at] ^= 1;
            bytes
        })
        .collect();
    damaged.extend([Vec::new(), sound[..sound.len() - 1].to_vec()]);
    damaged.push([&sound[..], b"x"].concat());
    damaged.push(disk.get(&path(&other)));
    for bytes in damaged {
        disk.put(&path(&id), &bytes);
        assert_eq!(
            all(&open(&disk)),
            [other],
            "{}",
            String::from_utf8_lossy(&bytes)
        );
        assert!(!disk.image().contains_key(&path(&id)));
    }
    // What is no proposal's file is left alone, drafts are swept, and too many are not taken up.
    disk.put(&Path::new(DATA).join("notes.txt"), b"mine");
    disk.put(&Path::new(DATA).join(format!("{id}.new")), b"half");
    for sequence in 3..9 {
        let mut roomy = settings();
        roomy.limits = ProposalLimits::default();
        let room = Room::open(disk.shared(), &roomy);
        room.put(judged(sequence, "", &[1]), "token a").unwrap();
    }
    assert_eq!(all(&open(&disk)).len(), 5);
    assert_eq!(disk.image().len(), 6);
    let mut narrow = settings();
    narrow.limits.bytes_max = 1;
    assert_eq!(all(&Room::open(disk.shared(), &narrow)).len(), 1);
}

fn code(result: Result<Waiting, ProposalError>) -> String {
    result.unwrap_err().to_string()
}

/// Goal: no signer takes the room of the others, in number or in bytes, and all together are bounded.
/// Method: one fills its share; another still fits; then nobody.
#[test]
fn each_signer_has_a_share_and_all_together_have_a_bound() {
    CLOCK.set(1_000);
    let room = open(&FakeDisk::new());
    for sequence in 1..=3 {
        room.put(judged(sequence, "", &[1]), "token a").unwrap();
    }
    let refused = code(room.put(judged(4, "", &[1]), "token a"));
    assert!(refused.contains("its share"), "{refused}");
    // Not by the back door of a second signature, nor under another token.
    let refused = code(room.put(judged(4, "", &BOTH), "token b"));
    assert!(refused.contains("its share"), "{refused}");
    // To sign what waits takes nobody's share.
    room.put(judged(1, "", &[2]), "token b").unwrap();
    for sequence in 4..=5 {
        room.put(judged(sequence, "", &[2]), "token b").unwrap();
    }
    let refused = code(room.put(judged(6, "", &[3]), "token c"));
    assert!(refused.contains("no more fit"), "{refused}");
    assert!(matches!(
        room.put(judged(6, "", &[3]), "token c"),
        Err(error) if error.reason() == Reason::ProposalsFull
    ));
    // What was recorded, or overtaken, makes room again.
    room.sweep(|place| *place == judged(1, "", &[1]).place);
    room.put(judged(6, "", &[3]), "token c").unwrap();
    room.put(judged(7, "", &[1]), "token a").unwrap_err();
    room.remove(&judged(6, "", &[3]).id);
    room.put(judged(7, "", &[1]), "token a").unwrap();

    let room = open(&FakeDisk::new());
    let mut large = judged(1, "", &[1]);
    large.document = vec![b'x'; 8_000].into();
    let refused = code(room.put(large, "token a"));
    assert!(refused.contains("its share"), "{refused}");
}

/// Goal: a proposal is found by what its id begins with, where that names one, by whoever may see it.
/// Method: ids that begin alike, one of which is hidden from some.
#[test]
fn the_beginning_of_an_id_names_one_proposal_or_is_refused() {
    CLOCK.set(1_000);
    let room = open(&FakeDisk::new());
    let (mut one, mut two) = (judged(1, "", &[1]), judged(2, "", &[1]));
    (one.id, two.id) = (Sha256([7; 32]), Sha256([7; 32]));
    two.id.0[31] = 8;
    let (whole, second) = (one.id.to_string(), two.place.clone());
    room.put(one, "token a").unwrap();
    room.put(two, "token a").unwrap();
    let found = room.find("0707070707", |_| true);
    assert!(matches!(
        found,
        Err(ProposalError::Ambiguous { found: 2, .. })
    ));
    assert_eq!(room.find(&whole, |_| true).unwrap().0, Sha256([7; 32]));
    let seen = room.find("0707070707", |it| it.place != second);
    assert_eq!(seen.unwrap().0, Sha256([7; 32]));
    let hidden = room.find(&whole, |_| false);
    assert!(matches!(hidden, Err(ProposalError::Absent { .. })));
    let long = "0".repeat(65);
    for digits in [
        "",
        "0707070",
        "070707070g",
        "07070707AA",
        "07070707é",
        &long,
    ] {
        let found = room.find(digits, |_| true);
        assert!(matches!(found, Err(ProposalError::Id { .. })), "{digits}");
    }
}

/// Goal: a disk that cannot be used stops no ledger, and loses nobody anything without a word.
/// Method: a full disk; a directory that cannot be listed.
#[test]
fn a_disk_that_fails_refuses_proposals_and_nothing_else() {
    CLOCK.set(1_000);
    let disk = FakeDisk::new();
    let room = open(&disk);
    disk.fill_up(true);
    let refused = room.put(judged(1, "", &[1]), "token a").unwrap_err();
    assert_eq!(refused.reason(), Reason::NoSpace);
    assert!(room.is_empty());
    disk.relieve();
    room.put(judged(1, "", &[1]), "token a").unwrap();
    disk.fail_after(0);
    let refused = room.put(judged(1, "", &[2]), "token a").unwrap_err();
    assert_eq!(refused.reason(), Reason::Internal);
    assert!(open(&disk).is_empty());
}
