//! A SoftHSM token in a stage's folder, and a module that lies about it.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    stage::{Ran, Stage},
    support::tools::is_here,
};

/// The token's PIN: looked for wherever it must not be.
pub(super) const PIN: &str = "7316-user-pin";
const SO_PIN: &str = "9824-so-pin";

/// Where distributions put SoftHSM.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// A stage with a token called `cairn`, whose PIN stands in the file `pin`.
pub(super) struct Hsm {
    pub(super) stage: Stage,
    pub(super) module: PathBuf,
    variables: RefCell<BTreeMap<&'static str, String>>,
}

impl Hsm {
    /// `None` where there is no SoftHSM, and that was said.
    pub(super) fn new(test: &str) -> Option<Self> {
        if !is_here(test, "softhsm2-util", &["--version"]) {
            return None;
        }
        let module = MODULES.iter().map(Path::new).find(|path| path.exists());
        let stage = Stage::new();
        let tokens = stage.path("tokens");
        fs::create_dir_all(&tokens).unwrap();
        let config = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
            tokens.display()
        );
        stage.write("softhsm2.conf", config);
        let config = stage.path("softhsm2.conf").to_str().unwrap().to_owned();
        let hsm = Self {
            module: module.expect("SoftHSM's module is there").to_owned(),
            variables: RefCell::new(BTreeMap::from([("SOFTHSM2_CONF", config)])),
            stage,
        };
        hsm.private("pin", &format!("{PIN}\n"));
        hsm.add_token("cairn");
        Some(hsm)
    }

    pub(super) fn add_token(&self, label: &str) {
        let words = ["--init-token", "--free", "--label", label];
        self.tool("softhsm2-util", &words, &["--so-pin", SO_PIN, "--pin", PIN]);
    }

    /// Runs a tool on the module.
    pub(super) fn pkcs11_tool(&self, words: &[&str]) {
        let module = self.module.to_str().unwrap();
        let login = ["--module", module, "--login", "--pin", PIN];
        self.tool("pkcs11-tool", &login, words);
    }

    fn tool(&self, tool: &str, words: &[&str], more: &[&str]) {
        let mut command = Command::new(tool);
        self.set(&mut command);
        Ran::of(command.args(words).args(more), tool).exits(0);
    }

    /// A file that only its owner reads.
    pub(super) fn private(&self, path: &str, text: &str) {
        self.stage.write(path, text);
        self.mode(path, 0o600);
    }

    pub(super) fn mode(&self, path: &str, bits: u32) {
        let bits = fs::Permissions::from_mode(bits);
        fs::set_permissions(self.stage.path(path), bits).unwrap();
    }

    /// Has every later command see a variable.
    pub(super) fn variable(&self, name: &'static str, value: &str) {
        let mut variables = self.variables.borrow_mut();
        variables.insert(name, value.to_owned());
    }

    pub(super) fn set(&self, command: &mut Command) {
        command.envs(self.variables.borrow().iter());
    }

    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.stage.command();
        self.set(command.args(words));
        command
    }

    /// Runs a command, whose output never holds the PIN.
    #[track_caller]
    pub(super) fn run(&self, words: &[&str]) -> Ran {
        let ran = Ran::of(&mut self.command(words), &words.join(" "));
        let said = format!("{}{}", ran.out, ran.err);
        assert!(!said.contains(PIN), "{said}");
        ran
    }

    pub(super) fn show(&self, key: &str) -> Ran {
        self.run(&["key", "show", key])
    }

    /// The URI of a key, with the module and the file that holds the PIN.
    pub(super) fn uri(&self, name: &str) -> String {
        self.uri_of(&format!("token=cairn;object={name}"))
    }

    pub(super) fn uri_of(&self, path: &str) -> String {
        let pin = self.stage.path("pin");
        format!("{}&pin-source=file:{}", self.bare(path), pin.display())
    }

    /// The same without a PIN.
    pub(super) fn bare(&self, path: &str) -> String {
        format!("pkcs11:{path}?module-path={}", self.module.display())
    }

    /// Makes a key on the token; its public half.
    pub(super) fn new_key(&self, name: &str) -> String {
        let made = self.run(&["key", "new", &self.uri(name), "--output", "json"]);
        let made = made.exits(0).json("cairn.key/v1");
        made["public"].as_str().unwrap().to_owned()
    }

    /// Puts the liar before the module; `None` where it cannot be compiled, and that was said.
    pub(super) fn with_liar(mut self, test: &str) -> Option<Self> {
        if !is_here(test, "cc", &["--version"]) {
            return None;
        }
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/pkcs11/liar.c");
        let liar = self.stage.path("liar.so");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-o"]).arg(&liar).arg(source);
        Ran::of(cc.arg("-ldl"), "cc").exits(0);
        fs::set_permissions(&liar, fs::Permissions::from_mode(0o755)).unwrap();
        self.variable("LIAR_MODULE", self.module.to_str().unwrap());
        let log = self.stage.path("logins");
        self.variable("LIAR_LOG", log.to_str().unwrap());
        self.module = liar;
        Some(self)
    }

    /// How often somebody tried to log in since this was asked last.
    pub(super) fn logins(&self) -> usize {
        let log = self.stage.path("logins");
        let text = fs::read_to_string(&log).unwrap_or_default();
        fs::write(&log, "").unwrap();
        text.lines().count()
    }
}

/// Insists that no file below a folder holds a text.
#[track_caller]
pub(super) fn nowhere_below(folder: &Path, text: &str) {
    let mut folders = vec![folder.to_owned()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            files += 1;
            let bytes = fs::read(&path).unwrap();
            let found = bytes.windows(text.len()).any(|at| at == text.as_bytes());
            assert!(!found, "{} holds it", path.display());
        }
    }
    assert!(files > 0, "there is something below {}", folder.display());
}
