//! Terraform with the real tool: recorded, verified, drifted, rolled back. Its built-in
//! `terraform_data` needs no provider and no network.

mod aws;
mod documents;
mod gate;
mod sources;
mod works;

use std::{ffi::OsString, fs};

use serde_json::{Value, json};

use crate::stage::Ran;
use works::{SECRET, Works, expected};

/// Goal: what is live is what was recorded; what was changed since is named, and nothing else;
/// going back is verified. Method: apply, record, apply another value, roll back.
#[test]
fn a_change_of_the_state_is_named_and_a_rollback_verifies() {
    let Some(works) = Works::applied("a change of the state") else {
        return;
    };
    works
        .cairn("record prod/shop --terraform=live:tf")
        .exits(0)
        .says("8 objects, 4 inputs");
    works
        .cairn("verify prod/shop --terraform=live:tf")
        .exits(0)
        .says("8 of 8 objects")
        .says("4 inputs of the release identified");
    works.terraform("apply -auto-approve -var replicas=4");
    assert_eq!(
        works.differences(10),
        expected(&[
            (
                "resource/terraform_data.web",
                "values.input.replicas",
                "changed"
            ),
            (
                "resource/terraform_data.web",
                "values.output.replicas",
                "changed"
            ),
        ])
    );
    works
        .cairn("verify prod/shop --terraform=live:tf")
        .exits(10)
        .says("values.input.replicas  recorded 3  found 4");
    works.cairn("record prod/shop --terraform=live:tf").exits(0);
    works.cairn("verify prod/shop --terraform=live:tf").exits(0);
    works.cairn("rollback prod/shop prod/shop#1").exits(0);
    works
        .cairn("verify prod/shop --terraform=live:tf")
        .exits(15)
        .says("what is here is prod/shop#2");
    works.terraform("apply -auto-approve");
    works.cairn("verify prod/shop --terraform=live:tf").exits(0);
    works.keeps_the_secret();
}

/// Goal: a sensitive value is compared and never shown, and without its key nobody can tell.
/// Method: change it, then take the key away.
#[test]
fn a_sensitive_value_that_changed_is_drift_and_is_not_shown() {
    let Some(works) = Works::applied("a sensitive value") else {
        return;
    };
    let ran = works.cairn("record prod/shop --terraform=live:tf").exits(0);
    assert!(!ran.err.contains(SECRET) && !ran.out.contains(SECRET));
    works
        .cairn("record prod/shop --terraform=live:tf")
        .says("Unchanged");
    works.stage.edit("tf/own.auto.tfvars", "4711", "4712");
    works.terraform("apply -auto-approve");
    assert_eq!(
        works.differences(10),
        expected(&[
            ("output/url", "value", "changed"),
            (
                "resource/terraform_data.db",
                "values.input.password",
                "changed"
            ),
            (
                "resource/terraform_data.db",
                "values.output.password",
                "changed"
            ),
        ])
    );
    let drift = works
        .cairn("verify prod/shop --terraform=live:tf")
        .exits(10);
    assert!(!drift.out.contains("swordfish"), "{}", drift.out);
    works.stage.edit("tf/own.auto.tfvars", "4712", "4711");
    works.terraform("apply -auto-approve");
    works.cairn("verify prod/shop --terraform=live:tf").exits(0);
    for entry in fs::read_dir(works.stage.home().join("secrets")).unwrap() {
        fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
    let kinds = works.differences(16).into_iter().map(|found| found.2);
    assert_eq!(kinds.collect::<Vec<_>>(), vec!["unverifiable"; 3]);
    works.keeps_the_secret();
}

/// Goal: what was made and what was taken away behind the release is found. Method: another
/// zone instead of one, a new output, a tainted resource.
#[test]
fn resources_that_came_or_went_are_drift() {
    let Some(works) = Works::applied("resources that came or went") else {
        return;
    };
    works.cairn("record prod/shop --terraform=live:tf").exits(0);
    works.terraform("taint module.cache.terraform_data.size");
    assert_eq!(
        works.differences(10),
        expected(&[(
            "resource/module.cache.terraform_data.size",
            "tainted",
            "added"
        )])
    );
    works.terraform("untaint module.cache.terraform_data.size");
    works
        .stage
        .edit("tf/main.tf", r#""eu/1", "us""#, r#""ap", "us""#);
    works
        .stage
        .edit("tf/main.tf", "output \"image\"", "output \"picture\"");
    works.terraform("apply -auto-approve");
    let (ap, eu) = (
        r#"terraform_data.zone["ap"]"#,
        r#"terraform_data.zone["eu%2F1"]"#,
    );
    assert_eq!(
        works.differences(10),
        expected(&[
            ("output/image", "", "missing"),
            ("output/picture", "", "added"),
            (&format!("resource/{ap}"), "", "added"),
            (&format!("resource/{eu}"), "", "missing"),
        ])
    );
    works.terraform("destroy -auto-approve");
    let gone = works.differences(10);
    assert_eq!(gone.len(), 7, "all but the state: {gone:?}");
    fs::remove_file(works.stage.path("tf/terraform.tfstate")).unwrap();
    works
        .cairn("verify prod/shop --terraform=live:tf")
        .exits(10)
        .says("8 of 8 objects differ");
}

/// Goal: what a state holds of outputs is compared, and not what the configuration would make
/// of them now. Method: change an output in the state alone, then in the configuration alone.
#[test]
fn outputs_are_those_of_the_state() {
    let Some(works) = Works::applied("outputs") else {
        return;
    };
    works.cairn("record prod/shop --terraform=live:tf").exits(0);
    works
        .stage
        .edit("tf/main.tf", "terraform_data.web.output.image", "\"new\"");
    works.cairn("verify prod/shop --terraform=live:tf").exits(0);
    works
        .stage
        .edit("tf/main.tf", "\"new\"", "terraform_data.web.output.image");
    let saved = "\"image\": {\n      \"value\": \"";
    works
        .stage
        .edit("tf/terraform.tfstate", saved, &format!("{saved}not-"));
    assert_eq!(
        works.differences(10),
        expected(&[("output/image", "value", "changed")])
    );
}

/// Goal: what could not be asked is not known, and what is not installed is said. Method: a
/// plan that fails early, one that fails late, a path without the tool.
#[test]
fn a_plan_that_fails_measures_nothing() {
    let Some(works) = Works::applied("a plan that fails") else {
        return;
    };
    works.cairn("record prod/shop --terraform=live:tf").exits(0);
    let main = works.stage.text("tf/main.tf");
    for (add, why) in [
        ("variable \"more\" {}", "No value for required variable"),
        (
            "data \"terraform_remote_state\" \"none\" {\n  backend = \"local\"\n  \
             config = { path = \"none\" }\n}",
            "Unable to find remote state",
        ),
        ("resource {", "Unclosed configuration block"),
    ] {
        works.stage.write("tf/main.tf", format!("{main}\n{add}\n"));
        works
            .cairn("verify prod/shop --terraform=live:tf")
            .exits(16)
            .says("terraform/resource/terraform_data.web  could not be measured")
            .says(why);
        let all = works.differences(16);
        assert_eq!(all.len(), 8, "{all:?}");
    }
    works.stage.write("tf/main.tf", main);
    works.cairn("verify prod/shop --terraform=live:tf").exits(0);
    works
        .cairn("verify prod/shop --terraform=live:nowhere")
        .exits(16);
    works
        .cairn("record prod/shop --terraform=live:nowhere")
        .refuses(1, "TOOL_FAILED");
    let mut command = works.command("record prod/shop --terraform=live:tf");
    command.env("PATH", works.stage.path("empty"));
    Ran::of(&mut command, "record without the tool").refuses(1, "TOOL_MISSING");
}

/// Goal: the fork is asked where it alone is installed, or where the directory is its. Method:
/// the tool under the fork's name, on a path of its own.
#[test]
fn the_fork_is_asked_where_the_tool_is_missing() {
    let Some(works) = Works::applied("the fork") else {
        return;
    };
    let paths = std::env::var_os("PATH").unwrap();
    let mut paths = std::env::split_paths(&paths).map(|path| path.join("terraform"));
    let tool = paths.find(|path| path.is_file()).unwrap();
    let bin = works.stage.path("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(tool, bin.join("tofu")).unwrap();
    let ran = |line: &str, path: OsString| {
        let mut command = works.command(line);
        Ran::of(command.env("PATH", path), line)
    };
    ran("record prod/shop --terraform=live:tf", bin.clone().into()).exits(0);
    ran("verify prod/shop --terraform=live:tf", bin.into()).exits(0);
    works.stage.write("tf/more.tofu", "");
    works.stage.write("tf/.terraform.lock.hcl", "");
    let alone = works.stage.path("nothing");
    ran("verify prod/shop --terraform=live:tf", alone.into())
        .refuses(1, "TOOL_MISSING")
        .says("tofu is not installed");
}

/// Goal: where a hidden copy of a sensitive value stands, it is withheld as well. Method: the
/// state of another configuration, which Terraform shows without any marks, and a copy within
/// a text that is not marked.
#[test]
fn copies_of_sensitive_values_are_withheld() {
    let Some(works) = Works::applied("copies of sensitive values") else {
        return;
    };
    let more = r#"
data "terraform_remote_state" "own" {
  backend = "local"
  config  = { path = "other.tfstate" }
}
resource "terraform_data" "copy" {
  input = nonsensitive("postgres://${var.password}@db")
}
"#;
    works.stage.write("tf/more.tf", more);
    fs::copy(
        works.stage.path("tf/terraform.tfstate"),
        works.stage.path("tf/other.tfstate"),
    )
    .unwrap();
    works.terraform("apply -auto-approve");
    works
        .cairn("record prod/shop --terraform=live:tf")
        .exits(0)
        .says("hold one that is sensitive elsewhere: 2");
    works.cairn("verify prod/shop --terraform=live:tf").exits(0);
    works.keeps_the_secret();
    let shown = works.terraform("show -json");
    assert!(shown.contains(SECRET));
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let data = &shown["values"]["root_module"]["resources"][0];
    assert_eq!(data["sensitive_values"]["outputs"], json!({}), "{data}");
}
