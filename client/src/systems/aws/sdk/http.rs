//! What comes back is bounded, and whole, before anybody reads it: the SDK would hold all that is
//! sent, by whoever gives credentials too.

use aws_smithy_http_client::{
    Builder, Connector,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
        SharedHttpConnector,
    },
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use super::xml;

/// Bytes of an answer in XML: a page of what drifted, with all properties, is the longest.
const XML_BYTES_MAX: usize = 16 << 20;
/// Bytes of any other answer: credentials, and what is wrong.
const OTHER_BYTES_MAX: usize = 1 << 20;

/// What whoever is asked may answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speaks {
    /// XML.
    Xml,
    /// Bytes, which are left to be read.
    Bytes,
    /// Something short.
    Briefly,
}

/// Which of this machine's proxies are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proxies {
    All,
    /// Not for what goes in clear.
    OfTls,
}

impl Proxies {
    fn config(self) -> ProxyConfig {
        let of = |names: &[&str]| names.iter().find_map(|name| std::env::var(name).ok());
        let named = of(&["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]);
        match (self, named) {
            (Self::All, _) => ProxyConfig::from_env(),
            (Self::OfTls, None) => ProxyConfig::disabled(),
            (Self::OfTls, Some(url)) => {
                let proxies = ProxyConfig::https(url.as_str());
                let except = of(&["NO_PROXY", "no_proxy"]).unwrap_or_default();
                proxies.map_or_else(|_| ProxyConfig::disabled(), |it| it.no_proxy(except))
            }
        }
    }
}

/// The SDK's own client, with TLS by ring as everywhere here.
pub(super) fn client(proxies: Proxies) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder();
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector
            .proxy_config(proxies.config())
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build()
    })
}

/// The same for whoever speaks so.
pub(super) fn of(client: &SharedHttpClient, speaks: Speaks) -> SharedHttpClient {
    SharedHttpClient::new(Checked {
        inner: client.clone(),
        speaks,
    })
}

#[derive(Debug)]
struct Checked<T> {
    inner: T,
    speaks: Speaks,
}

impl HttpClient for Checked<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Checked {
            inner: self.inner.http_connector(settings, components),
            speaks: self.speaks,
        })
    }
}

impl HttpConnector for Checked<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (answer, speaks) = (self.inner.call(request), self.speaks);
        HttpConnectorFuture::new(async move { checked(answer.await?, speaks).await })
    }
}

async fn checked(mut answer: HttpResponse, speaks: Speaks) -> Result<HttpResponse, ConnectorError> {
    let is_success = answer.status().is_success();
    let status = answer.status().as_u16();
    let limit = match speaks {
        Speaks::Bytes if status == 200 => return Ok(answer),
        Speaks::Bytes if is_success => {
            let why = format!("an object was asked for, and {status} is no answer to that");
            return Err(ConnectorError::other(why.into(), None));
        }
        Speaks::Xml => XML_BYTES_MAX,
        Speaks::Bytes | Speaks::Briefly => OTHER_BYTES_MAX,
    };
    let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
    let body = Limited::new(body, limit).collect().await;
    let body = body.map_err(|error| match error.downcast::<LengthLimitError>() {
        Ok(error) => ConnectorError::other(error, None),
        Err(error) => ConnectorError::io(error),
    })?;
    let mut body = body.to_bytes();
    let is_xml = speaks == Speaks::Xml || body.trim_ascii_start().starts_with(b"<");
    if is_xml && is_success {
        // As every reader of XML has it.
        let with_returns = std::str::from_utf8(&body).ok();
        if let Some(text) = with_returns.filter(|text| text.contains('\r')) {
            body = text.replace("\r\n", "\n").replace('\r', "\n").into();
        }
        xml::check(&body).map_err(|why| ConnectorError::other(why.into(), None))?;
    }
    *answer.body_mut() = SdkBody::from(body);
    Ok(answer)
}
