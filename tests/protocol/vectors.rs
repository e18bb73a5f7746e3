//! Reads the vector files of proto/vectors, whose form proto/vectors/README.md describes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    fs,
    path::PathBuf,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_proto::reason::Reason;
use serde_json::Value;

/// Every file, each with the module that runs it.
const FILES: [&str; 15] = [
    "bundle.json",
    "documents.json",
    "ed25519.json",
    "entries.json",
    "hosts.json",
    "json.json",
    "map.json",
    "merkle.json",
    "names.json",
    "notes.json",
    "orders.json",
    "rules.json",
    "succession.json",
    "tiles.json",
    "witness.json",
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("proto/vectors")
}

/// The cases of one file, by name and in order.
pub(crate) struct Cases {
    order: Vec<Value>,
    by_name: BTreeMap<String, usize>,
}

impl Cases {
    pub(crate) fn of(file: &str) -> Self {
        assert!(FILES.contains(&file), "{file} is not listed in FILES");
        let text = fs::read_to_string(folder().join(file)).unwrap();
        let mut parsed: Value = serde_json::from_str(&text).unwrap();
        let Value::Array(order) = parsed["cases"].take() else {
            panic!("{file} has no cases");
        };
        let names = order.iter().map(|case| text_of(case, "name").to_owned());
        let by_name: BTreeMap<_, _> = names.zip(0..).collect();
        assert_eq!(by_name.len(), order.len(), "{file}: a name stands twice");
        Self { order, by_name }
    }

    /// Runs every case. `run` returns what kind of case it was; each of `kinds` must occur, so
    /// that none can go missing unseen.
    pub(crate) fn each(mut self, kinds: &[&str], mut run: impl FnMut(&Self, &Value) -> String) {
        let order = std::mem::take(&mut self.order);
        let mut ran = BTreeMap::<String, usize>::new();
        for case in order {
            let kind = run(&self, &case);
            *ran.entry(kind).or_default() += 1;
            self.order.push(case);
        }
        let found: BTreeSet<_> = ran.keys().map(String::as_str).collect();
        assert_eq!(found, kinds.iter().copied().collect());
        assert_eq!(ran.values().sum::<usize>(), self.by_name.len());
        println!("{ran:?}");
    }

    /// An earlier case.
    pub(crate) fn named(&self, name: &str) -> &Value {
        &self.order[self.by_name[name]]
    }

    /// The bytes of a text told whole, or by what differs from that of an earlier case.
    pub(crate) fn told(&self, field: &str, case: &Value) -> Vec<u8> {
        let earlier = |base: &Value| self.named(base.as_str().unwrap());
        let mut told = told(field, case, &earlier);
        if let Some(size) = case["spaces_to"].as_u64() {
            told.resize(usize::try_from(size).unwrap(), b' ');
        }
        told
    }
}

/// A text told by `<field>_text`, or by `<field>_base` and `<field>_edits`.
pub(crate) fn told<'a>(
    field: &str,
    case: &'a Value,
    earlier: &impl Fn(&Value) -> &'a Value,
) -> Vec<u8> {
    if let Some(text) = case[format!("{field}_text")].as_str() {
        return text.as_bytes().to_vec();
    }
    let base = told(field, earlier(&case[format!("{field}_base")]), earlier);
    let mut edited = Vec::new();
    let mut at = 0;
    for edit in case[format!("{field}_edits")].as_array().unwrap() {
        let number = |place: usize| usize::try_from(edit[place].as_u64().unwrap()).unwrap();
        edited.extend_from_slice(&base[at..number(0)]);
        edited.extend_from_slice(edit[2].as_str().unwrap().as_bytes());
        at = number(0) + number(1);
    }
    edited.extend_from_slice(&base[at..]);
    edited
}

pub(crate) fn text_of<'a>(case: &'a Value, field: &str) -> &'a str {
    let text = case[field].as_str();
    text.unwrap_or_else(|| panic!("{field} is no text in {case}"))
}

pub(crate) fn number_of(case: &Value, field: &str) -> u64 {
    let number = case[field].as_u64();
    number.unwrap_or_else(|| panic!("{field} is no number in {case}"))
}

pub(crate) fn hex_of(case: &Value, field: &str) -> Vec<u8> {
    hex::decode(text_of(case, field)).unwrap()
}

pub(crate) fn hash_of(case: &Value, field: &str) -> [u8; 32] {
    hex_of(case, field).try_into().unwrap()
}

pub(crate) fn base64_of(case: &Value, field: &str) -> Vec<u8> {
    STANDARD.decode(text_of(case, field)).unwrap()
}

/// Whether a case is one that must be accepted.
pub(crate) fn is_good(case: &Value) -> bool {
    case["ok"].as_bool().unwrap()
}

/// Compares a verdict with the case's, reason code included, and returns what was accepted.
pub(crate) fn judged<T: Debug>(case: &Value, found: Result<T, Reason>) -> Option<T> {
    let name = text_of(case, "name");
    match (is_good(case), found) {
        (true, Ok(accepted)) => Some(accepted),
        (false, Err(reason)) => {
            if let Some(code) = case["reason"].as_str() {
                assert_eq!(reason.code(), code, "{name}");
            }
            None
        }
        (_, found) => panic!("{name}: {found:?}, but SPEC.md says {}", case["reason"]),
    }
}

#[test]
fn every_vector_file_is_run_by_a_module() {
    let entries = fs::read_dir(folder()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let vectors = paths.filter(|path| path.extension().is_some_and(|found| found == "json"));
    let names: BTreeSet<_> = vectors
        .map(|path| path.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(names, FILES.map(Into::into).into());
    for file in FILES {
        let module = match file.trim_end_matches(".json") {
            "ed25519" => "keys",
            name => name,
        };
        let path = format!("tests/protocol/vectors_{module}.rs");
        let source = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
        let source = fs::read_to_string(source).unwrap();
        assert!(source.contains(&format!("Cases::of(\"{file}\")")), "{file}");
    }
}
