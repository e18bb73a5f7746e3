//! An old copy of the data directory, put back: refused by an anchor that is kept elsewhere,
//! or found out by the first client that remembers more.

use std::{fs, path::Path, time::Duration};

use cairn_client::{
    error::ClientError,
    keys,
    ledger::{Ledger, Looked},
};
use cairn_grpc::{refused, v1};
use cairn_proto::key::Signer as _;

use crate::support::{
    Draft, copy, external, leaf, manifest,
    process::{Dev, Served, Starting, cairn, finish},
    prove,
};

const PATIENCE: Duration = Duration::from_mins(1);

/// Goal: an old copy never signs where the anchor is kept elsewhere. Method: `init` and
/// `serve` with such an anchor; copy after two starts, grow, restore the copy, start.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_copy_does_not_start_beside_an_anchor_that_knows_more() {
    let directory = tempfile::tempdir().unwrap();
    let below = |name: &str| directory.path().join(name);
    let (admin, data, anchor) = (below("admin.pem"), below("ledger"), below("anchor"));
    keys::new_key_file(&admin, None).unwrap();
    let key = keys::load_file(&admin, &keys::NoPassphrase).unwrap();
    let public = base64(key.public_key().as_bytes());
    let mut init = cairn(&below("home"));
    init.args([
        "init",
        "--origin",
        "test.example/old-copy",
        "--listen",
        "127.0.0.1:0",
    ]);
    init.arg("--data").arg(&data).arg("--anchor").arg(&anchor);
    init.arg("--admin")
        .arg(format!("admin={}", admin.display()));
    init.arg("--deployer").arg(format!("dev={public}:**"));
    let made = finish(init, PATIENCE);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let config = data.join("server.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace("anonymous_write = []", "anonymous_write = [\"**\"]"),
    )
    .unwrap();
    let start = || {
        let mut serve = cairn(&below("home"));
        serve.arg("serve").arg("--config").arg(&config);
        Served::wait(Starting::of(serve))
    };

    let served = start().unwrap();
    let genesis = genesis_of(&served).await;
    let mut chain = Chain::new(genesis, key);
    chain.grow(&served, 2).await;
    served.stop();
    copy(&data.join("data"), &below("copy"));
    let served = start().unwrap();
    chain.grow(&served, 2).await;
    served.stop();
    put_back(&below("copy"), &data.join("data"));

    let refused = start().unwrap_err();
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("[STORE_ANCHOR]"),
        "{}",
        refused.stderr
    );
    // Nobody's word counts while the anchor can be read.
    let mut insist = cairn(&below("home"));
    insist.arg("serve").arg("--config").arg(&config);
    insist.args(["--accept-head", &format!("6:{}", "00".repeat(32))]);
    let refused = finish(insist, PATIENCE);
    assert!(
        refused.stderr.contains("[STORE_ANCHOR]"),
        "{}",
        refused.stderr
    );
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn put_back(old: &Path, data: &Path) {
    fs::remove_dir_all(data).unwrap();
    copy(old, data);
}

async fn genesis_of(served: &Served) -> cairn_proto::hash::LeafHash {
    let answer = served
        .client()
        .await
        .get_ledger(v1::GetLedgerRequest {})
        .await
        .unwrap();
    cairn_proto::hash::LeafHash::from_slice(&answer.into_inner().genesis).unwrap()
}

/// Releases of one environment.
struct Chain {
    genesis: cairn_proto::hash::LeafHash,
    key: cairn_proto::key::SecretKey,
    sent: Vec<v1::AppendRequest>,
    /// What makes this history another one.
    flavour: &'static str,
}

impl Chain {
    fn new(genesis: cairn_proto::hash::LeafHash, key: cairn_proto::key::SecretKey) -> Self {
        Self {
            genesis,
            key,
            sent: Vec::new(),
            flavour: "first",
        }
    }

    fn next(&self) -> v1::AppendRequest {
        let sequence = self.sent.len() as u64 + 1;
        let text = format!("{} {sequence}", self.flavour);
        let files = manifest(vec![external("a", text.as_bytes())]);
        let mut draft = Draft::new(self.genesis, "staging", sequence, &files);
        if let Some(last) = self.sent.last() {
            draft = draft.after(leaf(last));
        }
        draft.sign_by(&self.key)
    }

    async fn grow(&mut self, served: &Served, releases: usize) {
        let mut client = served.client().await;
        for _ in 0..releases {
            let request = self.next();
            client.append(request.clone()).await.unwrap();
            self.sent.push(request);
        }
    }
}

async fn look(dev: &Dev) -> Result<Looked, ClientError> {
    let ledger = Ledger::open(&dev.home(), None).unwrap();
    ledger.lookup(&"staging".parse().unwrap()).await
}

fn held(dev: &Dev) -> Vec<u8> {
    fs::read(dev.home().held_file(dev.trust().genesis())).unwrap()
}

async fn size(served: &Served) -> u64 {
    let answer = served
        .client()
        .await
        .get_ledger(v1::GetLedgerRequest {})
        .await
        .unwrap();
    prove::size_of(&answer.into_inner().checkpoint)
}

async fn assert_signs_nothing(served: &Served, request: v1::AppendRequest) {
    let before = size(served).await;
    let status = served.client().await.append(request).await.unwrap_err();
    assert_eq!(refused(&status).code, "NOT_SIGNING", "{status}");
    assert_eq!(size(served).await, before);
}

/// A ledger with two releases, a copy of it, two more releases, and the copy put back. A
/// client has seen all four.
async fn restored(directory: &Path) -> (Dev, Chain, Served, Vec<u8>) {
    let dev = Dev::below(directory);
    let served = dev.start();
    let mut chain = Chain::new(*dev.trust().genesis(), dev.key());
    chain.grow(&served, 2).await;
    served.stop();
    let old = directory.join("copy");
    copy(&dev.store(), &old);
    let served = dev.start();
    chain.grow(&served, 2).await;
    look(&dev).await.unwrap();
    let held = held(&dev);
    served.stop();
    put_back(&old, &dev.store());
    chain.sent.truncate(2);
    chain.flavour = "second";
    let served = dev.start();
    (dev, chain, served, held)
}

/// Goal: the first client that remembers more stops the server from signing, and itself is
/// told that this is stale. Method: its note goes along with a `Lookup`.
#[tokio::test(flavor = "multi_thread")]
async fn a_lookup_by_a_client_that_saw_more_ends_the_signing() {
    let directory = tempfile::tempdir().unwrap();
    let (dev, chain, served, before) = restored(directory.path()).await;
    let error = look(&dev).await.unwrap_err();
    assert_eq!(
        (error.code(), error.exit_code()),
        ("ROLLED_BACK", 14),
        "{error}"
    );
    assert_eq!(held(&dev), before, "what was seen stays");
    assert_signs_nothing(&served, chain.next()).await;
    // What it shows is still true, and still shown.
    look(&dev).await.unwrap_err();
    assert_eq!(size(&served).await, 6);
    assert_eq!(held(&dev), before);
    served.stop();
}

/// Goal: the same by an append. Method: the note goes along with the very entry.
#[tokio::test(flavor = "multi_thread")]
async fn an_append_by_a_client_that_saw_more_is_not_signed() {
    let directory = tempfile::tempdir().unwrap();
    let (dev, chain, served, before) = restored(directory.path()).await;
    let home = dev.home();
    let store = cairn_client::held::HeldStore::new(&home, &dev.trust());
    let note = store
        .load()
        .unwrap()
        .unwrap()
        .checkpoint()
        .head()
        .bytes()
        .to_vec();
    let knowing = v1::AppendRequest {
        trusted_checkpoint: note.into(),
        ..chain.next()
    };
    assert_signs_nothing(&served, knowing).await;
    assert_signs_nothing(&served, chain.next()).await;
    assert_eq!(held(&dev), before);
    served.stop();
}

/// Goal: a copy that went on signing until it was longer is found out all the same. Method:
/// it grows past what the client saw; the client fetches tiles and finds two histories, the
/// server meets a note of its own that is not its history.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_grew_another_history_is_a_fork_with_evidence() {
    let directory = tempfile::tempdir().unwrap();
    let (dev, mut chain, served, before) = restored(directory.path()).await;
    chain.grow(&served, 4).await;
    let error = look(&dev).await.unwrap_err();
    assert_eq!((error.code(), error.exit_code()), ("FORKED", 13), "{error}");
    let evidence = fs::read_to_string(error.evidence().unwrap()).unwrap();
    assert!(evidence.contains("cairn.evidence/v1"));
    assert_eq!(held(&dev), before, "what was seen stays");
    assert_signs_nothing(&served, chain.next()).await;
    // Another history, and sound in itself: only whoever saw the first can tell.
    served.stop();
}
