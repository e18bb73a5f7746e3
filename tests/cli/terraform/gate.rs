//! `deploy/terraform`: a plan fails unless cairn says VERIFIED.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use super::works::{Works, mirror};
use crate::{stage::Ran, support::tools::skipped};

fn files() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/terraform")
}

/// With the program that is tested first on the path.
fn with_path(works: &Works, command: &mut Command) {
    let own = Path::new(env!("CARGO_BIN_EXE_cairn")).parent().unwrap();
    let others = std::env::var_os("PATH").unwrap();
    let paths = [own.to_owned()].into_iter();
    let paths = paths.chain(std::env::split_paths(&others));
    works.with_environment(command);
    command
        .current_dir(works.stage.path(""))
        .env("PATH", std::env::join_paths(paths).unwrap())
        .env("CAIRN_HOME", works.stage.home())
        .env_remove("CAIRN_CONTEXT");
}

fn script(works: &Works, line: &str, variables: &[(&str, &str)]) -> Ran {
    works.stage.write("query", "{}");
    let mut command = Command::new(files().join("cairn-verify.sh"));
    command.args(line.split_whitespace());
    with_path(works, &mut command);
    command.envs(variables.iter().copied());
    command.stdin(Stdio::from(File::open(works.stage.path("query")).unwrap()));
    Ran::of(&mut command, line)
}

/// Goal: the script keeps to what the `external` data source asks of a program: one JSON object
/// of texts and success, or nothing, a reason on standard error and failure. Method: a release
/// that is there, one that drifted, one that was never made, and a script that asks itself.
#[test]
fn the_script_answers_in_json_only_if_all_is_verified() {
    let Some(works) = Works::applied("the script of the external data source") else {
        return;
    };
    works.cairn("record prod/shop --terraform=live:tf").exits(0);
    let line = "prod/shop --terraform=live:tf";
    let ran = script(&works, line, &[]).exits(0);
    let answer: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        answer,
        json!({ "verdict": "VERIFIED", "environment": "prod/shop" })
    );
    works.terraform("apply -auto-approve -var replicas=4");
    for (line, exit, why) in [
        (line, 10, "recorded 3  found 4"),
        ("prod/none --terraform=live:tf", 11, "was never released"),
        ("prod/shop", 2, "usage"),
    ] {
        let ran = script(&works, line, &[]).exits(exit).says(why);
        assert_eq!(ran.out, "", "{line}");
    }
    script(&works, line, &[("CAIRN_VERIFYING", "1")])
        .exits(1)
        .says("verify another directory");
}

/// Goal: a plan that builds upon what drifted fails. Method: the example itself, with the
/// provider where this machine has it.
#[test]
fn a_plan_fails_unless_all_is_verified() {
    let what = "a plan that is gated";
    let Some(works) = Works::applied(what) else {
        return;
    };
    let Some(settings) = mirror("external") else {
        skipped(what, "it needs the provider hashicorp/external in a mirror");
        return;
    };
    works.stage.write("terraformrc", settings);
    works.cairn("record prod/shop --terraform=live:tf").exits(0);
    fs::create_dir(works.stage.path("gated")).unwrap();
    for name in ["main.tf", "cairn-verify.sh"] {
        let to = works.stage.path("gated").join(name);
        fs::copy(files().join(name), to).unwrap();
    }
    let terraform = |words: &[&str]| {
        let mut command = Command::new("terraform");
        with_path(
            &works,
            command.args(words).args(["-input=false", "-no-color"]),
        );
        command.current_dir(works.stage.path("gated"));
        command.env("TF_VAR_environment", "prod/shop");
        command.env("TF_VAR_verify", r#"["--terraform=live:../tf"]"#);
        Ran::of(&mut command, "terraform")
    };
    terraform(&["init"]).exits(0);
    terraform(&["plan"]).exits(0);
    works.terraform("apply -auto-approve -var replicas=4");
    terraform(&["plan"]).exits(1).says("DRIFT");
}

/// Goal: the example is one that Terraform reads. Method: its own formatter.
#[test]
fn the_example_is_well_formed() {
    let Some(works) = Works::written("the example") else {
        return;
    };
    let mut command = Command::new("terraform");
    with_path(&works, command.args(["fmt", "-check"]).arg(files()));
    Ran::of(&mut command, "terraform fmt").exits(0);
}
