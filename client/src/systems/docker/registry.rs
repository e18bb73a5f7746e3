//! What a registry has under a reference, by its HTTP API: manifests by tag and then by digest,
//! and configurations. Layers are not fetched: the manifests name them.
//!
//! Invariants: bytes count by their own digest, whatever the registry says of them; each answer
//! is bounded in time and length; credentials go to the registry and to its token server, and
//! no address that it leads to gets any. Plain HTTP is spoken with this machine alone, and not
//! where certificates are kept for it.

use std::{thread, time::Duration};

use bytes::Bytes;
use cairn_proto::hash::Sha256;
use http::{
    HeaderMap, HeaderValue, Request, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, USER_AGENT},
    uri::Authority,
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{runtime::Runtime, time::timeout};

use super::{
    access::{Access, address, is_passing},
    certificates,
    graph::{Link, wrong},
    reference::{self, Reference, text_of},
};
use crate::{
    connect::{Endpoint, causes, is_loopback},
    detail::printable,
    sources::{
        SourceError,
        layout::{INDEXES, JSON_BYTES_MAX, MANIFESTS},
    },
};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long all of them may.
const PATIENCE_FOR_ALL: Duration = Duration::from_mins(2);
/// How often a registry may say that a blob is elsewhere.
const REDIRECTS_MAX: usize = 4;
/// Where the images of `docker.io` are.
const HUB_HOST: &str = "registry-1.docker.io";

/// Asks a registry, with a runtime of its own: whoever calls may stand in one, and this waits.
pub(super) fn apart<T: Send>(
    reference: &Reference,
    ask: impl FnOnce(&mut Registry) -> Result<T, SourceError> + Send,
) -> Result<T, SourceError> {
    thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&mut Registry::new(reference)?));
        asked
            .join()
            .unwrap_or_else(|_| Err(wrong(&reference.to_string(), "asking for it broke off")))
    })
}

/// Docker's own rule: what is on this machine may go without TLS, unless it has `authorities`.
fn base(registry: &str, authorities: bool) -> String {
    let host = if registry == reference::HUB {
        HUB_HOST
    } else {
        registry
    };
    let scheme = if is_local(host) && !authorities {
        "http"
    } else {
        "https"
    };
    format!("{scheme}://{host}")
}

/// Whether a host, with a port or without, is this machine.
pub(super) fn is_local(host: &str) -> bool {
    let authority = host.parse::<Authority>();
    authority.is_ok_and(|it| is_loopback(it.host()))
}

/// A registry, as far as one reference goes.
pub(super) struct Registry {
    base: String,
    repository: String,
    from: String,
    access: Access,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Runtime,
    until: std::time::Instant,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    bytes: Bytes,
}

impl Answer {
    fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Registry {
    fn new(reference: &Reference) -> Result<Self, SourceError> {
        let from = reference.to_string();
        let failed = |why: String| SourceError::Tool {
            tool: from.clone(),
            why: printable(&why),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| failed(error.to_string()))?;
        let authorities = certificates::of(&reference.registry);
        let connector = Endpoint::new("").connector_also(&authorities);
        let connector = connector.map_err(|error| failed(error.to_string()))?;
        let base = base(&reference.registry, !authorities.is_empty());
        let repository = reference.repository.clone();
        Ok(Self {
            base,
            access: Access::new(&from, &reference.registry, &repository),
            repository,
            client: Client::builder(TokioExecutor::new()).build(connector),
            runtime,
            until: std::time::Instant::now() + PATIENCE_FOR_ALL,
            from,
        })
    }

    /// The reference, for messages.
    pub(super) fn name(&self) -> &str {
        &self.from
    }

    /// What the reference leads to now.
    pub(super) fn top(&mut self, reference: &Reference) -> Result<(Link, Vec<u8>), SourceError> {
        let asked = reference.asked();
        let answer = self.get(&format!("manifests/{asked}"), JSON_BYTES_MAX)?;
        let digest = Sha256::of(&answer.bytes);
        let stated = answer.header("docker-content-digest");
        let stated = reference
            .digest
            .as_ref()
            .map(text_of)
            .or(stated.map(str::to_owned));
        if let Some(stated) = stated.filter(|stated| *stated != text_of(&digest)) {
            return Err(self.mismatch("manifests", &digest, &stated));
        }
        let media_type = answer.header(CONTENT_TYPE).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default().trim();
        if !INDEXES.iter().chain(&MANIFESTS).any(|it| *it == media_type) {
            let why = format!("what it has is {media_type}, and no image of the kinds known here");
            return Err(wrong(&self.from, why));
        }
        let link = Link {
            digest,
            size: u64::try_from(answer.bytes.len()).unwrap_or(u64::MAX),
            media_type: media_type.to_owned(),
        };
        Ok((link, answer.bytes.to_vec()))
    }

    fn mismatch(&self, kind: &str, found: &Sha256, stated: &str) -> SourceError {
        let found = text_of(found);
        let why = format!("the registry gives {found} where {stated} was named ({kind})");
        wrong(&self.from, why)
    }

    /// What has a digest, in so many bytes at most; its size is checked as well.
    pub(super) fn by_digest(
        &mut self,
        kind: &str,
        link: &Link,
        bytes_max: u64,
    ) -> Result<Vec<u8>, SourceError> {
        let stated = text_of(&link.digest);
        if link.size > bytes_max {
            let why = format!("{stated} is longer than {} MiB", bytes_max >> 20);
            return Err(wrong(&self.from, why));
        }
        let answer = self.get(&format!("{kind}/{stated}"), bytes_max)?;
        let found = Sha256::of(&answer.bytes);
        if found != link.digest {
            return Err(self.mismatch(kind, &found, &stated));
        }
        if u64::try_from(answer.bytes.len()).ok() != Some(link.size) {
            let (length, size) = (answer.bytes.len(), link.size);
            let why = format!("{stated} is {length} bytes long, and not {size} as was stated");
            return Err(wrong(&self.from, why));
        }
        Ok(answer.bytes.to_vec())
    }

    /// A successful answer.
    fn get(&mut self, path: &str, bytes_max: u64) -> Result<Answer, SourceError> {
        let mut uri = format!("{}/v2/{}/{path}", self.base, self.repository);
        let mut shown = false;
        for _ in 0..REDIRECTS_MAX {
            let answer = self.send(self.request(&uri)?, bytes_max)?;
            match answer.status {
                StatusCode::OK => return Ok(answer),
                status if status.is_redirection() => {
                    uri = self.elsewhere(&uri, answer.header(LOCATION))?;
                }
                // A token that was good a moment ago may have run out: each is asked for once.
                StatusCode::UNAUTHORIZED if self.owns(&uri) && !shown => {
                    shown = true;
                    if let Some(request) = self.access.demanded(&answer.headers)? {
                        let answer = self.send(request, JSON_BYTES_MAX)?;
                        self.access.granted(answer.status, &answer.bytes)?;
                    }
                }
                status => return Err(self.refusal(&uri, status, &answer)),
            }
        }
        Err(wrong(
            &self.from,
            "the registry sends from one address to another",
        ))
    }

    /// From TLS nobody is led out of it.
    fn elsewhere(&self, from: &str, to: Option<&str>) -> Result<String, SourceError> {
        let to = to.unwrap_or_default();
        let to = if to.starts_with("//") {
            let scheme = from.split(':').next().unwrap_or_default();
            format!("{scheme}:{to}")
        } else if to.starts_with('/') {
            format!("{}{to}", address(from))
        } else {
            to.to_owned()
        };
        let secure = to.starts_with("https://");
        let kept = to.starts_with(&format!("{}/", self.base));
        if secure || (kept && !from.starts_with("https://")) {
            return Ok(to);
        }
        let to = address(&to);
        Err(wrong(&self.from, format!("the registry leads to {to}")))
    }

    fn refusal(&mut self, uri: &str, status: StatusCode, answer: &Answer) -> SourceError {
        let what = self.from.clone();
        match status {
            status if !self.owns(uri) && status.is_client_error() => {
                let to = address(uri);
                wrong(
                    &what,
                    format!("{to}, where the registry leads to, answers {status}"),
                )
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.access.refusal(status),
            StatusCode::NOT_FOUND => wrong(&what, "the registry has no such image"),
            status if is_passing(status) => SourceError::Unreachable {
                what,
                why: format!("the registry answers {status}"),
            },
            status => {
                let said =
                    String::from_utf8_lossy(answer.bytes.get(..200).unwrap_or(&answer.bytes));
                wrong(&what, format!("the registry answers {status} {said}"))
            }
        }
    }

    /// Whether an address is the registry's own.
    fn owns(&self, uri: &str) -> bool {
        uri.strip_prefix(&self.base)
            .is_some_and(|path| path.starts_with('/'))
    }

    /// A request; the registry's own addresses are shown who asks, and no others.
    fn request(&self, uri: &str) -> Result<Request<Full<Bytes>>, SourceError> {
        let kinds: Vec<_> = INDEXES.iter().chain(&MANIFESTS).copied().collect();
        let mut request = Request::get(uri).header(ACCEPT, kinds.join(", "));
        if let Some(header) = self.access.header().filter(|_| self.owns(uri)) {
            request = request.header(AUTHORIZATION, header.clone());
        }
        let request = request.body(Full::default());
        request.map_err(|_| wrong(&self.from, "the registry's address is none"))
    }

    fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        bytes_max: u64,
    ) -> Result<Answer, SourceError> {
        let unreachable = |why: String| SourceError::Unreachable {
            what: self.from.clone(),
            why: printable(&why),
        };
        let name = HeaderValue::from_static(concat!("cairn/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, name);
        let left = self
            .until
            .saturating_duration_since(std::time::Instant::now());
        let limit = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let asked = async {
            let answer = self.client.request(request).await;
            let (parts, body) = answer
                .map_err(|error| unreachable(causes(&error)))?
                .into_parts();
            let body = Limited::new(body, limit).collect().await.map_err(|error| {
                if error.is::<http_body_util::LengthLimitError>() {
                    let why = format!("the answer is longer than {} MiB", bytes_max >> 20);
                    wrong(&self.from, why)
                } else {
                    unreachable(error.to_string())
                }
            })?;
            Ok(Answer {
                status: parts.status,
                headers: parts.headers,
                bytes: body.to_bytes(),
            })
        };
        let answered = async { timeout(PATIENCE.min(left), asked).await };
        let answered = self.runtime.block_on(answered);
        answered.unwrap_or_else(|_| Err(unreachable("no answer in time".to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use http::{StatusCode, header::AUTHORIZATION};

    use super::{Reference, Registry};

    /// Goal: no address but the registry's own is shown who asks. Method: the requests that
    /// would be sent to its own, and to others, such as where its blobs lie.
    #[test]
    fn the_registry_alone_is_shown_who_asks() {
        let reference = Reference::parse("registry.example/team/shop:1").unwrap();
        let mut registry = Registry::new(&reference).unwrap();
        let shown = |registry: &Registry, uri: &str| {
            let request = registry.request(uri).unwrap();
            request.headers().get(AUTHORIZATION).cloned()
        };
        let own = "https://registry.example/v2/team/shop/blobs/x";
        assert_eq!(shown(&registry, own), None, "nothing was demanded yet");
        let token = b"{\"access_token\":\"good\"}";
        registry.access.granted(StatusCode::OK, token).unwrap();
        let header = shown(&registry, own).unwrap();
        assert_eq!(header, "Bearer good");
        assert!(header.is_sensitive());
        for other in [
            "https://storage.example/x",
            "https://registry.example.evil.example/v2/team/shop/blobs/x",
            "https://registry.example@evil.example/x",
            "https://registry.example:8443/v2/team/shop/blobs/x",
            "http://registry.example/v2/team/shop/blobs/x",
        ] {
            assert_eq!(shown(&registry, other), None, "{other}");
        }
    }
}
