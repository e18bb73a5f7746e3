//! Lies in the pieces of a lookup's answer, under the true head.

use bytes::Bytes;
use cairn_grpc::hash_list;
use cairn_proto::{envelope::Envelope, hash::Index, row::RowName};

use super::{
    base::stricter,
    case::{Lie, lie},
    world::World,
};
use crate::support::{STRANGER, request};

/// Pieces of the row: what the map says of the environment.
fn rows() -> Vec<Lie> {
    vec![
        lie("stale row under the newest map record", |stage| {
            let old = stage.world.at(8).lookup("staging", b"");
            stage.lookup(move |it| {
                let (row, old) = (it.environment.as_mut().unwrap(), old.clone());
                let old_row = old.environment.unwrap();
                (row.row, row.row_proof) = (old_row.row, old_row.row_proof);
                (it.index, it.entry, it.manifest) = (old.index, old.entry, old.manifest);
                it.inclusion = old.inclusion;
            });
        })
        .gives("FAILED", "MAP_PROOF"),
        lie("row of another environment", |stage| {
            let other = stage.world.lookup("qa", b"");
            stage.lookup(move |it| *it = other.clone());
        })
        .gives("FAILED", "MAP_PROOF"),
        lie("absence by the proof of another name", |stage| {
            let absent = stage.world.lookup("nowhere", b"");
            stage.lookup(move |it| *it = absent.clone());
        })
        .gives("FAILED", "MAP_PROOF"),
        lie("retirement shown as a release", |stage| {
            stage.lookup(|it| {
                let row = &mut it.environment.as_mut().unwrap().row;
                let mut bytes = row.to_vec();
                assert_eq!(bytes[48], 3);
                bytes[48] = 1;
                *row = bytes.into();
            });
        })
        .of("old")
        .honest("SUPERSEDED")
        .gives("FAILED", "MAP_PROOF"),
        lie("older map record with its own row", |stage| {
            let old = stage.world.at(8).lookup("staging", b"");
            let inclusion = hash_list(&stage.world.inclusion(Index(7)));
            stage.lookup(move |it| {
                let mut proof = old.environment.clone().unwrap();
                proof.map_record_inclusion.clone_from(&inclusion);
                it.environment = Some(proof);
            });
        })
        .gives("FAILED", "INCLUSION_UNPROVEN"),
    ]
}

/// Pieces of the release: the entry and its document.
fn releases() -> Vec<Lie> {
    vec![
        lie("entry at another index", |stage| {
            stage.lookup(|it| it.index += 2);
        })
        .gives("FAILED", "ROW_MISMATCH"),
        lie("entry of an older release", |stage| {
            let old = stage.world.at(8).lookup("staging", b"");
            stage.lookup(move |it| it.entry.clone_from(&old.entry));
        })
        .gives("TAMPERED", "ROW_MISMATCH"),
        lie("inclusion proof of another leaf", |stage| {
            let other = hash_list(&stage.world.inclusion(Index(10)));
            stage.lookup(move |it| it.inclusion.clone_from(&other));
        })
        .gives("FAILED", "INCLUSION_UNPROVEN"),
        lie("missing entry", |stage| {
            stage.lookup(|it| it.entry = Bytes::new());
        })
        .gives("FAILED", "INCLUSION_UNPROVEN"),
        lie("missing document", |stage| {
            stage.lookup(|it| it.manifest = Bytes::new());
        })
        .gives("FAILED", "DOCUMENT_MISSING"),
        lie("document of another entry", |stage| {
            let old = stage.world.document(Index(2));
            stage.lookup(move |it| it.manifest.clone_from(&old));
        })
        .gives("TAMPERED", "DOCUMENT_MISMATCH"),
        lie("dropped signature", |stage| {
            stage.lookup(|it| it.entry = signatures(&it.entry, |all| all.truncate(1)));
        })
        .of("prod/eu/shop")
        .gives("TAMPERED", "ROW_MISMATCH"),
        lie("swapped signatures", |stage| {
            stage.lookup(|it| it.entry = signatures(&it.entry, |all| swap(all)));
        })
        .of("prod/eu/shop")
        .gives("TAMPERED", "ROW_MISMATCH"),
    ]
}

/// Pieces of the policy chain.
fn policies() -> Vec<Lie> {
    let unchained = |name: &'static str, change: fn(&mut cairn_grpc::v1::LookupResponse)| {
        lie(name, move |stage| stage.lookup(change)).gives("FAILED", "POLICY_CHAIN")
    };
    vec![
        unchained("shifted policy index", |it| it.policies[1].index += 2),
        unchained("missing policy version", |it| {
            it.policies.remove(1);
        }),
        unchained("missing newest policy", |it| {
            it.policies.pop();
        }),
        unchained("policy shown twice", |it| {
            let again = it.policies[2].clone();
            it.policies.push(again);
        }),
        lie("stale policy row", |stage| {
            let old = stage.world.at(16).lookup("staging", b"");
            stage.lookup(move |it| {
                it.policy_row.clone_from(&old.policy_row);
                it.policy_proof.clone_from(&old.policy_proof);
                it.policies.truncate(2);
            });
        })
        .gives("FAILED", "MAP_PROOF"),
        lie("row of an environment for the policy's", |stage| {
            let name = "qa".parse().unwrap();
            let (_, row, proof) = stage.world.row(&RowName::Environment(&name));
            stage.lookup(move |it| {
                it.policy_row = row.clone().into();
                it.policy_proof = proof.clone().into();
            });
        })
        .gives("FAILED", "MAP_PROOF"),
        lie("document of another policy", |stage| {
            stage.lookup(|it| {
                let other = it.policies[0].document.clone();
                it.policies[1].document = other;
            });
        })
        .gives("TAMPERED", "DOCUMENT_MISMATCH"),
        lie("missing policy document", |stage| {
            stage.lookup(|it| it.policies[1].document = Bytes::new());
        })
        .gives("FAILED", "DOCUMENT_MISSING"),
        lie("a stranger's policy in the chain, in no log", |stage| {
            let sent = strangers_policy(&stage.world);
            stage.lookup(move |it| {
                it.policies.push(cairn_grpc::v1::PolicyStep {
                    index: 18,
                    entry: sent.envelope.clone(),
                    document: sent.document.clone(),
                    inclusion: Vec::new(),
                });
            });
        })
        .gives("FAILED", "POLICY_CHAIN"),
        lie("genesis swapped for a stranger's", |stage| {
            let other = request(b"{}", b"", &[STRANGER]);
            stage.lookup(move |it| it.policies[0].entry.clone_from(&other.envelope));
        })
        .gives("FAILED", "WRONG_GENESIS"),
    ]
}

/// Policy 4, signed by nobody who may.
pub(super) fn strangers_policy(world: &World) -> cairn_grpc::v1::AppendRequest {
    let chain = world.state.chain().unwrap();
    let previous = chain.current().leaf;
    super::base::policy_entry(*world.trust.genesis(), previous, &stricter(4), &[STRANGER])
}

/// The same envelope with other signatures.
pub(super) fn signatures(entry: &Bytes, change: impl Fn(&mut Vec<serde_json::Value>)) -> Bytes {
    let mut envelope: serde_json::Value = serde_json::from_slice(entry).unwrap();
    change(envelope["signatures"].as_array_mut().unwrap());
    let changed = serde_json::to_vec(&envelope).unwrap();
    Envelope::parse(&changed).unwrap();
    changed.into()
}

/// Each signature under the other's name.
pub(super) fn swap(all: &mut [serde_json::Value]) {
    let first = all[0]["sig"].take();
    let second = std::mem::replace(&mut all[1]["sig"], first);
    all[0]["sig"] = second;
}

pub(super) fn lies() -> Vec<Lie> {
    let mut all = rows();
    all.extend(releases());
    all.extend(policies());
    all
}
