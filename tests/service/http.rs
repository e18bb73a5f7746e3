//! The read API as any HTTP client sees it.

use std::collections::HashSet;

use bytes::Bytes;
use cairn_proto::{
    entry::Leaf,
    hash::{DocumentId, Index},
    merkle::Nodes as _,
    tile::{Tile, TileKind, document_head, push_entry},
};
use http::Method;

use crate::{
    fill::fill,
    support::{
        Server,
        audit::{Audited, audit, audit_by},
        http::{Browser, Version},
        prove,
    },
};

const VERSIONS: [Version; 2] = [Version::One, Version::Two];
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// Three tiles of leaves, the last of them partial.
async fn filled(data: &tempfile::TempDir) -> Server {
    let server = Server::start(data.path()).await;
    fill(&server, 60, 9).await;
    server
}

/// A log as it must be served.
struct Expected {
    audited: Audited,
    /// Which entries are the first to name their documents.
    firsts: Vec<(u64, DocumentId)>,
}

impl Expected {
    async fn of(server: &Server) -> Self {
        let audited = audit(server).await;
        let mut named = HashSet::new();
        let mut firsts = Vec::new();
        for (index, leaf) in (0..).zip(&audited.leaves) {
            if let Ok(Leaf::Entry(entry)) = Leaf::decode(leaf) {
                let id = entry.statement().subject.blake3;
                firsts.extend(named.insert(id).then_some((index, id)));
            }
        }
        Self { audited, firsts }
    }

    fn documents(&self, tile: &Tile) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, id) in &self.firsts {
            let Some(offset) = index.checked_sub(tile.first()) else {
                continue;
            };
            if offset < u64::from(tile.width) {
                let document = &self.audited.documents[id];
                let length = u32::try_from(document.len()).unwrap();
                bytes.extend(document_head(u8::try_from(offset).unwrap(), length));
                bytes.extend_from_slice(document);
            }
        }
        bytes
    }

    fn tile(&self, tile: &Tile) -> Vec<u8> {
        match tile.kind {
            TileKind::Hashes(_) => tile.hashes(&self.audited.tree).unwrap(),
            TileKind::Documents => self.documents(tile),
            TileKind::Entries => {
                let first = usize::try_from(tile.first()).unwrap();
                let mut bundle = Vec::new();
                for leaf in &self.audited.leaves[first..first + usize::from(tile.width)] {
                    push_entry(&mut bundle, leaf);
                }
                bundle
            }
        }
    }
}

/// Goal: whoever caches a checkpoint keeps it briefly, and all else for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_text_for_a_second_and_the_rest_is_immutable() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    fill(&server, 2, 1).await;
    let id = *audit(&server).await.documents.keys().next().unwrap();
    for version in VERSIONS {
        let mut browser = Browser::open(server.address, version).await;
        let note = browser.get("/checkpoint").await.unwrap();
        assert_eq!(note.status, 200);
        assert_eq!(note.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(note.header("cache-control"), "public, max-age=1");
        prove::authentic(server.ledger.trust(), &note.body);
        let paths = [
            "/tile/0/000.p/3",
            "/tile/entries/000.p/1",
            "/documents/000.p/3",
        ];
        let document = format!("/document/{id}");
        for path in paths.into_iter().chain([document.as_str()]) {
            let answer = browser.get(path).await.unwrap();
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(
                answer.header("content-type"),
                "application/octet-stream",
                "{path}"
            );
            assert_eq!(answer.header("cache-control"), FOR_EVER, "{path}");
        }
    }
    server.stop().await;
}

/// Goal: each tile that the log reaches is served, and no other. Method: every level, index
/// and width, over both versions of HTTP, against the same computed from the leaves.
#[tokio::test(flavor = "multi_thread")]
async fn every_tile_of_every_level_and_width_is_what_the_leaves_make_it() {
    let data = tempfile::tempdir().unwrap();
    let server = filled(&data).await;
    let expected = Expected::of(&server).await;
    let audited = &expected.audited;
    let size = audited.head.size();
    assert!(
        size.0 > 540 && audited.levels == 2,
        "{size} leaves, {} levels",
        audited.levels
    );
    let mut one = Browser::open(server.address, Version::One).await;
    let mut two = Browser::open(server.address, Version::Two).await;
    let kinds = [TileKind::Entries, TileKind::Documents].into_iter();
    for kind in kinds.chain((0..=2).map(TileKind::Hashes)) {
        for last in Tile::covering(kind, 0, size) {
            for width in 1..=last.width {
                let tile = Tile { width, ..last };
                let browser = if width % 2 == 0 { &mut one } else { &mut two };
                let answer = browser.get(&format!("/{tile}")).await.unwrap();
                assert_eq!(answer.status, 200, "{tile}");
                assert!(answer.body == expected.tile(&tile), "{tile} differs");
            }
            if last.width < 256 {
                let beyond = Tile {
                    width: last.width + 1,
                    ..last
                };
                assert_eq!(
                    one.get(&format!("/{beyond}")).await.unwrap().status,
                    404,
                    "{beyond}"
                );
                let whole = Tile { width: 256, ..last };
                assert_eq!(
                    two.get(&format!("/{whole}")).await.unwrap().status,
                    404,
                    "{whole}"
                );
            }
        }
    }
    // 256 hashes of level 8 would take 65,536 leaves.
    assert_eq!(one.get("/tile/1/000").await.unwrap().status, 404);
    assert_eq!(
        audited
            .tree
            .node(8, 0)
            .map(|node| Bytes::copy_from_slice(&node.0)),
        { Some(one.get("/tile/1/000.p/1").await.unwrap().body) }
    );
    server.stop().await;
}

/// Goal: a document is named by what it hashes to and by nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn every_document_is_served_by_its_hash() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    fill(&server, 55, 2).await;
    let audited = audit(&server).await;
    // 50 manifests a round, of which the environments beyond share some; one policy.
    assert_eq!(audited.documents.len(), 101);
    for version in VERSIONS {
        let mut browser = Browser::open(server.address, version).await;
        for (id, document) in &audited.documents {
            let answer = browser.get(&format!("/document/{id}")).await.unwrap();
            assert_eq!((answer.status, &answer.body), (200, document));
            assert_eq!(DocumentId::of(&answer.body), *id);
        }
        let unknown = "0".repeat(64);
        let upper = audited
            .documents
            .keys()
            .next()
            .unwrap()
            .to_string()
            .to_uppercase();
        for wrong in [
            unknown.as_str(),
            upper.as_str(),
            "",
            "0",
            "zz",
            "../checkpoint",
        ] {
            let answer = browser.get(&format!("/document/{wrong}")).await.unwrap();
            assert_eq!(answer.status, 404, "/document/{wrong}");
        }
    }
    server.stop().await;
}

/// Goal: a long-lived reader is not cut off. HTTP/2 readers take many empty frames on one
/// connection for a flood (CVE-2019-9518). Method: a bundle of records of which only two have
/// a document, read again and again.
#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_of_few_documents_is_read_many_times_on_one_connection() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let genesis = *server.ledger.trust().genesis();
    let mut client = server.client().await;
    for number in 0..120 {
        let name = crate::fill::environment(number);
        let request = crate::fill::release(genesis, &name, 1, None, "the same for all");
        client.append(request).await.unwrap();
    }
    let expected = Expected::of(&server).await;
    let width = u16::try_from(expected.audited.head.size().0).unwrap();
    let tile = Tile {
        kind: TileKind::Documents,
        index: 0,
        width,
    };
    for version in VERSIONS {
        let mut browser = Browser::open(server.address, version).await;
        for _ in 0..5 {
            let answer = browser.get(&format!("/{tile}")).await.unwrap();
            assert!(answer.body == expected.tile(&tile));
        }
    }
    server.stop().await;
}

/// Goal: a path that is none is a plain 404, whoever asks. Method: paths beside each true
/// one; the text says so and is not a gRPC status.
#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_none_is_a_plain_404() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    fill(&server, 3, 1).await;
    let size = audit(&server).await.head.size().0;
    let paths = [
        "/",
        "/index.html",
        "/checkpoint/",
        "/checkpoints",
        "/tile",
        "/tile/",
        "/tile/0",
        "/tile/0/",
        "/tile/0/000",
        "/tile/0/0",
        "/tile/0/0000",
        "/tile/0/x000",
        "/tile/0/x000/000",
        "/tile/0/001.p/1",
        "/tile/0/000.p/0",
        "/tile/0/000.p/01",
        "/tile/0/000.p/256",
        "/tile/0/000.p/-1",
        "/tile/0/000.p/",
        "/tile/0/000.p/1/",
        "/tile/0/000.p/1.p/1",
        "/tile/8/000.p/1",
        "/tile/00/000.p/1",
        "/tile/+0/000.p/1",
        "/tile/-1/000.p/1",
        "/tile/1/000.p/1",
        "/tile/7/000.p/1",
        "/tile/data/000.p/1",
        "/tile/entries",
        "/tile/entries/000",
        "/tile/entries/000.p/256",
        "/tile/entries/999.p/1",
        "/tile/entries/x18446744073709551/616.p/1",
        "/documents",
        "/documents/000",
        "/documents/000.p/256",
        "/documents/x/000.p/1",
        "/document",
        "/document/",
        "/tile/0/%2e%2e/%2e%2e/checkpoint",
        "//checkpoint",
        "/Checkpoint",
    ];
    let beyond = [
        format!("/tile/0/000.p/{}", size + 1),
        format!("/documents/000.p/{}", size + 1),
    ];
    for version in VERSIONS {
        let mut browser = Browser::open(server.address, version).await;
        for path in paths.into_iter().chain(beyond.iter().map(String::as_str)) {
            let answer = browser.get(path).await.unwrap();
            assert_eq!(answer.status, 404, "{path}");
            assert_eq!(answer.header("grpc-status"), "", "{path}");
            let immutable = answer.header("cache-control").contains("immutable");
            assert!(!immutable, "{path} may be answer one day");
            let text = std::str::from_utf8(&answer.body).unwrap();
            assert!(text.ends_with("[NOT_FOUND]\n"), "{path}: {text}");
        }
        // The connection is none the worse for it.
        audit_by(&mut browser, server.ledger.trust()).await;
    }
    server.stop().await;
}

/// Goal: nothing here writes. Method: every other method, on every kind of path; `HEAD` is
/// what RFC 9110 says, the same without a body.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_read_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    fill(&server, 3, 1).await;
    let before = audit(&server).await.head.size();
    let id = *audit(&server).await.documents.keys().next().unwrap();
    let document = format!("/document/{id}");
    let paths = [
        "/checkpoint",
        "/tile/0/000.p/1",
        "/tile/entries/000.p/1",
        "/documents/000.p/1",
    ];
    let writes = [
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
    ];
    for version in VERSIONS {
        let mut browser = Browser::open(server.address, version).await;
        for path in paths.into_iter().chain([document.as_str()]) {
            for method in &writes {
                let answer = browser.ask(method.clone(), path).await.unwrap();
                assert_eq!(answer.status, 405, "{method} {path}");
            }
            let head = browser.ask(Method::HEAD, path).await.unwrap();
            assert_eq!((head.status, head.body.len()), (200, 0), "HEAD {path}");
        }
        // A call's path without a call is an error of gRPC's own kind.
        let call = browser.get("/cairn.v1.Ledger/Append").await.unwrap();
        assert!(
            !["", "0"].contains(&call.header("grpc-status")),
            "{:?}",
            call.headers
        );
    }
    assert_eq!(audit(&server).await.head.size(), before);
    server.stop().await;
}

/// Goal: what was once served stays as it was. Method: partial tiles before and after more
/// was appended.
#[tokio::test(flavor = "multi_thread")]
async fn a_growing_log_serves_what_it_served_before() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    fill(&server, 4, 1).await;
    let expected = Expected::of(&server).await;
    let old = &expected.audited;
    let mut browser = Browser::open(server.address, Version::One).await;
    let width = u16::try_from(old.head.size().0).unwrap();
    let tiles = [TileKind::Hashes(0), TileKind::Entries, TileKind::Documents];
    let tiles = tiles.map(|kind| Tile {
        kind,
        index: 0,
        width,
    });
    crate::fill::fill_more(&server, 4).await;
    let new = audit(&server).await;
    assert!(new.head.size() > old.head.size());
    for tile in tiles {
        let answer = browser.get(&format!("/{tile}")).await.unwrap();
        assert!(answer.body == expected.tile(&tile), "{tile} changed");
    }
    for index in 0..old.head.size().0 {
        assert_eq!(new.tree.leaf(Index(index)), old.tree.leaf(Index(index)));
    }
    server.stop().await;
}
