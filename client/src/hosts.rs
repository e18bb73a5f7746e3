//! Hosts: which are enrolled, where, and by whom.

use cairn_grpc::{HostAnswer, v1};
use cairn_proto::{
    hash::{KeyId, LeafHash},
    verify::{self, ProvenHost},
};

use crate::{error::ClientError, ledger::Ledger};

/// A host that was enrolled once, proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHost {
    /// Its newest enrolment or dismissal.
    pub proven: ProvenHost,
    /// Leaf hash of that entry: what the next one follows.
    pub leaf: LeafHash,
    /// Leaves under the checkpoint that it was proven under.
    pub size: u64,
}

impl Ledger {
    /// A host's standing; `None` where it was proven never to have been enrolled.
    pub async fn host(&self, id: &KeyId) -> Result<Option<KnownHost>, ClientError> {
        let held = self.held().load()?;
        let request = v1::GetHostRequest {
            host: id.as_bytes().to_vec().into(),
            trusted_checkpoint: Self::note_of(held.as_ref()),
        };
        let answer = HostAnswer::try_from(self.connection().get_host(request).await?)?;
        let (note, consistency) = (&answer.checkpoint, &answer.consistency);
        let checkpoint = self.trusted(held.as_ref(), note, consistency).await?;
        Self::current(&checkpoint)?;
        let evidence = &answer.evidence;
        let proven = verify::host(self.trust(), &checkpoint, id, evidence);
        let proven = proven.map_err(ClientError::Verify)?;
        self.remember(held.as_ref(), &checkpoint, None, 0).await?;
        let leaf = evidence.newest.as_ref().map(|it| LeafHash::of(&it.entry));
        Ok(proven.zip(leaf).map(|(proven, leaf)| KnownHost {
            proven,
            leaf,
            size: checkpoint.head().size().0,
        }))
    }
}
