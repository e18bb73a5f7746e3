//! Random bytes, in every field and as whole bodies: each answer has a reason.

use std::time::Duration;

use bytes::Bytes;
use cairn_grpc::{refused, v1};
use cairn_proto::reason::Reason;
use tokio_stream::StreamExt as _;
use tonic::Status;

use crate::{
    frames::{DATA, END_HEADERS, END_STREAM, HEADERS, Raw, call, frame},
    limits::Target,
    support::{
        prove::Client,
        tools::{Random, long},
    },
};

/// Bytes that are random, or nearly right.
fn noise(random: &mut Random, good: &[u8]) -> Bytes {
    let length = usize::try_from(random.below(300)).unwrap();
    match random.below(4) {
        0 => random.bytes(length).into(),
        1 => Bytes::new(),
        2 => random.bytes(32).into(),
        _ => {
            let mut bytes = good.to_vec();
            let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
            bytes[at] ^= 1 << random.below(8);
            bytes.into()
        }
    }
}

fn text(random: &mut Random) -> String {
    let names = [
        "staging", "", "/", "a/../b", "UPPER", "a//b", "\u{0}", "**", "prod/x",
    ];
    match random.below(3) {
        0 => String::from_utf8_lossy(&random.bytes(20)).into_owned(),
        1 => "x/".repeat(usize::try_from(random.below(2_000)).unwrap()),
        _ => names[usize::try_from(random.below(names.len() as u64)).unwrap()].to_owned(),
    }
}

fn number(random: &mut Random) -> u64 {
    let edges = [0, 1, 3, 255, 256, u64::MAX, u64::MAX - 1, 1 << 53, 1 << 63];
    match random.below(2) {
        0 => random.next(),
        _ => edges[usize::try_from(random.below(edges.len() as u64)).unwrap()],
    }
}

/// One call with noise in every field; what it was refused for.
async fn noisy(
    client: &mut Client,
    random: &mut Random,
    good: &v1::AppendRequest,
) -> Option<Status> {
    match random.below(3) {
        0 => noisy_append(client, random, good).await,
        1 => noisy_content(client, random, good).await,
        _ => noisy_question(client, random, good).await,
    }
}

async fn noisy_append(
    client: &mut Client,
    random: &mut Random,
    good: &v1::AppendRequest,
) -> Option<Status> {
    let append = v1::AppendRequest {
        envelope: noise(random, &good.envelope),
        document: noise(random, &good.document),
        trusted_checkpoint: noise(random, &good.trusted_checkpoint),
    };
    if random.below(2) == 0 {
        return client.append(append).await.err();
    }
    let item = v1::AppendStreamRequest {
        tag: random.next(),
        append: Some(append),
    };
    let items = tokio_stream::iter([item.clone(), item]);
    let mut answers = client.append_stream(items).await.unwrap().into_inner();
    while let Some(answer) = answers.next().await {
        if let Err(status) = answer {
            return Some(status);
        }
    }
    None
}

async fn noisy_content(
    client: &mut Client,
    random: &mut Random,
    good: &v1::AppendRequest,
) -> Option<Status> {
    let mut id = || noise(random, &[7; 32]);
    let (one, two) = (id(), id());
    match random.below(3) {
        0 => {
            let part = v1::PutContentRequest {
                content_id: one,
                offset: number(random),
                data: noise(random, &good.envelope),
                last: random.below(4) > 0,
            };
            client.put_content(tokio_stream::iter([part])).await.err()
        }
        1 => {
            let get = v1::GetContentRequest {
                content_id: one,
                environment: text(random),
                sequence: number(random),
                offset: number(random),
                length: number(random),
            };
            client.get_content(get).await.err()
        }
        _ => {
            let stat = v1::StatContentRequest {
                content_ids: vec![one, two],
                environment: text(random),
            };
            client.stat_content(stat).await.err()
        }
    }
}

async fn noisy_question(
    client: &mut Client,
    random: &mut Random,
    good: &v1::AppendRequest,
) -> Option<Status> {
    let trusted_checkpoint = noise(random, &good.trusted_checkpoint);
    match random.below(5) {
        0 => {
            let entry = v1::GetEntryRequest {
                index: number(random),
                size: number(random),
            };
            client.get_entry(entry).await.err()
        }
        1 => {
            let list = v1::ListEntriesRequest {
                environment: text(random),
                page_size: u32::try_from(random.below(1 << 32)).unwrap(),
                page_token: text(random),
            };
            client.list_entries(list).await.err()
        }
        2 => {
            let lookup = v1::LookupRequest {
                environment: text(random),
                trusted_checkpoint,
                ..v1::LookupRequest::default()
            };
            client.lookup(lookup).await.err()
        }
        3 => {
            let digest = v1::FindDigestRequest {
                sha256: noise(random, &[7; 32]),
                trusted_checkpoint,
            };
            client.find_digest(digest).await.err()
        }
        _ => {
            let sizes = v1::GetConsistencyProofRequest {
                from: number(random),
                to: number(random),
            };
            client.get_consistency_proof(sizes).await.err()
        }
    }
}

/// Goal: noise in a field is refused for a reason that there is, and is never the server's
/// own fault. Method: every call, every field, from a seed.
#[tokio::test(flavor = "multi_thread")]
async fn random_bytes_in_every_field_have_a_reason() {
    let target = Target::new().await;
    let mut random = Random::seeded("limits");
    let mut client = target.served.client().await;
    let known = client.get_ledger(v1::GetLedgerRequest {}).await.unwrap();
    let good = v1::AppendRequest {
        trusted_checkpoint: known.into_inner().checkpoint,
        ..target.draft("noise").sign_by(&target.dev.key())
    };
    let rounds = if long() { 50_000 } else { 3_000 };
    let mut refusals = 0;
    for _ in 0..rounds {
        let Some(status) = noisy(&mut client, &mut random, &good).await else {
            continue;
        };
        let reason = refused(&status).reason;
        let own = [
            Some(Reason::Internal),
            Some(Reason::StoreDamaged),
            Some(Reason::NotSigning),
        ];
        assert!(reason.is_some() && !own.contains(&reason), "{status:?}");
        refusals += 1;
    }
    assert!(refusals > rounds / 4, "{refusals} of {rounds}");
    target.ends_well("random fields").await;
}

/// Goal: bytes that are no message are refused, whatever call they are sent to. Method: random
/// bodies, framed and not, to every path of the interface.
#[tokio::test(flavor = "multi_thread")]
async fn random_bodies_on_every_call_are_refused() {
    let target = Target::new().await;
    let mut random = Random::seeded("bodies");
    let calls = [
        "GetLedger",
        "Append",
        "AppendStream",
        "PutContent",
        "GetContent",
        "StatContent",
        "GetEntry",
        "ListEntries",
        "Lookup",
        "FindDigest",
        "GetConsistencyProof",
        "WatchCheckpoints",
        "Nothing",
    ];
    let rounds = if long() { 10 } else { 1 };
    for (name, _) in calls
        .into_iter()
        .flat_map(|name| (0..rounds).map(move |round| (name, round)))
    {
        let mut raw = Raw::open(target.served.address, &[]).await;
        let path = format!("/cairn.v1.Ledger/{name}");
        for stream in (1..101).step_by(2) {
            let count = usize::try_from(1 + random.below(500)).unwrap();
            let mut body = random.bytes(count);
            if random.below(2) == 0 {
                let length = u32::try_from(body.len()).unwrap().to_be_bytes();
                body = [&[0], &length[..], &body].concat();
            }
            let head = frame(HEADERS, END_HEADERS, stream, &call(&path));
            assert!(
                raw.send(&[head, frame(DATA, END_STREAM, stream, &body)].concat())
                    .await
            );
        }
        let farewell = raw.farewell(Duration::from_millis(200)).await;
        assert_eq!(
            (farewell.error, farewell.closed),
            (None, false),
            "{name}: {farewell:?}"
        );
        assert!(farewell.answers > 0, "{name}: {farewell:?}");
    }
    target.ends_well("random bodies").await;
}
