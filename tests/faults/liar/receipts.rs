//! Lies to a deployer: receipts of what was not recorded, or not so.

use bytes::Bytes;
use cairn_grpc::hash_list;
use cairn_proto::{hash::Index, name::Environment, reason::Reason};

use super::{
    act::Act,
    case::{Lie, lie},
    heads::forked,
    stage::Stage,
};
const UNPROVEN: &str = "INCLUSION_UNPROVEN";

fn staging() -> Environment {
    "staging".parse().unwrap()
}

/// The next receipt is that of what stands already.
fn repeated(stage: &mut Stage, index: u64) {
    let receipt = stage.world.receipt(Index(index), &staging(), b"");
    stage.append(move |it| *it = receipt.clone());
}

pub(super) fn lies() -> Vec<Lie> {
    let recorded = |name, tell: fn(&mut Stage)| lie(name, tell).act(Act::Record);
    vec![
        recorded("receipt for an entry that is not in the tree", |stage| {
            repeated(stage, 21);
        })
        .gives("FAILED", UNPROVEN),
        recorded("receipt for another submission", |stage| repeated(stage, 8))
            .gives("FAILED", UNPROVEN),
        recorded("receipt at another index", |stage| {
            stage.append(|it| it.index -= 1);
        })
        .gives("FAILED", UNPROVEN),
        recorded("receipt with the proof of another leaf", |stage| {
            let other = hash_list(&stage.world.inclusion(Index(10)));
            stage.append(move |it| it.inclusion.clone_from(&other));
        })
        .gives("FAILED", UNPROVEN),
        recorded("receipt without a map proof", |stage| {
            stage.append(|it| it.current = None);
        })
        .gives("FAILED", "INVALID_REQUEST"),
        recorded("receipt that says the environment is absent", |stage| {
            stage.append(|it| it.current.as_mut().unwrap().row = Bytes::new());
        })
        .gives("FAILED", "MAP_PROOF"),
        recorded("receipt with the map of before", |stage| {
            let before = stage.world.lookup("staging", b"").environment;
            stage.append(move |it| {
                let now = it.current.as_mut().unwrap();
                let before = before.clone().unwrap();
                (now.row, now.row_proof) = (before.row, before.row_proof);
            });
        })
        .gives("FAILED", "MAP_PROOF"),
        recorded("receipt under another history", |stage| {
            let forked = forked(&stage.world, 9);
            let receipt = forked.receipt(Index(8), &staging(), b"");
            stage.append(move |it| *it = receipt.clone());
            stage.file(move |(path, bytes)| *bytes = forked.file(path));
        })
        .gives("TAMPERED", "FORKED"),
        recorded("entry kept out of the map", |stage| {
            stage.lies.hides = true;
        })
        .gives("FAILED", "ROW_MISMATCH"),
        recorded("entry refused for ever as too late", |stage| {
            stage.lies.refuses = Some(("Append", Reason::WrongSequence));
        })
        .gives("FAILED", "RACE_LOST"),
    ]
}
