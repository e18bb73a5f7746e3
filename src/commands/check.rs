//! `cairn trust check`: who cosigned the newest checkpoint, and what witnesses say of it.

use std::path::Path;

use cairn_client::{
    clock,
    connect::Poster,
    detail::printable,
    evidence::{Finding, judge},
    ledger::{Cosignature, Ledger, Said, Vouched},
    trust,
    verdict::Verdict,
};
use cairn_proto::{checkpoint::AuthenticCheckpoint, reason::Reason};
use serde_json::{Value, json};

use super::trust::name_in_use;
use crate::{failure::Failure, output::Output, session::Session};

/// `cairn trust check`
pub(super) async fn check(session: &Session, ask: &[String]) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    let vouched = ledger.vouchers().await?;
    let head = vouched.checkpoint.head();
    let (now, output) = (clock::now(), session.output);
    output.fact("Checkpoint", format!("{}  {}", head.size(), head.root()));
    let mut rows = list(output, "Auditor", &vouched.auditors, now);
    rows.extend(list(output, "Witness", &vouched.witnesses, now));
    let (asked, worst) = ask_all(session, &ledger, &vouched, ask).await?;
    output.json(&json!({
        "schema": "cairn.trust-check/v1",
        "size": head.size().0,
        "root": head.root().to_string(),
        "cosigners": rows,
        "asked": asked,
    }));
    worst.or_else(|| too_few(head)).map_or(Ok(0), Err)
}

fn list(output: Output, kind: &str, cosignatures: &[Cosignature], now: u64) -> Vec<Value> {
    let rows = cosignatures.iter().map(|(key, time)| {
        let said = time.map_or_else(
            || "has not cosigned it".to_owned(),
            |time| format!("cosigned it {} s ago", now.saturating_sub(time)),
        );
        output.fact(kind, format!("{}  {said}", key.name()));
        json!({"kind": kind.to_lowercase(), "vkey": key.to_string(), "time": time})
    });
    rows.collect()
}

/// Auditors take their time: the newest checkpoint need not have them.
fn too_few(head: &AuthenticCheckpoint) -> Option<Failure> {
    let (found, needed) = head.lacks_witnesses(None)?;
    let text =
        format!("{found} of the pinned witnesses cosigned the newest checkpoint, {needed} must");
    Some(Failure::new(Reason::TooFewWitnesses, text))
}

/// What witnesses say that are asked directly, and the gravest of it.
async fn ask_all(
    session: &Session,
    ledger: &Ledger,
    vouched: &Vouched,
    urls: &[String],
) -> Result<(Vec<Value>, Option<Failure>), Failure> {
    let poster = Poster::new(session.context()?.ca_file)?;
    let (mut rows, mut worst) = (Vec::new(), None);
    for url in urls {
        let said = ledger
            .ask_witness(&poster, url, &vouched.checkpoint)
            .await?;
        let (code, text) = match &said {
            Said::Agrees(_) => ("agrees", "it saw no other history".to_owned()),
            Said::Ahead(size) => ("ahead", format!("it saw {size} entries, more than these")),
            Said::Contradicts => ("contradicts", "it saw another history".to_owned()),
            Said::Nothing(why) => ("nothing", why.clone()),
        };
        session
            .output
            .fact("Asked", format!("{}  {text}", printable(url)));
        rows.push(json!({"url": url, "said": code, "text": text}));
        let reason = match said {
            Said::Ahead(_) | Said::Contradicts => Reason::WitnessDisagrees,
            Said::Nothing(_) => Reason::WitnessSilent,
            Said::Agrees(_) => continue,
        };
        let failure = Failure::new(reason, format!("witness at {}: {text}", printable(url)));
        if worst.is_none() || reason == Reason::WitnessDisagrees {
            worst = Some(failure);
        }
    }
    Ok((rows, worst))
}

/// `cairn trust check --evidence`
pub(super) fn evidence(session: &Session, file: &Path) -> Result<u8, Failure> {
    let trust = trust::load(&session.home, &name_in_use(session)?)?;
    let path = file.display();
    let bytes = std::fs::read(file)
        .map_err(|error| Failure::new(Reason::PathUnreadable, format!("{path}: {error}")))?;
    let finding = judge(&session.home, &trust, &bytes);
    let (proves, text) = match &finding {
        Finding::Forked { held, offered } => (
            "fork",
            format!("the log's key signed two histories, of {held} and of {offered} entries"),
        ),
        Finding::Contradicted { size, what } => (
            "contradiction",
            format!("the signed head of {size} entries is contradicted: {what}"),
        ),
        Finding::Nothing { why } => {
            let text = format!("{path} proves nothing: {why}");
            return Err(Failure::new(Reason::EvidenceProvesNothing, text));
        }
    };
    let output = session.output;
    output.fact("Ledger", trust.origin());
    output.fact("Proves", &text);
    output.json(&json!({
        "schema": "cairn.evidence-check/v1",
        "verdict": "TAMPERED",
        "proves": proves,
        "text": text,
    }));
    Ok(Verdict::Tampered.exit_code())
}
