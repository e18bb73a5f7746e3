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
            // One that cannot be read takes none of the others away.
            let text = value.to_str().unwrap_or_default();
            for challenge in http_auth::parse_challenges(text).unwrap_or_default() {
                let text = |name: &str| {
                    let mut all = challenge.params.iter();
                    let found = all.find(|(key, _)| key.eq_ignore_ascii_case(name));
                    found.map(|(_, value)| ParamValue::to_unescaped(value))
                };
                let realm = text("realm");
                if let Some(realm) =
                    realm.filter(|_| challenge.scheme.eq_ignore_ascii_case("bearer"))
                {
                    return Some(Self::Token {
                        realm,
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
    /// Why it is not known who asks: it counts where nobody is not let in.
    trouble: Option<SourceError>,
    looked: bool,
    header: Option<HeaderValue>,
}

impl Access {
    pub(super) fn new(from: &str, registry: &str, repository: &str) -> Self {
        Self {
            from: from.to_owned(),
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            login: None,
            trouble: None,
            looked: false,
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
        self.look();
        let Some(demand) = Demand::of(headers) else {
            return Err(self.refusal(StatusCode::UNAUTHORIZED));
        };
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

    /// Looks for who asks, once: a helper may ask people.
    fn look(&mut self) {
        if !std::mem::replace(&mut self.looked, true) {
            match credentials::find(&self.registry, &self.repository) {
                Ok(login) => self.login = login,
                Err(trouble) => self.trouble = Some(trouble),
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
            let shown = address(realm);
            wrong(
                &self.from,
                format!("the registry asks for tokens of {shown}"),
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
                let why = format!("its token server answers {status}");
                if is_passing(status) {
                    let what = self.from.clone();
                    return Err(SourceError::Unreachable { what, why });
                }
                return Err(wrong(&self.from, why));
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
    pub(super) fn refusal(&mut self, status: StatusCode) -> SourceError {
        self.look();
        if let Some(trouble) = self.trouble.take() {
            return trouble;
        }
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

/// Whether it may be otherwise in a moment.
pub(super) fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

/// Of an address what may be printed: what comes after the host may be a secret.
pub(super) fn address(text: &str) -> String {
    let uri = text.parse::<Uri>().ok();
    let host = uri.as_ref().and_then(Uri::authority).map(|it| {
        let host = it.as_str().rsplit('@').next().unwrap_or_default();
        format!(
            "{}://{host}",
            uri.as_ref().and_then(Uri::scheme_str).unwrap_or_default()
        )
    });
    host.unwrap_or_else(|| "what is no address".to_owned())
}

/// A header that no log shows; `None` if it cannot be one.
fn secret_header(scheme: &str, secret: &str) -> Option<HeaderValue> {
    let text = Zeroizing::new(format!("{scheme} {secret}"));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};

    use super::{Access, Demand};

    /// Goal: no token server is asked over a network in the clear, and none under a name that
    /// is not its own. Method: realms that a registry might name.
    #[test]
    fn a_token_server_is_asked_by_tls_or_on_this_machine() {
        let ask =
            |registry: &str, realm: &str| Access::new("it", registry, "team/shop").ask(realm, &[]);
        ask("registry.example", "https://auth.example/token").unwrap();
        ask("127.0.0.1:5000", "http://127.0.0.1:5001/token").unwrap();
        for (registry, realm) in [
            ("registry.example", "http://auth.example/token"),
            // Not even to this machine, for somebody elsewhere.
            ("registry.example", "http://127.0.0.1:5001/token"),
            ("127.0.0.1:5000", "http://auth.example/token"),
            ("127.0.0.1:5000", "http://127.0.0.1@auth.example/token"),
            (
                "registry.example",
                "https://registry.example@auth.example/token",
            ),
            ("registry.example", "/token"),
            ("registry.example", "ftp://auth.example/token"),
        ] {
            let refused = ask(registry, realm).unwrap_err().to_string();
            assert!(refused.contains("asks for tokens of"), "{realm}: {refused}");
        }
        let secret = ask("registry.example", "http://a@auth.example/token?key=s3cret");
        assert!(!secret.unwrap_err().to_string().contains("s3cret"));
    }

    /// Goal: a demand that can be met is found among others. Method: headers of several kinds.
    #[test]
    fn a_demand_that_can_be_met_is_found_among_others() {
        let of = |texts: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for text in texts {
                headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(text));
            }
            Demand::of(&headers)
        };
        let token = Demand::Token {
            realm: "https://auth.example".to_owned(),
            service: None,
            scope: None,
        };
        let bearer = "Bearer realm=\"https://auth.example\"";
        assert_eq!(
            of(&["NTLM TlRM==", "Basic realm=\"x\"", bearer]),
            Some(token)
        );
        assert_eq!(of(&["Bearer", "basic realm=\"x\""]), Some(Demand::Basic));
        assert_eq!(of(&["NTLM TlRM=="]), None);
        assert_eq!(of(&[]), None);
    }
}
