//! Keys and values of the view. Changing either means a new `VERSION`.
//!
//! | key | value |
//! |---|---|
//! | `b` record position, piece | a piece of what the record changed |
//! | `w` | watermark |
//!
//! What a record changed, its pieces put together again: index of its first leaf; leaf
//! hashes; ids of its documents; where its policies and orders stand; its changes: steps of
//! releases, approvals, enrolments. Lists begin with their length.
//!
//! Every value ends with the first 8 bytes of BLAKE3 over key and value, so that a flipped
//! bit is seen when it is read. Numbers are big-endian: keys sort by them.

use cairn_proto::{
    hash::{ArtifactsDigest, DocumentId, Index, KeyId, LeafHash, Sha256, TreeSize},
    name::Environment,
    rules::{Effect, HostStep, Naming, State, Step},
    statement::{Action, Standing, Subject},
};

/// Written into the watermark; another version is rebuilt.
const VERSION: u64 = 4;
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
    chain: Vec<u8>,
    changes: Vec<u8>,
    counts: [u32; 4],
}

/// A change that needs no document to be made again.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Release(Environment, Step),
    Approval(Environment),
    Host(HostStep),
}

const RELEASE: u8 = 1;
const APPROVAL: u8 = 2;
const HOST: u8 = 3;

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
        let index = effect.index.0.to_be_bytes();
        if effect.chain {
            record.chain.extend_from_slice(&index);
            record.counts[2] += 1;
        }
        if let Some(change) = change_of(state, effect) {
            record.changes.extend_from_slice(&index);
            push_change(&mut record.changes, &change);
            record.counts[3] += 1;
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
        let lists = [&self.leaves, &self.documents, &self.chain, &self.changes];
        for (list, count) in lists.into_iter().zip(self.counts) {
            bytes.extend_from_slice(&count.to_be_bytes());
            bytes.extend_from_slice(list);
        }
        bytes
    }
}

fn change_of(state: &State, effect: &Effect) -> Option<Change> {
    if let Some(step) = &effect.host {
        return Some(Change::Host(step.clone()));
    }
    let name = effect.environment.as_ref()?;
    if effect.approved {
        return Some(Change::Approval(name.clone()));
    }
    let environment = state.environment(name)?;
    let marks = &environment.releases;
    let place = marks.binary_search_by_key(&effect.index, |mark| mark.index);
    let mark = marks.get(place.ok()?)?;
    let step = Step {
        action: environment.action,
        manifest: environment.manifest,
        artifacts: mark.artifacts,
        touched: effect.digests.clone(),
        names: effect.names.clone(),
    };
    Some(Change::Release(name.clone(), step))
}

fn push_change(out: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Release(name, step) => {
            out.push(RELEASE);
            push_step(out, name, step);
        }
        Change::Approval(name) => {
            out.push(APPROVAL);
            push_text(out, name.as_str());
        }
        Change::Host(step) => {
            out.push(HOST);
            out.extend_from_slice(step.host.as_bytes());
            out.push(match step.action {
                Standing::Enrol => 1,
                Standing::Dismiss => 2,
            });
            out.extend_from_slice(step.record.blake3.as_bytes());
            out.extend_from_slice(step.record.sha256.as_bytes());
            push_text(out, step.environment.as_str());
        }
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn push_step(out: &mut Vec<u8>, name: &Environment, step: &Step) {
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
        push_text(out, naming.name.as_str());
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

    fn text(&mut self) -> Option<&'a str> {
        let length = self.count()?;
        let (text, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        str::from_utf8(text).ok()
    }

    /// What an entry changed, as [`push_change`] wrote it.
    pub(super) fn change(&mut self) -> Option<(Index, Change)> {
        let index = Index(self.u64()?);
        let change = match self.array()? {
            [RELEASE] => {
                let (name, step) = self.step()?;
                Change::Release(name, step)
            }
            [APPROVAL] => Change::Approval(self.text()?.parse().ok()?),
            [HOST] => Change::Host(HostStep {
                host: KeyId(self.array()?),
                action: match self.array()? {
                    [1] => Standing::Enrol,
                    [2] => Standing::Dismiss,
                    _ => return None,
                },
                record: Subject {
                    blake3: DocumentId(self.array()?),
                    sha256: Sha256(self.array()?),
                },
                environment: self.text()?.parse().ok()?,
            }),
            _ => return None,
        };
        Some((index, change))
    }

    fn step(&mut self) -> Option<(Environment, Step)> {
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
        Some((name, step))
    }

    /// Which entry gave a name before is not kept: nothing that follows depends on it.
    fn names(&mut self) -> Option<Vec<Naming>> {
        let mut names = Vec::new();
        for _ in 0..self.count()? {
            names.push(Naming {
                name: self.text()?.parse().ok()?,
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
