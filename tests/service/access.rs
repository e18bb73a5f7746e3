//! Who may call what: tokens, grants, and that a digest alone gives nothing away.

use bytes::Bytes;
use cairn_grpc::{refused, v1};
use cairn_proto::hash::ContentId;
use cairn_server::access::{Access, Grants, Token};
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::interceptor::InterceptedService,
    transport::Channel,
};

use crate::support::{
    DEV, Draft, Server,
    audit::audit_by,
    external,
    http::{Browser, Version},
    manifest, stored,
};

pub(crate) const SECRET: &[u8] = b"password: correct horse battery staple\n";

/// `writer` and `rival` write, each for its own; `reader` reads what `writer` writes;
/// `auditor` reads everything; `guest` has no grant at all.
pub(crate) fn tokens() -> Vec<Token> {
    let patterns = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
    let token = |name: &str, read: &[&str], write: &[&str]| Token {
        name: name.to_owned(),
        hash: *blake3::hash(format!("{name}-token").as_bytes()).as_bytes(),
        grants: Grants {
            read: patterns(read),
            write: patterns(write),
        },
    };
    vec![
        token("writer", &[], &["staging", "shop/*"]),
        token("rival", &["rival/**"], &["rival/**"]),
        token("reader", &["staging"], &[]),
        token("auditor", &["**"], &[]),
        token("guest", &[], &[]),
    ]
}

pub(crate) fn access(reads_need_token: bool) -> Access {
    Access::new(Grants::default(), tokens(), reads_need_token)
}

pub(crate) type As = v1::ledger_client::LedgerClient<InterceptedService<Channel, Presenting>>;

#[derive(Clone)]
pub(crate) struct Presenting(Option<MetadataValue<Ascii>>);

impl Presenting {
    pub(crate) fn of(header: Option<MetadataValue<Ascii>>) -> Self {
        Self(header)
    }
}

impl tonic::service::Interceptor for Presenting {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(header) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", header.clone());
        }
        Ok(request)
    }
}

/// A client that presents a header; `None`: nobody.
pub(crate) async fn presenting(server: &Server, header: Option<&str>) -> As {
    let channel = Channel::from_shared(server.url())
        .unwrap()
        .connect()
        .await
        .unwrap();
    let header = header.map(|header| header.parse().unwrap());
    v1::ledger_client::LedgerClient::with_interceptor(channel, Presenting(header))
}

pub(crate) async fn client(server: &Server, name: &str) -> As {
    presenting(server, Some(&format!("Bearer {name}-token"))).await
}

pub(crate) fn part(bytes: &[u8], sent: &[u8]) -> v1::PutContentRequest {
    v1::PutContentRequest {
        content_id: ContentId::of(bytes).0.to_vec().into(),
        offset: 0,
        data: sent.to_vec().into(),
        last: sent.len() == bytes.len(),
    }
}

pub(crate) async fn put(client: &mut As, bytes: &[u8]) -> Result<(), Status> {
    client
        .put_content(tokio_stream::iter([part(bytes, bytes)]))
        .await
        .map(drop)
}

pub(crate) fn get(bytes: &[u8], environment: &str) -> v1::GetContentRequest {
    v1::GetContentRequest {
        content_id: ContentId::of(bytes).0.to_vec().into(),
        environment: environment.into(),
        sequence: 1,
        offset: 0,
        length: 0,
    }
}

/// What `StatContent` says of one content: `None` if it need not be sent.
pub(crate) async fn missing(client: &mut As, bytes: &[u8], environment: &str) -> Option<u64> {
    let request = v1::StatContentRequest {
        content_ids: vec![ContentId::of(bytes).0.to_vec().into()],
        environment: environment.into(),
    };
    let answer = client.stat_content(request).await.unwrap().into_inner();
    answer.missing.first().map(|missing| missing.staged_bytes)
}

pub(crate) fn first(server: &Server, environment: &str, bytes: &[u8]) -> v1::AppendRequest {
    let genesis = *server.ledger.trust().genesis();
    let files = manifest(vec![stored("web.yaml", bytes)]);
    Draft::new(genesis, environment, 1, &files).sign(&[DEV])
}

/// Code and words of a refusal: what a caller can learn from it.
pub(crate) fn told<T>(answer: Result<T, Status>) -> (String, String) {
    let Err(status) = answer else {
        panic!("it was allowed")
    };
    let refused = refused(&status);
    (refused.code, refused.message)
}

pub(crate) fn code<T>(answer: Result<T, Status>) -> String {
    told(answer).0
}

/// The code of each call that reads or writes, in one order.
async fn every_call(mut client: As) -> Vec<String> {
    let list = v1::ListEntriesRequest::default();
    let lookup = v1::LookupRequest {
        environment: "staging".into(),
        ..Default::default()
    };
    let digest = v1::FindDigestRequest {
        sha256: vec![0; 32].into(),
        ..Default::default()
    };
    let consistency = v1::GetConsistencyProofRequest { from: 1, to: 2 };
    vec![
        code(client.get_ledger(v1::GetLedgerRequest {}).await),
        code(client.get_entry(v1::GetEntryRequest::default()).await),
        code(client.list_entries(list).await),
        code(client.lookup(lookup).await),
        code(client.find_digest(digest).await),
        code(client.get_consistency_proof(consistency).await),
        code(
            client
                .watch_checkpoints(v1::WatchCheckpointsRequest {})
                .await,
        ),
    ]
}

/// Goal: a wrong token is never as good as none. Method: headers beside the right one, on
/// every call and over HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_token_is_refused_on_every_call() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::with_access(data.path(), access(false)).await;
    let headers = [
        "Bearer nobody",
        "Bearer ",
        "Bearer writer-token ",
        "bearer writer-token",
        "Basic eDp5",
        "writer-token",
    ];
    for header in headers {
        let mut client = presenting(&server, Some(header)).await;
        assert_eq!(
            code(client.append(first(&server, "staging", SECRET)).await),
            "NOT_AUTHENTICATED",
            "{header}"
        );
        assert_eq!(
            code(put(&mut client, SECRET).await),
            "NOT_AUTHENTICATED",
            "{header}"
        );
        assert_eq!(
            code(client.get_content(get(SECRET, "staging")).await),
            "NOT_AUTHENTICATED"
        );
        let stream = client.append_stream(tokio_stream::empty()).await;
        assert_eq!(code(stream), "NOT_AUTHENTICATED");
        let stat = client.stat_content(v1::StatContentRequest::default()).await;
        assert_eq!(stat.unwrap_err().code(), Code::Unauthenticated);
        for code in every_call(client).await {
            assert_eq!(code, "NOT_AUTHENTICATED", "{header}");
        }
    }
    let mut browser = Browser::open(server.address, Version::One)
        .await
        .with_token("nobody");
    assert_eq!(browser.get("/checkpoint").await.unwrap().status, 401);
    server.stop().await;
}

/// Nobody in particular is asked who they are; somebody is told no.
fn denied(header: Option<&str>) -> &'static str {
    match header {
        None => "NOT_AUTHENTICATED",
        Some(_) => "NOT_ALLOWED",
    }
}

/// Goal: a signature that the policy allows does not stand in for a grant.
#[tokio::test(flavor = "multi_thread")]
async fn uploads_and_appends_without_a_write_grant_are_not_allowed() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::with_access(data.path(), access(false)).await;
    for header in [
        None,
        Some("Bearer reader-token"),
        Some("Bearer auditor-token"),
        Some("Bearer guest-token"),
    ] {
        let mut client = presenting(&server, header).await;
        assert_eq!(
            code(put(&mut client, SECRET).await),
            denied(header),
            "{header:?}"
        );
        let append = client.append(first(&server, "staging", SECRET)).await;
        assert_eq!(code(append), denied(header), "{header:?}");
    }
    let mut writer = client(&server, "writer").await;
    for elsewhere in ["prod", "shop", "shop/a/b", "staging/a", "rival/x"] {
        let append = writer.append(first(&server, elsewhere, SECRET)).await;
        assert_eq!(code(append), "NOT_ALLOWED", "{elsewhere}");
    }
    put(&mut writer, SECRET).await.unwrap();
    writer
        .append(first(&server, "shop/a", SECRET))
        .await
        .unwrap();
    let mut browser = Browser::open(server.address, Version::Two).await;
    assert_eq!(
        audit_by(&mut browser, server.ledger.trust())
            .await
            .head
            .size()
            .0,
        4
    );
    server.stop().await;
}

/// Goal: content is read by whom a grant lets read that environment, by nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn content_is_not_read_without_a_read_grant() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::with_access(data.path(), access(false)).await;
    let mut writer = client(&server, "writer").await;
    put(&mut writer, SECRET).await.unwrap();
    writer
        .append(first(&server, "staging", SECRET))
        .await
        .unwrap();
    for header in [
        None,
        Some("Bearer writer-token"),
        Some("Bearer rival-token"),
        Some("Bearer guest-token"),
    ] {
        let mut client = presenting(&server, header).await;
        let read = client.get_content(get(SECRET, "staging")).await;
        assert_eq!(code(read), denied(header), "{header:?}");
        // The same refusal for what does not exist: it says nothing of what does.
        let read = client.get_content(get(b"else", "staging")).await;
        assert_eq!(code(read), denied(header));
    }
    for name in ["reader", "auditor"] {
        let mut reader = client(&server, name).await;
        let mut parts = reader
            .get_content(get(SECRET, "staging"))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(parts.message().await.unwrap().unwrap().data, SECRET);
        // Only what the release names, and only that release.
        assert_eq!(
            code(reader.get_content(get(b"else", "staging")).await),
            "NOT_FOUND"
        );
        let later = v1::GetContentRequest {
            sequence: 2,
            ..get(SECRET, "staging")
        };
        assert_eq!(code(reader.get_content(later).await), "NOT_FOUND");
    }
    server.stop().await;
}

/// Goal: a closed log shows nothing without a token, everything with any. Method: every call
/// and every path; and an answer that no shared cache may keep.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_log_is_read_with_a_token_only() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::with_access(data.path(), access(true)).await;
    let server = server.read_by("auditor-token");
    let genesis = *server.ledger.trust().genesis();
    let files = manifest(vec![external("a", b"1")]);
    let release = Draft::new(genesis, "staging", 1, &files);
    client(&server, "writer")
        .await
        .append(release.sign(&[DEV]))
        .await
        .unwrap();
    for code in every_call(presenting(&server, None).await).await {
        assert_eq!(code, "NOT_AUTHENTICATED");
    }
    let id = cairn_proto::hash::DocumentId::of(&release.document);
    let document = format!("/document/{id}");
    let paths = [
        "/checkpoint",
        "/tile/0/000.p/4",
        "/tile/entries/000.p/4",
        "/documents/000.p/4",
    ];
    for version in [Version::One, Version::Two] {
        let mut stranger = Browser::open(server.address, version).await;
        let mut guest = Browser::open(server.address, version)
            .await
            .with_token("guest-token");
        for path in paths.into_iter().chain([document.as_str()]) {
            let answer = stranger.get(path).await.unwrap();
            assert_eq!(answer.status, 401, "{path}");
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            assert!(text.ends_with("[NOT_AUTHENTICATED]\n"), "{path}: {text}");
            let answer = guest.get(path).await.unwrap();
            assert_eq!(answer.status, 200, "{path}");
            assert!(
                !answer.header("cache-control").contains("public"),
                "{path} may be kept"
            );
        }
        audit_by(&mut guest, server.ledger.trust()).await;
    }
    let mut guest = client(&server, "guest").await;
    let answer = guest
        .get_ledger(v1::GetLedgerRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.genesis, Bytes::copy_from_slice(genesis.as_bytes()));
    server.stop().await;
}
