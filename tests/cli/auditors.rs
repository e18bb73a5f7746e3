//! Auditors that vouch for the map, and hosts that ask for them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::stage::{Ledger, Ran, Stage};

const NAMES: [&str; 2] = ["auditor.example/one", "auditor.example/two"];

/// A ledger that takes two auditors' cosignatures, a release, and a host that asks for both.
struct Scene {
    stage: Stage,
    ledger: Option<Ledger>,
    vkeys: Vec<String>,
}

impl Scene {
    fn new() -> Self {
        let stage = Stage::new();
        let vkeys = NAMES.iter().enumerate().map(|(number, name)| {
            stage.run(&format!("key new aud{number}.pem")).exits(0);
            let shown = stage.run(&format!("key show aud{number}.pem --as {name}"));
            shown.exits(0).out.trim().to_owned()
        });
        let vkeys = vkeys.collect();
        let mut scene = Self {
            stage,
            ledger: None,
            vkeys,
        };
        scene.start();
        scene.stage.write("app/web.yaml", "replicas: 3\n");
        scene.stage.run("record prod/shop app").exits(0);
        for home in ["aud0", "aud1"] {
            scene.trust(home, &[]);
        }
        let both = scene.auditors();
        let both: Vec<&str> = both.iter().map(String::as_str).collect();
        scene.trust("host", &both);
        scene
    }

    /// What makes a home ask for both.
    fn auditors(&self) -> Vec<String> {
        let flags = self.vkeys.iter();
        flags
            .flat_map(|vkey| ["--auditor".to_owned(), vkey.clone()])
            .collect()
    }

    fn start(&mut self) {
        self.ledger = None;
        let mut command = self.stage.command();
        command.args(["dev", "--data", "data", "--listen", "127.0.0.1:0"]);
        command.args(self.auditors());
        self.ledger = Some(Ledger::start(&mut command));
    }

    fn of(&self, home: &str, words: &[&str]) -> Ran {
        Ran::of(self.stage.command_of(home).args(words), &words.join(" "))
    }

    fn run(&self, home: &str, line: &str) -> Ran {
        self.of(home, &line.split_whitespace().collect::<Vec<_>>())
    }

    fn trust(&self, home: &str, more: &[&str]) {
        let shown = self.stage.run("trust show --output json").exits(0);
        let genesis = shown.json("cairn.trust/v1")["genesis"].clone();
        let url = &self.ledger.as_ref().unwrap().url;
        let words = ["trust", "add", url, "--genesis", genesis.as_str().unwrap()];
        self.of(home, &[&words, more].concat()).exits(0);
    }

    fn cosign(&self, number: usize) -> Ran {
        let name = NAMES[number];
        let home = format!("aud{number}");
        self.run(
            &home,
            &format!("audit --cosign aud{number}.pem --as {name}"),
        )
    }

    fn verify(&self, code: i32) -> Value {
        let ran = self.run("host", "verify prod/shop app --output json");
        ran.exits(code).json("cairn.verify/v1")
    }
}

/// Goal: a host that asks for auditors gets VERIFIED only of a map that enough of them
/// recomputed. Method: none, one and two of two; a newer release; a bundle; a restart.
#[test]
fn a_map_is_audited_once_enough_auditors_vouch_for_it() {
    let mut scene = Scene::new();
    let report = scene.verify(14);
    assert_eq!(
        (&report["map"], &report["reason"]),
        (&json!("asserted"), &json!("TOO_FEW_AUDITORS"))
    );
    scene.cosign(0).exits(0).says("it has 1 cosignature");
    assert_eq!(scene.verify(14)["map"], "asserted");
    scene.cosign(1).exits(0).says("it has 2 cosignatures");
    let report = scene.verify(0);
    assert_eq!(report["map"], "audited (2)");
    let audited = report["checkpoint"]["size"].as_u64().unwrap();

    // The log goes on: what is vouched for is older, and the host says as of when.
    scene.stage.edit("app/web.yaml", "3", "4");
    scene.stage.run("record prod/shop app").exits(0);
    scene.run("host", "status").exits(0);
    let report = scene.verify(10);
    assert_eq!(report["checkpoint"]["size"], audited);
    assert_eq!(report["map"], "audited (2)");
    scene.cosign(0).exits(0);
    assert_eq!(
        scene.verify(10)["checkpoint"]["size"],
        audited,
        "one is not enough"
    );
    scene.cosign(1).exits(0);
    let report = scene.verify(0);
    assert_eq!(
        (&report["sequence"], &report["map"]),
        (&json!(2), &json!("audited (2)"))
    );
    scene
        .run("host", "verify prod/shop app")
        .exits(0)
        .says("map audited (2)");

    // A bundle carries what the auditors said.
    scene
        .run("host", "export prod/shop -o shop.bundle")
        .exits(0);
    let offline = "verify --bundle shop.bundle --offline app --output json";
    let report = scene.run("host", offline).exits(0).json("cairn.verify/v1");
    assert_eq!(report["map"], "audited (2)");
    // Who asks for no auditors is told nothing of them.
    let report = scene.run("aud0", offline).exits(0).json("cairn.verify/v1");
    assert_eq!(report["map"], "asserted");

    // A restart forgets cosignatures; auditors that come again bring them back.
    scene.start();
    let both = scene.auditors();
    let both: Vec<&str> = both.iter().map(String::as_str).collect();
    for (home, more) in [("aud0", &[][..]), ("aud1", &[]), ("host", &both)] {
        scene.trust(home, more);
    }
    assert_eq!(scene.verify(14)["reason"], "TOO_FEW_AUDITORS");
    scene.cosign(0).exits(0);
    scene.cosign(1).exits(0);
    scene.verify(0);
}

/// Goal: only auditors that the operator named are collected, only what is pinned counts, and
/// nothing weakens a pin in passing. Method: strangers, wrong names, and `trust add` again.
#[test]
fn strangers_do_not_vouch_and_pins_are_not_lost() {
    let scene = Scene::new();
    scene.stage.run("key new mallory.pem").exits(0);
    let stranger = "audit --cosign mallory.pem --as mallory.example/x";
    scene.run("aud0", stranger).refuses(1, "NOTE_SIGNATURE");
    let misnamed = format!("audit --cosign mallory.pem --as {}", NAMES[0]);
    scene.run("aud0", &misnamed).refuses(1, "NOTE_SIGNATURE");
    scene.run("aud0", "audit --cosign aud0.pem").exits(2);
    scene
        .run("aud0", "audit --cosign aud0.pem --as a+b")
        .refuses(2, "USAGE");
    scene.verify(14);

    let pinned = |home: &str| {
        let shown = scene.run(home, "trust show --output json").exits(0);
        shown.json("cairn.trust/v1")["auditors"].clone()
    };
    let both = json!({ "keys": scene.vkeys, "quorum": 2 });
    assert_eq!(pinned("host"), both);
    assert_eq!(pinned("aud0"), Value::Null);
    scene.trust("host", &[]);
    assert_eq!(pinned("host"), both, "stays where none is named");
    let one = [
        "--auditor",
        scene.vkeys[0].as_str(),
        "--auditor-quorum",
        "1",
    ];
    let words = ["trust", "add", &scene.ledger.as_ref().unwrap().url];
    scene
        .of("host", &[&words, &one[..]].concat())
        .refuses(2, "USAGE")
        .says("--replace-auditors");
    assert_eq!(pinned("host"), both);
    scene.trust("host", &[&one[..], &["--replace-auditors"]].concat());
    assert_eq!(pinned("host")["quorum"], 1);

    let url = &scene.ledger.as_ref().unwrap().url;
    let add = |more: &[&str]| {
        let words = [&["trust", "add", url][..], more].concat();
        scene.of("host", &words)
    };
    let twice = ["--auditor", &scene.vkeys[0], "--auditor", &scene.vkeys[0]];
    add(&twice).refuses(2, "USAGE");
    add(&["--auditor", &scene.vkeys[0], "--auditor-quorum", "2"]).refuses(2, "USAGE");
    add(&["--auditor", "junk"]).refuses(2, "USAGE");
    let trust = scene
        .run("host", "trust show --output json")
        .json("cairn.trust/v1");
    let clock = trust["clockKey"].as_str().unwrap();
    add(&["--auditor", clock]).refuses(2, "USAGE");
}

/// Goal: an auditor that follows vouches for what comes. Method: it runs beside a deployer.
#[test]
fn a_following_auditor_vouches_as_the_log_grows() {
    let scene = Scene::new();
    let mut auditors: Vec<_> = (0..2)
        .map(|number| {
            let home = format!("aud{number}");
            let mut audit = scene.stage.command_of(&home);
            audit.args(["audit", "--follow", "--interval", "1", "--cosign"]);
            audit
                .arg(format!("aud{number}.pem"))
                .args(["--as", NAMES[number]]);
            audit.stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for round in 4..6 {
        scene
            .stage
            .write("app/web.yaml", format!("replicas: {round}\n"));
        scene.stage.run("record prod/shop app").exits(0);
        let end = Instant::now() + Duration::from_mins(1);
        while scene.run("host", "verify prod/shop app").code != Some(0) {
            assert!(Instant::now() < end, "nobody vouched for release {round}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
    for auditor in &mut auditors {
        auditor.kill().unwrap();
        auditor.wait().unwrap();
    }
}

/// Goal: an auditor that stops holds up only those who insist on it. Method: both vouch, then
/// one alone; one host asks for both, another for any one.
#[test]
fn an_auditor_that_stops_holds_up_only_those_who_insist_on_it() {
    let scene = Scene::new();
    let any = [
        scene.auditors(),
        vec!["--auditor-quorum".to_owned(), "1".to_owned()],
    ]
    .concat();
    scene.trust("any", &any.iter().map(String::as_str).collect::<Vec<_>>());
    scene.cosign(0).exits(0);
    scene.cosign(1).exits(0);
    for replicas in 4..7 {
        scene
            .stage
            .write("app/web.yaml", format!("replicas: {replicas}\n"));
        scene.stage.run("record prod/shop app").exits(0);
    }
    scene.cosign(0).exits(0).says("it has 1 cosignature");
    let report = scene.run("any", "verify prod/shop app --output json");
    let report = report.exits(0).json("cairn.verify/v1");
    assert_eq!(
        (&report["sequence"], &report["map"]),
        (&json!(4), &json!("audited (1)"))
    );
    let report = scene.verify(10);
    assert_eq!(
        (&report["sequence"], &report["map"]),
        (&json!(1), &json!("audited (2)"))
    );
}

/// Goal: to pin auditors is no way back to before. Method: a home that saw the newest release
/// pins auditors who vouched for an older one; then they catch up.
#[test]
fn to_pin_auditors_is_no_way_back() {
    let scene = Scene::new();
    scene.cosign(0).exits(0);
    scene.cosign(1).exits(0);
    scene.trust("late", &[]);
    scene.stage.write("old/web.yaml", "replicas: 3\n");
    scene.stage.edit("app/web.yaml", "3", "4");
    scene.stage.run("record prod/shop app").exits(0);
    scene.run("late", "verify prod/shop app").exits(0);
    scene.run("host", "export prod/shop -o old.bundle").exits(0);
    let both = scene.auditors();
    scene.trust("late", &both.iter().map(String::as_str).collect::<Vec<_>>());
    for line in [
        "verify prod/shop old --output json",
        "verify --bundle old.bundle --offline old --output json",
    ] {
        // However often it is tried.
        for _ in 0..3 {
            let report = scene.run("late", line).exits(14).json("cairn.verify/v1");
            assert_eq!(report["reason"], "ROLLED_BACK", "{line}");
        }
    }
    scene.cosign(0).exits(0);
    scene.cosign(1).exits(0);
    scene
        .run("late", "verify prod/shop app")
        .exits(0)
        .says("map audited (2)");
    // A line that nobody verified when it was kept does no harm once its auditor is pinned.
    scene.run("late", "status").exits(0);
}
