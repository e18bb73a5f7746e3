//! A ledger in memory, held by somebody who has all keys of its server: what an honest
//! server answers of it, and whatever else can be put into a log, a map and a signed head.
//!
//! Built from the leaves and documents of a real server, and compared with what that one
//! answers (`honest.rs`), so that a lie is the only thing in which an answer differs.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use cairn_grpc::{hash_list, v1};
use cairn_proto::{
    checkpoint::Checkpoint,
    entry::{Leaf, MapRecord, Submission},
    hash::{ContentId, DocumentId, Index, LeafHash, MapKey, NodeHash, RootHash, TreeSize},
    manifest::Manifest,
    map::Map,
    merkle::{Tree, prove_inclusion, root_at},
    name::Environment,
    row::{EnvironmentRow, Row, RowName},
    rules::State,
    statement::Predicate,
    trust::Trust,
};

use crate::support::{audit::Audited, prove::now, server_keys};

/// A policy and where it is said to stand.
#[derive(Debug, Clone)]
pub(super) struct Policy {
    pub(super) index: Index,
    pub(super) entry: Bytes,
    pub(super) document: Bytes,
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) trust: Trust,
    pub(super) leaves: Vec<Bytes>,
    pub(super) documents: HashMap<DocumentId, Bytes>,
    pub(super) tree: Tree,
    pub(super) state: State,
    /// The map that is shown under each size that ends with a map record.
    maps: BTreeMap<u64, Map>,
    /// The policies that are shown.
    pub(super) policies: Vec<Policy>,
    pub(super) contents: HashMap<ContentId, Bytes>,
    /// Seconds since the clock key last signed.
    pub(super) age: u64,
}

impl World {
    fn empty(trust: &Trust) -> Self {
        Self {
            trust: trust.clone(),
            leaves: Vec::new(),
            documents: HashMap::new(),
            tree: Tree::default(),
            state: State::new(),
            maps: BTreeMap::new(),
            policies: Vec::new(),
            contents: HashMap::new(),
            age: 0,
        }
    }

    /// What a real server's log holds.
    pub(super) fn of(trust: &Trust, audited: &Audited) -> Self {
        let mut world = Self::empty(trust);
        world.documents.clone_from(&audited.documents);
        world.grow(&audited.leaves);
        world
    }

    /// A ledger of its own, under the same name and keys.
    pub(super) fn begun(trust: &Trust, genesis: &Bytes, document: &Bytes) -> Self {
        let mut world = Self::empty(trust);
        world.enter(genesis, document);
        world.seal();
        world.trust = world.state.chain().unwrap().identity().unwrap();
        world
    }

    /// The same ledger at a smaller size.
    pub(super) fn at(&self, size: usize) -> Self {
        let mut world = Self::empty(&self.trust);
        world.documents.clone_from(&self.documents);
        world.contents.clone_from(&self.contents);
        world.grow(&self.leaves[..size]);
        world
    }

    fn grow(&mut self, leaves: &[Bytes]) {
        for leaf in leaves {
            match Leaf::decode(leaf).unwrap() {
                Leaf::MapRecord(record) => {
                    self.state.apply_map_record(&record).unwrap();
                    let map = self.state.map().clone();
                    self.end(leaf.clone(), map);
                }
                Leaf::Entry(entry) => {
                    let id = entry.statement().subject.blake3;
                    let document = self.documents[&id].clone();
                    self.enter(leaf, &document);
                }
            }
        }
    }

    pub(super) fn size(&self) -> u64 {
        self.tree.size().0
    }

    fn push(&mut self, leaf: Bytes) -> Index {
        let index = Index(self.size());
        self.tree.push(LeafHash::of(&leaf));
        self.leaves.push(leaf);
        index
    }

    /// Enters what the rules allow.
    pub(super) fn enter(&mut self, entry: &Bytes, document: &Bytes) -> Index {
        let submission = Submission::decode(entry, document).unwrap();
        let signed = self.state.authenticate(submission).unwrap();
        let effect = self.state.apply(&signed).unwrap();
        let index = self.put(entry, document);
        if effect.chain {
            self.show_policy(index, entry, document);
        }
        index
    }

    /// Enters anything at all.
    pub(super) fn put(&mut self, entry: &Bytes, document: &Bytes) -> Index {
        self.documents
            .insert(DocumentId::of(document), document.clone());
        self.push(entry.clone())
    }

    /// Enters what the rules forbid.
    pub(super) fn force(&mut self, entry: &Bytes, document: &Bytes) -> Index {
        self.state.ignore(LeafHash::of(entry));
        self.put(entry, document)
    }

    pub(super) fn show_policy(&mut self, index: Index, entry: &Bytes, document: &Bytes) {
        self.policies.push(Policy {
            index,
            entry: entry.clone(),
            document: document.clone(),
        });
    }

    /// Ends with the map record that is due.
    pub(super) fn seal(&mut self) {
        let record = self.state.map_record(now() * 1_000);
        self.state.apply_map_record(&record).unwrap();
        let map = self.state.map().clone();
        self.end(record.encode().into(), map);
    }

    /// Ends with a record of a map that was changed, self-consistent and signed like any.
    pub(super) fn seal_as(&mut self, change: impl FnOnce(&mut Map)) {
        let mut map = self.state.map().clone();
        change(&mut map);
        self.seal_map(map);
    }

    pub(super) fn seal_map(&mut self, mut map: Map) {
        let record = MapRecord {
            covers: self.size(),
            root: map.root(),
            rows: map.rows(),
            time: now() * 1_000,
        };
        let leaf = Bytes::from(record.encode());
        self.state.ignore(LeafHash::of(&leaf));
        self.end(leaf, map);
    }

    /// The map without one of its rows.
    pub(super) fn map_without(&self, gone: &MapKey) -> Map {
        let manifests = self.documents.values();
        let manifests = manifests.filter_map(|document| Manifest::decode(document).ok());
        let digests = manifests.flat_map(|manifest| manifest.sha256_set());
        let digests = digests.map(|sha256| RowName::Digest(&sha256).key());
        let environments = self.state.environments();
        let environments = environments.map(|(name, _)| RowName::Environment(name).key());
        let keys = digests.chain(environments).chain([RowName::Policy.key()]);
        let mut map = Map::default();
        for key in keys.filter(|key| key != gone) {
            map.insert(key, *self.map().get(&key).unwrap());
        }
        assert_eq!(map.rows() + 1, self.map().rows());
        map
    }

    /// Ends with any leaf, beside any map.
    pub(super) fn end(&mut self, leaf: Bytes, mut map: Map) {
        map.root();
        self.push(leaf);
        self.maps.insert(self.size(), map);
    }

    /// The map that is shown with the newest head.
    pub(super) fn map(&self) -> &Map {
        let (_, map) = self.maps.last_key_value().unwrap();
        map
    }

    pub(super) fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            origin: self.trust.origin().clone(),
            size: self.tree.size(),
            root: self.tree.root(),
        }
    }

    /// The newest head, signed by both keys at a time.
    pub(super) fn note_at(&self, time: u64) -> Bytes {
        let keys = server_keys();
        let note = self.checkpoint().sign(&*keys.log, &*keys.clock, time);
        note.unwrap().into()
    }

    pub(super) fn note(&self) -> Bytes {
        self.note_at(now() - self.age)
    }

    pub(super) fn inclusion(&self, index: Index) -> Vec<NodeHash> {
        prove_inclusion(&self.tree, index, self.tree.size()).unwrap_or_default()
    }

    /// A row of the map that is shown, its bytes, and the proof for it or its absence.
    pub(super) fn row(&self, name: &RowName<'_>) -> (Option<Row>, Vec<u8>, Vec<u8>) {
        let key = name.key();
        let row = self.map().get(&key).copied();
        let bytes = row.map(|row| row.encode()).unwrap_or_default();
        (row, bytes, self.map().prove(&key).unwrap().encode())
    }

    pub(super) fn proof(&self, name: &RowName<'_>) -> v1::CurrentProof {
        let (_, row, row_proof) = self.row(name);
        let last = Index(self.size() - 1);
        v1::CurrentProof {
            map_record: self.leaves.last().unwrap().clone(),
            map_record_inclusion: hash_list(&self.inclusion(last)),
            row: row.into(),
            row_proof: row_proof.into(),
        }
    }

    /// The document of the entry at an index; none of a map record.
    pub(super) fn document(&self, index: Index) -> Bytes {
        let leaf = self.leaf(index);
        let Ok(Leaf::Entry(entry)) = Leaf::decode(&leaf) else {
            return Bytes::new();
        };
        let id = entry.statement().subject.blake3;
        self.documents.get(&id).cloned().unwrap_or_default()
    }

    pub(super) fn leaf(&self, index: Index) -> Bytes {
        let at = usize::try_from(index.0).unwrap();
        self.leaves.get(at).cloned().unwrap_or_default()
    }

    /// The row that calls an entry current, with the history that it adds to.
    pub(super) fn row_for(&self, entry: &Bytes, index: Index) -> (Environment, EnvironmentRow) {
        let Ok(Leaf::Entry(decoded)) = Leaf::decode(entry) else {
            panic!("no entry");
        };
        let Predicate::Release(release) = &decoded.statement().predicate else {
            panic!("no release");
        };
        let before = self.state.environment(&release.environment);
        let mut history = before
            .map(|state| state.history.clone())
            .unwrap_or_default();
        let leaf = LeafHash::of(entry);
        history.push(cairn_proto::row::history_leaf(index, &leaf));
        let row = EnvironmentRow {
            sequence: release.sequence,
            index,
            leaf,
            action: release.action,
            history: history.root(),
        };
        (release.environment.clone(), row)
    }

    /// Root of this tree at a size.
    pub(super) fn root_at(&self, size: u64) -> RootHash {
        root_at(&self.tree, TreeSize(size)).unwrap()
    }
}
