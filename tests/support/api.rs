//! The Kubernetes API itself: `etcd` and `kube-apiserver` of the path, on free ports of loopback.
//! Nothing else of a cluster: no controller makes pods of what is applied.

use std::{
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    kube::write_config,
    tools::{is_here, skipped},
};

/// A start that makes its certificates and all types takes less than this on a busy machine.
const START: Duration = Duration::from_mins(2);
const TOKEN: &str = "test-token";

/// Both processes, ended with this.
pub(crate) struct Api {
    processes: Vec<Child>,
    folder: PathBuf,
    port: u16,
}

impl Api {
    /// `None` where it was not asked for, by `CAIRN_KUBERNETES_API=1`, or cannot run here; and
    /// that was said.
    pub(crate) fn start(test: &str, folder: &Path) -> Option<Self> {
        if std::env::var("CAIRN_KUBERNETES_API").as_deref() != Ok("1") {
            skipped(
                test,
                "CAIRN_KUBERNETES_API=1 has it run against the API itself",
            );
            return None;
        }
        for program in ["etcd", "kube-apiserver"] {
            if !is_here(test, program, &["--version"]) {
                return None;
            }
        }
        fs::create_dir_all(folder).unwrap();
        let [etcd, peer, port] = free_ports();
        let mut api = Self {
            processes: Vec::new(),
            folder: folder.to_owned(),
            port,
        };
        let store = format!("http://127.0.0.1:{etcd}");
        let peer = format!("http://127.0.0.1:{peer}");
        api.spawn(
            "etcd",
            &[
                ("data-dir", "store"),
                ("listen-client-urls", &store),
                ("advertise-client-urls", &store),
                ("listen-peer-urls", &peer),
            ],
        );
        api.write_keys();
        api.spawn(
            "kube-apiserver",
            &[
                ("etcd-servers", &store),
                ("bind-address", "127.0.0.1"),
                ("secure-port", &port.to_string()),
                ("cert-dir", "certificates"),
                ("token-auth-file", "tokens"),
                ("authorization-mode", "RBAC"),
                ("service-account-issuer", "https://kubernetes.default.svc"),
                ("service-account-key-file", "accounts.pem"),
                ("service-account-signing-key-file", "accounts.pem"),
                ("service-cluster-ip-range", "10.0.0.0/24"),
                // Nobody makes accounts here.
                ("disable-admission-plugins", "ServiceAccount"),
                ("endpoint-reconciler-type", "none"),
            ],
        );
        api.wait();
        Some(api)
    }

    /// The key of accounts, and who may do what.
    fn write_keys(&self) {
        let line = "-q -t ecdsa -m PEM -f accounts.pem -N";
        let made = Command::new("ssh-keygen")
            .args(line.split(' '))
            .arg("")
            .current_dir(&self.folder)
            .status();
        assert!(made.unwrap().success(), "no key for accounts");
        let user = format!("{TOKEN},test,1,system:masters\n");
        fs::write(self.folder.join("tokens"), user).unwrap();
    }

    fn spawn(&mut self, program: &str, options: &[(&str, &str)]) {
        let log = File::create(self.folder.join(format!("{program}.log"))).unwrap();
        let options = options
            .iter()
            .map(|(name, value)| format!("--{name}={value}"));
        let mut command = Command::new(program);
        command.args(options).current_dir(&self.folder);
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
        self.processes.push(quiet.stderr(log).spawn().unwrap());
    }

    fn wait(&mut self) {
        let config = self.folder.join("kubeconfig");
        let since = Instant::now();
        loop {
            thread::sleep(Duration::from_millis(250));
            let log = || fs::read_to_string(self.folder.join("kube-apiserver.log"));
            assert!(since.elapsed() < START, "it is not ready: {:?}", log());
            for process in &mut self.processes {
                let ended = process.try_wait().unwrap();
                assert!(ended.is_none(), "{ended:?}: {:?}", log());
            }
            if !self.folder.join("certificates/apiserver.crt").exists() {
                continue;
            }
            self.write_config(&config);
            let mut ready = Command::new("kubectl");
            ready
                .args(["get", "--raw", "/readyz"])
                .env("KUBECONFIG", &config);
            if ready.output().unwrap().status.success() {
                return;
            }
        }
    }

    /// Writes what kubectl needs to find it.
    pub(crate) fn write_config(&self, path: &Path) {
        let cluster = json!({
            "server": format!("https://127.0.0.1:{}", self.port),
            "certificate-authority": self.folder.join("certificates/apiserver.crt"),
        });
        write_config(path, &cluster, &json!({"token": TOKEN}));
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            // Nothing to do if it is gone already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// Ports that were free a moment ago.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
