//! Input that is too large, too deep or no input at all: each call is told so in its own
//! words, and the server is none the worse. It is a process of its own, so that its memory
//! and its last words can be read.

use std::time::Duration;

use bytes::Bytes;
use cairn_grpc::{refused, v1};
use cairn_proto::hash::ContentId;
use http::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tonic::{Code, Status};

use crate::{
    frames::{DATA, END_HEADERS, END_STREAM, HEADERS, Raw, call, frame},
    support::{
        Draft,
        audit::audit_by,
        external,
        http::{Browser, Version},
        manifest,
        process::{Dev, Served},
        prove::{self},
        request_by,
    },
};

/// KiB by which a server may grow.
const GROWTH_MAX: u64 = 64 << 10;

pub(crate) struct Target {
    _directory: tempfile::TempDir,
    pub(crate) dev: Dev,
    pub(crate) served: Served,
    before: u64,
}

impl Target {
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let dev = Dev::below(directory.path());
        let served = tokio::task::block_in_place(|| dev.start());
        let mut browser = Browser::open(served.address, Version::Two).await;
        audit_by(&mut browser, &dev.trust()).await;
        Self {
            before: served.memory().1,
            _directory: directory,
            dev,
            served,
        }
    }

    pub(crate) fn draft(&self, environment: &str) -> Draft {
        let files = manifest(vec![external("a", environment.as_bytes())]);
        Draft::new(*self.dev.trust().genesis(), environment, 1, &files)
    }

    /// It still appends, audits, and never panicked; its memory stayed in bounds.
    pub(crate) async fn ends_well(self, what: &str) {
        let request = self.draft("afterwards").sign_by(&self.dev.key());
        let receipt = self
            .served
            .client()
            .await
            .append(request.clone())
            .await
            .unwrap();
        prove::receipt(
            &self.dev.trust(),
            &request,
            "afterwards",
            &receipt.into_inner(),
        );
        let mut browser = Browser::open(self.served.address, Version::One).await;
        audit_by(&mut browser, &self.dev.trust()).await;
        drop(browser);
        let grown = self.served.memory().1 - self.before;
        println!("{what}: grew by {grown} KiB");
        assert!(grown < GROWTH_MAX, "{what}: it grew by {grown} KiB");
        let ended = self.served.stop();
        assert_eq!(ended.code, Some(0), "{what}: {}", ended.stderr);
        assert!(
            !ended.stderr.contains("panicked"),
            "{what}: {}",
            ended.stderr
        );
    }
}

pub(crate) fn code<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    refused(&answer.unwrap_err()).code
}

/// Goal: a message beyond the bound is refused before it is gathered. Method: many at once,
/// on every call that takes bytes; and one that only says that it is 4 GiB long.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_beyond_the_bound_is_refused_unread() {
    let target = Target::new().await;
    let oversize = Bytes::from(vec![b'x'; 7 << 20]);
    let append = v1::AppendRequest {
        envelope: oversize.clone(),
        ..Default::default()
    };
    let part = v1::PutContentRequest {
        data: oversize.clone(),
        last: true,
        ..Default::default()
    };
    let lookup = v1::LookupRequest {
        trusted_checkpoint: oversize.clone(),
        ..Default::default()
    };
    for _ in 0..5 {
        let mut client = target.served.client().await;
        let item = v1::AppendStreamRequest {
            tag: 1,
            append: Some(append.clone()),
        };
        let streamed = client
            .append_stream(tokio_stream::iter([item]))
            .await
            .unwrap();
        let refusals = [
            client.append(append.clone()).await.unwrap_err(),
            client
                .put_content(tokio_stream::iter([part.clone()]))
                .await
                .unwrap_err(),
            client.lookup(lookup.clone()).await.unwrap_err(),
            streamed.into_inner().message().await.unwrap_err(),
        ];
        for status in refusals {
            let known = [Code::OutOfRange, Code::ResourceExhausted];
            assert!(known.contains(&status.code()), "{status:?}");
            assert!(status.message().contains("too large"), "{status:?}");
        }
    }
    for announced in [u32::MAX, (6 << 20) + 1, 1 << 31] {
        let mut raw = Raw::open(target.served.address, &[]).await;
        let mut message = vec![0];
        message.extend(announced.to_be_bytes());
        let head = frame(HEADERS, END_HEADERS, 1, &call("/cairn.v1.Ledger/Append"));
        raw.send(&[head, frame(DATA, 0, 1, &message)].concat())
            .await;
        let farewell = raw.farewell(Duration::from_secs(1)).await;
        assert!(farewell.answers > 0, "{announced} bytes: {farewell:?}");
    }
    target.ends_well("oversize messages").await;
}

/// Goal: nobody unpacks a bomb: the server speaks no compression.
#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_message_is_refused() {
    let target = Target::new().await;
    let mut raw = Raw::open(target.served.address, &[]).await;
    let message = [&[1, 0, 0, 0, 20], [0x78_u8; 20].as_slice()].concat();
    let head = frame(HEADERS, END_HEADERS, 1, &call("/cairn.v1.Ledger/GetLedger"));
    raw.send(&[head, frame(DATA, END_STREAM, 1, &message)].concat())
        .await;
    let farewell = raw.farewell(Duration::from_secs(1)).await;
    assert_eq!(
        (farewell.answers, farewell.closed),
        (1, false),
        "{farewell:?}"
    );
    target.ends_well("a compressed message").await;
}

/// Goal: headers are bounded, over either HTTP; the next request is answered.
#[tokio::test(flavor = "multi_thread")]
async fn oversize_headers_are_refused() {
    let target = Target::new().await;
    let token = |bytes: usize| "x".repeat(bytes);
    for version in [Version::One, Version::Two] {
        let browser = Browser::open(target.served.address, version).await;
        let mut browser = browser.with_token(&token(100 << 10));
        match browser.get("/checkpoint").await {
            Ok(answer) => assert_eq!(answer.status, 431, "{version:?}"),
            // The connection may be closed instead.
            Err(error) => assert!(!error.contains("no answer in"), "{version:?}: {error}"),
        }
    }
    let path = format!("/tile/{}", "x001/".repeat(4_000));
    for version in [Version::One, Version::Two] {
        let mut browser = Browser::open(target.served.address, version).await;
        if let Ok(answer) = browser.ask(Method::GET, &path).await {
            assert!(
                [404, 414, 431].contains(&answer.status),
                "{version:?}: {}",
                answer.status
            );
        }
    }
    // A line without end.
    let mut stream = TcpStream::connect(target.served.address).await.unwrap();
    let line = vec![b'x'; 64 << 10];
    let mut sent = 0;
    while sent < 64 << 20 {
        match timeout(Duration::from_secs(5), stream.write_all(&line)).await {
            Ok(Ok(())) => sent += line.len(),
            _ => break,
        }
    }
    assert!(sent < 8 << 20, "{sent} bytes of one line were read");
    let mut rest = Vec::new();
    let read = timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
    assert!(read.is_ok(), "a line without end keeps its connection");
    target.ends_well("oversize headers").await;
}

/// Goal: nesting costs no stack. Method: 10,000 brackets and more wherever JSON is read.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_brackets_are_too_deep_everywhere() {
    let target = Target::new().await;
    let key = target.dev.key();
    let mut client = target.served.client().await;
    let draft = target.draft("deep");
    let good = draft.sign_by(&key);
    for bracket in ["[", "{\"a\":"] {
        let deep = bracket.repeat(10_000);
        let envelope = |start: &str| v1::AppendRequest {
            envelope: format!("{start}{deep}").into_bytes().into(),
            ..good.clone()
        };
        for start in ["{\"payload\":", "{\"cairn\":"] {
            assert_eq!(
                code(client.append(envelope(start)).await),
                "JSON_TOO_DEEP",
                "{start}"
            );
        }
        // In base64 it must still fit an entry.
        let payload = bracket.repeat(10_000.min(45_000 / bracket.len()));
        let payload = request_by(payload.as_bytes(), &draft.document, &[&key]);
        assert_eq!(code(client.append(payload).await), "JSON_TOO_DEEP");
        let depths = [10_000, 4_000_000 / bracket.len()];
        for depth in depths {
            let document = bracket.repeat(depth).into_bytes();
            let mut deep = draft.clone();
            deep.document.clone_from(&document);
            let refused = client.append(deep.sign_by(&key)).await;
            assert_eq!(
                code(refused),
                "JSON_TOO_DEEP",
                "a document of {depth} brackets"
            );
        }
    }
    target.ends_well("deep nesting").await;
}

/// Goal: an upload may take its time and its disk, not the server's memory. Method: 200 MiB
/// of parts of a content that never ends.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_without_end_is_not_gathered_in_memory() {
    let target = Target::new().await;
    let mut client = target.served.client().await;
    let id: Bytes = ContentId::of(b"never").0.to_vec().into();
    let data = Bytes::from(vec![7; 1 << 20]);
    let parts = (0..200).map(move |number| v1::PutContentRequest {
        content_id: if number == 0 {
            id.clone()
        } else {
            Bytes::new()
        },
        offset: 0,
        data: data.clone(),
        last: false,
    });
    let put = client
        .put_content(tokio_stream::iter(parts))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((put.stored, put.stored_bytes), (0, 200 << 20));
    target.ends_well("an endless upload").await;
}
