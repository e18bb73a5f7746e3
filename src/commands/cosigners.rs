//! Who is pinned beside a ledger's own keys: auditors and witnesses, as flags name them and as
//! they are listed.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use cairn_client::trust::tlog_policy::{BYTES_MAX, TlogPolicy};
use cairn_proto::{
    note::VerifierKey,
    reason::Reason,
    trust::{Cosigners, CosignersError, Trust},
};

use crate::{
    cli,
    failure::Failure,
    output::{Output, complain},
};

/// A ledger's trust with the auditors and witnesses that were named; none where none were.
pub(super) fn chosen(trust: &Trust, args: &cli::TrustAdd) -> Result<Trust, Failure> {
    let wrong = |error: CosignersError| Failure::usage(error);
    let mut trust = trust.clone().alone();
    if let Some(auditors) = named("auditor", &args.auditors, args.auditor_quorum)? {
        trust = trust.with_auditors(auditors).map_err(wrong)?;
    }
    let witnesses = match &args.tlog_policy {
        Some(file) => of_file(&trust, file)?,
        None => named("witness", &args.witnesses, args.witness_quorum)?,
    };
    if let Some(witnesses) = witnesses {
        trust = trust.with_witnesses(witnesses).map_err(wrong)?;
    }
    Ok(trust)
}

fn named(
    flag: &str,
    texts: &[String],
    quorum: Option<usize>,
) -> Result<Option<Cosigners>, Failure> {
    if texts.is_empty() {
        return Ok(None);
    }
    let keys = keys(flag, texts)?;
    let quorum = quorum.unwrap_or(keys.len());
    Cosigners::new(keys, quorum)
        .map(Some)
        .map_err(Failure::usage)
}

/// Verifier keys, as a flag or a configuration names them.
pub(super) fn keys(what: &str, texts: &[String]) -> Result<Vec<VerifierKey>, Failure> {
    let keys = texts.iter().map(|text| {
        let wrong = |error| Failure::usage(format!("{what} {text}: {error}"));
        text.parse().map_err(wrong)
    });
    keys.collect()
}

/// The witnesses of a tlog-policy that accepts this log.
fn of_file(trust: &Trust, file: &Path) -> Result<Option<Cosigners>, Failure> {
    let path = file.display();
    let bytes = read(file)
        .map_err(|error| Failure::new(Reason::PathUnreadable, format!("{path}: {error}")))?;
    let policy = TlogPolicy::parse(&bytes)
        .map_err(|error| Failure::new(error.reason(), format!("{path}: {error}")))?;
    let accepted = |log: &VerifierKey| log == trust.log_key();
    if policy.logs.is_some_and(|logs| !logs.iter().any(accepted)) {
        let why = format!("{path} does not accept this ledger's log key");
        return Err(Failure::usage(why).mended_by(
            "Compare its `log` lines with `cairn trust show`; the keys must be the same.",
        ));
    }
    Ok(policy.witnesses)
}

/// Reads a file that is no longer than the form allows, or one byte more of it.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let bound = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let file = File::open(file)?;
    file.take(bound.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Refuses what has those count for less that are pinned, unless a person said so.
pub(super) fn keep_strength(
    pinned: &Trust,
    chosen: &Trust,
    args: &cli::TrustAdd,
) -> Result<(), Failure> {
    let kinds = [
        (
            "auditor",
            pinned.auditors(),
            chosen.auditors(),
            args.replace_auditors,
        ),
        (
            "witness",
            pinned.witnesses(),
            chosen.witnesses(),
            args.replace_witnesses,
        ),
    ];
    for (kind, pinned, chosen, replace) in kinds {
        if !replace && weakens(pinned, chosen) {
            let flag = match kind {
                "auditor" => "--replace-auditors",
                _ => "--replace-witnesses",
            };
            let why = format!("this drops a pinned {kind}, or asks for fewer");
            let fix = format!("Name all of them again, or say {flag}.");
            return Err(Failure::usage(why).mended_by(fix));
        }
    }
    Ok(())
}

/// Whether whoever was pinned counts for less. Nobody at all leaves those that are pinned.
fn weakens(pinned: &Cosigners, chosen: &Cosigners) -> bool {
    let kept = |key: &VerifierKey| chosen.keys().iter().any(|other| other.key() == key.key());
    let known = |key: &&VerifierKey| pinned.keys().iter().any(|other| other.key() == key.key());
    let added = chosen.keys().len() - chosen.keys().iter().filter(known).count();
    // New ones could make up the quorum without those that were pinned.
    let fewer = chosen.quorum().saturating_sub(added) < pinned.quorum();
    chosen.quorum() > 0 && (fewer || !pinned.keys().iter().all(kept))
}

/// Lists who is pinned.
pub(super) fn list(output: Output, trust: &Trust) {
    let kinds = [
        ("Auditor", trust.auditors(), "vouch"),
        ("Witness", trust.witnesses(), "cosign"),
    ];
    for (kind, cosigners, verb) in kinds {
        for key in cosigners.keys() {
            output.fact(kind, key);
        }
        if cosigners.quorum() > 0 {
            let (quorum, all) = (cosigners.quorum(), cosigners.keys().len());
            output.fact("Quorum", format!("{quorum} of {all} must {verb}"));
            // Two histories can each have so many, without one key signing both.
            if kind == "Witness" && quorum.saturating_mul(2) <= all {
                complain(
                    "  note      half of the witnesses is enough: two halves could each see a \
                     history of its own; ask for more than half",
                );
            }
        }
    }
}
