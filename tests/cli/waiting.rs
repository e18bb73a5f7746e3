//! Proposals that wait with the server: two people with a home each, and no file between them.

use std::fs;

use serde_json::{Value, json};

use crate::{
    firm::Firm,
    production::{grant, initialised, serve, with_token},
    stage::Ran,
};

/// Both homes reach the ledger with the same token; each has a key of its own.
pub(crate) fn office(rules: &[&str]) -> Firm {
    let firm = Firm::new(rules);
    firm.stage.write("app/web.yaml", "replicas: 3\n");
    for (home, key) in [("bob-home", "cd.pem"), ("qa-home", "qa.pem")] {
        firm.person(home, key);
    }
    firm
}

pub(crate) fn only(ran: &Ran, schema: &str) -> Value {
    let listed = ran.json(schema);
    let listed = listed["proposals"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    listed[0].clone()
}

fn none(firm: &Firm) {
    firm.run("release pending")
        .exits(0)
        .says("Nothing waits for signatures.");
}

/// The id in the line that says what to do next.
pub(crate) fn id_of(ran: &Ran) -> String {
    let next = ran
        .out
        .lines()
        .find(|line| line.contains("  Next "))
        .unwrap();
    next.split_whitespace().last().unwrap().to_owned()
}

/// Goal: where two must sign, two people do, and nothing but the server is between them. Method:
/// proposed in one home, found, shown, approved and submitted in the other, from a folder of its own.
#[test]
fn a_release_is_proposed_in_one_home_and_approved_in_another_without_a_file() {
    let firm = office(&["--approvals", "prod/**=2"]);
    let proposed = firm
        .run("release propose prod/shop app --send --reason hotfix")
        .exits(0)
        .says("1 of 2 deployers")
        .says("with the server until 20")
        .says("Next      cairn release approve ");
    let id = id_of(&proposed);
    fs::remove_dir_all(firm.stage.path("app")).unwrap();

    let listed = firm.as_host("bob-home", "release pending --output json");
    let listed = only(&listed.exits(0), "cairn.release-pending/v1");
    assert!(listed["id"].as_str().unwrap().starts_with(&id));
    for (member, value) in [
        ("environment", json!("prod/shop")),
        ("sequence", json!(1)),
        ("action", json!("release")),
        ("reason", json!("hotfix")),
        ("signers", json!(["ci"])),
        ("needed", json!(2)),
    ] {
        assert_eq!(listed[member], value, "{member}");
    }
    firm.as_host("bob-home", "release pending prod/shop")
        .exits(0)
        .says(&id[..12])
        .says("prod/shop#1  release  hotfix  1 of 2: ci  until 20")
        .says(&format!("    cairn release approve {id}"));
    firm.as_host("bob-home", "release pending prod/other")
        .exits(0)
        .says("Nothing waits");

    firm.as_host("bob-home", &format!("release submit {id}"))
        .refuses(4, "TOO_FEW_APPROVALS");
    firm.as_host("bob-home", &format!("release approve {id}"))
        .refuses(2, "USAGE")
        .says("+ web.yaml  file blake3:")
        .says("--yes");
    let approved = firm
        .as_host(
            "bob-home",
            &format!("release approve {id} --yes --output json"),
        )
        .exits(0)
        .json("cairn.release-proposal/v1");
    assert_eq!(
        (&approved["ready"], &approved["file"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(approved["keyids"].as_array().unwrap().len(), 2);
    let done = firm.as_host("bob-home", &format!("release submit {id} --output json"));
    assert_eq!(done.exits(0).json("cairn.record/v1")["sequence"], 1);

    none(&firm);
    firm.run(&format!("release submit {id}"))
        .refuses(1, "NOT_FOUND")
        .says("cairn log");
    firm.stage.write("app/web.yaml", "replicas: 3\n");
    let report = firm.run("verify prod/shop app --output json").exits(0);
    let report = report.json("cairn.verify/v1");
    assert_eq!(report["signers"].as_array().unwrap().len(), 2);
}

/// Goal: as many sign as the policy asks for, in any order, and the last one is told, or has it
/// recorded at once. Method: three of three; a copy in a file beside the one that waits.
#[test]
fn the_last_of_three_has_the_release_recorded_at_once() {
    let firm = office(&["--approvals", "prod/**=3"]);
    let both = firm.run("release propose prod/shop app --send -o shop.json");
    let id = id_of(&both.exits(0));
    firm.as_host("bob-home", &format!("release approve {id} --yes --submit"))
        .exits(0)
        .says("2 of 3 deployers")
        .says(&format!("Next      cairn release approve {id}"));
    // Whoever signed already adds nothing.
    firm.as_host("bob-home", &format!("release approve {id} --yes"))
        .exits(0)
        .says("2 of 3 deployers");
    // A file of the same proposal was signed elsewhere: copies are joined from wherever they are.
    firm.run("release approve shop.json --key qa.pem --yes")
        .exits(0)
        .says("2 of 3 deployers");
    firm.run(&format!("release submit {id} shop.json"))
        .exits(0)
        .says("Recorded  prod/shop#1");
    none(&firm);

    firm.stage.edit("app/web.yaml", "3", "4");
    let id = id_of(&firm.run("release propose prod/shop app --send").exits(0));
    firm.as_host("bob-home", &format!("release approve {id} --yes"))
        .exits(0);
    let done = firm.as_host(
        "qa-home",
        &format!("release approve {id} --yes --submit --output json"),
    );
    assert_eq!(done.exits(0).json("cairn.record/v1")["sequence"], 2);
    none(&firm);
}

/// Goal: what waits for a place that is taken is gone, and nobody is asked to sign it. Method: two
/// proposals for one sequence; and a policy that takes away who had signed.
#[test]
fn what_was_overtaken_waits_no_more() {
    let firm = office(&["--approvals", "prod/**=2"]);
    let first = id_of(&firm.run("release propose prod/shop app --send").exits(0));
    firm.stage.edit("app/web.yaml", "3", "4");
    let second = id_of(&firm.run("release propose prod/shop app --send").exits(0));
    assert_ne!(first, second);
    firm.as_host(
        "bob-home",
        &format!("release approve {second} --yes --submit"),
    )
    .exits(0)
    .says("Recorded  prod/shop#1");
    firm.as_host("qa-home", &format!("release approve {first} --yes"))
        .refuses(1, "NOT_FOUND");
    none(&firm);

    firm.stage.edit("app/web.yaml", "4", "5");
    let third = id_of(&firm.run("release propose prod/shop app --send").exits(0));
    firm.run("policy revoke ci -o next.json").exits(0);
    firm.enact("next.json");
    // It waits still; the rules see to it.
    firm.as_host("bob-home", &format!("release approve {third} --yes"))
        .refuses(4, "UNKNOWN_SIGNER");
}

/// Goal: policies wait like releases. Method: proposed and sent by one admin, signed by the other;
/// what nobody signed is not sent.
#[test]
fn a_policy_waits_for_its_second_admin() {
    let firm = office(&[]);
    firm.run("policy revoke ci --send")
        .refuses(2, "USAGE")
        .says("--key");
    firm.run("policy revoke ci").exits(2).says("--send");
    firm.run("policy revoke ci --send --key mallory.pem")
        .refuses(4, "UNKNOWN_SIGNER");
    let id = id_of(
        &firm
            .run("policy revoke ci --send --key alice.pem")
            .exits(0)
            .says("1 of 2 admins")
            .says("Next      cairn policy sign "),
    );
    let listed = firm.as_host("bob-home", "policy pending --output json");
    let listed = only(&listed.exits(0), "cairn.policy-pending/v1");
    assert_eq!(
        (&listed["version"], &listed["signers"]),
        (&json!(2), &json!(["alice"]))
    );
    none(&firm);
    firm.as_host("bob-home", &format!("release approve {id} --yes"))
        .refuses(1, "PROPOSAL_SYNTAX")
        .says("no release");
    let key = firm.stage.path("bob.pem").display().to_string();
    firm.as_host("bob-home", &format!("policy sign {id} --key {key}"))
        .refuses(2, "USAGE")
        .says("- deployer ci");
    firm.as_host(
        "bob-home",
        &format!("policy sign {id} --key {key} --yes --submit"),
    )
    .exits(0)
    .says("policy 2");
    firm.run("policy pending").exits(0).says("Nothing waits");
}

/// Goal: a wrong id is told from a right one, and never taken for a file. Method: ids of nothing, of
/// too few digits, with capitals; a file that is called like one.
#[test]
fn an_id_of_nothing_is_refused() {
    let firm = office(&["--approvals", "prod/**=2"]);
    let id = id_of(
        &firm
            .run("release propose prod/shop app --send -o shop.json")
            .exits(0),
    );
    let wrong = if id.starts_with("0000") {
        "ffffffff"
    } else {
        "00000000"
    };
    for command in ["approve --yes", "submit", "withdraw"] {
        firm.run(&format!("release {command} {wrong}"))
            .refuses(1, "NOT_FOUND");
    }
    firm.run("release withdraw 0000")
        .exits(2)
        .says("8 to 64 digits");
    firm.run("release submit 0000")
        .refuses(1, "PATH_UNREADABLE");
    fs::copy(firm.stage.path("shop.json"), firm.stage.path("00000000")).unwrap();
    firm.run(&format!("release submit {wrong}"))
        .refuses(1, "NOT_FOUND");
    firm.run("release submit ./00000000")
        .refuses(4, "TOO_FEW_APPROVALS");
}

/// Goal: what was left can be taken away, by who left it. Method: by its token; then nobody finds it.
#[test]
fn a_proposal_is_withdrawn_by_the_token_that_left_it() {
    let firm = office(&["--approvals", "prod/**=2"]);
    let id = id_of(&firm.run("release propose prod/shop app --send").exits(0));
    let gone = firm.run(&format!("release withdraw {id} --output json"));
    assert_eq!(gone.exits(0).json("cairn.proposal-withdraw/v1")["id"], id);
    none(&firm);
    firm.as_host("bob-home", &format!("release approve {id} --yes"))
        .refuses(1, "NOT_FOUND");
}

/// Goal: an operator says how long proposals wait, within bounds, or that none does. Method: settings
/// that are refused, that close the room, that make it a second.
#[test]
fn an_operator_says_how_long_proposals_wait() {
    let (stage, made) = initialised(&["--approvals", "prod/**=2"]);
    grant(&stage);
    let usual = stage.text("server/server.toml");
    let genesis = made["genesis"].as_str().unwrap();
    stage.write("app/web.yaml", "replicas: 3\n");
    let wait = |seconds: u64| {
        let settings = format!("proposal_seconds = {seconds}\n{usual}");
        stage.write("server/server.toml", settings);
    };
    wait(604_801);
    stage
        .run("serve --config server/server.toml")
        .refuses(2, "USAGE")
        .says("604800 at most");
    wait(0);
    let ledger = serve(&stage);
    with_token(&stage, genesis, &ledger.url);
    let propose = "release propose prod/shop app --send";
    stage.run(propose).refuses(4, "NOT_ALLOWED").says("-o FILE");
    drop(ledger);
    wait(1);
    let ledger = serve(&stage);
    with_token(&stage, genesis, &ledger.url);
    let id = id_of(&stage.run(propose).exits(0));
    std::thread::sleep(std::time::Duration::from_secs(2));
    let nothing = "Nothing waits for signatures.";
    stage.run("release pending").exits(0).says(nothing);
    stage
        .run(&format!("release approve {id} --key cd.pem --yes"))
        .refuses(1, "NOT_FOUND");
    drop(ledger);
    // Over a restart of the real process, with the usual time.
    stage.write("server/server.toml", &usual);
    let ledger = serve(&stage);
    with_token(&stage, genesis, &ledger.url);
    let id = id_of(&stage.run(propose).exits(0));
    drop(ledger);
    let ledger = serve(&stage);
    with_token(&stage, genesis, &ledger.url);
    stage
        .run(&format!("release approve {id} --key cd.pem --yes --submit"))
        .exits(0)
        .says("Recorded  prod/shop#1");
    drop(ledger);
}
