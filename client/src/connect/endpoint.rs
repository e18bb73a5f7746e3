//! Where a server answers and how it is reached: URL, TLS, token, timeouts.
//!
//! TLS hides tokens and contents; it proves nothing about the ledger. So a failed
//! certificate is no verdict, and `http://` is refused only where a token could leak.

use std::{path::PathBuf, sync::Arc, time::Duration};

use http::Uri;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tonic::{
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint as Transport},
};
use zeroize::Zeroizing;

use crate::{
    context::Context,
    error::{ClientError, HomeError},
    files,
    home::Home,
    keys::file::{self as private, PrivateFileError},
};

/// Bytes of a token.
const TOKEN_BYTES_MAX: usize = 8 << 10;
/// Bytes of a file of certificates.
const CA_BYTES_MAX: usize = 1 << 20;
/// Flow-control windows: what keeps a fast link busy.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// How long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For a connection.
    pub connect: Duration,
    /// For an answer, and between the parts of a long one.
    pub request: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            request: Duration::from_secs(30),
        }
    }
}

/// A bearer token; wiped when dropped, never printed.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// Reads a file that only its owner may read; white space at its ends is dropped.
    pub fn read(path: &std::path::Path) -> Result<Self, HomeError> {
        let invalid = |why: &str| HomeError::Invalid {
            path: path.to_owned(),
            why: why.to_owned(),
        };
        let bytes = private::read(path).map_err(|error| match error {
            PrivateFileError::Io { error, .. } => files::io_error(path)(error),
            PrivateFileError::Mode { .. } | PrivateFileError::Owner { .. } => HomeError::Loose {
                path: path.to_owned(),
            },
            PrivateFileError::Link { .. } => invalid("it is a symbolic link; name the file itself"),
            PrivateFileError::NotAFile { .. } => invalid("it is no regular file"),
            _ => invalid("it is too long for a token"),
        })?;
        let text = std::str::from_utf8(&bytes).unwrap_or_default().trim();
        let plain = |byte: u8| byte.is_ascii_graphic();
        if text.is_empty() || text.len() > TOKEN_BYTES_MAX || !text.bytes().all(plain) {
            return Err(invalid("it holds no token"));
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The header's value.
    pub(super) fn header(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("Bearer {}", self.0.as_str()))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Token(..)")
    }
}

/// Where a server answers, and how to reach it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// `https://host[:port]` or `http://host:port`.
    pub url: String,
    /// Presented with every call.
    pub token: Option<Token>,
    /// The only certificate authorities to accept, in PEM; the web's where `None`.
    pub ca_file: Option<PathBuf>,
    /// Allows `http://` to other machines.
    pub plaintext: bool,
    /// How long to wait.
    pub timeouts: Timeouts,
}

impl Endpoint {
    /// A server without token or private authorities.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            token: None,
            ca_file: None,
            plaintext: false,
            timeouts: Timeouts::default(),
        }
    }

    /// The server of a context.
    pub fn of(home: &Home, context: &Context) -> Result<Self, HomeError> {
        let token = context.token_file.as_ref();
        Ok(Self {
            token: token
                .map(|path| Token::read(&home.resolve(path)))
                .transpose()?,
            ca_file: context.ca_file.as_ref().map(|path| home.resolve(path)),
            plaintext: context.plaintext,
            ..Self::new(&context.url)
        })
    }

    /// The URL, if it may be used.
    pub(super) fn uri(&self) -> Result<Uri, ClientError> {
        let usage = |why: &str| ClientError::Usage {
            why: format!("{}: {why}", crate::detail::printable(&self.url)),
        };
        let uri: Uri = self.url.parse().map_err(|_| usage("not a URL"))?;
        let host = uri.host().ok_or_else(|| usage("names no host"))?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if self.plaintext || is_loopback(host) => {}
            Some("http") => {
                return Err(usage(
                    "http:// to another machine is readable on the way; use https://, or set \
                     `plaintext = true` for the context",
                ));
            }
            _ => return Err(usage("must begin with https:// or http://")),
        }
        if uri.query().is_some() || !matches!(uri.path(), "" | "/") {
            return Err(usage("must be no more than scheme, host and port"));
        }
        Ok(uri)
    }

    pub(super) fn channel(&self) -> Result<Channel, ClientError> {
        let transport = Transport::from(self.uri()?)
            .connect_timeout(self.timeouts.connect)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(self.timeouts.request)
            .tcp_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls()?)
            .https_or_http()
            .enable_http2()
            .wrap_connector(self.tcp());
        Ok(transport.connect_with_connector_lazy(connector))
    }

    pub(crate) fn connector(&self) -> Result<HttpsConnector<HttpConnector>, ClientError> {
        Ok(self.connector_of(self.tls()?))
    }

    /// The same, where these authorities are accepted beside the web's.
    pub(crate) fn connector_also(
        &self,
        ca_files: &[PathBuf],
    ) -> Result<HttpsConnector<HttpConnector>, ClientError> {
        let mut roots = RootCertStore::empty();
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        for path in ca_files {
            roots.extend(authorities(path)?.roots);
        }
        let tls = tls_builder()?.with_root_certificates(roots);
        Ok(self.connector_of(tls.with_no_client_auth()))
    }

    fn connector_of(&self, tls: ClientConfig) -> HttpsConnector<HttpConnector> {
        HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(self.tcp())
    }

    pub(super) fn token(&self) -> Result<Option<MetadataValue<Ascii>>, ClientError> {
        let Some(token) = &self.token else {
            return Ok(None);
        };
        let value = token.header().parse::<MetadataValue<Ascii>>();
        let mut value = value.map_err(|_| ClientError::Usage {
            why: "the token cannot be sent".to_owned(),
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn tcp(&self) -> HttpConnector {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(self.timeouts.connect));
        tcp
    }

    fn tls(&self) -> Result<ClientConfig, ClientError> {
        let builder = tls_builder()?;
        let builder = match &self.ca_file {
            Some(path) => builder.with_root_certificates(authorities(path)?),
            None => builder.with_webpki_roots(),
        };
        Ok(builder.with_no_client_auth())
    }
}

fn tls_builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, ClientError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| ClientError::Usage {
            why: error.to_string(),
        })
}

fn authorities(path: &std::path::Path) -> Result<RootCertStore, HomeError> {
    let invalid = |why: String| HomeError::Invalid {
        path: path.to_owned(),
        why,
    };
    let pem = files::read(path, CA_BYTES_MAX)?;
    let pem = pem.ok_or_else(|| invalid("there is no such file".to_owned()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| invalid(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| invalid(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(invalid("it holds no certificate".to_owned()));
    }
    Ok(roots)
}

/// Whether a host, without a port, is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::{Endpoint, Token};
    use crate::error::HomeError;

    /// Goal: a token is read from its owner's own file alone. Method: one of each other sort.
    #[test]
    fn a_token_is_read_from_a_private_regular_file_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let missing = Token::read(&path).unwrap_err();
        assert!(matches!(missing, HomeError::Io { .. }));
        fs::write(&path, " s3cret\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Token::read(&path), Err(HomeError::Loose { .. })));
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let token = Token::read(&path).unwrap();
        assert_eq!(token.header().as_str(), "Bearer s3cret");
        let link = directory.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(matches!(Token::read(&link), Err(HomeError::Invalid { .. })));
        let inside = Token::read(directory.path()).unwrap_err();
        assert!(matches!(inside, HomeError::Invalid { .. }), "{inside}");
        fs::write(&path, "s".repeat(9_000)).unwrap();
        assert!(matches!(Token::read(&path), Err(HomeError::Invalid { .. })));
    }

    /// Goal: a token cannot leak by a mistyped scheme. Method: URLs of each sort.
    #[test]
    fn plain_http_leaves_this_machine_only_where_the_context_says_so() {
        let allowed = |url: &str| Endpoint::new(url).uri().is_ok();
        assert!(allowed("http://127.0.0.1:7443"));
        assert!(allowed("http://[::1]:7443"));
        assert!(allowed("http://localhost:7443"));
        assert!(allowed("https://ledger.example"));
        assert!(!allowed("http://ledger.example"));
        assert!(!allowed("http://127.0.0.1.example"));
        assert!(!allowed("ftp://ledger.example"));
        assert!(!allowed("https://ledger.example/path"));
        assert!(!allowed("ledger.example"));
        let mut explicit = Endpoint::new("http://ledger.example");
        explicit.plaintext = true;
        assert!(explicit.uri().is_ok());
    }
}
