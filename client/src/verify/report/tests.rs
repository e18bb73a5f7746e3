//! Which verdicts a report holds, and what scripts find in it.
use super::Report;
use crate::{
    compare::{Comparison, Difference, DifferenceKind},
    verdict::Verdict,
};

fn report() -> Report {
    Report::new(&"prod/shop".parse().unwrap())
}

fn difference(kind: DifferenceKind) -> Difference {
    Difference {
        artifact: "web.yaml".to_owned(),
        path: String::new(),
        kind,
        recorded: None,
        found: None,
    }
}

fn compared(kinds: &[DifferenceKind]) -> Comparison {
    Comparison {
        differences: kinds.iter().map(|kind| difference(*kind)).collect(),
        measured: 1,
        ..Comparison::default()
    }
}

/// Goal: VERIFIED needs something measured and nothing that differs.
#[test]
fn nothing_measured_is_unverifiable() {
    let mut fine = report();
    fine.comparison(compared(&[]));
    assert_eq!(fine.verdict, Verdict::Verified);
    let mut none = report();
    none.comparison(Comparison::default());
    assert_eq!(none.verdict, Verdict::Unverifiable);
}

/// Goal: all that hold are listed, the first decides. Method: a drift that is also
/// unmeasured in part, and stale.
#[test]
fn all_verdicts_that_hold_are_listed_by_precedence() {
    let mut all = report();
    all.age = Some(100);
    all.staleness(Some(10));
    all.comparison(compared(&[
        DifferenceKind::Unverifiable,
        DifferenceKind::Added,
    ]));
    let order = [Verdict::Drift, Verdict::Unverifiable, Verdict::Stale];
    assert_eq!(all.verdicts, order);
    assert_eq!(all.exit_code(), 10);
    all.drop(Verdict::Drift);
    all.hold(Verdict::Superseded);
    assert_eq!(all.exit_code(), 15);
}

/// Goal: an age that nobody knows is not young.
#[test]
fn an_unknown_age_is_stale_where_the_policy_bounds_it() {
    let mut unknown = report();
    unknown.staleness(None);
    assert_eq!(unknown.verdict, Verdict::Verified);
    unknown.staleness(Some(10));
    assert_eq!(unknown.verdict, Verdict::Stale);
}

/// Goal: scripts find the members that product.md names.
#[test]
fn the_report_has_the_members_that_scripts_read() {
    let json = serde_json::to_value(report()).unwrap();
    assert_eq!(json["schema"], "cairn.verify/v1");
    assert_eq!(json["verdict"], "VERIFIED");
    assert_eq!(json["map"], "asserted");
    for member in [
        "verdicts",
        "environment",
        "sequence",
        "index",
        "checkpoint",
        "age",
        "history",
        "ignored",
        "signers",
        "differences",
        "files",
        "images",
        "notes",
        "evidence",
        "changedSince",
        "acceptedUnmeasured",
    ] {
        assert!(json.get(member).is_some(), "{member}");
    }
}
