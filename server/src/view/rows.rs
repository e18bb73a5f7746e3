//! Keys and values of the view. Changing either means a new `VERSION`.
//!
//! | key | value |
//! |---|---|
//! | `b` record position, piece | a piece of what the record changed |
//! | `w` | watermark |
//!
//! What a record changed, its pieces put together again: index of its first leaf; leaf
//! hashes; ids of its documents; its policies; the steps of its releases. Lists begin with
//! their length.
//!
//! Every value ends with the first 8 bytes of BLAKE3 over key and value, so that a flipped
//! bit is seen when it is read. Numbers are big-endian: keys sort by them.

use std::collections::HashMap;

use cairn_proto::{
    hash::{ArtifactsDigest, DocumentId, Index, LeafHash, Sha256, TreeSize},
    name::Environment,
    rules::{Effect, Naming, State, Step},
    statement::{Action, Subject},
};

/// Written into the watermark; another version is rebuilt.
const VERSION: u64 = 3;
const CHECK_BYTES: usize = 8;
/// sled keeps some 16 rows in a page, and pages in segments of 512 KiB.
const PIECE_BYTES: usize = 4_096;

/// How far the view follows the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Watermark {
    /// Position of the next record.
    pub(crate) position: u64,
    /// Leaves so far.
    pub(crate) size: TreeSize,
    /// Time of the last map record.
    pub(crate) time: u64,
}

pub(super) const WATERMARK: &[u8] = b"w";
pub(super) const RECORD: u8 = b'b';

fn check(key: &[u8], value: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(key);
    hasher.update(value);
    let mut check = [0; CHECK_BYTES];
    check.copy_from_slice(&hasher.finalize().as_bytes()[..CHECK_BYTES]);
    check
}

/// Appends the checksum.
pub(super) fn seal(key: &[u8], mut value: Vec<u8>) -> Vec<u8> {
    let check = check(key, &value);
    value.extend_from_slice(&check);
    value
}

/// Takes the checksum off; `None` if it does not fit.
pub(super) fn open<'a>(key: &[u8], sealed: &'a [u8]) -> Option<&'a [u8]> {
    let (value, sum) = sealed.split_last_chunk::<CHECK_BYTES>()?;
    (check(key, value) == *sum).then_some(value)
}

fn record_key(position: u64, piece: u32) -> Vec<u8> {
    let mut key = vec![RECORD];
    key.extend_from_slice(&position.to_be_bytes());
    key.extend_from_slice(&piece.to_be_bytes());
    key
}

/// The rows that some records change, and the watermark after them.
#[derive(Debug, Default)]
pub(crate) struct Update {
    pub(super) rows: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) watermark: Option<Watermark>,
    things: usize,
    record: Building,
}

/// What one record changed. Told in this order: leaves, effects, documents, `until`.
#[derive(Debug, Default)]
struct Building {
    first: u64,
    leaves: Vec<u8>,
    documents: Vec<u8>,
    policies: Vec<u8>,
    releases: Vec<u8>,
    counts: [u32; 4],
    /// Steps of each environment so far.
    steps: HashMap<Environment, usize>,
}

impl Update {
    /// The leaf hashes of a record. They come before all else that it changed.
    pub(crate) fn leaves(&mut self, first: Index, leaves: &[LeafHash]) {
        let record = &mut self.record;
        record.first = first.0;
        record.leaves = leaves.iter().flat_map(|leaf| leaf.0).collect();
        record.counts[0] = u32::try_from(leaves.len()).unwrap_or(u32::MAX);
        self.things += 1;
    }

    /// A document of the record. They come in its order.
    pub(crate) fn document(&mut self, id: &DocumentId) {
        self.record.documents.extend_from_slice(id.as_bytes());
        self.record.counts[1] += 1;
        self.things += 1;
    }

    /// What an entry changed. The state may have gone on to the end of the record: then the
    /// earlier steps of an environment say of action and manifest what its last one does,
    /// which is all that is ever asked of them.
    pub(crate) fn effect(&mut self, state: &State, effect: &Effect) {
        let record = &mut self.record;
        if effect.policy
            && let Some(chain) = state.chain()
        {
            let index = chain.current().index.0;
            record.policies.extend_from_slice(&index.to_be_bytes());
            record.counts[2] += 1;
        }
        if let Some(name) = &effect.environment
            && let Some(environment) = state.environment(name)
        {
            let taken = record.steps.entry(name.clone()).or_default();
            let marks = &environment.releases;
            let begin = marks.partition_point(|mark| mark.index.0 < record.first);
            if let Some(mark) = marks.get(begin + *taken) {
                *taken += 1;
                let step = Step {
                    action: environment.action,
                    manifest: environment.manifest,
                    artifacts: mark.artifacts,
                    touched: effect.digests.clone(),
                    names: effect.names.clone(),
                };
                push_step(&mut record.releases, mark.index, name, &step);
                record.counts[3] += 1;
            }
        }
        self.things += 1;
    }

    /// How far the rows reach: the end of what is said of a record.
    pub(crate) fn until(&mut self, watermark: Watermark) {
        self.watermark = Some(watermark);
        let record = std::mem::take(&mut self.record);
        let bytes = record.encode();
        let position = watermark.position.saturating_sub(1);
        for (piece, number) in bytes.chunks(PIECE_BYTES).zip(0..) {
            let key = record_key(position, number);
            let value = seal(&key, piece.to_vec());
            self.rows.push((key, value));
        }
    }

    /// Adds what a later record changes.
    pub(crate) fn then(&mut self, later: Self) {
        self.rows.extend(later.rows);
        self.watermark = later.watermark.or(self.watermark);
        self.things += later.things;
    }

    /// How much there is to write, in leaves, documents and steps.
    pub(crate) fn len(&self) -> usize {
        self.things
    }
}

impl Building {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.first.to_be_bytes().to_vec();
        let lists = [
            &self.leaves,
            &self.documents,
            &self.policies,
            &self.releases,
        ];
        for (list, count) in lists.into_iter().zip(self.counts) {
            bytes.extend_from_slice(&count.to_be_bytes());
            bytes.extend_from_slice(list);
        }
        bytes
    }
}

fn push_step(out: &mut Vec<u8>, index: Index, name: &Environment, step: &Step) {
    out.extend_from_slice(&index.0.to_be_bytes());
    out.push(match step.action {
        Action::Release => 1,
        Action::Rollback => 2,
        Action::Retire => 3,
    });
    let name = name.as_str().as_bytes();
    let lengths = [name.len(), step.touched.len()];
    for length in lengths {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
    }
    out.extend_from_slice(name);
    out.extend_from_slice(step.manifest.blake3.as_bytes());
    out.extend_from_slice(step.manifest.sha256.as_bytes());
    out.push(u8::from(step.artifacts.is_some()));
    if let Some(artifacts) = &step.artifacts {
        out.extend_from_slice(artifacts.as_bytes());
    }
    for sha256 in &step.touched {
        out.extend_from_slice(sha256.as_bytes());
    }
    push_names(out, &step.names);
}

fn push_names(out: &mut Vec<u8>, names: &[Naming]) {
    let count = u32::try_from(names.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&count.to_be_bytes());
    for naming in names {
        let name = naming.name.as_str().as_bytes();
        let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(name);
        out.extend_from_slice(naming.sha256.as_bytes());
    }
}

/// Reads a value front to back.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn count(&mut self) -> Option<usize> {
        usize::try_from(self.array().map(u32::from_be_bytes)?).ok()
    }

    pub(super) fn hashes(&mut self, count: usize) -> Option<&'a [[u8; 32]]> {
        let (bytes, tail) = self.0.split_at_checked(count.checked_mul(32)?)?;
        self.0 = tail;
        Some(bytes.as_chunks::<32>().0)
    }

    /// The step of an entry, as [`push_step`] wrote it.
    pub(super) fn step(&mut self) -> Option<(Index, Environment, Step)> {
        let index = Index(self.u64()?);
        let action = match self.array()? {
            [1] => Action::Release,
            [2] => Action::Rollback,
            [3] => Action::Retire,
            _ => return None,
        };
        let (name, touched) = (self.count()?, self.count()?);
        let (name, tail) = self.0.split_at_checked(name)?;
        self.0 = tail;
        let name = str::from_utf8(name).ok()?.parse().ok()?;
        let manifest = Subject {
            blake3: DocumentId(self.array()?),
            sha256: Sha256(self.array()?),
        };
        let artifacts = match self.array()? {
            [0] => None,
            [1] => Some(ArtifactsDigest(self.array()?)),
            _ => return None,
        };
        let touched = self.hashes(touched)?.iter().copied().map(Sha256).collect();
        let step = Step {
            action,
            manifest,
            artifacts,
            touched,
            names: self.names()?,
        };
        Some((index, name, step))
    }

    /// Which entry gave a name before is not kept: nothing that follows depends on it.
    fn names(&mut self) -> Option<Vec<Naming>> {
        let mut names = Vec::new();
        for _ in 0..self.count()? {
            let length = self.count()?;
            let (name, tail) = self.0.split_at_checked(length)?;
            self.0 = tail;
            names.push(Naming {
                name: str::from_utf8(name).ok()?.parse().ok()?,
                sha256: Sha256(self.array()?),
                before: None,
            });
        }
        Some(names)
    }

    pub(super) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

impl Watermark {
    pub(super) fn encode(self) -> Vec<u8> {
        let numbers = [VERSION, self.position, self.size.0, self.time];
        numbers
            .iter()
            .flat_map(|number| number.to_be_bytes())
            .collect()
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader(value);
        if reader.u64()? != VERSION {
            return None;
        }
        let watermark = Self {
            position: reader.u64()?,
            size: TreeSize(reader.u64()?),
            time: reader.u64()?,
        };
        reader.end()?;
        Some(watermark)
    }
}
