//! Any byte that changes at rest: refused with the frame's name, healed, or harmless; never
//! a wrong answer.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use cairn_grpc::{refused, v1};
use cairn_proto::{hash::ContentId, reason::Reason};
use cairn_server::{access::Access, start};
use futures_util::{StreamExt as _, stream};
use tokio::{task::spawn_blocking, time::timeout};

use crate::support::{
    DEV, Draft, Server,
    audit::{Audited, Fault, audit, replay},
    external,
    http::{Browser, Version},
    leaf, manifest, place, server_keys, stored,
    tools::long,
};

/// One open, one audit: far more than either takes.
const PATIENCE: Duration = Duration::from_secs(30);
const CONTENTS: [&[u8]; 3] = [b"replicas: 3\n", b"image: shop\n", &[7; 3_000]];

const FILES: [&str; 4] = [
    "format",
    "anchor",
    "journal/00000000.seg",
    "packs/00000000.seg",
];

/// A ledger to be damaged.
struct Small {
    directory: tempfile::TempDir,
    audited: Audited,
}

async fn small() -> Small {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&directory.path().join("good")).await;
    let mut client = server.client().await;
    let genesis = *server.ledger.trust().genesis();
    let mut last = None;
    for (number, bytes) in (1..).zip(CONTENTS) {
        let part = v1::PutContentRequest {
            content_id: ContentId::of(bytes).0.to_vec().into(),
            offset: 0,
            data: bytes.to_vec().into(),
            last: true,
        };
        client.put_content(stream::iter([part])).await.unwrap();
        let files = manifest(vec![
            external("a", &number.to_string().into_bytes()),
            stored("web.yaml", bytes),
        ]);
        let mut draft = Draft::new(genesis, "staging", number, &files);
        draft.release.previous = last;
        let request = draft.sign(&[DEV]);
        last = Some(leaf(&request));
        client.append(request).await.unwrap();
    }
    drop(client);
    let audited = audit(&server).await;
    server.stop().await;
    Small { directory, audited }
}

/// A file of the store, and which of its bytes are flipped.
struct Target {
    name: &'static str,
    places: Vec<usize>,
}

/// Bytes that are allocated and hold nothing yet are flipped here and there only.
const DEAD_STEP: usize = 193;
/// Zeros on both sides of a byte that make it one of those.
const DEAD_MARGIN: usize = 48;

/// Every `step`-th byte of what is used.
fn places(bytes: &[u8], step: usize) -> Vec<usize> {
    let zero = |at: &usize| {
        let around = at.saturating_sub(DEAD_MARGIN)..bytes.len().min(at + DEAD_MARGIN);
        bytes[around].iter().all(|byte| *byte == 0)
    };
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let end = bytes.len().min(used + 4 * DEAD_STEP);
    let (dead, live): (Vec<usize>, Vec<usize>) = (0..end).partition(zero);
    let live = live.into_iter().step_by(step);
    live.chain(dead.into_iter().step_by(DEAD_STEP)).collect()
}

impl Target {
    /// Which of the three it is; anything that may not be fails the test.
    fn judge(&self, at: usize, outcome: &Outcome) -> usize {
        let where_ = format!("{} at {at}", self.name);
        if let Outcome::Refused(what) | Outcome::Unserved(what) = outcome {
            assert!(
                self.name != "anchor",
                "{where_}: one good slot is enough: {what}"
            );
        }
        match outcome {
            Outcome::Refused(what) => {
                assert!(what.contains(self.name), "{where_}: {what}");
                let frame = what.contains("frame ") && what.contains("at offset ");
                assert!(frame || self.name == "format", "{where_}: {what}");
                0
            }
            Outcome::Unserved(what) => {
                // A stream of documents ends early instead.
                let cut = what.starts_with("/documents/") && what.contains("UnexpectedEof");
                assert!(what.contains("STORE_DAMAGED") || cut, "{where_}: {what}");
                assert!(
                    !what.contains(".seg"),
                    "{where_} names a file to a stranger: {what}"
                );
                1
            }
            Outcome::Whole => 2,
        }
    }
}

impl Small {
    fn good(&self) -> PathBuf {
        self.directory.path().join("good")
    }

    fn targets(&self) -> Vec<Target> {
        let steps = [5, 11, 23, 23];
        let target = |(name, step): (&'static str, usize)| {
            let bytes = fs::read(self.good().join(name)).unwrap();
            Target {
                name,
                places: places(&bytes, if long() { 1 } else { step }),
            }
        };
        FILES.into_iter().zip(steps).map(target).collect()
    }
}

/// What came of a damaged store.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// It did not open, and says why.
    Refused(String),
    /// It opened, and something is not served.
    Unserved(String),
    /// All is as it was.
    Whole,
}

/// Opens a damaged store and reads all of it; a wrong answer fails the test.
async fn survey(small: Arc<Small>, data: PathBuf) -> Outcome {
    let open = spawn_blocking(move || start::open(&place(&data), server_keys(), None));
    let ledger = match open.await.unwrap() {
        Ok((ledger, _)) => ledger,
        Err(error) => {
            let known = [Reason::StoreDamaged, Reason::StoreAnchor, Reason::Internal];
            assert!(
                known.contains(&error.reason()),
                "{}: {error}",
                error.reason()
            );
            return Outcome::Refused(error.to_string());
        }
    };
    let server = Server::of(ledger, Access::open()).await;
    let mut browser = Browser::open(server.address, Version::One).await;
    let read = replay(&mut browser, server.ledger.trust()).await;
    drop(browser);
    let outcome = match read {
        Ok(audited) => {
            assert_eq!(audited.head.size(), small.audited.head.size());
            assert_eq!(audited.head.root(), small.audited.head.root());
            assert_eq!(audited.leaves, small.audited.leaves);
            contents(&server).await
        }
        Err(Fault::Unserved(what)) => Outcome::Unserved(what),
        Err(Fault::Wrong(what)) => panic!("a wrong answer: {what}"),
    };
    server
        .abandon_unaudited("damaged on purpose; what it serves is judged above")
        .await;
    outcome
}

async fn contents(server: &Server) -> Outcome {
    let mut client = server.client().await;
    for (sequence, bytes) in (1..).zip(CONTENTS) {
        let request = v1::GetContentRequest {
            content_id: ContentId::of(bytes).0.to_vec().into(),
            environment: "staging".into(),
            sequence,
            offset: 0,
            length: 0,
        };
        let read = match client.get_content(request).await {
            Ok(parts) => parts.into_inner().message().await,
            Err(status) => Err(status),
        };
        match read {
            Ok(part) => assert_eq!(part.unwrap().data, bytes, "a wrong answer"),
            Err(status) => {
                let refused = refused(&status);
                return Outcome::Unserved(format!("{} [{}]", refused.message, refused.code));
            }
        }
    }
    Outcome::Whole
}

/// Flips one byte in a copy of the store. What is allocated and not used is left as a hole.
fn damaged(small: &Small, target: &str, at: usize, number: usize) -> PathBuf {
    let (good, data) = (
        small.good(),
        small.directory.path().join(number.to_string()),
    );
    for folder in ["journal", "packs", "large", "staging"] {
        fs::create_dir_all(data.join(folder)).unwrap();
    }
    // Every other one starts from the journal alone.
    if number.is_multiple_of(2) {
        copy_sparse(&good.join("view"), &data.join("view"));
    }
    for name in FILES {
        let mut bytes = fs::read(good.join(name)).unwrap();
        if name == target {
            bytes[at] ^= 0x10;
        }
        write_sparse(&data.join(name), &bytes);
    }
    data
}

fn write_sparse(path: &Path, bytes: &[u8]) {
    let used = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let mut file = fs::File::create(path).unwrap();
    file.write_all(&bytes[..used]).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

fn copy_sparse(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_sparse(&entry.path(), &target);
        } else {
            write_sparse(&target, &fs::read(entry.path()).unwrap());
        }
    }
}

async fn one(
    small: Arc<Small>,
    target: &'static str,
    at: usize,
    number: usize,
) -> (usize, Outcome) {
    let copied = small.clone();
    let data = spawn_blocking(move || damaged(&copied, target, at, number))
        .await
        .unwrap();
    let surveyed = timeout(PATIENCE, survey(small, data.clone())).await;
    let outcome = surveyed.unwrap_or_else(|_| panic!("{target} at {at}: no end in {PATIENCE:?}"));
    remove(&data);
    (at, outcome)
}

fn remove(data: &Path) {
    // The view's thread may still write; the whole directory goes at the end anyway.
    let _ = fs::remove_dir_all(data);
}

/// Goal: damage is never served and never signed. Method: flip each byte of the journal, the
/// packs, the anchor and the format file, one at a time; open, audit everything, read every
/// content.
#[tokio::test(flavor = "multi_thread")]
async fn each_flipped_byte_is_refused_by_name_healed_or_harmless() {
    let small = Arc::new(small().await);
    let mut number = 0;
    for target in small.targets() {
        let places = &target.places;
        let flips = places.iter().map(|at| {
            number += 1;
            one(small.clone(), target.name, *at, number)
        });
        let flips: Vec<_> = flips.collect();
        let outcomes: Vec<_> = stream::iter(flips).buffer_unordered(4).collect().await;
        let mut tally = [0; 3];
        for (at, outcome) in &outcomes {
            tally[target.judge(*at, outcome)] += 1;
        }
        println!(
            "{}: {} flips: {} refused, {} found when read, {} healed or harmless",
            target.name,
            places.len(),
            tally[0],
            tally[1],
            tally[2]
        );
        assert_eq!(outcomes.len(), places.len());
        if target.name != "anchor" {
            assert!(
                tally[0] + tally[1] > 0,
                "no flip of {} was noticed",
                target.name
            );
        }
    }
}
