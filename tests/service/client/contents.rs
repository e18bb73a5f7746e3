//! Contents that are not what was recorded, and answers that never end.

use std::time::{Duration, Instant};

use cairn_client::{
    connect::{Connection, Endpoint, Timeouts},
    error::ClientError,
    ledger::Ledger,
    read::Restored,
    sources::Capture,
    verdict::Verdict,
};
use cairn_proto::{
    hash::Sha256,
    manifest::{ArtifactKind, Bytes, Comparison},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use crate::{
    client::{
        desk::{Desk, environment},
        liar::{Case, Served},
    },
    support::Server,
};

/// How long these clients wait.
const PATIENCE: Duration = Duration::from_millis(300);
/// How long all of their tries may take.
const AT_MOST: Duration = Duration::from_secs(20);

fn impatient(url: String) -> Connection {
    let mut endpoint = Endpoint::new(url);
    endpoint.timeouts = Timeouts {
        request: PATIENCE,
        ..Timeouts::default()
    };
    Connection::open(&endpoint).unwrap()
}

async fn restore(desk: &Desk, name: &str) -> Result<Restored, ClientError> {
    let (current, name) = ("staging".parse().unwrap(), name.parse().unwrap());
    desk.ledger
        .restore(&current, &name, &desk.shop(), &())
        .await
}

async fn record(desk: &Desk, capture: &Capture) {
    let (comparison, terms) = (Comparison::default(), desk.terms());
    let environment = environment();
    let recorded = desk
        .ledger
        .record(&environment, capture, comparison, &terms, &());
    recorded.await.unwrap();
}

/// Goal: who signed digests that contradict each other is not the server's fault. Method: a
/// SHA-256 of something else, signed and recorded; the server is honest.
#[tokio::test(flavor = "multi_thread")]
async fn digests_that_contradict_each_other_are_not_called_tampering() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let desk = Desk::at(&server).await;
    let mut capture = desk.capture();
    let mut artifacts = capture.artifacts.iter_mut();
    let artifact = artifacts.find(|it| it.name.as_str() == "web.yaml").unwrap();
    let Bytes::Stored { digests, .. } = &mut artifact.bytes else {
        panic!("it is stored");
    };
    digests.sha256 = Sha256::of(b"something else");
    record(&desk, &capture).await;
    let error = restore(&desk, "web.yaml").await.unwrap_err();
    assert_eq!(error.verdict(), Some(Verdict::Failed), "{error}");
    assert_eq!((error.code(), error.exit_code()), ("CONTENT_MISMATCH", 1));
    assert!(error.to_string().contains("staging#1"), "{error}");
    assert!(error.evidence().is_none());
    assert!(restore(&desk, "conf/api.yaml").await.is_ok());
    assert_eq!(desk.verify().await.unwrap().verdict, Verdict::Drift);
    server.stop().await;
}

/// Goal: bytes with another BLAKE3 than the one asked for are the server's.
#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_than_those_asked_for_are_tampering() {
    let case = Case::new().await;
    let served = |bytes| case.lies.lock().unwrap().content = Some(Served::Bytes(bytes));
    for bytes in [&b"replicas: 3\n"[..], b"replicas: 2\n and more"] {
        served(bytes);
        let error = restore(&case.desk, "web.yaml").await.unwrap_err();
        assert_eq!(error.verdict(), Some(Verdict::Tampered), "{error}");
        assert!(error.evidence().unwrap().exists());
    }
    served(b"replicas");
    let error = restore(&case.desk, "web.yaml").await.unwrap_err();
    assert_eq!(error.verdict(), Some(Verdict::Failed), "{error}");
    served(b"replicas: 2\n");
    assert!(restore(&case.desk, "web.yaml").await.is_ok());
    case.server.stop().await;
}

/// Goal: no recorded size makes a client hold gigabytes for a link. Method: a link with a
/// target that is longer than any.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_with_a_target_of_no_sane_length_is_not_even_fetched() {
    let case = Case::new().await;
    let desk = &case.desk;
    desk.put("sane", &[b'x'; 200]);
    desk.put("long", &[b'x'; 4_097]);
    let mut capture = desk.capture();
    for artifact in &mut capture.artifacts {
        if matches!(artifact.name.as_str(), "sane" | "long") {
            artifact.kind = ArtifactKind::Symlink;
            artifact.mode = None;
        }
    }
    record(desk, &capture).await;
    // Whoever fetches is told that there is nothing.
    let fetched = restore(desk, "sane").await.unwrap_err();
    assert!(matches!(fetched, ClientError::Refused(_)), "{fetched}");
    let error = restore(desk, "long").await.unwrap_err();
    let ClientError::File { error, .. } = error else {
        panic!("{error}");
    };
    let too_long = rustix::io::Errno::NAMETOOLONG.raw_os_error();
    assert_eq!(error.raw_os_error(), Some(too_long));
    case.lies.lock().unwrap().content = Some(Served::Bytes(&[b'x'; 200]));
    assert!(restore(desk, "sane").await.is_ok());
    case.server.stop().await;
}

/// Goal: a stream that says nothing ends. Method: parts without bytes, each in time.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_empty_parts_does_not_hold_a_client() {
    let mut case = Case::new().await;
    case.lies.lock().unwrap().content = Some(Served::Nothing);
    let (home, trust) = (
        case.desk.ledger.home().clone(),
        case.desk.ledger.trust().clone(),
    );
    let url = case.desk.ledger.connection().address().to_owned();
    case.desk.ledger = Ledger::new(&home, trust, impatient(url));
    let restored = tokio::time::timeout(AT_MOST, restore(&case.desk, "web.yaml")).await;
    let error = restored.expect("it ends").unwrap_err();
    assert_eq!(error.code(), "UNREACHABLE", "{error}");
    case.server.stop().await;
}

/// Goal: a body that drips ends. Method: a byte at a time, each well in time.
#[tokio::test(flavor = "multi_thread")]
async fn a_dripping_body_does_not_hold_a_client() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = socket.read(&mut [0; 4_096]).await;
                let head = "HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n";
                let mut sent = socket.write_all(head.as_bytes()).await;
                while sent.is_ok() {
                    tokio::time::sleep(PATIENCE / 6).await;
                    sent = socket.write_all(b"x").await;
                }
            });
        }
    });
    let connection = impatient(url);
    let began = Instant::now();
    let note = tokio::time::timeout(AT_MOST, connection.read_api().checkpoint()).await;
    let error = note.expect("it ends").unwrap_err();
    assert_eq!(error.code(), "UNREACHABLE", "{error}");
    assert!(began.elapsed() > PATIENCE);
}

/// Goal: nothing is called erased because a server says so. Method: a server that has the bytes and
/// says that an order erased them, where the log has no order.
#[tokio::test(flavor = "multi_thread")]
async fn who_says_erased_without_an_order_is_not_believed() {
    let case = Case::new().await;
    case.lies.lock().unwrap().content = Some(Served::Erased);
    let error = restore(&case.desk, "web.yaml").await.unwrap_err();
    assert_eq!(error.verdict(), Some(Verdict::Failed));
    assert_eq!(error.code(), "INCLUSION_UNPROVEN");
    assert!(error.to_string().contains("not proven"), "{error}");
    case.desk.put("web.yaml", b"replicas: 3\n");
    let report = case.desk.verify().await.unwrap();
    assert_eq!(report.verdict, Verdict::Drift);
    assert!(report.erased.is_empty());
    case.server.stop().await;
}
