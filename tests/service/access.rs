//! Who may call what: tokens, grants, and that a digest alone gives nothing away.

use bytes::Bytes;
use cairn_grpc::{refused, v1};
use cairn_proto::{
    hash::ContentId,
    manifest::{Artifact, ArtifactKind, Mode},
    tree::{Tree, TreeBytes, TreeEntry},
};
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
    leaf, manifest, stored,
};

const SECRET: &[u8] = b"password: correct horse battery staple\n";

/// `writer` and `rival` write, each for its own; `reader` reads what `writer` writes;
/// `auditor` reads everything; `guest` has no grant at all.
fn tokens() -> Vec<Token> {
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

fn access(reads_need_token: bool) -> Access {
    Access::new(Grants::default(), tokens(), reads_need_token)
}

type As = v1::ledger_client::LedgerClient<InterceptedService<Channel, Presenting>>;

#[derive(Clone)]
struct Presenting(Option<MetadataValue<Ascii>>);

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
async fn presenting(server: &Server, header: Option<&str>) -> As {
    let channel = Channel::from_shared(server.url())
        .unwrap()
        .connect()
        .await
        .unwrap();
    let header = header.map(|header| header.parse().unwrap());
    v1::ledger_client::LedgerClient::with_interceptor(channel, Presenting(header))
}

async fn client(server: &Server, name: &str) -> As {
    presenting(server, Some(&format!("Bearer {name}-token"))).await
}

fn part(bytes: &[u8], sent: &[u8]) -> v1::PutContentRequest {
    v1::PutContentRequest {
        content_id: ContentId::of(bytes).0.to_vec().into(),
        offset: 0,
        data: sent.to_vec().into(),
        last: sent.len() == bytes.len(),
    }
}

async fn put(client: &mut As, bytes: &[u8]) -> Result<(), Status> {
    client
        .put_content(tokio_stream::iter([part(bytes, bytes)]))
        .await
        .map(drop)
}

fn get(bytes: &[u8], environment: &str) -> v1::GetContentRequest {
    v1::GetContentRequest {
        content_id: ContentId::of(bytes).0.to_vec().into(),
        environment: environment.into(),
        sequence: 1,
        offset: 0,
        length: 0,
    }
}

/// What `StatContent` says of one content: `None` if it need not be sent.
async fn missing(client: &mut As, bytes: &[u8], environment: &str) -> Option<u64> {
    let request = v1::StatContentRequest {
        content_ids: vec![ContentId::of(bytes).0.to_vec().into()],
        environment: environment.into(),
    };
    let answer = client.stat_content(request).await.unwrap().into_inner();
    answer.missing.first().map(|missing| missing.staged_bytes)
}

fn first(server: &Server, environment: &str, bytes: &[u8]) -> v1::AppendRequest {
    let genesis = *server.ledger.trust().genesis();
    let files = manifest(vec![stored("web.yaml", bytes)]);
    Draft::new(genesis, environment, 1, &files).sign(&[DEV])
}

/// Code and words of a refusal: what a caller can learn from it.
fn told<T>(answer: Result<T, Status>) -> (String, String) {
    let Err(status) = answer else {
        panic!("it was allowed")
    };
    let refused = refused(&status);
    (refused.code, refused.message)
}

fn code<T>(answer: Result<T, Status>) -> String {
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

/// Goal: whoever knows a digest learns nothing and gets nothing. Method: `rival` asks after,
/// and names, content that `writer` sent; every answer is the same as for content that
/// nobody ever sent.
#[tokio::test(flavor = "multi_thread")]
async fn content_of_another_caller_is_missing_to_those_who_cannot_read_it() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::with_access(data.path(), access(false)).await;
    let (mut writer, mut rival) = (
        client(&server, "writer").await,
        client(&server, "rival").await,
    );
    let half = b"half of this was sent";
    put(&mut writer, SECRET).await.unwrap();
    writer
        .put_content(tokio_stream::iter([part(half, &half[..7])]))
        .await
        .unwrap();
    assert_eq!(missing(&mut writer, half, "staging").await, Some(7));
    let nowhere: &[u8] = b"nobody ever sent this";
    for durable in [false, true] {
        if durable {
            writer
                .append(first(&server, "staging", SECRET))
                .await
                .unwrap();
        }
        assert_eq!(missing(&mut writer, SECRET, "staging").await, None);
        for environment in ["rival/x", "staging"] {
            for bytes in [SECRET, half, nowhere] {
                assert_eq!(missing(&mut rival, bytes, environment).await, Some(0));
            }
        }
        let unsent = told(rival.append(first(&server, "rival/x", nowhere)).await);
        assert_eq!(unsent.0, "CONTENT_MISSING");
        assert_eq!(
            told(rival.append(first(&server, "rival/x", SECRET)).await),
            unsent
        );
        let unsent = told(
            rival
                .append(listed(&server, &mut rival.clone(), nowhere).await)
                .await,
        );
        assert_eq!(unsent.0, "CONTENT_MISSING");
        let named = listed(&server, &mut rival.clone(), SECRET).await;
        assert_eq!(told(rival.append(named).await), unsent);
    }
    // Whoever has the bytes may store them as well; whoever reads all needs no upload.
    put(&mut rival, SECRET).await.unwrap();
    rival
        .append(first(&server, "rival/x", SECRET))
        .await
        .unwrap();
    assert_eq!(
        missing(&mut client(&server, "auditor").await, SECRET, "staging").await,
        None
    );
    server.stop().await;
}

/// Goal: a listing that was stored as a plain file, which nobody looks into, gives no right to
/// what it names. Method: the same bytes, first a file and then a tree.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_recorded_as_a_file_does_not_open_what_it_names() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::with_access(data.path(), access(false)).await;
    let (mut writer, mut rival) = (client(&server, "writer").await, client(&server, "rival").await);
    put(&mut writer, SECRET).await.unwrap();
    writer.append(first(&server, "staging", SECRET)).await.unwrap();
    let listing = listing_of(SECRET);
    put(&mut rival, &listing).await.unwrap();
    let genesis = *server.ledger.trust().genesis();
    let file = Draft::new(genesis, "rival/x", 1, &manifest(vec![stored("etc", &listing)]));
    let file = file.sign(&[DEV]);
    rival.append(file.clone()).await.unwrap();
    let tree = Draft::new(genesis, "rival/x", 2, &manifest(vec![tree_of(&listing)]));
    let tree = tree.after(leaf(&file)).sign(&[DEV]);
    assert_eq!(code(rival.append(tree).await), "CONTENT_MISSING");
    assert_eq!(code(rival.get_content(get(SECRET, "rival/x")).await), "NOT_FOUND");
    server.stop().await;
}

/// A tree listing of one file with these bytes.
fn listing_of(bytes: &[u8]) -> Vec<u8> {
    let entry = TreeEntry {
        name: "web.yaml".parse().unwrap(),
        kind: ArtifactKind::File,
        mode: Mode::of(0o644),
        bytes: TreeBytes::Stored {
            digests: cairn_proto::manifest::Digests::of(bytes),
            size: bytes.len() as u64,
        },
    };
    Tree::new(vec![entry]).unwrap().encode()
}

/// The tree artifact of a listing.
fn tree_of(listing: &[u8]) -> Artifact {
    let mut tree = stored("etc", listing);
    tree.kind = ArtifactKind::Tree;
    tree.mode = None;
    tree
}

/// A release for `rival/x` of a tree that lists a content; the listing is uploaded.
async fn listed(server: &Server, rival: &mut As, bytes: &[u8]) -> v1::AppendRequest {
    let listing = listing_of(bytes);
    put(rival, &listing).await.unwrap();
    let genesis = *server.ledger.trust().genesis();
    Draft::new(genesis, "rival/x", 1, &manifest(vec![tree_of(&listing)])).sign(&[DEV])
}

/// Goal: a closed log shows nothing without a token, everything with any. Method: every call
/// and every path; and an answer that no shared cache may keep.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_log_is_read_with_a_token_only() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::with_access(data.path(), access(true)).await;
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
