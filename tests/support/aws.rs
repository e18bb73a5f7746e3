//! AWS as the tests have it: moto, a server that keeps stacks, queues and buckets, and before
//! it a stand-in that answers what moto does not: detection of drift, and Elastic Beanstalk.
//! Both are driven by AWS's own command line.
//!
//! The stand-in speaks the query protocol of AWS (forms in, XML out) as the service models of
//! the command line describe it. What it says of drift is what a test tells it to say.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt::Write as _,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{net::TcpListener, runtime::Builder, sync::oneshot};

use super::tools::lacks;

const STACKS: &str = "http://cloudformation.amazonaws.com/doc/2010-05-15/";
const ENVIRONMENTS: &str = "http://elasticbeanstalk.amazonaws.com/docs/2010-12-01/";

/// What the stand-in says.
#[derive(Default)]
pub(crate) struct Says {
    /// Of each resource: its drift status, and properties that differ (path, expected, actual).
    pub(crate) drift: BTreeMap<String, (&'static str, Vec<[String; 3]>)>,
    /// How often it says that a detection is still under way.
    pub(crate) busy: usize,
    /// Whether it does not say when a detection began.
    pub(crate) undated: bool,
    /// Whether rows are of a detection before the one that was asked for.
    pub(crate) old_rows: bool,
    /// Actions that the caller is not allowed.
    pub(crate) denied: Vec<&'static str>,
    /// Answers: the action, and the inside of its result.
    pub(crate) answers: BTreeMap<&'static str, String>,
}

/// moto and the stand-in, ended with this.
pub(crate) struct Cloud {
    moto: Child,
    address: SocketAddr,
    says: Arc<Mutex<Says>>,
    stop: Option<oneshot::Sender<()>>,
    served: Option<thread::JoinHandle<()>>,
}

impl Cloud {
    /// Starts both; `None` where they cannot run here, and that was said.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let has = |program: &str, arguments: &[&str]| {
            let ran = Command::new(program).args(arguments).output();
            ran.is_ok_and(|ran| ran.status.success())
        };
        let python = ["python3.11", "python3"].into_iter();
        let mut python = python.filter(|it| has(it, &["-c", "import moto.server"]));
        let (Some(python), true) = (python.next(), has("aws", &["--version"])) else {
            let why = "it needs the AWS CLI, and python3 with the package moto[server]";
            lacks(test, why);
            return None;
        };
        let main = "from moto.server import main; main(['-H', '127.0.0.1', '-p', '0'])";
        let mut command = Command::new(python);
        let quiet = command.args(["-c", main]).stdout(Stdio::null());
        let mut moto = quiet.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(moto.stderr.take().unwrap()).lines();
        let told = |line: String| Some(line.split_once("http://")?.1.trim().to_owned());
        let behind = lines.find_map(|line| told(line.unwrap())).unwrap();
        // It must not meet a full pipe.
        thread::spawn(move || lines.for_each(drop));
        let says = Arc::new(Mutex::new(Says::default()));
        let (stop, stopped) = oneshot::channel();
        let (tell, address) = std::sync::mpsc::channel();
        let shared = Arc::clone(&says);
        let served = thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = serve(listener, behind, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        Some(Self {
            moto,
            address: address.recv().unwrap(),
            says,
            stop: Some(stop),
            served: Some(served),
        })
    }

    /// Changes what the stand-in says.
    pub(crate) fn says(&self, change: impl FnOnce(&mut Says)) {
        change(&mut self.says.lock().unwrap());
    }

    /// Points a command at both, and at no settings of this machine.
    pub(crate) fn settle<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        for name in ["AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"] {
            command.env_remove(name);
        }
        command
            .env("AWS_ENDPOINT_URL", format!("http://{}", self.address))
            .env("AWS_ACCESS_KEY_ID", "testing")
            .env("AWS_SECRET_ACCESS_KEY", "testing")
            .env("AWS_DEFAULT_REGION", "eu-west-1")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_MAX_ATTEMPTS", "1")
    }

    /// What AWS's command line prints.
    #[track_caller]
    pub(crate) fn aws(&self, words: &[&str]) -> String {
        let mut command = Command::new("aws");
        let ran = self.settle(command.args(words).args(["--output", "json"]));
        let ran = ran.output().unwrap();
        let complaint = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "aws {words:?}: {complaint}");
        String::from_utf8(ran.stdout).unwrap()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Nothing to do if it is gone already.
        let _ = self.moto.kill();
        let _ = self.moto.wait();
        let _ = self.served.take().map(thread::JoinHandle::join);
    }
}

async fn serve(listener: TcpListener, behind: String, says: Arc<Mutex<Says>>) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (behind, says, client) = (behind.clone(), Arc::clone(&says), client.clone());
        tokio::spawn(async move {
            let answer = service_fn(move |request| {
                answer(request, behind.clone(), Arc::clone(&says), client.clone())
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            // A client that goes away is no concern of ours.
            let _ = connection.await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    behind: String,
    says: Arc<Mutex<Says>>,
    client: Client<HttpConnector, Full<Bytes>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let form = parse_form(&body);
    if let Some(said) = says.lock().unwrap().answer(&form) {
        return Ok(said);
    }
    let path = parts.uri.path_and_query().unwrap().to_string();
    parts.uri = format!("http://{behind}{path}").parse::<Uri>().unwrap();
    let host = HeaderValue::from_str(&behind).unwrap();
    parts.headers.insert(header::HOST, host);
    let asked = client.request(Request::from_parts(parts, Full::new(body)));
    let (parts, body) = asked.await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Ok(Response::from_parts(parts, Full::new(body)))
}

type Form = BTreeMap<String, String>;

fn parse_form(body: &[u8]) -> Form {
    let text = String::from_utf8_lossy(body);
    let decode = |text: &str| {
        let (text, mut bytes) = (text.replace('+', " ").into_bytes(), Vec::new());
        let mut at = 0;
        while at < text.len() {
            let escape = text.get(at + 1..at + 3).filter(|_| text[at] == b'%');
            let escape = escape.and_then(|two| hex::decode(two).ok());
            bytes.push(escape.as_ref().map_or(text[at], |byte| byte[0]));
            at += if escape.is_some() { 3 } else { 1 };
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

impl Says {
    /// What is said to one of its own actions.
    fn answer(&mut self, form: &Form) -> Option<Response<Full<Bytes>>> {
        let action = form.get("Action")?.as_str();
        if self.denied.contains(&action) {
            let why = format!("User is not authorized to perform: {action}");
            return Some(refusal(403, "AccessDenied", &why));
        }
        let result = match action {
            "DetectStackDrift" => member("StackDriftDetectionId", "b78ac9b0-dec1-11e7-a451"),
            "DescribeStackDriftDetectionStatus" => self.status(),
            "DescribeStackResourceDrifts" => self.rows(form),
            _ => self.answers.get(action)?.clone(),
        };
        let of_stacks = ["Stack", "ChangeSet", "Template"];
        let of_stacks = of_stacks.iter().any(|part| action.contains(part));
        let namespace = if of_stacks { STACKS } else { ENVIRONMENTS };
        let request = "<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>";
        let text = format!(
            "<{action}Response xmlns=\"{namespace}\"><{action}Result>{result}</{action}Result>\
             {request}</{action}Response>"
        );
        Some(Response::new(Full::new(text.into())))
    }

    fn status(&mut self) -> String {
        let status = match self.busy {
            0 => "DETECTION_COMPLETE",
            _ => "DETECTION_IN_PROGRESS",
        };
        self.busy = self.busy.saturating_sub(1);
        // Of the whole stack: what must not be believed.
        [
            member("StackDriftDetectionId", "b78ac9b0-dec1-11e7-a451"),
            member("StackDriftStatus", "IN_SYNC"),
            member("DetectionStatus", status),
            if self.undated {
                String::new()
            } else {
                member("Timestamp", "2026-11-01T10:00:00.000Z")
            },
        ]
        .concat()
    }

    fn rows(&self, form: &Form) -> String {
        let at = if self.old_rows {
            "2026-10-31T09:00:00.000Z"
        } else {
            "2026-11-01T10:00:03.000Z"
        };
        let mut rows = String::new();
        for (logical, (status, differences)) in &self.drift {
            let mut told = String::new();
            for [path, expected, actual] in differences {
                let difference = [
                    member("PropertyPath", path),
                    member("ExpectedValue", expected),
                    member("ActualValue", actual),
                    member("DifferenceType", "NOT_EQUAL"),
                ];
                let _ = write!(told, "<member>{}</member>", difference.concat());
            }
            // AWS says the id; who asks by a name is not told it here.
            let id = form.get("StackName").filter(|id| id.starts_with("arn:"));
            let row = [
                id.map(|id| member("StackId", id)).unwrap_or_default(),
                member("LogicalResourceId", logical),
                member("StackResourceDriftStatus", status),
                member("Timestamp", at),
                format!("<PropertyDifferences>{told}</PropertyDifferences>"),
            ];
            let _ = write!(rows, "<member>{}</member>", row.concat());
        }
        format!("<StackResourceDrifts>{rows}</StackResourceDrifts>")
    }
}

/// One member of a result.
pub(crate) fn member(name: &str, text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    format!("<{name}>{text}</{name}>")
}

fn refusal(status: u16, code: &str, why: &str) -> Response<Full<Bytes>> {
    let inside = [
        member("Type", "Sender"),
        member("Code", code),
        member("Message", why),
    ];
    let text = format!(
        "<ErrorResponse><Error>{}</Error><RequestId>1</RequestId></ErrorResponse>",
        inside.concat()
    );
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
    answer
}
