//! Whole ledgers, leaf by leaf. SPEC.md sections 7 and 8.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_proto::{
    entry::Leaf,
    hash::{KeyId, LeafHash, Sha256},
    json::Value as Canonical,
    name::Environment,
    reason::Reason,
    row::{Row, RowName},
    rules::{RuleError, State},
};
use serde_json::Value;

use crate::vectors::{Cases, hex_of, number_of, text_of, told};

/// A ledger of the file: its leaves and documents told by what differs.
struct Told<'a> {
    case: &'a Value,
}

impl<'a> Told<'a> {
    fn text(&self, field: &str, item: &'a Value, list: &str) -> Vec<u8> {
        let earlier = |base: &Value| -> &'a Value {
            let number = usize::try_from(base.as_u64().unwrap()).unwrap();
            &self.case[list][number]
        };
        told(field, item, &earlier)
    }

    fn leaf(&self, item: &'a Value) -> Vec<u8> {
        if let Some(text) = item["leaf_text"].as_str() {
            return text.as_bytes().to_vec();
        }
        let payload = self.text("payload", item, "leaves");
        let signatures = item["signatures"].as_array().unwrap().iter();
        let signatures = signatures.map(|signature| {
            let keyid = text_of(&self.case["keyids_hex"], text_of(signature, "by"));
            Canonical::object([
                ("keyid", Canonical::text(keyid)),
                ("sig", Canonical::text(text_of(signature, "sig_base64"))),
            ])
        });
        let kind = "application/vnd.in-toto+json";
        Canonical::object([
            ("payload", Canonical::text(STANDARD.encode(payload))),
            ("payloadType", Canonical::text(kind)),
            ("signatures", Canonical::Array(signatures.collect())),
        ])
        .encode()
    }

    fn document(&self, item: &Value) -> Vec<u8> {
        match item["document"].as_u64() {
            Some(number) => {
                let number = usize::try_from(number).unwrap();
                self.text("document", &self.case["documents"][number], "documents")
            }
            None => Vec::new(),
        }
    }
}

/// What the rules say of the next leaf; refused, it takes an index and changes nothing else.
fn judge(state: &mut State, leaf: &[u8], document: &[u8]) -> Result<(), Reason> {
    let judged = applied(state, leaf, document);
    if judged.is_err() {
        state.ignore(LeafHash::of(leaf));
    }
    judged.map_err(|error| error.reason())
}

fn applied(state: &mut State, leaf: &[u8], document: &[u8]) -> Result<(), RuleError> {
    match Leaf::decode(leaf)? {
        Leaf::MapRecord(record) => state.apply_map_record(&record),
        Leaf::Entry(entry) => {
            let signed = state.authenticate(entry.with_document(document)?)?;
            state.apply(&signed).map(|_| ())
        }
    }
}

fn ledger(case: &Value) -> State {
    let told = Told { case };
    let mut state = State::new();
    let mut sizes = vec![0];
    for item in case["leaves"].as_array().unwrap() {
        let name = format!("{}: {}", text_of(case, "name"), text_of(item, "name"));
        let leaf = told.leaf(item);
        if item["map_rows"].is_u64() {
            let expected = state.map_record(0);
            assert_eq!(expected.root.to_string(), text_of(item, "map_root_hex"));
            assert_eq!(expected.rows, number_of(item, "map_rows"), "{name}");
        }
        let verdict = judge(&mut state, &leaf, &told.document(item));
        let code = verdict.err().map(Reason::code);
        assert_eq!(code, item["reason"].as_str(), "{name}");
        assert_eq!(code.is_none(), item["ok"].as_bool().unwrap(), "{name}");
        if code.is_none() && leaf.starts_with(b"{\"cairn\":") {
            sizes.push(state.size().0);
        }
    }
    if !case["valid_sizes"].is_null() {
        assert_eq!(Value::from(sizes), case["valid_sizes"]);
    }
    state
}

fn row(state: &State, listed: &Value) -> Option<Row> {
    let name = hex_of(listed, "name_hex");
    let key = match text_of(listed, "kind") {
        "environment" => {
            let name: Environment = str::from_utf8(&name).unwrap().parse().unwrap();
            RowName::Environment(&name).key()
        }
        "policy" => RowName::Policy.key(),
        "digest" => RowName::Digest(&Sha256::from_slice(&name).unwrap()).key(),
        "orders" => RowName::Orders.key(),
        "host" => RowName::Host(&KeyId(name.try_into().unwrap())).key(),
        other => panic!("unknown kind {other}"),
    };
    state.map().get(&key).copied()
}

#[test]
fn ledgers_are_judged_leaf_by_leaf_and_end_in_the_same_map() {
    let (mut accepted, mut refused) = (0, 0);
    Cases::of("rules.json").each(&["ledger"], |_, case| {
        let mut state = ledger(case);
        let root = state.map_record(0).root.to_string();
        assert_eq!(root, text_of(case, "map_root_after_hex"));
        let rows = case["rows_after"].as_array().unwrap();
        assert_eq!(state.map().rows(), u64::try_from(rows.len()).unwrap());
        for listed in rows {
            let found = row(&state, listed).unwrap();
            assert_eq!(found.encode(), hex_of(listed, "row_hex"), "{listed}");
        }
        let leaves = case["leaves"].as_array().unwrap().iter();
        let (good, bad): (Vec<_>, Vec<_>) = leaves.partition(|leaf| leaf["ok"] == true);
        accepted += good.len();
        refused += bad.len();
        "ledger".to_owned()
    });
    assert!(accepted > 30 && refused > 60, "{accepted} and {refused}");
}

/// Goal: each code of section 7 is met by some leaf. Method: the codes that the text names.
#[test]
fn every_refusal_of_the_rules_has_a_vector() {
    let spec = include_str!("../../proto/SPEC.md");
    let from = spec.find("## 7. Rules").unwrap();
    let to = spec.find("## 8. The map").unwrap();
    let named = spec[from..to]
        .split('`')
        .filter(|word| word.parse::<Reason>().is_ok());
    let vectors = include_str!("../../proto/vectors/rules.json");
    let mut count = 0;
    for code in named {
        assert!(
            vectors.contains(&format!("\"reason\":\"{code}\"")),
            "{code}"
        );
        count += 1;
    }
    assert!(count > 15, "{count}");
}
