//! What admins order in an emergency, and what deployers approve afterwards: break-glass orders,
//! approvals of a release that stands, hosts.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::firm::Firm;

/// Gives an order of two admins, and returns its leaf hash.
fn order(firm: &Firm, words: &str) -> String {
    let mut made: Vec<&str> = words.split_whitespace().collect();
    made.extend(["--reason", "the shop is on fire", "-o", "order.json"]);
    firm.stage.run_words(&made).exits(0).says("by nobody yet");
    firm.run("proposal submit order.json")
        .refuses(1, "PROPOSAL_SYNTAX");
    firm.run("proposal sign order.json --key alice.pem --yes")
        .exits(0)
        .says("1 of 2 admins");
    firm.run("proposal submit order.json")
        .refuses(4, "TOO_FEW_SIGNATURES");
    firm.run("proposal sign order.json --key ci.pem --yes")
        .refuses(4, "UNKNOWN_SIGNER");
    firm.run("proposal sign order.json --key bob.pem --yes")
        .exits(0)
        .says("by enough");
    firm.run("proposal submit order.json").exits(0);
    let listed = firm.run("order list --output json").exits(0);
    let listed = listed.json("cairn.orders/v1")["orders"].clone();
    let last = listed.as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["reason"], "the shop is on fire");
    assert_eq!(last["signers"], json!(["alice", "bob"]));
    last["leafHash"].as_str().unwrap().to_owned()
}

fn report(firm: &Firm, home: &str, words: &str, exit: i32) -> Value {
    let ran = firm.as_host(home, &format!("{words} --output json"));
    ran.exits(exit).json("cairn.verify/v1")
}

/// Goal: in an emergency one deployer is enough, for a while; then others must have stood up for
/// it. Method: a ledger where two must sign; an order of a few seconds; a release by one, verified
/// online and offline until it expires and refused after, also by a clock that was set back; then
/// an approval by two, and everything stands again.
#[test]
fn a_break_glass_order_lets_one_release_until_it_expires_and_then_others_must_approve() {
    let firm = Firm::new(&["--approvals", "prod/**=2"]);
    firm.host("host");
    firm.stage.write("app/web.yaml", "replicas: 3\n");
    firm.run("record prod/shop app")
        .refuses(4, "TOO_FEW_APPROVALS");
    let nowhere = "0".repeat(64);
    firm.run(&format!("record prod/shop app --break-glass {nowhere}"))
        .refuses(1, "BREAK_GLASS_UNKNOWN");
    let elsewhere = order(&firm, "order break-glass test/** --approvals 1 --for 1h");
    firm.run(&format!("record prod/shop app --break-glass {elsewhere}"))
        .refuses(1, "BREAK_GLASS_UNKNOWN");
    let leaf = order(&firm, "order break-glass prod/** --approvals 1 --for 12s");
    let given = Instant::now();
    firm.run(&format!("record prod/shop app --break-glass {leaf}"))
        .exits(0);
    let proven = report(&firm, "host", "verify prod/shop app", 0);
    assert!(proven["standsUntil"].is_u64(), "{proven}");
    assert_eq!(proven["approval"], Value::Null);
    firm.run("export prod/shop -o early.bundle").exits(0);
    firm.host("offline");
    report(
        &firm,
        "offline",
        "verify --bundle early.bundle --offline app",
        0,
    );
    firm.run("audit").exits(0);
    let watched = firm.run("watch prod/** --from 0 --once").exits(0);
    for said in ["order     index", "release   index"] {
        assert!(watched.out.contains(said), "{}", watched.out);
    }
    assert!(!watched.out.contains("BROKEN"), "{}", watched.out);

    std::thread::sleep(Duration::from_secs(14).saturating_sub(given.elapsed()));
    it_has_expired(&firm, &leaf);
    two_stand_up_for_it(&firm);
}

fn it_has_expired(firm: &Firm, leaf: &str) {
    let words = [
        "verify prod/shop app",
        "verify --bundle early.bundle --offline app",
    ];
    for (home, words) in [("host", words[0]), ("offline", words[1])] {
        let refused = report(firm, home, words, 12);
        assert_eq!(refused["reason"], "BREAK_GLASS_EXPIRED", "{home}");
    }
    firm.run(&format!(
        "record prod/shop app --again --break-glass {leaf}"
    ))
    .refuses(1, "BREAK_GLASS_EXPIRED");
    let audit = firm
        .run("audit --output json")
        .exits(12)
        .json("cairn.audit/v1");
    assert_eq!(audit["compromised"][0]["current"], true);
    assert_eq!(audit["alarms"], json!([]), "the log itself broke no rule");
}

fn two_stand_up_for_it(firm: &Firm) {
    firm.run("approve prod/shop#1 --yes")
        .refuses(1, "TOO_FEW_APPROVALS")
        .says("-o FILE");
    firm.run("approve prod/shop#1 --yes --reason looked -o approval.json")
        .exits(0);
    firm.run("proposal sign approval.json --key alice.pem --yes")
        .refuses(4, "UNKNOWN_SIGNER");
    firm.run("proposal sign approval.json --key cd.pem --yes")
        .exits(0)
        .says("by enough");
    firm.run("proposal submit approval.json").exits(0);
    let proven = report(firm, "host", "verify prod/shop app", 0);
    assert!(proven["approval"].is_u64(), "{proven}");
    assert_eq!(proven["standsUntil"], Value::Null);
    firm.run("export prod/shop -o late.bundle").exits(0);
    report(
        firm,
        "offline",
        "verify --bundle late.bundle --offline app",
        0,
    );
    firm.run("audit").exits(0).says("No problems found");
}

/// Goal: a release that a stolen key signed stands again, without being deployed again, once others
/// approved it; and falls with them. Method: revoke, approve by another, revoke that one too.
#[test]
fn a_release_of_a_compromised_key_stands_again_by_the_approval_of_another() {
    let firm = Firm::new(&[]);
    firm.host("host");
    let since = firm.next_index();
    firm.stage.write("app/web.yaml", "replicas: 3\n");
    firm.run("record prod/shop app").exits(0);
    let revoke = |key: &str| {
        firm.run(&format!(
            "policy revoke {key} --since {since} -o revoke.json"
        ))
        .exits(0);
        firm.enact("revoke.json");
    };
    revoke("ci");
    let refused = report(&firm, "host", "verify prod/shop app", 12);
    assert_eq!(refused["reason"], "SIGNER_COMPROMISED");
    firm.run("approve prod/shop#1 --yes")
        .refuses(4, "UNKNOWN_SIGNER");
    firm.run("approve prod/shop#1 --yes --key cd.pem --reason looked")
        .exits(0);
    let proven = report(&firm, "host", "verify prod/shop app", 0);
    assert_eq!(proven["signers"][0]["name"], "cd");
    assert_eq!(proven["sequence"], 1, "nothing was released again");
    firm.run("log prod/shop").exits(0);
    firm.run("audit").exits(0);
    revoke("cd");
    let refused = report(&firm, "host", "verify prod/shop app", 12);
    assert_eq!(refused["reason"], "SIGNER_COMPROMISED");
    firm.run("approve prod/shop#1 --yes --key qa.pem").exits(0);
    report(&firm, "host", "verify prod/shop app", 0);
    // A new release is approved by nobody yet, and needs nobody.
    firm.stage.write("app/web.yaml", "replicas: 4\n");
    firm.run("record prod/shop app --key qa.pem").exits(0);
    let proven = report(&firm, "host", "verify prod/shop app", 0);
    assert_eq!(proven["approval"], Value::Null);
    firm.run("audit").exits(0);
}

/// Goal: nobody enrols a host but who may, where they may; its standing is proven, its absence too.
/// Method: a policy in which one may enrol in one part of the fleet; hosts come, move and go.
#[test]
fn a_host_is_enrolled_by_who_may_and_dismissed_and_its_absence_is_proven() {
    let firm = Firm::new(&[]);
    let mut policy = firm.policy();
    for deployer in policy["deployers"].as_array_mut().unwrap() {
        match deployer["name"].as_str().unwrap() {
            "ci" => deployer["environments"] = json!(["prod/eu/**"]),
            "cd" => {}
            _ => continue,
        }
        deployer["actions"] = json!(["enrol", "release"]);
    }
    policy["version"] = json!(2);
    firm.propose(&policy).exits(0);
    firm.enact("next.json");
    let made = firm.run("key new host.pem --output json").exits(0);
    let made = made.json("cairn.key/v1");
    let (key, id) = (
        made["public"].as_str().unwrap(),
        made["keyid"].as_str().unwrap(),
    );
    firm.run(&format!("host show {id}"))
        .exits(0)
        .says("was ever enrolled");
    let enrol = |place: &str, by: &str| {
        firm.run(&format!(
            "host enrol {place} {key} --name web-1 --key {by}.pem"
        ))
    };
    enrol("prod/eu/shop", "qa").refuses(4, "SIGNER_NOT_ALLOWED");
    enrol("prod/us/shop", "ci").refuses(4, "SIGNER_NOT_ALLOWED");
    enrol("prod/us/shop", "cd").exits(0);
    // Who may only in Europe does not take a host from America.
    enrol("prod/eu/shop", "ci").refuses(4, "SIGNER_NOT_ALLOWED");
    enrol("prod/eu/shop", "cd").exits(0);
    let shown = firm.run(&format!("host show {key} --output json")).exits(0);
    let shown = shown.json("cairn.host/v1");
    assert_eq!(
        (&shown["standing"], &shown["environment"], &shown["number"]),
        (&json!("enrolled"), &json!("prod/eu/shop"), &json!(2))
    );
    firm.run(&format!("host dismiss {id} --key ci.pem"))
        .exits(0);
    firm.run(&format!("host dismiss {id} --key ci.pem"))
        .refuses(1, "NOT_FOUND");
    firm.run(&format!("host show {id}"))
        .exits(0)
        .says("dismissed in prod/eu/shop");
    firm.run("audit").exits(0);
}

/// Goal: orders that nobody should sign are refused before anybody does. Method: one of each.
#[test]
fn an_order_that_cannot_hold_is_refused_before_it_is_signed() {
    let firm = Firm::new(&[]);
    let refused = [
        ("order break-glass prod/** --for 1h", 2, "USAGE"),
        ("order redact blake3:12", 2, "USAGE"),
        ("order redact sha256:12", 2, "USAGE"),
        ("order redact web.yaml --from prod/shop", 1, "NOT_FOUND"),
    ];
    for (words, exit, code) in refused {
        let words = format!("{words} --reason why -o order.json");
        let ran = firm.run(&words);
        assert!(
            ran.err.contains(code) && ran.code == Some(exit),
            "{words}: {:?} {}",
            ran.code,
            ran.err
        );
    }
    assert!(!firm.stage.path("order.json").exists());
    // More than 30 days: the ledger's rule, whoever signs.
    let words = "order break-glass prod/** --approvals 1 --for 31d --reason why -o order.json";
    firm.run(words).exits(0);
    for admin in ["alice", "bob"] {
        firm.run(&format!("proposal sign order.json --key {admin}.pem --yes"))
            .exits(0);
    }
    firm.run("proposal submit order.json")
        .refuses(1, "BREAK_GLASS_EXPIRED");
    // Two orders made for the same place: the second one is told so.
    for file in ["one", "two"] {
        let words = format!("order break-glass prod/** --approvals 1 --for 1h -o {file}.json");
        let mut words: Vec<&str> = words.split_whitespace().collect();
        words.extend(["--reason", file, "--key", "alice.pem", "--key", "bob.pem"]);
        firm.stage.run_words(&words).exits(0);
    }
    firm.run("proposal submit one.json").exits(0);
    firm.run("proposal submit one.json").exits(0);
    firm.run("proposal submit two.json")
        .refuses(1, "WRONG_NUMBER");
    firm.run("proposal sign two.json --key alice.pem --yes")
        .refuses(1, "WRONG_NUMBER");
    assert_eq!(
        firm.run("order list")
            .exits(0)
            .out
            .matches("order 1")
            .count(),
        1
    );
}
