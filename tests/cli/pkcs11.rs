//! Keys that live on PKCS#11 tokens, with SoftHSM: what signs with them, and what is refused.

mod refused;
mod token;

use std::{path::Path, process::Command};

use serde_json::json;

use self::token::{Hsm, PIN, nowhere_below};
use crate::{
    background::Background,
    production::{grant, with_key},
    stage::{Ledger, Ran},
    support::tools::is_here,
    trust::typed,
};

/// Makes and serves a ledger all of whose keys are on the token.
fn ledger_on(hsm: &Hsm) -> (Ledger, String) {
    let deployer = format!("ci={}:prod/**", hsm.new_key("ci"));
    for name in ["root", "log", "clock"] {
        hsm.new_key(name);
    }
    let admin = format!("root={}", hsm.uri("root"));
    let (log, clock) = (hsm.uri("log"), hsm.uri("clock"));
    let line = "init --origin ledger.example/hsm --data server --listen 127.0.0.1:0 --output json";
    let mut words: Vec<&str> = line.split_whitespace().collect();
    words.extend(["--admin", &admin, "--deployer", &deployer]);
    words.extend(["--log-key", &log, "--clock-key", &clock]);
    let made = hsm.run(&words).exits(0).json("cairn.init/v1");
    let genesis = made["genesis"].as_str().unwrap().to_owned();
    grant(&hsm.stage);
    let serve = ["serve", "--config", "server/server.toml"];
    (Ledger::start(&mut hsm.command(&serve)), genesis)
}

/// Goal: a ledger whose deployer, admin, log and clock keys never leave a token works as any, and
/// the PIN stays where it was. Method: from `init` to a new policy, then every file is searched.
#[test]
fn a_ledger_whose_keys_are_all_on_a_token_works_as_any() {
    let Some(hsm) = Hsm::new("a ledger with its keys on a token") else {
        return;
    };
    let (ledger, genesis) = ledger_on(&hsm);
    let stage = &hsm.stage;
    let ci = hsm.uri("ci");
    with_key(stage, &genesis, &ledger.url, &ci);
    stage.write("app/web.yaml", "replicas: 3\n");
    hsm.run(&["record", "prod/shop", "app"])
        .exits(0)
        .says("prod/shop#1");
    hsm.run(&["verify", "prod/shop", "app"])
        .exits(0)
        .says("VERIFIED");

    let shown = hsm.run(&["policy", "show", "--output", "json"]).exits(0);
    let mut policy = shown.json("cairn.policy-show/v1")["policy"].clone();
    policy["deployers"][0]["environments"] = json!(["prod/**", "staging/**"]);
    stage.write("edited.json", policy.to_string());
    hsm.run(&["policy", "propose", "edited.json", "-o", "next.json"])
        .exits(0);
    let root = hsm.uri("root");
    hsm.run(&["policy", "sign", "next.json", "--key", &root, "--yes"])
        .exits(0)
        .says("by enough");
    hsm.run(&["policy", "submit", "next.json"]).exits(0);
    hsm.run(&["record", "staging/shop", "app"]).exits(0);
    // Two keys of one token in one process: the second finds the first's login.
    hsm.run(&[
        "record",
        "staging/shop",
        "app",
        "--again",
        "--key",
        &ci,
        "--key",
        &root,
    ])
    .refuses(4, "UNKNOWN_SIGNER");
    hsm.run(&["audit"]).exits(0).says("No problems found");

    nowhere_below(stage.home(), PIN);
    nowhere_below(&stage.path("server"), PIN);
    let keys = std::fs::read_dir(stage.path("server/keys")).unwrap();
    assert_eq!(keys.count(), 0, "no private key is in a file");
}

/// Makes a key on the token; its verifier key under a name.
fn vkey(hsm: &Hsm, object: &str, name: &str) -> String {
    hsm.new_key(object);
    let shown = hsm.run(&["key", "show", &hsm.uri(object), "--as", name]);
    shown.exits(0).out.trim().to_owned()
}

/// Goal: an auditor keeps its key on a token. Method: it cosigns, and a host asks for that.
#[test]
fn an_auditor_cosigns_with_a_key_on_a_token() {
    let Some(hsm) = Hsm::new("an auditor with its key on a token") else {
        return;
    };
    let auditor = vkey(&hsm, "aud", "auditor.example/one");
    let stage = &hsm.stage;
    let mut dev = stage.command();
    dev.args(["dev", "--data", "data", "--listen", "127.0.0.1:0"]);
    let ledger = Ledger::start(dev.args(["--auditor", &auditor]));
    stage.write("app/web.yaml", "replicas: 3\n");
    stage.run("record prod/shop app").exits(0);
    let key = hsm.uri("aud");
    let cosign = ["audit", "--cosign", &key, "--as", "auditor.example/one"];
    hsm.run(&cosign).exits(0);
    let trust = stage.run("trust show --output json").exits(0);
    let genesis = trust.json("cairn.trust/v1")["genesis"].clone();
    let add = ["trust", "add", &ledger.url, "--genesis"];
    let pins = [genesis.as_str().unwrap(), "--auditor", &auditor];
    hsm.run(&[&add[..], &pins].concat()).exits(0);
    let verified = hsm.run(&["verify", "prod/shop", "app"]).exits(0);
    verified.says("VERIFIED").says("audited (1)");
}

/// Goal: a witness keeps its key on a token. Method: a record that waits for it.
#[test]
fn a_witness_cosigns_with_a_key_on_a_token() {
    let Some(hsm) = Hsm::new("a witness with its key on a token") else {
        return;
    };
    let witness = vkey(&hsm, "wit", "witness.example/one");
    let stage = &hsm.stage;
    drop(stage.dev());
    let trust = stage.run("trust show --output json").exits(0);
    let trust = trust.json("cairn.trust/v1");
    let (log, key) = (trust["logKey"].as_str().unwrap(), hsm.uri("wit"));
    let line = "witness serve --data wit --new --listen 127.0.0.1:0 --as witness.example/one";
    let mut words: Vec<&str> = line.split_whitespace().collect();
    words.extend(["--key", &key, "--log", log]);
    let asked = Background::start(&mut hsm.command(&words), "Witness");
    let peer = format!("{}={witness}", asked.url);
    let mut dev = stage.command();
    dev.args(["dev", "--data", "data", "--listen", "127.0.0.1:0"]);
    let ledger = Ledger::start(dev.args(["--witness", &peer]));
    let genesis = trust["genesis"].as_str().unwrap();
    let add = ["trust", "add", &ledger.url, "--genesis", genesis];
    let key = stage.path("data/keys/dev.pem");
    let pins = ["--witness", &witness, "--key", key.to_str().unwrap()];
    hsm.run(&[&add[..], &pins].concat()).exits(0);
    stage.write("app/web.yaml", "replicas: 3\n");
    hsm.run(&["record", "prod/shop", "app", "--witnessed"])
        .exits(0);
    nowhere_below(&stage.path("wit"), PIN);
}

/// Goal: keys on a token are found and named without a PIN. Method: two tokens, three keys; what is
/// listed names the key that is asked for.
#[test]
fn keys_on_tokens_are_listed_by_uris_that_name_them() {
    let Some(hsm) = Hsm::new("keys listed from a token") else {
        return;
    };
    let public = hsm.new_key("ci");
    hsm.new_key("with%20space%3Band%3Dmore");
    hsm.add_token("other");
    let other = hsm.uri_of("token=other;object=ci;id=%AB");
    hsm.run(&["key", "new", &other]).exits(0).says("id=%AB");

    let listed = |uri: &str| {
        let ran = hsm.run(&["key", "list", uri, "--output", "json"]).exits(0);
        ran.json("cairn.keys/v1")["keys"]
            .as_array()
            .unwrap()
            .clone()
    };
    let all = listed(&hsm.bare(""));
    assert_eq!(all.len(), 3, "{all:?}");
    for key in &all {
        let uri = key["uri"]
            .as_str()
            .unwrap()
            .strip_prefix("pkcs11:")
            .unwrap();
        let shown = hsm.show(&hsm.uri_of(uri)).exits(0);
        assert_eq!(shown.out.trim(), key["public"].as_str().unwrap(), "{uri}");
    }
    let one = listed(&hsm.bare("token=cairn;object=ci"));
    assert_eq!((one.len(), &one[0]["public"]), (1, &json!(public)));
    assert_eq!(listed(&hsm.uri("ci")), one, "with the PIN it is the same");
    assert!(listed(&hsm.bare("object=none")).is_empty());
    hsm.run(&["key", "list", &hsm.bare("token=cairn")])
        .exits(0)
        .says("object=with%20space%3Band%3Dmore")
        .says(&public);
    // With a PIN, and two tokens that it might be for.
    hsm.run(&["key", "list", &hsm.uri_of("")])
        .refuses(1, "TOKEN_AMBIGUOUS");
    hsm.run(&["key", "list", "ci.pem"]).refuses(2, "USAGE");
}

/// Goal: what `docs/keys.md` tells people to type works as it stands. Method: all of it, in one shell
/// under an ssh-agent of its own; only the places of module and PIN are other ones.
#[test]
fn the_commands_in_the_document_on_keys_work() {
    let test = "the commands of docs/keys.md";
    let Some(hsm) = Hsm::new(test) else {
        return;
    };
    let tools = [
        ("openssl", "version"),
        ("ssh-agent", "true"),
        ("opensc-tool", "--info"),
    ];
    if !tools
        .iter()
        .all(|(tool, check)| is_here(test, tool, &[check]))
    {
        return;
    }
    let document = include_str!("../../docs/keys.md");
    let lines = document.lines().filter_map(|line| line.strip_prefix("$ "));
    let lines: Vec<&str> = lines.collect();
    assert!(lines.len() > 10, "{lines:?}");
    let script = lines
        .join("\n")
        .replace(
            "/usr/lib/softhsm/libsofthsm2.so",
            hsm.module.to_str().unwrap(),
        )
        .replace("/etc/cairn/pin", hsm.stage.path("pin").to_str().unwrap());
    let program = Path::new(env!("CARGO_BIN_EXE_cairn")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("ssh-agent");
    shell.args(["bash", "-euo", "pipefail", "-c", &script]);
    hsm.set(shell.current_dir(hsm.stage.path("")).env("PATH", path));
    shell.env("CAIRN_HOME", hsm.stage.home());
    let ran = Ran::of(&mut shell, "docs/keys.md").exits(0);
    assert_eq!(ran.err.matches("keyid").count(), 5, "{}", ran.err);
}

/// Goal: on a terminal the PIN is asked for, unseen; nobody is asked elsewhere, or with --no-input.
#[test]
fn a_pin_is_typed_on_a_terminal_and_nowhere_else() {
    let Some(hsm) = Hsm::new("a PIN on a terminal") else {
        return;
    };
    hsm.new_key("ci");
    let uri = hsm.bare("token=cairn;object=ci");
    let ask = |more: &str, answers: &[&str]| {
        let mut script = Command::new("script");
        hsm.set(&mut script);
        typed(
            &hsm.stage,
            &mut script,
            &format!("key show '{uri}'{more}"),
            answers,
        )
    };
    let Some(shown) = ask("", &[PIN]) else {
        return;
    };
    let shown = shown.exits(0).says("PIN of the token cairn:").says("keyid");
    assert!(!shown.out.contains(PIN), "{}", shown.out);
    let wrong = ask("", &["no-such-pin"]).unwrap();
    wrong.exits(2).says("[PIN_WRONG]");
    ask(" --no-input", &[])
        .unwrap()
        .exits(2)
        .says("[PIN_MISSING]");
    hsm.show(&uri).refuses(2, "PIN_MISSING");
}
