//! The published head: what every answer is made from. One snapshot, never half old.

use std::sync::Arc;

use bytes::Bytes;
use cairn_proto::{
    checkpoint::Checkpoint,
    hash::{MapRoot, RootHash, TreeSize},
    key::{PublicKey, SignError, Signer},
    map::Map,
    rules::PolicyChain,
};

use super::standing::Standing;

/// The two keys that a server holds.
#[derive(Clone)]
pub struct ServerKeys {
    /// Signs checkpoints.
    pub log: Arc<dyn Signer>,
    /// Bounds their age.
    pub clock: Arc<dyn Signer>,
}

impl std::fmt::Debug for ServerKeys {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (log, clock): (PublicKey, PublicKey) = (self.log.public_key(), self.clock.public_key());
        write!(out, "ServerKeys(log {log:?}, clock {clock:?})")
    }
}

/// A durable, anchored and signed head, with the map under it.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) checkpoint: Checkpoint,
    /// The signed note.
    pub(crate) note: Bytes,
    /// The map; its root is the one in `map_record`.
    pub(crate) map: Map,
    /// Its root, as the last leaf states it.
    pub(crate) map_root: MapRoot,
    /// The last leaf.
    pub(crate) map_record: Bytes,
    pub(crate) chain: Arc<PolicyChain>,
    /// What answers under it have in common; copies of this head share it.
    pub(super) standing: Arc<Standing>,
}

impl Head {
    pub(crate) fn size(&self) -> TreeSize {
        self.checkpoint.size
    }

    pub(crate) fn root(&self) -> RootHash {
        self.checkpoint.root
    }

    /// The same head with a newer time in its clock cosignature; `now` in Unix seconds.
    pub(crate) fn renewed(&self, keys: &ServerKeys, now: u64) -> Result<Self, SignError> {
        let note = self.checkpoint.sign(&*keys.log, &*keys.clock, now)?;
        Ok(Self {
            note: note.into(),
            ..self.clone()
        })
    }
}
