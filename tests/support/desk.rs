//! A deployer's desk: a home directory, a folder of files, a connection.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use cairn_client::{
    connect::{Connection, Endpoint},
    error::ClientError,
    home::Home,
    ledger::Ledger,
    record::{Outcome, Terms},
    sources::{Capture, CaptureOptions, Input, Purpose, TagContext, capture},
    trust::discover,
    verify::{Report, Subject},
};
use cairn_proto::{
    key::{SecretKey, Signer},
    manifest::Comparison,
    name::Environment,
    secret::TagKey,
    trust::Trust,
};

use super::{DEV, Server, key};

pub(crate) struct Desk {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) ledger: Ledger,
    key: SecretKey,
}

pub(crate) fn environment() -> Environment {
    "staging".parse().unwrap()
}

/// The key of the environment's withheld values.
pub(crate) fn tags() -> TagContext {
    TagContext {
        environment: environment(),
        key: TagKey::new([5; 32]),
    }
}

impl Desk {
    /// A desk that trusts what the server proves of itself.
    pub(crate) async fn at(server: &Server) -> Self {
        let endpoint = Endpoint::new(server.url());
        let connection = Connection::open(&endpoint).unwrap();
        let now = cairn_client::clock::now();
        let known = discover(&connection, None, now).await.unwrap();
        Self::trusting(known.trust, &endpoint)
    }

    /// A desk that was told whom to trust, and has seen nothing yet.
    pub(crate) fn trusting(trust: Trust, endpoint: &Endpoint) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("shop")).unwrap();
        let home = Home::at(directory.path().join("home"));
        let connection = Connection::open(endpoint).unwrap();
        let desk = Self {
            directory,
            ledger: Ledger::new(&home, trust, connection),
            key: key(DEV),
        };
        desk.put("web.yaml", b"kind: Deployment\nspec:\n  replicas: 3\n");
        desk.put("conf/api.yaml", b"port: 80\n");
        desk
    }

    /// The same desk, talking to another server.
    pub(crate) fn moved_to(&mut self, server: &Server) {
        let connection = Connection::open(&Endpoint::new(server.url())).unwrap();
        let (home, trust) = (self.ledger.home().clone(), self.ledger.trust().clone());
        self.ledger = Ledger::new(&home, trust, connection);
    }

    pub(crate) fn shop(&self) -> PathBuf {
        self.directory.path().join("shop")
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.shop().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }

    pub(crate) fn inputs(&self) -> Vec<Input> {
        vec![Input {
            name: None,
            path: self.shop(),
        }]
    }

    pub(crate) fn capture(&self) -> Capture {
        let options = CaptureOptions::new(Purpose::Record);
        capture(&self.inputs(), &options, Some(&tags()), &()).unwrap()
    }

    pub(crate) fn terms(&self) -> Terms<'_> {
        Terms {
            signers: vec![&self.key as &dyn Signer],
            ..Terms::default()
        }
    }

    pub(crate) async fn record(&self) -> Result<Outcome, ClientError> {
        self.record_with(&self.terms()).await
    }

    pub(crate) async fn record_with(&self, terms: &Terms<'_>) -> Result<Outcome, ClientError> {
        let capture = self.capture();
        let comparison = Comparison::default();
        self.ledger
            .record(&environment(), &capture, comparison, terms, &())
            .await
    }

    /// Records and expects an entry.
    pub(crate) async fn recorded(&self) -> u64 {
        match self.record().await.unwrap() {
            Outcome::Recorded(receipt) => {
                assert!(receipt.current);
                receipt.sequence.0
            }
            Outcome::Unchanged(receipt) => panic!("unchanged at {}", receipt.sequence),
        }
    }

    pub(crate) async fn verify(&self) -> Result<Report, ClientError> {
        let (inputs, tags) = (self.inputs(), tags());
        let subject = Subject {
            systems: &[],
            inputs: &inputs,
            tags: Some(&tags),
            progress: &(),
        };
        self.ledger.verify(&environment(), &subject).await
    }

    pub(crate) fn read(&self, path: &Path) -> Vec<u8> {
        fs::read(self.directory.path().join(path)).unwrap()
    }
}
