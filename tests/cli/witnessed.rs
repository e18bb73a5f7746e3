//! What witnesses are for: an old copy, a second server, a policy that asks for them; and how
//! they are pinned.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::{
    rogue::{Manner, Rogue},
    stage::{Ledger, Ran, Stage},
    witnesses::Scene,
};

/// Goal: an old copy of the whole directory does not begin to sign where a witness saw more, and
/// nothing but that witness's word is needed. Method: copy, grow, start the copy.
#[test]
fn an_old_copy_does_not_start_beside_a_witness_that_saw_more() {
    let mut scene = Scene::new();
    scene.record(15).exits(0);
    scene.ledger = None;
    scene.stage.copy("data", "old");
    scene.start("data");
    scene.pin("home", 2);
    scene.record(15).exits(0);
    scene.ledger = None;
    scene.rogue.does(Manner::Says(500));
    let mut dev = scene.stage.command();
    dev.args(["dev", "--data", "old", "--listen", "127.0.0.1:0"]);
    dev.args(scene.peers());
    let patience = Duration::from_secs(30);
    Ran::within(&mut dev, "dev --data old", patience).refuses(1, "WITNESS_AHEAD");
    // Where no witness is asked it starts: that is what they are for.
    drop(scene.stage.dev_in("old"));
}

/// Goal: a log with the real keys that shows another history gets no cosignature for it, and
/// whoever asks for witnesses does not take it. Method: two servers on copies of one directory,
/// both asking the same witnesses; each records something else.
#[test]
fn a_second_server_with_the_real_keys_is_not_cosigned() {
    let mut scene = Scene::new();
    scene.record(15).exits(0);
    scene.ledger = None;
    scene.stage.copy("data", "second");
    scene.start("second");
    let second = scene.ledger.take().unwrap();
    scene.start("data");
    scene.pin("home", 2);
    scene.pin("victim", 2);
    let before = scene.verify("victim", 0)["checkpoint"]["size"].clone();
    scene.record(15).exits(0);

    // The other one now records a history of its own, with the deployer's key.
    let line = format!(
        "trust add {} --name dev --genesis {} --key data/keys/dev.pem",
        second.url, scene.genesis
    );
    scene.run("thief", &line).exits(0);
    scene.stage.write("evil/web.yaml", "replicas: 666\n");
    scene.run("thief", "record prod/shop evil").exits(0);
    // Whoever is led there sees nothing newer than what witnesses cosigned before, or nothing
    // that enough of them did; never the other history as current.
    scene.run("victim", &victim_line(&second, &scene)).exits(0);
    for _ in 0..5 {
        let ran = scene.run("victim", "verify prod/shop evil --output json");
        let report = ran.json("cairn.verify/v1");
        assert!([10, 14, 15].contains(&ran.code.unwrap()), "{report}");
        assert_ne!(report["verdict"], "VERIFIED");
        std::thread::sleep(Duration::from_millis(300));
    }
    // Asked directly, a witness says that this is not what it saw. Its word is no proof.
    let url = scene.witnesses[0].as_ref().unwrap().url.clone();
    scene
        .run("thief", &format!("trust check --ask {url}"))
        .exits(1)
        .says("WITNESS_SILENT");
    scene
        .run("victim", &format!("trust check --ask {url}"))
        .refuses(1, "WITNESS_DISAGREES");
    // Whoever saw the first history has proof.
    scene.run("home", &victim_line(&second, &scene)).exits(0);
    let ran = scene.run("home", "status").refuses(13, "FORKED");
    assert!(before.is_u64());
    // And shows it to a third machine, which never asks either server anything more.
    let kept = ran
        .err
        .split("  evidence  ")
        .nth(1)
        .unwrap()
        .split_whitespace()
        .next();
    let check = format!("trust check --evidence {}", kept.unwrap());
    scene.pin("third", 2);
    scene
        .run("third", &check)
        .exits(13)
        .says("the log's key signed two histories");
    scene.stage.write("torn.json", "{}");
    scene
        .run("third", "trust check --evidence torn.json")
        .refuses(1, "EVIDENCE_PROVES_NOTHING");
}

fn victim_line(second: &Ledger, scene: &Scene) -> String {
    format!(
        "trust add {} --name dev --genesis {}",
        second.url, scene.genesis
    )
}

/// Goal: a policy asks for more witnesses than a verifier pins, and cannot ask for fewer. Method:
/// a ledger whose policy asks for two in prod; verifiers that pin one, and none.
#[test]
fn a_policy_raises_the_quorum_and_never_lowers_it() {
    let stage = Stage::new();
    let rogue = Rogue::start();
    rogue.does(Manner::Cosigns);
    stage.run("key new admin.pem").exits(0);
    let public = stage
        .run("key show admin.pem")
        .exits(0)
        .out
        .trim()
        .to_owned();
    let init = format!(
        "init --origin test.example/raise --data led --admin admin=admin.pem --deployer \
         dev={public}:** --witnesses prod/**=2 --listen 127.0.0.1:0"
    );
    let made = stage.run(&format!("{init} --output json")).exits(0);
    let made: Value = serde_json::from_str(&made.out).unwrap();
    let config = stage.text("led/server.toml");
    let config = config.replace("anonymous_write = []", "anonymous_write = [\"**\"]");
    let config = config.replace("anonymous_read = []", "anonymous_read = [\"**\"]");
    let (url, vkey) = (&rogue.url, Rogue::vkey());
    let config = format!("{config}\n[[witnesses]]\nurl = \"{url}\"\nkey = \"{vkey}\"\n");
    stage.write("led/server.toml", config);
    let mut serve = stage.command();
    serve.args(["serve", "--config", "led/server.toml"]);
    let ledger = Ledger::start(&mut serve);
    let genesis = made["genesis"].as_str().unwrap();
    let trust = format!(
        "trust add {} --genesis {genesis} --key admin.pem",
        ledger.url
    );
    stage.run(&trust).exits(0);
    stage.write("app/web.yaml", "replicas: 3\n");
    stage.run("record staging/shop app").exits(0);
    stage.run("record prod/shop app").exits(0);
    let verify = |environment: &str, code: i32| {
        let line = format!("verify {environment} app --output json");
        stage.run(&line).exits(code).json("cairn.verify/v1")
    };
    assert_eq!(verify("staging/shop", 0)["witnesses"], Value::Null);
    let report = verify("prod/shop", 14);
    assert_eq!(report["witnesses"], json!({"cosigned": 0, "needed": 2}));
    assert_eq!(report["reason"], "TOO_FEW_WITNESSES");
    // One pinned witness, which does cosign, is still one too few.
    stage.run(&format!("{trust} --witness {vkey}")).exits(0);
    let end = Instant::now() + Duration::from_secs(20);
    while stage.run("verify staging/shop app").code != Some(0) {
        assert!(Instant::now() < end, "it cosigns");
        std::thread::sleep(Duration::from_millis(200));
    }
    let report = verify("prod/shop", 14);
    assert_eq!(report["witnesses"], json!({"cosigned": 1, "needed": 2}));
    let report = verify("staging/shop", 0);
    assert_eq!(report["witnesses"], json!({"cosigned": 1, "needed": 1}));
    drop(ledger);
}

/// Goal: pins come from a tlog-policy file and go back into one, nothing weakens them in passing,
/// and a witness refuses what is not a log's key.
#[test]
fn witnesses_are_pinned_and_listed_in_the_forms_of_the_field() {
    let scene = Scene::new();
    let file = scene.run("home", "trust show --tlog-policy").exits(0).out;
    assert!(file.contains("\nquorum witnesses\n"), "{file}");
    scene.stage.write("pins.tlog", &file);
    let url = &scene.ledger.as_ref().unwrap().url;
    let add = format!("trust add {url} --name dev --genesis {}", scene.genesis);
    scene
        .run("other", &format!("{add} --tlog-policy pins.tlog"))
        .exits(0)
        .says("2 of 3 must cosign");
    let again = scene.run("other", "trust show --tlog-policy").exits(0).out;
    assert_eq!(again, file);
    // Fewer, or others, only if a person says so.
    let vkey = Rogue::vkey();
    let one = format!("{add} --witness {vkey}");
    scene
        .run("other", &one)
        .refuses(2, "USAGE")
        .says("--replace-witnesses");
    scene.run("other", &add).exits(0).says("2 of 3 must cosign");
    scene
        .run(
            "other",
            &format!("{one} --auditor {vkey} --replace-witnesses"),
        )
        .refuses(2, "USAGE");
    let ran = scene
        .run("other", &format!("{one} --replace-witnesses"))
        .exits(0);
    assert!(!ran.err.contains("half of the witnesses"), "{}", ran.err);
    let half = format!("{add} --tlog-policy pins.tlog --replace-witnesses");
    scene
        .stage
        .write("pins.tlog", file.replace("witnesses 2 ", "witnesses 1 "));
    scene
        .run("other", &half)
        .exits(0)
        .says("half of the witnesses is enough");
    let foreign = file.replace(&scene.log_line(), "");
    scene.stage.write("any.tlog", foreign);
    scene
        .run(
            "other",
            &format!("{add} --tlog-policy any.tlog --replace-witnesses"),
        )
        .exits(0);
    scene.stage.write("bad.tlog", "quorum nobody\n");
    scene
        .run("other", &format!("{add} --tlog-policy bad.tlog"))
        .refuses(2, "TLOG_POLICY_SYNTAX")
        .says("line 1");
    // A cosigner's key is no log's; an empty directory is no witness's.
    let serve = "witness serve --data nothing --key w0.pem --as w.example --listen 127.0.0.1:0";
    scene
        .run("home", &format!("{serve} --log {vkey}"))
        .refuses(2, "USAGE");
    let log = scene.log_line();
    let log = log.trim().strip_prefix("log ").unwrap();
    scene
        .run("home", &format!("{serve} --log {log}"))
        .refuses(2, "USAGE")
        .says("--new");
}

/// Goal: who waits for witnesses and pins none is told before anything is recorded. Method: the
/// same ledger, trusted without them.
#[test]
fn who_pins_no_witnesses_waits_for_none() {
    let scene = Scene::new();
    let url = &scene.ledger.as_ref().unwrap().url;
    let add = format!("trust add {url} --name dev --genesis {}", scene.genesis);
    scene.stage.write("plain/web.yaml", "replicas: 3\n");
    scene
        .run("plain", &format!("{add} --key data/keys/dev.pem"))
        .exits(0);
    let size = scene.stage.size();
    let ran = scene.run("plain", "record prod/plain plain --witnessed=1");
    ran.refuses(2, "USAGE").says("nothing was recorded");
    assert_eq!(scene.stage.size(), size);
}
