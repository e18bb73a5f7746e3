//! A secret that was recorded by mistake, and erased by order of the admins.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use cairn_proto::hash::ContentId;

use crate::{
    production::{grant, initialised, serve, with_token},
    repairing::find,
    stage::{Ledger, Stage},
};

const FILES: usize = 1_100;
const PLAIN: &str = "password=correct-horse-battery-staple-one";
const IN_TREE: &str = "token: a-token-that-nobody-should-have-recorded-two";
const LARGE: &str = "-----BEGIN A-DUMP-THAT-HOLDS-EVERYBODYS-DATA-THREE-----";

fn holds(bytes: &[u8], text: &[u8]) -> bool {
    let first = text[0];
    let mut starts = bytes.iter().enumerate().filter(|(_, byte)| **byte == first);
    starts.any(|(at, _)| bytes[at..].starts_with(text))
}

/// Files below a directory that hold any of the secrets.
fn mentions(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(mentions(&path));
            continue;
        }
        let bytes = fs::read(&path).unwrap();
        let secrets = [PLAIN, IN_TREE, LARGE];
        let has = |text: &&str| holds(&bytes, text.as_bytes());
        if secrets.iter().any(has) {
            found.push(path);
        }
    }
    found
}

struct Scene {
    stage: Stage,
    ledger: Option<Ledger>,
}

impl Scene {
    /// Three secrets, in a file, in a tree and in a large file, recorded and in a bundle.
    fn new() -> Self {
        let (stage, ledger) = Stage::with_ledger();
        stage.write("app/.env", PLAIN);
        stage.write("app/web.yaml", "replicas: 3\n");
        stage.write("app/dump.bin", format!("{LARGE}\n").repeat(40_000));
        for number in 0..FILES {
            stage.write(&format!("site/{}/{number}", number % 9), number.to_string());
        }
        stage.write("site/7/secret.txt", IN_TREE);
        let record = "record prod/shop app --store-plain .env";
        stage.run(record).exits(0);
        stage.run("record prod/site site").exits(0);
        stage.run("export prod/shop -o shop.bundle").exits(0);
        stage.run("export prod/site -o site.bundle").exits(0);
        assert!(
            mentions(&stage.path("data")).len() >= 2,
            "there to begin with"
        );
        Self {
            stage,
            ledger: Some(ledger),
        }
    }

    fn order(&self, number: u64, contents: &str) {
        let reason = format!("recorded by mistake {number}");
        let mut words = vec!["order", "redact"];
        words.extend(contents.split_whitespace());
        let file = format!("order{number}.json");
        words.extend([
            "-o",
            &file,
            "--key",
            "data/keys/dev.pem",
            "--reason",
            &reason,
        ]);
        self.stage.run_words(&words).exits(0);
        self.stage.run(&format!("proposal submit {file}")).exits(0);
    }

    fn is_gone(&self) {
        for directory in ["data", "home"] {
            let found = mentions(&self.stage.path(directory));
            assert!(found.is_empty(), "still in {found:?}");
        }
    }

    /// Kills the server, and starts it again.
    fn restart(&mut self) {
        self.ledger = None;
        let began = Instant::now();
        self.ledger = Some(self.stage.dev());
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "a start is quick"
        );
    }

    fn verify(&self, environment: &str, folder: &str, exit: i32) -> String {
        let line = format!("verify {environment} {folder}");
        self.stage.run(&line).exits(exit).out
    }

    /// What was proven before is proven still.
    fn proofs_stand(&self) {
        assert!(self.verify("prod/shop", "app", 0).contains("VERIFIED"));
        assert!(self.verify("prod/site", "site", 0).contains("VERIFIED"));
        for (name, folder) in [("shop", "app"), ("site", "site")] {
            let line = format!("verify --bundle {name}.bundle --offline {folder}");
            self.stage.run(&line).exits(0).says("VERIFIED");
            let line = format!("export prod/{name} -o again.bundle");
            self.stage.run(&line).exits(0);
        }
    }
}

/// Goal: a secret that was recorded by mistake is gone from every file of the server once the
/// order is acknowledged, and stays gone; proofs stand, and everybody says who erased it. Method:
/// three kinds of content; every byte of the data directory and of the home directory is searched.
#[test]
fn a_secret_that_was_recorded_by_mistake_is_erased_and_every_proof_stands() {
    let mut scene = Scene::new();
    let in_tree = ContentId::of(IN_TREE.as_bytes());
    scene.order(1, "--from prod/shop#1 .env dump.bin");
    scene.order(2, &format!("blake3:{in_tree}"));
    scene.is_gone();
    scene.restart();
    scene.is_gone();
    scene.proofs_stand();
    let stage = &scene.stage;
    let audit = stage.run("audit --output json").exits(0);
    let audit = audit.json("cairn.audit/v1");
    assert_eq!(audit["ok"], true);
    let erasures = audit["erasures"].as_array().unwrap();
    assert_eq!(erasures.len(), 2);
    assert_eq!(erasures[0]["contents"].as_array().unwrap().len(), 2);
    assert_eq!(erasures[1]["contents"][0], in_tree.to_string());
    assert_eq!(erasures[1]["order"], 2);
    assert_eq!(erasures[1]["reason"], "recorded by mistake 2");
    stage
        .run("audit")
        .exits(0)
        .says("Erased")
        .says("No problems found");
}

/// Goal: whoever needs bytes that are gone is told by which order, and gets all others. Method:
/// restore, verify, diff, and recording again, after an order and a restart.
#[test]
fn whoever_needs_erased_bytes_is_told_by_which_order() {
    let mut scene = Scene::new();
    let in_tree = ContentId::of(IN_TREE.as_bytes());
    scene.order(
        1,
        &format!(
            "blake3:{in_tree} blake3:{}",
            ContentId::of(PLAIN.as_bytes())
        ),
    );
    scene.restart();
    let stage = &scene.stage;
    stage.write("out/here", "");
    let erased = "was erased by order 1 (index 6): recorded by mistake 1";
    stage.run("show prod/shop#1").exits(0).says(erased);
    let shown = stage.run("show prod/shop#1 --output json").exits(0);
    let shown = shown.json("cairn.show/v1");
    assert_eq!(shown["erased"][0]["artifact"], ".env");
    for (reference, name) in [("prod/shop#1", ".env"), ("prod/site#1", "7/secret.txt")] {
        let line = format!("restore {reference} {name} --to out");
        let ran = stage.run(&line).refuses(1, "CONTENT_ERASED");
        ran.says(&format!("{name} {erased}"));
        assert!(!stage.path("out").join(name).exists());
    }
    for (reference, name) in [
        ("prod/shop#1", "web.yaml"),
        ("prod/shop#1", "dump.bin"),
        ("prod/site#1", "7/7"),
    ] {
        let line = format!("restore {reference} {name} --to out");
        stage.run(&line).exits(0);
    }
    // The same again, or back to it, stores what was erased.
    stage
        .run("record prod/shop app --store-plain .env --again")
        .refuses(1, "CONTENT_ERASED");
    stage
        .run("record prod/other app/.env --store-plain .env")
        .refuses(1, "CONTENT_ERASED")
        .says(erased);
    stage
        .run("record prod/other site")
        .refuses(1, "CONTENT_ERASED");
    let site = stage.run("verify prod/site site --output json").exits(0);
    let site = site.json("cairn.verify/v1");
    assert_eq!(site["erased"], serde_json::json!([]));
    stage.write("app/.env", "password=another\n");
    let ran = stage.run("verify prod/shop app").exits(10);
    assert!(ran.out.contains("DRIFT") && ran.out.contains(erased));
    assert!(!ran.out.contains("Put it back"), "{}", ran.out);
    let report = stage.run("verify prod/shop app --output json").exits(10);
    let report = report.json("cairn.verify/v1");
    assert_eq!(report["erased"][0]["artifact"], ".env");
    assert_eq!(report["erased"][0]["index"], 6);
    let record = "record prod/shop app --store-plain .env";
    stage.run(record).exits(0);
    stage
        .run("diff prod/shop#1 prod/shop#2")
        .exits(0)
        .says(erased);
    stage
        .run("rollback prod/shop prod/shop#1")
        .refuses(1, "CONTENT_ERASED");
    stage.run("retire prod/site").exits(0);
}

/// Goal: a repair after loss neither misses nor brings back what was erased. Method: a journal that
/// is damaged, and packs from a backup that is older than the order; the copy of the log that an
/// audit kept; then all of it is served, and searched.
#[test]
fn a_repair_with_a_backup_older_than_the_order_brings_nothing_back() {
    let (stage, made) = initialised(&["--anchor", "anchor"]);
    let genesis = made["genesis"].as_str().unwrap();
    grant(&stage);
    let ledger = serve(&stage);
    with_token(&stage, genesis, &ledger.url);
    stage.write("app/.env", PLAIN);
    stage.write("app/web.yaml", "replicas: 3\n");
    stage
        .run("record prod/shop app --store-plain .env")
        .exits(0);
    stage.copy("server/data/packs", "backup");
    stage
        .run("order redact .env --from prod/shop#1 --reason mistake -o order.json --key admin.pem")
        .exits(0);
    stage.run("proposal submit order.json").exits(0);
    stage.write("app/.env", "password=another\n");
    stage
        .run("record prod/shop app --store-plain .env")
        .exits(0);
    stage.run("audit").exits(0).says("Erased");
    drop(ledger);
    assert_eq!(mentions(&stage.path("server")), Vec::<PathBuf>::new());

    let copy = find(&stage.home().join("state"), "checkpoint").unwrap();
    let copy = copy.parent().unwrap().display().to_string();
    fs::remove_dir_all(stage.path("server/data/journal")).unwrap();
    stage.copy("backup", "server/data/packs");
    assert!(!mentions(&stage.path("server")).is_empty());
    let repair = format!("repair --config server/server.toml --from {copy} --output json");
    let told = stage.run(&repair).exits(0).json("cairn.repair/v1");
    assert_eq!(told["contentsLost"], true, "of the second release");
    let ledger = serve(&stage);
    with_token(&stage, genesis, &ledger.url);
    assert_eq!(mentions(&stage.path("server")), Vec::<PathBuf>::new());
    stage.write("out/here", "");
    stage
        .run("restore prod/shop#1 .env --to out")
        .refuses(1, "CONTENT_ERASED");
    stage.run("restore prod/shop#1 web.yaml --to out").exits(0);
    stage
        .run("restore prod/shop#2 .env --to out")
        .refuses(1, "NOT_FOUND");
    stage.run("audit").exits(0).says("Erased");
}

/// Goal: without its listing a tree is still verified as a whole, and nobody says that what it listed
/// is lost. Method: a secret file and the listing that names it are erased; verify, export, restore.
#[test]
fn a_tree_whose_listing_was_erased_is_verified_as_a_whole() {
    let scene = Scene::new();
    let stage = &scene.stage;
    let shown = stage.run("show prod/site#1 --output json").exits(0);
    let tree = shown.json("cairn.show/v1")["artifacts"][0]["name"].clone();
    let in_tree = ContentId::of(IN_TREE.as_bytes());
    scene.order(1, &format!("blake3:{in_tree}"));
    scene.order(2, &format!("--from prod/site#1 {}", tree.as_str().unwrap()));
    assert!(scene.verify("prod/site", "site", 0).contains("VERIFIED"));
    stage.run("export prod/site -o site2.bundle").exits(0);
    let line = "verify --bundle site2.bundle --offline site";
    stage.run(line).exits(0).says("VERIFIED");
    stage.write("out/here", "");
    stage
        .run("restore prod/site#1 7/7 --to out")
        .refuses(1, "CONTENT_ERASED")
        .says("was erased by order 2");
    stage.write("site/7/7", "another");
    let drift = scene.verify("prod/site", "site", 10);
    assert!(drift.contains("was erased by order 2") && !drift.contains("Put it back"));
    stage.run(line).exits(10);
}
