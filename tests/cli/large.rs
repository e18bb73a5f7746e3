//! Many files, huge files, and having enough of waiting for them.

use std::{
    fs::{self, File},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::stage::{Stage, is_long_run};

/// Goal: a directory of many files is one tree, whose files are still told apart.
#[test]
fn a_directory_of_many_files_is_a_tree_and_each_file_counts() {
    let files = if is_long_run("a tree of 100,000 files") {
        100_000
    } else {
        1_500
    };
    let (stage, _ledger) = Stage::with_ledger();
    for number in 0..files {
        stage.write(&format!("app/{}/{number}", number % 40), number.to_string());
    }
    let started = Instant::now();
    stage
        .run("record staging app")
        .exits(0)
        .says(&format!("Read      {files} files"));
    stage
        .run("verify staging app")
        .exits(0)
        .says(&format!("{files} of {files} files"));
    eprintln!(
        "{files} files recorded and verified in {:?}",
        started.elapsed()
    );
    stage.run("export staging -o tree.bundle").exits(0);
    let offline = "verify --bundle tree.bundle --environment staging --offline app";
    stage.run(offline).exits(0).says("VERIFIED  staging#1");
    stage.write("app/7/47", "other");
    let drift = stage.run("verify staging app").exits(10).says("7/47");
    drift.says(&format!("1 of {files} files differs"));
    stage.run(offline).exits(10);
    stage.run("restore staging 7/47 --to app").exits(0);
    fs::remove_file(stage.path("app/3/3")).unwrap();
    stage
        .run("verify staging app")
        .exits(10)
        .says("3/3  is missing");
}

/// Goal: Ctrl-C ends a command at once, whatever it is busy with, and records nothing.
/// Method: a file that takes long to read.
#[test]
fn an_interrupted_command_ends_at_once_with_exit_130() {
    let (stage, _ledger) = Stage::with_release();
    stage.write("big/disk.img", "");
    let file = File::create(stage.path("big/disk.img")).unwrap();
    file.set_len(64 << 30).unwrap();
    let before = stage.size();
    for line in [
        "record prod/shop big",
        "verify prod/shop web.yaml=big/disk.img",
    ] {
        let mut command = stage.command();
        let mut child = command.args(line.split_whitespace()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(700));
        let started = Instant::now();
        kill_process(Pid::from_child(&child), Signal::INT).unwrap();
        let code = child.wait().unwrap().code();
        assert_eq!(code, Some(130), "cairn {line}");
        let took = started.elapsed();
        assert!(took < Duration::from_secs(5), "cairn {line}: {took:?}");
    }
    assert_eq!(stage.size(), before);
}
