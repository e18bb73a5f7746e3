//! Running another tool: with bounds on its time and on what it says, and nothing left behind.

use std::{
    collections::BTreeSet,
    io::{self, Read, Write as _},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{detail::printable_bytes, sources::SourceError};

/// Bytes that a tool may print: more than any real answer.
const OUTPUT_BYTES_MAX: u64 = 256 << 20;
/// Bytes of its complaints that are kept, from the first on.
const COMPLAINT_BYTES_MAX: u64 = 64 << 10;
/// Bytes of them, the last, that are looked at.
const COMPLAINT_SHOWN_MAX: usize = 2_048;
/// How long a tool may take.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(5);

/// A tool and what it is asked.
pub(crate) struct Tool<'a> {
    program: &'a str,
    command: Command,
    input: Vec<u8>,
    patience: Duration,
}

/// What would be left if this process ended without coming back: groups of processes, and folders
/// with what nobody else may read.
static LEFT: Mutex<(BTreeSet<i32>, BTreeSet<PathBuf>)> =
    Mutex::new((BTreeSet::new(), BTreeSet::new()));

/// Ends every tool that runs, and removes every private folder.
pub(crate) fn abandon() {
    let left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
    left.0.iter().for_each(|group| kill_group(*group));
    for folder in &left.1 {
        // It is the last thing that this process does about it.
        let _ = std::fs::remove_dir_all(folder);
    }
}

/// A tool's group of processes, while it runs.
struct Running(Option<i32>);

impl Running {
    fn new(child: &Child) -> Self {
        let group = i32::try_from(child.id()).ok();
        let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
        left.0.extend(group);
        Self(group)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
            left.0.remove(&group);
        }
    }
}

/// A folder that nobody else can look into, gone when it is dropped, or abandoned.
pub(crate) struct PrivateFolder(TempDir);

impl PrivateFolder {
    /// Makes one. Its path is absolute: a tool may be told to change directory.
    pub(crate) fn new() -> Result<Self, SourceError> {
        let failed = |error| SourceError::unreadable(&std::env::temp_dir(), error);
        let above = std::path::absolute(std::env::temp_dir()).map_err(failed)?;
        let folder = TempDir::new_in(above).map_err(failed)?;
        let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
        left.1.insert(folder.path().to_owned());
        drop(left);
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        let mut left = LEFT.lock().unwrap_or_else(PoisonError::into_inner);
        left.1.remove(self.0.path());
    }
}

/// What a tool said.
pub(crate) struct Said {
    program: String,
    code: Option<i32>,
    /// Its output.
    pub(crate) output: Vec<u8>,
    /// Its complaints, safe to print.
    pub(crate) complaint: String,
}

impl<'a> Tool<'a> {
    /// A tool that is found as the shell finds it.
    pub(crate) fn new(program: &'a str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments);
        Self {
            program,
            command,
            input: Vec::new(),
            patience: PATIENCE,
        }
    }

    /// Sets a variable of its environment.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Waits longer, or less long, for its end.
    pub(crate) fn patient(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Gives it something to read.
    pub(crate) fn reads(mut self, input: Vec<u8>) -> Self {
        self.input = input;
        self
    }

    /// Runs it to its end, whatever that is.
    pub(crate) fn run(mut self) -> Result<Said, SourceError> {
        let command = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that what it starts ends with it.
            .process_group(0);
        let mut child = command.spawn().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SourceError::NoTool {
                tool: self.program.to_owned(),
            },
            _ => failed(self.program, &error.to_string()),
        })?;
        let running = Running::new(&child);
        let (input, program) = (std::mem::take(&mut self.input), self.program);
        let patience = self.patience;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (code, output, complaint) = thread::scope(|scope| {
            let writer = scope.spawn(move || {
                // A tool that does not read all of it says itself what it thinks of it.
                let _ = pipes.0.map(|mut pipe| pipe.write_all(&input));
            });
            let output = scope.spawn(move || read(pipes.1, OUTPUT_BYTES_MAX));
            let complaint = scope.spawn(move || read(pipes.2, COMPLAINT_BYTES_MAX));
            let silent = || writer.is_finished() && output.is_finished() && complaint.is_finished();
            let code = wait(&mut child, patience, silent);
            let _ = writer.join();
            (code, output.join(), complaint.join())
        });
        drop(running);
        let (output, too_much) = output.unwrap_or_default();
        let code = code.ok_or_else(|| SourceError::Unreachable {
            what: program.to_owned(),
            why: format!("it did not end within {} s", patience.as_secs()),
        })?;
        if too_much {
            return Err(failed(program, "it says more than can be read"));
        }
        let complaint = complaint.unwrap_or_default().0;
        let end = complaint.len().saturating_sub(COMPLAINT_SHOWN_MAX);
        let complaint = printable_bytes(complaint.get(end..).unwrap_or_default());
        Ok(Said {
            program: program.to_owned(),
            code,
            output,
            complaint,
        })
    }
}

impl Said {
    /// Its output, if it did what it was asked.
    pub(crate) fn output(self) -> Result<Vec<u8>, SourceError> {
        match self.code {
            Some(0) => Ok(self.output),
            _ => Err(self.failure()),
        }
    }

    /// Why it did not: nobody answers, or it says no.
    pub(crate) fn failure(&self) -> SourceError {
        let unanswered = [
            "connection refused",
            "Unable to connect",
            "Could not connect",
            "Connect timeout on endpoint",
            "Read timeout on endpoint",
            "no such host",
            "i/o timeout",
            "Cannot connect to the Docker daemon",
            "failed to connect to the docker API",
            "cluster unreachable",
        ];
        let lines = self.complaint.split("\\n").map(str::trim);
        let said: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
        let what = self.program.clone();
        // The last line says why; those before say how often it was tried.
        let why = said.last().copied().unwrap_or_default();
        let why = match (why, self.code) {
            ("", Some(code)) => format!("it ended with exit code {code}"),
            ("", None) => "it was killed".to_owned(),
            (why, _) => why.to_owned(),
        };
        // What an API says of others it says itself.
        let answered = self.code == Some(0) || self.complaint.contains("Error from server");
        let mut silent = unanswered.iter();
        if !answered && silent.any(|words| self.complaint.contains(words)) {
            return SourceError::Unreachable { what, why };
        }
        failed(&what, &why)
    }
}

fn failed(tool: &str, why: &str) -> SourceError {
    SourceError::Tool {
        tool: tool.to_owned(),
        why: why.to_owned(),
    }
}

/// Reads so much, and whether there was more.
fn read(pipe: Option<impl Read>, bytes_max: u64) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let Some(mut pipe) = pipe else {
        return (bytes, false);
    };
    let _ = (&mut pipe).take(bytes_max).read_to_end(&mut bytes);
    let more = io::copy(&mut pipe.take(u64::MAX), &mut io::sink());
    (bytes, more.is_ok_and(|more| more > 0))
}

/// The exit code, none for a signal; `None` if it had to be stopped.
#[expect(clippy::option_option, reason = "not ended is not the same as no code")]
fn wait(child: &mut Child, patience: Duration, silent: impl Fn() -> bool) -> Option<Option<i32>> {
    let began = Instant::now();
    while began.elapsed() < patience {
        if let Ok(Some(status)) = child.try_wait() {
            if !silent() {
                // What it left running holds the pipe: nobody waits for that.
                thread::sleep(LOOK * 4);
                end_group(child);
            }
            return Some(status.code());
        }
        thread::sleep(LOOK);
    }
    end_group(child);
    let _ = child.wait();
    None
}

fn end_group(child: &Child) {
    if let Ok(group) = i32::try_from(child.id()) {
        kill_group(group);
    }
}

fn kill_group(group: i32) {
    if let Some(group) = rustix::process::Pid::from_raw(group) {
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::Tool;
    use crate::sources::SourceError;

    /// Goal: a tool's answer, its failure and its absence are told apart. Method: a shell.
    #[test]
    fn a_tool_answers_fails_or_is_missing() {
        let said = Tool::new("sh", &["-c", "cat; echo oh >&2"]);
        let said = said.reads(vec![b'x'; 1 << 20]).run().unwrap();
        assert_eq!(said.output.len(), 1 << 20);
        assert_eq!(said.complaint.trim_end_matches("\\n"), "oh");
        let failed = Tool::new("sh", &["-c", "echo 'dial: connection refused' >&2; exit 3"]);
        let failed = failed.run().unwrap().output().unwrap_err();
        assert!(
            matches!(failed, SourceError::Unreachable { .. }),
            "{failed}"
        );
        let missing = Tool::new("no-such-tool-at-all", &[]).run();
        assert!(matches!(missing, Err(SourceError::NoTool { .. })));
        let left = Tool::new("sh", &["-c", "sleep 60 & echo done"]).run();
        assert_eq!(left.unwrap().output, b"done\n");
    }
}
