//! The read API: checkpoint, tiles and documents by plain GET, from a server or from a
//! directory of the same layout (an auditor's copy, a static mirror).
//!
//! Invariant: no answer is larger than the caller allows, and none stalls for ever.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use backon::Retryable as _;
use bytes::Bytes;
use cairn_proto::{
    hash::{DocumentId, Index},
    limits::{ENTRY_BYTES_MAX, MANIFEST_BYTES_MAX, NOTE_BYTES_MAX},
    reason::Reason,
    tile::{Tile, TileKind, split_documents, split_entries},
};
use http::{
    HeaderMap, Request, StatusCode,
    header::{AUTHORIZATION, RETRY_AFTER},
};
use http_body_util::{BodyExt as _, Empty};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use super::{Endpoint, as_asked, delays, pace::Pace, unreachable};
use crate::{
    error::{ClientError, HomeError},
    files,
};

/// Bytes of the documents of one bundle that are taken at once; more are fetched singly.
const DOCUMENTS_BYTES_MAX: usize = 64 << 20;
const BUNDLE_BYTES_MAX: usize = 256 * (ENTRY_BYTES_MAX + 2);
const TILE_BYTES_MAX: usize = 256 * 32;

/// A read API, or a directory laid out like one.
#[derive(Debug, Clone)]
pub struct ReadApi {
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Server(Box<Server>),
    Directory(PathBuf),
}

#[derive(Debug, Clone)]
struct Server {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    base: String,
    token: Option<super::Token>,
    patience: Duration,
}

impl ReadApi {
    /// The read API of a server.
    pub fn of(endpoint: &Endpoint) -> Result<Self, ClientError> {
        endpoint.uri()?;
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(8)
            .build(endpoint.connector()?);
        let server = Server {
            client,
            base: endpoint.url.trim_end_matches('/').to_owned(),
            token: endpoint.token.clone(),
            patience: endpoint.timeouts.request,
        };
        Ok(Self {
            source: Source::Server(Box::new(server)),
        })
    }

    /// A directory that holds the same files.
    pub fn directory(path: impl Into<PathBuf>) -> Self {
        Self {
            source: Source::Directory(path.into()),
        }
    }

    /// Where it is, for messages.
    pub fn address(&self) -> String {
        match &self.source {
            Source::Server(server) => server.base.clone(),
            Source::Directory(path) => path.display().to_string(),
        }
    }

    /// The newest checkpoint.
    pub async fn checkpoint(&self) -> Result<Vec<u8>, ClientError> {
        let note = self.get("checkpoint", NOTE_BYTES_MAX).await?;
        note.ok_or_else(|| ClientError::Lacks {
            what: "a checkpoint".to_owned(),
        })
    }

    /// A tile of hashes or entries.
    pub async fn tile(&self, tile: &Tile) -> Result<Vec<u8>, ClientError> {
        let most = match tile.kind {
            TileKind::Hashes(_) => TILE_BYTES_MAX,
            TileKind::Entries => BUNDLE_BYTES_MAX,
            TileKind::Documents => DOCUMENTS_BYTES_MAX,
        };
        let bytes = self.get(&tile.to_string(), most).await?;
        bytes.ok_or_else(|| ClientError::Lacks {
            what: tile.to_string(),
        })
    }

    /// The documents of a bundle; `None` where they are not served or too many at once.
    pub async fn documents(&self, tile: &Tile) -> Result<Option<Vec<u8>>, ClientError> {
        match self.get(&tile.to_string(), DOCUMENTS_BYTES_MAX).await {
            Err(ClientError::TooLarge { .. }) => Ok(None),
            other => other,
        }
    }

    /// One document.
    pub async fn document(&self, id: &DocumentId) -> Result<Option<Vec<u8>>, ClientError> {
        self.get(&format!("document/{id}"), MANIFEST_BYTES_MAX)
            .await
    }

    /// The leaves of a bundle, each with the document that came beside it: of those that are the
    /// first to name theirs, unless they are too many to come at once.
    pub async fn bundle(
        &self,
        tile: &Tile,
    ) -> Result<Vec<(Vec<u8>, Option<Vec<u8>>)>, ClientError> {
        let beside = Tile {
            kind: TileKind::Documents,
            ..*tile
        };
        let lacks = || ClientError::Lacks {
            what: tile.to_string(),
        };
        let entries = self.tile(tile).await?;
        let leaves = split_entries(&entries, tile.width).map_err(|_| lacks())?;
        let documents = self.documents(&beside).await?.unwrap_or_default();
        let documents = split_documents(&documents, &beside).map_err(|_| lacks())?;
        let mut documents: BTreeMap<_, _> = documents.into_iter().collect();
        let leaves = leaves.into_iter().zip(tile.first()..);
        Ok(leaves
            .map(|(leaf, index)| (leaf.to_vec(), documents.remove(&Index(index))))
            .collect())
    }

    /// What stands at a path; `None` if nothing does.
    pub(crate) async fn get(
        &self,
        path: &str,
        bytes_max: usize,
    ) -> Result<Option<Vec<u8>>, ClientError> {
        match &self.source {
            Source::Directory(directory) => match files::read(&directory.join(path), bytes_max) {
                Err(HomeError::Damaged { .. }) => Err(ClientError::TooLarge { what: "a GET" }),
                other => Ok(other?),
            },
            Source::Server(server) => {
                let attempt = || server.get(path, bytes_max);
                attempt
                    .retry(delays())
                    .when(ClientError::may_pass)
                    .adjust(as_asked)
                    .await
            }
        }
    }
}

impl Server {
    async fn get(&self, path: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, ClientError> {
        let mut request = Request::get(format!("{}/{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.header().as_str());
        }
        let request = request
            .body(Empty::new())
            .map_err(|error| ClientError::Usage {
                why: error.to_string(),
            })?;
        let stalled = || unreachable(&self.base, "no answer in time");
        let failed = |error: &dyn std::error::Error| unreachable(&self.base, &causes(error));
        let mut pace = Pace::new(self.patience);
        let answer = pace
            .wait(self.client.request(request))
            .await
            .ok_or_else(stalled)?
            .map_err(|error| failed(&error))?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            status => return Err(self.status(status, answer.headers())),
        }
        let mut body = answer.into_body();
        let mut bytes = Vec::new();
        loop {
            let frame = pace.wait(body.frame()).await.ok_or_else(stalled)?;
            let Some(frame) = frame else {
                return Ok(Some(bytes));
            };
            let frame = frame.map_err(|error| failed(&error))?;
            if let Some(data) = frame.data_ref() {
                if bytes.len().saturating_add(data.len()) > bytes_max {
                    return Err(ClientError::TooLarge { what: "a GET" });
                }
                pace.received(data.len());
                bytes.extend_from_slice(data);
            }
        }
    }

    fn status(&self, status: StatusCode, headers: &HeaderMap) -> ClientError {
        let retry_after = headers
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|seconds| seconds.parse().ok());
        let refused = |reason: Option<Reason>| {
            ClientError::Refused(cairn_grpc::Refused {
                reason,
                code: reason.map_or("", Reason::code).to_owned(),
                message: status.to_string(),
                retry_after: retry_after.map(Duration::from_secs),
            })
        };
        match status {
            StatusCode::UNAUTHORIZED => refused(Some(Reason::NotAuthenticated)),
            StatusCode::FORBIDDEN => refused(Some(Reason::NotAllowed)),
            StatusCode::TOO_MANY_REQUESTS => refused(Some(Reason::Overloaded)),
            status if status.is_server_error() => unreachable(&self.base, &status.to_string()),
            _ => refused(None),
        }
    }
}

pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
