//! Clients that keep a server busy until it dies, remember every word it gave, and ask for
//! all of it again afterwards.

use std::sync::{Arc, Mutex};

use cairn_grpc::{refused, v1};
use cairn_proto::{
    checkpoint::AuthenticCheckpoint,
    hash::{ContentId, Index},
    key::SecretKey,
    trust::Trust,
    verify::{Current, Recorded},
};
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;

use crate::{
    chains::{Acknowledged, Chain, Sent},
    support::{process::Served, prove, prove::Client, tools::Random},
};

/// Chains that one stream carries.
const CHAINS_OF_A_STREAM: usize = 12;
/// Questions in flight when everything is asked for again.
const QUESTIONS: usize = 64;

/// What every client knows, and the newest head that any of them was shown.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) trust: Trust,
    pub(crate) key: SecretKey,
    newest: Mutex<Option<AuthenticCheckpoint>>,
}

impl Known {
    fn saw(&self, head: AuthenticCheckpoint) {
        let mut newest = self.newest.lock().unwrap();
        if newest
            .as_ref()
            .is_none_or(|newest| newest.size() < head.size())
        {
            *newest = Some(head);
        }
    }
}

/// All clients of one ledger.
#[derive(Debug)]
pub(crate) struct Fleet {
    pub(crate) known: Arc<Known>,
    /// Each client's chains: one for a unary client, many for a stream.
    crews: Vec<Vec<Chain>>,
    random: Random,
}

impl Fleet {
    pub(crate) fn new(trust: Trust, key: SecretKey, mut random: Random) -> Self {
        let sizes = [1, 1, 1, 1, CHAINS_OF_A_STREAM, CHAINS_OF_A_STREAM];
        let crews = sizes.iter().enumerate().map(|(crew, chains)| {
            let chain = |number| Chain::new(format!("load/{crew}/{number}"), random.next());
            (0..*chains).map(chain).collect()
        });
        Self {
            crews: crews.collect(),
            known: Arc::new(Known {
                trust,
                key,
                newest: Mutex::default(),
            }),
            random,
        }
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.chains().map(|chain| chain.done.len()).sum()
    }

    fn chains(&self) -> impl Iterator<Item = &Chain> {
        self.crews.iter().flatten()
    }

    /// Appends with every client until the server is gone. `end` ends it.
    pub(crate) async fn work(&mut self, served: Served, end: impl FnOnce(Served)) {
        let watching = tokio::spawn(watch(served.client().await, self.known.clone()));
        let mut working = Vec::new();
        for crew in std::mem::take(&mut self.crews) {
            let (client, known) = (served.client().await, self.known.clone());
            working.push(tokio::spawn(async move {
                if crew.len() == 1 {
                    one_by_one(client, known, crew).await
                } else {
                    streamed(client, known, crew).await
                }
            }));
        }
        tokio::task::block_in_place(|| end(served));
        for crew in working {
            self.crews.push(crew.await.unwrap());
        }
        watching.await.unwrap();
    }

    /// Everything acknowledged since `since`, and a sample of what came before: there, at its
    /// index, proven, the same again on a retry; and the newest note is extended.
    pub(crate) async fn ask_again(&mut self, served: &Served, sample: u64) {
        let mut client = served.client().await;
        let newest = self.known.newest.lock().unwrap().clone();
        if let Some(newest) = newest {
            let head = prove::extended(&mut client, &self.known.trust, &newest).await;
            self.known.saw(head);
        }
        let chains: Vec<Vec<Acknowledged>> =
            self.chains().map(|chain| chain.done.clone()).collect();
        let mut asked: Vec<Acknowledged> = Vec::new();
        for chain in &chains {
            let Some((last, older)) = chain.split_last() else {
                continue;
            };
            asked.push(last.clone());
            let chosen = older
                .iter()
                .filter(|_| self.random.below(older.len() as u64) < sample);
            asked.extend(chosen.cloned());
            currently(&mut client, &self.known.trust, last).await;
        }
        let answers = stream::iter(asked)
            .map(|acknowledged| still_there(client.clone(), self.known.clone(), acknowledged));
        answers
            .buffer_unordered(QUESTIONS)
            .collect::<Vec<()>>()
            .await;
    }
}

/// Follows the notes: each of them was published, so each must stay a prefix.
async fn watch(mut client: Client, known: Arc<Known>) {
    let Ok(notes) = client
        .watch_checkpoints(v1::WatchCheckpointsRequest {})
        .await
    else {
        return;
    };
    let mut notes = notes.into_inner();
    while let Ok(Some(note)) = notes.message().await {
        known.saw(prove::authentic(&known.trust, &note.checkpoint));
    }
}

/// Refusals that a moment cures: another client's upload of the same content is not whole
/// yet, or the server stood still for too long.
const PASSING: [&str; 2] = ["CONTENT_MISSING", "OVERLOADED"];

/// A connection that broke says nothing; a server that refuses here is wrong.
fn broke(status: &Status) {
    let refused = refused(status);
    assert_eq!(refused.code, "", "refused: {}", refused.message);
}

/// Sends the content that a release names. All clients here are one owner, so another one
/// may have sent a part, or an earlier server may have kept one: go on where that ends.
async fn upload(client: &mut Client, sent: &Sent) -> Result<(), Status> {
    let Some(bytes) = &sent.content else {
        return Ok(());
    };
    let id = ContentId::of(bytes);
    let put = client.put_content(stream::iter(parts(id, bytes, 0))).await;
    if !put
        .as_ref()
        .is_err_and(|status| refused(status).code == "CONTENT_OFFSET")
    {
        return put.map(drop);
    }
    let request = v1::StatContentRequest {
        content_ids: vec![id.0.to_vec().into()],
        environment: "load/stat".to_owned(),
    };
    let missing = client.stat_content(request).await?.into_inner().missing;
    let Some(missing) = missing.first() else {
        return Ok(());
    };
    let rest = parts(id, bytes, usize::try_from(missing.staged_bytes).unwrap());
    match client.put_content(stream::iter(rest)).await {
        // Somebody was faster.
        Err(status) if refused(&status).code == "CONTENT_OFFSET" => Ok(()),
        put => put.map(drop),
    }
}

fn parts(id: ContentId, bytes: &[u8], offset: usize) -> Vec<v1::PutContentRequest> {
    let pieces = bytes[offset..].chunks(256 << 10);
    let last = pieces.len().saturating_sub(1);
    let part = |(number, data): (usize, &[u8])| v1::PutContentRequest {
        content_id: if number == 0 {
            id.0.to_vec().into()
        } else {
            bytes::Bytes::new()
        },
        offset: offset as u64,
        data: data.to_vec().into(),
        last: number == last,
    };
    pieces.enumerate().map(part).collect()
}

async fn one_by_one(mut client: Client, known: Arc<Known>, mut crew: Vec<Chain>) -> Vec<Chain> {
    let chain = &mut crew[0];
    loop {
        let sent = chain.next(&known.trust, &known.key);
        let appended = match upload(&mut client, &sent).await {
            Ok(()) => client.append(sent.request).await,
            Err(status) => Err(status),
        };
        match appended {
            Ok(receipt) => known.saw(chain.acknowledge(&known.trust, &receipt.into_inner())),
            Err(status) if PASSING.contains(&refused(&status).code.as_str()) => {}
            Err(status) => {
                broke(&status);
                return crew;
            }
        }
    }
}

async fn streamed(mut client: Client, known: Arc<Known>, mut crew: Vec<Chain>) -> Vec<Chain> {
    let (sender, requests) = mpsc::unbounded_channel();
    let mut uploads = client.clone();
    let mut answers = match client
        .append_stream(UnboundedReceiverStream::new(requests))
        .await
    {
        Ok(answers) => answers.into_inner(),
        Err(status) => {
            broke(&status);
            return crew;
        }
    };
    let mut ready: Vec<usize> = (0..crew.len()).collect();
    loop {
        for number in ready.drain(..) {
            let sent = crew[number].next(&known.trust, &known.key);
            // Where the upload has to be tried again, the append is refused and sends it back.
            if let Err(status) = upload(&mut uploads, &sent).await
                && !PASSING.contains(&refused(&status).code.as_str())
            {
                broke(&status);
                return crew;
            }
            let request = v1::AppendStreamRequest {
                tag: number as u64,
                append: Some(sent.request),
            };
            if sender.send(request).is_err() {
                return crew;
            }
        }
        let answer = match answers.message().await {
            Ok(Some(answer)) => answer,
            Ok(None) => return crew,
            Err(status) => {
                broke(&status);
                return crew;
            }
        };
        let number = usize::try_from(answer.tag).unwrap();
        match answer.outcome.unwrap() {
            v1::append_stream_response::Outcome::Receipt(receipt) => {
                known.saw(crew[number].acknowledge(&known.trust, &receipt));
            }
            v1::append_stream_response::Outcome::Refusal(refusal) => {
                assert!(
                    PASSING.contains(&refusal.reason.as_str()),
                    "{}",
                    refusal.message
                );
            }
        }
        ready.push(number);
    }
}

/// The environment is at the acknowledged release, or at one after it.
async fn currently(client: &mut Client, trust: &Trust, last: &Acknowledged) {
    match prove::lookup(client, trust, &last.environment).await {
        Current::Release(current) => {
            assert!(
                current.release().sequence.0 >= last.sequence,
                "{} went back",
                last.environment
            );
            if current.release().sequence.0 == last.sequence {
                assert_eq!(current.index().0, last.index);
            }
        }
        other => panic!("{}: {other:?}", last.environment),
    }
}

/// One acknowledged entry: the same bytes at the same index, proven; a retry says so; its
/// content is whole.
async fn still_there(mut client: Client, known: Arc<Known>, acknowledged: Acknowledged) {
    let Acknowledged {
        environment,
        sequence,
        index,
        sent,
        ..
    } = acknowledged;
    let what = format!("{environment}#{sequence} at {index}");
    let request = v1::GetEntryRequest { index, size: 0 };
    let entry = client.get_entry(request).await;
    let entry = entry
        .unwrap_or_else(|status| panic!("{what}: {status}"))
        .into_inner();
    assert_eq!(
        entry.entry, sent.request.envelope,
        "{what} is another entry"
    );
    assert_eq!(
        entry.document, sent.request.document,
        "{what} has another document"
    );
    let head = prove::authentic(&known.trust, &entry.checkpoint);
    let inclusion = prove::proof(&entry.inclusion);
    Recorded::prove(&head, &entry.entry, Index(index), &inclusion).unwrap();

    let again = client.append(sent.request.clone()).await;
    let again = again
        .unwrap_or_else(|status| panic!("{what} again: {status}"))
        .into_inner();
    assert_eq!(
        (again.index, again.repeated_call),
        (index, true),
        "{what} again"
    );
    prove::receipt(&known.trust, &sent.request, &environment, &again);

    if let Some(bytes) = sent.content {
        let request = v1::GetContentRequest {
            content_id: ContentId::of(&bytes).0.to_vec().into(),
            environment,
            sequence,
            offset: 0,
            length: 0,
        };
        let mut parts = client.get_content(request).await.unwrap().into_inner();
        let mut read = Vec::new();
        while let Some(part) = parts.message().await.unwrap() {
            read.extend_from_slice(&part.data);
        }
        assert!(read == bytes, "the content of {what} is not what was sent");
    }
}
