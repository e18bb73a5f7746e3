//! Judging a log: one thread applies leaves in order, two verify signatures ahead of it.
//!
//! Why verifying ahead is sound: a submission is authenticated under the policy that was in
//! force some entries earlier, and `State::apply` looks at names and counts again under the
//! one in force at its place. What fails ahead is tried again in its place, where it counts.
//!
//! Where a document is not served, or not the one that was signed for, nobody can say what its
//! entry did: from there on leaves are hashed and no longer judged, so that what follows from
//! the gap is not held against those who signed.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use cairn_proto::{
    checkpoint::{AuthenticCheckpoint, History},
    entry::{Content, EntryError, Leaf, MapRecord},
    hash::LeafHash,
    merkle::Tree,
    order::OrderDocument,
    reason::Reason,
    rules::{
        Effect, NAME_REUSE, PolicyChain, RuleError, SignedSubmission, State, authenticate_genesis,
    },
    trust::Trust,
    verify::VerifyError,
};
use tokio::sync::mpsc;

use super::{
    compromised::Signers,
    fetch::{Batch, Item},
    report::{Alarm, Erased, NameReuse},
};
use crate::{detail::shortened, error::ClientError};

/// Alarms that are listed; the others are counted.
const ALARMS_MAX: usize = 1_000;
/// Erased contents that are listed; further orders are counted.
const ERASED_MAX: usize = 16_384;
/// Characters of an alarm's words.
const WORDS_MAX: usize = 300;

/// What judging came to.
pub(super) struct Outcome {
    pub(super) tree: Tree,
    pub(super) state: State,
    pub(super) signers: Signers,
    /// Immutable names that were given to other bytes, the first of them.
    pub(super) reuses: Vec<NameReuse>,
    pub(super) more_reuses: u64,
    /// What was ordered to be erased, the first of it.
    pub(super) erasures: Vec<Erased>,
    pub(super) more_erasures: u64,
    pub(super) envelopes: u64,
    pub(super) map_records: u64,
    pub(super) alarms: Vec<Alarm>,
    pub(super) more_alarms: u64,
    /// Whether the leaves add up to the signed root.
    pub(super) hashes_to_root: bool,
    pub(super) history: Option<History>,
    pub(super) evidence: Option<PathBuf>,
    ends_with_map_record: bool,
}

impl Outcome {
    pub(super) fn alarm(&mut self, reason: Reason, index: Option<u64>, what: impl AsRef<str>) {
        if self.alarms.len() >= ALARMS_MAX {
            self.more_alarms += 1;
            return;
        }
        self.alarms.push(Alarm {
            reason,
            index,
            what: shortened(what.as_ref(), WORDS_MAX),
        });
    }

    /// Notes the names that an entry gives to other bytes than an earlier one.
    fn reused(&mut self, index: u64, signed: &SignedSubmission, effect: &Effect) {
        let Content::Release(release, _) = signed.submission().content() else {
            return;
        };
        for naming in &effect.names {
            let Some(before) = naming.before else {
                continue;
            };
            if self.reuses.len() >= ALARMS_MAX {
                self.more_reuses += 1;
                continue;
            }
            let reason = release.annotations.get(NAME_REUSE);
            self.reuses.push(NameReuse {
                name: naming.name.to_string(),
                index,
                environment: release.environment.to_string(),
                before: before.0,
                reason: reason.cloned().unwrap_or_default(),
            });
        }
    }

    /// Notes an order that erases contents.
    fn erased(&mut self, index: u64, signed: &SignedSubmission) {
        let Content::Order(order, OrderDocument::Redaction(redaction)) =
            signed.submission().content()
        else {
            return;
        };
        let listed = self.erasures.iter().map(|it| it.contents.len());
        if listed.sum::<usize>() + redaction.contents.len() > ERASED_MAX {
            self.more_erasures += 1;
            return;
        }
        self.erasures.push(Erased {
            index,
            order: order.number,
            contents: redaction.contents.iter().map(ToString::to_string).collect(),
            reason: redaction.reason.clone(),
        });
    }

    /// Compares with what was signed.
    pub(super) fn close(&mut self, checkpoint: &AuthenticCheckpoint) {
        let size = checkpoint.size().0;
        let same_size = self.tree.size() == checkpoint.size();
        self.hashes_to_root = same_size && self.tree.root() == *checkpoint.root();
        if !self.hashes_to_root {
            let what = "the entries served do not hash to the signed root";
            self.alarm(Reason::InclusionUnproven, None, what);
        } else if size > 0 && !self.ends_with_map_record {
            let what = "the checkpoint does not end with a map record";
            self.alarm(Reason::MapRecordWrong, size.checked_sub(1), what);
        }
    }
}

/// A leaf after what can be done ahead of its turn.
enum Ahead {
    MapRecord(MapRecord),
    Signed(Box<SignedSubmission>),
    Broken(EntryError),
    /// Its document is not served.
    Undocumented,
    /// What is served is not the document that was signed for.
    Misdocumented,
    /// To be authenticated in its place.
    Later(Item),
}

pub(super) struct Replay {
    trust: Trust,
    done: Arc<AtomicU64>,
    outcome: Outcome,
    /// Whether what an entry did is not known.
    gap: bool,
}

impl Replay {
    pub(super) fn new(trust: &Trust, done: Arc<AtomicU64>) -> Self {
        Self {
            trust: trust.clone(),
            done,
            gap: false,
            outcome: Outcome {
                tree: Tree::default(),
                state: State::new(),
                signers: Signers::default(),
                reuses: Vec::new(),
                more_reuses: 0,
                erasures: Vec::new(),
                more_erasures: 0,
                envelopes: 0,
                map_records: 0,
                alarms: Vec::new(),
                more_alarms: 0,
                hashes_to_root: false,
                history: None,
                evidence: None,
                ends_with_map_record: false,
            },
        }
    }

    /// Judges batches until there are no more.
    pub(super) fn run(
        mut self,
        mut batches: mpsc::Receiver<Batch>,
    ) -> Result<Outcome, ClientError> {
        let mut ready: Vec<(LeafHash, Ahead)> = Vec::new();
        while let Some(batch) = batches.blocking_recv() {
            let chain = self.outcome.state.chain().cloned();
            let now = std::mem::take(&mut ready);
            let (next, applied) = thread::scope(|scope| {
                let mut first = batch;
                let second = first.split_off(first.len() / 2);
                let workers = [first, second].map(|half| {
                    let chain = chain.as_deref();
                    scope.spawn(move || look_ahead(half, chain))
                });
                let applied = self.apply_all(now);
                let mut next = Vec::new();
                for worker in workers {
                    let half = worker.join();
                    next.extend(half.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
                }
                (next, applied)
            });
            applied?;
            ready = next;
        }
        self.apply_all(ready)?;
        Ok(self.outcome)
    }

    fn apply_all(&mut self, leaves: Vec<(LeafHash, Ahead)>) -> Result<(), ClientError> {
        for (hash, ahead) in leaves {
            self.apply(hash, ahead)?;
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn apply(&mut self, hash: LeafHash, ahead: Ahead) -> Result<(), ClientError> {
        let index = self.outcome.tree.size().0;
        if index == 0 && hash != *self.trust.genesis() {
            return Err(ClientError::WrongGenesis {
                found: hash.to_string(),
                pinned: self.trust.genesis().to_string(),
            });
        }
        self.outcome.tree.push(hash);
        self.outcome.ends_with_map_record = matches!(ahead, Ahead::MapRecord(_));
        let applied = match ahead {
            Ahead::Broken(error) => Err(error.into()),
            Ahead::Undocumented => {
                let what = "the document that the entry names is not served";
                self.leave_gap(Reason::DocumentMissing, (index, hash), what);
                return Ok(());
            }
            Ahead::Misdocumented => {
                let what = "what is served is not the document that the entry names";
                self.leave_gap(Reason::DocumentMismatch, (index, hash), what);
                return Ok(());
            }
            _ if self.gap => {
                self.outcome.state.ignore(hash);
                return Ok(());
            }
            Ahead::MapRecord(record) => self.map_record(&record),
            Ahead::Signed(signed) => self.entry(&signed),
            Ahead::Later(item) => self.in_its_place(item),
        };
        match applied {
            Ok(()) if index == 0 => self.same_ledger(),
            Ok(()) => Ok(()),
            Err(error) if error.reason() == Reason::NeedsNewerCairn => {
                Err(ClientError::Verify(VerifyError::Rule(error)))
            }
            Err(error) => {
                self.outcome.state.ignore(hash);
                let reason = error.reason();
                self.outcome.alarm(reason, Some(index), error.to_string());
                Ok(())
            }
        }
    }

    /// Passes over an entry of which nobody can say what it did.
    fn leave_gap(&mut self, reason: Reason, (index, hash): (u64, LeafHash), what: &str) {
        self.gap = true;
        self.outcome.state.ignore(hash);
        self.outcome.alarm(reason, Some(index), what);
    }

    fn same_ledger(&self) -> Result<(), ClientError> {
        let chain = self.outcome.state.chain();
        match chain.and_then(|chain| chain.identity()) {
            Some(identity) if identity.is_same_ledger(&self.trust) => Ok(()),
            _ => Err(ClientError::Verify(VerifyError::WrongKeys)),
        }
    }

    fn map_record(&mut self, record: &MapRecord) -> Result<(), RuleError> {
        self.outcome.state.apply_map_record(record)?;
        self.outcome.map_records += 1;
        Ok(())
    }

    fn entry(&mut self, signed: &SignedSubmission) -> Result<(), RuleError> {
        let index = self.outcome.state.size().0;
        let effect = self.outcome.state.apply(signed)?;
        self.outcome.reused(index, signed, &effect);
        self.outcome.erased(index, signed);
        self.outcome.signers.add(index, signed);
        self.outcome.envelopes += 1;
        Ok(())
    }

    fn in_its_place(&mut self, item: Item) -> Result<(), RuleError> {
        let chain = self.outcome.state.chain().cloned();
        let signed = authenticate(item, chain.as_deref())?;
        self.entry(&signed)
    }
}

fn look_ahead(items: Batch, chain: Option<&PolicyChain>) -> Vec<(LeafHash, Ahead)> {
    items
        .into_iter()
        .map(|item| (item.hash, one_ahead(item, chain)))
        .collect()
}

fn one_ahead(item: Item, chain: Option<&PolicyChain>) -> Ahead {
    match &item.leaf {
        Ok(Leaf::MapRecord(record)) => return Ahead::MapRecord(*record),
        Err(error) => return Ahead::Broken(error.clone()),
        Ok(Leaf::Entry(_)) if item.document.is_none() => return Ahead::Undocumented,
        Ok(Leaf::Entry(_)) => {}
    }
    let again = Item {
        hash: item.hash,
        leaf: item.leaf.clone(),
        document: item.document.clone(),
    };
    match authenticate(item, chain) {
        Ok(signed) => Ahead::Signed(Box::new(signed)),
        Err(_) if again.is_misdocumented() => Ahead::Misdocumented,
        Err(_) => Ahead::Later(again),
    }
}

fn authenticate(item: Item, chain: Option<&PolicyChain>) -> Result<SignedSubmission, RuleError> {
    let (Ok(Leaf::Entry(entry)), Some(document)) = (item.leaf, item.document) else {
        return Err(RuleError::GenesisMissing);
    };
    let submission = entry.with_document(&document)?;
    match (submission.content(), chain) {
        (Content::Genesis(..), None) => authenticate_genesis(submission),
        (_, None) => Err(RuleError::GenesisMissing),
        (_, Some(chain)) => chain.authority().authenticate(submission),
    }
}
