//! How a registry is shown who asks: what it demands (RFC 9110, section 11.6.1), and the token
//! that its token server gives, as the distribution project's token specification has it.
//!
//! Nothing is sent here: requests are made, and answers read.
//!
//! Invariants: a password goes to the registry it was kept for, and to the token server that
//! this one names, by TLS or on this machine; no other address gets anything.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE},
};
use http_auth::ParamValue;
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{
    credentials::{self, Login, Proof},
    graph::wrong,
    registry::is_local,
};
use crate::sources::SourceError;

/// All but what RFC 3986 calls unreserved.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// Bytes of a token.
const TOKEN_BYTES_MAX: usize = 64 << 10;

/// What a registry demands.
#[derive(Debug, PartialEq, Eq)]
enum Demand {
    Basic,
    Token {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

impl Demand {
    /// Of an answer, the first demand that can be met; tokens before passwords.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut basic = None;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let challenges = http_auth::parse_challenges(value.to_str().ok()?).ok()?;
            for challenge in challenges {
                let text = |name: &str| {
                    let mut all = challenge.params.iter();
                    let found = all.find(|(key, _)| key.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| ParamValue::to_unescaped(value))
                };
                if challenge.scheme.eq_ignore_ascii_case("bearer") {
                    return Some(Self::Token {
                        realm: text("realm")?,
                        service: text("service"),
                        scope: text("scope"),
                    });
                }
                if challenge.scheme.eq_ignore_ascii_case("basic") {
                    basic = Some(Self::Basic);
                }
            }
        }
        basic
    }
}

/// What a token server answers; some call it the one, some the other.
#[derive(Deserialize)]
struct Granted {
    token: Option<Zeroizing<String>>,
    access_token: Option<Zeroizing<String>>,
}

/// What is known of the access to one repository.
pub(super) struct Access {
    from: String,
    registry: String,
    repository: String,
    login: Option<Login>,
    header: Option<HeaderValue>,
}

impl Access {
    pub(super) fn new(from: &str, registry: &str, repository: &str) -> Self {
        Self {
            from: from.to_owned(),
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            login: None,
            header: None,
        }
    }

    /// What to show the registry, as far as it has demanded something.
    pub(super) fn header(&self) -> Option<&HeaderValue> {
        self.header.as_ref()
    }

    /// Takes up a demand: what a token server must be asked, `None` where the registry itself
    /// can be asked again.
    pub(super) fn demanded(
        &mut self,
        headers: &HeaderMap,
    ) -> Result<Option<Request<Full<Bytes>>>, SourceError> {
        let refused = self.refusal(StatusCode::UNAUTHORIZED);
        let demand = Demand::of(headers).ok_or(refused)?;
        self.login = credentials::find(&self.registry, &self.repository)?;
        let proof = self.login.as_ref().map(|login| &login.proof);
        match (demand, proof) {
            (Demand::Basic, Some(Proof::Basic(both))) => {
                self.header = Some(secret_header("Basic", both).ok_or_else(|| self.unusable())?);
                Ok(None)
            }
            (Demand::Basic, _) => Err(self.refusal(StatusCode::UNAUTHORIZED)),
            (
                Demand::Token {
                    realm,
                    service,
                    scope,
                },
                _,
            ) => {
                let scope = scope.unwrap_or_else(|| format!("repository:{}:pull", self.repository));
                let mut query = vec![("scope", scope)];
                query.extend(service.map(|service| ("service", service)));
                self.ask(&realm, &query).map(Some)
            }
        }
    }

    /// The request for a token.
    fn ask(
        &self,
        realm: &str,
        query: &[(&str, String)],
    ) -> Result<Request<Full<Bytes>>, SourceError> {
        let elsewhere = || {
            wrong(
                &self.from,
                format!("the registry asks for tokens of {realm}"),
            )
        };
        let uri: Uri = realm.parse().map_err(|_| elsewhere())?;
        let host = uri.authority().map(http::uri::Authority::as_str);
        let host = host
            .filter(|host| !host.contains('@'))
            .ok_or_else(elsewhere)?;
        let local = is_local(&self.registry) && is_local(host);
        if uri.scheme_str() != Some("https") && !(local && uri.scheme_str() == Some("http")) {
            return Err(elsewhere());
        }
        let form = |pairs: &[(&str, &str)]| {
            let pair = |(name, value): &(&str, &str)| {
                format!("{name}={}", utf8_percent_encode(value, RESERVED))
            };
            pairs.iter().map(pair).collect::<Vec<_>>().join("&")
        };
        let mut pairs: Vec<_> = query
            .iter()
            .map(|(name, it)| (*name, it.as_str()))
            .collect();
        let request = match self.login.as_ref().map(|login| &login.proof) {
            Some(Proof::Identity(token)) => {
                pairs.extend([
                    ("grant_type", "refresh_token"),
                    ("client_id", "cairn"),
                    ("refresh_token", token.as_str()),
                ]);
                Request::post(realm)
                    .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                    .body(Full::from(form(&pairs)))
            }
            other => {
                let and = if realm.contains('?') { '&' } else { '?' };
                let mut request = Request::get(format!("{realm}{and}{}", form(&pairs)));
                if let Some(Proof::Basic(both)) = other {
                    let header = secret_header("Basic", both).ok_or_else(|| self.unusable())?;
                    request = request.header(AUTHORIZATION, header);
                }
                request.body(Full::default())
            }
        };
        request.map_err(|_| elsewhere())
    }

    /// Takes a token server's answer.
    pub(super) fn granted(&mut self, status: StatusCode, answer: &[u8]) -> Result<(), SourceError> {
        match status {
            StatusCode::OK => {}
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(self.refusal(status));
            }
            status => {
                let what = self.from.clone();
                let why = format!("its token server answers {status}");
                return Err(SourceError::Unreachable { what, why });
            }
        }
        let granted: Option<Granted> = serde_json::from_slice(answer).ok();
        let token = granted.and_then(|it| it.token.or(it.access_token));
        let token = token.filter(|it| !it.is_empty() && it.len() <= TOKEN_BYTES_MAX);
        let header = token.and_then(|token| secret_header("Bearer", &token));
        let none = || wrong(&self.from, "what its token server answers is no token");
        self.header = Some(header.ok_or_else(none)?);
        Ok(())
    }

    fn unusable(&self) -> SourceError {
        wrong(&self.from, "what was kept for it cannot be sent")
    }

    /// Who is at fault, and how to mend it.
    pub(super) fn refusal(&self, status: StatusCode) -> SourceError {
        let why = match &self.login {
            None => format!(
                "the registry answers {status}: it wants credentials, and none are kept for {}; \
                 `docker login` or `skopeo login` keeps some, and REGISTRY_AUTH_FILE names a file \
                 of them",
                self.registry
            ),
            Some(login) => format!(
                "the registry answers {status}: it does not let in whom {} names; log in again, \
                 as somebody who may pull {}",
                login.place, self.repository
            ),
        };
        let what = self.from.clone();
        SourceError::Denied { what, why }
    }
}

/// A header that no log shows; `None` if it cannot be one.
fn secret_header(scheme: &str, secret: &str) -> Option<HeaderValue> {
    let text = Zeroizing::new(format!("{scheme} {secret}"));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
