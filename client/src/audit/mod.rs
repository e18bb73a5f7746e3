//! Auditing: the whole log read, hashed, and judged by the ledger's own rules.
//!
//! ```text
//! source --fetch--> bundles and documents --replay--> tree, state, alarms --> Report
//! ```
//!
//! Every leaf is hashed into a tree of our own, whose root must be the signed one; every
//! signature is verified strictly and every rule applied by `cairn_proto::rules`, and every
//! map record recomputed; every hash tile must be what our tree says; the tree's prefix
//! must have the root that was held before. The source is believed in nothing.
//!
//! **Resuming, and why it is sound.** Whole bundles, once fetched, are kept in a directory
//! of the same layout (the *mirror*), and a later run reads them there. The mirror is
//! believed no more than the network: its bytes go through the very same hashing,
//! signatures and rules, so a damaged or forged mirror can cost time and nothing else. What
//! a run with a mirror finds wrong is never reported: the mirror is thrown away and the
//! log is read again from the source alone.

mod compromised;
mod cosign;
mod fetch;
mod mirror;
mod replay;
mod report;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cairn_proto::{
    checkpoint::{AdvanceError, AuthenticCheckpoint, SignedCheckpoint, TrustedCheckpoint},
    merkle::prove_consistency,
    reason::Reason,
    trust::Trust,
};

pub use compromised::Compromised;
pub use cosign::{Cosigner, Round};
pub use report::{Alarm, Erased, Report};

use crate::{
    connect::ReadApi,
    error::{ClientError, HomeError},
    evidence::{EvidenceStore, ForkEvidence},
    held::{Held, HeldStore, HoldError, Kept, Seen},
    home::Home,
    ledger::Ledger,
};
use fetch::Fetcher;
use mirror::Mirror;
use replay::{Outcome, Replay};

/// Batches between fetching and judging.
const BATCHES: usize = 2;
/// Times that the held state is linked again because another process moved it.
const LINKS_MAX: usize = 8;

/// Is told how an audit goes on.
pub trait AuditProgress: Sync {
    /// So many of so many entries were judged.
    fn checked(&self, _done: u64, _total: u64) {}
    /// What the local copy gave did not hold; all is read again from the source.
    fn again(&self) {}
}

impl AuditProgress for () {}

/// What is audited, and by what.
#[derive(Clone)]
pub struct Audit<'a> {
    /// Where the log is read.
    pub source: &'a ReadApi,
    /// What is pinned.
    pub trust: &'a Trust,
    /// Where held state and evidence are kept.
    pub home: &'a Home,
    /// Where a copy is kept, so that a later audit need not fetch it again.
    pub mirror: Option<PathBuf>,
    /// Unix seconds.
    pub now: u64,
    /// Is told how it goes on.
    pub progress: &'a dyn AuditProgress,
}

/// Audits the log that a source serves, from its first entry to its newest checkpoint.
pub async fn audit(job: &Audit<'_>) -> Result<Report, ClientError> {
    let note = job.source.checkpoint().await?;
    audit_note(job, &note).await
}

/// Audits it up to the checkpoint of a note.
pub async fn audit_note(job: &Audit<'_>, note: &[u8]) -> Result<Report, ClientError> {
    let store = HeldStore::new(job.home, job.trust);
    let held = store.load()?;
    let checkpoint = SignedCheckpoint::parse(note)?.authenticate(job.trust, job.now)?;
    Ledger::not_overtaken(&checkpoint)?;
    if let Some(held) = &held {
        not_behind(held, &checkpoint)?;
    }
    let mut outcome = run(job, &checkpoint, job.mirror.as_deref()).await;
    let doubtful = match &outcome {
        Ok(found) => !found.alarms.is_empty(),
        // What a copy can be the cause of; a broken connection is not among it.
        Err(error) => matches!(
            error,
            ClientError::Verify(_) | ClientError::WrongGenesis { .. }
        ),
    };
    if let Some(mirror) = &job.mirror
        && doubtful
        && Mirror::discard(mirror)?
    {
        job.progress.again();
        outcome = run(job, &checkpoint, job.mirror.as_deref()).await;
    }
    let mut found = outcome?;
    if found.hashes_to_root {
        hold(job, &store, held, &checkpoint, &mut found)?;
    }
    if found.alarms.is_empty()
        && let Some(mirror) = &job.mirror
    {
        Mirror::new(mirror).finish(note)?;
    }
    let policy = job_policy(&found);
    Ok(Report::new(job, &checkpoint, found, policy))
}

fn job_policy(found: &Outcome) -> u64 {
    let chain = found.state.chain();
    chain.map_or(0, |chain| chain.current().policy.version.0)
}

/// An older head than the one held is no head to audit; a fork at one size shows at once.
fn not_behind(held: &Held, offered: &AuthenticCheckpoint) -> Result<(), ClientError> {
    let size = held.checkpoint().head().size();
    if offered.size() < size {
        return Err(ClientError::Behind {
            held: size.0,
            offered: offered.size().0,
        });
    }
    Ok(())
}

/// Reads and judges everything once.
async fn run(
    job: &Audit<'_>,
    checkpoint: &AuthenticCheckpoint,
    mirror: Option<&Path>,
) -> Result<Outcome, ClientError> {
    let size = checkpoint.size();
    let (batches, receiver) = tokio::sync::mpsc::channel(BATCHES);
    let done = Arc::new(AtomicU64::new(0));
    let replay = Replay::new(job.trust, Arc::clone(&done));
    let judging = tokio::task::spawn_blocking(move || replay.run(receiver));
    let fetcher = Fetcher::new(job.source, mirror.map(Mirror::new), size);
    let fetching = fetcher.run(batches);
    tokio::pin!(fetching);
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let all_sent = loop {
        tokio::select! {
            ended = &mut fetching => break ended,
            _ = tick.tick() => job.progress.checked(done.load(Ordering::Relaxed), size.0),
        }
    };
    tokio::pin!(judging);
    let judged = loop {
        tokio::select! {
            judged = &mut judging => break judged,
            _ = tick.tick() => job.progress.checked(done.load(Ordering::Relaxed), size.0),
        }
    };
    let judged = judged.map_err(|_| ClientError::Lacks {
        what: "a log that can be judged".to_owned(),
    })?;
    // A judge that stopped says why; only then is the fetcher's own end of interest.
    let mut outcome = judged?;
    all_sent?;
    outcome.close(checkpoint);
    if outcome.hashes_to_root {
        fetch::compare_tiles(job.source, mirror.map(Mirror::new), &mut outcome, size).await?;
    }
    Ok(outcome)
}

/// Step 2, exactly: our own tree says what the root at the held size is.
fn hold(
    job: &Audit<'_>,
    store: &HeldStore,
    mut held: Option<Held>,
    checkpoint: &AuthenticCheckpoint,
    found: &mut Outcome,
) -> Result<(), ClientError> {
    for _ in 0..LINKS_MAX {
        let linked = match &held {
            None => Ok(checkpoint.clone().trust_first()),
            Some(held) => link(held.checkpoint(), checkpoint, found),
        };
        let trusted = match linked {
            Ok(trusted) => trusted,
            Err(error) => return alarm_fork(job, &error, found),
        };
        found.history = Some(trusted.history());
        let seen = Seen {
            base: held.as_ref().map(Held::checkpoint),
            floor: None,
            checkpoint: &trusted,
            environment: None,
            policy_version: job_policy(found),
            now: job.now,
        };
        match store.keep(&seen) {
            Ok(Kept::Now(_)) => return Ok(()),
            // Another process saw more meanwhile: its own link stands, ours is older, and to what
            // it saw it is not linked.
            Ok(Kept::Moved(other)) if other.checkpoint().head().size() > checkpoint.size() => {
                found.history = None;
                return Ok(());
            }
            Ok(Kept::Moved(other)) => held = Some(*other),
            Err(HoldError::Home(error)) => return Err(error.into()),
            Err(HoldError::Advance(error)) => return alarm_fork(job, &error, found),
        }
    }
    Err(HomeError::Locked {
        path: job.home.held_file(job.trust.genesis()),
    }
    .into())
}

fn link(
    held: &TrustedCheckpoint,
    offered: &AuthenticCheckpoint,
    found: &Outcome,
) -> Result<TrustedCheckpoint, AdvanceError> {
    let sizes = (held.head().size(), offered.size());
    let proof = prove_consistency(&found.tree, sizes.0, sizes.1).unwrap_or_default();
    let proof = if sizes.0 == sizes.1 {
        Vec::new()
    } else {
        proof
    };
    match held.advance(offered.clone(), &proof) {
        Err(AdvanceError::Unproven { .. }) => held.recompute(offered.clone(), &found.tree),
        other => other,
    }
}

fn alarm_fork(
    job: &Audit<'_>,
    error: &AdvanceError,
    found: &mut Outcome,
) -> Result<(), ClientError> {
    let AdvanceError::Forked(fork) = error else {
        return Err(ClientError::Unproven {
            held: 0,
            offered: found.tree.size().0,
        });
    };
    let claimed = SignedCheckpoint::parse(&fork.held).map(|note| note.claimed_size());
    let proof = claimed
        .ok()
        .and_then(|held| prove_consistency(&found.tree, held, found.tree.size()))
        .unwrap_or_default();
    let evidence = EvidenceStore::new(job.home, job.trust);
    let path = evidence.fork(
        &ForkEvidence {
            fork,
            proof: &proof,
        },
        job.now,
    )?;
    found.evidence = Some(path);
    found.alarm(Reason::Forked, None, error.to_string());
    Ok(())
}
