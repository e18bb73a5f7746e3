//! Every byte of an answer, changed: what is then said is said of the same thing, or it is
//! not said at all.
//!
//! A changed answer first goes through the protocol's own decoding and verification, which
//! the client says VERIFIED by (`verify::current`) and adds checks to. What passes there goes
//! to the client whole, over the socket, and what it reports must be the honest report; so
//! does a sample of what does not pass, and in the long form all of it.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use cairn_client::{
    connect::Endpoint,
    record::{Outcome, Terms},
    sources::Capture,
    verdict::Verdict,
    verify::Report,
};
use cairn_grpc::{LookupAnswer, v1};
use cairn_proto::{
    checkpoint::SignedCheckpoint,
    hash::Index,
    manifest::Comparison,
    trust::Trust,
    verify::{Current, Evidence, Recorded, TrustedMap, current},
};
use futures_util::{StreamExt as _, stream};
use prost::Message as _;
use serde_json::Value;

use super::{
    base::{Base, WEB},
    socket::Liar,
    world::World,
};
use crate::support::{
    desk::{Desk, environment},
    prove::now,
    tools::long,
};

/// Of the answers that the protocol refuses, how many are shown to the client.
const SAMPLE: usize = 61;
/// Clients that work beside each other.
const BESIDE: usize = 4;

/// Which bits of a byte are flipped.
fn bits(at: usize) -> Vec<u8> {
    if long() {
        return vec![1, 4, 32, 128];
    }
    vec![1 << (at % 8)]
}

/// Every mutation of so many bytes: where, and which bit.
pub(super) fn mutations(bytes: usize) -> Vec<(usize, u8)> {
    let places = 0..bytes;
    places
        .flat_map(|at| bits(at).into_iter().map(move |bit| (at, bit)))
        .collect()
}

pub(super) fn mutated(bytes: &[u8], (at, bit): (usize, u8)) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[at] ^= bit;
    changed
}

/// Whether the protocol proves a release by this note and evidence.
pub(super) fn proves(trust: &Trust, note: &[u8], evidence: &Evidence) -> bool {
    let head = SignedCheckpoint::parse(note).and_then(|note| note.authenticate(trust, now()));
    let Ok(head) = head else { return false };
    let head = head.trust_first();
    let proven = current(trust, &head, &environment(), evidence, now());
    matches!(proven, Ok(Current::Release(_)))
}

/// Which of the mutations the filter lets through, and every so manieth of the others.
pub(super) fn chosen(
    all: &[(usize, u8)],
    passes: impl Fn((usize, u8)) -> bool + Sync,
) -> Vec<(usize, u8)> {
    let passes = &passes;
    let halves = all.split_at(all.len() / 2);
    let keep = |half: &[(usize, u8)]| -> Vec<(usize, u8)> {
        let numbered = half.iter().copied().enumerate();
        let kept = numbered.filter(|(number, it)| long() || number % SAMPLE == 0 || passes(*it));
        kept.map(|(_, it)| it).collect()
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| keep(halves.0));
        let mut chosen = keep(halves.1);
        chosen.extend(first.join().unwrap());
        chosen
    })
}

/// All that a report says, but for how many seconds ago.
pub(super) fn said(report: &Report) -> Value {
    let mut said = serde_json::to_value(report).unwrap();
    let age = said.as_object_mut().unwrap().remove("age").unwrap();
    assert!(age.is_u64(), "an age is known");
    said
}

/// A desk and what it held before anything was told to it.
pub(super) struct Place {
    pub(super) desk: Desk,
    capture: Capture,
    held: PathBuf,
    before: Option<Vec<u8>>,
}

impl Place {
    pub(super) async fn new(liar: &Liar, world: &World, seen: bool) -> Self {
        let desk = Desk::trusting(world.trust.clone(), &Endpoint::new(liar.url()));
        desk.put("web.yaml", WEB[1]);
        let held = desk.ledger.home().held_file(world.trust.genesis());
        let before = if seen {
            desk.ledger.lookup(&environment()).await.unwrap();
            Some(std::fs::read(&held).unwrap())
        } else {
            None
        };
        let capture = desk.capture();
        Self {
            desk,
            capture,
            held,
            before,
        }
    }

    /// A desk that always signs at the same time.
    async fn late(liar: &Liar, world: &World) -> Self {
        let mut place = Self::new(liar, world, false).await;
        place.desk.ledger = place.desk.ledger.clone().with_clock(later);
        place
    }

    /// As if nothing had been told since.
    pub(super) fn forget(&self) {
        match &self.before {
            Some(held) => std::fs::write(&self.held, held).unwrap(),
            None => drop(std::fs::remove_file(&self.held)),
        }
    }
}

/// Goal: no changed byte of a lookup's answer is VERIFIED as something else. Method: every
/// byte of the encoded message, told to one who holds an older head.
#[tokio::test(flavor = "multi_thread")]
async fn no_changed_byte_of_a_lookup_changes_what_is_verified() {
    let base = Base::new().await;
    let world = &base.world;
    let trusted = world.at(18).note();
    let honest = world.lookup("staging", &trusted).encode_to_vec();
    let all = mutations(honest.len());
    let told = chosen(&all, |mutation| {
        let changed = mutated(&honest, mutation);
        let Ok(message) = v1::LookupResponse::decode(&changed[..]) else {
            return false;
        };
        LookupAnswer::try_from(message)
            .is_ok_and(|answer| proves(&world.trust, &answer.checkpoint, &answer.evidence))
    });
    let same = AtomicUsize::new(0);
    let shares: Vec<_> = told.chunks(told.len().div_ceil(BESIDE)).collect();
    let work = shares.iter().map(|share| async {
        let liar = Liar::start(world.at(18)).await;
        let place = Place::new(&liar, world, true).await;
        liar.set(|stage| stage.world = world.clone());
        let verified = place.desk.verify().await.unwrap();
        assert_eq!(verified.verdict, Verdict::Verified, "{verified:?}");
        for mutation in *share {
            place.forget();
            let changed = mutated(&honest, *mutation);
            liar.set(|stage| {
                stage.encoded(move |(call, bytes)| {
                    if call == "Lookup" {
                        bytes.clone_from(&changed);
                    }
                });
            });
            if let Ok(report) = place.desk.verify().await
                && report.verdict == Verdict::Verified
            {
                assert_eq!(said(&report), said(&verified), "{mutation:?}");
                same.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    beside_each_other(work).await;
    let (same, counts) = (same.into_inner(), [honest.len(), all.len(), told.len()]);
    println!("lookup: {}, {same} verified as the same", counted(counts));
    assert!(same < all.len() / 20, "most bytes matter");
    base.server.stop().await;
}

/// A time after all that is signed here: what is signed then is the same each time.
fn later() -> u64 {
    2_000_000_000
}

/// What a receipt states.
fn stated(outcome: &Outcome) -> String {
    let Outcome::Recorded(it) = outcome else {
        panic!("nothing was recorded");
    };
    format!(
        "{}#{} {:?} at {} {} under {} current {} manifest {}",
        it.environment,
        it.sequence,
        it.action,
        it.index,
        it.leaf_hash,
        it.checkpoint_size,
        it.current,
        it.manifest
    )
}

/// Goal: no changed byte of a receipt has the client report another entry as recorded.
/// Method: every byte of the answer to the same append.
#[tokio::test(flavor = "multi_thread")]
async fn no_changed_byte_of_a_receipt_changes_what_was_recorded() {
    let base = Base::new().await;
    let world = &base.world;
    let liar = Liar::start(world.clone()).await;
    let place = Place::late(&liar, world).await;
    let honest = record(&place, &liar, world, None).await.unwrap();
    // The desk has held what its lookup showed: the receipt links to that.
    let truth = liar.world();
    let receipt = truth.receipt(Index(20), &environment(), &world.note());
    let (receipt, entry) = (receipt.encode_to_vec(), truth.leaf(Index(20)));
    let all = mutations(receipt.len());
    let told = chosen(&all, |mutation| {
        let message = v1::AppendResponse::decode(&mutated(&receipt, mutation)[..]);
        message.is_ok_and(|it| receives(&world.trust, &entry, it).is_some())
    });
    let same = AtomicUsize::new(0);
    let shares: Vec<_> = told.chunks(told.len().div_ceil(BESIDE)).collect();
    let work = shares.iter().map(|share| async {
        let liar = Liar::start(world.clone()).await;
        let place = Place::late(&liar, world).await;
        for mutation in *share {
            let changed = Some((*mutation, receipt.len()));
            if let Some(outcome) = record(&place, &liar, world, changed).await {
                assert_eq!(outcome, honest, "{mutation:?}");
                same.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    beside_each_other(work).await;
    let (same, counts) = (same.into_inner(), [receipt.len(), all.len(), told.len()]);
    println!("receipt: {}, {same} recorded as the same", counted(counts));
    assert!(same < all.len() / 4, "most bytes matter");
    base.server.stop().await;
}

async fn beside_each_other(work: impl Iterator<Item = impl Future<Output = ()>>) {
    let shares = stream::iter(work).buffer_unordered(BESIDE);
    shares.collect::<()>().await;
}

fn counted([bytes, all, told]: [usize; 3]) -> String {
    format!("{bytes} bytes, {all} mutations, {told} told to the client")
}

/// What the client proves of a receipt before it compares, by the protocol alone.
fn receives(trust: &Trust, entry: &[u8], receipt: v1::AppendResponse) -> Option<()> {
    let hashes = |list: &[Bytes]| cairn_grpc::hashes(list, "hashes").ok();
    let head = SignedCheckpoint::parse(&receipt.checkpoint).ok()?;
    let head = head.authenticate(trust, later()).ok()?;
    let inclusion = hashes(&receipt.inclusion)?;
    Recorded::prove(&head, entry, Index(receipt.index), &inclusion).ok()?;
    let head = head.trust_first();
    let proof = receipt.current?;
    let inclusion = hashes(&proof.map_record_inclusion)?;
    let map = TrustedMap::prove(&head, &proof.map_record, &inclusion).ok()?;
    let row = map.environment(&environment(), &proof.row, &proof.row_proof);
    row.ok()?.map(drop)
}

/// Records the same release on the same ledger, answered with one byte changed.
async fn record(
    place: &Place,
    liar: &Liar,
    world: &World,
    mutation: Option<((usize, u8), usize)>,
) -> Option<String> {
    place.forget();
    liar.set(|stage| {
        stage.world = world.clone();
        stage.encoded(move |(call, bytes)| {
            if let Some(((at, bit), length)) = mutation
                && call == "Append"
            {
                assert_eq!(bytes.len(), length, "the same answer each time");
                bytes[at] ^= bit;
            }
        });
    });
    let terms = Terms {
        again: true,
        ..place.desk.terms()
    };
    let (ledger, name) = (&place.desk.ledger, environment());
    let comparison = Comparison::default();
    let outcome = ledger.record(&name, &place.capture, comparison, &terms, &());
    let outcome = outcome.await;
    outcome.ok().map(|outcome| stated(&outcome))
}
