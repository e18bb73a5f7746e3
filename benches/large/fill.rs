//! The ledger that is measured: releases of 14 artifacts of which one changed, ten of each
//! environment, signed a chunk ahead of the stream that appends them.
//!
//! Environments come in blocks, each with all of its releases, so that entries, environments
//! and map rows grow in step and the slope between two sizes is one of all three.

use std::{ops::Range, sync::Arc, time::Instant};

use cairn_grpc::v1::{self, append_stream_response::Outcome};
use cairn_proto::{
    hash::LeafHash,
    key::SecretKey,
    manifest::{Artifact, Comparison, Manifest},
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::support::{Draft, external, leaf, process::Served};

/// Releases of each environment.
pub(crate) const ROUNDS: usize = 10;
/// Environments whose rounds are sent one after the other.
const BLOCK: usize = 10_000;
const ARTIFACTS: usize = 14;
/// Bytes of an envelope, about.
const ENVELOPE_BYTES: usize = 1_024;
/// Messages between the signer and the stream.
const QUEUE: usize = 1_024;

/// What was appended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Filled {
    pub(crate) environments: usize,
    pub(crate) entries: usize,
    /// Bytes of leaves and documents.
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
}

impl Filled {
    /// Rows of the map: one of each environment, one of each artifact that was ever
    /// changed, the ones that all began with, the policy's.
    pub(crate) fn rows(&self) -> usize {
        self.environments + self.entries + ARTIFACTS + 1
    }
}

pub(crate) fn environment(number: usize) -> String {
    format!("bench/{number}/shop")
}

/// Signs releases.
pub(crate) struct Signing {
    ledger: LeafHash,
    key: SecretKey,
    base: Vec<Artifact>,
    padding: String,
}

impl Signing {
    pub(crate) fn new(ledger: LeafHash, key: SecretKey) -> Self {
        let files = (0..ARTIFACTS).map(|file| changed(file, "as all began"));
        let mut signing = Self {
            ledger,
            key,
            base: files.collect(),
            padding: String::new(),
        };
        let unpadded = signing.release(0, 1, None).envelope.len();
        // The payload is in base64 within the envelope.
        signing.padding = "x".repeat(ENVELOPE_BYTES.saturating_sub(unpadded) * 3 / 4);
        signing
    }

    /// One release, after the one before it.
    pub(crate) fn release(
        &self,
        number: usize,
        round: usize,
        previous: Option<LeafHash>,
    ) -> v1::AppendRequest {
        let mut artifacts = self.base.clone();
        for changed_in in 1..=round {
            let file = changed_in % ARTIFACTS;
            artifacts[file] = changed(file, &format!("{number} {changed_in}"));
        }
        let manifest = Manifest::new(artifacts, Comparison::default()).unwrap();
        let name = environment(number);
        let mut draft = Draft::new(self.ledger, &name, round as u64, &manifest);
        draft.release.previous = previous;
        if !self.padding.is_empty() {
            draft.release.reason = Some(self.padding.clone());
        }
        draft.sign_by(&self.key)
    }
}

fn changed(file: usize, text: &str) -> Artifact {
    external(&format!("etc/shop/{file:02}.yaml"), text.as_bytes())
}

/// Appends all releases of the environments from `before` on, until there are `environments`.
pub(crate) async fn fill(
    server: &Served,
    signing: &Arc<Signing>,
    before: Filled,
    environments: usize,
) -> Filled {
    let mut filled = before;
    let start = Instant::now();
    let (to_stream, requests) = mpsc::channel(QUEUE);
    let mut client = server.client().await;
    let answers = client.append_stream(ReceiverStream::new(requests)).await;
    let mut answers = answers.unwrap().into_inner();
    let mut chunks = sign_ahead(signing.clone(), before.environments..environments);
    while let Some(chunk) = chunks.recv().await {
        let count = chunk.len();
        let bytes = chunk.iter().map(|it| it.envelope.len() + it.document.len());
        filled.bytes += bytes.sum::<usize>() as u64;
        let to_stream = to_stream.clone();
        let sending = tokio::spawn(async move {
            for (append, tag) in chunk.into_iter().zip(0..) {
                let append = Some(append);
                let request = v1::AppendStreamRequest { tag, append };
                to_stream.send(request).await.unwrap();
            }
        });
        // The next round builds upon this one: all of it must stand first.
        for _ in 0..count {
            match answers.message().await.unwrap().unwrap().outcome {
                Some(Outcome::Receipt(_)) => {}
                other => panic!("an append was refused: {other:?}"),
            }
        }
        sending.await.unwrap();
        filled.entries += count;
    }
    filled.environments = environments;
    filled.seconds = start.elapsed().as_secs_f64();
    filled
}

/// One round of one block at a time, at most one chunk ahead: memory stays small.
fn sign_ahead(
    signing: Arc<Signing>,
    environments: Range<usize>,
) -> mpsc::Receiver<Vec<v1::AppendRequest>> {
    let (chunks, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for first in environments.clone().step_by(BLOCK) {
            let block = first..environments.end.min(first + BLOCK);
            let mut previous = vec![None; block.len()];
            for round in 1..=ROUNDS {
                let chunk = block.clone().zip(&mut previous).map(|(number, previous)| {
                    let request = signing.release(number, round, *previous);
                    *previous = Some(leaf(&request));
                    request
                });
                if chunks.blocking_send(chunk.collect()).is_err() {
                    return;
                }
            }
        }
    });
    receiver
}
