//! Questions with proofs: entries and lists of them, digests present and absent, histories
//! between any two sizes.

use std::collections::BTreeMap;

use cairn_grpc::{refused, v1};
use cairn_proto::{
    hash::{Index, Sha256, TreeSize},
    merkle::{root_at, verify_consistency, verify_inclusion},
    row::DigestRow,
    trust::Trust,
    verify::Recorded,
};
use tonic::Status;

use crate::{
    fill::{environment, fill, release},
    support::{
        DEV, Draft, Server,
        audit::audit,
        external, leaf, manifest,
        prove::{self, Client},
    },
};

fn code<T>(answer: Result<T, Status>) -> String {
    let Err(status) = answer else {
        panic!("it was answered")
    };
    refused(&status).code
}

/// Every entry of a list, over as many pages as it takes; each proven.
async fn pages(client: &mut Client, trust: &Trust, of: &str, size: u32) -> Vec<v1::ListedEntry> {
    let mut entries = Vec::new();
    let mut request = v1::ListEntriesRequest {
        environment: of.to_owned(),
        page_size: size,
        page_token: String::new(),
    };
    for _ in 0..10_000 {
        let page = client
            .list_entries(request.clone())
            .await
            .unwrap()
            .into_inner();
        let head = prove::authentic(trust, &page.checkpoint);
        for entry in &page.entries {
            let inclusion = prove::proof(&entry.inclusion);
            Recorded::prove(&head, &entry.entry, Index(entry.index), &inclusion).unwrap();
        }
        let most = if size == 0 { 50 } else { size as usize };
        assert!(page.entries.len() <= most);
        entries.extend(page.entries);
        if page.next_page_token.is_empty() {
            return entries;
        }
        request.page_token = page.next_page_token;
    }
    panic!("the pages do not end");
}

/// Goal: pages add up to the list, without gap or repetition, newest first.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_any_size_add_up_to_the_whole_list() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    fill(&server, 6, 20).await;
    let audited = audit(&server).await;
    let trust = server.ledger.trust();
    let mut client = server.client().await;
    for size in [0, 1, 7, 50, 200] {
        let entries = pages(&mut client, trust, "", size).await;
        let all: Vec<_> = entries
            .iter()
            .rev()
            .map(|entry| entry.entry.clone())
            .collect();
        assert!(all == audited.leaves, "pages of {size}");
        let releases = pages(&mut client, trust, &environment(3), size).await;
        assert_eq!(releases.len(), 20, "pages of {size}");
        assert!(releases.is_sorted_by(|newer, older| newer.index > older.index));
    }
    assert!(pages(&mut client, trust, "nobody/here", 3).await.is_empty());
    let list = |of: &str, size, token: &str| v1::ListEntriesRequest {
        environment: of.to_owned(),
        page_size: size,
        page_token: token.to_owned(),
    };
    // More than a page holds is a page; a token beyond the end begins at the end.
    let most = client
        .list_entries(list("", u32::MAX, ""))
        .await
        .unwrap()
        .into_inner();
    assert!((1..=500).contains(&most.entries.len()));
    let beyond = client
        .list_entries(list("", 1, "18446744073709551615"))
        .await
        .unwrap();
    let newest = audited.head.size().0 - 1;
    assert_eq!(beyond.into_inner().entries[0].index, newest);
    for wrong in ["x", "-1", "1.0", " 1", "18446744073709551616", "\u{1f4a9}"] {
        assert_eq!(
            code(client.list_entries(list("", 1, wrong)).await),
            "INVALID_REQUEST"
        );
    }
    assert_eq!(
        code(client.list_entries(list("No/Name", 1, "")).await),
        "INVALID_REQUEST"
    );
    drop(client);
    server.stop().await;
}

async fn digest(client: &mut Client, trust: &Trust, bytes: &[u8]) -> Option<DigestRow> {
    let sha256 = Sha256::of(bytes);
    let request = v1::FindDigestRequest {
        sha256: sha256.as_bytes().to_vec().into(),
        trusted_checkpoint: bytes::Bytes::new(),
    };
    let answer = client.find_digest(request).await.unwrap().into_inner();
    let head = prove::authentic(trust, &answer.checkpoint).trust_first();
    let proven = answer.digest.unwrap();
    let map = prove::map(&head, &proven);
    map.digest(&sha256, &proven.row, &proven.row_proof).unwrap()
}

/// Goal: whether an image was ever released is proven, both ways. Method: a digest that
/// comes, stays, leaves and comes again; one that never was; each row against the indices.
#[tokio::test(flavor = "multi_thread")]
async fn a_digest_is_proven_present_with_its_history_or_absent() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let trust = server.ledger.trust().clone();
    let mut client = server.client().await;
    assert_eq!(digest(&mut client, &trust, b"image 1").await, None);
    let mut previous = None;
    let mut touched: BTreeMap<&[u8], Vec<u64>> = BTreeMap::new();
    let steps: [&[&[u8]]; 5] = [
        &[b"image 1"],
        &[b"image 1", b"image 2"],
        &[b"image 2"],
        &[b"image 1"],
        &[b"image 1"],
    ];
    let mut before: &[&[u8]] = &[];
    for (sequence, images) in (1..).zip(steps) {
        let named = images
            .iter()
            .map(|image| external(std::str::from_utf8(image).unwrap(), image));
        let artifacts = named.chain([external("zz", b"always")]);
        let mut draft = Draft::new(
            *trust.genesis(),
            "staging",
            sequence,
            &manifest(artifacts.collect()),
        );
        draft.release.previous = previous;
        let request = draft.sign(&[DEV]);
        previous = Some(leaf(&request));
        let index = client.append(request).await.unwrap().into_inner().index;
        for image in [b"image 1".as_slice(), b"image 2"] {
            if images.contains(&image) != before.contains(&image) {
                touched.entry(image).or_default().push(index);
            }
        }
        before = images;
    }
    for (image, indices) in touched {
        let row = digest(&mut client, &trust, image).await.unwrap();
        assert_eq!(
            (row.first.0, row.last.0),
            (indices[0], *indices.last().unwrap())
        );
        assert_eq!(row.count, indices.len() as u64);
    }
    assert_eq!(
        digest(&mut client, &trust, b"always").await.unwrap().count,
        1
    );
    for never in [b"image 3".as_slice(), b"", b"image"] {
        assert_eq!(digest(&mut client, &trust, never).await, None);
    }
    for length in [0, 31, 33] {
        let sha256 = vec![0; length].into();
        let request = v1::FindDigestRequest {
            sha256,
            ..Default::default()
        };
        assert_eq!(code(client.find_digest(request).await), "INVALID_REQUEST");
    }
    drop(client);
    server.stop().await;
}

/// Goal: any entry under any size, any size after any other. Method: all of a small log,
/// against roots that are computed from its leaves.
#[tokio::test(flavor = "multi_thread")]
async fn every_entry_and_every_pair_of_sizes_is_proven() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    for sequence in 1..=6 {
        let name = environment(sequence);
        let request = release(*server.ledger.trust().genesis(), &name, 1, None, &name);
        server.client().await.append(request).await.unwrap();
    }
    let audited = audit(&server).await;
    let size = audited.head.size().0;
    let root = |size| root_at(&audited.tree, TreeSize(size)).unwrap();
    let mut client = server.client().await;
    for to in 1..=size {
        for index in 0..to {
            let request = v1::GetEntryRequest { index, size: to };
            let answer = client.get_entry(request).await.unwrap().into_inner();
            assert_eq!(
                answer.entry,
                audited.leaves[usize::try_from(index).unwrap()]
            );
            let hash = audited.tree.leaf(Index(index)).unwrap();
            let proof = prove::proof(&answer.inclusion);
            verify_inclusion(hash, Index(index), TreeSize(to), &proof, &root(to)).unwrap();
        }
        for from in 1..=to {
            let request = v1::GetConsistencyProofRequest { from, to };
            let answer = client
                .get_consistency_proof(request)
                .await
                .unwrap()
                .into_inner();
            let proof = prove::proof(&answer.hashes);
            let sizes = (TreeSize(from), TreeSize(to));
            verify_consistency(sizes.0, sizes.1, &proof, &root(from), &root(to)).unwrap();
        }
    }
    for (index, under) in [
        (size, 0),
        (u64::MAX, 0),
        (0, size + 1),
        (3, 3),
        (3, 1),
        (u64::MAX, u64::MAX),
    ] {
        let request = v1::GetEntryRequest { index, size: under };
        assert_eq!(
            code(client.get_entry(request).await),
            "NOT_FOUND",
            "{index} in {under}"
        );
    }
    for (from, to) in [
        (0, 0),
        (0, 3),
        (4, 3),
        (1, size + 1),
        (size + 1, 0),
        (u64::MAX, u64::MAX),
    ] {
        let request = v1::GetConsistencyProofRequest { from, to };
        assert_eq!(
            code(client.get_consistency_proof(request).await),
            "NOT_FOUND",
            "{from} to {to}"
        );
    }
    drop(client);
    server.stop().await;
}
