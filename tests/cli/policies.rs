//! Policies changed and keys revoked, as people do it: from the command line, against a served
//! ledger.

use std::fs;

use serde_json::{Value, json};

use crate::firm::Firm;

/// Goal: a stolen key is survived. Method: it signs three malicious releases; the admins revoke
/// it as of the first; every verifier, with and without a network, with and without what it
/// saw before, refuses them; what came before stands; another key goes on.
#[test]
fn a_stolen_key_is_revoked_and_everybody_refuses_what_it_signed_since() {
    let firm = Firm::new(&[]);
    let stage = &firm.stage;
    stage.write("app/web.yaml", "replicas: 3\n");
    firm.run("record prod/shop app").exits(0);
    firm.run("export prod/shop -o good.bundle").exits(0);
    firm.host("host");

    // The thief has `ci.pem`.
    let since = firm.next_index();
    stage.write("evil/web.yaml", "replicas: 3\nimage: miner\n");
    for round in 0..3 {
        stage.write("evil/round", format!("{round}"));
        firm.run("record prod/shop evil").exits(0);
    }
    firm.as_host("host", "verify prod/shop evil").exits(0);
    firm.run("export prod/shop -o evil.bundle").exits(0);

    let revoke = format!("policy revoke ci --since {since} --reason stolen -o revoke.json");
    firm.run(&revoke).exits(0).says("by nobody yet");
    firm.run("policy submit revoke.json")
        .refuses(1, "PROPOSAL_SYNTAX");
    firm.run("policy sign revoke.json --key alice.pem --yes")
        .exits(0)
        .says("1 of 2 admins");
    firm.run("policy submit revoke.json")
        .refuses(4, "TOO_FEW_SIGNATURES");
    firm.run("policy sign revoke.json --key mallory.pem --yes")
        .refuses(4, "UNKNOWN_SIGNER");
    firm.run("policy sign revoke.json --key bob.pem --yes")
        .exits(0)
        .says("by enough");
    firm.run("policy submit revoke.json").exits(0);
    // An answer that was lost: the same call again finds that it stands.
    firm.run("policy submit revoke.json").exits(0);

    everybody_refuses(&firm);
    what_came_before_stands(&firm);
    nothing_brings_it_back(&firm, since);
}

fn everybody_refuses(firm: &Firm) {
    let stage = &firm.stage;
    for home in ["home", "host"] {
        let refused = firm.as_host(home, "verify prod/shop evil --output json");
        let report = refused.exits(12).json("cairn.verify/v1");
        assert_eq!(report["verdicts"], json!(["UNTRUSTED"]), "{home}");
        assert_eq!(report["reason"], "SIGNER_COMPROMISED", "{home}");
        crate::golden::holds(&report, 12);
    }
    firm.run("export prod/shop -o late.bundle")
        .refuses(12, "SIGNER_COMPROMISED");
    assert!(!stage.path("late.bundle").exists());
    // A bundle from before the revocation is older than the policy that this host saw.
    firm.as_host("host", "verify --bundle evil.bundle --offline evil")
        .exits(14);
    firm.run("record prod/shop evil --again")
        .refuses(4, "UNKNOWN_SIGNER");
    let audit = firm.run("audit --output json").exits(12);
    let audit = audit.json("cairn.audit/v1");
    let listed = audit["compromised"].as_array().unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|it| {
            (
                it["sequence"].as_u64().unwrap(),
                it["current"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(listed, [(2, false), (3, false), (4, true)]);
    assert_eq!(audit["alarms"], json!([]), "the log itself broke no rule");
}

/// And another key goes on, with nothing of the log touched.
fn what_came_before_stands(firm: &Firm) {
    firm.run("show prod/shop#1").exits(0);
    firm.run("show prod/shop#3")
        .refuses(12, "SIGNER_COMPROMISED");
    let log = firm.run("log prod/shop").exits(0);
    assert_eq!(log.out.matches("COMPROMISED").count(), 3, "{}", log.out);

    firm.run("rollback prod/shop prod/shop#4 --key cd.pem")
        .refuses(12, "SIGNER_COMPROMISED");
    firm.run("rollback prod/shop prod/shop#1 --key cd.pem")
        .exits(0)
        .says("prod/shop#5");
    for home in ["home", "host"] {
        firm.as_host(home, "verify prod/shop app")
            .exits(0)
            .says("VERIFIED  prod/shop#5");
    }
    firm.run("audit")
        .exits(0)
        .says("3 releases")
        .says("No problems found");
}

/// Nor makes the revocation weaker.
fn nothing_brings_it_back(firm: &Firm, since: u64) {
    let mut policy = firm.policy();
    let revoked = policy["revoked"].clone();
    policy.as_object_mut().unwrap().remove("revoked");
    firm.propose(&policy).refuses(1, "REVOCATION_LIFTED");
    let mut later = revoked.clone();
    later[0]["since"] = json!(since + 1);
    policy["revoked"] = later;
    firm.propose(&policy).refuses(1, "REVOCATION_LIFTED");
    policy["revoked"] = revoked.clone();
    let mut again = policy["deployers"][0].clone();
    again["key"] = revoked[0]["key"].clone();
    again["name"] = json!("ci");
    policy["deployers"].as_array_mut().unwrap().push(again);
    firm.propose(&policy).refuses(1, "KEY_REVOKED");
}

/// Goal: content that a thief released can stand again without being deployed again. Method:
/// another key records the very same files.
#[test]
fn a_standing_release_is_approved_again_by_other_keys_without_redeploying() {
    let firm = Firm::new(&[]);
    firm.stage.write("app/web.yaml", "replicas: 3\n");
    let since = firm.next_index();
    firm.run("record prod/shop app").exits(0);
    firm.run(&format!("policy revoke ci --since {since} -o next.json"))
        .exits(0);
    firm.enact("next.json");
    firm.run("verify prod/shop app").exits(12);
    firm.run("record prod/shop app --key cd.pem")
        .exits(0)
        .says("Recorded  prod/shop#2");
    firm.run("verify prod/shop app").exits(0);
    // A key that is revoked from now on takes nothing with it.
    firm.run("policy revoke cd -o next.json").exits(0);
    firm.enact("next.json");
    firm.run("verify prod/shop app")
        .exits(0)
        .says("VERIFIED  prod/shop#2");
    firm.run("record prod/shop app --again --key cd.pem")
        .refuses(4, "UNKNOWN_SIGNER");
}

/// Goal: where two must sign, two people on two machines can. Method: proposed by one,
/// approved in a copy by another and a third, submitted; and everything that is refused.
#[test]
fn a_release_is_proposed_by_one_approved_by_another_and_submitted() {
    let firm = Firm::new(&["--approvals", "prod/**=2"]);
    let stage = &firm.stage;
    stage.write("app/web.yaml", "replicas: 3\n");
    firm.run("release propose prod/shop app -o shop.json")
        .exits(0)
        .says("prod/shop#1  release  1 artifact")
        .says("Manifest  blake3:")
        .says("+ web.yaml  file blake3:")
        .says("1 of 2 deployers");
    firm.run("release submit shop.json")
        .refuses(4, "TOO_FEW_APPROVALS");
    fs::copy(stage.path("shop.json"), stage.path("copy.json")).unwrap();
    firm.run("release approve copy.json --key cd.pem")
        .refuses(2, "USAGE")
        .says("--yes");
    firm.run("release approve copy.json --key mallory.pem --yes")
        .refuses(4, "UNKNOWN_SIGNER");
    firm.run("release approve copy.json --key cd.pem --yes")
        .exits(0)
        .says("by enough");
    firm.run("release approve shop.json --key qa.pem --yes")
        .exits(0);
    let done = firm.run("release submit shop.json copy.json --output json");
    assert_eq!(done.exits(0).json("cairn.record/v1")["sequence"], 1);
    let report = firm.run("verify prod/shop app --output json").exits(0);
    let report = report.json("cairn.verify/v1");
    assert_eq!(report["signers"].as_array().unwrap().len(), 3);
    // It does not follow itself.
    firm.run("release approve copy.json --key qa.pem --yes")
        .refuses(1, "RACE_LOST");
    // A stolen key of three that signed takes nothing away; two of three do.
    let since = report["index"].as_u64().unwrap();
    firm.run(&format!("policy revoke ci --since {since} -o next.json"))
        .exits(0);
    firm.enact("next.json");
    let report = firm.run("verify prod/shop app --output json").exits(0);
    let report = report.json("cairn.verify/v1");
    assert_eq!(report["signers"].as_array().unwrap().len(), 2);
    // A second stolen key goes at once, though too few are left to release anything there.
    firm.run(&format!("policy revoke cd --since {since} -o next.json"))
        .exits(0);
    firm.enact("next.json");
    firm.run("verify prod/shop app").exits(12);
}

/// Goal: a policy is changed by its admins, and what it was stays known. Method: edited,
/// proposed, signed by both; shown by version, by index, by time; and what is refused.
#[test]
fn a_policy_is_edited_signed_by_its_admins_and_its_history_is_shown() {
    let firm = Firm::new(&[]);
    let stage = &firm.stage;
    stage.write("app/web.yaml", "replicas: 3\n");
    firm.run("policy show -o policy.json").exits(0);
    let mut policy: Value = serde_json::from_str(&stage.text("policy.json")).unwrap();
    let unchanged = policy.clone();
    firm.propose(&unchanged)
        .refuses(2, "USAGE")
        .says("in force");
    // Out of order and with white space: that is for the program to mend.
    policy["rules"] = json!([
        { "environments": "prod/**", "maxStaleness": 86_400 },
        { "environments": "lab/*", "approvals": 1 },
    ]);
    policy["admins"]["threshold"] = json!(1);
    firm.propose(&policy)
        .exits(0)
        .says("~ 1 of 2 admins")
        .says("+ in lab/*: 1 deployer must sign");
    firm.run("policy sign next.json --key alice.pem --yes")
        .exits(0);
    firm.run("policy submit next.json")
        .refuses(4, "TOO_FEW_SIGNATURES");
    firm.run("policy sign next.json --key bob.pem --yes")
        .exits(0);
    firm.run("policy submit next.json")
        .exits(0)
        .says("policy 2");
    // Of two proposals for one version only one can be: the other is told.
    firm.run("policy revoke qa -o third.json --key alice.pem")
        .exits(0);
    firm.run("policy revoke ci -o other.json --key bob.pem")
        .exits(0);
    firm.run("policy submit third.json").exits(0);
    firm.run("policy submit other.json")
        .refuses(1, "WRONG_VERSION");
    history_is_shown(&firm);
}

fn history_is_shown(firm: &Firm) {
    let history = firm.run("policy history --output json").exits(0);
    let history = history.json("cairn.policy-history/v1");
    let versions = history["versions"].as_array().unwrap();
    assert_eq!(versions.len(), 3);
    assert_eq!(versions[1]["signers"], json!(["alice", "bob"]));
    assert_eq!(versions[2]["signers"], json!(["alice"]));
    let at = |when: &str| {
        let shown = firm
            .run(&format!("policy at {when} --output json"))
            .exits(0);
        shown.json("cairn.policy-show/v1")["version"]
            .as_u64()
            .unwrap()
    };
    let index = versions[1]["index"].as_u64().unwrap();
    assert_eq!(
        (at(&index.to_string()), at(&(index + 1).to_string())),
        (1, 2)
    );
    assert_eq!(at("@2999-01-01T00:00Z"), 3);
    firm.run("policy at @2001-01-01T00:00Z")
        .refuses(1, "NOT_FOUND");
    firm.run("policy show 9").refuses(1, "NOT_FOUND");
}

/// Goal: what could never be in force is refused before anybody signs it. Method: each fault.
#[test]
fn a_policy_that_could_never_be_in_force_is_refused_before_it_is_signed() {
    let firm = Firm::new(&["--approvals", "prod/**=2"]);
    let stage = &firm.stage;
    let refused = |edit: &dyn Fn(&mut Value), exit: i32, code: &str| {
        let mut policy = firm.policy();
        edit(&mut policy);
        firm.propose(&policy).refuses(exit, code);
    };
    refused(
        &|it| it["admins"]["threshold"] = json!(3),
        1,
        "JSON_INVALID_VALUE",
    );
    refused(
        &|it| it["admins"]["keys"] = json!([]),
        1,
        "JSON_INVALID_VALUE",
    );
    refused(
        &|it| it["rules"][0]["environments"] = json!("prod/**/x"),
        1,
        "JSON_INVALID_VALUE",
    );
    refused(
        &|it| it["rules"][0]["approvals"] = json!(9),
        1,
        "POLICY_LOCKOUT",
    );
    refused(
        &|it| it["admins"]["keys"][0]["key"] = json!(weak_key()),
        1,
        "KEY_WEAK",
    );
    refused(&|it| it["version"] = json!(9), 1, "WRONG_VERSION");
    refused(&|it| it["more"] = json!(1), 1, "JSON_UNKNOWN_MEMBER");
    for junk in [
        "not json",
        "[]",
        "7",
        "{\"admins\":[]}",
        "{\"deployers\":[1],\"revoked\":3}",
    ] {
        stage.write("junk.json", junk);
        let ran = firm.run("policy propose junk.json -o x.json");
        assert!(matches!(ran.code, Some(1 | 2)), "{junk}: {}", ran.err);
    }
    firm.run("policy sign junk.json --yes")
        .refuses(1, "PROPOSAL_SYNTAX");
}

/// The identity point: of small order.
fn weak_key() -> String {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let mut point = [0; 32];
    point[0] = 1;
    STANDARD.encode(point)
}
