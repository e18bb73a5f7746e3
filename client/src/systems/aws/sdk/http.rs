//! What comes back is whole, and no longer than it may be, before anybody reads it. The SDK would
//! hold all that is sent, by whoever gives credentials too, and makes do with XML that is broken:
//! it takes what stands before, and what stands between comments, for all there is.

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
use roxmltree::{Document, ParsingOptions};

/// Bytes of an answer in XML: a page of what drifted, with all properties, is the longest.
const XML_BYTES_MAX: usize = 16 << 20;
/// Elements and texts in one: each costs the SDK more than its bytes.
const XML_NODES_MAX: u32 = 200_000;
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

/// The SDK's own client, with TLS by ring as everywhere here, and with the machine's proxies.
pub(super) fn client() -> SharedHttpClient {
    Builder::new().build_with_connector_fn(|settings, components| {
        let mut connector = Connector::builder();
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector
            .proxy_config(ProxyConfig::from_env())
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
    let limit = match speaks {
        Speaks::Bytes if is_success => return Ok(answer),
        Speaks::Xml => XML_BYTES_MAX,
        Speaks::Bytes | Speaks::Briefly => OTHER_BYTES_MAX,
    };
    let body = std::mem::replace(answer.body_mut(), SdkBody::taken());
    let body = Limited::new(body, limit).collect().await;
    let body = body.map_err(|error| match error.downcast::<LengthLimitError>() {
        Ok(error) => ConnectorError::other(error, None),
        Err(error) => ConnectorError::io(error),
    })?;
    let body = body.to_bytes();
    if speaks == Speaks::Xml && is_success {
        check(&body).map_err(|why| ConnectorError::other(why.into(), None))?;
    }
    *answer.body_mut() = SdkBody::from(body);
    Ok(answer)
}

/// One document, with nothing in it that one reader reads otherwise than another.
fn check(xml: &[u8]) -> Result<(), String> {
    let wrong = |why: &dyn std::fmt::Display| format!("the answer is no XML: {why}");
    let text = std::str::from_utf8(xml).map_err(|error| wrong(&error))?;
    let options = ParsingOptions {
        nodes_limit: XML_NODES_MAX,
        ..ParsingOptions::default()
    };
    Document::parse_with_options(text, options).map_err(|error| wrong(&error))?;
    // Where XML is well formed, `<` stands for itself nowhere.
    let declared = text.trim_start().strip_prefix("<?xml").unwrap_or(text);
    if declared.contains("<!") || declared.contains("<?") {
        return Err(wrong(&"comments and the like have no place there"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    /// Goal: XML that one reader may read otherwise is no answer. Method: an answer that is cut
    /// everywhere, and one of each sort.
    #[test]
    fn xml_that_is_not_whole_is_no_answer() {
        let whole = "<?xml version=\"1.0\"?>\n<a xmlns=\"x\"><b>a &lt; b</b><a>t</a></a>\n";
        check(whole.as_bytes()).unwrap();
        for cut in 0..whole.trim_end().len() {
            check(&whole.as_bytes()[..cut]).unwrap_err();
        }
        for none in [
            "hello",
            "{\"a\": 1}",
            "<a>a < b</a>",
            "<a><b>a < b</b><c/></a>",
            "<a><b></a></b>",
            "<a/><a/>",
            "<a>a<!-- -->b</a>",
            "<a><![CDATA[b]]></a>",
            "<a>a<?b?>c</a>",
            "<!DOCTYPE a><a/>",
            "<a>&b;</a>",
        ] {
            check(none.as_bytes()).expect_err(none);
        }
        let many = format!("<a>{}</a>", "<b/>".repeat(200_001));
        check(many.as_bytes()).unwrap_err();
    }
}
