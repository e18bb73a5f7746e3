//! Keys, rows, roots and proofs of the map. SPEC.md section 8.

use cairn_proto::{
    hash::{KeyId, MapKey, MapRoot, RowHash, Sha256},
    map::{Map, MapProof},
    name::Environment,
    reason::Reason,
    row::{Row, RowName},
};
use serde_json::Value;

use crate::vectors::{Cases, base64_of, hash_of, hex_of, judged, text_of};

fn key(case: &Value) {
    let bytes = hex_of(case, "name_hex");
    let environment: Environment;
    let sha256: Sha256;
    let host: KeyId;
    let name = match text_of(case, "kind") {
        "environment" => {
            environment = str::from_utf8(&bytes).unwrap().parse().unwrap();
            RowName::Environment(&environment)
        }
        "policy" => {
            assert_eq!(bytes, b"policy");
            RowName::Policy
        }
        "orders" => {
            assert_eq!(bytes, b"orders");
            RowName::Orders
        }
        "host" => {
            host = KeyId(hash_of(case, "name_hex"));
            RowName::Host(&host)
        }
        "digest" => {
            sha256 = Sha256::from_slice(&bytes).unwrap();
            RowName::Digest(&sha256)
        }
        other => panic!("unknown kind {other}"),
    };
    assert_eq!(name.key().to_string(), text_of(case, "key_hex"));
    let encoded = hex_of(case, "row_hex");
    let row = name.decode(&encoded).unwrap();
    assert_eq!(row.encode(), encoded);
    assert_eq!(row.hash().to_string(), text_of(case, "row_hash_hex"));
    assert_eq!(name.decode(&encoded[1..]), None);
}

/// Whether bytes are a row of a kind.
fn row(case: &Value) {
    let environment: Environment = "prod/web".parse().unwrap();
    let name = match text_of(case, "kind") {
        "environment" => RowName::Environment(&environment),
        "policy" => RowName::Policy,
        "digest" => RowName::Digest(&Sha256([0; 32])),
        "orders" => RowName::Orders,
        "host" => RowName::Host(&KeyId([0; 32])),
        other => panic!("unknown kind {other}"),
    };
    let bytes = hex_of(case, "row_hex");
    let found = name.decode(&bytes).ok_or(Reason::MapProof);
    if let Some(row) = judged(case, found) {
        assert_eq!(row.encode(), bytes);
    }
}

/// A map over any 32 bytes as keys, which no name hashes to.
fn map(case: &Value) -> Map {
    let mut map = Map::default();
    for pair in case["pairs"].as_array().unwrap() {
        let row: Option<Row> = RowName::Digest(&Sha256([0; 32])).decode(&hex_of(pair, "row_hex"));
        map.insert(MapKey(hash_of(pair, "key_hex")), row.unwrap());
    }
    map
}

fn root(case: &Value) {
    let mut map = map(case);
    assert_eq!(map.root().to_string(), text_of(case, "root_hex"));
    let rows = u64::try_from(case["pairs"].as_array().unwrap().len()).unwrap();
    assert_eq!(map.rows(), rows);
}

fn proof(cases: &Cases, case: &Value) {
    let root = MapRoot(hash_of(case, "root_hex"));
    let asked = MapKey(hash_of(case, "key_hex"));
    let wanted = match &case["row_hash_hex"] {
        Value::Null => None,
        _ => Some(RowHash(hash_of(case, "row_hash_hex"))),
    };
    let bytes = base64_of(case, "proof_base64");
    let found = MapProof::decode(&bytes).and_then(|proof| proof.row_hash(&root, &asked));
    let said = found.map_or(Err(Reason::MapProof), |found| {
        (found == wanted).then_some(()).ok_or(Reason::MapProof)
    });
    if judged(case, said).is_some() {
        assert_eq!(MapProof::decode(&bytes).unwrap().encode(), bytes);
    }
    if let Some(among) = case["among"].as_str() {
        let mut map = map(cases.named(among));
        assert_eq!(map.root(), root);
        assert_eq!(map.prove(&asked).unwrap().encode(), bytes);
    }
}

#[test]
fn keys_rows_roots_and_proofs_are_those_of_the_second_implementation() {
    let mut built = 0;
    Cases::of("map.json").each(&["key", "root", "proof", "row"], |cases, case| {
        let kind = text_of(case, "op");
        match kind {
            "key" => key(case),
            "root" => root(case),
            "proof" => proof(cases, case),
            "row" => row(case),
            other => panic!("unknown op {other}"),
        }
        built += u64::from(case["among"].is_string());
        kind.to_owned()
    });
    assert!(built > 10, "{built} proofs were built");
}
