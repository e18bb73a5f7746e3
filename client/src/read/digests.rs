//! Whether, where and when an artifact was ever released, by its sha256.
//!
//! Invariant: "never" is proven like anything else: by the map under a linked checkpoint.

use std::{fs::File, io::Read as _, path::Path};

use cairn_grpc::v1;
use cairn_proto::{
    checkpoint::TrustedCheckpoint,
    hash::{Index, Sha256, TreeSize},
    row::DigestRow,
    verify::{Recorded, TrustedMap},
};

use sha2::Digest as _;

use super::Logged;
use crate::{error::ClientError, ledger::Ledger};

/// Bytes of a file that are read at once.
const PART_BYTES: usize = 1 << 20;

/// What a ledger says of a sha256.
#[derive(Debug, Clone)]
pub struct Found {
    /// The digest asked for.
    pub sha256: Sha256,
    /// Its row; `None`: proven that no release ever held it.
    pub row: Option<DigestRow>,
    /// The entry that first brought it.
    pub first: Option<Logged>,
    /// The entry that last brought or dropped it.
    pub last: Option<Logged>,
    /// Size of the log that this was proven under.
    pub size: TreeSize,
}

/// SHA-256 of a file's bytes, whatever its size.
pub fn sha256_of(path: &Path) -> Result<Sha256, ClientError> {
    let unreadable = |error| ClientError::File {
        path: path.to_owned(),
        error,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let mut hasher = sha2::Sha256::new();
    let mut part = vec![0; PART_BYTES];
    loop {
        match file.read(&mut part).map_err(unreadable)? {
            0 => return Ok(Sha256(hasher.finalize().into())),
            read => hasher.update(part.get(..read).unwrap_or_default()),
        }
    }
}

impl Ledger {
    /// Where an artifact's sha256 was released first and last, or that it never was.
    pub async fn find(&self, sha256: &Sha256) -> Result<Found, ClientError> {
        let (row, checkpoint) = self.digest_row(sha256).await?;
        let (mut first, mut last) = (None, None);
        if let Some(row) = &row {
            first = Some(self.entry(row.first, &checkpoint).await?);
            last = Some(self.entry(row.last, &checkpoint).await?);
        }
        Ok(Found {
            sha256: *sha256,
            row,
            first,
            last,
            size: checkpoint.head().size(),
        })
    }

    /// The row of a sha256, or that it has none, and the checkpoint that says so.
    pub(crate) async fn digest_row(
        &self,
        sha256: &Sha256,
    ) -> Result<(Option<DigestRow>, TrustedCheckpoint), ClientError> {
        let held = self.held().load()?;
        let request = v1::FindDigestRequest {
            sha256: sha256.as_bytes().to_vec().into(),
            trusted_checkpoint: Self::note_of(held.as_ref()),
        };
        let answer = self.connection().find_digest(request).await?;
        let consistency = cairn_grpc::hashes(&answer.consistency, "consistency")?;
        let checkpoint = self
            .trusted(held.as_ref(), &answer.checkpoint, &consistency)
            .await?;
        Self::current(&checkpoint)?;
        let proof = answer.digest.ok_or(cairn_grpc::FieldError("digest"))?;
        let inclusion = cairn_grpc::hashes(&proof.map_record_inclusion, "map_record_inclusion")?;
        let row = TrustedMap::prove(&checkpoint, &proof.map_record, &inclusion)
            .and_then(|map| map.digest(sha256, &proof.row, &proof.row_proof))
            .map_err(ClientError::Verify)?;
        self.remember(held.as_ref(), &checkpoint, None, 0).await?;
        Ok((row, checkpoint))
    }

    /// One entry, proven under a checkpoint that is trusted.
    async fn entry(
        &self,
        index: Index,
        checkpoint: &TrustedCheckpoint,
    ) -> Result<Logged, ClientError> {
        let request = v1::GetEntryRequest {
            index: index.0,
            size: checkpoint.head().size().0,
        };
        let answer = self.connection().get_entry(request).await?;
        let inclusion = cairn_grpc::hashes(&answer.inclusion, "inclusion")?;
        Recorded::prove(checkpoint.head(), &answer.entry, index, &inclusion)
            .map_err(ClientError::Verify)?;
        Logged::of(index, &answer.entry)
    }
}
