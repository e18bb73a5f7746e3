//! Fetching recorded bytes: content that a release names, hashed as it comes.
//!
//! Invariant: bytes are handed out only if there are as many as recorded and both digests
//! are the recorded ones. What is streamed to a sink is to be thrown away on an error.
//!
//! Who is at fault where they are not: content is asked for by its BLAKE3, so bytes that have
//! another one are the server's (TAMPERED). Bytes that have it, but not the recorded SHA-256
//! or number, are what was asked for: then it is the manifest that contradicts itself, which
//! a signer did and an honest server cannot mend.

use std::io::Write;

use cairn_grpc::v1;
use cairn_proto::{
    hash::{ContentId, Sequence, Sha256},
    manifest::Digests,
    name::Environment,
};
use sha2::Digest as _;

use crate::{error::ClientError, ledger::Ledger};

/// Bytes beyond the recorded number that are hashed still, to tell whose fault they are.
const EXCESS_MAX: u64 = 64 << 20;

/// Content to fetch.
#[derive(Debug, Clone)]
pub(crate) struct Want<'a> {
    /// A release of it names the content.
    pub(crate) environment: &'a Environment,
    /// Which one.
    pub(crate) sequence: Sequence,
    /// What is recorded of the bytes.
    pub(crate) digests: Digests,
    /// Their number.
    pub(crate) size: u64,
    /// What they are, for messages.
    pub(crate) name: &'a str,
}

impl Ledger {
    /// Fetches content into memory; `None` if it has more than `bytes_max` bytes.
    pub(crate) async fn fetch(
        &self,
        want: &Want<'_>,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, ClientError> {
        if usize::try_from(want.size).is_ok_and(|size| size <= bytes_max) {
            let mut bytes = Vec::new();
            self.fetch_to(want, &mut bytes).await?;
            return Ok(Some(bytes));
        }
        Ok(None)
    }

    /// Fetches content into a sink.
    pub(crate) async fn fetch_to(
        &self,
        want: &Want<'_>,
        sink: &mut (dyn Write + Send),
    ) -> Result<(), ClientError> {
        let mut blake3 = blake3::Hasher::new();
        let mut sha256 = sha2::Sha256::new();
        let mut length = 0_u64;
        // The empty content is nowhere stored and needs no fetching.
        if want.size > 0 {
            let request = v1::GetContentRequest {
                content_id: want.digests.blake3.as_bytes().to_vec().into(),
                environment: want.environment.to_string(),
                sequence: want.sequence.0,
                offset: 0,
                length: 0,
            };
            let mut parts = self.connection().get_content(request).await?;
            while let Some(part) = parts.next().await? {
                length = length.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
                if length.saturating_sub(want.size) > EXCESS_MAX {
                    return Err(ClientError::TooLarge { what: "a content" });
                }
                blake3.update(&part);
                sha256.update(&part);
                // More than was recorded is hashed and not kept.
                if length <= want.size {
                    sink.write_all(&part).map_err(|error| ClientError::File {
                        path: want.name.into(),
                        error,
                    })?;
                }
            }
        }
        let found = Digests {
            blake3: ContentId(*blake3.finalize().as_bytes()),
            sha256: Sha256(sha256.finalize().into()),
        };
        if length == want.size && found == want.digests {
            return Ok(());
        }
        Err(self.mismatch(want, length, &found))
    }

    /// Why these are not the bytes that were recorded.
    fn mismatch(&self, want: &Want<'_>, length: u64, found: &Digests) -> ClientError {
        if found.blake3 == want.digests.blake3 {
            return ClientError::Inconsistent {
                release: format!("{}#{}", want.environment, want.sequence),
                what: want.name.to_owned(),
            };
        }
        if length < want.size {
            return ClientError::Lacks {
                what: format!("all bytes of {}", want.name),
            };
        }
        match self.evidence().content(want, length, found, self.now()) {
            Ok(evidence) => ClientError::ContentMismatch {
                what: want.name.to_owned(),
                evidence,
            },
            Err(failure) => failure.into(),
        }
    }
}
