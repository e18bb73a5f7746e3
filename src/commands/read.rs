//! Reading what was recorded: `log`, `show`, `diff`.
//!
//! Invariant: everything that somebody else wrote (reasons, names, annotations) is escaped
//! before it reaches a terminal.

use std::fmt::Write as _;

use cairn_client::{
    compare::{Difference, DifferenceKind},
    detail::{printable, shortened},
    policies::Policies,
    read::{Diff, Logged, LoggedKind, Proven, Reference},
};
use cairn_proto::statement::{Action, Release};
use serde_json::{Value, json};

use super::show;
use crate::{
    cli,
    failure::Failure,
    output::{Output, complain, count},
    session::Session,
};

/// Characters of a reason in a list; `show` prints all of it.
const REASON_CHARS_MAX: usize = 80;
/// Digits of a keyid in a list.
const KEYID_DIGITS: usize = 8;

/// `cairn log [ENV]`
pub(crate) async fn log(session: &Session, args: &cli::Log) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    let environment = args.environment.as_ref();
    // One more than is printed tells whether there are more.
    let wanted = args.limit.saturating_add(1);
    let mut entries = ledger.log(environment, wanted).await?;
    let more = entries.len() > args.limit;
    let none = entries.is_empty();
    entries.truncate(args.limit);
    let policies = ledger.policies().await?;
    let output = session.output;
    output.json(&json!({
        "schema": "cairn.log/v1",
        "environment": environment.map(ToString::to_string),
        "entries": entries.iter().map(|logged| marked_json(logged, &policies)).collect::<Vec<_>>(),
        "more": more,
    }));
    let rows = entries.iter().map(|logged| logged_row(logged, &policies));
    columns(output, &rows.collect::<Vec<_>>());
    match environment {
        _ if output.is_json() => {}
        Some(environment) if none => {
            complain(format!("nothing was ever released to {environment}"));
        }
        _ if more => complain("  older entries are left out: -n NUMBER shows more"),
        _ => {}
    }
    Ok(0)
}

/// Rows with their columns aligned.
pub(super) fn columns<const N: usize>(output: Output, rows: &[[String; N]]) {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..N).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths).filter(|(_, width)| **width > 0) {
            // Writing into a string cannot fail.
            let _ = write!(line, "  {cell:<width$}");
        }
        output.line(line.trim_end());
    }
}

/// An entry of the log, for scripts, with those of its keys that were compromised by then.
pub(super) fn marked_json(logged: &Logged, policies: &Policies) -> Value {
    let struck = logged.keyids.iter();
    let struck = struck.filter(|keyid| policies.strikes(keyid, logged.index));
    let struck = struck.map(ToString::to_string).collect::<Vec<_>>();
    let mut entry = logged_json(logged);
    extend(&mut entry, json!({ "compromisedKeyids": struck }));
    entry
}

pub(super) fn logged_row(logged: &Logged, policies: &Policies) -> [String; 5] {
    let index = format!("index {}", logged.index);
    let keys = logged.keyids.iter().map(|keyid| {
        let text = keyid.to_string().chars().take(KEYID_DIGITS).collect();
        if policies.strikes(keyid, logged.index) {
            format!("{text} COMPROMISED")
        } else {
            text
        }
    });
    let keys: Vec<String> = keys.collect();
    let keys = if keys.is_empty() {
        String::new()
    } else {
        format!("key {}", keys.join(", "))
    };
    let [what, time, more] = told(&logged.kind);
    [index, what, time, keys, more]
}

/// What an entry says: in words, when, and what more there is.
fn told(kind: &LoggedKind) -> [String; 3] {
    let bare = |what: String| [what, String::new(), String::new()];
    let reason = |reason: &Option<String>| {
        shortened(reason.as_deref().unwrap_or_default(), REASON_CHARS_MAX)
    };
    match kind {
        LoggedKind::Genesis => bare("genesis".to_owned()),
        LoggedKind::Policy(version) => bare(format!("policy {version}")),
        LoggedKind::Unreadable => bare("no entry".to_owned()),
        LoggedKind::Order(order) => {
            bare(format!("order {}  {}", order.number, order.kind.as_str()))
        }
        LoggedKind::Approval(approval) => [
            format!("{}#{}  approved", approval.environment, approval.sequence),
            approval.created_at.to_string(),
            reason(&approval.reason),
        ],
        LoggedKind::Enrolment(enrolment) => [
            format!("host  {}", enrolment.action.as_str()),
            enrolment.created_at.to_string(),
            reason(&enrolment.reason),
        ],
        LoggedKind::MapRecord(record) => {
            let covers = usize::try_from(record.covers).unwrap_or(usize::MAX);
            let entries = count(covers, "entry").replace("entrys", "entries");
            let time = millis_text(record.time);
            ["map".to_owned(), time, format!("sums up {entries}")]
        }
        LoggedKind::Release(release) => [
            format!(
                "{}#{}  {}",
                release.environment,
                release.sequence,
                act(release)
            ),
            release.created_at.to_string(),
            reason(&release.reason),
        ],
    }
}

/// What a release does, in words.
pub(super) fn act(release: &Release) -> String {
    match (release.action, release.rollback_to) {
        (Action::Rollback, Some(to)) => format!("rollback to #{to}"),
        (action, _) => action.as_str().to_owned(),
    }
}

fn millis_text(millis: u64) -> String {
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An entry of the log, for scripts.
pub(super) fn logged_json(logged: &Logged) -> Value {
    let mut entry = json!({
        "index": logged.index.0,
        "leafHash": logged.leaf.to_string(),
        "document": logged.subject.map(|subject| format!("blake3:{}", subject.blake3)),
        "keyids": logged.keyids.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    let own = match &logged.kind {
        LoggedKind::Genesis => json!({ "kind": "genesis" }),
        LoggedKind::Policy(version) => json!({ "kind": "policy", "version": version.0 }),
        LoggedKind::Unreadable => json!({ "kind": "unreadable" }),
        LoggedKind::Approval(approval) => json!({
            "kind": "approval",
            "environment": approval.environment.to_string(),
            "sequence": approval.sequence.0,
            "release": approval.release.to_string(),
            "number": approval.number,
            "reason": approval.reason,
            "createdAt": approval.created_at.to_string(),
        }),
        LoggedKind::Enrolment(enrolment) => json!({
            "kind": "enrolment",
            "action": enrolment.action.as_str(),
            "number": enrolment.number,
            "previous": enrolment.previous.map(|leaf| leaf.to_string()),
            "reason": enrolment.reason,
            "createdAt": enrolment.created_at.to_string(),
        }),
        LoggedKind::Order(order) => json!({
            "kind": order.kind.as_str(),
            "number": order.number,
            "previous": order.previous.map(|leaf| leaf.to_string()),
        }),
        LoggedKind::MapRecord(record) => json!({
            "kind": "map",
            "covers": record.covers,
            "root": record.root.to_string(),
            "rows": record.rows,
            "time": record.time,
        }),
        LoggedKind::Release(release) => {
            let mut own = release_json(release);
            extend(&mut own, json!({ "kind": "release" }));
            own
        }
    };
    extend(&mut entry, own);
    entry
}

/// What a release's signers said, for scripts.
pub(super) fn release_json(release: &Release) -> Value {
    let source = release.source.as_ref();
    json!({
        "environment": release.environment.to_string(),
        "sequence": release.sequence.0,
        "action": release.action.as_str(),
        "rollbackTo": release.rollback_to.map(|sequence| sequence.0),
        "previous": release.previous.map(|leaf| leaf.to_string()),
        "reason": release.reason,
        "createdAt": release.created_at.to_string(),
        "source": source.map(|source| json!({
            "tool": source.tool,
            "version": source.version,
            "run": source.run,
        })),
        "annotations": release.annotations,
    })
}

/// Adds the members of one object to another.
pub(super) fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

/// `cairn show REF`
pub(crate) async fn show(session: &Session, args: &cli::Show) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    let output = session.output;
    match &args.reference {
        Reference::Sha256(sha256) => {
            let found = ledger.find(sha256).await?;
            Ok(show::digest(output, &found, &ledger.policies().await?))
        }
        Reference::Blake3(id) => {
            show::document(output, id, &ledger.document(id).await?);
            Ok(0)
        }
        reference => {
            let proven = ledger.resolve(reference).await?;
            let erased = ledger.erased_of(&proven).await?;
            show::release(output, &proven, &erased);
            Ok(0)
        }
    }
}

/// `cairn diff REF REF`
pub(crate) async fn diff(session: &Session, args: &cli::Diff) -> Result<u8, Failure> {
    let diff = session.ledger()?.diff(&args.from, &args.to).await?;
    let output = session.output;
    output.json(&json!({
        "schema": "cairn.diff/v1",
        "from": side_json(&diff.from),
        "to": side_json(&diff.to),
        "differences": diff.differences,
        "erased": diff.erased,
    }));
    diff_text(output, &diff);
    Ok(0)
}

fn side_json(proven: &Proven) -> Value {
    json!({
        "environment": proven.release.environment.to_string(),
        "sequence": proven.release.sequence.0,
        "index": proven.index.0,
        "leafHash": proven.leaf.to_string(),
        "manifest": show::manifest_id(proven),
    })
}

fn diff_text(output: Output, diff: &Diff) {
    let name =
        |proven: &Proven| format!("{}#{}", proven.release.environment, proven.release.sequence);
    let differences = match diff.differences.len() {
        0 => "no differences".to_owned(),
        number => count(number, "difference"),
    };
    output.fact(
        "Diff",
        format_args!("{} to {}  {differences}", name(&diff.from), name(&diff.to)),
    );
    columns(
        output,
        &diff
            .differences
            .iter()
            .map(difference_row)
            .collect::<Vec<_>>(),
    );
    for erasure in &diff.erased {
        output.line(format!("  {erasure}"));
    }
}

fn difference_row(difference: &Difference) -> [String; 4] {
    let word = match difference.kind {
        DifferenceKind::Added => "added",
        DifferenceKind::Missing => "removed",
        DifferenceKind::Changed => "changed",
        DifferenceKind::Unverifiable => "unknown",
    };
    let text = |side: &Option<String>| side.as_deref().map(printable);
    let values = match (text(&difference.recorded), text(&difference.found)) {
        (Some(before), Some(after)) => format!("was {before}  now {after}"),
        (Some(before), None) => format!("was {before}"),
        (None, Some(after)) => format!("now {after}"),
        (None, None) => String::new(),
    };
    [
        format!("  {word}"),
        printable(&difference.artifact),
        printable(&difference.path),
        values,
    ]
}
