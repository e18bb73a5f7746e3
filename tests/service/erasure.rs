//! What each call says of content that the admins ordered erased, and to whom.

use std::path::{Path, PathBuf};

use cairn_grpc::v1;
use cairn_proto::{
    hash::{ContentId, LeafHash},
    manifest::{Artifact, ArtifactKind, Digests, Mode},
    order::{OrderDocument, Redaction},
    statement::{Action, Order, OrderKind, Predicate, Statement, Subject},
    tree::{Tree, TreeBytes, TreeEntry},
};

use crate::{
    access::{access, client, code, get, part, put, told},
    support::{ADMIN, DEV, Draft, Server, leaf, manifest, request, stored},
};

const SECRET: &[u8] = b"token: what everybody should have kept to themselves\n";
const NEIGHBOUR: &[u8] = b"replicas: 3\n";
const LATER: &[u8] = b"password: sent once more after it was erased\n";

fn order(
    server: &Server,
    number: u64,
    previous: Option<LeafHash>,
    ids: &[&[u8]],
) -> v1::AppendRequest {
    let mut contents: Vec<_> = ids.iter().map(|bytes| ContentId::of(bytes)).collect();
    contents.sort_unstable();
    let reason = "recorded by mistake".to_owned();
    let document = OrderDocument::Redaction(Redaction { contents, reason }).encode();
    let statement = Statement {
        subject: Subject::of(&document),
        predicate: Predicate::Order(Order {
            kind: OrderKind::Redaction,
            ledger: *server.ledger.trust().genesis(),
            number,
            previous,
        }),
    };
    request(&statement.encode(), &document, &[ADMIN])
}

fn tree(name: &str, files: &[&[u8]]) -> (Artifact, Vec<u8>) {
    let entries = files.iter().enumerate().map(|(number, bytes)| TreeEntry {
        name: format!("file{number}").parse().unwrap(),
        kind: ArtifactKind::File,
        mode: Mode::of(0o644),
        bytes: TreeBytes::Stored {
            digests: Digests::of(bytes),
            size: bytes.len() as u64,
        },
    });
    let listing = Tree::new(entries.collect()).unwrap().encode();
    let mut artifact = stored(name, &listing);
    artifact.kind = ArtifactKind::Tree;
    artifact.mode = None;
    (artifact, listing)
}

/// Files below a directory that hold a text.
fn mentions(directory: &Path, text: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(mentions(&path, text));
        } else if std::fs::read(&path)
            .unwrap()
            .windows(text.len())
            .any(|it| it == text)
        {
            found.push(path);
        }
    }
    found
}

/// A release of a secret in a file and in a tree, which others began to send as well.
async fn recorded(server: &Server) -> v1::AppendRequest {
    let genesis = *server.ledger.trust().genesis();
    let mut writer = client(server, "writer").await;
    let mut rival = client(server, "rival").await;
    let (etc, listing) = tree("etc", &[SECRET, NEIGHBOUR]);
    for bytes in [SECRET, NEIGHBOUR, &listing] {
        put(&mut writer, bytes).await.unwrap();
    }
    put(&mut rival, SECRET).await.unwrap();
    let half = tokio_stream::iter([part(LATER, &LATER[..9])]);
    rival.put_content(half).await.unwrap();
    let one = manifest(vec![stored("app", NEIGHBOUR), etc, stored("key", SECRET)]);
    let one = Draft::new(genesis, "staging", 1, &one).sign(&[DEV]);
    writer.append(one.clone()).await.unwrap();
    one
}

/// Goal: content that was erased is called erased, with the order's index, by whoever may read it;
/// others learn nothing new; what lies beside it stays. Method: a secret in a file, in a tree, and
/// staged by somebody else; each read, after a restart as well.
#[tokio::test(flavor = "multi_thread")]
async fn erased_content_is_called_erased_to_whoever_may_read_it() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::with_access(data.path(), access(false)).await;
    recorded(&server).await;
    assert!(!mentions(data.path(), SECRET).is_empty());
    let mut writer = client(&server, "writer").await;
    let erasing = order(&server, 1, None, &[SECRET, LATER]);
    let receipt = writer.append(erasing.clone()).await.unwrap().into_inner();
    for gone in [SECRET, &LATER[..9]] {
        assert_eq!(mentions(data.path(), gone), Vec::<PathBuf>::new());
    }
    let again = writer.append(erasing.clone()).await.unwrap().into_inner();
    assert_eq!(again.index, receipt.index);
    let twice = order(&server, 2, Some(leaf(&erasing)), &[SECRET]);
    assert_eq!(code(writer.append(twice).await), "ALREADY_ERASED");

    server.stop().await;
    let server = Server::with_access(data.path(), access(false)).await;
    let mut reader = client(&server, "reader").await;
    let (reason, message) = told(reader.get_content(get(SECRET, "staging")).await);
    assert_eq!(reason, "CONTENT_ERASED");
    let by = format!("by entry {}", receipt.index);
    assert!(message.contains(&by), "{message}");
    // Who may not read there is told what he was told before, and so is who asks elsewhere.
    let mut rival = client(&server, "rival").await;
    let denied = rival.get_content(get(SECRET, "staging")).await;
    assert_eq!(code(denied), "NOT_ALLOWED");
    let mut auditor = client(&server, "auditor").await;
    let elsewhere = auditor.get_content(get(SECRET, "other")).await;
    assert_eq!(code(elsewhere), "NOT_FOUND");
    let neighbour = reader.get_content(get(NEIGHBOUR, "staging")).await;
    let bytes = neighbour.unwrap().into_inner().message().await.unwrap();
    assert_eq!(bytes.unwrap().data, NEIGHBOUR);
    server.stop().await;
}

/// Goal: what was erased comes back by no way, and whoever tries is told why. Method: uploads by
/// two callers, and releases that name it in a file, in the tree that stands, and in another.
#[tokio::test(flavor = "multi_thread")]
async fn erased_content_is_not_taken_again() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::with_access(data.path(), access(false)).await;
    let genesis = *server.ledger.trust().genesis();
    let one = recorded(&server).await;
    let mut writer = client(&server, "writer").await;
    let mut rival = client(&server, "rival").await;
    let erasing = order(&server, 1, None, &[SECRET, LATER]);
    let receipt = writer.append(erasing).await.unwrap().into_inner();
    for sender in [&mut writer, &mut rival] {
        assert_eq!(code(put(sender, SECRET).await), "CONTENT_ERASED");
        let half = tokio_stream::iter([part(LATER, &LATER[..9])]);
        assert_eq!(code(sender.put_content(half).await), "CONTENT_ERASED");
        let ids = [SECRET, LATER].map(|bytes| ContentId::of(bytes).as_bytes().to_vec().into());
        let asked = v1::StatContentRequest {
            content_ids: ids.to_vec(),
            environment: "staging".to_owned(),
        };
        let answer = sender.stat_content(asked).await.unwrap().into_inner();
        assert!(answer.missing.is_empty());
        assert_eq!(answer.erased.len(), 2);
        assert!(answer.erased.iter().all(|it| it.index == receipt.index));
    }
    let two = |artifacts| {
        let two = Draft::new(genesis, "staging", 2, &manifest(artifacts));
        two.after(leaf(&one)).sign(&[DEV])
    };
    // The very listing that stands, and another one: the rules look into neither.
    let (same, _) = tree("etc", &[SECRET, NEIGHBOUR]);
    let (other, listing) = tree("etc", &[NEIGHBOUR, SECRET]);
    put(&mut writer, &listing).await.unwrap();
    for artifact in [stored("key", SECRET), same, other] {
        let refused = writer.append(two(vec![artifact])).await;
        assert_eq!(code(refused), "CONTENT_ERASED");
    }
    // What keeps the predecessor's manifest stores nothing.
    let mut retire = Draft::new(
        genesis,
        "staging",
        2,
        &manifest(vec![stored("app", NEIGHBOUR)]),
    );
    retire.document = one.document.to_vec();
    retire.release.action = Action::Retire;
    let retire = retire.after(leaf(&one)).sign(&[DEV]);
    writer.append(retire).await.unwrap();
    assert_eq!(mentions(data.path(), SECRET), Vec::<PathBuf>::new());
    server.stop().await;
}

/// Goal: the listing of a tree is content like any other, and without it nobody says that what it
/// named is missing. Method: a tree whose secret and whose listing are erased by one order.
#[tokio::test(flavor = "multi_thread")]
async fn the_listing_of_an_erased_tree_can_be_erased_too() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::with_access(data.path(), access(false)).await;
    let genesis = *server.ledger.trust().genesis();
    let mut writer = client(&server, "writer").await;
    let mut reader = client(&server, "reader").await;
    let (etc, listing) = tree("etc", &[SECRET, NEIGHBOUR]);
    for bytes in [SECRET, NEIGHBOUR, &listing] {
        put(&mut writer, bytes).await.unwrap();
    }
    let one = manifest(vec![stored("app", NEIGHBOUR), etc]);
    let one = Draft::new(genesis, "staging", 1, &one).sign(&[DEV]);
    writer.append(one).await.unwrap();
    // So that it is known, and has to be forgotten.
    reader.get_content(get(SECRET, "staging")).await.unwrap();
    let erasing = order(&server, 1, None, &[SECRET, &listing]);
    writer.append(erasing).await.unwrap();
    for bytes in [SECRET, &listing] {
        let told = code(reader.get_content(get(bytes, "staging")).await);
        assert_eq!(told, "CONTENT_ERASED");
        assert_eq!(mentions(data.path(), &bytes[..40]), Vec::<PathBuf>::new());
    }
    reader.get_content(get(NEIGHBOUR, "staging")).await.unwrap();
    server.stop().await;
}
