//! Ledgers of any size, made over one stream.

use std::collections::HashMap;

use cairn_grpc::v1::{self, append_stream_response::Outcome};
use cairn_proto::{
    hash::LeafHash,
    key::{SecretKey, Signer},
    trust::Trust,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::{Draft, external, leaf, manifest, prove};

/// Requests that wait for the stream to take them.
const QUEUE: usize = 64;
/// Receipts that are proven: one of so many, and the first.
const PROVEN: u64 = 97;
/// Environments that share their manifests with those that are a multiple of this away.
const SHARED: u64 = 50;

/// A release of an environment, after the one before it.
pub(crate) fn release(
    genesis: LeafHash,
    environment: &str,
    sequence: u64,
    previous: Option<LeafHash>,
    text: &str,
    key: &dyn Signer,
) -> v1::AppendRequest {
    let files = manifest(vec![external("web.yaml", text.as_bytes())]);
    let mut draft = Draft::new(genesis, environment, sequence, &files);
    draft.release.previous = previous;
    draft.sign_by(key)
}

/// Name of the environment of a number.
pub(crate) fn environment(number: u64) -> String {
    format!("fill/{number:04}")
}

/// Appends `rounds` releases to each of so many environments; of each round all are sent
/// before the next begins.
pub(crate) async fn fill(
    mut client: prove::Client,
    trust: &Trust,
    key: &SecretKey,
    environments: u64,
    rounds: u64,
) {
    let genesis = *trust.genesis();
    let mut last: HashMap<u64, LeafHash> = HashMap::new();
    let (sender, requests) = mpsc::channel(QUEUE);
    let answers = client
        .append_stream(ReceiverStream::new(requests))
        .await
        .unwrap();
    let mut answers = answers.into_inner();
    for round in 1..=rounds {
        let mut signed = HashMap::new();
        for number in 0..environments {
            let text = format!("{} {round}", number % SHARED);
            let previous = last.get(&number).copied();
            let request = release(genesis, &environment(number), round, previous, &text, key);
            last.insert(number, leaf(&request));
            signed.insert(number, request);
        }
        let (to_stream, sent) = (sender.clone(), signed.clone());
        let sending = tokio::spawn(async move {
            for (tag, append) in sent {
                let append = Some(append);
                to_stream
                    .send(v1::AppendStreamRequest { tag, append })
                    .await
                    .unwrap();
            }
        });
        for count in 0..environments {
            let answer = answers.message().await.unwrap().unwrap();
            let request = signed.remove(&answer.tag).unwrap();
            match answer.outcome.unwrap() {
                Outcome::Receipt(receipt) if count % PROVEN == 0 => {
                    let name = environment(answer.tag);
                    prove::receipt(trust, &request, &name, &receipt);
                }
                Outcome::Receipt(_) => {}
                Outcome::Refusal(refusal) => panic!("{}: {}", refusal.reason, refusal.message),
            }
        }
        sending.await.unwrap();
    }
}
