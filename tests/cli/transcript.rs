//! The first ten minutes, as the documents show them.

use std::path::Path;

use crate::{
    layout::write_layout,
    stage::{Ran, Stage},
};

/// What is typed, and what is printed; numbers that vary are `N`.
const RECORD: &str = "  Read      14 files, 1 image
  Recorded  staging#1  at index 2 by dev
  Proved    included and current under checkpoint 4, durable in N ms
  Next      cairn verify staging ./shop
";
const VERIFIED: &str = "  VERIFIED  staging#1  14 of 14 files, 1 of 1 image
            as of checkpoint 4, age N s, map asserted, 0 fields ignored
";
const DRIFT: &str = "  DRIFT  staging#1  1 of 14 files differs
    web.yaml  spec.replicas  recorded 3  found 30
  Put it back  cairn restore staging#1 web.yaml --to ./shop
  Accept it    cairn record staging ./shop --reason \"...\"
";
const AUDIT: &str = "  Entries   4 of 4 hashed, signed and allowed
  History   extends the checkpoint you saw N s ago
  Map       recomputed at 2 of 2 checkpoints
  No problems found
";

/// Replaces the digits before a unit of time.
fn normal(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|letter: char| letter.is_ascii_digit()) {
        let (before, after) = rest.split_at(at);
        let end = after
            .find(|letter: char| !letter.is_ascii_digit())
            .unwrap_or(after.len());
        let (digits, after) = after.split_at(end);
        let unit = |unit: &str| {
            let tail = after.strip_prefix(unit);
            tail.is_some_and(|tail| !tail.starts_with(|next: char| next.is_alphanumeric()))
        };
        out.push_str(before);
        out.push_str(if unit(" ms") || unit(" s") {
            "N"
        } else {
            digits
        });
        rest = after;
    }
    out + rest
}

#[track_caller]
fn prints(ran: &Ran, expected: &str) {
    assert_eq!(
        normal(&ran.out),
        expected,
        "cairn {}\nerr: {}",
        ran.line,
        ran.err
    );
    assert_eq!(ran.err, "", "cairn {}", ran.line);
}

/// The shop of the examples, with an image.
fn shop(stage: &Stage) {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/shop");
    stage.copy(examples.to_str().unwrap(), "shop");
    write_layout(&stage.path("shop/image"), b"one layer");
}

/// Goal: what the documents show is what is printed. Method: type it.
#[test]
fn the_first_ten_minutes_go_as_the_documents_show_them() {
    let stage = Stage::new();
    shop(&stage);
    let mut ledger = stage.dev();
    assert!(
        ledger
            .line()
            .contains("Your key   dev (throwaway, never for production)")
    );
    let context = "Context \"dev\" is active: other terminals need no set-up.";
    assert!(ledger.line().contains(context));
    prints(&stage.run("record staging ./shop").exits(0), RECORD);
    prints(&stage.run("verify staging ./shop").exits(0), VERIFIED);
    stage.edit("shop/web.yaml", "replicas: 3", "replicas: 30");
    prints(&stage.run("verify staging ./shop").exits(10), DRIFT);
    prints(&stage.run("audit").exits(0), AUDIT);
}

/// Goal: both ways out of a drift work as they are printed. Method: take the printed words.
#[test]
fn both_ways_out_of_a_drift_work_as_they_are_printed() {
    let stage = Stage::new();
    shop(&stage);
    let _ledger = stage.dev();
    stage.run("record staging ./shop").exits(0);
    let recorded = stage.text("shop/web.yaml");
    stage.edit("shop/web.yaml", "replicas: 3", "replicas: 30");
    let drift = stage.run("verify staging ./shop").exits(10);
    let advice = |title: &str| {
        let line = drift.out.lines().find(|line| line.contains(title)).unwrap();
        let command = line.split_once("cairn ").unwrap().1.to_owned();
        command.replace("\"...\"", "meant")
    };
    stage
        .run(&advice("Put it back"))
        .exits(0)
        .says("Restored  ./shop/web.yaml");
    assert_eq!(stage.text("shop/web.yaml"), recorded);
    prints(&stage.run("verify staging ./shop").exits(0), VERIFIED);

    stage.edit("shop/web.yaml", "replicas: 3", "replicas: 30");
    stage
        .run(&advice("Accept it"))
        .exits(0)
        .says("Recorded  staging#2  at index 4 by dev");
    stage
        .run("verify staging ./shop")
        .exits(0)
        .says("VERIFIED  staging#2");
    stage.run("log staging").exits(0).says("meant");
}

/// Goal: the image counts. Method: change its layer, which is not even stored.
#[test]
fn a_changed_layer_is_a_drift_of_the_image() {
    let stage = Stage::new();
    shop(&stage);
    let _ledger = stage.dev();
    stage.run("record staging ./shop").exits(0);
    std::fs::remove_dir_all(stage.path("shop/image")).unwrap();
    write_layout(&stage.path("shop/image"), b"another layer");
    let drift = stage.run("verify staging ./shop").exits(10);
    drift.says("DRIFT  staging#1  1 of 1 image differs");
}

/// Goal: the demonstration that newcomers run first works. Method: run it.
#[test]
fn the_demonstration_plays_to_its_end() {
    let stage = Stage::new();
    let ran = stage.run("demo").exits(0);
    let ran = ran
        .says("VERIFIED")
        .says("DRIFT")
        .says("SUPERSEDED")
        .says("No problems found");
    let ran = ran.says("STORE_DAMAGED");
    assert!(
        !ran.out.contains('\u{1b}'),
        "no colours where nobody sees them"
    );
    assert!(
        !stage.home().exists(),
        "it leaves the user's own home alone"
    );
}
