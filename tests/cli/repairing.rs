//! A journal that was lost or damaged, rebuilt from a copy: what comes back, and what is refused.

use std::fs;

use serde_json::Value;

use crate::{
    production::{grant, initialised, serve, with_token},
    stage::{Ledger, Stage},
};

/// A ledger whose anchor is elsewhere, with two releases, and an auditor's copy of it.
struct Scene {
    stage: Stage,
    copy: String,
}

impl Scene {
    fn new() -> Self {
        let (stage, made) = initialised(&["--anchor", "anchor"]);
        grant(&stage);
        let ledger = serve(&stage);
        with_token(&stage, made["genesis"].as_str().unwrap(), &ledger.url);
        stage.write("app/web.yaml", "replicas: 3\n");
        stage.run("record prod/shop app").exits(0);
        stage.edit("app/web.yaml", "3", "4");
        stage.run("record prod/shop app").exits(0);
        stage.run("audit").exits(0);
        drop(ledger);
        let below = stage.home().join("state");
        let copy = find(&below, "checkpoint").expect("an audit keeps a copy");
        let copy = copy.parent().unwrap().display().to_string();
        Self { stage, copy }
    }

    /// Goes on to serve, with the context at the new address.
    fn serve(&self) -> Ledger {
        let ledger = serve(&self.stage);
        let shown = self.stage.run("trust show --output json").exits(0);
        let genesis = shown.json("cairn.trust/v1")["genesis"].clone();
        with_token(&self.stage, genesis.as_str().unwrap(), &ledger.url);
        ledger
    }

    fn repair(&self, from: &str, more: &str) -> crate::stage::Ran {
        let line = format!("repair --config server/server.toml --from {from} {more}");
        self.stage.run(&line)
    }

    fn refused_to_serve(&self, code: &str) {
        let serve = "serve --config server/server.toml";
        self.stage.run(serve).exits(1).says(&format!("[{code}]"));
    }
}

pub(crate) fn find(directory: &std::path::Path, name: &str) -> Option<std::path::PathBuf> {
    for entry in fs::read_dir(directory).ok()? {
        let path = entry.unwrap().path();
        if path.file_name().unwrap() == name {
            return Some(path);
        }
        if path.is_dir()
            && let Some(found) = find(&path, name)
        {
            return Some(found);
        }
    }
    None
}

/// Goal: a journal whose frames are gone comes back whole from an auditor's copy, contents are
/// still there, and the ledger goes on as if nothing had been. Method: damage, loss of the journal,
/// and a repair that was cut short before; audited by whoever saw it before.
#[test]
fn a_damaged_journal_comes_back_from_an_auditors_copy() {
    let scene = Scene::new();
    let journal = scene.stage.path("server/data/journal");
    let segment = fs::read_dir(&journal).unwrap().next().unwrap().unwrap();
    let mut bytes = fs::read(segment.path()).unwrap();
    let middle = bytes.iter().position(|byte| *byte == b'{').unwrap();
    bytes[middle] ^= 1;
    fs::write(segment.path(), &bytes).unwrap();
    scene.refused_to_serve("STORE_DAMAGED");
    // What an earlier attempt left.
    scene
        .stage
        .write("server/data/journal.new/00000000", "half");
    let ran = scene.repair(&scene.copy, "--output json").exits(0);
    let told = ran.json("cairn.repair/v1");
    assert_eq!(told["contentsLost"], false);
    let aside = told["aside"].as_str().unwrap();
    assert!(scene.stage.path(aside).is_dir(), "{aside}");
    {
        let _ledger = scene.serve();
        scene.stage.run("verify prod/shop app").exits(0);
        fs::create_dir(scene.stage.path("old")).unwrap();
        scene
            .stage
            .run("restore prod/shop#1 web.yaml --to old")
            .exits(0);
        assert_eq!(scene.stage.text("old/web.yaml"), "replicas: 3\n");
        scene.stage.edit("app/web.yaml", "4", "5");
        scene
            .stage
            .run("record prod/shop app")
            .exits(0)
            .says("prod/shop#3");
        scene.stage.run("audit").exits(0);
    }
    // And once more, with all of it gone but anchor and keys.
    fs::remove_dir_all(scene.stage.path("server/data")).unwrap();
    let ran = scene.repair(&scene.copy, "--output json").exits(0);
    let told = ran.json("cairn.repair/v1");
    assert_eq!(
        (&told["contentsLost"], &told["aside"]),
        (&true.into(), &Value::Null)
    );
    let _ledger = scene.serve();
    scene.stage.run("verify prod/shop app").exits(0);
    scene.stage.run("audit").exits(0);
    scene.stage.run("record prod/shop app --again").exits(0);
}

/// Goal: what a repair is given must be all that was signed, and nothing else. Method: a copy that
/// is too old, of another log, with a flipped byte in entry, document and note; no anchor; and
/// nothing changed by any of it.
#[test]
fn a_repair_takes_nothing_that_was_not_signed_and_nothing_less() {
    let scene = Scene::new();
    let old = scene.stage.path("old-copy").display().to_string();
    scene.stage.copy(scene.copy.as_str(), "old-copy");
    {
        let _ledger = scene.serve();
        scene.stage.edit("app/web.yaml", "4", "5");
        scene.stage.run("record prod/shop app").exits(0);
        scene.stage.run("audit").exits(0);
    }
    scene
        .repair(&old, "")
        .refuses(1, "STORE_ANCHOR")
        .says("newer copy");

    let tile = "tile/entries/000.p/8";
    let document = "documents/000.p/8";
    for (path, at, code) in [
        (tile, 40, "REPAIR_SOURCE"),
        (document, 40, "REPAIR_SOURCE"),
        ("checkpoint", 150, "NOTE_SIGNATURE"),
    ] {
        scene.stage.copy(scene.copy.as_str(), "bad-copy");
        let file = scene.stage.path("bad-copy").join(path);
        let mut bytes = fs::read(&file).unwrap();
        bytes[at] ^= 1;
        fs::write(&file, bytes).unwrap();
        let ran = scene.repair("bad-copy", "").exits(1);
        assert!(
            ran.err.contains(code) || ran.err.contains("NOTE_SYNTAX"),
            "{path}: {}",
            ran.err
        );
    }
    scene.stage.copy(scene.copy.as_str(), "short-copy");
    fs::remove_dir_all(scene.stage.path("short-copy/tile")).unwrap();
    assert_ne!(scene.repair("short-copy", "").code, Some(0));
}

/// Goal: where the anchor is lost it takes a person's word, for exactly the copy's head; and a ledger
/// that runs is not touched.
#[test]
fn without_an_anchor_a_repair_takes_a_persons_word_and_a_running_ledger_is_not_touched() {
    let scene = Scene::new();
    fs::rename(scene.stage.path("anchor"), scene.stage.path("anchor.kept")).unwrap();
    let ran = scene.repair(&scene.copy, "").refuses(1, "STORE_ANCHOR");
    let head = ran.err.split("--accept-head ").nth(1).unwrap();
    let head = head
        .split_whitespace()
        .next()
        .unwrap()
        .trim_end_matches('.')
        .to_owned();
    let other = format!("4:{}", &head[2..]);
    scene
        .repair(&scene.copy, &format!("--accept-head {other}"))
        .refuses(1, "STORE_ANCHOR");
    // A running ledger is not touched.
    fs::rename(scene.stage.path("anchor.kept"), scene.stage.path("anchor")).unwrap();
    {
        let _ledger = scene.serve();
        scene.repair(&scene.copy, "").refuses(1, "STORE_LOCKED");
        scene.stage.run("verify prod/shop app").exits(0);
    }
    fs::remove_file(scene.stage.path("anchor")).unwrap();
    scene
        .repair(&scene.copy, &format!("--accept-head {head}"))
        .exits(0);
    let _ledger = scene.serve();
    scene.stage.run("verify prod/shop app").exits(0);
}

/// Goal: another server that has the log is as good as a copy. Method: a second server on a copy of
/// the directory; the first loses its journal.
#[test]
fn a_journal_comes_back_from_another_server() {
    let scene = Scene::new();
    scene.stage.copy("server", "mirror");
    let config = scene.stage.text("mirror/server.toml");
    let below = |name: &str| scene.stage.path(name).display().to_string();
    let config = config.replace(&below("server"), &below("mirror"));
    let config = config.replace(&below("anchor"), &below("mirror/data/anchor"));
    fs::copy(
        scene.stage.path("anchor"),
        scene.stage.path("mirror/data/anchor"),
    )
    .unwrap();
    scene.stage.write("mirror/server.toml", config);
    let mut command = scene.stage.command();
    command.args(["serve", "--config", "mirror/server.toml"]);
    let mirror = Ledger::start(&mut command);
    fs::remove_dir_all(scene.stage.path("server/data/journal")).unwrap();
    scene.repair(&mirror.url, "").exits(0).says("Repaired");
    drop(mirror);
    let _ledger = scene.serve();
    scene.stage.run("verify prod/shop app").exits(0);
    fs::create_dir(scene.stage.path("old")).unwrap();
    scene
        .stage
        .run("restore prod/shop#1 web.yaml --to old")
        .exits(0);
}
