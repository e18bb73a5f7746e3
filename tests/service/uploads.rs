//! Content on its way in and out: parts, resumption, ranges, and every mistake in between.

use bytes::Bytes;
use cairn_grpc::{refused, v1};
use cairn_proto::hash::ContentId;
use cairn_server::{access::Access, content::ContentLimits, start::Place};
use tonic::Status;

use crate::support::{DEV, Draft, Server, manifest, place, prove::Client, stored};

const BYTES: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

fn id(bytes: &[u8]) -> Bytes {
    ContentId::of(bytes).0.to_vec().into()
}

fn part(id: Bytes, offset: u64, data: &[u8], last: bool) -> v1::PutContentRequest {
    v1::PutContentRequest {
        content_id: id,
        offset,
        data: data.to_vec().into(),
        last,
    }
}

async fn put(
    client: &mut Client,
    parts: Vec<v1::PutContentRequest>,
) -> Result<v1::PutContentResponse, Status> {
    let put = client.put_content(tokio_stream::iter(parts)).await;
    put.map(tonic::Response::into_inner)
}

/// `None` if it need not be sent; else how much of it is kept.
async fn missing(client: &mut Client, bytes: &[u8]) -> Option<u64> {
    let request = v1::StatContentRequest {
        content_ids: vec![id(bytes)],
        environment: "staging".into(),
    };
    let answer = client.stat_content(request).await.unwrap().into_inner();
    answer.missing.first().map(|missing| missing.staged_bytes)
}

fn code<T>(answer: Result<T, Status>) -> String {
    let Err(status) = answer else {
        panic!("it was accepted")
    };
    refused(&status).code
}

async fn read(
    client: &mut Client,
    bytes: &[u8],
    offset: u64,
    length: u64,
) -> Result<(Vec<u8>, u64), Status> {
    let request = v1::GetContentRequest {
        content_id: id(bytes),
        environment: "staging".into(),
        sequence: 1,
        offset,
        length,
    };
    let mut parts = client.get_content(request).await?.into_inner();
    let (mut data, mut size, mut count) = (Vec::new(), 0, 0);
    while let Some(part) = parts.message().await? {
        assert!(
            count == 0 || part.size == 0,
            "the size comes with the first part"
        );
        size += part.size;
        count += 1;
        data.extend_from_slice(&part.data);
    }
    Ok((data, size))
}

async fn append(server: &Server, contents: &[&[u8]]) -> Result<(), Status> {
    let artifacts = contents
        .iter()
        .enumerate()
        .map(|(number, bytes)| stored(&number.to_string(), bytes));
    let files = manifest(artifacts.collect());
    let genesis = *server.ledger.trust().genesis();
    let request = Draft::new(genesis, "staging", 1, &files).sign(&[DEV]);
    server.client().await.append(request).await.map(drop)
}

/// Goal: an upload that broke off is gone on with, also after a restart. Method: seven bytes,
/// a question, the rest; with the server stopped between.
#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_upload_is_resumed_where_it_ended() {
    let data = tempfile::tempdir().unwrap();
    for restart in [false, true] {
        let mut server = Server::start(data.path()).await;
        let mut client = server.client().await;
        let bytes = [BYTES, restart.to_string().as_bytes()].concat();
        assert_eq!(missing(&mut client, &bytes).await, Some(0));
        let begun = put(&mut client, vec![part(id(&bytes), 0, &bytes[..7], false)])
            .await
            .unwrap();
        assert_eq!((begun.stored, begun.stored_bytes), (0, 7));
        if restart {
            drop(client);
            server.stop().await;
            server = Server::start(data.path()).await;
            client = server.client().await;
        }
        assert_eq!(missing(&mut client, &bytes).await, Some(7));
        for (offset, from) in [(0, 0), (6, 6), (8, 8), (u64::MAX, 7)] {
            let wrong = put(
                &mut client,
                vec![part(id(&bytes), offset, &bytes[from..], true)],
            )
            .await;
            let expected = if offset == u64::MAX {
                "CONTENT_TOO_LARGE"
            } else {
                "CONTENT_OFFSET"
            };
            assert_eq!(code(wrong), expected, "at {offset}");
            assert_eq!(missing(&mut client, &bytes).await, Some(7));
        }
        let rest = vec![
            part(id(&bytes), 7, &bytes[7..9], false),
            part(Bytes::new(), 0, &bytes[9..], true),
        ];
        let ended = put(&mut client, rest).await.unwrap();
        assert_eq!(
            (ended.stored, ended.stored_bytes),
            (1, bytes.len() as u64 - 7)
        );
        assert_eq!(missing(&mut client, &bytes).await, None);
        drop(client);
        server.stop().await;
    }
}

/// Goal: bytes that hash to something else are dropped, all of them.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_hashes_to_something_else_leaves_nothing() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let mut client = server.client().await;
    let cases = [
        vec![part(id(BYTES), 0, b"else", true)],
        vec![
            part(id(BYTES), 0, &BYTES[..5], false),
            part(Bytes::new(), 5, b"else", true),
        ],
        vec![part(id(BYTES), 0, &BYTES[..5], true)],
        vec![part(id(BYTES), 0, b"", true)],
        vec![part(id(BYTES), 0, &[BYTES, b"\n"].concat(), true)],
        vec![part(id(b""), 0, b"something", true)],
    ];
    for parts in cases {
        assert_eq!(code(put(&mut client, parts).await), "CONTENT_MISMATCH");
        assert_eq!(missing(&mut client, BYTES).await, Some(0));
    }
    assert_eq!(code(append(&server, &[BYTES]).await), "CONTENT_MISSING");
    put(&mut client, vec![part(id(BYTES), 0, BYTES, true)])
        .await
        .unwrap();
    // A part of what is complete is a repetition; the empty content is always there.
    put(
        &mut client,
        vec![part(id(BYTES), 0, BYTES, true), part(id(b""), 0, b"", true)],
    )
    .await
    .unwrap();
    assert_eq!(missing(&mut client, b"").await, None);
    append(&server, &[BYTES]).await.unwrap();
    drop(client);
    server.stop().await;
}

/// Goal: a stream of parts that is not well formed is refused by the field's name.
#[tokio::test(flavor = "multi_thread")]
async fn parts_that_name_no_content_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let mut client = server.client().await;
    let cases = [
        vec![part(Bytes::new(), 0, BYTES, true)],
        vec![part(id(BYTES).slice(..31), 0, BYTES, true)],
        vec![part(vec![0; 33].into(), 0, BYTES, true)],
        // After a content's last part the next must be named.
        vec![
            part(id(BYTES), 0, BYTES, true),
            part(Bytes::new(), 0, BYTES, true),
        ],
    ];
    for parts in cases {
        let status = put(&mut client, parts).await.unwrap_err();
        assert_eq!(refused(&status).code, "INVALID_REQUEST");
        assert!(
            status.message().contains("content_id"),
            "{}",
            status.message()
        );
    }
    let nothing = put(&mut client, Vec::new()).await.unwrap();
    assert_eq!((nothing.stored, nothing.stored_bytes), (0, 0));
    let many = v1::StatContentRequest {
        content_ids: vec![id(BYTES); 10_001],
        environment: "staging".into(),
    };
    assert_eq!(code(client.stat_content(many).await), "INVALID_REQUEST");
    drop(client);
    server.stop().await;
}

/// Goal: any range of any content, small or large, is the same as of the bytes that were
/// sent. Method: one that lies in a pack, one in a file of its own, over many parts.
#[tokio::test(flavor = "multi_thread")]
async fn every_range_of_a_content_is_read_as_it_was_sent() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let mut client = server.client().await;
    let large: Vec<u8> = (0..3_500_000_u32).flat_map(u32::to_le_bytes).collect();
    let large = &large[..3_500_001];
    for bytes in [BYTES, large] {
        let pieces: Vec<&[u8]> = bytes.chunks(700_000).collect();
        let parts = pieces.iter().enumerate().map(|(number, piece)| {
            let named = if number == 0 { id(bytes) } else { Bytes::new() };
            part(named, 0, piece, number == pieces.len() - 1)
        });
        put(&mut client, parts.collect()).await.unwrap();
    }
    append(&server, &[BYTES, large]).await.unwrap();
    for bytes in [BYTES, large] {
        let size = bytes.len() as u64;
        let ranges = [
            (0, 0),
            (0, 1),
            (0, size),
            (1, 0),
            (5, 10),
            (size - 1, 0),
            (size - 1, 9),
            (size, 0),
            (0, u64::MAX),
            (7, u64::MAX),
            (size / 2, size / 3),
        ];
        for (offset, length) in ranges {
            let (read, whole) = read(&mut client, bytes, offset, length).await.unwrap();
            let end = if length == 0 {
                size
            } else {
                size.min(offset.saturating_add(length))
            };
            let range = usize::try_from(offset).unwrap()..usize::try_from(end).unwrap();
            assert!(read == bytes[range], "{offset} to {end} of {size}");
            assert_eq!(whole, size);
        }
        for (offset, length) in [(size + 1, 0), (size + 1, 1), (u64::MAX, u64::MAX)] {
            assert_eq!(
                code(read(&mut client, bytes, offset, length).await),
                "INVALID_REQUEST"
            );
        }
    }
    assert_eq!(code(read(&mut client, b"else", 0, 0).await), "NOT_FOUND");
    drop(client);
    server.stop().await;
}

/// Goal: an upload that never ends meets the bound, and what others sent stays. Method:
/// parts without an end against a server that accepts 64 KiB a content.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_beyond_the_bound_is_refused_and_others_go_on() {
    let data = tempfile::tempdir().unwrap();
    let limits = ContentLimits {
        content_bytes_max: 64 << 10,
        staged_bytes_max: 256 << 10,
        unfinished_per_owner_max: 4,
        ..ContentLimits::default()
    };
    let place = Place {
        limits,
        ..place(data.path())
    };
    let server = Server::at(place, Access::open()).await;
    let mut client = server.client().await;
    put(&mut client, vec![part(id(BYTES), 0, BYTES, true)])
        .await
        .unwrap();
    let endless = (0..1_000_u64).map(|number| {
        let named = if number == 0 {
            id(b"endless")
        } else {
            Bytes::new()
        };
        part(named, 0, &[0; 1_000], false)
    });
    assert_eq!(
        code(put(&mut client, endless.collect()).await),
        "CONTENT_TOO_LARGE"
    );
    // Each unfinished upload counts; a fifth of one owner waits for one of the four.
    for number in 0..4_u8 {
        let begun = put(&mut client, vec![part(id(&[number]), 0, b"x", false)]).await;
        if number == 3 {
            assert_eq!(code(begun), "OVERLOADED");
        } else {
            begun.unwrap();
        }
    }
    append(&server, &[BYTES]).await.unwrap();
    assert_eq!(read(&mut client, BYTES, 0, 0).await.unwrap().0, BYTES);
    drop(client);
    server.stop().await;
}
