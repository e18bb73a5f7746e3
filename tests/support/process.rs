//! Real processes of the program: started, stopped, continued, killed by their own id, and
//! never left behind.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use cairn_client::{home::Home, keys, trust};
use cairn_grpc::v1::ledger_client::LedgerClient;
use cairn_proto::{key::SecretKey, trust::Trust};
use rustix::process::{Pid, Signal, kill_process};
use tonic::transport::Channel;

use super::{MustEnd, audit::audit_at, prove::Client};

/// A start that replays its journal takes less than this in any build.
const START: Duration = Duration::from_mins(1);

/// Where a `cairn dev` keeps everything.
#[derive(Debug, Clone)]
pub(crate) struct Dev {
    pub(crate) data: PathBuf,
    pub(crate) home: PathBuf,
    /// Where to listen; with port 0 on any.
    pub(crate) listen: String,
}

impl Dev {
    pub(crate) fn below(directory: &Path) -> Self {
        Self {
            data: directory.join("dev"),
            home: directory.join("home"),
            listen: "127.0.0.1:0".to_owned(),
        }
    }

    /// Where the store is.
    pub(crate) fn store(&self) -> PathBuf {
        self.data.join("data")
    }

    pub(crate) fn home(&self) -> Home {
        Home::at(&self.home)
    }

    /// What clients of it pin.
    pub(crate) fn trust(&self) -> Trust {
        trust::load(&self.home(), &"dev".parse().unwrap()).unwrap()
    }

    pub(crate) fn trust_file(&self) -> PathBuf {
        self.home().trust_file(&"dev".parse().unwrap())
    }

    /// The key that its policy lets do everything.
    pub(crate) fn key(&self) -> SecretKey {
        keys::load_file(&self.data.join("keys/dev.pem"), &keys::NoPassphrase).unwrap()
    }

    fn command(&self) -> Command {
        let mut command = cairn(&self.home);
        command.arg("dev").arg("--data").arg(&self.data);
        command.args(["--listen", &self.listen]);
        command
    }

    /// Starts it and waits until it serves.
    pub(crate) fn start(&self) -> Served {
        self.try_start()
            .unwrap_or_else(|ended| panic!("it did not start: {}", ended.stderr))
    }

    /// The same; what it said where it ended instead.
    pub(crate) fn try_start(&self) -> Result<Served, Ended> {
        Served::wait(self.spawn())
    }

    /// Starts it and waits for nothing.
    pub(crate) fn spawn(&self) -> Starting {
        Starting {
            dev: Some(self.clone()),
            ..Starting::of(self.command())
        }
    }
}

/// The program, with a home of its own and nothing of the caller's.
pub(crate) fn cairn(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
    command
        .env("CAIRN_HOME", home)
        .env_remove("CAIRN_CONTEXT")
        .env_remove("CAIRN_LOG");
    command.stdin(Stdio::null());
    command
}

/// A process that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None`: by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A child that is killed when it is dropped.
#[derive(Debug)]
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Guarded {
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, signal).unwrap();
    }
}

/// A process that may not serve yet.
#[derive(Debug)]
pub(crate) struct Starting {
    child: Guarded,
    lines: mpsc::Receiver<String>,
    stderr: File,
    /// What knows its trust file, once it serves.
    dev: Option<Dev>,
}

impl Starting {
    pub(crate) fn of(mut command: Command) -> Self {
        let stderr = tempfile::tempfile().unwrap();
        command
            .stdout(Stdio::piped())
            .stderr(stderr.try_clone().unwrap());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                // Read on where nobody listens: a full pipe would stop the child.
                let _ = sender.send(line);
            }
        });
        Self {
            child: Guarded(child),
            lines,
            stderr,
            dev: None,
        }
    }

    /// Kills it, wherever it is.
    pub(crate) fn kill(self) {
        drop(self.child);
    }

    fn ended(mut self) -> Ended {
        let code = self.child.0.wait().unwrap().code();
        Ended {
            code,
            stdout: self.lines.iter().collect::<Vec<_>>().join("\n"),
            stderr: read_from_start(self.stderr),
        }
    }
}

fn read_from_start(mut file: File) -> String {
    use std::io::Seek as _;
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

/// A server that serves. Every test ends it, and every end in good order but a declared one
/// audits the whole log.
#[derive(Debug)]
pub(crate) struct Served {
    child: Guarded,
    stderr: File,
    pub(crate) address: SocketAddr,
    dev: Option<Dev>,
    end: MustEnd,
}

impl Served {
    /// Waits for the line that begins with `Ledger` and ends with a URL or names one.
    pub(crate) fn wait(starting: Starting) -> Result<Self, Ended> {
        Self::wait_for(starting, START)
    }

    /// The same, for one that may take longer.
    pub(crate) fn wait_for(starting: Starting, patience: Duration) -> Result<Self, Ended> {
        let until = Instant::now() + patience;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let Ok(line) = starting.lines.recv_timeout(left) else {
                break;
            };
            let mut words = line.split_whitespace();
            if words.next() == Some("Ledger") {
                let url = words.find_map(|word| word.strip_prefix("http://")).unwrap();
                return Ok(Self {
                    address: url.parse().unwrap(),
                    child: starting.child,
                    stderr: starting.stderr,
                    dev: starting.dev,
                    end: MustEnd::new(),
                });
            }
        }
        assert!(
            Instant::now() < until,
            "it neither served nor ended in {patience:?}"
        );
        Err(starting.ended())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    pub(crate) async fn client(&self) -> Client {
        client(self.address).await
    }

    /// The end that nothing can prepare for. What it made is audited after the next start.
    pub(crate) fn kill(mut self) -> String {
        self.end.ended();
        drop(self.child);
        read_from_start(self.stderr)
    }

    /// Audits everything, and asks it to end in good order.
    pub(crate) fn stop(self) -> Ended {
        audit_at(self.address, self.dev.as_ref().map(Dev::trust));
        self.stop_unaudited("it was just now")
    }

    /// The same without the audit, and why.
    pub(crate) fn stop_unaudited(mut self, _why: &str) -> Ended {
        self.end.ended();
        self.child.signal(Signal::TERM);
        let ended = wait_for(&mut self.child.0, Duration::from_secs(30)).unwrap();
        Ended {
            code: ended.code(),
            stdout: String::new(),
            stderr: read_from_start(self.stderr),
        }
    }

    /// Freezes it.
    pub(crate) fn freeze(&self) {
        self.child.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.child.signal(Signal::CONT);
    }

    /// Resident memory in KiB: now, and the most that it ever was.
    pub(crate) fn memory(&self) -> (u64, u64) {
        memory_of(self.pid()).unwrap()
    }
}

/// Resident memory of a process in KiB: now, and the most that it ever was. `None` of one
/// that ended.
pub(crate) fn memory_of(pid: u32) -> Option<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}

/// A connection of its own.
pub(crate) async fn client(address: SocketAddr) -> Client {
    let channel = Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_timeout(Duration::from_secs(5))
        .connect()
        .await
        .unwrap();
    LedgerClient::new(channel).max_decoding_message_size(64 << 20)
}

fn wait_for(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + patience;
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(2));
    }
    None
}

/// Runs a command to its end; also the most memory in KiB that it was ever seen to hold.
pub(crate) fn finish_at_peak(command: Command, patience: Duration) -> (Ended, u64) {
    let (stopped, stop) = mpsc::channel::<()>();
    let (ids, id) = mpsc::channel();
    let watching = thread::spawn(move || {
        let mut peak = 0;
        let Ok(pid) = id.recv() else { return peak };
        while stop.recv_timeout(Duration::from_millis(2)) == Err(mpsc::RecvTimeoutError::Timeout) {
            peak = peak.max(memory_of(pid).map_or(0, |(_, most)| most));
        }
        peak
    });
    let ended = finish_watched(command, patience, |pid| ids.send(pid).unwrap());
    drop(stopped);
    (ended, watching.join().unwrap())
}

/// Runs a command to its end, or fails the test.
pub(crate) fn finish(command: Command, patience: Duration) -> Ended {
    finish_watched(command, patience, |_| {})
}

fn finish_watched(mut command: Command, patience: Duration, began: impl FnOnce(u32)) -> Ended {
    let stdout = tempfile::tempfile().unwrap();
    let stderr = tempfile::tempfile().unwrap();
    command.stdin(Stdio::null());
    command
        .stdout(stdout.try_clone().unwrap())
        .stderr(stderr.try_clone().unwrap());
    let mut child = Guarded(command.spawn().unwrap());
    began(child.0.id());
    let ended = wait_for(&mut child.0, patience);
    let ended = ended.unwrap_or_else(|| panic!("{command:?} took more than {patience:?}"));
    Ended {
        code: ended.code(),
        stdout: read_from_start(stdout),
        stderr: read_from_start(stderr),
    }
}
