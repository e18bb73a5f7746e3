//! Fetching recorded bytes: content that a release names, hashed as it comes.
//!
//! Invariant: bytes are handed out only if there are as many as recorded and both digests
//! are the recorded ones. What is streamed to a sink is to be thrown away on an error.
//!
//! A connection that breaks is made again and gone on with where it broke, a bounded number
//! of times for each [`PROGRESS_BYTES`]. A server that is slow, rather than gone, is not
//! given its time twice.
//!
//! Who is at fault where they are not: content is asked for by its BLAKE3, so bytes that have
//! another one are the server's (TAMPERED). Bytes that have it, but not the recorded SHA-256
//! or number, are what was asked for: then it is the manifest that contradicts itself, which
//! a signer did and an honest server cannot mend.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use cairn_grpc::v1;
use cairn_proto::{
    hash::{ContentId, Sequence, Sha256},
    manifest::Digests,
    name::Environment,
};
use sha2::Digest as _;

use crate::{error::ClientError, ledger::Ledger};

/// Times that a fetch is gone on with without having come any further.
const TRIES: u32 = 4;
/// Bytes that count as further: so few cost little, and so many are not sent for nothing.
const PROGRESS_BYTES: u64 = 1 << 20;
/// How long after a break the first new try begins; each later one waits three times longer.
const DELAY: Duration = Duration::from_millis(100);
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

/// Bytes of a content so far.
pub(super) struct Fetch<'a> {
    want: &'a Want<'a>,
    blake3: blake3::Hasher,
    sha256: sha2::Sha256,
    length: u64,
}

impl<'a> Fetch<'a> {
    pub(super) fn new(want: &'a Want<'a>) -> Self {
        Self {
            want,
            blake3: blake3::Hasher::new(),
            sha256: sha2::Sha256::new(),
            length: 0,
        }
    }

    /// Takes the next bytes.
    pub(super) fn hash(&mut self, bytes: &[u8]) {
        self.blake3.update(bytes);
        self.sha256.update(bytes);
        let more = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.length = self.length.saturating_add(more);
    }

    fn found(&self) -> Digests {
        Digests {
            blake3: ContentId(*self.blake3.finalize().as_bytes()),
            sha256: Sha256(self.sha256.clone().finalize().into()),
        }
    }

    /// Whether these are the recorded bytes, all of them and no more.
    pub(super) fn is_right(&self) -> bool {
        self.length == self.want.size && self.found() == self.want.digests
    }
}

/// Why a connection gave no more.
struct Broken {
    why: ClientError,
    /// Whether another one may.
    may_be_mended: bool,
    /// Whether it answered at all.
    opened: bool,
}

impl From<ClientError> for Broken {
    fn from(why: ClientError) -> Self {
        Self {
            why,
            may_be_mended: false,
            opened: true,
        }
    }
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
        let mut fetch = Fetch::new(want);
        self.fetch_rest(&mut fetch, sink).await?;
        self.weigh(&fetch)
    }

    /// Fetches what is not hashed yet. Whether it is right is not looked at here.
    pub(super) async fn fetch_rest(
        &self,
        fetch: &mut Fetch<'_>,
        sink: &mut (dyn Write + Send),
    ) -> Result<(), ClientError> {
        let began_at = fetch.length;
        let (mut tries, mut before) = (0, began_at);
        // The empty content is nowhere stored and needs no fetching.
        while fetch.length < fetch.want.size {
            let Err(broken) = self.fetch_some(fetch, sink).await else {
                break;
            };
            if fetch.length.saturating_sub(before) >= PROGRESS_BYTES {
                (tries, before) = (0, fetch.length);
            }
            // A server that was never there was given its tries already.
            let never_there = !broken.opened && fetch.length == began_at;
            let beyond = fetch.length > fetch.want.size;
            if !broken.may_be_mended || never_there || beyond || tries >= TRIES {
                return Err(self.why_not(broken.why, fetch.want).await);
            }
            tokio::time::sleep(DELAY * 3_u32.pow(tries)).await;
            tries += 1;
        }
        Ok(())
    }

    /// Over one connection.
    async fn fetch_some(
        &self,
        fetch: &mut Fetch<'_>,
        sink: &mut (dyn Write + Send),
    ) -> Result<(), Broken> {
        let want = fetch.want;
        let request = v1::GetContentRequest {
            content_id: want.digests.blake3.as_bytes().to_vec().into(),
            environment: want.environment.to_string(),
            sequence: want.sequence.0,
            offset: fetch.length,
            length: 0,
        };
        let began = Instant::now();
        let opened = self.connection().get_content(request).await;
        let mut parts = opened.map_err(|why| Broken {
            may_be_mended: why.may_pass() && began.elapsed() < self.connection().patience(),
            opened: false,
            why,
        })?;
        loop {
            let part = match parts.next().await {
                Ok(Some(part)) => part,
                Ok(None) => return Ok(()),
                Err(why) => {
                    return Err(Broken {
                        may_be_mended: why.may_pass() && !parts.stalled(),
                        opened: true,
                        why,
                    });
                }
            };
            fetch.hash(&part);
            if fetch.length.saturating_sub(want.size) > EXCESS_MAX {
                return Err(ClientError::TooLarge { what: "a content" }.into());
            }
            // More than was recorded is hashed and not kept.
            if fetch.length <= want.size {
                sink.write_all(&part).map_err(|error| ClientError::File {
                    path: want.name.into(),
                    error,
                })?;
            }
        }
    }

    /// Whether what was hashed is what was recorded; else whose fault that is, which only
    /// what one server gave as a whole can tell.
    pub(super) fn weigh(&self, fetch: &Fetch<'_>) -> Result<(), ClientError> {
        if fetch.is_right() {
            return Ok(());
        }
        Err(self.mismatch(fetch.want, fetch.length, &fetch.found()))
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
