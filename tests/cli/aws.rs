//! AWS through its SDK: who cannot ask is told what is missing, and answers that nobody should
//! believe are none.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use crate::{
    cloudformation::differences,
    stage::{Ran, Stage},
    support::aws::member,
};

const STACKS: &str = "--cloudformation=live:web";

/// How an answer is written that is none.
pub(crate) type Lie = fn(&mut dyn Write);

/// An endpoint that says whatever a test wants it to say; ended with this.
pub(crate) struct Endpoint {
    pub(crate) address: SocketAddr,
    ended: Arc<AtomicBool>,
    serving: Option<thread::JoinHandle<()>>,
}

impl Endpoint {
    /// Answers each request, of which the first line and the body are told.
    pub(crate) fn start(answer: impl Fn(&str, &mut dyn Write) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, ended) = (listener.local_addr().unwrap(), Arc::default());
        let end: Arc<AtomicBool> = Arc::clone(&ended);
        let serving = thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                let mut stream = stream.unwrap();
                if let Some(request) = read(&mut stream) {
                    answer(&request, &mut stream);
                }
            }
        });
        Self {
            address,
            ended,
            serving: Some(serving),
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // It looks when somebody comes.
        drop(TcpStream::connect(self.address));
        let _ = self.serving.take().map(thread::JoinHandle::join);
    }
}

fn read(stream: &mut TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut line, mut length) = (String::new(), String::new(), 0);
    reader.read_line(&mut first).ok()?;
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let lower = line.to_ascii_lowercase();
        if let Some(told) = lower.strip_prefix("content-length:") {
            length = told.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(format!("{first}{}", String::from_utf8_lossy(&body)))
}

/// A whole answer. That the other side does not want all of it is no concern of ours.
pub(crate) fn says(to: &mut dyn Write, status: &str, headers: &str, body: &[u8]) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
    );
    let _ = to
        .write_all(head.as_bytes())
        .and_then(|()| to.write_all(body));
}

fn result(action: &str, inside: &str) -> Vec<u8> {
    format!("<{action}Response><{action}Result>{inside}</{action}Result></{action}Response>")
        .into_bytes()
}

pub(crate) fn refusal(code: &str) -> Vec<u8> {
    let error = [member("Code", code), member("Message", "no")].concat();
    format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>").into_bytes()
}

/// A command with no settings of AWS but these.
pub(crate) fn settled(stage: &Stage, line: &str) -> Command {
    let mut command = stage.command();
    command.args(line.split_whitespace());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    command
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_MAX_ATTEMPTS", "1");
    command
}

pub(crate) fn run(stage: &Stage, address: SocketAddr, line: &str) -> Ran {
    let mut command = settled(stage, line);
    command
        .env("AWS_ENDPOINT_URL", format!("http://{address}"))
        .env("AWS_ACCESS_KEY_ID", "testing")
        .env("AWS_SECRET_ACCESS_KEY", "testing")
        .env("AWS_REGION", "eu-west-1");
    Ran::of(&mut command, line)
}

/// Goal: whoever cannot ask is told what is missing, and not that something differs, or does
/// not. Method: no region, no credentials, such as AWS does not know, nobody there; recording,
/// and comparing with what a template's file said.
#[test]
fn who_cannot_ask_is_told_what_is_missing() {
    let (stage, _ledger) = Stage::with_ledger();
    stage.write("web.yaml", "Resources: {T: {Type: 'AWS::SNS::Topic'}}\n");
    stage
        .run("record prod/web --cloudformation=web.yaml")
        .exits(0);
    for verb in ["record", "verify"] {
        let line = format!("{verb} prod/web {STACKS}");
        let ran = Ran::of(&mut settled(&stage, &line), &line);
        ran.refuses(1, "SOURCE_INVALID").says("AWS_REGION");
        let mut command = settled(&stage, &line);
        let ran = Ran::of(command.env("AWS_REGION", "eu-west-1"), &line);
        ran.refuses(4, "SOURCE_DENIED")
            .says("there are no credentials");
        let unknown = Endpoint::start(|_, to| {
            let said = refusal("InvalidClientTokenId");
            says(to, "403 Forbidden", "", &said);
        });
        let ran = run(&stage, unknown.address, &line);
        ran.refuses(4, "SOURCE_DENIED").says("InvalidClientTokenId");
        let gone = unknown.address;
        drop(unknown);
        let ran = run(&stage, gone, &line);
        ran.refuses(3, "UNREACHABLE").says("refused");
        let silent = Endpoint::start(|_, _| {});
        run(&stage, silent.address, &line).refuses(3, "UNREACHABLE");
    }
}

/// Goal: an answer that is none records nothing and verifies nothing. Method: one of each sort,
/// one of them longer than anything that is ever read.
#[test]
fn answers_that_nobody_should_believe_are_none() {
    let (stage, _ledger) = Stage::with_ledger();
    stage.write("web.yaml", "Resources: {T: {Type: 'AWS::SNS::Topic'}}\n");
    stage
        .run("record prod/web --cloudformation=web.yaml")
        .exits(0);
    let before = stage.size();
    let long = [
        b"<DescribeStacksResponse><DescribeStacksResult>".to_vec(),
        vec![b' '; 17 << 20],
    ];
    let broken = "<DescribeStacksResponse><DescribeStacksResult><Stacks><member>\
        <StackName>web</StackName><Description>a < b</Description><StackStatus>UPDATE_COMPLETE\
        </StackStatus></member></Stacks></DescribeStacksResult></DescribeStacksResponse>";
    let many = broken
        .replace("a < b", "")
        .replace("</member>", &"<x/>".repeat(200_000));
    let answers = [
        ("200 OK", b"hello".to_vec(), "is no XML"),
        ("200 OK", b"<a><b></a>".to_vec(), "is no XML"),
        ("200 OK", b"<a><b/></a>".to_vec(), "DescribeStacks"),
        ("200 OK", broken.as_bytes().to_vec(), "is no XML"),
        (
            "200 OK",
            many.replace("</Stacks>", "</member></Stacks>").into_bytes(),
            "is no XML",
        ),
        ("200 OK", long[0].clone(), "is no XML"),
        ("200 OK", long.concat(), "length limit exceeded"),
        ("404 Not Found", Vec::new(), "answers 404"),
        ("404 Not Found", long.concat(), "length limit exceeded"),
        ("500 Oh", refusal("InternalFailure"), "InternalFailure"),
        ("403 Forbidden", refusal("AccessDenied"), "AccessDenied"),
    ];
    for (status, body, why) in answers {
        let endpoint = Endpoint::start(move |_, to| says(to, status, "", &body));
        let ran = run(
            &stage,
            endpoint.address,
            &format!("record prod/web {STACKS}"),
        );
        ran.refuses(1, "TOOL_FAILED").says(why);
        let ran = run(
            &stage,
            endpoint.address,
            &format!("verify prod/web {STACKS}"),
        );
        ran.exits(16).says(why);
    }
    assert_eq!(stage.size(), before);
}

/// AWS with one environment, whose bundle is fetched as `get` says.
pub(crate) fn shop(get: Lie) -> Endpoint {
    Endpoint::start(move |request, to| {
        let names = [
            member("ApplicationName", "shop"),
            member("EnvironmentName", "prod"),
            member("EnvironmentId", "e-1"),
            member("VersionLabel", "v1"),
        ]
        .concat();
        let list =
            |name: &str, more: &str| format!("<{name}><member>{names}{more}</member></{name}>");
        let bundle = [member("S3Bucket", "bundles"), member("S3Key", "a b.zip")].concat();
        let bundle = format!("<SourceBundle>{bundle}</SourceBundle>");
        let action = request.split("Action=").nth(1).unwrap_or_default();
        let action = action.split('&').next().unwrap_or_default().to_owned();
        let inside = match action.as_str() {
            "DescribeEnvironments" => list("Environments", &member("Status", "Ready")),
            "DescribeConfigurationSettings" => list("ConfigurationSettings", ""),
            "DescribeApplicationVersions" => list("ApplicationVersions", &bundle),
            _ => {
                assert!(request.starts_with("GET /bundles/a%20b.zip"), "{request}");
                return get(to);
            }
        };
        says(to, "200 OK", "", &result(&action, &inside));
    })
}

/// Goal: a bundle that does not come whole, or as S3 says that it is, is no match and is not
/// recorded. Method: one that is longer than any, one that breaks off, one that has another
/// checksum than its own, and the same as it should be.
#[test]
fn a_bundle_that_does_not_come_whole_is_no_match() {
    let (stage, _ledger) = Stage::with_ledger();
    let sound = shop(|to| says(to, "200 OK", "x-amz-version-id: 7\r\n", b"bundle"));
    let record = "record prod/shop --beanstalk=live:shop/prod";
    run(&stage, sound.address, record).exits(0);
    let verify = "verify prod/shop --beanstalk=live:shop/prod --output json";
    run(&stage, sound.address, verify).exits(0);
    let before = stage.size();
    let lies: [(Lie, &str); 6] = [
        (
            |to| {
                let _ = to.write_all(b"HTTP/1.1 200 OK\r\n\r\nbund");
            },
            "does not say how long",
        ),
        (
            |to| says(to, "500 Oh", "", &vec![b' '; 2 << 20]),
            "length limit exceeded",
        ),
        (
            |to| {
                says(
                    to,
                    "206 Partial Content",
                    "Content-Range: bytes 0-5/9\r\n",
                    b"bundle",
                );
            },
            "206 is no answer",
        ),
        (
            |to| {
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 600000000\r\n\r\n";
                let _ = to.write_all(head.as_bytes());
            },
            "longer than 512 MiB",
        ),
        (
            |to| {
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nbundle";
                let _ = to.write_all(head.as_bytes());
            },
            "cannot be fetched",
        ),
        (
            |to| {
                says(
                    to,
                    "200 OK",
                    "x-amz-checksum-crc32: AAAAAA==\r\n",
                    b"bundle",
                );
            },
            "checksum",
        ),
    ];
    for (lie, why) in lies {
        let endpoint = shop(lie);
        let ran = run(&stage, endpoint.address, verify).exits(16).says(why);
        let version = ["beanstalk/version/shop/v1", "", "unverifiable"];
        assert_eq!(differences(&ran), [version]);
        run(&stage, endpoint.address, record)
            .refuses(1, "SOURCE_INVALID")
            .says(why);
    }
    assert_eq!(stage.size(), before);
}
