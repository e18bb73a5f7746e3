//! Witnesses that are pinned from a tlog-policy file, and files that are not taken.

use std::fmt::Write as _;

use cairn_proto::{
    key::{SecretKey, Signer as _},
    note::{SignatureType, VerifierKey},
};

use crate::stage::Stage;

/// Lines for witnesses `w1` to `w3`.
fn witnesses() -> String {
    let mut text = String::new();
    for seed in 1..=3 {
        let key = SecretKey::from_seed(&[seed; 32]).unwrap().public_key();
        let name = format!("w{seed}.example");
        let key = VerifierKey::new(&name, SignatureType::Cosignature, key).unwrap();
        writeln!(text, "witness w{seed} {key}").unwrap();
    }
    text
}

/// Goal: groups are pinned where they are a number of keys; what is not is refused by its line,
/// and nothing is pinned. Method: both kinds over the same witnesses, and a log of somebody else.
#[test]
fn groups_are_pinned_where_they_are_a_number_of_keys() {
    let (stage, ledger) = Stage::with_ledger();
    let shown = stage.run("trust show --output json").json("cairn.trust/v1");
    let genesis = shown["genesis"].as_str().unwrap();
    let add = |name: &str| {
        let url = &ledger.url;
        format!("trust add {url} --name {name} --genesis {genesis} --tlog-policy pins.tlog")
    };
    let log = format!("log {}\n", shown["logKey"].as_str().unwrap());
    let nested = "group inner all w1 w2\ngroup outer all inner w3\nquorum outer\n";
    stage.write("pins.tlog", format!("{}{log}{nested}", witnesses()));
    stage.run(&add("all")).exits(0).says("3 of 3 must cosign");
    let written = stage.run("trust show all --tlog-policy").exits(0).out;
    assert!(
        written.contains("\ngroup witnesses 3 w1 w2 w3\nquorum witnesses\n"),
        "{written}"
    );
    stage.write("pins.tlog", written);
    stage.run(&add("again")).exits(0).says("3 of 3 must cosign");

    let none = "group inner any w1 w2\ngroup outer all inner w3\nquorum outer\n";
    let foreign = log.replace("log ", "witness w4 ");
    for (text, code, why) in [
        (
            format!("{log}{none}"),
            "TLOG_POLICY_QUORUM",
            "pins.tlog: line 6: group outer is not",
        ),
        (
            format!("{log}quorum w4\n"),
            "TLOG_POLICY_SYNTAX",
            "pins.tlog: line 5: w4 was not",
        ),
        (
            format!("{foreign}quorum w1\n"),
            "TLOG_POLICY_SYNTAX",
            "line 4: the key is not of a type",
        ),
        (
            log.clone(),
            "TLOG_POLICY_SYNTAX",
            "line 4: there is no quorum line",
        ),
        (
            "log l.example+0a0b0c0d+BgEC\nquorum w1\n".to_owned(),
            "USAGE",
            "log key",
        ),
        (
            "\0".to_owned(),
            "TLOG_POLICY_SYNTAX",
            "line 4: it holds a control character",
        ),
    ] {
        stage.write("pins.tlog", format!("{}{text}", witnesses()));
        stage.run(&add("none")).refuses(2, code).says(why);
        stage.run("trust show none").refuses(2, "TRUST_MISSING");
    }
}
