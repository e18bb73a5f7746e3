//! Bundles that travel with an image: stapled into a layout that umoci made, read by skopeo
//! and umoci as before, found and verified with no network.

use std::{collections::BTreeMap, fs, path::Path};

use cairn_proto::hash::Sha256;
use serde_json::{Value, json};

use crate::{
    layout::write_layout,
    stage::{Ledger, Ran, Stage},
    support::docker::{build, has_tools, run},
};

pub(crate) const BUNDLE: &str = "application/vnd.cairn.bundle.v1";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OFFLINE: &str =
    "verify prod/shop oci --offline --trust trust.json --bundle oci:oci:1";

/// Every file below a folder, by its path there.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
                found.insert(name.to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

pub(crate) fn index(stage: &Stage) -> Value {
    serde_json::from_str(&stage.text("oci/index.json")).unwrap()
}

/// The path of the blob that a descriptor names.
pub(crate) fn blob(descriptor: &Value) -> String {
    let digest = descriptor["digest"].as_str().unwrap();
    format!(
        "oci/blobs/sha256/{}",
        digest.strip_prefix("sha256:").unwrap()
    )
}

/// The descriptors of all staples in the layout.
pub(crate) fn staples(stage: &Stage) -> Vec<Value> {
    let top = index(stage);
    let all = top["manifests"].as_array().unwrap().iter();
    let own = all.filter(|it| it["artifactType"] == BUNDLE);
    own.cloned().collect()
}

/// A layout of one image with the tag `1`, recorded.
pub(crate) fn recorded() -> (Stage, Ledger) {
    let (stage, ledger) = Stage::with_ledger();
    write_layout(&stage.path("oci"), b"a layer");
    let tag = json!({ "org.opencontainers.image.ref.name": "1" });
    let mut top = index(&stage);
    top["manifests"][0]["annotations"] = tag;
    stage.write("oci/index.json", top.to_string());
    stage.run("record prod/shop oci").exits(0);
    trust(&stage);
    (stage, ledger)
}

/// Writes down what a host is given: the trust file, and nothing else.
pub(crate) fn trust(stage: &Stage) {
    let shown = stage.run("trust show --output json").exits(0);
    stage.write("trust.json", shown.out);
}

/// Runs a command of somebody who has only the trust file.
pub(crate) fn elsewhere(stage: &Stage, line: &str) -> Ran {
    let words: Vec<_> = line.split_whitespace().collect();
    Ran::of(stage.command_of("elsewhere").args(words), line)
}

/// What an independent reader of the layout finds: a staple's descriptor, and its blobs.
fn read_by_hand(stage: &Stage, stapled: &Value) -> (Value, [String; 3]) {
    let [descriptor] = <[Value; 1]>::try_from(staples(stage)).unwrap();
    assert_eq!(descriptor["mediaType"], MANIFEST);
    assert_eq!(descriptor["digest"], stapled["manifest"]);
    let words = &descriptor["annotations"];
    assert_eq!(words["vnd.cairn.bundle.environment"], "prod/shop");
    assert_eq!(words["vnd.cairn.bundle.sequence"], "1");
    let manifest: Value = serde_json::from_str(&stage.text(&blob(&descriptor))).unwrap();
    assert_eq!(manifest["artifactType"], BUNDLE);
    assert_eq!(manifest["annotations"], *words);
    assert_eq!(manifest["subject"]["digest"], stapled["subject"]);
    assert_eq!(
        manifest["subject"]["digest"],
        index(stage)["manifests"][0]["digest"]
    );
    let empty = "application/vnd.oci.empty.v1+json";
    assert_eq!(manifest["config"]["mediaType"], empty);
    assert_eq!(stage.text(&blob(&manifest["config"])), "{}");
    let [layer] = <[Value; 1]>::try_from(manifest["layers"].as_array().unwrap().clone()).unwrap();
    assert_eq!(layer["mediaType"], BUNDLE);
    let blobs = [blob(&descriptor), blob(&manifest["config"]), blob(&layer)];
    (descriptor, blobs)
}

/// Goal: an image with a staple is the image that it was, to Cairn and to everybody else, and
/// carries its own proof. Method: umoci makes it, skopeo and umoci read it before and after,
/// every file is compared, and a host with the trust file alone verifies it.
#[test]
fn a_stapled_image_is_the_image_that_it_was_and_verifies_offline() {
    if !has_tools("staple", &["umoci", "skopeo"]) {
        return;
    }
    let (stage, ledger) = Stage::with_ledger();
    let folder = stage.path("");
    build(&folder, "1", "hello", "");
    build(&folder, "2", "other", "");
    let seen = || {
        let inspected = run(&folder, "skopeo inspect oci:oci:1");
        let copied = "skopeo copy -q oci:oci:1 dir:copy";
        run(&folder, copied);
        let copy = files(&folder.join("copy"));
        let raw = run(&folder, "skopeo inspect --raw oci:oci:2");
        let tags = run(&folder, "umoci list --layout oci");
        let stat = run(&folder, "umoci stat --image oci:1 --json");
        (inspected, copy, raw, tags, stat)
    };
    let (looked, before) = (seen(), files(&stage.path("oci")));
    stage.run("record prod/shop oci").exits(0);
    trust(&stage);
    let stapled = stage.run("export prod/shop --staple oci:1 --output json");
    let stapled = stapled.exits(0).json("cairn.export/v1");
    assert_eq!(stapled["staple"]["changed"], true);
    assert_eq!(seen(), looked, "skopeo and umoci see what they saw");

    let (descriptor, blobs) = read_by_hand(&stage, &stapled["staple"]);

    // Nothing else changed, and the index only by the descriptor.
    let mut after = files(&stage.path("oci"));
    for blob in blobs {
        after.remove(blob.strip_prefix("oci/").unwrap()).unwrap();
    }
    let text =
        |files: &BTreeMap<String, Vec<u8>>| String::from_utf8(files["index.json"].clone()).unwrap();
    let (old, new) = (text(&before), text(&after));
    let (head, tail) = old.split_at(old.rfind(']').unwrap());
    let added = new.strip_prefix(head).and_then(|it| it.strip_suffix(tail));
    let added = added.and_then(|it| it.strip_prefix(',')).unwrap();
    assert_eq!(serde_json::from_str::<Value>(added).unwrap(), descriptor);
    after.insert("index.json".to_owned(), old.into_bytes());
    assert!(after == before, "no other file changed");

    stage
        .run("verify prod/shop oci")
        .exits(0)
        .says("passed over");
    stage.run("record prod/shop oci").exits(0).says("Unchanged");
    drop(ledger);
    elsewhere(&stage, OFFLINE)
        .exits(0)
        .says("VERIFIED  prod/shop#1")
        .says("a bundle of prod/shop#1 is stapled to");
    let hello = blob(&index(&stage)["manifests"][0]);
    stage.edit(&hello, "sha256", "sha255");
    let ran = elsewhere(&stage, OFFLINE);
    ran.refuses(1, "IMAGE_INVALID");
}

/// Puts somebody else's referrer beside the image, as another tool writes an index.
fn add_referrer(stage: &Stage) -> Value {
    let mut top = index(stage);
    let empty = json!({
        "mediaType": "application/vnd.oci.empty.v1+json", "size": 2,
        "digest": format!("sha256:{}", Sha256::of(b"{}")),
    });
    stage.write(&blob(&empty), "{}");
    let sbom = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "text/sbom",
        "config": empty, "layers": [empty], "subject": top["manifests"][0],
    });
    let sbom = sbom.to_string();
    let referrer = json!({
        "mediaType": MANIFEST, "size": sbom.len(), "artifactType": "text/sbom",
        "digest": format!("sha256:{}", Sha256::of(sbom.as_bytes())), "x-unknown": [1, 2],
    });
    stage.write(&blob(&referrer), &sbom);
    let all = top["manifests"].as_array_mut().unwrap();
    all.push(referrer.clone());
    top["x-unknown"] = json!({ "kept": true });
    let text = serde_json::to_string_pretty(&top).unwrap();
    stage.write("oci/index.json", text);
    referrer
}

/// Goal: stapling again changes nothing, in whatever order. Method: two environments, twice; then
/// another tool writes the index in its own way, and nobody guesses what was meant.
#[test]
fn stapling_again_changes_nothing() {
    let (stage, _ledger) = recorded();
    stage.run("record test/shop oci").exits(0);
    // A blob that was there and recorded before is still compared.
    stage.write(&format!("oci/blobs/sha256/{}", Sha256::of(b"{}")), "{}");
    stage.run("verify prod/shop oci").exits(10);
    stage
        .run("record prod/shop oci")
        .exits(0)
        .says("prod/shop#2");
    let staple = |environment: &str, says: &str| {
        let line = format!("export {environment} --staple oci");
        stage.run(&line).exits(0).says(says);
    };
    staple("prod/shop", "Stapled");
    staple("test/shop", "Stapled");
    let once = files(&stage.path("oci"));
    staple("test/shop", "Unchanged");
    staple("prod/shop", "Unchanged");
    assert!(files(&stage.path("oci")) == once);
    stage.run("verify prod/shop oci").exits(0);
    let empty = stage.path(format!("oci/blobs/sha256/{}", Sha256::of(b"{}")));
    fs::remove_file(&empty).unwrap();
    stage
        .run("verify prod/shop oci")
        .exits(10)
        .says("is missing");
    fs::write(empty, "{}").unwrap();

    add_referrer(&stage);
    stage
        .run("verify prod/shop oci")
        .exits(10)
        .says("index.json");
    let odd = files(&stage.path("oci"));
    stage
        .run("export prod/shop --staple oci:1")
        .refuses(1, "STAPLE_INVALID");
    assert!(files(&stage.path("oci")) == odd);
}

/// Goal: a newer bundle takes the place of the older, and of nothing else. Method: two
/// environments, a referrer of somebody else, and a release more.
#[test]
fn a_newer_bundle_takes_the_place_of_an_older_one_alone() {
    let (stage, _ledger) = recorded();
    let referrer = add_referrer(&stage);
    stage
        .run("record prod/shop oci")
        .exits(0)
        .says("prod/shop#2");
    stage.run("record test/shop oci").exits(0);
    for environment in ["prod/shop", "test/shop"] {
        let line = format!("export {environment} --staple oci");
        stage.run(&line).exits(0);
    }
    stage.run("verify prod/shop oci").exits(0);
    let (before, old, top) = (files(&stage.path("oci")), staples(&stage), index(&stage));
    stage
        .run("record prod/shop oci --again --reason again")
        .exits(0);
    stage
        .run("export prod/shop --staple oci:1")
        .exits(0)
        .says("Stapled")
        .says("Replaced  an older bundle, of prod/shop#2");
    let new = staples(&stage);
    assert_eq!(new.len(), 2);
    for old in old.iter().filter(|old| !new.contains(old)) {
        assert!(!stage.path(blob(old)).exists(), "what was replaced is gone");
    }
    let now = index(&stage);
    assert_eq!(now["x-unknown"], top["x-unknown"]);
    assert!(now["manifests"].as_array().unwrap().contains(&referrer));
    let mut after = files(&stage.path("oci"));
    after.retain(|name, _| before.contains_key(name) && name != "index.json");
    assert_eq!(after.len(), before.len() - 3);
    assert!(after.iter().all(|(name, bytes)| before[name] == *bytes));
    stage
        .run("verify prod/shop oci")
        .exits(0)
        .says("prod/shop#3");
    let line = OFFLINE.replace("prod/shop", "test/shop");
    elsewhere(&stage, &line).exits(0).says("test/shop#1");
    elsewhere(&stage, OFFLINE).exits(0).says("prod/shop#3");
}

/// Goal: what is asked for is found or refused by name: tags, environments, older bundles.
#[test]
fn what_is_not_stapled_is_refused_by_name() {
    let (stage, ledger) = recorded();
    elsewhere(&stage, OFFLINE)
        .refuses(1, "STAPLE_MISSING")
        .says("there are: none");
    let before = files(&stage.path("oci"));
    for (at, exit, code) in [
        ("oci:none", 2, "USAGE"),
        ("nowhere:1", 1, "PATH_UNREADABLE"),
        ("home:1", 1, "PATH_UNREADABLE"),
    ] {
        let ran = stage.run(&format!("export prod/shop --staple {at}"));
        let error = ran.refuses(exit, code).err;
        let line = OFFLINE.replace("oci:oci:1", &format!("oci:{at}"));
        assert_eq!(elsewhere(&stage, &line).refuses(exit, code).err, error);
    }
    stage.run("export prod/shop").exits(2);
    stage
        .run("export prod/shop --staple oci --tlog-proof")
        .exits(2);
    assert_eq!(files(&stage.path("oci")), before);

    stage
        .run("export prod/shop -o shop.bundle --staple oci")
        .exits(0);
    let manifest: Value = serde_json::from_str(&stage.text(&blob(&staples(&stage)[0]))).unwrap();
    let bundle = fs::read(stage.path(blob(&manifest["layers"][0]))).unwrap();
    assert_eq!(fs::read(stage.path("shop.bundle")).unwrap(), bundle);
    let other = OFFLINE.replace("prod/shop", "prod/other");
    elsewhere(&stage, &other)
        .refuses(1, "STAPLE_MISSING")
        .says("no bundle of prod/other")
        .says("there are: prod/shop#1");
    let unnamed = OFFLINE.replace(" prod/shop", "");
    elsewhere(&stage, &unnamed)
        .exits(0)
        .says("the bundle's own word");
    stage.run("record test/shop oci").exits(0);
    stage.run("export test/shop --staple oci").exits(0);
    elsewhere(&stage, &unnamed).refuses(1, "STAPLE_AMBIGUOUS");
    let named = format!("{unnamed} --environment test/shop");
    elsewhere(&stage, &named).exits(0).says("test/shop#1");

    // A ledger that was set back does not undo what was stapled: another one of the same keys.
    drop(ledger);
    stage.copy("data", "old");
    let ledger = stage.dev();
    stage
        .run("record prod/shop oci --again --reason again")
        .exits(0);
    stage
        .run("export prod/shop --staple oci")
        .exits(0)
        .says("Replaced");
    drop(ledger);
    let before = files(&stage.path("oci"));
    fs::remove_dir_all(stage.path("home/state")).unwrap();
    let _ledger = stage.dev_in("old");
    stage
        .run("export prod/shop --staple oci")
        .refuses(1, "STAPLE_NEWER")
        .says("prod/shop#2");
    assert_eq!(files(&stage.path("oci")), before);
}
