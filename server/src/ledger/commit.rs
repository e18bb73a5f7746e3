//! The task around the sequencer: one thread that gathers batches, commits them, publishes
//! heads and hands the rows to the view.
//!
//! Crash reasoning. A record is durable before the anchor names it, and the anchor is
//! durable before a note with its size exists outside this thread. So a crash at any point
//! leaves either nothing, or a record that nobody was told of and that recovery commits
//! again byte for byte, or a published head. After an I/O error nothing in memory may be
//! trusted: the thread stops, `failed` resolves, and the process aborts.

use std::{
    sync::{Arc, mpsc as view_queue},
    time::{Duration, Instant},
};

use cairn_proto::{
    checkpoint::Checkpoint,
    entry::Content,
    hash::{DocumentId, LeafHash, TreeSize},
    key::SignError,
    merkle::Frontier,
};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use super::{
    ChainEntry, Message, Placed, Queued, Refusal, Shared,
    erasure::{self, Eraser, Erasure},
    head::{Head, ServerKeys},
    reading,
    sequence::{Batch, Candidate, Outcome, Sequencer},
    writing,
};
use crate::{
    journal::{Appended, Journal as _, Record},
    segment::StoreError,
    view::{Update, View, Watermark},
};

/// Entries of one batch: the record stays small enough to be read back at once.
const BATCH_ENTRIES_MAX: usize = 1_024;
/// Bytes of entries and documents of one batch, above which it is closed.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// Committed batches that the view may lag behind before commits wait for it.
const VIEW_LAG_MAX: usize = 1_024;
/// Leaves, documents and steps that the view takes in one atomic batch.
const VIEW_THINGS_MAX: usize = 16_384;
/// How long records gather before they are written at once: nobody reads the view before the
/// next start.
const VIEW_GATHER_MILLIS: Duration = Duration::from_millis(100);
/// How long rows may wait for a flush: what a kill makes the next start replay.
const VIEW_FLUSH_SECONDS: Duration = Duration::from_secs(1);

/// Whoever tells the time, in Unix milliseconds.
pub(super) type Clock = fn() -> u64;

/// After this nothing in memory may be trusted: the process must abort.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum Failure {
    /// The store failed in the middle of a commit.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another process wrote the record's position.
    #[error("another process wrote record {position}")]
    Conflict {
        /// The position.
        position: u64,
    },
    /// What was written does not hash to the root that was about to be signed.
    #[error("record {position} reads back with another root than it was written with")]
    ReadBack {
        /// The position.
        position: u64,
    },
    /// The log key did not sign.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// What was ordered to be erased is not being erased.
    #[error("the thread that erases ended by itself")]
    Eraser,
}

pub(super) struct Committer {
    pub(super) shared: Arc<Shared>,
    pub(super) sequencer: Sequencer,
    pub(super) keys: ServerKeys,
    /// Position of the next record.
    pub(super) position: u64,
    pub(super) clock: Clock,
    /// What committed orders erase, and nobody was told of yet.
    pub(super) erasures: Vec<Erasure>,
}

impl Committer {
    /// Runs until the last handle is gone; then waits for the view, and for what is to be erased.
    pub(super) fn run(
        mut self,
        mut queue: mpsc::Receiver<Message>,
        view: Arc<View>,
        eraser: Eraser,
    ) {
        let (to_view, updates) = view_queue::sync_channel(VIEW_LAG_MAX);
        let writer = std::thread::Builder::new()
            .name("view".into())
            .spawn(move || write_view(&view, &updates));
        let mut closing = None;
        while let Some(first) = queue.blocking_recv() {
            let batch = gather(first, &mut queue, &mut closing);
            if closing.is_some() {
                // What is queued already is still committed; nothing more gets in.
                queue.close();
            }
            if batch.is_empty() {
                continue;
            }
            if self.shared.is_halted() {
                refuse(batch, &Refusal::NotSigning);
                continue;
            }
            let committed = self.commit(batch);
            self.erasures.drain(..).for_each(|it| eraser.take(it));
            match committed {
                Ok(Some(update)) => {
                    // The writer ends only after this end of the channel is dropped.
                    let _ = to_view.send(update);
                }
                Ok(None) => {}
                Err(error) => {
                    self.shared.fail(error);
                    return;
                }
            }
        }
        drop(to_view);
        eraser.end();
        match writer {
            Ok(writer) => drop(writer.join()),
            Err(error) => tracing::warn!(%error, "the view was not written: no thread for it"),
        }
        // The store, and with it the lock, goes before anybody is told.
        drop(self);
        if let Some(closed) = closing {
            let _ = closed.send(());
        }
    }

    pub(super) fn commit(&mut self, queued: Vec<Queued>) -> Result<Option<Update>, Failure> {
        // Halted before any waiter learns of a failure: what one asks for next, the renewal of
        // the head as well, must find that nothing is signed any more.
        if let Err(error) = self.reserve(&queued) {
            let fatal = error.is_fatal();
            if fatal {
                self.shared.halt();
            }
            refuse(queued, &error.clone().into());
            return if fatal { Err(error.into()) } else { Ok(None) };
        }
        let (candidates, waiters): (Vec<_>, Vec<_>) = queued
            .into_iter()
            .map(|queued| (queued.candidate, queued.answer))
            .unzip();
        let (outcomes, batch) = self.sequence(&candidates);
        let update = match batch {
            Some(batch) => Some(
                self.publish(&batch, &candidates)
                    .inspect_err(|_| self.shared.halt())?,
            ),
            None => None,
        };
        let head = self.shared.head();
        for (outcome, answer) in outcomes.into_iter().zip(waiters) {
            let placed = Result::from(outcome).map(|(index, repeated)| Placed {
                index,
                repeated,
                head: head.clone(),
            });
            // A caller that went away is answered by its retry.
            let _ = answer.send(placed);
        }
        Ok(update)
    }

    /// Space for the whole batch, allocated and synced, before anything is sequenced.
    fn reserve(&self, queued: &[Queued]) -> Result<(), StoreError> {
        let bytes: usize = queued.iter().map(|queued| weight(&queued.candidate)).sum();
        // The record's tables and its map record come on top.
        let with_tables = bytes + 64 * (queued.len() + 16);
        self.shared.store.journal().reserve(with_tables as u64)
    }

    pub(super) fn sequence(&mut self, candidates: &[Candidate]) -> (Vec<Outcome>, Option<Batch>) {
        let shared = &self.shared;
        let known = |id: &DocumentId| shared.documents.place(id).is_some();
        let tree = reading(&shared.tree);
        self.sequencer
            .step(candidates, &known, &tree, (self.clock)())
    }

    pub(super) fn publish(
        &mut self,
        batch: &Batch,
        candidates: &[Candidate],
    ) -> Result<Update, Failure> {
        let position = self.position;
        if self.shared.store.commit(&batch.record)? == Appended::Conflict {
            return Err(Failure::Conflict { position });
        }
        self.sequencer.last = self.shared.store.journal().tail().hash;
        self.read_back(position, &batch.record)?;
        let chain = self.sequencer.state.chain();
        let erasures = chain.map(|chain| erasure::ordered(chain, batch.record.first));
        let erasures = erasures.unwrap_or_default();
        erasure::bar(&self.shared.store, &erasures);
        self.shared.store.advance_anchor()?;
        self.position += 1;
        self.share(position, batch, candidates);
        let head = self.sign(batch)?;
        self.shared.head.send_replace(Arc::new(head));
        self.erasures.extend(erasures);
        let mut update = Update::default();
        update.leaves(batch.record.first, &batch.leaves);
        for (_, effect) in &batch.effects {
            update.effect(&self.sequencer.state, effect);
        }
        batch.documents.iter().for_each(|id| update.document(id));
        update.until(Watermark {
            position: self.position,
            size: batch.record.size,
            time: batch.map_record.time,
        });
        Ok(update)
    }

    /// Hashes what the disk holds before it is signed: a bit that flipped in memory between
    /// hashing and writing must not become a signed root over other bytes.
    fn read_back(&self, position: u64, record: &Record) -> Result<(), Failure> {
        let stored = self.shared.store.journal().read(position)?;
        // The right edge before the record comes from the published tree, not from this batch.
        let mut frontier = Frontier::of(&*reading(&self.shared.tree), TreeSize(record.first.0))
            .ok_or(Failure::ReadBack { position })?;
        stored
            .leaves
            .iter()
            .for_each(|leaf| frontier.push(LeafHash::of(leaf)));
        if frontier.root() == record.root && frontier.size() == record.size {
            Ok(())
        } else {
            Err(Failure::ReadBack { position })
        }
    }

    /// Makes the record's leaves, documents and rows findable, before the head names them.
    fn share(&self, position: u64, batch: &Batch, candidates: &[Candidate]) {
        self.shared.documents.add(position, &batch.documents);
        let mut tree = writing(&self.shared.tree);
        batch.leaves.iter().for_each(|leaf| tree.push(*leaf));
        drop(tree);
        for (index, effect) in &batch.effects {
            if let Some(environment) = &effect.environment {
                let releases = &self.shared.releases;
                if effect.approved {
                    releases.approve(environment, *index);
                } else if let Some(state) = self.sequencer.state.environment(environment) {
                    // The state has gone on to the end of the batch, and so has the manifest.
                    releases.add(environment, *index, state.manifest.blake3);
                }
            }
            if effect.chain {
                let offset = usize::try_from(index.0 - batch.record.first.0).unwrap_or(usize::MAX);
                let leaf = batch.leaves.get(offset);
                let candidate = candidates
                    .iter()
                    .find(|candidate| Some(candidate.signed.submission().leaf()) == leaf);
                if let Some(candidate) = candidate {
                    let content = candidate.signed.submission().content();
                    let list = match content {
                        Content::Order(..) => &self.shared.orders,
                        _ => &self.shared.policies,
                    };
                    writing(list).push(ChainEntry {
                        index: *index,
                        entry: candidate.entry.clone(),
                        document: candidate.document.clone(),
                    });
                }
            }
        }
    }

    fn sign(&self, batch: &Batch) -> Result<Head, SignError> {
        let previous = self.shared.head();
        let chain = self.sequencer.state.chain().cloned();
        let checkpoint = Checkpoint {
            origin: previous.checkpoint.origin.clone(),
            size: batch.record.size,
            root: batch.record.root,
        };
        let note = checkpoint.sign(&*self.keys.log, &*self.keys.clock, (self.clock)() / 1_000)?;
        Ok(Head {
            checkpoint,
            note: note.into(),
            map: self.sequencer.state.map().clone(),
            map_record: batch.record.leaves.last().cloned().unwrap_or_default(),
            map_root: batch.map_record.root,
            chain: chain.unwrap_or_else(|| previous.chain.clone()),
            standing: Arc::default(),
        })
    }
}

fn weight(candidate: &Candidate) -> usize {
    candidate.entry.len() + candidate.document.len()
}

/// Takes what is waiting: the batch is whatever queued during the commit before.
fn gather(
    first: Message,
    queue: &mut mpsc::Receiver<Message>,
    closing: &mut Option<oneshot::Sender<()>>,
) -> Vec<Queued> {
    let mut bytes = 0;
    let mut batch = Vec::new();
    let mut next = Some(first);
    while let Some(message) = next {
        match message {
            Message::Close(done) => *closing = Some(done),
            Message::Append(queued) => {
                bytes += weight(&queued.candidate);
                batch.push(*queued);
            }
        }
        let full = batch.len() >= BATCH_ENTRIES_MAX || bytes >= BATCH_BYTES_MAX;
        next = if full { None } else { queue.try_recv().ok() };
    }
    batch
}

fn refuse(queued: Vec<Queued>, refusal: &Refusal) {
    for queued in queued {
        let _ = queued.answer.send(Err(refusal.clone()));
    }
}

/// Writes committed rows to the view, as many batches at once as are waiting.
fn write_view(view: &View, updates: &view_queue::Receiver<Update>) {
    let mut damaged = false;
    let mut flushed = Instant::now();
    while let Ok(mut update) = updates.recv() {
        let until = Instant::now() + VIEW_GATHER_MILLIS;
        while update.len() < VIEW_THINGS_MAX {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(next) = updates.recv_timeout(left) else {
                break;
            };
            update.then(next);
        }
        // A gap would be worse than an old view: after one failure nothing more is written, and
        // the next start replays from the watermark.
        if damaged {
            continue;
        }
        let due = flushed.elapsed() >= VIEW_FLUSH_SECONDS;
        let written = view.write(update);
        let written = if due {
            written.and_then(|()| view.flush())
        } else {
            written
        };
        if due {
            flushed = Instant::now();
        }
        if let Err(error) = written {
            tracing::warn!(%error, "the view is not written any more until a restart");
            damaged = true;
        }
    }
    if let Err(error) = view.flush() {
        tracing::warn!(%error, "the view was not flushed; the next start replays more");
    }
}
