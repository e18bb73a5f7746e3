//! Verifying with no network: a bundle, the trust file, and what was seen before.
//!
//! Invariants: without a proof to hand nothing is called linked; what a bundle proves is
//! remembered, so that an older bundle of the same environment is STALE ever after.

use cairn_proto::{
    bundle::Bundle,
    checkpoint::{AdvanceError, CheckpointError, SignedCheckpoint, TrustedCheckpoint},
    hash::Sequence,
    name::Environment,
    trust::Trust,
    verify::{self, Current},
};

use super::{Report, Subject, measure};
use crate::{
    error::ClientError,
    evidence::{EvidenceStore, ForkEvidence},
    held::{Held, HeldStore, HoldError, Kept, Seen},
    home::Home,
    ledger::{Case, age_of},
    sources::Recorded,
    systems::told_apart,
    trust::nothing_seen_contradicts,
    verdict::Verdict,
};

/// Times that it is tried again because another process moved the held state.
const TRIES: usize = 8;

/// What a bundle is checked against.
#[derive(Clone, Copy)]
pub struct BundleCheck<'a> {
    /// Where held state and evidence are kept.
    pub home: &'a Home,
    /// What is pinned.
    pub trust: &'a Trust,
    /// The environment that it must be of; its own word is taken where `None`.
    pub environment: Option<&'a Environment>,
    /// Unix seconds by this machine's clock.
    pub now: u64,
}

/// Compares what is there with the release that a bundle proves. The report is one of
/// [`crate::ledger::Ledger::verify`].
pub fn verify_bundle(
    bytes: &[u8],
    check: &BundleCheck<'_>,
    subject: &Subject<'_>,
) -> Result<Report, ClientError> {
    let bundle = Bundle::decode(bytes)?;
    let environment = &bundle.environment;
    if let Some(expected) = check.environment
        && expected != environment
    {
        return Err(ClientError::Usage {
            why: format!("the bundle is of {environment}, not of {expected}"),
        });
    }
    let followed = match followed(&bundle, check) {
        Ok(followed) => followed,
        Err(error) => return Report::of_error(environment, error),
    };
    let check = &BundleCheck {
        trust: followed.as_ref().unwrap_or(check.trust),
        ..*check
    };
    let proven = match prove(&bundle, check, followed.is_some()) {
        Ok(proven) => proven,
        Err(error) => return Report::of_error(environment, error),
    };
    let mut report = Report::new(environment);
    report.checkpoint(&proven.checkpoint, proven.age);
    if followed.is_some() {
        let note = "other keys took over from those that are pinned, by orders of the admins";
        report.notes.push(note.to_owned());
    }
    if let Some((what, held, found)) = proven.below {
        let error = ClientError::RolledBack { what, held, found };
        report.hold(Verdict::Stale);
        report.blame(&error);
    }
    let Some(approved) = report.current(&proven.current) else {
        return Ok(report);
    };
    report.terms(&proven.checkpoint, approved.terms());
    let manifest = approved.manifest();
    let named = told_apart(subject.inputs, subject.systems, Some(manifest));
    let measured = measure(Recorded::new(manifest), named, subject)?;
    report.notes.extend(measured.capture.notes.iter().cloned());
    report.comparison(measured.comparison);
    if approved.release().action == cairn_proto::statement::Action::Retire {
        report.hold(Verdict::Superseded);
        report.notes.push(format!("{environment} is retired"));
    }
    Ok(report)
}

/// The trust under which a bundle's note is authentic, where others took over from the pinned keys
/// by orders that it carries.
fn followed(bundle: &Bundle, check: &BundleCheck<'_>) -> Result<Option<Trust>, ClientError> {
    let note = SignedCheckpoint::parse(&bundle.checkpoint)?;
    let Err(error) = note.authenticate(check.trust, check.now) else {
        return Ok(None);
    };
    if !matches!(
        error,
        CheckpointError::NotSigned | CheckpointError::OtherEra { .. }
    ) {
        return Err(error.into());
    }
    let (note, evidence) = (&bundle.checkpoint, &bundle.evidence);
    let Ok(trust) = verify::succession(check.trust, note, evidence, check.now) else {
        return Err(error.into());
    };
    nothing_seen_contradicts(check.home, check.trust, &trust)?;
    Ok(Some(trust))
}

/// What a bundle proves.
struct ProvenBundle {
    checkpoint: TrustedCheckpoint,
    age: Option<u64>,
    current: Current,
    /// A number that is below the one held: what, held, found.
    below: Option<(String, u64, u64)>,
}

/// `passing`: under keys that are not pinned yet, of which a file alone makes nothing that was seen.
fn prove(
    bundle: &Bundle,
    check: &BundleCheck<'_>,
    passing: bool,
) -> Result<ProvenBundle, ClientError> {
    let store = store_of(bundle, check)?;
    let evidence = EvidenceStore::new(check.home, check.trust);
    let forked = |error: AdvanceError| forked(&evidence, check, error);
    for _ in 0..TRIES {
        let offered =
            SignedCheckpoint::parse(&bundle.checkpoint)?.authenticate(check.trust, check.now)?;
        let held = store.load()?;
        let age = age_of(&offered, check.now);
        // Of a cosigned one and the newest that was seen neither may contradict the other; and
        // before anything cosigned was seen, the newest is the floor.
        let newest = HeldStore::new(check.home, check.trust).load()?;
        if let Some(newest) = &newest {
            offered
                .clone()
                .trust_offline(newest.checkpoint())
                .map_err(forked)?;
        }
        let floor = held.clone().or(newest);
        let checkpoint = match &floor {
            None => offered.trust_first(),
            Some(held) => offered.trust_offline(held.checkpoint()).map_err(forked)?,
        };
        let case = Case {
            trust: check.trust,
            checkpoint: &checkpoint,
            environment: &bundle.environment,
            evidence: &bundle.evidence,
            now: check.now,
            store: &evidence,
        };
        let current = case.prove()?;
        let (sequence, version) = numbers(&current);
        let proven = ProvenBundle {
            checkpoint: checkpoint.clone(),
            age,
            current,
            below: below(floor.as_ref(), bundle, sequence, version),
        };
        // What goes back is not what was seen: it must not become the floor.
        if proven.below.is_some() || passing {
            return Ok(proven);
        }
        let seen = Seen {
            base: held.as_ref().map(Held::checkpoint),
            floor: floor.as_ref(),
            checkpoint: &checkpoint,
            environment: Some((&bundle.environment, sequence)).filter(|_| sequence.0 > 0),
            policy_version: version,
            now: check.now,
        };
        match store.keep(&seen) {
            Ok(Kept::Now(_)) => return Ok(proven),
            Ok(Kept::Moved(_)) => {}
            Err(HoldError::Home(error)) => return Err(error.into()),
            Err(HoldError::Advance(error)) => return Err(forked(error)),
        }
    }
    Err(crate::error::HomeError::Locked {
        path: check.home.held_file(check.trust.genesis()),
    }
    .into())
}

/// What contradicts what was seen is kept.
fn forked(evidence: &EvidenceStore, check: &BundleCheck<'_>, error: AdvanceError) -> ClientError {
    let AdvanceError::Forked(fork) = error else {
        return ClientError::Unproven {
            held: 0,
            offered: 0,
        };
    };
    let found = ForkEvidence {
        fork: &fork,
        proof: &[],
    };
    match evidence.fork(&found, check.now) {
        Ok(path) => ClientError::Forked { evidence: path },
        Err(error) => error.into(),
    }
}

/// Where what a bundle proves is remembered: beside the cosigned ones if it is one.
fn store_of(bundle: &Bundle, check: &BundleCheck<'_>) -> Result<HeldStore, ClientError> {
    let note = SignedCheckpoint::parse(&bundle.checkpoint)?;
    let head = note.authenticate(check.trust, check.now)?;
    let cosigned = check.trust.needs_cosigners() && head.vouched_for();
    Ok(if cosigned {
        HeldStore::vouched(check.home, check.trust)
    } else {
        HeldStore::new(check.home, check.trust)
    })
}

fn numbers(current: &Current) -> (Sequence, u64) {
    let last = current.last();
    let sequence = last.map_or(Sequence(0), |(release, _)| release.sequence);
    (sequence, current.terms().policy_version)
}

fn below(
    held: Option<&Held>,
    bundle: &Bundle,
    sequence: Sequence,
    version: u64,
) -> Option<(String, u64, u64)> {
    let held = held?;
    let known = held.sequence(&bundle.environment).unwrap_or_default();
    if sequence < known {
        return Some((bundle.environment.to_string(), known.0, sequence.0));
    }
    (version < held.policy_version()).then(|| {
        let what = "the policy's version".to_owned();
        (what, held.policy_version(), version)
    })
}
