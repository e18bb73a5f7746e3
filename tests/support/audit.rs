//! A reader that believes nothing: every leaf, document and tile that is served, replayed by
//! the rules and compared with the signed head. Written apart from the client's audit, so
//! that each shows where the other is wrong.

use std::{collections::HashMap, net::SocketAddr};

use bytes::Bytes;
use cairn_client::{
    connect::{Connection, Endpoint},
    trust::discover,
};
use cairn_proto::{
    checkpoint::{AuthenticCheckpoint, SignedCheckpoint},
    entry::Leaf,
    hash::{DocumentId, Index, LeafHash},
    merkle::Tree,
    rules::State,
    tile::{Tile, TileKind, split_documents, split_entries},
    trust::Trust,
};

use super::{
    Server,
    http::{Browser, Version},
    prove::now,
};

/// Why a log was not read to its end.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Something is not served. That is no lie.
    Unserved(String),
    /// What is served contradicts the signed head, or a rule.
    Wrong(String),
}

/// What a log holds.
pub(crate) struct Audited {
    pub(crate) head: AuthenticCheckpoint,
    pub(crate) tree: Tree,
    pub(crate) state: State,
    pub(crate) leaves: Vec<Bytes>,
    pub(crate) documents: HashMap<DocumentId, Bytes>,
    /// Levels of hash tiles.
    pub(crate) levels: u8,
}

/// Audits a server of this process.
pub(crate) async fn audit(server: &Server) -> Audited {
    let mut browser = Browser::open(server.address, Version::Two).await;
    if let Some(token) = server.reader {
        browser = browser.with_token(token);
    }
    audit_by(&mut browser, server.ledger.trust()).await
}

/// Audits a server of another process, from anywhere. Where nothing is pinned, it must at
/// least agree with what it says of itself.
pub(crate) fn audit_at(address: SocketAddr, trust: Option<Trust>) {
    let audit = async move {
        let trust = if let Some(trust) = trust {
            trust
        } else {
            let endpoint = Endpoint::new(format!("http://{address}"));
            let connection = Connection::open(&endpoint).unwrap();
            discover(&connection, None, now()).await.unwrap().trust
        };
        let mut browser = Browser::open(address, Version::One).await;
        audit_by(&mut browser, &trust).await;
    };
    // The caller may or may not be in a runtime; a thread of its own is in none.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let audited = std::thread::spawn(move || runtime.block_on(audit)).join();
    if let Err(failed) = audited {
        std::panic::resume_unwind(failed);
    }
}

/// Audits what a connection shows; anything wrong or missing fails the test.
pub(crate) async fn audit_by(browser: &mut Browser, trust: &Trust) -> Audited {
    let audited = replay(browser, trust).await;
    audited.unwrap_or_else(|fault| panic!("the audit failed: {fault:?}"))
}

/// Reads and replays everything.
pub(crate) async fn replay(browser: &mut Browser, trust: &Trust) -> Result<Audited, Fault> {
    let note = fetch(browser, "/checkpoint").await?;
    let head = SignedCheckpoint::parse(&note).and_then(|note| note.authenticate(trust, now()));
    let head = head.map_err(|error| Fault::Wrong(format!("the checkpoint: {error}")))?;
    let size = head.size();
    let mut audited = Audited {
        head,
        tree: Tree::default(),
        state: State::new(),
        leaves: Vec::new(),
        documents: HashMap::new(),
        levels: 0,
    };
    for tile in Tile::covering(TileKind::Entries, 0, size) {
        audited.bundle(browser, tile).await?;
    }
    audited.close(trust)?;
    for level in 0..=7 {
        for tile in Tile::covering(TileKind::Hashes(level), 0, size) {
            let served = fetch(browser, &format!("/{tile}")).await?;
            let ours = tile.hashes(&audited.tree);
            wrong_unless(ours.as_deref() == Some(&served[..]), || tile.to_string())?;
            audited.levels = level + 1;
        }
    }
    Ok(audited)
}

fn wrong_unless(right: bool, what: impl FnOnce() -> String) -> Result<(), Fault> {
    if right {
        Ok(())
    } else {
        Err(Fault::Wrong(what()))
    }
}

async fn fetch(browser: &mut Browser, path: &str) -> Result<Bytes, Fault> {
    let answer = browser.get(path).await.map_err(Fault::Unserved)?;
    if answer.status == 200 {
        return Ok(answer.body);
    }
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    Err(Fault::Unserved(format!("{path}: {} {text}", answer.status)))
}

impl Audited {
    /// One bundle of entries and the documents beside it.
    async fn bundle(&mut self, browser: &mut Browser, tile: Tile) -> Result<(), Fault> {
        let beside = Tile {
            kind: TileKind::Documents,
            ..tile
        };
        let entries = fetch(browser, &format!("/{tile}")).await?;
        let documents = fetch(browser, &format!("/{beside}")).await?;
        let malformed = |_| Fault::Wrong(format!("{tile} is no bundle"));
        let entries = split_entries(&entries, tile.width).map_err(malformed)?;
        let documents = split_documents(&documents, &beside).map_err(malformed)?;
        let mut documents: HashMap<Index, Vec<u8>> = documents.into_iter().collect();
        for (index, leaf) in (tile.first()..).map(Index).zip(entries) {
            let fault = |what: String| Fault::Wrong(format!("leaf {index}: {what}"));
            self.leaf(leaf, documents.remove(&index)).map_err(fault)?;
            self.tree.push(LeafHash::of(leaf));
            self.leaves.push(Bytes::copy_from_slice(leaf));
        }
        wrong_unless(documents.is_empty(), || {
            format!("{beside} has documents of no entry")
        })
    }

    fn leaf(&mut self, leaf: &[u8], document: Option<Vec<u8>>) -> Result<(), String> {
        match Leaf::decode(leaf).map_err(|error| error.to_string())? {
            Leaf::MapRecord(record) => {
                let applied = self.state.apply_map_record(&record);
                applied.map_err(|error| error.to_string())
            }
            Leaf::Entry(entry) => {
                let id = entry.statement().subject.blake3;
                // The first to name a document brings it, and nobody else does.
                match (document, self.documents.contains_key(&id)) {
                    (Some(document), false) => {
                        self.documents.insert(id, document.into());
                    }
                    (None, true) => {}
                    (given, _) => return Err(format!("document given: {}", given.is_some())),
                }
                let document = &self.documents[&id];
                let submission = entry.with_document(document);
                let submission = submission.map_err(|error| error.to_string())?;
                let signed = self.state.authenticate(submission);
                let applied = signed.and_then(|signed| self.state.apply(&signed));
                applied.map(drop).map_err(|error| error.to_string())
            }
        }
    }

    /// What holds of the whole.
    fn close(&self, trust: &Trust) -> Result<(), Fault> {
        let same = self.tree.root() == *self.head.root() && self.tree.size() == self.head.size();
        wrong_unless(same, || {
            "the entries do not hash to the signed root".to_owned()
        })?;
        let genesis = self.tree.leaf(Index(0));
        wrong_unless(genesis == Some(*trust.genesis()), || {
            "another genesis".to_owned()
        })?;
        let last = self.leaves.last().map(|leaf| Leaf::decode(leaf));
        let ends = matches!(last, Some(Ok(Leaf::MapRecord(_))));
        wrong_unless(ends, || "the last leaf is no map record".to_owned())
    }

    /// Number of releases of an environment.
    pub(crate) fn releases(&self, environment: &str) -> u64 {
        let state = self.state.environment(&environment.parse().unwrap());
        state.map_or(0, |state| state.sequence().0)
    }
}
