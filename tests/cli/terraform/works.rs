//! A configuration of Terraform's beside a ledger, and what is expected of both.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    stage::{Ledger, Ran, Stage},
    support::tools::lacks,
};

/// What must be nowhere.
pub(super) const SECRET: &str = "swordfish-4711";

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
pub(super) struct Works {
    pub(super) stage: Stage,
    _ledger: Ledger,
}

impl Works {
    /// `None` where there is no Terraform, and that was said.
    pub(super) fn applied(test: &str) -> Option<Self> {
        let works = Self::written(test)?;
        works.terraform("apply -auto-approve");
        Some(works)
    }

    /// The same before it is applied.
    pub(super) fn written(test: &str) -> Option<Self> {
        let found = Command::new("terraform").arg("version").output();
        if !found.is_ok_and(|found| found.status.success()) {
            let why = "it needs terraform";
            lacks(test, why);
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

    pub(super) fn with_environment<'c>(&self, command: &'c mut Command) -> &'c mut Command {
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
    pub(super) fn terraform(&self, line: &str) -> String {
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

    pub(super) fn command(&self, line: &str) -> Command {
        let mut command = self.stage.command();
        self.with_environment(command.args(line.split_whitespace()));
        command
    }

    #[track_caller]
    pub(super) fn cairn(&self, line: &str) -> Ran {
        Ran::of(&mut self.command(line), line)
    }

    /// The differences that verifying what is live finds, as artifact, path and kind.
    #[track_caller]
    pub(super) fn differences(&self, exit: i32) -> Vec<(String, String, String)> {
        let ran = self.cairn("verify prod/shop --terraform=live:tf --output json");
        let report = ran.exits(exit).json("cairn.verify/v1");
        differences(&report)
    }

    /// The secret is in none of the ledger's bytes, nor in those of the client.
    #[track_caller]
    pub(super) fn keeps_the_secret(&self) {
        self.keeps_the_secret_and("shop@sha256:1");
    }

    /// The same, where the search finds another text.
    #[track_caller]
    pub(super) fn keeps_the_secret_and(&self, kept: &str) {
        self.stage.keeps_nowhere(SECRET, kept);
    }
}

/// Settings with which Terraform finds a provider that this machine has; none if it has not.
pub(super) fn mirror(provider: &str) -> Option<String> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let own = home.map(|home| home.join(".terraform.d/plugins"));
    let cache = std::env::var_os("TF_PLUGIN_CACHE_DIR").map(PathBuf::from);
    let mut folders = own.into_iter().chain(cache);
    let of = format!("registry.terraform.io/hashicorp/{provider}");
    let folder = folders.find(|folder| folder.join(&of).is_dir())?;
    let folder = folder.display();
    Some(format!(
        "provider_installation {{\n  filesystem_mirror {{\n    path = \"{folder}\"\n  }}\n}}\n"
    ))
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

pub(super) fn expected(found: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    let texts = found.iter();
    texts
        .map(|(artifact, path, kind)| {
            let artifact = format!("terraform/{artifact}");
            (artifact, (*path).to_owned(), (*kind).to_owned())
        })
        .collect()
}
