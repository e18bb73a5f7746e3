//! Fetching recorded bytes: content that a release names, hashed as it comes.
//!
//! Invariant: bytes are handed out only if there are as many as recorded and both digests
//! are the recorded ones. What is streamed to a sink is to be thrown away on an error.

use std::io::Write;

use cairn_grpc::v1;
use cairn_proto::{
    hash::{ContentId, Sequence, Sha256},
    manifest::Digests,
    name::Environment,
};
use sha2::Digest as _;

use crate::{error::ClientError, ledger::Ledger};

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
            let mut stream = self.connection().get_content(request).await?;
            while let Some(part) = self.connection().next(&mut stream).await? {
                length = length.saturating_add(u64::try_from(part.data.len()).unwrap_or(u64::MAX));
                if length > want.size {
                    break; // Already more than was recorded: what follows cannot mend it.
                }
                blake3.update(&part.data);
                sha256.update(&part.data);
                sink.write_all(&part.data)
                    .map_err(|error| ClientError::File {
                        path: want.name.into(),
                        error,
                    })?;
            }
        }
        let found = Digests {
            blake3: ContentId(*blake3.finalize().as_bytes()),
            sha256: Sha256(sha256.finalize().into()),
        };
        if length == want.size && found == want.digests {
            return Ok(());
        }
        if length < want.size {
            return Err(ClientError::Lacks {
                what: format!("all bytes of {}", want.name),
            });
        }
        let evidence = self.evidence().content(want, length, &found, self.now())?;
        Err(ClientError::ContentMismatch {
            what: want.name.to_owned(),
            evidence,
        })
    }
}
