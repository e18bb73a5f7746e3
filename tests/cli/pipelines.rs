//! What `deploy/` has for pipelines, run as a pipeline runs it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cairn_proto::hash::LeafHash;

use crate::{
    stage::{Ran, Stage},
    support::tools::kubectl,
};

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A pipeline's job: the program on the path, nothing else of the stage's home.
struct Pipeline<'s> {
    stage: &'s Stage,
    url: String,
    genesis: String,
    key: String,
}

impl<'s> Pipeline<'s> {
    fn of(stage: &'s Stage, url: &str) -> Self {
        let trust = stage.run("trust show --output json").exits(0);
        let genesis = trust.json("cairn.trust/v1")["genesis"]
            .as_str()
            .unwrap()
            .to_owned();
        let key = stage.path("data/keys/dev.pem");
        fs::create_dir_all(stage.path("tmp")).unwrap();
        Self {
            stage,
            url: url.to_owned(),
            genesis,
            key: fs::read_to_string(key).unwrap(),
        }
    }

    fn command(&self, program: &Path) -> Command {
        let binary = Path::new(env!("CARGO_BIN_EXE_cairn")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(program);
        command
            .current_dir(self.stage.path(""))
            .env("PATH", format!("{}:{path}", binary.display()))
            .env("TMPDIR", self.stage.path("tmp"))
            .env("HOME", self.stage.path("tmp"))
            .env_remove("CAIRN_HOME")
            .env("CAIRN_URL", &self.url)
            .env("CAIRN_GENESIS", &self.genesis)
            .env("CAIRN_KEY", &self.key);
        command
    }

    fn script(&self, words: &[&str]) -> Ran {
        let mut command = self.command(&repository("deploy/pipeline/cairn.sh"));
        Ran::of(command.args(words), &words.join(" "))
    }

    /// Nothing that was private is left.
    fn leaves_nothing(&self) {
        let left = fs::read_dir(self.stage.path("tmp")).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Goal: a pipeline that has the secrets in its environment records and verifies, and leaves
/// none of them. Method: the script itself; another genesis, a drift, a missing variable.
#[test]
fn the_pipeline_script_records_verifies_and_leaves_nothing() {
    let (stage, ledger) = Stage::with_ledger();
    stage.write("app/web.yaml", "replicas: 3\n");
    let pipeline = Pipeline::of(&stage, &ledger.url);
    let outputs = stage.path("outputs");
    let mut command = pipeline.command(&repository("deploy/pipeline/cairn.sh"));
    let recorded = command
        .args(["record", "prod/shop", "app"])
        .env("GITHUB_OUTPUT", &outputs);
    let recorded = Ran::of(recorded, "record").exits(0).json("cairn.record/v1");
    let written = fs::read_to_string(&outputs).unwrap();
    let leaf = recorded["leafHash"].as_str().unwrap();
    assert_eq!(written, format!("sequence=1\nindex=2\nleaf-hash={leaf}\n"));
    pipeline
        .script(&["verify", "prod/shop", "app"])
        .exits(0)
        .says("VERIFIED");
    stage.edit("app/web.yaml", "3", "4");
    pipeline
        .script(&["verify", "prod/shop", "app"])
        .exits(10)
        .says("DRIFT");
    let words = [
        "run",
        "prod/shop",
        "--path",
        "web=app/web.yaml",
        "--",
        "false",
    ];
    pipeline.script(&words).exits(1);
    pipeline.leaves_nothing();
    let other = Pipeline {
        genesis: LeafHash([7; 32]).to_string(),
        ..Pipeline::of(&stage, &ledger.url)
    };
    other
        .script(&["verify", "prod/shop", "app"])
        .exits(1)
        .says("WRONG_GENESIS");
    let mut unset = pipeline.command(&repository("deploy/pipeline/cairn.sh"));
    let unset = unset
        .args(["verify", "prod/shop", "app"])
        .env_remove("CAIRN_GENESIS");
    assert_ne!(
        Ran::of(unset, "verify")
            .says("CAIRN_GENESIS is not set")
            .code,
        Some(0)
    );
    pipeline.leaves_nothing();
}

/// The text of a block `run: |` in an action's file.
fn run_block(action: &str) -> String {
    let (_, block) = action.split_once("run: |\n").unwrap();
    let lines = block
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("        "));
    let lines = lines.map(|line| line.trim_start_matches("        "));
    lines.collect::<Vec<_>>().join(
        "
",
    )
}

/// Goal: the GitHub action does what its inputs say, and takes nothing in them for a command.
/// Method: its own script under bash, with the variables that its `env` sets.
#[test]
fn the_github_action_takes_its_inputs_as_they_are() {
    let (stage, ledger) = Stage::with_ledger();
    stage.write("my app/web.yaml", "replicas: 3\n");
    let pipeline = Pipeline::of(&stage, &ledger.url);
    let action = fs::read_to_string(repository("deploy/github/action.yml")).unwrap();
    for input in ["URL", "GENESIS", "KEY", "TOKEN", "SECRET_KEY"] {
        assert!(
            action.contains(&format!("        CAIRN_{input}: ${{{{ inputs.")),
            "{input}"
        );
    }
    let script = run_block(&action);
    assert!(!script.contains("${{"), "inputs are variables: {script}");
    let run = |arguments: &str| {
        let mut command = pipeline.command(Path::new("bash"));
        command
            .args(["-euo", "pipefail", "-c", &script])
            .env("GITHUB_ACTION_PATH", repository("deploy/github"))
            .env("COMMAND", "record")
            .env("ENVIRONMENT", "prod/shop")
            .env("ARGUMENTS", arguments);
        Ran::of(&mut command, arguments)
    };
    run("web=my app/web.yaml\n--reason\n$(touch injected); \"quoted\"\n").exits(0);
    assert!(!stage.path("injected").exists());
    let shown = stage.run("show prod/shop --output json").exits(0);
    assert!(
        shown.out.contains("$(touch injected); \\\"quoted\\\""),
        "{}",
        shown.out
    );
    pipeline.leaves_nothing();
}

/// Goal: the GitLab jobs run as they are written. Method: their `script` lines under sh, from a
/// copy of `deploy/`.
#[test]
fn the_gitlab_jobs_run_as_they_are_written() {
    let (stage, ledger) = Stage::with_ledger();
    stage.write("app/web.yaml", "replicas: 3\n");
    let pipeline = Pipeline::of(&stage, &ledger.url);
    fs::create_dir_all(stage.path("deploy/pipeline")).unwrap();
    let script = repository("deploy/pipeline/cairn.sh");
    fs::copy(script, stage.path("deploy/pipeline/cairn.sh")).unwrap();
    let jobs = fs::read_to_string(repository("deploy/gitlab/cairn.gitlab-ci.yml")).unwrap();
    let lines = jobs.lines().filter_map(|line| line.strip_prefix("    - "));
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    for (line, says) in lines.into_iter().zip(["Recorded  prod/shop#1", "VERIFIED"]) {
        let mut command = pipeline.command(Path::new("sh"));
        let command = command
            .args(["-ec", line])
            .env("CAIRN_ENVIRONMENT", "prod/shop")
            .env("CAIRN_ARGUMENTS", "app");
        Ran::of(command, line).exits(0).says(says);
    }
}

/// Goal: the hook for Argo CD is what Kubernetes takes, and runs a command that exists. Method:
/// kubectl reads it; the objects are recorded.
#[test]
fn the_argo_hook_is_read_by_kubectl() {
    if !kubectl("the_argo_hook_is_read_by_kubectl") {
        return;
    }
    let (stage, _ledger) = Stage::with_ledger();
    let hook = repository("deploy/argocd/verify.yaml");
    let words = format!("--kubernetes={}", hook.display());
    stage
        .run_words(&["record", "prod/argo", &words])
        .exits(0)
        .says("4 objects");
    let job = "kubernetes/batch/Job/shop/cairn-verify";
    let job = stage
        .run_words(&["restore", "prod/argo", job, "--to", "-"])
        .exits(0);
    let job: serde_json::Value = serde_json::from_str(&job.out).unwrap();
    assert_eq!(
        job["metadata"]["annotations"]["argocd.argoproj.io/hook"],
        "PostSync"
    );
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["command"][0], "cairn.sh");
    let command = container["command"][1].as_str().unwrap();
    stage.run_words(&["help", command]).exits(0);
}
