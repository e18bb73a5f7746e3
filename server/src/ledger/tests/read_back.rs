//! A bit that flips in memory after the leaves were hashed and before they are written.

use bytes::Bytes;
use cairn_proto::entry::Submission;

use super::{
    clock,
    notary::Shared,
    world::{Step, World},
};
use crate::{
    disk::fake::FakeDisk,
    ledger::{
        commit::{Committer, Failure},
        open::begin,
        sequence::{Batch, Candidate},
    },
    start,
    view::{Shelf, View},
};

/// Sequences a step as the sequencer's thread would.
fn sequenced(committer: &mut Committer, step: &Step) -> (Vec<Candidate>, Batch) {
    let submission = Submission::decode(&step.entry, &step.document).unwrap();
    let chain = committer.shared.head().chain.clone();
    let candidates = vec![Candidate {
        signed: chain.authority().authenticate(submission).unwrap(),
        entry: step.entry.clone(),
        document: step.document.clone(),
    }];
    let (_, batch) = committer.sequence(&candidates);
    (candidates, batch.unwrap())
}

/// Goal: no root is signed over other bytes than the disk holds. Method: one bit of the entry
/// in the record differs from what was hashed; the frame around it is made of the changed
/// bytes and fits them. Without the flip the same record is published.
#[test]
fn a_bit_that_flips_between_hashing_and_writing_is_never_signed() {
    for flipped in [false, true] {
        let world = World::new();
        let (disk, outside) = (FakeDisk::new(), Shared::default());
        let store = start::make(&disk.shared(), &world.place).unwrap();
        begin(&store, Some(&world.genesis), clock).unwrap();
        let keys = world.keys(&disk, &outside);
        let view = View::on(&Shelf::default());
        let (mut committer, _view) = Committer::prepare(store, view, keys, clock).unwrap();
        let release = world.release("prod/a", 1, None, "one", Vec::new());
        let (candidates, mut batch) = sequenced(&mut committer, &release);
        let signed = || outside.lock().unwrap().signed.len();
        let before = signed();
        if flipped {
            let mut leaf = batch.record.leaves[0].to_vec();
            leaf[100] ^= 1;
            batch.record.leaves[0] = Bytes::from(leaf);
        }
        let published = committer.publish(&batch, &candidates);
        assert_eq!(
            matches!(published, Err(Failure::ReadBack { .. })),
            flipped,
            "{:?}",
            published.err()
        );
        assert_eq!(signed() - before, usize::from(!flipped));
    }
}
