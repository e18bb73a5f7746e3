//! Orders, approvals and hosts that wait with the server: whatever several must sign.

use serde_json::json;

use crate::{
    stage::Ran,
    waiting::{id_of, office, only},
};

const NOTHING: &str = "Nothing waits for signatures.";

/// Goal: admins order something without meeting, and of two orders for one number one is. Method: sent
/// by one, signed and submitted by the other; a rival that waited; what cannot be ordered like that.
#[test]
fn an_order_waits_for_its_second_admin() {
    let firm = office(&["--approvals", "prod/**=2"]);
    let order = "order break-glass prod/** --approvals 1 --for 4h --send --reason";
    firm.run(&format!("{order} x"))
        .refuses(2, "USAGE")
        .says("--key");
    firm.run(&format!("{order} x --key ci.pem"))
        .refuses(4, "UNKNOWN_SIGNER");
    let by = |admin: &str| -> Ran {
        let line = format!("{order} by-{admin} --key {admin}.pem");
        firm.run(&line).exits(0)
    };
    let first = id_of(&by("alice").says("Next      cairn proposal sign "));
    let rival = id_of(&by("bob"));
    let listed = firm.as_host("bob-home", "proposal pending --output json");
    let listed = listed.exits(0).json("cairn.proposal-pending/v1");
    assert_eq!(listed["proposals"].as_array().unwrap().len(), 2);
    for (member, value) in [
        ("kind", json!("break-glass")),
        ("number", json!(1)),
        ("needed", json!(2)),
    ] {
        assert_eq!(listed["proposals"][0][member], value, "{member}");
    }
    let key = firm.stage.path("bob.pem").display().to_string();
    firm.as_host("bob-home", &format!("proposal submit {first}"))
        .refuses(4, "TOO_FEW_SIGNATURES");
    firm.as_host("bob-home", &format!("proposal sign {first} --key {key}"))
        .refuses(2, "USAGE")
        .says("approvals 1");
    let line = format!("proposal sign {first} --key {key} --yes --submit");
    firm.as_host("bob-home", &line).exits(0).says("Recorded");
    firm.run("order list").exits(0).says("order 1");
    firm.run("proposal pending").exits(0).says(NOTHING);
    firm.run(&format!("proposal sign {rival} --key alice.pem --yes"))
        .refuses(1, "NOT_FOUND");
    firm.run(
        "order succession --log-key alice.pem --clock-key bob.pem --reason x --send --key alice.pem",
    )
    .refuses(2, "USAGE")
    .says("-o FILE");
}

/// Goal: a standing release gets other signers, who never meet. Method: approved by one, sent; by another,
/// recorded; then the release that it is of is replaced while another approval waits.
#[test]
fn an_approval_waits_for_its_second_deployer() {
    let firm = office(&["--approvals", "prod/**=2"]);
    firm.run("record prod/shop app --key ci.pem --key cd.pem")
        .exits(0);
    firm.run("approve prod/shop#1 --yes")
        .refuses(1, "TOO_FEW_APPROVALS")
        .says("--send");
    let id = id_of(&firm.run("approve prod/shop#1 --yes --send").exits(0));
    let listed = firm.as_host("qa-home", "proposal pending prod/shop --output json");
    let listed = only(&listed.exits(0), "cairn.proposal-pending/v1");
    assert_eq!(
        (&listed["kind"], &listed["sequence"]),
        (&json!("approval"), &json!(1))
    );
    firm.run("release pending").exits(0).says(NOTHING);
    firm.as_host("qa-home", &format!("proposal sign {id} --yes --submit"))
        .exits(0)
        .says("Approves  prod/shop#1")
        .says("Recorded");
    firm.run("proposal pending").exits(0).says(NOTHING);

    let late = id_of(&firm.run("approve prod/shop#1 --yes --send").exits(0));
    firm.stage.edit("app/web.yaml", "3", "4");
    firm.run("record prod/shop app --key ci.pem --key cd.pem")
        .exits(0);
    firm.as_host("qa-home", &format!("proposal sign {late} --yes"))
        .refuses(1, "NOT_FOUND");
}
