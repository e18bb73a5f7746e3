//! Reading the view back at start, and refusing it unless it adds up.

use std::collections::{BTreeMap, HashMap};

use cairn_proto::{
    hash::{Index, LeafHash, Sequence, Sha256, Version},
    merkle::Tree,
    name::Environment,
    row::{DigestRow, Row, RowName},
    rules::{EnvironmentState, ReleaseMark},
};

use super::{
    rows::{self, DocumentPlace, Reader, Watermark},
    store::View,
};

/// What the view holds, consistent in itself; the caller compares it with the journal.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) watermark: Watermark,
    pub(crate) tree: Tree,
    pub(crate) environments: HashMap<Environment, EnvironmentState>,
    pub(crate) digests: Vec<(Sha256, DigestRow)>,
    /// Index of each policy's entry, ascending by version.
    pub(crate) policies: Vec<Index>,
}

#[derive(Default)]
struct Rows {
    watermark: Option<(Watermark, u64)>,
    documents: u64,
    leaves: BTreeMap<u64, Vec<LeafHash>>,
    environments: HashMap<Environment, EnvironmentState>,
    releases: HashMap<Environment, Vec<ReleaseMark>>,
    digests: Vec<(Sha256, DigestRow)>,
    policies: Vec<(Version, Index)>,
}

impl View {
    /// Reads everything; `None` if the view is empty, of another version, damaged, or does not
    /// reach as far as its watermark says.
    pub(crate) fn load(&self) -> Option<Loaded> {
        let mut rows = Rows::default();
        // Keys come in order, so an environment's releases come by ascending sequence.
        self.for_each(|key, value| rows.take(key, value))?;
        let documents = rows.documents;
        let loaded = rows.assemble()?;
        self.counted(documents);
        Some(loaded)
    }
}

impl Rows {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let (kind, name) = key.split_first()?;
        match kind {
            b'w' => self.watermark = Some(Watermark::decode(value)?),
            b'l' => {
                let first = Reader(name).u64()?;
                let (hashes, rest) = value.as_chunks::<32>();
                rest.is_empty().then_some(())?;
                self.leaves
                    .insert(first, hashes.iter().copied().map(LeafHash).collect());
            }
            b'e' => {
                let name = environment(name)?;
                self.environments
                    .insert(name, rows::decode_environment(value)?);
            }
            b'r' => self.release(name, value)?,
            b'd' => {
                let sha256 = Sha256::from_slice(name)?;
                match RowName::Digest(&sha256).decode(value)? {
                    Row::Digest(row) => self.digests.push((sha256, row)),
                    _ => return None,
                }
            }
            b'p' => {
                let version = Version(Reader(name).u64()?);
                let index = Index(Reader(value).u64()?);
                self.policies.push((version, index));
            }
            b'o' => {
                DocumentPlace::decode(value)?;
                self.documents += 1;
            }
            _ => return None,
        }
        Some(())
    }

    fn release(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        let (head, sequence) = key.split_last_chunk::<8>()?;
        let (zero, name) = head.split_last()?;
        (*zero == 0).then_some(())?;
        let marks = self.releases.entry(environment(name)?).or_default();
        let next = Sequence(marks.len() as u64 + 1);
        (Sequence(u64::from_be_bytes(*sequence)) == next).then_some(())?;
        marks.push(rows::decode_mark(value)?);
        Some(())
    }

    fn assemble(mut self) -> Option<Loaded> {
        let (watermark, documents) = self.watermark?;
        // No root covers them, and a missing one would be refused from now on.
        (self.documents == documents).then_some(())?;
        let mut tree = Tree::default();
        for (first, leaves) in self.leaves {
            (tree.size().0 == first).then_some(())?;
            for leaf in leaves {
                tree.push(leaf);
            }
        }
        (tree.size() == watermark.size).then_some(())?;
        for (name, state) in &mut self.environments {
            state.releases = self.releases.remove(name)?;
            (state.sequence().0 == state.history.size().0).then_some(())?;
        }
        self.releases.is_empty().then_some(())?;
        let versions = self.policies.iter().zip(1..);
        let complete = versions
            .clone()
            .all(|((version, _), expected)| version.0 == expected);
        (complete && !self.policies.is_empty()).then_some(())?;
        Some(Loaded {
            watermark,
            tree,
            environments: self.environments,
            digests: self.digests,
            policies: self.policies.into_iter().map(|(_, index)| index).collect(),
        })
    }
}

fn environment(name: &[u8]) -> Option<Environment> {
    str::from_utf8(name).ok()?.parse().ok()
}
