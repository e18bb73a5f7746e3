//! A folder with a home directory of its own, the program run in it, and a ledger that is
//! audited and killed when the test ends.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{background::Background, support::audit::audit_at};

/// A folder in which commands are run.
pub(crate) struct Stage {
    folder: TempDir,
    home: PathBuf,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        Self { folder, home }
    }

    /// One with a ledger.
    pub(crate) fn with_ledger() -> (Self, Ledger) {
        let stage = Self::new();
        let ledger = stage.dev();
        (stage, ledger)
    }

    /// One with a ledger and a release of two files.
    pub(crate) fn with_release() -> (Self, Ledger) {
        let (stage, ledger) = Self::with_ledger();
        stage.write("app/web.yaml", "spec:\n  replicas: 3\n");
        stage.write("app/conf/site.txt", "hello\n");
        stage.run("record prod/shop app").exits(0);
        (stage, ledger)
    }

    /// The same program, for somebody else: with another home directory.
    pub(crate) fn command_of(&self, home: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
        command
            .current_dir(self.folder.path())
            .env("CAIRN_HOME", self.path(home))
            .env_remove("CAIRN_CONTEXT")
            .env_remove("CAIRN_LOG")
            // Who runs the tests may be logged in somewhere.
            .env("REGISTRY_AUTH_FILE", self.path("auth.json"))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn command(&self) -> Command {
        self.command_of("home")
    }

    /// Runs a command line without quotes.
    pub(crate) fn run(&self, line: &str) -> Ran {
        self.run_words(&line.split_whitespace().collect::<Vec<_>>())
    }

    pub(crate) fn run_words(&self, words: &[&str]) -> Ran {
        Ran::of(self.command().args(words), &words.join(" "))
    }

    /// Runs a command line with something on standard input.
    pub(crate) fn feed(&self, line: &str, input: &[u8]) -> Ran {
        let mut command = self.command();
        command.args(line.split_whitespace()).stdin(Stdio::piped());
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        Ran::ended(&child.wait_with_output().unwrap(), line)
    }

    pub(crate) fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(below)
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.text(path);
        assert!(text.contains(from), "{path} has {from}");
        self.write(path, text.replacen(from, to, 1));
    }

    /// Starts `cairn dev` here.
    pub(crate) fn dev(&self) -> Ledger {
        self.dev_in("data")
    }

    pub(crate) fn dev_in(&self, data: &str) -> Ledger {
        let mut command = self.command();
        command.args(["dev", "--data", data, "--listen", "127.0.0.1:0"]);
        Ledger::start(&mut command)
    }

    /// Entries of the ledger in use.
    pub(crate) fn size(&self) -> u64 {
        let status = self.run("status --output json").json("cairn.status/v1");
        status["size"].as_u64().unwrap()
    }

    /// Copies a directory, for a server that is later set back.
    pub(crate) fn copy(&self, from: &str, to: &str) {
        let mut folders = vec![PathBuf::new()];
        while let Some(below) = folders.pop() {
            fs::create_dir_all(self.path(to).join(&below)).unwrap();
            for entry in fs::read_dir(self.path(from).join(&below)).unwrap() {
                let entry = entry.unwrap();
                let below = below.join(entry.file_name());
                if entry.file_type().unwrap().is_dir() {
                    folders.push(below);
                } else {
                    fs::copy(entry.path(), self.path(to).join(below)).unwrap();
                }
            }
        }
    }
}

/// How a command ended.
pub(crate) struct Ran {
    pub(crate) line: String,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(command: &mut Command, line: &str) -> Self {
        Self::ended(&command.output().unwrap(), line)
    }

    /// The same of a command that might run for ever: it is killed then, and that is a failure.
    pub(crate) fn within(command: &mut Command, line: &str, patience: Duration) -> Self {
        let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let end = Instant::now() + patience;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > end {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("cairn {line}: it runs on");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Self::ended(&child.wait_with_output().unwrap(), line)
    }

    fn ended(output: &std::process::Output, line: &str) -> Self {
        Self {
            line: line.to_owned(),
            code: output.status.code(),
            out: String::from_utf8(output.stdout.clone()).unwrap(),
            err: String::from_utf8(output.stderr.clone()).unwrap(),
        }
    }

    /// Insists on an exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "cairn {}\nout: {}\nerr: {}",
            self.line,
            self.out,
            self.err
        );
        self
    }

    /// Insists that the result, or the error, holds a text.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        let said = self.out.contains(text) || self.err.contains(text);
        assert!(
            said,
            "cairn {}: no {text:?}\nout: {}\nerr: {}",
            self.line, self.out, self.err
        );
        self
    }

    /// Insists that neither holds a text.
    #[track_caller]
    pub(crate) fn never_says(self, text: &str) -> Self {
        let said = self.out.contains(text) || self.err.contains(text);
        assert!(!said, "cairn {}: it says {text:?}", self.line);
        self
    }

    /// Insists on an error with a code, and on the advice that goes with every error.
    #[track_caller]
    pub(crate) fn refuses(self, exit: i32, code: &str) -> Self {
        let ran = self
            .exits(exit)
            .says(&format!("[{code}]"))
            .says("  fix       ");
        let errors = ran.err.lines().filter(|line| line.starts_with("error: "));
        assert_eq!(errors.count(), 1, "said once: {}", ran.err);
        ran
    }

    /// The one JSON document on standard output.
    #[track_caller]
    pub(crate) fn json(&self, schema: &str) -> Value {
        let wrong = |error| {
            panic!(
                "cairn {}: {error}\nout: {}\nerr: {}",
                self.line, self.out, self.err
            )
        };
        let value: Value = serde_json::from_str(&self.out).unwrap_or_else(wrong);
        assert_eq!(value["schema"], schema, "cairn {}", self.line);
        value
    }
}

/// A ledger's server in the background. When dropped, all that it made is audited first.
pub(crate) struct Ledger {
    server: Background,
    pub(crate) url: String,
}

impl Ledger {
    /// Starts a server and waits until it says where it answers.
    pub(crate) fn start(command: &mut Command) -> Self {
        let server = Background::start(command, "Ledger");
        let url = server.url.clone();
        Self { server, url }
    }

    /// The next line that it prints; empty when it ended.
    pub(crate) fn line(&mut self) -> String {
        self.server.line()
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        let address = self.url.strip_prefix("http://").map(str::parse);
        if let (true, false, Some(address)) =
            (self.server.is_alive(), std::thread::panicking(), address)
        {
            // A panic here drops the server all the same.
            audit_at(address.unwrap(), None);
        }
    }
}

/// Whether a test of something slow is to run; says so if not.
pub(crate) fn is_long_run(what: &str) -> bool {
    let long = std::env::var_os("CAIRN_LONG").is_some();
    if !long {
        eprintln!("SKIPPED {what}: set CAIRN_LONG=1 to run it");
    }
    long
}
