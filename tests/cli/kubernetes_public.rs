//! Manifests that others published: Kubernetes' own, of every kind with every field filled in,
//! and the examples that kubectl ships. `CAIRN_KUBERNETES_EXAMPLES` names a folder with the
//! `testdata` of the modules `k8s.io/api` and `k8s.io/kubectl`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::{
    cluster::told,
    stage::Stage,
    support::tools::{Random, kubectl, lacks},
};

/// Rounds in which each object has another field changed.
const ROUNDS: usize = 6;
/// What the API writes by itself, and what an object is known by.
const NOT_COMPARED: [&str; 8] = [
    "creationTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
];

fn examples(test: &str) -> Option<PathBuf> {
    if !kubectl(test) {
        return None;
    }
    let folder = std::env::var_os("CAIRN_KUBERNETES_EXAMPLES").map(PathBuf::from);
    if folder.is_none() {
        lacks(test, "CAIRN_KUBERNETES_EXAMPLES names no folder");
    }
    folder
}

pub(crate) fn files(below: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![below.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// An object, and the YAML that says the same.
struct Example {
    object: Value,
    yaml: String,
}

/// One object of each group and kind at a time: of several versions each in a turn of its own.
fn turns(folder: &Path) -> Vec<Vec<Example>> {
    let mut kinds: BTreeMap<(String, String), usize> = BTreeMap::new();
    let mut turns: Vec<Vec<Example>> = Vec::new();
    for path in files(&folder.join("api/testdata/HEAD"), "json") {
        let object: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let text = |member: &str| object[member].as_str().unwrap_or_default().to_owned();
        let version = text("apiVersion");
        let group = version.split_once('/').map_or("", |(group, _)| group);
        // What is only ever asked or answered has no name; lists are their items.
        if object["metadata"]["name"].is_null() || object["items"].is_array() {
            continue;
        }
        let turn = kinds.entry((group.to_owned(), text("kind"))).or_default();
        if turns.len() == *turn {
            turns.push(Vec::new());
        }
        let yaml = fs::read_to_string(path.with_extension("yaml")).unwrap();
        turns[*turn].push(Example { object, yaml });
        *turn += 1;
    }
    turns
}

/// The pointers to all single values that are compared.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    let below = |name: &str| format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                let own = at == "/metadata" && NOT_COMPARED.contains(&name.as_str());
                let top =
                    at.is_empty() && ["apiVersion", "kind", "status"].contains(&name.as_str());
                if !own && !top {
                    leaves(value, &below(name), found);
                }
            }
        }
        Value::Array(items) => {
            for (place, value) in items.iter().enumerate() {
                leaves(value, &below(&place.to_string()), found);
            }
        }
        Value::Null => {}
        _ => found.push(at.to_owned()),
    }
}

fn change(value: &mut Value) {
    *value = match value {
        Value::Bool(flag) => (!*flag).into(),
        Value::Number(number) => (number.as_i64().unwrap() + 1).into(),
        // It stays base64 where it was.
        Value::String(text) => format!("AAAA{text}").into(),
        other => panic!("{other}"),
    };
}

/// Goal: every kind of Kubernetes is recorded from YAML and verified from JSON, and a change of
/// whatever field of whatever kind is drift of that object, and of it alone. Method: Kubernetes'
/// own examples of all kinds; in each round another value of each.
#[test]
fn every_kind_is_a_match_until_a_field_changes() {
    let test = "every kind of Kubernetes";
    let Some(folder) = examples(test) else {
        return;
    };
    let (stage, _ledger) = Stage::with_ledger();
    let mut random = Random::seeded(test);
    let (mut kinds, mut changes) = (0, 0);
    for (turn, examples) in turns(&folder).iter().enumerate() {
        let yaml: Vec<_> = examples.iter().map(|it| it.yaml.as_str()).collect();
        stage.write("all.yaml", yaml.join("\n---\n"));
        let list = |objects: &[Value]| {
            stage.write(
                "all.json",
                json!({"kind": "List", "items": objects}).to_string(),
            );
        };
        let mut objects: Vec<_> = examples.iter().map(|it| it.object.clone()).collect();
        list(&objects);
        let environment = format!("all/{turn}");
        stage
            .run(&format!("record {environment} --kubernetes=all.yaml"))
            .exits(0);
        let verify = format!("verify {environment} --kubernetes=all.json --output json");
        let report = stage.run(&verify).exits(0).json("cairn.verify/v1");
        let count = json!({"matched": objects.len(), "total": objects.len()});
        assert_eq!(report["objects"], count, "{report}");
        kinds += objects.len();
        for _ in 0..ROUNDS {
            let mut altered = BTreeSet::new();
            for (object, example) in objects.iter_mut().zip(examples) {
                *object = example.object.clone();
                let mut all = Vec::new();
                leaves(object, "", &mut all);
                let bound = u64::try_from(all.len()).unwrap();
                let place = usize::try_from(random.below(bound)).unwrap();
                change(object.pointer_mut(&all[place]).unwrap());
                let group = object["apiVersion"].as_str().unwrap();
                let group = group.split_once('/').map_or("core", |(group, _)| group);
                let kind = object["kind"].as_str().unwrap();
                altered.insert((format!("/{group}/{kind}/"), all[place].clone()));
            }
            list(&objects);
            let report = stage.run(&verify).exits(10).json("cairn.verify/v1");
            let told = told(&report["differences"]);
            for (kind, pointer) in &altered {
                let own = told.iter().any(|(artifact, ..)| artifact.contains(kind));
                assert!(own, "{kind}: nobody noticed {pointer}");
            }
            changes += altered.len();
        }
    }
    assert!(kinds > 100, "{kinds}");
    println!("{kinds} kinds and versions, {changes} changed fields, each noticed");
}

/// Objects as an API would serve them: with an id each.
fn served(objects: &str) -> Vec<u8> {
    let objects = serde_json::Deserializer::from_str(objects).into_iter::<Value>();
    let objects = objects.map(|object| {
        let mut object = object.unwrap();
        object["metadata"]["uid"] = json!("3f2e9a4c");
        object.to_string()
    });
    objects.collect::<String>().into_bytes()
}

/// Goal: of the examples that kubectl ships each is recorded and verified, or refused for what
/// is wrong with it, and then nothing is recorded. Method: each file alone.
#[test]
fn what_kubectl_ships_is_recorded_or_refused() {
    let Some(folder) = examples("what kubectl ships") else {
        return;
    };
    let (stage, _ledger) = Stage::with_ledger();
    let (mut recorded, mut verified) = (0, 0);
    let mut all = files(&folder.join("kubectl/testdata"), "yaml");
    all.extend(files(&folder.join("kubectl/testdata"), "json"));
    for (place, path) in all.iter().enumerate() {
        stage.write("one", fs::read(path).unwrap());
        let ran = stage.run(&format!("record one/{place} --kubernetes=one"));
        let verify = format!("verify one/{place} --kubernetes");
        if ran.code == Some(0) {
            let restored = stage
                .run(&format!("restore one/{place} kubernetes --to -"))
                .exits(0);
            let served = served(&restored.out);
            // What was applied is no answer of the API, which gives each object an id.
            if !stage.text("one").contains("uid") {
                stage.run(&format!("{verify}=one")).exits(16);
            }
            if !restored.err.contains("withheld") {
                stage.feed(&format!("{verify}=-"), &served).exits(0);
                verified += 1;
            }
            recorded += 1;
            continue;
        }
        let unknown = stage.run(&format!("{verify}=one"));
        let why = ran.err.lines().next().unwrap_or_default();
        println!("{}: {why}", path.display());
        ran.refuses(1, "SOURCE_INVALID");
        unknown.exits(11);
    }
    println!("{recorded} of {} recorded, {verified} verified", all.len());
    assert!(verified >= 10, "{verified}");
}
