//! `cairn audit`: the whole history, judged here.

use std::{
    fs,
    io::{self, IsTerminal as _},
    path::Path,
    time::Duration,
};

use cairn_client::{
    audit::{Audit, AuditProgress, Cosigner, Report, Round, audit as audit_log},
    clock,
    detail::printable,
    error::ClientError,
    held::Held,
    ledger::Ledger,
};
use cairn_proto::{
    key::Signer,
    note::{SignatureType, VerifierKey},
    reason::Reason,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::export::write_file;
use crate::{
    cli,
    failure::Failure,
    output::{Output, complain, count},
    session::Session,
};

/// `cairn audit`
pub(crate) async fn audit(session: &Session, args: &cli::Audit) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    let mirror = session.home.mirror_directory(ledger.trust().genesis());
    if args.fresh {
        match fs::remove_dir_all(&mirror) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(ClientError::File {
                    path: mirror,
                    error,
                }
                .into());
            }
            _ => {}
        }
    }
    let cosigner = cosigner(session, args)?;
    let cosigner = cosigner.as_ref();
    let mut cosigner = cosigner.map(|(name, key)| Cosigner::new(name, key.as_ref()));
    loop {
        match once(session, args, &ledger, &mirror, cosigner.as_mut()).await {
            // A follower ends where the log is wrong; that a release is not to be relied on is for
            // its owners, and the next one is to be vouched for.
            Ok((code, wrong)) if wrong || !args.follow => return Ok(code),
            Ok(_) => {}
            Err(error) if args.follow && error.may_go_better() => {
                complain(format!("  note      {error}"));
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(Duration::from_secs(args.interval.max(1))).await;
    }
}

type NamedSigner = (String, Box<dyn Signer>);

/// The auditor's name and key, if it is to cosign.
fn cosigner(session: &Session, args: &cli::Audit) -> Result<Option<NamedSigner>, Failure> {
    let (Some(key), Some(name)) = (&args.cosign, &args.name) else {
        return Ok(None);
    };
    let signer = session.signer(key)?;
    VerifierKey::new(name, SignatureType::Cosignature, signer.public_key())
        .map_err(|error| Failure::usage(format!("--as {name}: {error}")))?;
    Ok(Some((name.clone(), signer)))
}

/// Audits once; with a key, what is on offer, which is then cosigned.
async fn once(
    session: &Session,
    args: &cli::Audit,
    ledger: &Ledger,
    mirror: &Path,
    cosigner: Option<&mut Cosigner<'_>>,
) -> Result<(u8, bool), ClientError> {
    let held = ledger.held().load()?;
    let now = clock::now();
    let bar = Bar::new(session.output, "Auditing");
    let job = Audit {
        source: ledger.connection().read_api(),
        trust: ledger.trust(),
        home: ledger.home(),
        mirror: Some(mirror.to_owned()),
        now,
        progress: &bar,
    };
    let round = match cosigner {
        Some(cosigner) => cosigner.round(ledger, &job).await,
        None => audit_log(&job).await.map(|report| Round {
            report: Some(report),
            cosignatures: None,
        }),
    };
    bar.done();
    let round = round?;
    let Some(report) = round.report else {
        return Ok((0, false));
    };
    if let Some(file) = &args.report {
        let mut text = serde_json::to_string_pretty(&report).unwrap_or_default();
        text.push('\n');
        write_file(file, text.as_bytes())?;
    }
    session.output.json(&report);
    print(session.output, &report, held.as_ref(), now);
    if let Some(cosignatures) = round.cosignatures {
        let size = report.checkpoint.size;
        let number = usize::try_from(cosignatures).unwrap_or(usize::MAX);
        let text = format!("checkpoint {size}; it has {}", count(number, "cosignature"));
        session.output.fact("Cosigned", text);
    }
    let wrong = !report.alarms.is_empty();
    Ok((report.exit_code(), wrong))
}

fn print(output: Output, report: &Report, held: Option<&Held>, now: u64) {
    let sound = report.envelopes + report.map_records;
    output.fact(
        "Entries",
        format_args!(
            "{sound} of {} hashed, signed and allowed",
            report.checkpoint.size
        ),
    );
    let history = match (report.history, held) {
        (Some("linked"), Some(held)) => {
            let ago = now.saturating_sub(held.seen());
            format!("extends the checkpoint you saw {ago} s ago")
        }
        (Some(_), _) => "first look: there was nothing to compare with".to_owned(),
        (None, _) => "not linked to what you saw before".to_owned(),
    };
    output.fact("History", history);
    let alarms = report.alarms.iter();
    let wrong = alarms
        .filter(|alarm| alarm.reason == Reason::MapRecordWrong && alarm.index.is_some())
        .count();
    let records = usize::try_from(report.map_records).unwrap_or(usize::MAX);
    let total = records.saturating_add(wrong);
    output.fact(
        "Map",
        format_args!("recomputed at {records} of {}", count(total, "checkpoint")),
    );
    revoked(output, report);
    reused(output, report);
    erased(output, report);
    if report.ok {
        output.line("  No problems found");
        return;
    }
    let more = usize::try_from(report.more_alarms).unwrap_or(usize::MAX);
    let relied_on = report.compromised.iter().filter(|release| release.current);
    let alarms = report.alarms.len().saturating_add(more);
    let problems = count(alarms.saturating_add(relied_on.count()), "problem");
    output.fact(report.verdict().as_str(), format_args!("{problems} found"));
    for alarm in &report.alarms {
        let place = match alarm.index {
            Some(index) => format!("index {index}"),
            None => "the log".to_owned(),
        };
        output.line(format!("    {place}  {}  {}", alarm.reason, alarm.what));
    }
    if more > 0 {
        output.line(format!("    and {more} more"));
    }
    if let Some(evidence) = &report.evidence {
        output.fact("Evidence", evidence.display());
    }
    let alarm = report.alarms.first().map(|alarm| alarm.reason);
    let reason = alarm.unwrap_or(Reason::SignerCompromised);
    output.fact("Next", format_args!("cairn help {reason}"));
}

/// Releases whose signatures a later policy took away.
fn revoked(output: Output, report: &Report) {
    let total = report
        .compromised
        .len()
        .saturating_add(report.more_compromised);
    if total == 0 {
        return;
    }
    let releases = count(total, "release");
    let text = format!("{releases} signed with keys that were compromised by then");
    output.fact("Revoked", text);
    for release in &report.compromised {
        let current = if release.current {
            "CURRENT: record another"
        } else {
            "replaced since"
        };
        output.line(format!(
            "    index {}  {}#{}  {current}",
            release.index, release.environment, release.sequence
        ));
    }
    if report.more_compromised > 0 {
        output.line(format!("    and {} more", report.more_compromised));
    }
}

/// Names that were to stay the same bytes and were given to others, as the log itself says.
fn reused(output: Output, report: &Report) {
    for reuse in &report.name_reuses {
        let (name, reason) = (printable(&reuse.name), printable(&reuse.reason));
        output.fact(
            "Reused",
            format_args!(
                "{name}  at index {}, before at {}: {reason}",
                reuse.index, reuse.before
            ),
        );
    }
    if report.more_name_reuses > 0 {
        output.line(format!("    and {} more", report.more_name_reuses));
    }
}

/// What is gone by order of the admins.
fn erased(output: Output, report: &Report) {
    for order in &report.erasures {
        let reason = printable(&order.reason);
        let contents = count(order.contents.len(), "content");
        let text = format!(
            "{contents} by order {} at index {}: {reason}",
            order.order, order.index
        );
        output.fact("Erased", text);
    }
    if report.more_erasures > 0 {
        output.line(format!("    and by {} more orders", report.more_erasures));
    }
}

/// A bar on a terminal, nothing elsewhere.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new(output: Output, doing: &'static str) -> Self {
        let shown = !output.is_json() && io::stderr().is_terminal();
        let target = if shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target).with_message(doing);
        let style = ProgressStyle::with_template("  {msg:<9} {bar:32} {pos}/{len} {per_sec} {eta}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self(bar)
    }

    pub(super) fn at(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    pub(super) fn done(&self) {
        self.0.finish_and_clear();
    }
}

impl AuditProgress for Bar {
    fn checked(&self, done: u64, total: u64) {
        self.at(done, total);
    }

    fn again(&self) {
        self.0.set_message("Again");
        self.0.reset();
    }
}
