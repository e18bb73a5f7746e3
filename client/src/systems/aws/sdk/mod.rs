//! AWS's official SDK, on a thread and a runtime of its own: whoever asks may stand in one.
//!
//! Settings are those of AWS's shared files and variables: profile, region, credentials of
//! every kind that the SDK knows, endpoints (`AWS_ENDPOINT_URL`, and by service), retries, and
//! this machine's proxies. Authorities are the system's, or those of `SSL_CERT_FILE`.

mod environments;
mod http;
mod objects;
mod refused;
mod settings;
mod stacks;
mod xml;

use std::{cell::OnceCell, io::Write, thread, time::Duration};

use aws_smithy_types::{DateTime, date_time::Format};
use serde_json::{Map, Value};
use tokio::{runtime::Runtime, time::timeout};

use super::Question;
use crate::sources::SourceError;
use http::{Proxies, Speaks};
use refused::{failed, unreachable};

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
        let http = http::client(Proxies::All);
        // A machine gives its credentials in clear: to nobody in between.
        let brief = http::of(&http::client(Proxies::OfTls), Speaks::Briefly);
        let config = apart.wait(settings::load(brief))?;
        let xml = http::of(&http, Speaks::Xml);
        let stacks = aws_sdk_cloudformation::config::Builder::from(&config);
        let mut environments = aws_sdk_elasticbeanstalk::config::Builder::from(&config);
        // By itself the SDK looks for a section of another spelling than AWS's documents have.
        environments.set_endpoint_url(settings::endpoint(&config, "Elastic_Beanstalk"));
        Ok(Self {
            stacks: aws_sdk_cloudformation::Client::from_conf(
                stacks.http_client(xml.clone()).build(),
            ),
            environments: aws_sdk_elasticbeanstalk::Client::from_conf(
                environments.http_client(xml).build(),
            ),
            objects: objects::client(&config, http::of(&http, Speaks::Bytes)),
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
            let apart = thread::Builder::new();
            let waiting = apart.spawn_scoped(scope, || runtime.block_on(answered));
            match waiting.map_err(|error| failed(&error))?.join() {
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

/// An object of the members that are there, as the command line prints one.
fn object<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let there = members.into_iter();
    let there = there.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(there.collect::<Map<_, _>>())
}

/// A list: of what is not there, an empty one.
fn list<T>(items: &[T], each: impl Fn(&T) -> Value) -> Value {
    items.iter().map(each).collect()
}

fn text(value: Option<&str>) -> Option<Value> {
    value.map(Value::from)
}

/// Where the next page begins: nowhere, where that is empty.
fn next(token: Option<String>) -> Option<String> {
    token.filter(|token| !token.is_empty())
}

/// A word of a list of words that AWS may make longer; not what the SDK says where there is none.
fn word(value: Option<&impl AsRef<str>>) -> Option<Value> {
    text(
        value
            .map(AsRef::as_ref)
            .filter(|word| *word != "no value was set"),
    )
}

/// A time, as RFC 3339 has it. The beginning of all times is what the SDK says where none was told.
fn moment(value: Option<&DateTime>) -> Option<Value> {
    let value = value.filter(|value| value.secs() != 0)?;
    value.fmt(Format::DateTime).ok().map(Value::from)
}
