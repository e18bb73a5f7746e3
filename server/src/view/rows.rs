//! Keys and values of the view. Changing either means a new `VERSION`.
//!
//! | key | value |
//! |---|---|
//! | `w` | watermark, number of `o` rows |
//! | `l` first index | leaf hashes from there on |
//! | `e` environment | leaf, action, manifest, history frontier, digests |
//! | `r` environment 0x00 sequence | index, artifacts digest |
//! | `d` sha256 | digest row |
//! | `p` version | index |
//! | `o` document id | record position, ordinal |
//!
//! Every value ends with the first 8 bytes of BLAKE3 over key and value, so that a flipped
//! bit is seen when it is read. Numbers are big-endian: keys sort by them.

use cairn_proto::{
    hash::{
        ArtifactsDigest, DocumentId, Index, LeafHash, NodeHash, Sequence, Sha256, TreeSize, Version,
    },
    merkle::Frontier,
    name::Environment,
    rules::{EnvironmentState, ReleaseMark},
    statement::{Action, Subject},
};

/// Written into the watermark; another version is rebuilt.
const VERSION: u64 = 2;
const CHECK_BYTES: usize = 8;

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

/// Where a document lies in the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DocumentPlace {
    /// The record.
    pub(crate) position: u64,
    /// Which of its documents.
    pub(crate) ordinal: u32,
}

pub(super) const WATERMARK: &[u8] = b"w";

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

/// Reads a value front to back.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl Reader<'_> {
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn hashes(&mut self) -> Option<Vec<[u8; 32]>> {
        let count = usize::try_from(self.u32()?).ok()?;
        let (bytes, tail) = self.0.split_at_checked(count.checked_mul(32)?)?;
        self.0 = tail;
        Some(bytes.as_chunks::<32>().0.to_vec())
    }

    pub(super) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

fn push_hashes<'a>(value: &mut Vec<u8>, hashes: impl ExactSizeIterator<Item = &'a [u8; 32]>) {
    let count = u32::try_from(hashes.len()).unwrap_or(u32::MAX);
    value.extend_from_slice(&count.to_be_bytes());
    hashes.for_each(|hash| value.extend_from_slice(hash));
}

pub(super) fn key(kind: u8, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(rest.len() + 1);
    key.push(kind);
    key.extend_from_slice(rest);
    key
}

pub(super) fn leaves_key(first: Index) -> Vec<u8> {
    key(b'l', &first.0.to_be_bytes())
}

pub(super) fn environment_key(name: &Environment) -> Vec<u8> {
    key(b'e', name.as_str().as_bytes())
}

pub(super) fn release_key(name: &Environment, sequence: Sequence) -> Vec<u8> {
    let mut key = key(b'r', name.as_str().as_bytes());
    key.push(0);
    key.extend_from_slice(&sequence.0.to_be_bytes());
    key
}

pub(super) fn digest_key(sha256: &Sha256) -> Vec<u8> {
    key(b'd', sha256.as_bytes())
}

pub(super) fn policy_key(version: Version) -> Vec<u8> {
    key(b'p', &version.0.to_be_bytes())
}

pub(super) fn document_key(id: &DocumentId) -> Vec<u8> {
    key(b'o', id.as_bytes())
}

impl Watermark {
    /// With the number of rows for documents.
    pub(super) fn encode(self, documents: u64) -> Vec<u8> {
        let numbers = [VERSION, self.position, self.size.0, self.time, documents];
        numbers
            .iter()
            .flat_map(|number| number.to_be_bytes())
            .collect()
    }

    pub(super) fn decode(value: &[u8]) -> Option<(Self, u64)> {
        let mut reader = Reader(value);
        if reader.u64()? != VERSION {
            return None;
        }
        let watermark = Self {
            position: reader.u64()?,
            size: TreeSize(reader.u64()?),
            time: reader.u64()?,
        };
        let documents = reader.u64()?;
        reader.end()?;
        Some((watermark, documents))
    }
}

impl DocumentPlace {
    pub(super) fn encode(self) -> Vec<u8> {
        let mut value = self.position.to_be_bytes().to_vec();
        value.extend_from_slice(&self.ordinal.to_be_bytes());
        value
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader(value);
        let place = Self {
            position: reader.u64()?,
            ordinal: reader.u32()?,
        };
        reader.end()?;
        Some(place)
    }
}

/// Everything of an environment but its releases, which are rows of their own.
pub(super) fn encode_environment(state: &EnvironmentState) -> Vec<u8> {
    let mut value = Vec::with_capacity(256 + 32 * state.digests.len());
    value.extend_from_slice(state.leaf.as_bytes());
    value.push(match state.action {
        Action::Release => 1,
        Action::Rollback => 2,
        Action::Retire => 3,
    });
    value.extend_from_slice(state.manifest.blake3.as_bytes());
    value.extend_from_slice(state.manifest.sha256.as_bytes());
    value.extend_from_slice(&state.history.size().0.to_be_bytes());
    push_hashes(
        &mut value,
        state.history.nodes().iter().map(NodeHash::as_bytes),
    );
    push_hashes(&mut value, state.digests.iter().map(Sha256::as_bytes));
    value
}

pub(super) fn decode_environment(value: &[u8]) -> Option<EnvironmentState> {
    let mut reader = Reader(value);
    let leaf = LeafHash(reader.array()?);
    let action = match reader.array()? {
        [1] => Action::Release,
        [2] => Action::Rollback,
        [3] => Action::Retire,
        _ => return None,
    };
    let manifest = Subject {
        blake3: DocumentId(reader.array()?),
        sha256: Sha256(reader.array()?),
    };
    let size = TreeSize(reader.u64()?);
    let nodes = reader.hashes()?.into_iter().map(NodeHash).collect();
    let state = EnvironmentState {
        leaf,
        action,
        manifest,
        history: Frontier::from_parts(size, nodes)?,
        digests: reader.hashes()?.into_iter().map(Sha256).collect(),
        releases: Vec::new(),
    };
    reader.end()?;
    Some(state)
}

pub(super) fn encode_mark(mark: &ReleaseMark) -> Vec<u8> {
    let mut value = mark.index.0.to_be_bytes().to_vec();
    if let Some(artifacts) = &mark.artifacts {
        value.extend_from_slice(artifacts.as_bytes());
    }
    value
}

pub(super) fn decode_mark(value: &[u8]) -> Option<ReleaseMark> {
    let (index, rest) = value.split_first_chunk::<8>()?;
    let artifacts = match rest {
        [] => None,
        rest => Some(ArtifactsDigest::from_slice(rest)?),
    };
    Some(ReleaseMark {
        index: Index(u64::from_be_bytes(*index)),
        artifacts,
    })
}
