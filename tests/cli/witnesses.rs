//! A ledger that asks witnesses, and hosts that ask for them: witnesses of our own, and one that
//! misbehaves.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    background::Background,
    rogue::{Manner, Rogue},
    stage::{Ledger, Ran, Stage},
};

const NAMES: [&str; 2] = ["witness.example/one", "witness.example/two"];

/// A ledger, two witnesses of our own, a rogue, and somebody who asks for two of the three.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    pub(crate) ledger: Option<Ledger>,
    pub(crate) witnesses: [Option<Background>; 2],
    pub(crate) rogue: Rogue,
    vkeys: Vec<String>,
    log: String,
    pub(crate) genesis: String,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let stage = Stage::new();
        let vkeys = NAMES.iter().enumerate().map(|(number, name)| {
            stage.run(&format!("key new w{number}.pem")).exits(0);
            let shown = stage.run(&format!("key show w{number}.pem --as {name}"));
            shown.exits(0).out.trim().to_owned()
        });
        let mut vkeys: Vec<_> = vkeys.collect();
        vkeys.push(Rogue::vkey());
        drop(stage.dev());
        let shown = stage.run("trust show --output json").exits(0);
        let trust = shown.json("cairn.trust/v1");
        let text = |member: &str| trust[member].as_str().unwrap().to_owned();
        let mut scene = Self {
            ledger: None,
            witnesses: [None, None],
            rogue: Rogue::start(),
            vkeys,
            log: text("logKey"),
            genesis: text("genesis"),
            stage,
        };
        scene.witness(0, &["--new"]);
        scene.witness(1, &["--new"]);
        scene.start("data");
        scene.pin("home", 2);
        scene.stage.write("app/web.yaml", "replicas: 3\n");
        scene
    }

    /// Starts a witness of our own; of one that was asked before the address stays.
    pub(crate) fn witness(&mut self, number: usize, more: &[&str]) {
        let before = self.witnesses[number].take();
        let listen = before.map_or("127.0.0.1:0".to_owned(), |before| {
            before.url.strip_prefix("http://").unwrap().to_owned()
        });
        self.witness_at(number, &listen, more);
    }

    pub(crate) fn witness_at(&mut self, number: usize, listen: &str, more: &[&str]) {
        let mut command = self.stage.command();
        let data = format!("witness{number}");
        command.args(["witness", "serve", "--data", &data, "--as", NAMES[number]]);
        command.args(["--key", &format!("w{number}.pem"), "--log", &self.log]);
        command.args(["--listen", listen]).args(more);
        self.witnesses[number] = Some(Background::start(&mut command, "Witness"));
    }

    /// Stops a witness; says where it was.
    pub(crate) fn stop(&mut self, number: usize) -> String {
        let url = self.witnesses[number].take().unwrap().url.clone();
        url.strip_prefix("http://").unwrap().to_owned()
    }

    /// The flags that have a server ask all three.
    pub(crate) fn peers(&self) -> Vec<String> {
        let ours = self.witnesses.iter().flatten().map(|it| it.url.clone());
        let urls = ours.chain([self.rogue.url.clone()]);
        let pairs = urls.zip(&self.vkeys);
        pairs
            .flat_map(|(url, vkey)| ["--witness".to_owned(), format!("{url}={vkey}")])
            .collect()
    }

    pub(crate) fn start(&mut self, data: &str) {
        self.ledger = None;
        let mut command = self.stage.command();
        command.args(["dev", "--data", data, "--listen", "127.0.0.1:0"]);
        command.args(self.peers());
        self.ledger = Some(Ledger::start(&mut command));
    }

    pub(crate) fn run(&self, home: &str, line: &str) -> Ran {
        let words: Vec<_> = line.split_whitespace().collect();
        Ran::of(self.stage.command_of(home).args(words), line)
    }

    /// Has a home ask for so many of the three.
    pub(crate) fn pin(&self, home: &str, quorum: usize) {
        let url = &self.ledger.as_ref().unwrap().url;
        let witnesses = self.vkeys.join(" --witness ");
        let line = format!(
            "trust add {url} --name dev --genesis {} --witness-quorum {quorum} --key \
             data/keys/dev.pem --witness {witnesses}",
            self.genesis
        );
        self.run(home, &line).exits(0);
    }

    /// Records something new, and waits for witnesses.
    pub(crate) fn record(&self, seconds: u64) -> Ran {
        let text = self.stage.text("app/web.yaml");
        self.stage.write("app/web.yaml", format!("{text}# more\n"));
        let line = format!("record prod/shop app --witnessed={seconds} --output json");
        self.stage.run(&line)
    }

    /// Waits until the rogue was asked since it was told what to do.
    fn is_asked(&self, manner: Manner) {
        let end = Instant::now() + Duration::from_secs(40);
        while self.rogue.asked() == 0 {
            assert!(Instant::now() < end, "{manner:?}: it was asked");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub(crate) fn verify(&self, home: &str, code: i32) -> Value {
        let ran = self.run(home, "verify prod/shop app --output json");
        ran.exits(code).json("cairn.verify/v1")
    }
}

/// Goal: two good witnesses of three are enough whatever the third does, and no answer of it
/// stops, slows or misleads the ledger. Method: everything that tlog-witness allows and forbids.
#[test]
fn a_quorum_holds_whatever_the_third_witness_does() {
    let scene = Scene::new();
    let good = [
        Manner::Cosigns,
        Manner::CosignsAmongOthers,
        Manner::BareConflict,
    ];
    let bad = [
        Manner::Says(400),
        Manner::Says(403),
        Manner::Says(404),
        Manner::Says(409),
        Manner::Says(422),
        Manner::Says(429),
        Manner::Says(500),
        Manner::Says(204),
        Manner::Says(302),
        Manner::NamelessConflict,
        Manner::FarAhead,
        Manner::Dances,
        Manner::WrongText,
        Manner::Future,
        Manner::Stranger,
        Manner::Endless,
        Manner::HangsUp,
        Manner::Babbles,
        Manner::Silent,
    ];
    for manner in good.into_iter().chain(bad) {
        scene.rogue.does(manner);
        let begin = Instant::now();
        let recorded = scene.record(15).exits(0).json("cairn.record/v1");
        let cosigned = recorded["witnessed"]["cosigned"].as_u64().unwrap();
        assert!(cosigned >= 2, "{manner:?}: {recorded}");
        assert!(begin.elapsed() < Duration::from_secs(8), "{manner:?}");
        let report = scene.verify("home", 0);
        assert_eq!(report["witnesses"]["needed"], 2, "{manner:?}");
        // Its own line counts where it is one, and only there.
        let end = Instant::now() + Duration::from_secs(5);
        while good.contains(&manner) && scene.verify("home", 0)["witnesses"]["cosigned"] != 3 {
            assert!(Instant::now() < end, "{manner:?}: it did cosign");
        }
        if bad.contains(&manner) {
            scene.is_asked(manner);
            let cosigned = scene.verify("home", 0)["witnesses"]["cosigned"].clone();
            assert_eq!(cosigned, 2, "{manner:?}: it did not cosign");
            // Once it cosigns it is not left alone for long any more.
            scene.rogue.does(Manner::Cosigns);
            scene.is_asked(manner);
        }
    }
}

/// Goal: too few is said, with the code and the exit of STALE, and nothing is lost by it. Method:
/// of two that are left one stops; it comes back.
#[test]
fn who_asks_for_witnesses_never_silently_gets_less() {
    let mut scene = Scene::new();
    scene.record(15).exits(0);
    let sound = scene.verify("home", 0)["checkpoint"]["size"].clone();
    let address = scene.stop(1);
    let ran = scene.record(2).exits(14).says("TOO_FEW_WITNESSES");
    assert_eq!(ran.json("cairn.record/v1")["witnessed"], Value::Null);
    // What is witnessed is older, and it is said as of when.
    let report = scene.verify("home", 10);
    assert_eq!(report["checkpoint"]["size"], sound);
    assert_eq!(report["witnesses"], json!({"cosigned": 2, "needed": 2}));
    let notes = report["notes"].to_string();
    assert!(notes.contains("entries were seen"), "{notes}");
    scene
        .run("home", "trust check")
        .refuses(14, "TOO_FEW_WITNESSES");
    // Whoever comes new to it gets what there is, and STALE where all three must have cosigned.
    scene.pin("strict", 3);
    let report = scene.verify("strict", 14);
    assert_eq!(report["reason"], "TOO_FEW_WITNESSES");
    assert_eq!(report["witnesses"]["needed"], 3);
    crate::golden::holds(&report, 14);
    scene
        .run("strict", "export prod/shop -o shop.bundle")
        .refuses(14, "TOO_FEW_WITNESSES");

    scene.witness_at(1, &address, &[]);
    let end = Instant::now() + Duration::from_secs(40);
    while scene.run("home", "verify prod/shop app").code != Some(0) {
        assert!(Instant::now() < end, "it cosigns again");
        std::thread::sleep(Duration::from_millis(200));
    }
    // A bundle carries what they said, for whoever asks for as much and no more.
    scene
        .run("home", "export prod/shop -o shop.bundle")
        .exits(0);
    let offline = "verify --bundle shop.bundle --offline app --output json";
    let report = scene.run("home", offline).exits(0).json("cairn.verify/v1");
    assert_eq!(report["witnesses"], json!({"cosigned": 2, "needed": 2}));
    let report = scene
        .run("strict", offline)
        .exits(14)
        .json("cairn.verify/v1");
    assert_eq!(report["reason"], "TOO_FEW_WITNESSES");
}

impl Scene {
    /// The line of a tlog-policy that names the log.
    pub(crate) fn log_line(&self) -> String {
        format!("log {}\n", self.log)
    }
}
