//! Uploads, downloads and audits that are killed at any moment and run again: how many bytes
//! cross the line twice, counted on the line and not asked of the program.

mod audits;
mod downloads;
mod proxy;
mod uploads;

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::{
    copy,
    process::{Dev, Ended, Served, cairn, finish, memory_of},
    tools::Random,
};
use proxy::Proxy;

/// What any one command may take.
const PATIENCE: Duration = Duration::from_mins(4);
/// Bytes that may be on the way when somebody dies: what the protocol lets be unanswered,
/// and what the buffers of four sockets hold.
const ON_THE_WAY_BYTES: u64 = 12 << 20;

/// A ledger behind a line, and a client's home whose context leads through the line.
struct Scene {
    folder: tempfile::TempDir,
    dev: Dev,
    served: Option<Served>,
    proxy: Proxy,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut dev = Dev::below(folder.path());
        let served = dev.start();
        dev.listen = served.address.to_string();
        let proxy = Proxy::to(served.address);
        let scene = Self {
            folder,
            dev,
            served: Some(served),
            proxy,
        };
        scene.new_home("client");
        scene
    }

    fn path(&self, below: impl AsRef<Path>) -> PathBuf {
        self.folder.path().join(below)
    }

    /// Makes a home that knows the ledger and has seen nothing of it.
    fn new_home(&self, name: &str) {
        let home = self.path(name);
        copy(&self.dev.home, &home);
        let file = home.join("contexts.toml");
        let text = fs::read_to_string(&file).unwrap();
        let (direct, through) = (
            self.served().url(),
            format!("http://{}", self.proxy.address),
        );
        assert!(text.contains(&direct), "{text}");
        fs::write(file, text.replace(&direct, &through)).unwrap();
    }

    fn command(&self, home: &str, line: &str) -> Command {
        let mut command = cairn(&self.path(home));
        command.current_dir(self.folder.path());
        command.args(line.split_whitespace()).arg("--no-input");
        command
    }

    /// Runs a command to its end, which must be a good one.
    #[track_caller]
    fn run(&self, line: &str) -> Ended {
        let ended = finish(self.command("client", line), PATIENCE);
        assert_eq!(ended.code, Some(0), "{line}: {}", ended.stderr);
        ended
    }

    fn start(&self, home: &str, line: &str) -> Running {
        let mut command = self.command(home, line);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Running {
            child: command.spawn().unwrap(),
            peak: 0,
        }
    }

    fn served(&self) -> &Served {
        self.served.as_ref().unwrap()
    }

    /// Kills the server and starts it again at the same address.
    fn kill_server(&mut self) {
        self.served.take().unwrap().kill();
        self.served = Some(self.dev.start());
    }

    /// Ends the server, which audits it.
    fn ends(mut self) {
        let ended = self.served.take().unwrap().stop();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
}

/// A command under way; killed when dropped.
struct Running {
    child: Child,
    /// Most KiB of memory that it was seen with.
    peak: u64,
}

impl Running {
    /// Waits for something; `false` if the command ended before.
    fn until(&mut self, reached: impl Fn() -> bool) -> bool {
        let began = Instant::now();
        loop {
            if let Some((_, peak)) = memory_of(self.child.id()) {
                self.peak = self.peak.max(peak);
            }
            if reached() {
                return true;
            }
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(began.elapsed() < PATIENCE, "it neither went on nor ended");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for its end.
    fn ends(&mut self) -> Option<i32> {
        self.until(|| false);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of so many bytes that nothing can be spared of; where it is large, mostly a hole.
fn make_file(path: &Path, bytes: u64, random: &mut Random) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let file = File::create(path).unwrap();
    file.set_len(bytes).unwrap();
    let mark = random.bytes(4_000);
    for at in (0..bytes - 5_000).step_by(1 << 20) {
        let mut here = mark.clone();
        here.extend_from_slice(&at.to_le_bytes());
        file.write_all_at(&here, at).unwrap();
    }
}
