//! A ledger and a Kubernetes API side by side, with kubectl to change what is there.

use std::{fs, process::Command};

use serde_json::Value;

use crate::{
    stage::{Ledger, Ran, Stage},
    support::{api::Api, kube::Kube, tools},
};

/// `K` is what answers: a stand-in, or the API itself.
pub(crate) struct Cluster<K = Kube> {
    pub(crate) stage: Stage,
    pub(crate) kube: K,
    _ledger: Ledger,
}

/// An artifact, a field of it, and how that differs.
pub(crate) type Told = (String, String, String);

impl Cluster {
    /// `None` where there is no kubectl, and that was said.
    pub(crate) fn start(test: &str) -> Option<Self> {
        if !tools::kubectl(test) {
            return None;
        }
        let (stage, ledger) = Stage::with_ledger();
        let kube = Kube::start();
        kube.write_config(&stage.path("kubeconfig"));
        Some(Self {
            stage,
            kube,
            _ledger: ledger,
        })
    }
}

impl Cluster<Api> {
    /// `None` where the API itself is not to be had, or was not asked for, and that was said.
    pub(crate) fn at_the_api(test: &str) -> Option<Self> {
        let (stage, ledger) = Stage::with_ledger();
        let kube = Api::start(test, &stage.path("api"))?;
        kube.write_config(&stage.path("kubeconfig"));
        Some(Self {
            stage,
            kube,
            _ledger: ledger,
        })
    }
}

impl<K> Cluster<K> {
    /// A command that finds this cluster, and nothing of the caller's.
    fn at_home(&self, command: &mut Command) {
        let here = self.stage.path("");
        command
            .current_dir(&here)
            .env("KUBECONFIG", self.stage.path("kubeconfig"))
            .env("HOME", here)
            .env_remove("KUBECTL_EXTERNAL_DIFF")
            .env_remove("HELM_NAMESPACE");
    }

    /// Runs a tool that must succeed.
    #[track_caller]
    pub(crate) fn tool(&self, program: &str, words: &[&str]) -> Ran {
        self.try_tool(program, words).exits(0)
    }

    pub(crate) fn try_tool(&self, program: &str, words: &[&str]) -> Ran {
        let mut command = Command::new(program);
        self.at_home(command.args(words));
        Ran::of(&mut command, &format!("{program} {}", words.join(" ")))
    }

    #[track_caller]
    pub(crate) fn kubectl(&self, line: &str) -> Ran {
        self.tool("kubectl", &line.split_whitespace().collect::<Vec<_>>())
    }

    pub(crate) fn cairn_command(&self, home: &str, line: &str) -> Command {
        let mut command = self.stage.command_of(home);
        self.at_home(command.args(line.split_whitespace()));
        command
    }

    pub(crate) fn cairn(&self, line: &str) -> Ran {
        Ran::of(&mut self.cairn_command("home", line), line)
    }

    /// The same for somebody who trusts the ledger, and has no key of withheld values.
    pub(crate) fn command_without_keys(&self, line: &str) -> Command {
        self.stage.copy("home", "guest");
        let mut folders = vec![self.stage.path("guest")];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_name() == "secrets" {
                    fs::remove_dir_all(entry.path()).unwrap();
                } else if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        self.cairn_command("guest", line)
    }

    /// What is not as recorded, of a `verify` that ends with an exit code.
    #[track_caller]
    pub(crate) fn differences(&self, line: &str, exit: i32) -> Vec<Told> {
        let report = self.cairn(&format!("{line} --output json")).exits(exit);
        told(&report.json("cairn.verify/v1")["differences"])
    }
}

pub(crate) fn told(differences: &Value) -> Vec<Told> {
    let differences = differences.as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    differences
        .map(|it| (text(&it["artifact"]), text(&it["path"]), text(&it["kind"])))
        .collect()
}

/// The same as it is written in a test.
pub(crate) fn one(artifact: &str, path: &str, kind: &str) -> Told {
    (artifact.to_owned(), path.to_owned(), kind.to_owned())
}
