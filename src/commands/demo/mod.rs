//! `demo`: the main job on real input. A real server on a real socket, the real program for
//! every step, in a temporary folder; each step prints the command that a user would type.

mod image;
mod shop;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use cairn_proto::reason::Reason;

use crate::{cli, failure::Failure, output::Output, session::Session};

/// `cairn demo`.
pub(crate) async fn demo(session: &Session, args: &cli::Demo) -> Result<u8, Failure> {
    let output = session.output;
    let keep = args.keep;
    let ran = tokio::task::spawn_blocking(move || play(output, keep)).await;
    ran.map_err(|error| Failure::new(Reason::Internal, error))??;
    Ok(0)
}

fn play(output: Output, keep: bool) -> Result<(), Failure> {
    let folder = tempfile::Builder::new()
        .prefix("cairn-demo-")
        .tempdir()
        .map_err(broken)?;
    let stage = Stage {
        output,
        program: std::env::current_exe().map_err(broken)?,
        folder: folder.path().to_owned(),
    };
    let played = stage.play();
    if keep {
        let kept = folder.keep();
        output.line(format!("The folder is kept: {}", kept.display()));
    }
    played
}

fn broken(error: impl std::fmt::Display) -> Failure {
    Failure::new(
        Reason::Internal,
        format!("the demo cannot run here: {error}"),
    )
}

struct Stage {
    output: Output,
    program: PathBuf,
    folder: PathBuf,
}

/// The server in the background; killed when the demo ends, however it ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Nothing to do if it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Stage {
    fn play(&self) -> Result<(), Failure> {
        let shop = self.folder.join("shop");
        shop::write(&shop).map_err(broken)?;
        self.say("A ledger, for trying things out.");
        let server = self.serve()?;

        self.say("Record what staging is made of, and prove that it is what runs.");
        self.run("record staging ./shop", 0)?;
        self.run("verify staging ./shop", 0)?;

        self.say("Somebody changes a file by hand.");
        self.edit("web.yaml", "replicas: 3", "replicas: 30")?;
        self.run("verify staging ./shop", 10)?;
        self.run("restore staging#1 web.yaml --to ./shop", 0)?;
        self.run("verify staging ./shop", 0)?;

        self.say("Roll forward, and back.");
        self.edit("web.yaml", "replicas: 3", "replicas: 5")?;
        self.run("record staging ./shop --reason \"more shops\"", 0)?;
        self.run("rollback staging staging#1 --reason \"too many\"", 0)?;
        self.run("verify staging ./shop", 15)?;
        self.run("diff staging#2 staging#3", 0)?;
        self.run("restore staging web.yaml --to ./shop", 0)?;
        self.run("verify staging ./shop", 0)?;
        self.run("log staging", 0)?;

        self.say("One file that proves it all, without a network.");
        self.run("export staging -o staging.bundle", 0)?;
        drop(server);
        self.run(
            "verify --bundle staging.bundle --environment staging --offline ./shop",
            0,
        )?;

        self.say("An auditor reads everything and checks it with the same rules.");
        let server = self.serve()?;
        self.run("audit", 0)?;
        drop(server);

        self.say("One byte of the stored history is flipped.");
        self.flip()?;
        self.refused()
    }

    fn say(&self, text: &str) {
        self.output.line(format!("\n# {text}"));
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(words)
            .current_dir(&self.folder)
            .env("CAIRN_HOME", self.folder.join("home"))
            .env_remove("CAIRN_CONTEXT")
            .stdin(Stdio::null());
        command
    }

    fn start(&self) -> Command {
        self.command(&["dev", "--listen", "127.0.0.1:0"])
    }

    /// Starts the server and waits until it says that it accepts connections.
    fn serve(&self) -> Result<Server, Failure> {
        self.output.line("$ cairn dev");
        let child = self
            .start()
            .stdout(Stdio::piped())
            .spawn()
            .map_err(broken)?;
        let mut server = Server(child);
        let stdout = server.0.stdout.take().ok_or_else(|| broken("no output"))?;
        let mut lines = BufReader::new(stdout);
        for _ in 0..3 {
            let mut line = String::new();
            if lines.read_line(&mut line).map_err(broken)? == 0 {
                return Err(broken("the server ended"));
            }
            self.output.line(line.trim_end());
        }
        Ok(server)
    }

    /// Runs a command, shows what it prints, and insists on its exit code.
    fn run(&self, typed: &str, expected: i32) -> Result<(), Failure> {
        self.output.line(format!("$ cairn {typed}"));
        let words = split(typed);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ran = self.command(&words).output().map_err(broken)?;
        for text in [&ran.stdout, &ran.stderr] {
            let text = String::from_utf8_lossy(text);
            text.lines().for_each(|line| self.output.line(line));
        }
        let code = ran.status.code().unwrap_or(-1);
        if expected != 0 || code != 0 {
            self.output.line(format!("  exit {code}"));
        }
        if code == expected {
            return Ok(());
        }
        Err(broken(format!(
            "`cairn {typed}` ended with {code}, not {expected}"
        )))
    }

    fn edit(&self, name: &str, from: &str, to: &str) -> Result<(), Failure> {
        self.output
            .line(format!("$ sed -i 's/{from}/{to}/' shop/{name}"));
        shop::edit(&self.folder.join("shop").join(name), from, to).map_err(broken)
    }

    /// Flips one bit in the middle of the first release's entry.
    fn flip(&self) -> Result<(), Failure> {
        let journal = self.folder.join(".cairn-dev/data/journal");
        let segment = first_file(&journal).map_err(broken)?;
        let mut bytes = fs::read(&segment).map_err(broken)?;
        let needle = b"{\"payload\":";
        let mut places = bytes.windows(needle.len()).enumerate();
        let mut entries = places.by_ref().filter(|(_, window)| window == needle);
        // The first entry is the genesis, the second the first release.
        let at = entries
            .nth(1)
            .map(|(at, _)| at + 200)
            .ok_or_else(|| broken("no entry"))?;
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 1;
        }
        fs::write(&segment, bytes).map_err(broken)?;
        let name = segment.strip_prefix(&self.folder).unwrap_or(&segment);
        self.output.line(format!(
            "  flipped a bit at offset {at} of {}",
            name.display()
        ));
        // What is derived is gone too: the server must go back to the journal.
        fs::remove_dir_all(self.folder.join(".cairn-dev/data/view")).map_err(broken)
    }

    fn refused(&self) -> Result<(), Failure> {
        self.output.line("$ cairn dev");
        let child = self
            .start()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut server = Server(child.map_err(broken)?);
        let mut said = String::new();
        let mut stdout = server.0.stdout.take().ok_or_else(|| broken("no output"))?;
        // Ends when the server does; a server that started would say so first.
        let mut first = [0; 64];
        let started = stdout.read(&mut first).map_err(broken)? > 0;
        if started {
            return Err(broken("the server served a damaged history"));
        }
        if let Some(mut stderr) = server.0.stderr.take() {
            stderr.read_to_string(&mut said).map_err(broken)?;
        }
        let folder = format!("{}/", self.folder.display());
        said.lines()
            .for_each(|line| self.output.line(line.replace(&folder, "")));
        let code = server.0.wait().map_err(broken)?.code().unwrap_or(-1);
        self.output.line(format!("  exit {code}"));
        if said.contains(Reason::StoreDamaged.code()) {
            return Ok(());
        }
        Err(broken("the refusal does not name the damage"))
    }
}

fn first_file(directory: &Path) -> std::io::Result<PathBuf> {
    let mut files = fs::read_dir(directory)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    files.sort();
    files
        .into_iter()
        .next()
        .ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

/// Splits words at spaces; double quotes keep a word together.
fn split(typed: &str) -> Vec<String> {
    let parts = typed.split('"').enumerate();
    parts
        .flat_map(|(position, part)| match position % 2 {
            0 => part.split_whitespace().map(ToOwned::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}
