//! A ledger in memory, honest until a test tampers with it: what tests of held state,
//! bundles and audits read from. No server, no network.

mod forge;

use std::{collections::BTreeMap, path::Path};

use cairn_proto::{
    bundle::Bundle,
    checkpoint::{AuthenticCheckpoint, Checkpoint, SignedCheckpoint},
    entry::{Content, MapRecord, Submission},
    envelope::Envelope,
    hash::{Index, LeafHash, Sequence, TreeSize, Version},
    key::{SecretKey, Signer as _},
    manifest::{Artifact, ArtifactKind, Bytes, Comparison, Digests, Manifest, Mode},
    map::Map,
    merkle::{Tree, prove_inclusion},
    name::{Environment, Origin},
    note::{SignatureType, VerifierKey},
    policy::{Deployer, NamedKey, Policy, Right, Rule},
    row::{Row, RowName},
    rules::{State, authenticate_genesis},
    statement::{Action, Genesis, PolicyChange, Predicate, Release, Statement, Subject},
    tile::{Tile, TileKind, document_head, push_entry},
    trust::Trust,
    verify::{Evidence, PolicyEvidence, ReleaseEvidence},
};

/// What a map record is made from: the state right after it.
struct Snapshot {
    map: Map,
    policy: Row,
    environments: BTreeMap<Environment, Row>,
}

pub(crate) struct Log {
    origin: Origin,
    head_key: SecretKey,
    clock_key: SecretKey,
    pub(crate) admin: SecretKey,
    pub(crate) deployer: SecretKey,
    pub(crate) leaves: Vec<Vec<u8>>,
    pub(crate) documents: BTreeMap<u64, Vec<u8>>,
    pub(crate) state: State,
    pub(crate) tree: Tree,
    policies: Vec<u64>,
    heads: BTreeMap<u64, Snapshot>,
    releases: BTreeMap<Environment, Vec<u64>>,
}

fn key(seed: u8, role: u8) -> SecretKey {
    let mut bytes = [seed; 32];
    bytes[0] = role;
    SecretKey::from_seed(&bytes).unwrap()
}

/// A manifest of small files.
pub(crate) fn manifest(files: &[(&str, &str)]) -> Manifest {
    let artifacts = files.iter().map(|(name, text)| Artifact {
        name: name.parse().unwrap(),
        kind: ArtifactKind::File,
        media_type: None,
        mode: Some(Mode::of(0o644)),
        parent: None,
        platform: None,
        bytes: Bytes::Stored {
            digests: Digests::of(text.as_bytes()),
            size: u64::try_from(text.len()).unwrap(),
        },
    });
    Manifest::new(artifacts.collect(), Comparison::default()).unwrap()
}

impl Log {
    /// A ledger of its own for each seed, with genesis and its map record.
    pub(crate) fn new(seed: u8) -> Self {
        Self::with_rules(seed, Vec::new())
    }

    pub(crate) fn with_rules(seed: u8, rules: Vec<Rule>) -> Self {
        let origin: Origin = format!("ledger.example/{seed}").parse().unwrap();
        let mut this = Self {
            origin: origin.clone(),
            head_key: key(seed, 1),
            clock_key: key(seed, 2),
            admin: key(seed, 3),
            deployer: key(seed, 4),
            leaves: Vec::new(),
            documents: BTreeMap::new(),
            state: State::new(),
            tree: Tree::default(),
            policies: vec![0],
            heads: BTreeMap::new(),
            releases: BTreeMap::new(),
        };
        let document = this.policy(1, rules).encode();
        let (log_key, clock_key) = this.keys();
        let genesis = Statement {
            subject: Subject::of(&document),
            predicate: Predicate::Genesis(Box::new(Genesis {
                origin,
                log_key,
                clock_key,
                nonce: [seed; 16],
                predecessor: None,
            })),
        };
        let entry = Envelope::sign(genesis.encode(), &[&this.admin])
            .unwrap()
            .encode();
        let submission = Submission::decode(&entry, &document).unwrap();
        let signed = authenticate_genesis(submission).unwrap();
        this.state.apply(&signed).unwrap();
        this.push(entry, Some(document));
        this.close();
        this
    }

    pub(crate) fn policy(&self, version: u64, rules: Vec<Rule>) -> Policy {
        Policy {
            version: Version(version),
            admins: vec![NamedKey {
                name: "root".parse().unwrap(),
                key: self.admin.public_key(),
            }],
            threshold: 1,
            deployers: vec![Deployer {
                name: "ci".parse().unwrap(),
                key: self.deployer.public_key(),
                actions: vec![Right::Release, Right::Retire, Right::Rollback],
                environments: vec!["**".parse().unwrap()],
            }],
            revoked: Vec::new(),
            rules,
        }
    }

    fn keys(&self) -> (VerifierKey, VerifierKey) {
        let log = VerifierKey::new(
            self.origin.as_str(),
            SignatureType::Ed25519,
            self.head_key.public_key(),
        );
        let clock = VerifierKey::new(
            &self.origin.clock_name(),
            SignatureType::Cosignature,
            self.clock_key.public_key(),
        );
        (log.unwrap(), clock.unwrap())
    }

    pub(crate) fn trust(&self) -> Trust {
        let (log, clock) = self.keys();
        let genesis = LeafHash::of(&self.leaves[0]);
        Trust::new(self.origin.clone(), log, clock, genesis).unwrap()
    }

    pub(crate) fn size(&self) -> u64 {
        self.tree.size().0
    }

    pub(crate) fn push(&mut self, leaf: Vec<u8>, document: Option<Vec<u8>>) {
        let index = self.size();
        if let Some(document) = document
            && !self.documents.values().any(|known| *known == document)
        {
            self.documents.insert(index, document);
        }
        self.tree.push(LeafHash::of(&leaf));
        self.leaves.push(leaf);
    }

    /// Ends the batch with a map record, so that its size can be signed.
    pub(crate) fn close(&mut self) {
        let record = self.state.map_record(self.size() * 1_000);
        self.close_with(record);
    }

    /// The same with a record of the test's own, true or not.
    pub(crate) fn close_with(&mut self, record: MapRecord) {
        let chain = self.state.chain().unwrap();
        let snapshot = Snapshot {
            map: self.state.map().clone(),
            policy: Row::Policy(chain.row()),
            environments: self
                .state
                .environments()
                .map(|(name, state)| (name.clone(), Row::Environment(state.row())))
                .collect(),
        };
        if self.state.apply_map_record(&record).is_err() {
            self.state.ignore(LeafHash::of(&record.encode()));
        }
        self.push(record.encode(), None);
        self.heads.insert(self.size(), snapshot);
    }

    /// Appends what the statement says, by its rules, and ends the batch.
    pub(crate) fn release(&mut self, environment: &str, manifest: &Manifest) -> u64 {
        let document = manifest.encode();
        let release = self.next(environment, Action::Release);
        self.append(release, document)
    }

    pub(crate) fn next(&self, environment: &str, action: Action) -> Release {
        let environment: Environment = environment.parse().unwrap();
        let before = self.state.environment(&environment);
        Release {
            ledger: LeafHash::of(&self.leaves[0]),
            sequence: Sequence(before.map_or(0, |state| state.sequence().0) + 1),
            previous: before.map(|state| state.leaf),
            environment,
            action,
            break_glass: None,
            rollback_to: None,
            reason: None,
            source: None,
            created_at: "2026-11-01T10:00:00Z".parse().unwrap(),
            annotations: BTreeMap::new(),
        }
    }

    pub(crate) fn append(&mut self, release: Release, document: Vec<u8>) -> u64 {
        let environment = release.environment.clone();
        let statement = Statement {
            subject: Subject::of(&document),
            predicate: Predicate::Release(Box::new(release)),
        };
        let entry = Envelope::sign(statement.encode(), &[&self.deployer])
            .unwrap()
            .encode();
        let index = self.admit(&entry, document);
        self.releases.entry(environment).or_default().push(index);
        index
    }

    pub(crate) fn policy_entry(&self, policy: &Policy) -> Vec<u8> {
        let chain = self.state.chain().unwrap();
        let change = PolicyChange {
            ledger: *chain.ledger(),
            previous: chain.current().leaf,
            version: policy.version,
        };
        let statement = Statement {
            subject: Subject::of(&policy.encode()),
            predicate: Predicate::Policy(change),
        };
        let envelope = Envelope::sign(statement.encode(), &[&self.admin]);
        envelope.unwrap().encode()
    }

    pub(crate) fn change_policy(&mut self, policy: &Policy) -> u64 {
        let index = self.admit(&self.policy_entry(policy), policy.encode());
        self.policies.push(index);
        index
    }

    fn admit(&mut self, entry: &[u8], document: Vec<u8>) -> u64 {
        let submission = Submission::decode(entry, &document).unwrap();
        let chain = self.state.chain().unwrap().clone();
        let signed = chain.authority().authenticate(submission).unwrap();
        assert!(!matches!(
            signed.submission().content(),
            Content::Genesis(..)
        ));
        self.state.apply(&signed).unwrap();
        let index = self.size();
        self.push(entry.to_vec(), Some(document));
        self.close();
        index
    }

    /// The note of a size, cosigned at `time`.
    pub(crate) fn note_at(&self, size: u64, time: u64) -> Vec<u8> {
        let root = cairn_proto::merkle::root_at(&self.tree, TreeSize(size)).unwrap();
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size: TreeSize(size),
            root,
        };
        checkpoint
            .sign(&self.head_key, &self.clock_key, time)
            .unwrap()
    }

    pub(crate) fn note(&self, time: u64) -> Vec<u8> {
        self.note_at(self.size(), time)
    }

    pub(crate) fn checkpoint_at(&self, size: u64, time: u64) -> AuthenticCheckpoint {
        SignedCheckpoint::parse(&self.note_at(size, time))
            .unwrap()
            .authenticate(&self.trust(), time)
            .unwrap()
    }

    pub(crate) fn document_of(&self, index: u64) -> Vec<u8> {
        let entry = cairn_proto::entry::Leaf::decode(&self.leaves[usize::try_from(index).unwrap()]);
        let Ok(cairn_proto::entry::Leaf::Entry(entry)) = entry else {
            return Vec::new();
        };
        let subject = entry.statement().subject;
        let mut documents = self.documents.values();
        documents
            .find(|document| Subject::of(document) == subject)
            .cloned()
            .unwrap_or_default()
    }

    fn inclusion(&self, index: u64, size: u64) -> Vec<cairn_proto::hash::NodeHash> {
        prove_inclusion(&self.tree, Index(index), TreeSize(size)).unwrap()
    }

    fn leaf(&self, index: u64) -> Vec<u8> {
        self.leaves[usize::try_from(index).unwrap()].clone()
    }

    /// What `Lookup` answers at a size.
    pub(crate) fn evidence_at(&self, environment: &Environment, size: u64) -> Evidence {
        let head = &self.heads[&size];
        let row = head.environments.get(environment);
        let prove = |name: &RowName<'_>| head.map.prove(&name.key()).unwrap().encode();
        let policies = self.policies.iter().filter(|index| **index < size);
        Evidence {
            map_record: self.leaf(size - 1),
            map_record_inclusion: self.inclusion(size - 1, size),
            environment_row: row.map(Row::encode).unwrap_or_default(),
            environment_proof: prove(&RowName::Environment(environment)),
            policy_row: head.policy.encode(),
            policy_proof: prove(&RowName::Policy),
            policies: policies
                .map(|index| PolicyEvidence {
                    index: Index(*index),
                    entry: self.leaf(*index),
                    document: self.document_of(*index),
                    inclusion: self.inclusion(*index, size),
                })
                .collect(),
            release: row.map(|row| {
                let Row::Environment(row) = row else {
                    panic!("an environment's row is one");
                };
                ReleaseEvidence {
                    index: row.index,
                    entry: self.leaf(row.index.0),
                    inclusion: self.inclusion(row.index.0, size),
                    manifest: self.document_of(row.index.0),
                }
            }),
            ..Evidence::default()
        }
    }

    pub(crate) fn bundle_at(&self, environment: &str, size: u64, time: u64) -> Bundle {
        let environment: Environment = environment.parse().unwrap();
        Bundle {
            checkpoint: self.note_at(size, time),
            evidence: self.evidence_at(&environment, size),
            environment,
        }
    }

    /// Writes the read API's files for the newest size.
    pub(crate) fn write(&self, directory: &Path, time: u64) {
        let size = TreeSize(self.size());
        let put = |path: &str, bytes: &[u8]| {
            let path = directory.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        put("checkpoint", &self.note(time));
        for tile in Tile::covering(TileKind::Entries, 0, size) {
            let (mut entries, mut documents) = (Vec::new(), Vec::new());
            for index in tile.first()..tile.first() + u64::from(tile.width) {
                push_entry(&mut entries, &self.leaf(index));
                if let Some(document) = self.documents.get(&index) {
                    let offset = u8::try_from(index - tile.first()).unwrap();
                    let length = u32::try_from(document.len()).unwrap();
                    documents.extend(document_head(offset, length));
                    documents.extend_from_slice(document);
                }
            }
            put(&tile.to_string(), &entries);
            let beside = Tile {
                kind: TileKind::Documents,
                ..tile
            };
            put(&beside.to_string(), &documents);
        }
        for level in 0..=7 {
            for tile in Tile::covering(TileKind::Hashes(level), 0, size) {
                put(&tile.to_string(), &tile.hashes(&self.tree).unwrap());
            }
        }
        for document in self.documents.values() {
            let id = cairn_proto::hash::DocumentId::of(document);
            put(&format!("document/{id}"), document);
        }
    }
}
