//! What is answered of a [`World`]: the shapes of an honest server, whatever the world is.

use bytes::Bytes;
use cairn_grpc::{LookupAnswer, hash_list, v1};
use cairn_proto::{
    checkpoint::SignedCheckpoint,
    entry::Leaf,
    hash::{Index, NodeHash, TreeSize},
    merkle::prove_consistency,
    name::Environment,
    row::{Row, RowName},
    statement::Predicate,
    tile::{Tile, TileKind, document_head, push_entry},
    verify::{Evidence, PolicyEvidence, ReleaseEvidence, relied_on},
};

use super::world::World;

impl World {
    pub(super) fn link(&self, trusted: &[u8]) -> Vec<NodeHash> {
        let Ok(note) = SignedCheckpoint::parse(trusted) else {
            return Vec::new();
        };
        let from = note.claimed_size();
        if from.0 == 0 || from >= self.tree.size() {
            return Vec::new();
        }
        prove_consistency(&self.tree, from, self.tree.size()).unwrap_or_default()
    }

    fn shown_policies(&self, release: Option<Index>) -> Vec<PolicyEvidence> {
        let indices: Vec<_> = self.policies.iter().map(|policy| policy.index).collect();
        let wanted = relied_on(&indices, release);
        let shown = self.policies.iter().enumerate();
        let shown = shown.map(|(position, policy)| {
            let wanted = wanted.contains(&position);
            let inclusion = wanted.then(|| self.inclusion(policy.index));
            PolicyEvidence {
                index: policy.index,
                entry: policy.entry.to_vec(),
                document: policy.document.to_vec(),
                inclusion: inclusion.unwrap_or_default(),
            }
        });
        shown.collect()
    }

    pub(super) fn lookup(&self, environment: &str, trusted: &[u8]) -> v1::LookupResponse {
        let environment: Environment = environment.parse().unwrap();
        let (row, environment_row, environment_proof) =
            self.row(&RowName::Environment(&environment));
        let (_, policy_row, policy_proof) = self.row(&RowName::Policy);
        let last = Index(self.size() - 1);
        let release = match row {
            Some(Row::Environment(row)) => Some(ReleaseEvidence {
                index: row.index,
                entry: self.leaf(row.index).to_vec(),
                inclusion: self.inclusion(row.index),
                manifest: self.document(row.index).to_vec(),
            }),
            _ => None,
        };
        let answer = LookupAnswer {
            checkpoint: self.note().to_vec(),
            consistency: self.link(trusted),
            evidence: Evidence {
                map_record: self.leaves.last().unwrap().to_vec(),
                map_record_inclusion: self.inclusion(last),
                environment_row,
                environment_proof,
                policy_row,
                policy_proof,
                policies: self.shown_policies(release.as_ref().map(|release| release.index)),
                release,
                ..Evidence::default()
            },
        };
        answer.into()
    }

    pub(super) fn receipt(
        &self,
        index: Index,
        environment: &Environment,
        trusted: &[u8],
    ) -> v1::AppendResponse {
        v1::AppendResponse {
            index: index.0,
            checkpoint: self.note(),
            inclusion: hash_list(&self.inclusion(index)),
            consistency: hash_list(&self.link(trusted)),
            current: Some(self.proof(&RowName::Environment(environment))),
            repeated_call: false,
        }
    }

    pub(super) fn consistency(&self, from: u64, to: u64) -> Vec<NodeHash> {
        let to = if to == 0 { self.size() } else { to };
        let proof = prove_consistency(&self.tree, TreeSize(from), TreeSize(to));
        proof.unwrap_or_default()
    }

    /// Entries newest first: (index, leaf), of an environment or of all.
    pub(super) fn listed(&self, environment: &str) -> Vec<(Index, Bytes)> {
        let of = |leaf: &Bytes| match Leaf::decode(leaf) {
            Ok(Leaf::Entry(entry)) => match &entry.statement().predicate {
                Predicate::Release(release) => release.environment.as_str() == environment,
                _ => false,
            },
            _ => false,
        };
        let leaves = (0..).map(Index).zip(self.leaves.iter().cloned());
        let mut listed: Vec<_> = leaves
            .filter(|(_, leaf)| environment.is_empty() || of(leaf))
            .collect();
        listed.reverse();
        listed
    }

    /// The read API.
    pub(super) fn file(&self, path: &str) -> Option<Bytes> {
        if path == "checkpoint" {
            return Some(self.note());
        }
        if let Some(id) = path.strip_prefix("document/") {
            return self.documents.get(&id.parse().ok()?).cloned();
        }
        let tile = Tile::parse(path).ok()?;
        if !tile.within(self.tree.size()) {
            return None;
        }
        let places = tile.first()..tile.first() + u64::from(tile.width);
        let mut bytes = Vec::new();
        match tile.kind {
            TileKind::Hashes(_) => bytes = tile.hashes(&self.tree)?,
            TileKind::Entries => {
                for index in places {
                    push_entry(&mut bytes, &self.leaf(Index(index)));
                }
            }
            TileKind::Documents => {
                for (offset, index) in (0..).zip(places) {
                    let document = self.document(Index(index));
                    if self.names_first(Index(index), &document) {
                        let length = u32::try_from(document.len()).unwrap();
                        bytes.extend(document_head(offset, length));
                        bytes.extend_from_slice(&document);
                    }
                }
            }
        }
        Some(bytes.into())
    }

    fn names_first(&self, index: Index, document: &Bytes) -> bool {
        let mut before = (0..index.0).map(|before| self.document(Index(before)));
        !document.is_empty() && before.all(|other| other != *document)
    }
}
