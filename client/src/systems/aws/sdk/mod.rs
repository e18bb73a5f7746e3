//! AWS's official SDK, on a thread and a runtime of its own: whoever asks may stand in one.
//!
//! Settings are those of AWS's shared files and variables: profile, region, credentials of
//! every kind that the SDK knows, endpoints (`AWS_ENDPOINT_URL`, and by service), retries, and
//! this machine's proxies. Authorities are the system's, or those of `SSL_CERT_FILE`.

mod environments;
mod objects;
mod refused;
mod stacks;

use std::{cell::OnceCell, io::Write, thread, time::Duration};

use aws_config::{BehaviorVersion, timeout::TimeoutConfig};
use aws_smithy_http_client::{
    Builder, Connector,
    proxy::ProxyConfig,
    tls::{Provider, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        http::SharedHttpClient,
        interceptors::{
            Intercept,
            context::{
                AfterDeserializationInterceptorContextRef,
                BeforeDeserializationInterceptorContextMut,
            },
        },
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{DateTime, body::SdkBody, config_bag::ConfigBag, date_time::Format};
use http_body_util::Limited;
use serde_json::{Map, Value};
use tokio::{runtime::Runtime, time::timeout};

use super::{super::given::DOCUMENT_BYTES_MAX, Question};
use crate::sources::SourceError;
use refused::{failed, unreachable};

/// How long AWS may take to connect, to be silent, and to answer with all that is tried again.
const PATIENCE: [Duration; 3] = [
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(2),
];
/// How long all pages of an answer may take, and the bytes of a bundle.
const PATIENCE_FOR_ALL: Duration = Duration::from_mins(10);
/// Pages of one answer: of 100 each, more than AWS has of anything that is asked here.
const PAGES_MAX: usize = 64;

/// The SDK, set up when it is first asked.
#[derive(Default)]
pub(super) struct Way(OnceCell<Session>);

struct Session {
    apart: Apart,
    stacks: aws_sdk_cloudformation::Client,
    environments: aws_sdk_elasticbeanstalk::Client,
    objects: aws_sdk_s3::Client,
}

impl Way {
    pub(super) fn ask(&self, question: Question<'_>) -> Result<Value, SourceError> {
        use Question as Q;
        let session = self.session()?;
        let (apart, stacks, environments) =
            (&session.apart, &session.stacks, &session.environments);
        match question {
            Q::Stack(stack) => apart.wait(stacks::stack(stacks, stack)),
            Q::Template(stack, stage) => apart.wait(stacks::template(stacks, stack, stage)),
            Q::Resources(stack) => apart.wait(stacks::resources(stacks, stack)),
            Q::ChangeSets(stack) => apart.wait(stacks::change_sets(stacks, stack)),
            Q::DetectDrift(stack) => apart.wait(stacks::detect(stacks, stack)),
            Q::Detection(id) => apart.wait(stacks::detection(stacks, id)),
            Q::Drifts(stack, next) => apart.wait(stacks::drifts(stacks, stack, next)),
            Q::Environments(application, name) => {
                apart.wait(environments::environments(environments, application, name))
            }
            Q::Settings(application, name) => {
                apart.wait(environments::settings(environments, application, name))
            }
            Q::Versions(application, label) => {
                apart.wait(environments::versions(environments, application, label))
            }
        }
    }

    pub(super) fn fetch(
        &self,
        bucket: &str,
        key: &str,
        bytes_max: u64,
        to: &mut (dyn Write + Send),
    ) -> Result<Option<String>, SourceError> {
        let session = self.session()?;
        let fetched = objects::fetch(&session.objects, bucket, key, bytes_max, to);
        session.apart.wait(fetched)
    }

    fn session(&self) -> Result<&Session, SourceError> {
        if let Some(session) = self.0.get() {
            return Ok(session);
        }
        let session = Session::open()?;
        Ok(self.0.get_or_init(|| session))
    }
}

impl Session {
    fn open() -> Result<Self, SourceError> {
        let apart = Apart::new()?;
        let [connect, read, whole] = PATIENCE;
        let patience = TimeoutConfig::builder()
            .connect_timeout(connect)
            .read_timeout(read)
            .operation_timeout(whole)
            .build();
        let loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http_client())
            .timeout_config(patience);
        let config = apart.wait(async { Ok(loader.load().await) })?;
        if config.region().is_none() {
            return Err(SourceError::Input {
                what: "AWS".to_owned(),
                why: "no region is set: AWS_REGION names one, or the profile in use".to_owned(),
            });
        }
        let stacks = aws_sdk_cloudformation::config::Builder::from(&config);
        let environments = aws_sdk_elasticbeanstalk::config::Builder::from(&config);
        let bounded = Bounded(DOCUMENT_BYTES_MAX);
        Ok(Self {
            stacks: aws_sdk_cloudformation::Client::from_conf(
                stacks.interceptor(bounded.clone()).build(),
            ),
            environments: aws_sdk_elasticbeanstalk::Client::from_conf(
                environments.interceptor(bounded).build(),
            ),
            objects: objects::client(&config),
            apart,
        })
    }
}

/// A runtime that is waited for on a thread of its own; there until it is dropped.
struct Apart(Option<Runtime>);

impl Apart {
    fn new() -> Result<Self, SourceError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.map(|it| Self(Some(it))).map_err(|it| failed(&it))
    }

    fn wait<T: Send>(
        &self,
        asked: impl Future<Output = Result<T, SourceError>> + Send,
    ) -> Result<T, SourceError> {
        let runtime = self.0.as_ref().ok_or_else(|| unreachable("it is gone"))?;
        thread::scope(|scope| {
            let answered = async { timeout(PATIENCE_FOR_ALL, asked).await };
            let waiting = scope.spawn(|| runtime.block_on(answered));
            match waiting.join() {
                Ok(answered) => answered.unwrap_or_else(|_| Err(unreachable("no answer in time"))),
                Err(_) => Err(unreachable("asking it broke off")),
            }
        })
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        // By itself it would wait for its threads, and whoever asked may not be made to.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The SDK's own client, with TLS by ring as everywhere here, and with the machine's proxies.
fn http_client() -> SharedHttpClient {
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

/// Reads so many bytes of an answer and no more, and takes none that breaks off: the SDK itself
/// would hold all of them, and make do with what came.
#[derive(Debug, Clone)]
struct Bounded(u64);

impl Intercept for Bounded {
    fn name(&self) -> &'static str {
        "Bounded"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let limit = usize::try_from(self.0).unwrap_or(usize::MAX);
        let body = context.response_mut().body_mut();
        let whole = std::mem::replace(body, SdkBody::taken());
        *body = SdkBody::from_body_1_x(Limited::new(whole, limit));
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().unwrap_or_default();
        // What is an error already says more.
        if context.output_or_error().is_ok() && !is_whole(body) {
            return Err("the answer breaks off, or is no XML".into());
        }
        Ok(())
    }
}

/// Whether XML ends with the element that it begins with.
fn is_whole(xml: &[u8]) -> bool {
    let xml = xml.trim_ascii();
    let declared = xml.strip_prefix(b"<?").and_then(|xml| {
        let end = memchr::memmem::find(xml, b"?>")?;
        xml.get(end..)?.strip_prefix(b"?>")
    });
    let inside = declared.unwrap_or(xml).trim_ascii().strip_prefix(b"<");
    let name = inside.and_then(|inside| {
        let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'/');
        inside.get(..inside.iter().position(ends)?)
    });
    let ends = |name: &[u8]| {
        let rest = xml.strip_suffix(b">")?.trim_ascii_end();
        rest.strip_suffix(name)?.strip_suffix(b"</")
    };
    name.is_some_and(|name| !name.is_empty() && ends(name).is_some())
}

/// An object of the members that are there, as the command line prints one.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let there = members.into_iter();
    let there = there.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect::<Map<_, _>>())
}

/// A list, also of a member that is not there: the command line prints an empty one.
fn list<T>(items: &[T], each: impl Fn(&T) -> Value) -> Value {
    items.iter().map(each).collect()
}

fn text(value: Option<&str>) -> Option<Value> {
    value.map(Value::from)
}

/// A word of a list of words that AWS may make longer.
fn word(value: Option<&impl AsRef<str>>) -> Option<Value> {
    text(value.map(AsRef::as_ref))
}

/// A time, as RFC 3339 has it; none if it is in no year that this has.
fn moment(value: Option<&DateTime>) -> Option<Value> {
    value?.fmt(Format::DateTime).ok().map(Value::from)
}

#[cfg(test)]
mod tests {
    use super::is_whole;

    /// Goal: XML that breaks off is not taken for whole. Method: an answer, cut everywhere.
    #[test]
    fn xml_that_breaks_off_is_not_whole() {
        for whole in [
            "<?xml version=\"1.0\"?>\n<a xmlns=\"x\"><b>t</b></a>\n",
            "<a><a>t</a></a>",
        ] {
            assert!(is_whole(whole.as_bytes()));
            let end = whole.trim_end().len();
            let whole_too = whole.find("</a>").map(|at| at + 4);
            for cut in (0..end).filter(|cut| Some(*cut) != whole_too) {
                assert!(!is_whole(&whole.as_bytes()[..cut]), "{cut}");
            }
        }
        for none in ["", "hello", "<>x</>", "<a/>", "{\"a\": 1}"] {
            assert!(!is_whole(none.as_bytes()), "{none}");
        }
    }
}
