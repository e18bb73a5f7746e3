//! Terraform with the real tool: recorded, verified, drifted, rolled back. Its built-in
//! `terraform_data` needs no provider and no network.

mod documents;
mod sources;

use std::{
    ffi::OsString,
    fs,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    inputs::holds,
    stage::{Ledger, Ran, Stage},
    support::tools::skipped,
};

/// What must be nowhere.
const SECRET: &str = "swordfish-4711";

const MAIN: &str = r#"
variable "replicas" { default = 3 }
variable "password" {
  type      = string
  sensitive = true
}
resource "terraform_data" "web" {
  input = { image = "shop@sha256:1", replicas = var.replicas, labels = {}, note = null }
}
resource "terraform_data" "db" {
  input = { user = "shop", password = var.password }
}
resource "terraform_data" "zone" {
  for_each = toset(["eu/1", "us"])
  input    = each.key
}
module "cache" { source = "./cache" }
output "image" { value = terraform_data.web.output.image }
output "url" {
  value     = "https://shop:${var.password}@db"
  sensitive = true
}
"#;

const CACHE: &str = r#"resource "terraform_data" "size" { input = 64 }"#;

/// A configuration in `tf`, applied, beside a ledger.
pub(crate) struct Works {
    stage: Stage,
    _ledger: Ledger,
}

impl Works {
    /// `None` where there is no Terraform, and that was said.
    pub(crate) fn applied(test: &str) -> Option<Self> {
        let works = Self::written(test)?;
        works.terraform("apply -auto-approve");
        Some(works)
    }

    /// The same before it is applied.
    fn written(test: &str) -> Option<Self> {
        let found = Command::new("terraform").arg("version").output();
        if !found.is_ok_and(|found| found.status.success()) {
            let why = "it needs terraform";
            let required = std::env::var("CAIRN_REQUIRE_TOOLS").is_ok_and(|value| value == "1");
            assert!(!required, "{test}: {why}");
            skipped(test, why);
            return None;
        }
        let (stage, ledger) = Stage::with_ledger();
        stage.write("terraformrc", "");
        stage.write("tf/main.tf", MAIN);
        stage.write("tf/cache/main.tf", CACHE);
        stage.write("tf/own.auto.tfvars", format!("password = \"{SECRET}\"\n"));
        let works = Self {
            stage,
            _ledger: ledger,
        };
        works.terraform("init");
        Some(works)
    }

    fn with_environment<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let settings = self.stage.path("terraformrc");
        let own = std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            name.starts_with("TF_") || name.starts_with("AWS_")
        });
        for (name, _) in own {
            command.env_remove(name);
        }
        command
            .env("CHECKPOINT_DISABLE", "1")
            .env("TF_CLI_CONFIG_FILE", settings)
    }

    /// Runs Terraform in the directory, and insists on its success.
    #[track_caller]
    fn terraform(&self, line: &str) -> String {
        let mut command = Command::new("terraform");
        let words: Vec<_> = line.split_whitespace().collect();
        let (verb, rest) = words.split_first().unwrap();
        command.current_dir(self.stage.path("tf")).arg(verb);
        if ["plan", "apply", "init"].contains(verb) {
            command.args(["-input=false", "-no-color"]);
        }
        command.args(rest).stdin(Stdio::null());
        let output = self.with_environment(&mut command).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let complaint = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.success(),
            "terraform {line}: {said}{complaint}"
        );
        said
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.stage.command();
        self.with_environment(command.args(line.split_whitespace()));
        command
    }

    #[track_caller]
    pub(crate) fn cairn(&self, line: &str) -> Ran {
        Ran::of(&mut self.command(line), line)
    }

    /// The differences that verifying what is live finds, as artifact, path and kind.
    #[track_caller]
    fn differences(&self, exit: i32) -> Vec<(String, String, String)> {
        let ran = self.cairn("verify prod/shop --terraform=live:tf --output json");
        let report = ran.exits(exit).json("cairn.verify/v1");
        differences(&report)
    }

    /// The secret is in none of the ledger's bytes, nor in those of the client.
    #[track_caller]
    fn keeps_the_secret(&self) {
        for place in ["data", "home"] {
            let found = holds(&self.stage.path(place), SECRET.as_bytes());
            assert!(!found, "the secret is in {place}");
        }
        let works = holds(&self.stage.path("data"), b"shop@sha256:1");
        assert!(works, "the search finds what is there");
    }
}

fn differences(report: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let found = report["differences"].as_array().unwrap().iter();
    found
        .map(|found| {
            (
                text(&found["artifact"]),
                text(&found["path"]),
                text(&found["kind"]),
            )
        })
        .collect()
}

fn expected(found: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    let texts = found.iter();
    texts
        .map(|(artifact, path, kind)| {
            let artifact = format!("terraform/{artifact}");
            (artifact, (*path).to_owned(), (*kind).to_owned())
        })
        .collect()
}

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
