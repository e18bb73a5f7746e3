//! Keys in real files and in a real ssh-agent.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::geteuid;
use tempfile::TempDir;

use super::*;

struct Say(&'static str);

impl AskPassphrase for Say {
    fn passphrase(&self, _: &Path) -> Option<Zeroizing<String>> {
        Some(Zeroizing::new(self.0.to_owned()))
    }
}

fn reason(result: Result<SecretKey, KeyError>) -> Reason {
    result.unwrap_err().reason()
}

#[test]
fn a_new_key_file_is_private_reads_back_and_is_never_overwritten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    let public = new_key_file(&path, None).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
    let key = load(&KeySpec::File(path.clone()), &NoPassphrase).unwrap();
    assert_eq!(key.public_key(), public);
    let signature = key.sign(b"message").unwrap();
    public.verify(b"message", &signature).unwrap();

    let before = fs::read(&path).unwrap();
    let error = new_key_file(&path, None).unwrap_err();
    assert_eq!(error.reason(), Reason::KeyFile);
    assert!(error.to_string().ends_with("exists already"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
    // Nothing else is left lying about.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn an_encrypted_key_opens_with_its_passphrase_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    let public = new_key_file(&path, Some("correct horse")).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    let key = load_file(&path, &Say("correct horse")).unwrap();
    assert_eq!(key.public_key(), public);
    let wrong = load_file(&path, &Say("battery")).unwrap_err();
    assert!(matches!(wrong, KeyError::PassphraseWrong { .. }));
    let none = load_file(&path, &NoPassphrase).unwrap_err();
    assert!(matches!(none, KeyError::PassphraseMissing { .. }));
}

#[test]
fn keys_that_others_may_touch_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    new_key_file(&path, None).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o601, 0o644] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(
            reason(load_file(&path, &NoPassphrase)),
            Reason::KeyFileLoose
        );
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    load_file(&path, &NoPassphrase).unwrap();

    let link = directory.path().join("link.pem");
    symlink(&path, &link).unwrap();
    assert_eq!(
        reason(load_file(&link, &NoPassphrase)),
        Reason::KeyFileLoose
    );
    if geteuid().is_root() {
        std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
        assert_eq!(
            reason(load_file(&path, &NoPassphrase)),
            Reason::KeyFileLoose
        );
    }
}

#[test]
fn what_is_no_key_is_said_to_be_none() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("key.pem");
    assert_eq!(reason(load_file(&path, &NoPassphrase)), Reason::KeyFile);
    assert_eq!(
        reason(load_file(directory.path(), &NoPassphrase)),
        Reason::KeyFile
    );
    let write = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    for bytes in [
        &b""[..],
        b"\xff\xfe",
        b"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n",
        &vec![b'x'; 100_000],
    ] {
        write(bytes);
        assert_eq!(reason(load_file(&path, &NoPassphrase)), Reason::KeyFile);
    }
}

#[test]
fn keys_are_named_by_path_or_by_fingerprint() {
    let fingerprint = format!("SHA256:{}", "a".repeat(43));
    let spec: KeySpec = format!("agent:{fingerprint}").parse().unwrap();
    assert_eq!(spec, KeySpec::Agent(fingerprint));
    let spec: KeySpec = "keys/agent.pem".parse().unwrap();
    assert_eq!(spec, KeySpec::File("keys/agent.pem".into()));
    for text in [
        "agent:",
        "agent:MD5:00",
        "agent:SHA256:short",
        "agent:SHA256:==",
    ] {
        let error = text.parse::<KeySpec>().unwrap_err();
        assert_eq!(error.reason(), Reason::Usage);
    }
}

/// Whether a tool is there; a missing one is said, and fails where tools are required.
fn has_tool(tool: &str) -> bool {
    let found = Command::new(tool)
        .arg("-?")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        assert!(
            std::env::var_os("CAIRN_REQUIRE_TOOLS").is_none(),
            "{tool} is missing"
        );
        eprintln!("SKIPPED: {tool} is missing");
    }
    found
}

/// Runs a tool and returns what it prints.
fn run(directory: &Path, tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool)
        .args(arguments)
        .current_dir(directory)
        .env("SSH_AUTH_SOCK", directory.join("agent"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{tool}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

struct Agent {
    directory: TempDir,
    process: Child,
}

impl Agent {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let process = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(directory.path().join("agent"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let agent = Self { directory, process };
        while !agent.socket().exists() {
            std::thread::sleep(Duration::from_millis(10));
        }
        agent
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("agent")
    }

    /// Adds a new key and returns its fingerprint.
    fn add(&self, kind: &str) -> String {
        let at = self.directory.path();
        run(at, "ssh-keygen", &["-q", "-t", kind, "-N", "", "-f", kind]);
        run(at, "ssh-add", &["-q", kind]);
        let listed = run(at, "ssh-keygen", &["-l", "-f", kind]);
        listed.split_whitespace().nth(1).unwrap().to_owned()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_key_in_an_ssh_agent_signs() {
    if !["ssh-agent", "ssh-add", "ssh-keygen"]
        .into_iter()
        .all(has_tool)
    {
        return;
    }
    let agent = Agent::start();
    let (ecdsa, ed25519) = (agent.add("ecdsa"), agent.add("ed25519"));
    let signer = agent::AgentSigner::open(&agent.socket(), &ed25519).unwrap();
    let signature = signer.sign(b"message").unwrap();
    signer.public_key().verify(b"message", &signature).unwrap();

    let error = agent::AgentSigner::open(&agent.socket(), &ecdsa)
        .err()
        .unwrap();
    assert!(matches!(error, KeyError::NotEd25519));
    let other = format!("SHA256:{}", "a".repeat(43));
    let error = agent::AgentSigner::open(&agent.socket(), &other)
        .err()
        .unwrap();
    assert!(matches!(error, KeyError::NotInAgent { .. }));
    run(agent.directory.path(), "ssh-add", &["-q", "-D"]);
    assert!(signer.sign(b"message").is_err());
    drop(agent);
    assert!(signer.sign(b"message").is_err());
}

/// Goal: whatever an agent answers can only fail. Method: a socket that answers every request
/// with bytes that are cut, too long, of another type, or a signature of something else.
#[test]
fn an_agent_that_answers_nonsense_is_an_error_and_never_a_signature() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("agent");
    let string = |bytes: &[u8]| {
        let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
        [length.as_slice(), bytes].concat()
    };
    let key = SecretKey::from_seed(&[7; 32]).unwrap();
    let blob = [
        string(b"ssh-ed25519"),
        string(key.public_key().as_bytes()),
    ]
    .concat();
    let list = [vec![12, 0, 0, 0, 1], string(&blob), string(b"comment")].concat();
    let other = [string(b"ssh-ed25519"), string(&key.sign(b"other").unwrap())].concat();
    let short = [string(b"ssh-ed25519"), string(&[1; 63])].concat();
    let fingerprint = {
        use base64::Engine as _;
        let hash = cairn_proto::hash::Sha256::of(&blob).0;
        let text = base64::engine::general_purpose::STANDARD_NO_PAD.encode(hash);
        format!("SHA256:{text}")
    };
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut answers = vec![
        Vec::new(),
        vec![0, 0, 0, 0],
        vec![0xff; 64],
        string(&[5]),
        string(&[12, 0xff, 0xff, 0xff, 0xff]),
        string(&list)[..40].to_vec(),
        string(&list),
    ];
    let opens = answers.len();
    answers.extend([
        string(&[5]),
        string(&[14]),
        string(&[vec![14], string(&other)].concat()),
        string(&[vec![14], string(&short)].concat()),
    ]);
    let count = answers.len();
    let agent = std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut length = [0; 4];
            std::io::Read::read_exact(&mut stream, &mut length).unwrap();
            let mut request = vec![0; u32::from_be_bytes(length) as usize];
            std::io::Read::read_exact(&mut stream, &mut request).unwrap();
            std::io::Write::write_all(&mut stream, &answer).unwrap();
        }
    });
    for _ in 1..opens {
        let error = agent::AgentSigner::open(&socket, &fingerprint).err();
        assert!(matches!(error, Some(KeyError::Agent { .. })), "{error:?}");
    }
    let signer = agent::AgentSigner::open(&socket, &fingerprint).unwrap();
    assert_eq!(signer.public_key(), key.public_key());
    for _ in opens..count {
        signer.sign(b"message").unwrap_err();
    }
    agent.join().unwrap();
}

#[test]
fn openssl_reads_our_keys_and_we_read_openssls() {
    if !has_tool("openssl") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let public = new_key_file(&at.join("ours"), Some("pass")).unwrap();
    let text = run(
        at,
        "openssl",
        &[
            "pkey",
            "-in",
            "ours",
            "-passin",
            "pass:pass",
            "-text",
            "-noout",
        ],
    );
    let hex: String = text
        .split("pub:")
        .nth(1)
        .unwrap()
        .chars()
        .filter(char::is_ascii_hexdigit)
        .collect();
    assert_eq!(hex, hex::encode(public.as_bytes()));

    run(
        at,
        "openssl",
        &["genpkey", "-algorithm", "ed25519", "-out", "theirs"],
    );
    fs::set_permissions(at.join("theirs"), fs::Permissions::from_mode(0o600)).unwrap();
    load_file(&at.join("theirs"), &NoPassphrase).unwrap();
    run(
        at,
        "openssl",
        &[
            "pkey",
            "-in",
            "theirs",
            "-aes256",
            "-passout",
            "pass:word",
            "-out",
            "locked",
        ],
    );
    fs::set_permissions(at.join("locked"), fs::Permissions::from_mode(0o600)).unwrap();
    let key = load_file(&at.join("locked"), &Say("word")).unwrap();
    let plain = load_file(&at.join("theirs"), &NoPassphrase).unwrap();
    assert_eq!(key.public_key(), plain.public_key());
}
