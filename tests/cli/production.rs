//! The production form: `init`, `serve`, tokens, approvals, and how old a proof may be.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::stage::{Ledger, Stage};

const TOKEN: &str = "a-token-of-the-pipeline";

/// A ledger as an operator makes it: two deployers, a rule, a token. Nothing runs yet.
pub(crate) fn initialised(rules: &[&str]) -> (Stage, Value) {
    let stage = Stage::new();
    let key = |name: &str| {
        let made = stage
            .run(&format!("key new {name}.pem --output json"))
            .exits(0);
        made.json("cairn.key/v1")["public"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let deployers = [
        format!("ci={}:prod/**", key("ci")),
        format!("cd={}:prod/**", key("cd")),
    ];
    key("admin");
    let mut words = vec![
        "init",
        "--origin",
        "ledger.example/prod",
        "--data",
        "server",
    ];
    words.extend([
        "--admin",
        "root=admin.pem",
        "--listen",
        "127.0.0.1:0",
        "--output",
        "json",
    ]);
    words.extend(
        deployers
            .iter()
            .flat_map(|deployer| ["--deployer", deployer]),
    );
    words.extend(rules);
    let made = stage.run_words(&words).exits(0).json("cairn.init/v1");
    (stage, made)
}

pub(crate) fn serve(stage: &Stage) -> Ledger {
    Ledger::start(
        stage
            .command()
            .args(["serve", "--config", "server/server.toml"]),
    )
}

/// Lets the token write everywhere, and this stage's context use it.
pub(crate) fn with_token(stage: &Stage, genesis: &str, url: &str) {
    with_key(stage, genesis, url, "ci.pem");
}

/// The same for a deployer with another key.
pub(crate) fn with_key(stage: &Stage, genesis: &str, url: &str, key: &str) {
    let add = [
        "trust",
        "add",
        url,
        "--name",
        "prod",
        "--genesis",
        genesis,
        "--key",
        key,
    ];
    stage
        .run_words(&[&add[..], &["--token-file", "token"]].concat())
        .exits(0);
}

pub(crate) fn grant(stage: &Stage) {
    let hash = blake3::hash(TOKEN.as_bytes());
    let config = stage.text("server/server.toml");
    let grant = format!(
        "{config}\n[[access.tokens]]\nname = \"ci\"\nhash = \"blake3:{hash}\"\nread = [\"**\"]\n\
         write = [\"**\"]\n"
    );
    stage.write("server/server.toml", grant);
    stage.write("token", TOKEN);
    fs::set_permissions(stage.path("token"), fs::Permissions::from_mode(0o600)).unwrap();
}

/// Goal: an operator's ledger works from `init` to `verify`. Method: every step.
#[test]
fn a_ledger_made_by_init_is_served_trusted_recorded_to_and_verified() {
    let (stage, made) = initialised(&[]);
    assert_eq!(made["origin"], "ledger.example/prod");
    assert_eq!(made["config"], "server/server.toml");
    let bits = |path: &str| fs::metadata(stage.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (bits("server/keys/log.pem"), bits("server/server.toml")),
        (0o600, 0o600)
    );
    grant(&stage);
    let ledger = serve(&stage);
    let genesis = made["genesis"].as_str().unwrap();
    with_token(&stage, genesis, &ledger.url);
    let trust = stage
        .run("trust show --output json")
        .exits(0)
        .json("cairn.trust/v1");
    for member in ["origin", "genesis", "logKey", "clockKey"] {
        assert_eq!(trust[member], made[member], "{member}");
    }
    stage.write("app/web.yaml", "replicas: 3\n");
    stage
        .run("record prod/shop app")
        .exits(0)
        .says("Recorded  prod/shop#1  at index 2 by ci");
    stage
        .run("verify prod/shop app")
        .exits(0)
        .says("VERIFIED  prod/shop#1");
    stage
        .run("record test/shop app")
        .refuses(4, "SIGNER_NOT_ALLOWED");
    stage
        .run("record prod/shop app --again --key admin.pem")
        .refuses(4, "UNKNOWN_SIGNER");
    stage.run("audit").exits(0).says("No problems found");
}

/// Goal: signatures decide what may be released, tokens who may send at all.
#[test]
fn a_caller_without_a_token_is_denied_with_exit_4() {
    let (stage, made) = initialised(&[]);
    grant(&stage);
    let ledger = serve(&stage);
    let genesis = made["genesis"].as_str().unwrap();
    let add = [
        "trust",
        "add",
        &ledger.url,
        "--genesis",
        genesis,
        "--key",
        "ci.pem",
    ];
    stage.run_words(&add).exits(0);
    stage.write("app/web.yaml", "replicas: 3\n");
    stage
        .run("record prod/shop app")
        .exits(4)
        .says("send a token");
    stage.run("log").exits(0).says("genesis");
    fs::set_permissions(stage.path("token"), fs::Permissions::from_mode(0o644)).unwrap();
    let ran = stage.run_words(&[&add[..], &["--token-file", "token"]].concat());
    ran.refuses(1, "KEY_FILE_LOOSE");
    stage.write("wrong", "another-token");
    fs::set_permissions(stage.path("wrong"), fs::Permissions::from_mode(0o600)).unwrap();
    let ran = stage.run_words(&[&add[..], &["--token-file", "wrong"]].concat());
    assert!(matches!(ran.code, Some(0 | 4)), "{}", ran.err);
    let denied = stage.run("record prod/shop app").exits(4);
    assert!(!denied.err.contains("another-token"));
}

/// Goal: where two must sign, one does not do. Method: one, then two.
#[test]
fn a_release_that_takes_two_deployers_is_refused_from_one() {
    let (stage, made) = initialised(&["--approvals", "prod/**=2"]);
    grant(&stage);
    let ledger = serve(&stage);
    with_token(&stage, made["genesis"].as_str().unwrap(), &ledger.url);
    stage.write("app/web.yaml", "replicas: 3\n");
    stage
        .run("record prod/shop app")
        .refuses(4, "TOO_FEW_APPROVALS");
    let ran = stage
        .run("record prod/shop app --key ci.pem --key cd.pem")
        .exits(0);
    ran.says("Recorded  prod/shop#1").says("ci").says("cd");
    let report = stage
        .run("verify prod/shop app --output json")
        .exits(0)
        .json("cairn.verify/v1");
    assert_eq!(report["signers"].as_array().unwrap().len(), 2);
}

/// Goal: an old proof is not a proof of now. Method: a policy of one second, and a wait.
#[test]
fn a_proof_that_is_older_than_the_policy_allows_is_stale_with_exit_14() {
    let (stage, made) = initialised(&["--max-staleness", "prod/**=2"]);
    grant(&stage);
    let ledger = serve(&stage);
    with_token(&stage, made["genesis"].as_str().unwrap(), &ledger.url);
    stage.write("app/web.yaml", "replicas: 3\n");
    stage.run("record prod/shop app").exits(0);
    stage.run("export prod/shop -o shop.bundle").exits(0);
    drop(ledger);
    let started = Instant::now();
    let (code, report) = loop {
        let ran = stage.run("verify --bundle shop.bundle --offline app --output json");
        let report = ran.json("cairn.verify/v1");
        if report["age"].as_u64().unwrap() > 2 {
            break (ran.code, report);
        }
        assert_eq!(ran.code, Some(0));
        assert!(started.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(300));
    };
    assert_eq!((code, &report["verdicts"]), (Some(14), &json!(["STALE"])));
    stage.edit("app/web.yaml", "3", "30");
    let ran = stage
        .run("verify --bundle shop.bundle --offline app")
        .exits(10);
    ran.says("also STALE");
}

/// Goal: a ledger is begun once and never twice; a server needs one.
#[test]
fn init_never_replaces_a_ledger_and_serve_never_begins_one() {
    let (stage, _made) = initialised(&[]);
    let log_key = stage.text("server/keys/log.pem");
    let again = "init --origin other.example/x --data server --admin root=admin.pem";
    stage
        .run(again)
        .refuses(2, "USAGE")
        .says("holds a ledger already");
    assert_eq!(stage.text("server/keys/log.pem"), log_key);
    let config = stage.text("server/server.toml");
    let data = config
        .lines()
        .find(|line| line.starts_with("data = "))
        .unwrap();
    let empty = stage.path("empty").to_str().unwrap().to_owned();
    stage.write(
        "empty.toml",
        config.replace(data, &format!("data = \"{empty}\"")),
    );
    let ran = stage.run("serve --config empty.toml");
    assert!(
        matches!(ran.code, Some(1 | 2)),
        "{:?} {}",
        ran.code,
        ran.err
    );
    stage.write("typo.toml", format!("lisen = 1\n{config}"));
    stage
        .run("serve --config typo.toml")
        .refuses(2, "USAGE")
        .says("lisen");
    stage
        .run("serve --config none.toml")
        .refuses(2, "USAGE")
        .says("none.toml");
    let wrong = [
        "init --origin x.example/y --data d --admin root",
        "init --origin x.example/y --data d --admin root=none.pem",
        "init --origin x.example/y --data d --admin root=admin.pem --deployer ci=abc:**",
        "init --origin x.example/y --data d --admin root=admin.pem --threshold 2",
        "init --origin x.example/y --data d --admin root=admin.pem --approvals prod",
    ];
    for line in wrong {
        let ran = stage.run(line);
        assert!(
            matches!(ran.code, Some(1 | 2)),
            "cairn {line}: {:?}",
            ran.code
        );
        assert!(!stage.path("d/data").exists(), "cairn {line}");
    }
}

/// Goal: a ledger that follows one that was lost says so to whoever is about to trust it. Method: a
/// second `init` with the last checkpoint of the first; a newcomer; files that are no checkpoint.
#[test]
fn a_ledger_that_continues_a_lost_one_says_so() {
    let (stage, made) = initialised(&[]);
    grant(&stage);
    let ledger = serve(&stage);
    with_token(&stage, made["genesis"].as_str().unwrap(), &ledger.url);
    stage.write("app/web.yaml", "replicas: 3\n");
    stage.run("record prod/shop app").exits(0);
    stage.run("audit").exits(0);
    drop(ledger);
    let below = stage.home().join("state");
    let note = crate::repairing::find(&below, "checkpoint").unwrap();
    let init = "init --origin ledger.example/again --data again --admin root=admin.pem --listen \
                127.0.0.1:0 --predecessor";
    stage.write("nothing", "no note\n");
    stage.run(&format!("{init} nothing")).refuses(2, "USAGE");
    stage
        .run(&format!("{init} {}", note.display()))
        .exits(0)
        .says("Continues ledger.example/prod");
    let mut command = stage.command();
    command.args(["serve", "--config", "again/server.toml"]);
    let ledger = Ledger::start(&mut command);
    stage
        .run(&format!("trust add {} --name again", ledger.url))
        .refuses(2, "USAGE")
        .says("ledger.example/prod, which was lost, as of 4 entries");
    // Nobody moves over in passing.
    let line = format!("trust add {} --name prod --no-input", ledger.url);
    stage.run(&line).exits(2).says("already");
}
