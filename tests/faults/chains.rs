//! One environment's releases, one after another, and what was said of each.
//!
//! Invariant: a chain signs the next release only after the last one was acknowledged, and
//! sends the very same bytes again until it is.

use cairn_grpc::v1;
use cairn_proto::{checkpoint::AuthenticCheckpoint, hash::LeafHash, key::SecretKey, trust::Trust};

use crate::support::{Draft, external, leaf, manifest, prove, stored, tools::Random};

/// Different contents that releases name, so that many name the same.
const CONTENTS: u64 = 60;
/// Of them, so many are too large for a pack.
const LARGE: u64 = 3;

/// A release on its way, or acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) request: v1::AppendRequest,
    /// The content that it names.
    pub(crate) content: Option<Vec<u8>>,
}

/// A release that the server said is there.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) environment: String,
    pub(crate) sequence: u64,
    pub(crate) index: u64,
    pub(crate) leaf: LeafHash,
    pub(crate) sent: Sent,
}

/// An environment.
#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) environment: String,
    pub(crate) done: Vec<Acknowledged>,
    pub(crate) pending: Option<Sent>,
    random: Random,
}

/// The bytes of a content, always the same for a number.
fn content(number: u64) -> Vec<u8> {
    let size = if number < LARGE {
        (1 << 20) + 4_321
    } else {
        20 + number * 40
    };
    let mut bytes = format!("content {number}\n").into_bytes();
    bytes.resize(usize::try_from(size).unwrap(), b'.');
    bytes
}

impl Chain {
    pub(crate) fn new(environment: String, seed: u64) -> Self {
        Self {
            environment,
            done: Vec::new(),
            pending: None,
            random: Random::of(seed),
        }
    }

    /// What to send now: what was not acknowledged, or else the next release.
    pub(crate) fn next(&mut self, trust: &Trust, key: &SecretKey) -> Sent {
        if let Some(pending) = &self.pending {
            return pending.clone();
        }
        let sequence = self.done.len() as u64 + 1;
        let text = format!("{} {sequence}", self.environment);
        let mut artifacts = vec![external("text", text.as_bytes())];
        // One in three names a content; one in sixty a large one.
        let content = (self.random.below(3) == 0).then(|| content(self.random.below(CONTENTS)));
        artifacts.extend(content.iter().map(|bytes| stored("web.yaml", bytes)));
        let mut draft = Draft::new(
            *trust.genesis(),
            &self.environment,
            sequence,
            &manifest(artifacts),
        );
        if let Some(last) = self.done.last() {
            draft = draft.after(last.leaf);
        }
        let sent = Sent {
            request: draft.sign_by(key),
            content,
        };
        self.pending = Some(sent.clone());
        sent
    }

    /// Proves a receipt of what is pending, and remembers it.
    pub(crate) fn acknowledge(
        &mut self,
        trust: &Trust,
        receipt: &v1::AppendResponse,
    ) -> AuthenticCheckpoint {
        let sent = self.pending.take().unwrap();
        let head = prove::receipt(trust, &sent.request, &self.environment, receipt);
        self.done.push(Acknowledged {
            environment: self.environment.clone(),
            sequence: self.done.len() as u64 + 1,
            index: receipt.index,
            leaf: leaf(&sent.request),
            sent,
        });
        head
    }
}
