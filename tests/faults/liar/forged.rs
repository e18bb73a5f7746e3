//! Entries that the rules forbid, put into the log and called current by a map that is
//! re-signed: whoever holds the server's keys can do that, and signs for nobody else.

use bytes::Bytes;
use cairn_grpc::v1;
use cairn_proto::{
    hash::{Index, LeafHash, Sequence, Version},
    key::Signer as _,
    manifest::Manifest,
    row::{EnvironmentRow, Row, RowName, history_leaf},
    rules::PolicyChain,
    statement::Action,
};
use cairn_server::start;

use super::{
    base::{policy_entry, stricter},
    case::{Lie, lie},
    spliced::{signatures, strangers_policy, swap},
    stage::Stage,
    world::World,
};
use crate::support::{
    ADMIN, DEV, Draft, OTHER, STRANGER, THIRD, key, policy, request, server_keys,
};

/// The next release of an environment, of what `staging` holds.
pub(super) fn next(world: &World, environment: &str) -> Draft {
    // Every history here has it at index 8.
    let files = Manifest::decode(&world.document(Index(8)));
    release_of(world, environment, &files.unwrap())
}

fn release_of(world: &World, environment: &str, files: &Manifest) -> Draft {
    let name = environment.parse().unwrap();
    let standing = world.state.environment(&name);
    let sequence = standing.map_or(0, |state| state.sequence().0) + 1;
    let draft = Draft::new(*world.trust.genesis(), environment, sequence, files);
    match standing {
        Some(state) => draft.after(state.leaf),
        None => draft,
    }
}

/// A ledger with the same name and keys, begun anew.
pub(super) fn other_ledger(world: &World, releases: usize) -> World {
    let (keys, admin) = (server_keys(), key(ADMIN));
    let origin = world.trust.origin();
    let genesis = start::genesis(origin, &keys, &policy(), ([8; 16], None), &[&admin]).unwrap();
    let files = Manifest::decode(&world.document(Index(8))).unwrap();
    let mut other = World::begun(&world.trust, &genesis.entry, &genesis.document);
    for _ in 0..releases {
        let draft = release_of(&other, "staging", &files);
        let sent = draft.sign(&[DEV]);
        other.enter(&sent.envelope, &sent.document);
        other.seal();
    }
    other
}

/// Puts an entry into the log, and into the map as what is current.
fn sequenced(stage: &mut Stage, sent: &v1::AppendRequest) {
    let world = &mut stage.world;
    let index = world.force(&sent.envelope, &sent.document);
    let (environment, row) = world.row_for(&sent.envelope, index);
    let key = RowName::Environment(&environment).key();
    world.seal_as(|map| map.insert(key, Row::Environment(row)));
}

/// The same for bytes that say nothing of themselves.
fn sequenced_as(stage: &mut Stage, entry: &Bytes, document: &Bytes) {
    let world = &mut stage.world;
    let index = world.force(entry, document);
    let row = EnvironmentRow {
        sequence: Sequence(3),
        index,
        leaf: LeafHash::of(entry),
        action: Action::Release,
        history: world.root_at(1),
    };
    let key = RowName::Environment(&"staging".parse().unwrap()).key();
    world.seal_as(|map| map.insert(key, Row::Environment(row)));
}

/// Puts a policy into the log and the map.
fn decreed(stage: &mut Stage, sent: &v1::AppendRequest) {
    let world = &mut stage.world;
    let index = world.force(&sent.envelope, &sent.document);
    world.show_policy(index, &sent.envelope, &sent.document);
    let row = policy_row(world);
    world.seal_as(|map| map.insert(RowName::Policy.key(), row));
}

/// The row that states the policies that are shown.
pub(super) fn policy_row(world: &World) -> Row {
    let mut history = cairn_proto::merkle::Frontier::default();
    for policy in &world.policies {
        history.push(history_leaf(policy.index, &LeafHash::of(&policy.entry)));
    }
    let newest = world.policies.last().unwrap();
    Row::Policy(cairn_proto::row::PolicyRow {
        version: Version(history.size().0),
        index: newest.index,
        leaf: LeafHash::of(&newest.entry),
        history: history.root(),
    })
}

fn signers() -> Vec<Lie> {
    let signed = |name, environment: &'static str, seeds: &'static [u8]| {
        lie(name, move |stage| {
            let sent = next(&stage.world, environment).sign(seeds);
            sequenced(stage, &sent);
        })
        .of(environment)
    };
    vec![
        signed("release by one who is no deployer", "staging", &[STRANGER])
            .gives("UNTRUSTED", "UNKNOWN_SIGNER")
            .audited("UNKNOWN_SIGNER"),
        signed(
            "release by a deployer of other environments",
            "staging",
            &[OTHER],
        )
        .gives("UNTRUSTED", "SIGNER_NOT_ALLOWED")
        .audited("SIGNER_NOT_ALLOWED"),
        signed(
            "release by one signer where two are asked",
            "prod/eu/shop",
            &[DEV],
        )
        .gives("UNTRUSTED", "TOO_FEW_APPROVALS")
        .audited("TOO_FEW_APPROVALS"),
        signed(
            "release by one who was struck off",
            "prod/eu/shop",
            &[DEV, THIRD],
        )
        .gives("UNTRUSTED", "UNKNOWN_SIGNER")
        .audited("UNKNOWN_SIGNER"),
        signed(
            "release with a junk signature beside",
            "staging",
            &[DEV, STRANGER],
        )
        .gives("UNTRUSTED", "UNKNOWN_SIGNER")
        .audited("UNKNOWN_SIGNER"),
        lie("release with its signatures swapped", |stage| {
            let mut sent = next(&stage.world, "prod/eu/shop").sign(&[DEV, OTHER]);
            sent.envelope = signatures(&sent.envelope, |all| swap(all));
            sequenced(stage, &sent);
        })
        .of("prod/eu/shop")
        .gives("UNTRUSTED", "BAD_SIGNATURE")
        .audited("BAD_SIGNATURE"),
        lie("release with one of its signatures dropped", |stage| {
            let mut sent = next(&stage.world, "prod/eu/shop").sign(&[DEV, OTHER]);
            sent.envelope = signatures(&sent.envelope, |all| all.truncate(1));
            sequenced(stage, &sent);
        })
        .of("prod/eu/shop")
        .gives("UNTRUSTED", "TOO_FEW_APPROVALS")
        .audited("TOO_FEW_APPROVALS"),
    ]
}

fn statements() -> Vec<Lie> {
    vec![
        lie("release signed for another ledger", |stage| {
            let mut draft = next(&stage.world, "staging");
            draft.release.ledger = LeafHash([9; 32]);
            sequenced(stage, &draft.sign(&[DEV]));
        })
        .gives("TAMPERED", "ROW_MISMATCH")
        .audited("WRONG_LEDGER"),
        lie("policy where the release should be", |stage| {
            let policy = stage.world.policies[2].clone();
            sequenced_as(stage, &policy.entry, &policy.document);
        })
        .gives("TAMPERED", "ROW_MISMATCH")
        .audited("WRONG_VERSION"),
        lie("junk where the release should be", |stage| {
            sequenced_as(stage, &Bytes::from_static(b"{}"), &Bytes::new());
        })
        .gives("TAMPERED", "ENTRY_UNKNOWN_SHAPE")
        .audited("ENTRY_UNKNOWN_SHAPE"),
        lie("signed manifest that is none", |stage| {
            let mut draft = next(&stage.world, "staging");
            draft.document = b"{\"schema\":\"cairn.manifest/v1\"}".to_vec();
            sequenced(stage, &draft.sign(&[DEV]));
        })
        .gives("TAMPERED", "JSON_MISSING_MEMBER")
        .audited("JSON_MISSING_MEMBER"),
        lie("statement of a kind that is not known", |stage| {
            let payload = next(&stage.world, "staging").statement().encode();
            let payload = String::from_utf8(payload).unwrap();
            let newer = payload.replace("urn:cairn:release:v1", "urn:cairn:approval:v1");
            assert_ne!(payload, newer);
            let sent = request(newer.as_bytes(), b"", &[DEV]);
            sequenced_as(stage, &sent.envelope, &sent.document);
        })
        .gives("FAILED", "NEEDS_NEWER_CAIRN")
        .audited("NEEDS_NEWER_CAIRN"),
    ]
}

/// What its own deployers signed, out of order: only who reads the whole log sees that.
fn out_of_order() -> Vec<Lie> {
    vec![
        lie("sequence skipped", |stage| {
            let mut draft = next(&stage.world, "staging");
            draft.release.sequence = Sequence(4);
            sequenced(stage, &draft.sign(&[DEV]));
        })
        .gives("VERIFIED", "-")
        .audited("WRONG_SEQUENCE"),
        lie("previous wrong", |stage| {
            let mut draft = next(&stage.world, "staging");
            draft.release.previous = Some(LeafHash([9; 32]));
            sequenced(stage, &draft.sign(&[DEV]));
        })
        .gives("VERIFIED", "-")
        .audited("WRONG_PREVIOUS"),
    ]
}

fn policies() -> Vec<Lie> {
    vec![
        lie("a stranger's policy in the chain, log and map", |stage| {
            let sent = strangers_policy(&stage.world);
            decreed(stage, &sent);
        })
        .gives("UNTRUSTED", "UNKNOWN_SIGNER")
        .audited("UNKNOWN_SIGNER"),
        lie("a stranger's policy, and a release under it", |stage| {
            let world = &mut stage.world;
            let previous = world.state.chain().unwrap().current().leaf;
            let mut own = stricter(4);
            own.deployers[0].key = key(STRANGER).public_key();
            let genesis = *world.trust.genesis();
            let sent = policy_entry(genesis, previous, &own, &[STRANGER]);
            decreed(stage, &sent);
            let released = next(&stage.world, "staging").sign(&[STRANGER]);
            let world = &mut stage.world;
            let index = world.force(&released.envelope, &released.document);
            let (environment, row) = world.row_for(&released.envelope, index);
            let mut map = world.map().clone();
            let key = RowName::Environment(&environment).key();
            map.insert(key, Row::Environment(row));
            world.seal_map(map);
        })
        .gives("UNTRUSTED", "UNKNOWN_SIGNER")
        .audited("UNKNOWN_SIGNER"),
        lie("policy version skipped", |stage| {
            let chain: &PolicyChain = stage.world.state.chain().unwrap();
            let (genesis, previous) = (*chain.ledger(), chain.current().leaf);
            let sent = policy_entry(genesis, previous, &stricter(5), &[ADMIN]);
            decreed(stage, &sent);
        })
        .gives("UNTRUSTED", "WRONG_VERSION")
        .audited("WRONG_VERSION"),
        lie("policy that follows another", |stage| {
            let genesis = *stage.world.trust.genesis();
            let sent = policy_entry(genesis, genesis, &stricter(4), &[ADMIN]);
            decreed(stage, &sent);
        })
        .gives("UNTRUSTED", "WRONG_PREVIOUS")
        .audited("WRONG_PREVIOUS"),
    ]
}

pub(super) fn lies() -> Vec<Lie> {
    let mut all = signers();
    all.extend(statements());
    all.extend(out_of_order());
    all.extend(policies());
    all
}
