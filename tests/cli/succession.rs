//! Other keys take over from a log's: planned, and after the old ones were stolen.

use serde_json::json;

use crate::{
    firm::Firm,
    production::serve,
    stage::{Ledger, Ran, Stage},
};

/// A firm's server under other settings.
fn serve_as(firm: &Firm, config: &str, more: &[&str]) -> Ledger {
    let mut command = firm.stage.command();
    Ledger::start(command.args(["serve", "--config", config]).args(more))
}

fn refused_start(firm: &Firm, config: &str, more: &[&str]) -> Ran {
    let mut words = vec!["serve", "--config", config];
    words.extend(more);
    firm.stage.run_words(&words)
}

/// The settings with the port at which the first server answered, so that nobody who pinned it has
/// to be told another.
fn settle(firm: &mut Firm) {
    let url = firm.url().to_owned();
    let address = url.strip_prefix("http://").unwrap().to_owned();
    firm.stage
        .edit("server/server.toml", "127.0.0.1:0", &address);
}

/// The order, signed by both admins.
fn order(firm: &Firm) {
    for key in ["log2", "clock2"] {
        firm.run(&format!("key new {key}.pem")).exits(0);
    }
    let words = "order succession --log-key log2.pem --clock-key clock2.pem --reason planned \
                 -o order.json --key alice.pem";
    firm.run(words).exits(0).says("1 of 2 admins");
}

/// A copy of the server's data, with settings of its own.
fn steal(firm: &Firm) {
    firm.stage.copy("server", "stolen");
    let own = |folder: &str| firm.stage.path(folder).canonicalize().unwrap();
    let paths = [own("server"), own("stolen")].map(|path| path.display().to_string());
    let settings = firm.stage.text("stolen/server.toml");
    firm.stage
        .write("stolen/server.toml", settings.replace(&paths[0], &paths[1]));
}

fn new_settings(stage: &Stage) {
    let settings = stage.text("server/server.toml");
    let settings = settings
        .replace("keys/log.pem", "keys/../../log2.pem")
        .replace("keys/clock.pem", "keys/../../clock2.pem");
    stage.write("server/new.toml", settings);
}

/// Goal: a log's keys are replaced, and nobody who pinned the old ones has to be told: an order of
/// the admins proves it. Method: what is refused on the way; the server starts with new keys; those
/// who pinned the old ones go on, online, offline, with what they held; new ones come; the old
/// server, whose key was kept by a thief, is refused by all who saw the order.
#[test]
fn other_keys_take_over_by_an_order_of_the_admins_and_everybody_follows() {
    let mut firm = Firm::new(&[]);
    settle(&mut firm);
    firm.host("host");
    firm.host("late");
    firm.stage.write("app/web.yaml", "replicas: 3\n");
    firm.run("record prod/shop app").exits(0);
    for home in ["host", "late"] {
        firm.as_host(home, "verify prod/shop app").exits(0);
    }
    firm.run("export prod/shop -o before.bundle").exits(0);
    order(&firm);
    firm.run("proposal submit order.json")
        .refuses(4, "TOO_FEW_SIGNATURES");
    firm.stop();
    steal(&firm);
    new_settings(&firm.stage);
    let order = ["--succession", "order.json"];
    refused_start(&firm, "server/new.toml", &[]).refuses(1, "GENESIS_KEYS");
    refused_start(&firm, "server/new.toml", &order).refuses(1, "TOO_FEW_SIGNATURES");
    refused_start(&firm, "server/server.toml", &order).refuses(1, "GENESIS_KEYS");
    sign_offline(&firm);
    drop(serve_as(&firm, "server/new.toml", &order));
    // Again, and without the order: it is in the log now.
    drop(serve_as(&firm, "server/new.toml", &order));
    refused_start(&firm, "server/server.toml", &[]).refuses(1, "GENESIS_KEYS");
    let server = serve_as(&firm, "server/new.toml", &[]);
    everybody_follows(&firm);
    drop(server);
    the_old_key_is_refused(&firm);
}

/// The second admin signs while the first server runs once more, and nothing is recorded.
fn sign_offline(firm: &Firm) {
    let server = serve(&firm.stage);
    firm.run("proposal sign order.json --key bob.pem --yes")
        .exits(0)
        .says("by enough");
    firm.run("proposal submit order.json")
        .refuses(1, "SUCCESSION_RUNNING");
    drop(server);
}

fn everybody_follows(firm: &Firm) {
    let seen = firm.as_host("host", "verify prod/shop app").exits(0);
    assert!(seen.err.contains("took over"), "{}", seen.err);
    let again = firm.as_host("host", "verify prod/shop app").exits(0);
    assert!(!again.err.contains("took over"), "{}", again.err);
    firm.stage.write("app/web.yaml", "replicas: 4\n");
    firm.run("record prod/shop app").exits(0);
    firm.as_host("host", "verify prod/shop app").exits(0);
    firm.run("audit").exits(0).says("No problems found");
    firm.run("order list").exits(0).says("key-succession");
    let trust = firm.run("trust show --output json").exits(0);
    let trust = trust.json("cairn.trust/v1");
    let public = firm.run("key show log2.pem --output json").exits(0);
    let public = public.json("cairn.key/v1")["public"].clone();
    let key = trust["logKey"].as_str().unwrap();
    assert!(public.as_str().is_some() && key.starts_with("ledger.example/firm+"));
    // Who comes now, and who has but a file: pinned are the first keys, or none.
    firm.host("new");
    firm.as_host("new", "verify prod/shop app").exits(0);
    firm.run("export prod/shop -o after.bundle").exits(0);
    let seen = firm.as_host(
        "late",
        "verify --bundle after.bundle --offline app --output json",
    );
    let seen = seen.exits(0).json("cairn.verify/v1");
    assert_eq!(seen["verdicts"], json!(["VERIFIED"]));
    // What the old keys signed in their time stays theirs.
    firm.stage.write("old/web.yaml", "replicas: 3\n");
    firm.as_host("new", "verify --bundle before.bundle --offline old")
        .exits(14);
}

/// The thief goes on with the old key where the log was when others took over.
fn the_old_key_is_refused(firm: &Firm) {
    let thief = serve_as(firm, "stolen/server.toml", &[]);
    firm.stage.write("evil/web.yaml", "image: miner\n");
    // Who never heard of it believes the old key, until it meets the true log: then it believes
    // neither.
    let url = thief.url.clone();
    let words = format!(
        "trust add {url} --name firm --genesis {} --key ci.pem --token-file token",
        firm.genesis()
    );
    firm.as_host("victim", &words).exits(0);
    firm.as_host("victim", "record prod/shop evil").exits(0);
    firm.as_host("victim", "verify prod/shop evil").exits(0);
    for home in ["host", "new"] {
        let refused = firm.as_host(home, "verify prod/shop evil --output json");
        let refused = refused.exits(12).json("cairn.verify/v1");
        assert_eq!(refused["reason"], "KEY_SUCCEEDED", "{home}");
    }
    firm.run("record prod/shop evil")
        .refuses(12, "KEY_SUCCEEDED");
    firm.as_host("victim", "export prod/shop -o evil.bundle")
        .exits(0);
    drop(thief);
    let server = serve_as(firm, "server/new.toml", &[]);
    let refused = firm.as_host("victim", "verify prod/shop evil --output json");
    let refused = refused.exits(12).json("cairn.verify/v1");
    assert_eq!(refused["verdicts"], json!(["UNTRUSTED"]));
    firm.as_host("victim", "verify prod/shop app").exits(12);
    // The thief's notes do not stop the true server.
    firm.run("record prod/shop app --again").exits(0);
    drop(server);
}

/// Goal: what former keys sign at a size that was theirs says nothing of what is current, whatever its
/// time. Method: a thief goes on from an old copy, below the size at which others took over; those who
/// know of the others meet the thief's server first, and its bundle.
#[test]
fn a_checkpoint_of_former_keys_is_stale_however_young_it_is() {
    let mut firm = Firm::new(&[]);
    settle(&mut firm);
    firm.stop();
    steal(&firm);
    let server = serve(&firm.stage);
    for round in 0..4 {
        firm.stage
            .write("app/web.yaml", format!("replicas: {round}\n"));
        firm.run("record prod/shop app").exits(0);
    }
    order(&firm);
    firm.run("proposal sign order.json --key bob.pem --yes")
        .exits(0);
    drop(server);
    new_settings(&firm.stage);
    let server = serve_as(&firm, "server/new.toml", &["--succession", "order.json"]);
    firm.host("new");
    let trust = firm.as_host("new", "trust show").exits(0);
    assert!(trust.out.contains("Log key"), "{}", trust.out);
    drop(server);
    let thief = serve_as(&firm, "stolen/server.toml", &[]);
    firm.stage.write("evil/web.yaml", "image: miner\n");
    let words = format!(
        "trust add {} --name firm --genesis {} --key ci.pem --token-file token",
        firm.url(),
        firm.genesis()
    );
    firm.as_host("thief", &words).exits(0);
    firm.as_host("thief", "record prod/shop evil").exits(0);
    firm.as_host("thief", "export prod/shop -o evil.bundle")
        .exits(0);
    let words = [
        "verify prod/shop evil",
        "verify --bundle evil.bundle --offline evil",
    ];
    for words in words {
        let refused = firm.as_host("new", &format!("{words} --output json"));
        let report = refused.exits(14).json("cairn.verify/v1");
        assert_eq!(report["reason"], "KEY_SUCCEEDED", "{words}");
    }
    for words in ["show prod/shop", "log", "audit"] {
        firm.as_host("new", words).exits(14);
    }
    drop(thief);
    // Nothing of it was remembered: the true log is no fork.
    let server = serve_as(&firm, "server/new.toml", &[]);
    firm.as_host("new", "verify prod/shop app").exits(0);
    firm.as_host("new", "audit").exits(0);
    drop(server);
}

/// Goal: whoever follows beside others, or offline first, is told of no damage and no lie. Method: a
/// bundle twice with the old trust file alone, then online; and eight at once.
#[test]
fn many_follow_at_once_and_offline_before_online() {
    let mut firm = Firm::new(&[]);
    settle(&mut firm);
    for home in ["offline", "many"] {
        firm.host(home);
    }
    firm.stage.write("app/web.yaml", "replicas: 3\n");
    firm.run("record prod/shop app").exits(0);
    order(&firm);
    firm.run("proposal sign order.json --key bob.pem --yes")
        .exits(0);
    firm.stop();
    new_settings(&firm.stage);
    let server = serve_as(&firm, "server/new.toml", &["--succession", "order.json"]);
    let running: Vec<_> = (0..8)
        .map(|_| {
            let mut command = firm.stage.command_of("many");
            command
                .args(["verify", "prod/shop", "app"])
                .spawn()
                .unwrap()
        })
        .collect();
    for mut child in running {
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
    firm.run("export prod/shop -o after.bundle").exits(0);
    for _ in 0..2 {
        firm.as_host("offline", "verify --bundle after.bundle --offline app")
            .exits(0);
    }
    firm.as_host("offline", "verify prod/shop app").exits(0);
    drop(server);
}
