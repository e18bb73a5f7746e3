//! How a ledger comes to be trusted, and keeps its name.

use std::{
    fs,
    io::{Read as _, Write as _},
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::stage::{Ran, Stage};

fn newcomer(stage: &Stage, words: &[&str]) -> Ran {
    let mut command = stage.command_of("newcomer");
    Ran::of(command.args(words), &words.join(" "))
}

fn genesis(stage: &Stage) -> String {
    let trust = stage
        .run("trust show --output json")
        .exits(0)
        .json("cairn.trust/v1");
    trust["genesis"].as_str().unwrap().to_owned()
}

/// Goal: whoever was told the genesis hash needs nothing else.
#[test]
fn a_ledger_of_the_named_genesis_is_trusted_and_used() {
    let (stage, ledger) = Stage::with_release();
    let hash = genesis(&stage);
    let add = [
        "trust",
        "add",
        &ledger.url,
        "--name",
        "prod",
        "--genesis",
        &hash,
    ];
    let ran = newcomer(&stage, &add).exits(0);
    ran.says("Trusted   dev/").says("\"prod\" is active");
    newcomer(&stage, &["verify", "prod/shop", "app"])
        .exits(0)
        .says("VERIFIED");
    let held = newcomer(&stage, &["status", "--output", "json"]).json("cairn.status/v1");
    assert_eq!(held["context"], "prod");
    // The same again changes nothing, and needs no question: it is known.
    newcomer(&stage, &["trust", "add", &ledger.url, "--name", "prod"]).exits(0);
    newcomer(&stage, &["record", "prod/shop", "app"])
        .refuses(1, "KEY_FILE")
        .says("--key");
}

/// A command line on a terminal of its own, with an answer typed at each question; `None`
/// where no terminal can be had.
fn on_a_terminal(stage: &Stage, line: &str, answers: &[&str]) -> Option<Ran> {
    typed(stage, &mut Command::new("script"), line, answers)
}

/// The same with variables that `script` was given.
pub(crate) fn typed(
    stage: &Stage,
    script: &mut Command,
    line: &str,
    answers: &[&str],
) -> Option<Ran> {
    let program = env!("CARGO_BIN_EXE_cairn");
    let command = script
        .args(["-qec", &format!("'{program}' {line}"), "/dev/null"])
        .current_dir(stage.path(""))
        .env("CAIRN_HOME", stage.path("newcomer"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        eprintln!("SKIPPED what is asked on a terminal: there is no `script` here");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let (mut out, mut byte) = (Vec::new(), [0]);
    for answer in answers {
        // A question ends with `: ` (a passphrase) or with `[y/N]`.
        let begin = out.len();
        while !(out[begin..].ends_with(b": ") || out[begin..].ends_with(b"[y/N]")) {
            let read = stdout.read(&mut byte).unwrap();
            let said = String::from_utf8_lossy(&out);
            assert_eq!(read, 1, "it ended before it asked for {answer:?}: {said}");
            out.extend(byte);
        }
        stdin.write_all(format!("{answer}\n").as_bytes()).unwrap();
    }
    stdout.read_to_end(&mut out).unwrap();
    Some(Ran {
        line: line.to_owned(),
        code: child.wait().unwrap().code(),
        out: String::from_utf8(out).unwrap(),
        err: String::new(),
    })
}

/// Goal: a person decides, having seen what it is. Method: a terminal, a no, then a yes.
#[test]
fn a_person_on_a_terminal_decides_whether_a_ledger_is_trusted() {
    let (stage, ledger) = Stage::with_release();
    let line = format!("trust add {}", ledger.url);
    let Some(no) = on_a_terminal(&stage, &line, &["n"]) else {
        return;
    };
    no.exits(2).says("[TRUST_MISSING]");
    newcomer(&stage, &["status"]).refuses(2, "TRUST_MISSING");
    let yes = on_a_terminal(&stage, &line, &["y"]).unwrap();
    yes.exits(0)
        .says("Deployer  dev")
        .says("\"default\" is active");
    newcomer(&stage, &["verify", "prod/shop", "app"]).exits(0);
    let unasked = on_a_terminal(&stage, &format!("{line} --name b --no-input"), &[]).unwrap();
    unasked.exits(2).says("nobody can be asked");
}

/// Goal: an encrypted key opens with its passphrase and no other, which is never shown.
#[test]
fn an_encrypted_key_asks_for_its_passphrase_and_shows_none_of_it() {
    let stage = Stage::new();
    let line = "key new locked.pem --passphrase";
    let Some(differ) = on_a_terminal(&stage, line, &["one", "two"]) else {
        return;
    };
    differ.exits(2).says("not the same");
    assert!(!stage.path("locked.pem").exists());
    let made = on_a_terminal(&stage, line, &["open sesame", "open sesame"]).unwrap();
    let made = made.exits(0).says("Made      locked.pem");
    assert!(!made.out.contains("sesame"), "{}", made.out);
    let shown = on_a_terminal(&stage, "key show locked.pem", &["open sesame"]).unwrap();
    shown.exits(0).says("keyid");
    let wrong = on_a_terminal(&stage, "key show locked.pem", &["open barley"]).unwrap();
    wrong.exits(1).says("[KEY_FILE]");
    let nobody = stage.run("key show locked.pem --no-input");
    nobody.refuses(1, "KEY_FILE").says("is encrypted");
}

/// Goal: another ledger than the one that was named is not trusted.
#[test]
fn a_ledger_of_another_genesis_is_refused_and_nothing_is_pinned() {
    let (stage, ledger) = Stage::with_release();
    let wrong = "ab".repeat(32);
    let add = ["trust", "add", &ledger.url, "--genesis", &wrong];
    newcomer(&stage, &add)
        .refuses(1, "WRONG_GENESIS")
        .says(&wrong);
    newcomer(&stage, &["status"]).refuses(2, "TRUST_MISSING");
    newcomer(&stage, &["trust", "add", &ledger.url, "--genesis", "abc"]).exits(2);
}

/// Goal: nothing is pinned that nobody confirmed, and what was to be confirmed is shown.
#[test]
fn without_a_person_or_a_genesis_nothing_is_trusted() {
    let (stage, ledger) = Stage::with_release();
    let hash = genesis(&stage);
    let ran = newcomer(&stage, &["trust", "add", &ledger.url]).refuses(2, "USAGE");
    let ran = ran
        .says("--genesis HASH")
        .says("Admin     dev (")
        .says("Deployer  dev (");
    ran.says(&hash[..4])
        .says("version 1; 1 of 1 admin must sign another");
    assert_eq!(newcomer(&stage, &["log"]).code, Some(2));
    drop(ledger);
    let gone = newcomer(&stage, &["trust", "add", "http://127.0.0.1:9"]);
    gone.refuses(3, "UNREACHABLE");
    newcomer(&stage, &["trust", "add", "http://ledger.example:80"]).refuses(2, "USAGE");
    newcomer(&stage, &["trust", "add", "ftp://127.0.0.1"]).refuses(2, "USAGE");
}

/// Goal: a second ledger cannot slip in under a known name.
#[test]
fn a_name_that_stands_for_another_ledger_is_refused() {
    let (stage, first) = Stage::with_release();
    let hash = genesis(&stage);
    newcomer(&stage, &["trust", "add", &first.url, "--genesis", &hash]).exits(0);
    let before = fs::read(stage.path("newcomer/trust/default.json")).unwrap();
    let second = stage.dev_in("second");
    let other = genesis(&stage);
    let add = ["trust", "add", &second.url, "--genesis", &other];
    newcomer(&stage, &add)
        .refuses(2, "USAGE")
        .says("--name NAME");
    assert_eq!(
        fs::read(stage.path("newcomer/trust/default.json")).unwrap(),
        before
    );
    newcomer(&stage, &["verify", "prod/shop", "app"]).exits(0);
    let add = [&add[..], &["--name", "second", "--output", "json"]].concat();
    let added = newcomer(&stage, &add).exits(0).json("cairn.trust/v1");
    assert_eq!(added["genesis"], other);
    newcomer(&stage, &["verify", "prod/shop", "app"]).exits(11);
    newcomer(
        &stage,
        &["--context", "default", "verify", "prod/shop", "app"],
    )
    .exits(0);
}

/// Goal: scripts get exactly what is pinned.
#[test]
fn trust_show_prints_what_is_pinned_and_nothing_else() {
    let (stage, _ledger) = Stage::with_ledger();
    let trust = stage
        .run("trust show --output json")
        .exits(0)
        .json("cairn.trust/v1");
    let members: Vec<_> = trust
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(
        members,
        ["clockKey", "genesis", "logKey", "origin", "schema"]
    );
    let origin = trust["origin"].as_str().unwrap();
    assert!(
        trust["logKey"]
            .as_str()
            .unwrap()
            .starts_with(&format!("{origin}+"))
    );
    let text = stage.run("trust show dev").exits(0);
    let text = text.says(trust["logKey"].as_str().unwrap()).says(origin);
    let hash = trust["genesis"].as_str().unwrap();
    text.says(&format!("{} {}", &hash[..4], &hash[4..8]));
    stage
        .run("trust show other")
        .refuses(2, "TRUST_MISSING")
        .says("`other`");
    let file: Value = serde_json::from_str(&stage.text("home/trust/dev.json")).unwrap();
    assert_eq!(file, trust);
}

/// Goal: another `dev` is another ledger, and says so. Method: start two.
#[test]
fn a_second_dev_is_another_ledger_and_the_context_follows_it() {
    let (stage, first) = Stage::with_release();
    let origin = |stage: &Stage| {
        stage.run("trust show --output json").json("cairn.trust/v1")["origin"].clone()
    };
    let before = origin(&stage);
    drop(first);
    let mut second = stage.dev_in("second");
    let said: String = (0..3).map(|_| second.line()).collect();
    assert!(said.contains("another ledger"), "{said}");
    assert_ne!(origin(&stage), before);
    stage.run("verify prod/shop app").exits(11);
    drop(second);
    // The first one again: its data is still there, and so is what was recorded.
    let mut first = stage.dev();
    assert_eq!(origin(&stage), before);
    let said: String = (0..3).map(|_| first.line()).collect();
    assert!(said.contains("another ledger"), "{said}");
    stage.run("verify prod/shop app").exits(0);
}

/// Goal: a `dev` whose data was deleted is another ledger, never a rewritten one.
#[test]
fn a_deleted_dev_is_another_ledger() {
    let (stage, first) = Stage::with_release();
    let before = genesis(&stage);
    drop(first);
    fs::remove_dir_all(stage.path("data")).unwrap();
    let _again = stage.dev();
    assert_ne!(genesis(&stage), before);
    stage.run("verify prod/shop app").exits(11);
}

/// Goal: two servers never share a directory; a `dev` never leaves this machine.
#[test]
fn a_directory_in_use_and_an_open_address_are_refused() {
    let (stage, _ledger) = Stage::with_release();
    let ran = stage.run("dev --data data --listen 127.0.0.1:0");
    ran.refuses(1, "STORE_LOCKED");
    stage.run("verify prod/shop app").exits(0);
    stage
        .run("dev --data open --listen 0.0.0.0:0")
        .refuses(2, "USAGE")
        .says("loopback");
    assert!(!stage.path("open").exists());
}
