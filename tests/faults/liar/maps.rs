//! Maps that say other than the log, each with a record that is consistent in itself and
//! signed by the real keys: row proofs hold. What contradicts the entries is found by the
//! client; what only hides or repeats is `asserted`, and found by an audit.

use bytes::Bytes;
use cairn_proto::{
    entry::MapRecord,
    hash::{Index, LeafHash, Sha256},
    row::{DigestRow, EnvironmentRow, Row, RowName},
    statement::Action,
};

use super::{
    base::WEB,
    case::{Lie, lie},
    forged::{next, policy_row},
    stage::Stage,
    world::World,
};
use crate::support::{DEV, prove::now};

const RECORD: &str = "MAP_RECORD_WRONG";

fn environment_row(world: &World, environment: &str) -> EnvironmentRow {
    let name = environment.parse().unwrap();
    match world.map().get(&RowName::Environment(&name).key()) {
        Some(Row::Environment(row)) => *row,
        _ => panic!("no such row"),
    }
}

/// Ends the log with a map in which an environment has another row.
fn with_row(stage: &mut Stage, environment: &str, row: EnvironmentRow) {
    let name = environment.parse().unwrap();
    let key = RowName::Environment(&name).key();
    let world = &mut stage.world;
    world.seal_as(|map| map.insert(key, Row::Environment(row)));
}

/// What nobody can see who does not read the whole log.
fn hidden() -> Vec<Lie> {
    vec![
        lie("release kept back: stale row, map re-signed", |stage| {
            let sent = next(&stage.world, "staging").sign(&[DEV]);
            stage.world.force(&sent.envelope, &sent.document);
            stage.world.seal_as(|_| {});
        })
        .gives("VERIFIED", "-")
        .audited(RECORD),
        lie(
            "map change without a leaf: an older release, to a newcomer",
            older,
        )
        .newcomer()
        .files(&[("web.yaml", WEB[0]), ("conf/api.yaml", b"port: 80\n")])
        .honest("SUPERSEDED")
        .gives("VERIFIED", "-")
        .audited(RECORD),
        lie("map change without a leaf: an older release", older)
            .files(&[("web.yaml", WEB[0]), ("conf/api.yaml", b"port: 80\n")])
            .honest("SUPERSEDED")
            .gives("STALE", "ROLLED_BACK")
            .audited(RECORD),
        lie("retirement kept back, to a newcomer", |stage| {
            let row = environment_row(&stage.world.at(14), "old");
            with_row(stage, "old", row);
        })
        .of("old")
        .newcomer()
        .honest("SUPERSEDED")
        .gives("VERIFIED", "-")
        .audited(RECORD),
        lie("environment left out of the map, to a newcomer", left_out)
            .of("qa")
            .newcomer()
            .gives("UNRECORDED", "-")
            .audited(RECORD),
        lie("environment left out of the map", left_out)
            .of("qa")
            .gives("UNRECORDED", "ROLLED_BACK")
            .audited(RECORD),
        lie("digest left out of the map", |stage| {
            let sha256 = Sha256::of(WEB[0]);
            let map = stage.world.map_without(&RowName::Digest(&sha256).key());
            stage.world.seal_map(map);
        })
        .files(&[("else.yaml", WEB[0])])
        .honest("DRIFT")
        .gives("UNRECORDED", "-")
        .audited(RECORD),
        lie("digest invented in the map", |stage| {
            let row = DigestRow::touched(None, Index(8), &environment_row(&stage.world, "qa").leaf);
            let key = RowName::Digest(&Sha256::of(b"never")).key();
            stage.world.seal_as(|map| map.insert(key, Row::Digest(row)));
        })
        .files(&[("else.yaml", b"never")])
        .honest("UNRECORDED")
        .gives("DRIFT", "-")
        .audited(RECORD),
    ]
}

fn older(stage: &mut Stage) {
    let row = environment_row(&stage.world.at(8), "staging");
    with_row(stage, "staging", row);
}

fn left_out(stage: &mut Stage) {
    let name = "qa".parse().unwrap();
    let map = stage.world.map_without(&RowName::Environment(&name).key());
    stage.world.seal_map(map);
}

fn policies() -> Vec<Lie> {
    let kept_back = |stage: &mut Stage| {
        stage.world.policies.truncate(2);
        let row = policy_row(&stage.world);
        stage
            .world
            .seal_as(|map| map.insert(RowName::Policy.key(), row));
    };
    let shifted = |version: usize, index: u64| {
        move |stage: &mut Stage| {
            stage.world.policies[version - 1].index = Index(index);
            let row = policy_row(&stage.world);
            stage
                .world
                .seal_as(|map| map.insert(RowName::Policy.key(), row));
        }
    };
    vec![
        lie("newest policy kept back, to a newcomer", kept_back)
            .newcomer()
            .gives("VERIFIED", "-")
            .audited(RECORD),
        lie("newest policy kept back", kept_back)
            .gives("STALE", "ROLLED_BACK")
            .audited(RECORD),
        lie("shifted index of a policy that is relied on", shifted(2, 9))
            .gives("FAILED", "INCLUSION_UNPROVEN")
            .audited(RECORD),
        lie("shifted index of the newest policy", shifted(3, 15))
            .of("prod/eu/shop")
            .gives("FAILED", "INCLUSION_UNPROVEN")
            .audited(RECORD),
        lie("shifted index of a policy that is not", shifted(2, 9))
            .of("qa")
            .gives("VERIFIED", "-")
            .audited(RECORD),
    ]
}

/// What the entries themselves contradict.
fn contradicted() -> Vec<Lie> {
    vec![
        lie("row of another environment, map re-signed", |stage| {
            let row = environment_row(&stage.world, "qa");
            with_row(stage, "staging", row);
        })
        .gives("TAMPERED", "ROW_MISMATCH")
        .audited(RECORD),
        lie("entry at another index, map re-signed", |stage| {
            let mut row = environment_row(&stage.world, "staging");
            row.index = Index(12);
            with_row(stage, "staging", row);
            let (entry, manifest) = (stage.world.leaf(Index(8)), stage.world.document(Index(8)));
            stage.lookup(move |it| {
                it.entry.clone_from(&entry);
                it.manifest.clone_from(&manifest);
            });
        })
        .gives("FAILED", "INCLUSION_UNPROVEN")
        .audited(RECORD),
        lie("retirement shown as a release, map re-signed", |stage| {
            let mut row = environment_row(&stage.world, "old");
            row.action = Action::Release;
            with_row(stage, "old", row);
        })
        .of("old")
        .honest("SUPERSEDED")
        .gives("TAMPERED", "ROW_MISMATCH")
        .audited(RECORD),
        lie("sequence that the entry does not have", |stage| {
            let mut row = environment_row(&stage.world, "staging");
            row.sequence.0 = 3;
            with_row(stage, "staging", row);
        })
        .gives("TAMPERED", "ROW_MISMATCH")
        .audited(RECORD),
    ]
}

/// Ends the log with any leaf as its map record.
fn ending(stage: &mut Stage, change: impl FnOnce(MapRecord) -> Vec<u8>) {
    let world = &mut stage.world;
    let mut map = world.state.map().clone();
    let record = MapRecord {
        covers: world.size(),
        root: map.root(),
        rows: map.rows(),
        time: now() * 1_000,
    };
    let leaf = Bytes::from(change(record));
    world.state.ignore(LeafHash::of(&leaf));
    world.end(leaf, map);
}

fn records() -> Vec<Lie> {
    vec![
        lie("map record that covers too little", |stage| {
            ending(stage, |mut record| {
                record.covers -= 1;
                record.encode()
            });
        })
        .gives("TAMPERED", RECORD)
        .audited(RECORD),
        lie("head that ends with a release", |stage| {
            let sent = next(&stage.world, "staging").sign(&[DEV]);
            let mut map = stage.world.map().clone();
            map.root();
            let document = sent.document.clone();
            let id = cairn_proto::hash::DocumentId::of(&document);
            stage.world.documents.insert(id, document);
            stage.world.end(sent.envelope, map);
        })
        .gives("TAMPERED", RECORD)
        .audited(RECORD),
        lie("head that ends with junk", |stage| {
            ending(stage, |_| b"junk".to_vec());
        })
        .gives("TAMPERED", "ENTRY_UNKNOWN_SHAPE")
        .audited("ENTRY_UNKNOWN_SHAPE"),
        lie("map of a version that is not known", |stage| {
            ending(stage, |record| {
                let text = String::from_utf8(record.encode()).unwrap();
                text.replace("map/v1", "map/v2").into_bytes()
            });
        })
        .gives("FAILED", "NEEDS_NEWER_CAIRN")
        .audited("NEEDS_NEWER_CAIRN"),
        lie("map record with more rows than the map", |stage| {
            ending(stage, |mut record| {
                record.rows += 1;
                record.encode()
            });
        })
        .gives("VERIFIED", "-")
        .audited(RECORD),
        lie("map record of an earlier time", |stage| {
            ending(stage, |mut record| {
                record.time = 1;
                record.encode()
            });
        })
        .gives("VERIFIED", "-")
        .audited(RECORD),
    ]
}

pub(super) fn lies() -> Vec<Lie> {
    let mut all = hidden();
    all.extend(policies());
    all.extend(contradicted());
    all.extend(records());
    all
}
