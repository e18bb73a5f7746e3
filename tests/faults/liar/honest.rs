//! The liar without a lie is the server: what differs in a lie is the lie alone.

use bytes::Bytes;
use cairn_grpc::v1;
use cairn_proto::{
    hash::{Index, Sha256},
    row::RowName,
    tile::{Tile, TileKind},
};

use super::base::{Base, WEB};
use crate::support::http::{Browser, Version};

/// What is signed, and by the log's key; the clock's line says when.
fn stated(note: &[u8]) -> String {
    let text = std::str::from_utf8(note).unwrap();
    let (text, lines) = text.split_once("\n\n").unwrap();
    format!("{text}\n{}", lines.lines().next().unwrap())
}

/// Goal: the world answers to the byte as the server that it was read from, but for the time
/// of the clock's cosignature. Method: each kind of answer of both, compared.
#[tokio::test(flavor = "multi_thread")]
async fn the_liar_without_a_lie_answers_as_the_server_does() {
    let base = Base::new().await;
    let (world, mut client) = (&base.world, base.server.client().await);
    let held = world.at(18).note();
    for environment in ["staging", "prod/eu/shop", "qa", "old", "nowhere"] {
        for trusted in [Bytes::new(), held.clone()] {
            let request = v1::LookupRequest {
                environment: environment.to_owned(),
                trusted_checkpoint: trusted.clone(),
                ..v1::LookupRequest::default()
            };
            let mut theirs = client.lookup(request).await.unwrap().into_inner();
            let mut ours = world.lookup(environment, &trusted);
            assert_eq!(stated(&theirs.checkpoint), stated(&ours.checkpoint));
            (theirs.checkpoint, ours.checkpoint) = (Bytes::new(), Bytes::new());
            assert_eq!(theirs, ours, "{environment}");
        }
    }
    for bytes in [WEB[0], b"never"] {
        let sha256 = Sha256::of(bytes);
        let request = v1::FindDigestRequest {
            sha256: sha256.as_bytes().to_vec().into(),
            trusted_checkpoint: Bytes::new(),
        };
        let theirs = client.find_digest(request).await.unwrap().into_inner();
        assert_eq!(theirs.digest, Some(world.proof(&RowName::Digest(&sha256))));
    }
    for environment in ["", "staging"] {
        let request = v1::ListEntriesRequest {
            environment: environment.to_owned(),
            ..v1::ListEntriesRequest::default()
        };
        let theirs = client.list_entries(request).await.unwrap().into_inner();
        let theirs = theirs.entries.into_iter();
        let theirs: Vec<_> = theirs.map(|it| (Index(it.index), it.entry)).collect();
        assert_eq!(theirs, world.listed(environment));
    }
    for index in 0..20 {
        let request = v1::GetEntryRequest { index, size: 0 };
        let theirs = client.get_entry(request).await.unwrap().into_inner();
        let index = Index(index);
        assert_eq!(theirs.entry, world.leaf(index));
        assert_eq!(theirs.document, world.document(index));
        assert_eq!(
            theirs.inclusion,
            cairn_grpc::hash_list(&world.inclusion(index))
        );
    }
    let mut browser = Browser::open(base.server.address, Version::One).await;
    for kind in [TileKind::Hashes(0), TileKind::Entries, TileKind::Documents] {
        for tile in Tile::covering(kind, 0, world.tree.size()) {
            let theirs = browser.get(&format!("/{tile}")).await.unwrap();
            assert_eq!(Some(theirs.body), world.file(&tile.to_string()), "{tile}");
        }
    }
    drop((client, browser));
    base.server.stop().await;
}
