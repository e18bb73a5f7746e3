//! To know a digest is not to have the content: what others sent stays theirs.

use cairn_grpc::v1;
use cairn_proto::{
    manifest::{Artifact, ArtifactKind, Mode},
    tree::{Tree, TreeBytes, TreeEntry},
};

use crate::{
    access::{As, SECRET, access, client, code, first, get, missing, part, put, told},
    support::{DEV, Draft, Server, leaf, manifest, stored},
};

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
    let (mut writer, mut rival) = (
        client(&server, "writer").await,
        client(&server, "rival").await,
    );
    put(&mut writer, SECRET).await.unwrap();
    writer
        .append(first(&server, "staging", SECRET))
        .await
        .unwrap();
    let listing = listing_of(SECRET);
    put(&mut rival, &listing).await.unwrap();
    let genesis = *server.ledger.trust().genesis();
    let file = Draft::new(
        genesis,
        "rival/x",
        1,
        &manifest(vec![stored("etc", &listing)]),
    );
    let file = file.sign(&[DEV]);
    rival.append(file.clone()).await.unwrap();
    let tree = Draft::new(genesis, "rival/x", 2, &manifest(vec![tree_of(&listing)]));
    let tree = tree.after(leaf(&file)).sign(&[DEV]);
    assert_eq!(code(rival.append(tree).await), "CONTENT_MISSING");
    assert_eq!(
        code(rival.get_content(get(SECRET, "rival/x")).await),
        "NOT_FOUND"
    );
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
