//! `cairn run`: what a command deploys is recorded if it succeeds, and its end is its own.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::Stdio,
};

use crate::stage::{Ran, Stage};

/// The deployment tool of these tests: copies a file to where it "runs".
fn deploy(stage: &Stage, options: &[&str], script: &str) -> Ran {
    let mut words = vec!["run", "prod/shop", "--path", "web=web.yaml"];
    words.extend_from_slice(options);
    words.extend(["--", "sh", "-c", script]);
    stage.run_words(&words)
}

/// Action and reason of all releases, the oldest first.
pub(crate) fn releases(stage: &Stage) -> Vec<(String, Option<String>)> {
    let history = stage.run("history prod/shop --output json").exits(0);
    let history = history.json("cairn.history/v1");
    let releases = history["steps"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    releases
        .map(|release| (text(&release["action"]).unwrap(), text(&release["reason"])))
        .collect()
}

/// Goal: a command that succeeds is recorded, and its output is its own. Method: one that prints
/// and changes the file which is then recorded.
#[test]
fn what_a_command_deployed_is_recorded_once_it_succeeded() {
    let (stage, _ledger) = Stage::with_ledger();
    stage.write("web.yaml", "replicas: 3\n");
    let ran = deploy(&stage, &[], "echo deployed; echo 'replicas: 4' > web.yaml").exits(0);
    assert_eq!(
        ran.out, "deployed\n",
        "what cairn says goes to standard error"
    );
    let ran = ran.says("Recorded  prod/shop#1");
    assert!(ran.err.contains("1 file"), "{}", ran.err);
    stage
        .run("verify prod/shop web=web.yaml")
        .exits(0)
        .says("VERIFIED");
    let json = ["--output", "json"];
    let again = deploy(&stage, &json, "echo own").exits(0);
    assert_eq!(again.out, "own\n");
    let again: serde_json::Value = serde_json::from_str(again.err.trim()).unwrap();
    assert_eq!(again["schema"], "cairn.record/v1");
    assert_eq!(
        (&again["sequence"], &again["unchanged"]),
        (&1.into(), &true.into())
    );
}

/// Goal: what failed is not recorded, and its exit code is passed on. Method: commands that end
/// with a code, by a signal, or not even begin; and a ledger that is not there.
#[test]
fn what_failed_is_not_recorded() {
    let (stage, ledger) = Stage::with_ledger();
    stage.write("web.yaml", "replicas: 3\n");
    let before = stage.size();
    deploy(&stage, &[], "exit 7")
        .exits(7)
        .says("nothing was recorded");
    deploy(&stage, &[], "kill -KILL $$").exits(137);
    let words = [
        "run",
        "prod/shop",
        "--path",
        "web.yaml",
        "--",
        "no-such-tool",
    ];
    stage
        .run_words(&words)
        .refuses(1, "TOOL_FAILED")
        .says("no-such-tool");
    let words = ["run", "prod/shop", "--", "make", "deploy"];
    stage.run_words(&words).refuses(2, "USAGE").says("make");
    let words = ["run", "prod/shop", "--kubernetes=-", "--", "true"];
    stage
        .run_words(&words)
        .refuses(2, "USAGE")
        .says("standard input");
    assert_eq!(stage.size(), before);
    drop(ledger);
    deploy(&stage, &[], "touch ran").refuses(3, "UNREACHABLE");
    assert!(
        !stage.path("ran").exists(),
        "what could not be recorded was not begun"
    );
}

/// Goal: with `--before` a command that fails leaves what stood before as the newest, and says
/// why. Method: the first release of all, a later one, one that another release overtakes.
#[test]
fn recorded_first_and_undone_where_the_command_fails() {
    let (stage, _ledger) = Stage::with_ledger();
    // What a command writes is an earlier run's before it.
    stage.write("d.txt", format!("sha256:{}\n", "1".repeat(64)));
    let line = "run prod --before -- skopeo copy --digestfile d.txt oci:a oci:b";
    stage
        .run(line)
        .refuses(2, "USAGE")
        .says("after the command");
    stage.write("web.yaml", "replicas: 3\n");
    deploy(&stage, &["--before"], "exit 3").exits(3);
    deploy(&stage, &["--before"], "true").exits(0);
    stage.write("web.yaml", "replicas: 30\n");
    deploy(&stage, &["--before"], "exit 9")
        .exits(9)
        .says("stands again");
    let why = |code| Some(format!("the command ended with exit code {code}"));
    let expected = [
        ("release", None),
        ("retire", why(3)),
        ("release", None),
        ("release", None),
        ("rollback", why(9)),
    ];
    let expected = expected.map(|(action, reason)| (action.to_owned(), reason));
    assert_eq!(releases(&stage), expected);
    stage.write("web.yaml", "replicas: 3\n");
    stage.run("verify prod/shop web=web.yaml").exits(0);
    // Nothing new was recorded: there is nothing to undo.
    deploy(&stage, &["--before"], "exit 1").exits(1);
    assert_eq!(releases(&stage).len(), 5);
    // Whoever released meanwhile is not undone.
    stage.write("web.yaml", "replicas: 5\n");
    let cairn = env!("CARGO_BIN_EXE_cairn");
    let script = format!("{cairn} retire prod/shop >&2; exit 2");
    deploy(&stage, &["--before"], &script)
        .exits(1)
        .says("still stands as the newest");
    assert_eq!(releases(&stage).len(), 7);
}

/// Goal: a signal that would end `run` is the command's to heed. Method: a command that traps
/// TERM, tidies up and succeeds: it is recorded.
#[test]
fn signals_are_passed_on() {
    let (stage, _ledger) = Stage::with_ledger();
    stage.write("web.yaml", "replicas: 3\n");
    let script = "trap 'echo tidied; exit 0' TERM; echo begun; while true; do sleep 0.05; done";
    let words = [
        "run",
        "prod/shop",
        "--path",
        "web.yaml",
        "--",
        "sh",
        "-c",
        script,
    ];
    let mut command = stage.command();
    let piped = command
        .args(words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "begun\n");
    let id = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "tidied\n");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(releases(&stage).len(), 1);
}
