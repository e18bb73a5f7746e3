//! A real server over a real socket, and deployers who sign for it. Shared by the test
//! binaries; each uses a part.
#![allow(dead_code, clippy::unwrap_used)]

pub(crate) mod api;
pub(crate) mod audit;
pub(crate) mod aws;
pub(crate) mod desk;
pub(crate) mod docker;
pub(crate) mod fill;
pub(crate) mod http;
pub(crate) mod kube;
pub(crate) mod process;
pub(crate) mod prove;
pub(crate) mod tools;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use cairn_grpc::v1::{self, ledger_client::LedgerClient};
use cairn_proto::{
    envelope::Envelope,
    hash::{LeafHash, Sequence, Version},
    key::{SecretKey, Signer},
    manifest::{Artifact, ArtifactKind, Bytes, Comparison, Digests, Manifest, Mode},
    name::Origin,
    policy::{Deployer, NamedKey, Policy, Right, Rule},
    statement::{Action, Predicate, Release, Statement, Subject},
};
use cairn_server::{
    access::Access,
    content::ContentLimits,
    ledger::{Ledger, ServerKeys},
    proposals::Settings,
    serve::{Duties, ServeError, serve},
    start::{self, Place},
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tonic::transport::Channel;

/// The key of a seed: `key(1)` is always the same.
pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32]).unwrap()
}

pub(crate) const ADMIN: u8 = 1;
pub(crate) const DEV: u8 = 2;
pub(crate) const OTHER: u8 = 3;
pub(crate) const THIRD: u8 = 4;
pub(crate) const STRANGER: u8 = 9;

pub(crate) fn server_keys() -> ServerKeys {
    ServerKeys {
        log: Arc::new(key(100)),
        clock: Arc::new(key(101)),
    }
}

fn deployer(name: &str, seed: u8, patterns: &[&str]) -> Deployer {
    Deployer {
        name: name.parse().unwrap(),
        key: key(seed).public_key(),
        actions: vec![Right::Release, Right::Retire, Right::Rollback],
        environments: patterns
            .iter()
            .map(|pattern| pattern.parse().unwrap())
            .collect(),
    }
}

/// `dev` may do everything; `other` and `third` only below `prod`, where two must sign.
pub(crate) fn policy() -> Policy {
    Policy {
        version: Version(1),
        admins: vec![NamedKey {
            name: "admin".parse().unwrap(),
            key: key(ADMIN).public_key(),
        }],
        threshold: 1,
        deployers: vec![
            deployer("dev", DEV, &["**"]),
            deployer("other", OTHER, &["prod/**"]),
            deployer("third", THIRD, &["prod/**"]),
        ],
        revoked: Vec::new(),
        rules: vec![Rule {
            environments: "prod/**".parse().unwrap(),
            approvals: Some(2),
            max_staleness: None,
            witnesses: None,
        }],
    }
}

pub(crate) fn place(data: &Path) -> Place {
    let origin: Origin = "test.example/ledger".parse().unwrap();
    Place {
        origin,
        data: data.to_owned(),
        anchor: None,
        limits: ContentLimits::default(),
    }
}

/// Makes the ledger of a directory, or opens the one that is there.
pub(crate) fn ledger(data: &Path) -> Ledger {
    ledger_at(&place(data))
}

/// The same, of a place that says more than where the data is.
pub(crate) fn ledger_at(place: &Place) -> Ledger {
    if start::exists(&place.data) {
        return start::open(place, server_keys(), None).unwrap().0;
    }
    let admin = key(ADMIN);
    let keys = server_keys();
    let genesis =
        start::genesis(&place.origin, &keys, &policy(), ([7; 16], None), &[&admin]).unwrap();
    start::create(place, keys, &genesis).unwrap()
}

/// Fails the test where a server goes that was not ended on purpose: by being audited, or by
/// saying why not.
#[derive(Debug)]
pub(crate) struct MustEnd {
    ended: bool,
}

impl MustEnd {
    pub(crate) fn new() -> Self {
        Self { ended: false }
    }

    pub(crate) fn ended(&mut self) {
        self.ended = true;
    }
}

impl Drop for MustEnd {
    fn drop(&mut self) {
        let forgotten = !self.ended && !std::thread::panicking();
        assert!(
            !forgotten,
            "a server was dropped: `stop` it, which audits what it made"
        );
    }
}

/// A server in this process. Every test ends it, and every end but a declared one audits
/// the whole log.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) ledger: Ledger,
    /// The token that may read where reads need one.
    pub(crate) reader: Option<&'static str>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ServeError>>,
    end: MustEnd,
}

impl Server {
    pub(crate) async fn start(data: &Path) -> Self {
        Self::with_access(data, Access::open()).await
    }

    pub(crate) async fn with_access(data: &Path, access: Access) -> Self {
        Self::at(place(data), access).await
    }

    pub(crate) async fn at(place: Place, access: Access) -> Self {
        let ledger = tokio::task::spawn_blocking(move || ledger_at(&place))
            .await
            .unwrap();
        Self::of(ledger, access).await
    }

    /// Serves a ledger that is open already.
    pub(crate) async fn of(ledger: Ledger, access: Access) -> Self {
        Self::waiting(ledger, access, None).await
    }

    /// The same, where proposals may wait.
    pub(crate) async fn waiting(
        ledger: Ledger,
        access: Access,
        proposals: Option<Settings>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let duties = Duties {
            keys: server_keys(),
            witnesses: None,
            proposals,
        };
        let served = serve(listener, ledger.clone(), duties, access, async {
            let _ = stopped.await;
        });
        let task = tokio::spawn(served);
        Self {
            address,
            ledger,
            reader: None,
            stop: Some(stop),
            task,
            end: MustEnd::new(),
        }
    }

    /// The same, audited with a token.
    pub(crate) fn read_by(mut self, token: &'static str) -> Self {
        self.reader = Some(token);
        self
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) async fn client(&self) -> LedgerClient<Channel> {
        let channel = Channel::from_shared(self.url())
            .unwrap()
            .connect_timeout(Duration::from_secs(5))
            .connect()
            .await
            .unwrap();
        LedgerClient::new(channel).max_decoding_message_size(64 << 20)
    }

    /// Waits for the end that a fault of the store brings about, and says what it was.
    pub(crate) async fn failure(mut self) -> ServeError {
        self.end.ended();
        let ended = tokio::time::timeout(Duration::from_secs(30), self.task).await;
        ended.unwrap().unwrap().unwrap_err()
    }

    /// Stops and leaves the data directory to whoever comes to delete it.
    pub(crate) async fn abandon_unaudited(mut self, _why: &str) {
        self.end.ended();
        let _ = self.stop.take().unwrap().send(());
        let _ = self.task.await.unwrap();
    }

    /// Audits everything, stops, and waits until the data directory is free again.
    pub(crate) async fn stop(self) {
        audit::audit(&self).await;
        self.stop_unaudited("it was just now").await;
    }

    /// The same without the audit, and why.
    pub(crate) async fn stop_unaudited(mut self, _why: &str) {
        self.end.ended();
        self.stop.take().unwrap().send(()).unwrap();
        self.task.await.unwrap().unwrap();
        drop(self.ledger);
    }
}

/// Copies a directory with everything below it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A file artifact whose bytes are content of the ledger.
pub(crate) fn stored(name: &str, bytes: &[u8]) -> Artifact {
    artifact(
        name,
        Bytes::Stored {
            digests: Digests::of(bytes),
            size: bytes.len() as u64,
        },
    )
}

/// A file artifact of which only the digests are recorded.
pub(crate) fn external(name: &str, bytes: &[u8]) -> Artifact {
    artifact(
        name,
        Bytes::External {
            digests: Digests::of(bytes),
            size: bytes.len() as u64,
        },
    )
}

fn artifact(name: &str, bytes: Bytes) -> Artifact {
    Artifact {
        name: name.parse().unwrap(),
        kind: ArtifactKind::File,
        media_type: None,
        mode: Some(Mode::of(0o644)),
        parent: None,
        platform: None,
        bytes,
    }
}

pub(crate) fn manifest(artifacts: Vec<Artifact>) -> Manifest {
    Manifest::new(artifacts, Comparison::default()).unwrap()
}

/// A release in the making.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) release: Release,
    pub(crate) document: Vec<u8>,
}

impl Draft {
    pub(crate) fn new(
        ledger: LeafHash,
        environment: &str,
        sequence: u64,
        manifest: &Manifest,
    ) -> Self {
        Self {
            release: Release {
                ledger,
                environment: environment.parse().unwrap(),
                sequence: Sequence(sequence),
                previous: None,
                action: Action::Release,
                break_glass: None,
                rollback_to: None,
                reason: None,
                source: None,
                created_at: "2026-11-01T10:00:00Z".parse().unwrap(),
                annotations: std::collections::BTreeMap::default(),
            },
            document: manifest.encode(),
        }
    }

    pub(crate) fn after(mut self, previous: LeafHash) -> Self {
        self.release.previous = Some(previous);
        self
    }

    pub(crate) fn statement(&self) -> Statement {
        Statement {
            subject: Subject::of(&self.document),
            predicate: Predicate::Release(Box::new(self.release.clone())),
        }
    }

    pub(crate) fn sign(&self, seeds: &[u8]) -> v1::AppendRequest {
        request(&self.statement().encode(), &self.document, seeds)
    }

    pub(crate) fn sign_by(&self, signer: &dyn Signer) -> v1::AppendRequest {
        request_by(&self.statement().encode(), &self.document, &[signer])
    }
}

/// An append of any payload, signed by the keys of the seeds.
pub(crate) fn request(payload: &[u8], document: &[u8], seeds: &[u8]) -> v1::AppendRequest {
    let keys: Vec<_> = seeds.iter().map(|seed| key(*seed)).collect();
    let signers: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
    request_by(payload, document, &signers)
}

/// An append of any payload, signed by any keys.
pub(crate) fn request_by(
    payload: &[u8],
    document: &[u8],
    signers: &[&dyn Signer],
) -> v1::AppendRequest {
    let envelope = Envelope::sign(payload.to_vec(), signers).unwrap();
    v1::AppendRequest {
        envelope: envelope.encode().into(),
        document: document.to_vec().into(),
        trusted_checkpoint: Vec::new().into(),
    }
}

/// Leaf hash of a request's envelope.
pub(crate) fn leaf(request: &v1::AppendRequest) -> LeafHash {
    LeafHash::of(&request.envelope)
}
