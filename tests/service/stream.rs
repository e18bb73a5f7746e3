//! Many appends in flight on one stream: every answer has its tag, every refusal is one
//! item's own.

use std::collections::HashMap;

use cairn_grpc::{
    refused,
    v1::{self, append_stream_response::Outcome},
};
use cairn_proto::hash::{ContentId, LeafHash};
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{Status, Streaming};

use crate::{
    fill::{environment, release},
    support::{
        DEV, Draft, OTHER, STRANGER, Server, audit::audit, external, leaf, manifest, prove, stored,
    },
};

/// A stream to append on.
struct Line {
    send: UnboundedSender<v1::AppendStreamRequest>,
    answers: Streaming<v1::AppendStreamResponse>,
}

impl Line {
    async fn open(server: &Server) -> Self {
        let (send, requests) = mpsc::unbounded_channel();
        let requests = UnboundedReceiverStream::new(requests);
        let answers = server.client().await.append_stream(requests).await.unwrap();
        Self {
            send,
            answers: answers.into_inner(),
        }
    }

    fn send(&self, tag: u64, append: v1::AppendRequest) {
        let append = Some(append);
        self.send
            .send(v1::AppendStreamRequest { tag, append })
            .unwrap();
    }

    async fn next(&mut self) -> Result<Option<(u64, Outcome)>, Status> {
        let answer = self.answers.message().await?;
        Ok(answer.map(|answer| (answer.tag, answer.outcome.unwrap())))
    }
}

fn genesis(server: &Server) -> LeafHash {
    *server.ledger.trust().genesis()
}

fn receipt(outcome: Outcome) -> v1::AppendResponse {
    match outcome {
        Outcome::Receipt(receipt) => receipt,
        Outcome::Refusal(refusal) => panic!("{}: {}", refusal.reason, refusal.message),
    }
}

/// Goal: more in flight than the server takes at once is neither lost nor mixed up. Method:
/// 300 are sent before the first answer is read; each receipt is proven for its own tag.
#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_in_flight_are_answered_each_by_its_tag() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let mut line = Line::open(&server).await;
    let mut sent = HashMap::new();
    for tag in 0..300 {
        let request = release(genesis(&server), &environment(tag), 1, None, "same");
        line.send(tag, request.clone());
        sent.insert(tag, request);
    }
    let mut indices = Vec::new();
    while !sent.is_empty() {
        let (tag, outcome) = line.next().await.unwrap().unwrap();
        let request = sent.remove(&tag).unwrap();
        let receipt = receipt(outcome);
        prove::receipt(server.ledger.trust(), &request, &environment(tag), &receipt);
        assert!(!receipt.repeated_call);
        indices.push(receipt.index);
    }
    indices.sort_unstable();
    indices.dedup();
    assert_eq!(indices.len(), 300, "two entries at one index");
    drop(line.send);
    assert!(line.answers.message().await.unwrap().is_none());
    assert_eq!(audit(&server).await.state.environments().count(), 300);
    server.stop().await;
}

/// Goal: an answer does not wait for those that were asked for before it. Method: appends
/// that must first make contents durable, then a retry of one that stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_quick_answer_overtakes_slow_ones() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let mut client = server.client().await;
    let standing = release(genesis(&server), "standing", 1, None, "same");
    client.append(standing.clone()).await.unwrap();
    let contents: Vec<Vec<u8>> = (0..24_u8).map(|number| vec![number; 200_000]).collect();
    let parts = contents
        .clone()
        .into_iter()
        .map(|data| v1::PutContentRequest {
            content_id: ContentId::of(&data).0.to_vec().into(),
            offset: 0,
            data: data.into(),
            last: true,
        });
    client.put_content(tokio_stream::iter(parts)).await.unwrap();
    let mut line = Line::open(&server).await;
    for (tag, bytes) in (0..).zip(&contents) {
        let files = manifest(vec![stored("a", bytes)]);
        line.send(
            tag,
            Draft::new(genesis(&server), &environment(tag), 1, &files).sign(&[DEV]),
        );
    }
    line.send(99, standing);
    let mut order = Vec::new();
    for _ in 0..=contents.len() {
        let (tag, outcome) = line.next().await.unwrap().unwrap();
        assert_eq!(receipt(outcome).repeated_call, tag == 99);
        order.push(tag);
    }
    assert_ne!(
        order.last(),
        Some(&99),
        "the quick one came last: {order:?}"
    );
    order.sort_unstable();
    assert_eq!(order.len(), 25);
    server.stop().await;
}

/// Goal: what one item did wrong is said of it, and touches no other. Method: each kind of
/// refusal between good ones, and a chain whose steps follow each other on the stream.
#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_is_one_items_own() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let mut line = Line::open(&server).await;
    let good = |name: &str| release(genesis(&server), name, 1, None, name);
    let files = manifest(vec![external("a", b"1")]);
    let lost = manifest(vec![stored("a", b"never sent")]);
    let draft = |name: &str, files| Draft::new(genesis(&server), name, 1, files);
    let mut forged = good("forged");
    forged.envelope = good("other").envelope;
    let items = [
        (good("one"), ""),
        (draft("a", &files).sign(&[STRANGER]), "UNKNOWN_SIGNER"),
        (draft("b", &files).sign(&[OTHER]), "SIGNER_NOT_ALLOWED"),
        (draft("prod/c", &files).sign(&[OTHER]), "TOO_FEW_APPROVALS"),
        (draft("d", &lost).sign(&[DEV]), "CONTENT_MISSING"),
        (forged, "DOCUMENT_MISMATCH"),
        (
            v1::AppendRequest {
                document: Vec::new().into(),
                ..good("e")
            },
            "DOCUMENT_MISSING",
        ),
        (
            v1::AppendRequest {
                envelope: vec![0xff; 70_000].into(),
                ..good("f")
            },
            "ENTRY_TOO_LARGE",
        ),
        (v1::AppendRequest::default(), "ENTRY_UNKNOWN_SHAPE"),
        (
            release(genesis(&server), "g", 2, None, "x"),
            "WRONG_SEQUENCE",
        ),
        (good("two"), ""),
    ];
    for (tag, (request, _)) in (0..).zip(&items) {
        line.send(tag, request.clone());
    }
    for _ in 0..items.len() {
        let (tag, outcome) = line.next().await.unwrap().unwrap();
        let expected = items[usize::try_from(tag).unwrap()].1;
        match outcome {
            Outcome::Receipt(_) => assert_eq!(expected, "", "item {tag}"),
            Outcome::Refusal(refusal) => {
                assert_eq!(refusal.reason, expected, "item {tag}: {}", refusal.message);
                assert!(refusal.code != 0 && !refusal.message.is_empty());
            }
        }
    }
    let audited = audit(&server).await;
    assert_eq!((audited.releases("one"), audited.releases("two")), (1, 1));
    assert_eq!(audited.state.environments().count(), 2);
    server.stop().await;
}

/// Goal: a message that is none ends its stream, with the field's name, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn an_item_without_an_append_ends_only_its_own_stream() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let (mut line, mut other) = (Line::open(&server).await, Line::open(&server).await);
    line.send(1, release(genesis(&server), "a", 1, None, "x"));
    receipt(line.next().await.unwrap().unwrap().1);
    line.send
        .send(v1::AppendStreamRequest {
            tag: 2,
            append: None,
        })
        .unwrap();
    let status = line.next().await.unwrap_err();
    assert_eq!(refused(&status).code, "INVALID_REQUEST");
    assert!(status.message().contains("append"), "{}", status.message());
    other.send(3, release(genesis(&server), "b", 1, None, "x"));
    receipt(other.next().await.unwrap().unwrap().1);
    assert_eq!(audit(&server).await.state.environments().count(), 2);
    server.stop().await;
}

/// Goal: who hangs up in the middle neither loses nor doubles anything, and a retry on
/// another stream finds what was done. Method: streams dropped with all in flight.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_dropped_in_flight_can_be_sent_again() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path()).await;
    let first: Vec<_> = (0..200)
        .map(|tag| release(genesis(&server), &environment(tag), 1, None, "1"))
        .collect();
    let second: Vec<_> = (0..)
        .zip(&first)
        .map(|(tag, before)| {
            release(
                genesis(&server),
                &environment(tag),
                2,
                Some(leaf(before)),
                "2",
            )
        })
        .collect();
    for requests in [&first, &second] {
        for answers in [0, 1, 50] {
            let mut line = Line::open(&server).await;
            for (tag, request) in (0..).zip(requests) {
                line.send(tag, request.clone());
            }
            for _ in 0..answers {
                receipt(line.next().await.unwrap().unwrap().1);
            }
        }
        let mut line = Line::open(&server).await;
        for (tag, request) in (0..).zip(requests) {
            line.send(tag, request.clone());
        }
        for _ in requests {
            let (tag, outcome) = line.next().await.unwrap().unwrap();
            let request = &requests[usize::try_from(tag).unwrap()];
            let receipt = receipt(outcome);
            prove::receipt(server.ledger.trust(), request, &environment(tag), &receipt);
        }
    }
    let audited = audit(&server).await;
    for tag in 0..200 {
        assert_eq!(audited.releases(&environment(tag)), 2);
    }
    server.stop().await;
}

/// Goal: an environment may go on while its last step is being committed, and a start still
/// needs no replay of the whole journal. Method: a chain sent at once, until two steps of it
/// stand in one batch; a view that did not add up would be made anew.
#[tokio::test(flavor = "multi_thread")]
async fn steps_of_one_environment_in_one_batch_are_all_written_down() {
    const STEPS: u64 = 40;
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start(data.path()).await;
    let mut together = false;
    for chain in 0..20 {
        let name = environment(chain);
        let mut previous = None;
        let mut waiting = Vec::new();
        for sequence in 1..=STEPS {
            let text = format!("{chain} {sequence}");
            let request = release(genesis(&server), &name, sequence, previous, &text);
            previous = Some(leaf(&request));
            waiting.push(request);
        }
        let mut line = Line::open(&server).await;
        let mut sizes = Vec::new();
        while !waiting.is_empty() {
            for (tag, request) in (0..).zip(&waiting) {
                line.send(tag, request.clone());
            }
            let mut refused = Vec::new();
            for _ in 0..waiting.len() {
                let (tag, outcome) = line.next().await.unwrap().unwrap();
                match outcome {
                    Outcome::Receipt(receipt) => sizes.push(prove::size_of(&receipt.checkpoint)),
                    // It came before the one that it follows.
                    Outcome::Refusal(_) => refused.push(usize::try_from(tag).unwrap()),
                }
            }
            refused.sort_unstable();
            waiting = refused.iter().map(|at| waiting[*at].clone()).collect();
        }
        sizes.sort_unstable();
        together |= sizes.windows(2).any(|pair| pair[0] == pair[1]);
    }
    assert!(together, "no batch had two steps of one environment");
    server.stop().await;
    let view = data.path().join("view");
    let made = std::fs::metadata(&view).unwrap().created().unwrap();
    server = Server::start(data.path()).await;
    assert_eq!(std::fs::metadata(&view).unwrap().created().unwrap(), made);
    assert_eq!(audit(&server).await.releases(&environment(0)), STEPS);
    server.stop().await;
}
