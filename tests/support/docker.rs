//! Images, registries and Docker itself: real tools where they are, and two stand-ins that
//! speak HTTP, one as Docker's socket does and one as a registry that does not behave.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Read, Write},
    net::{SocketAddr, TcpListener},
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use cairn_proto::hash::Sha256;
use serde_json::{Value, json};

use super::tools::{lacks, skipped};

const PATIENCE: Duration = Duration::from_secs(30);

/// Whether all of these are installed; where tools are required, a missing one fails.
pub(crate) fn has_tools(test: &str, tools: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |tool: &&&str| std::env::split_paths(&path).any(|at| at.join(tool).is_file());
    let missing: Vec<_> = tools.iter().filter(|tool| !is_there(tool)).collect();
    if missing.is_empty() {
        return true;
    }
    let why = format!("not installed: {missing:?}");
    lacks(test, &why);
    false
}

/// Runs a tool, which must succeed, and gives what it printed.
pub(crate) fn run(folder: &Path, line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut command = Command::new(words[0]);
    let ran = command.args(&words[1..]).current_dir(folder).output();
    let ran = ran.unwrap();
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert!(ran.status.success(), "{line}: {said}");
    String::from_utf8(ran.stdout).unwrap()
}

/// Makes an image of one layer in the layout `oci`, by umoci.
pub(crate) fn build(folder: &Path, tag: &str, text: &str, config: &str) {
    if !folder.join("oci").exists() {
        run(folder, "umoci init --layout oci");
    }
    run(folder, &format!("umoci new --image oci:{tag}"));
    fs::write(folder.join("layer.txt"), text).unwrap();
    run(
        folder,
        &format!("umoci insert --image oci:{tag} layer.txt /srv/layer.txt"),
    );
    run(
        folder,
        &format!("umoci config --image oci:{tag} --config.cmd /srv/run {config}"),
    );
}

/// Puts an index of several images of the layout `oci` beside them, under a tag.
pub(crate) fn join(folder: &Path, tag: &str, of: &[&str]) {
    let path = folder.join("oci/index.json");
    let mut top: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let manifests = top["manifests"].as_array_mut().unwrap();
    let named = |tag: &str| {
        let mut all = manifests.iter();
        let name = "org.opencontainers.image.ref.name";
        let found = all.find(|it| it["annotations"][name] == tag).unwrap();
        let blob = |digest: &Value| {
            let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
            let bytes = fs::read(folder.join("oci/blobs/sha256").join(hex)).unwrap();
            serde_json::from_slice::<Value>(&bytes).unwrap()
        };
        let config = blob(&blob(&found["digest"])["config"]["digest"]);
        json!({
            "mediaType": found["mediaType"], "digest": found["digest"], "size": found["size"],
            "platform": { "os": config["os"], "architecture": config["architecture"] },
        })
    };
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": of.iter().map(|tag| named(tag)).collect::<Vec<_>>(),
    });
    let bytes = index.to_string().into_bytes();
    let digest = Sha256::of(&bytes);
    manifests.push(json!({
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "digest": format!("sha256:{digest}"),
        "size": bytes.len(),
        "annotations": { "org.opencontainers.image.ref.name": tag },
    }));
    let blobs = folder.join("oci/blobs/sha256");
    fs::write(blobs.join(digest.to_string()), bytes).unwrap();
    fs::write(path, top.to_string()).unwrap();
}

/// A program in the background, killed by its id when dropped.
pub(crate) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Nothing to do if it is gone already. Docker stops its own children when asked to end.
        if let Some(id) = rustix::process::Pid::from_raw(self.0.id().try_into().unwrap()) {
            let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let end = Instant::now() + PATIENCE;
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < end {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A real registry on this machine, with all that it has in a folder.
pub(crate) struct Registry {
    pub(crate) address: String,
    _running: Running,
}

impl Registry {
    pub(crate) fn start(folder: &Path) -> Self {
        Self::start_with(folder, "")
    }

    /// One with more in its configuration.
    pub(crate) fn start_with(folder: &Path, more: &str) -> Self {
        let root = folder.join("registry");
        let config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n{more}",
            root.display()
        );
        let path = folder.join("registry.yml");
        fs::write(&path, config).unwrap();
        let mut command = Command::new("docker-registry");
        let piped = command.arg("serve").arg(path).stdout(Stdio::null());
        let mut running = Running(piped.stderr(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(running.0.stderr.take().unwrap()).lines();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let (_, rest) = line.split_once("listening on ")?;
            let end = rest.find(|it: char| !matches!(it, '0'..='9' | '.' | ':'));
            Some(rest[..end.unwrap_or(rest.len())].to_owned())
        });
        // It must not meet a broken pipe.
        thread::spawn(move || lines.for_each(drop));
        Self {
            address: address.expect("the registry says where it listens"),
            _running: running,
        }
    }
}

/// A real Docker daemon of its own; `None` where one cannot run, which was said.
pub(crate) struct Daemon {
    pub(crate) host: String,
    _running: Running,
}

impl Daemon {
    pub(crate) fn start(test: &str, folder: &Path) -> Option<Self> {
        let at = |name: &str| folder.join(name).display().to_string();
        let host = format!("unix://{}", at("docker.sock"));
        let log = fs::File::create(folder.join("dockerd.log")).unwrap();
        let mut command = Command::new("dockerd");
        command
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
            .args(["--storage-driver=vfs", "--host", &host])
            .args(["--data-root", &at("docker"), "--exec-root", &at("run")])
            .args(["--pidfile", &at("docker.pid")])
            .stdout(Stdio::null())
            .stderr(log);
        let daemon = Self {
            host,
            _running: Running(command.spawn().unwrap()),
        };
        let end = Instant::now() + PATIENCE;
        while !daemon.try_docker("version").0 {
            if Instant::now() > end {
                let log = fs::read_to_string(folder.join("dockerd.log")).unwrap_or_default();
                let last = log.lines().last().unwrap_or_default();
                // It wants rights that not every machine gives: its stand-in is tried anyway.
                skipped(test, &format!("no Docker daemon starts here: {last}"));
                return None;
            }
            thread::sleep(Duration::from_millis(100));
        }
        Some(daemon)
    }

    pub(crate) fn try_docker(&self, line: &str) -> (bool, String) {
        let mut command = Command::new("docker");
        let command = command.args(line.split_whitespace());
        let ran = command.env("DOCKER_HOST", &self.host).output().unwrap();
        let said = [ran.stdout, ran.stderr].concat();
        (
            ran.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }

    pub(crate) fn docker(&self, line: &str) -> String {
        let (done, said) = self.try_docker(line);
        assert!(done, "docker {line}: {said}");
        said
    }
}

/// What a stand-in answers.
pub(crate) struct Reply {
    pub(crate) status: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
    /// Nothing of it comes before.
    pub(crate) after: Duration,
}

impl Reply {
    pub(crate) fn of(status: &'static str, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", kind.to_owned())],
            body: body.into(),
            after: Duration::ZERO,
        }
    }

    pub(crate) fn json(body: &Value) -> Self {
        Self::of("200 OK", "application/json", body.to_string())
    }
}

/// Answers one request, of a path and with all that was sent, and closes.
fn answer(mut stream: impl Read + Write, handler: &dyn Fn(&str, &str) -> Reply) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    let mut head = String::from_utf8_lossy(&head).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let stated = name.eq_ignore_ascii_case("content-length");
        value.parse::<u64>().ok().filter(|_| stated)
    });
    // One that says less than it stated is answered for what it said.
    let _ = (&mut stream)
        .take(length.unwrap_or(0))
        .read_to_string(&mut head);
    let mut words = head.split_whitespace();
    let is_head = words.next() == Some("HEAD");
    let reply = handler(words.next().unwrap_or_default(), &head);
    thread::sleep(reply.after);
    let mut text = format!("HTTP/1.1 {}\r\nConnection: close\r\n", reply.status);
    for (name, value) in &reply.headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    let _ = write!(text, "Content-Length: {}\r\n\r\n", reply.body.len());
    // Whoever asked may have hung up.
    let _ = stream.write_all(text.as_bytes());
    if !is_head {
        let _ = stream.write_all(&reply.body);
    }
}

/// A registry that says what the test wants; it lives as long as the test's process.
pub(crate) fn false_registry(
    handler: impl Fn(&str) -> Reply + Send + Sync + 'static,
) -> SocketAddr {
    false_server(move |path, _| handler(path))
}

/// The same, of one that looks at all that it is sent.
pub(crate) fn false_server(
    handler: impl Fn(&str, &str) -> Reply + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let handler = Arc::new(handler);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let handler = Arc::clone(&handler);
            thread::spawn(move || answer(stream, &*handler));
        }
    });
    address
}

/// Stands in for Docker's socket: the documents of containers and of images, as the API gives
/// them, to the real command line. They are read from two files at each request.
pub(crate) struct Socket {
    folder: PathBuf,
}

impl Socket {
    pub(crate) fn start(folder: &Path) -> Self {
        let socket = Self {
            folder: folder.to_owned(),
        };
        socket.has(&[], &[]);
        let listener = UnixListener::bind(folder.join("docker.sock")).unwrap();
        let folder = folder.to_owned();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &|path, _| engine(&folder, path));
            }
        });
        socket
    }

    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.folder.join("docker.sock").display())
    }

    /// From now on these are there.
    pub(crate) fn has(&self, containers: &[Value], images: &[Value]) {
        let all = json!({ "containers": containers, "images": images });
        fs::write(self.folder.join("engine.json"), all.to_string()).unwrap();
    }
}

/// The part of the Engine API that is asked for.
fn engine(folder: &Path, path: &str) -> Reply {
    let all: Value =
        serde_json::from_slice(&fs::read(folder.join("engine.json")).unwrap()).unwrap();
    let path = path.split('?').next().unwrap();
    // `/v1.43/containers/json`: the version is the client's to choose.
    let path = match path.strip_prefix("/v1.") {
        Some(rest) => rest.split_once('/').map_or("", |(_, rest)| rest),
        None => path.trim_start_matches('/'),
    };
    if path == "_ping" {
        let mut reply = Reply::of("200 OK", "text/plain", "OK");
        reply.headers.push(("Api-Version", "1.43".to_owned()));
        reply.headers.push(("Ostype", "linux".to_owned()));
        return reply;
    }
    let of = |kind: &str| all[kind].as_array().unwrap().clone();
    if path == "containers/json" {
        let listed = of("containers").into_iter().map(|it| {
            json!({
                "Id": it["Id"], "Names": [it["Name"]], "Image": it["Config"]["Image"],
                "ImageID": it["Image"], "State": it["State"]["Status"], "Status": "", "Created": 1,
                "Command": "", "Ports": [], "Labels": {}, "Mounts": [], "HostConfig": {},
                "NetworkSettings": { "Networks": {} },
            })
        });
        return Reply::json(&listed.collect());
    }
    let (kind, id) = path.split_once('/').unwrap_or_default();
    let id = id.strip_suffix("/json").unwrap_or_default();
    if let Some(found) = of(kind).into_iter().find(|it| it["Id"] == id) {
        return Reply::json(&found);
    }
    let message = json!({ "message": format!("No such {}: {id}", kind.trim_end_matches('s')) });
    Reply::of("404 Not Found", "application/json", message.to_string())
}
