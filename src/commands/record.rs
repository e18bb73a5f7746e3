//! `record`, `rollback`, `retire`.

use std::time::Duration;

use cairn_client::{
    detail::{printable, shell_word},
    error::ClientError,
    ledger::{Ledger, Witnessed},
    read::Reference,
    record::{Outcome, Receipt, Terms, Words},
};
use cairn_proto::{
    hash::Sequence,
    key::Signer,
    rules::NAME_REUSE,
    statement::{Source, is_annotation_name},
    verify::Current,
};
use serde::Serialize;

use super::capturing::{captured, comparison, numbers};
use crate::{
    cli,
    failure::Failure,
    output::{Bars, Output, complain, count},
    session::Session,
};

/// `cairn record`.
pub(crate) async fn record(session: &Session, args: &cli::Record) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    let signers = session.signers(&args.words.keys)?;
    can_wait(&ledger, &args.words)?;
    let outcome = take(session, &ledger, args, &signers).await?;
    let paths = args.paths.iter();
    let paths = paths.map(|path| shell_word(path.as_encoded_bytes()));
    let systems = args.what.systems.verified_by();
    let paths = paths.chain(systems.words());
    let paths = paths.collect::<Vec<_>>().join(" ");
    let next = format!("cairn verify {} {paths}", args.environment);
    tell(
        session,
        &ledger,
        &outcome,
        (args.words.witnessed, Some(&next)),
    )
    .await?;
    Ok(0)
}

/// Captures and records.
pub(super) async fn take(
    session: &Session,
    ledger: &Ledger,
    args: &cli::Record,
    signers: &[Box<dyn Signer>],
) -> Result<Outcome, Failure> {
    let bars = Bars::new(session.output);
    let capture = captured(session, ledger, args, &bars).await?;
    let output = session.output;
    for note in &capture.notes {
        complain(format!("  note      {note}"));
    }
    if !capture.withheld.is_empty() {
        let names = capture.withheld.iter().map(ToString::to_string);
        let files = capture.objects_found + capture.inputs == 0;
        let noun = if files { "file" } else { "artifact" };
        let names = names.take(8).collect::<Vec<_>>().join(", ");
        complain(format!(
            "  withheld  {} ({names})",
            count(capture.withheld.len(), noun)
        ));
    }
    let terms = terms_of(args, signers)?;
    let outcome = ledger
        .record(&args.environment, &capture, comparison(args), &terms, &bars)
        .await;
    bars.done();
    let outcome = outcome?;
    output.fact("Read", numbers(&capture));
    Ok(outcome)
}

/// `cairn rollback`.
pub(crate) async fn rollback(session: &Session, args: &cli::Rollback) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    let signers = session.signers(&args.words.keys)?;
    can_wait(&ledger, &args.words)?;
    let terms = terms(&args.words, &signers, false)?;
    let outcome = ledger
        .rollback(&args.environment, &args.reference, &terms)
        .await?;
    tell(session, &ledger, &outcome, (args.words.witnessed, None)).await?;
    realise(session, &ledger, outcome.receipt()).await;
    Ok(0)
}

/// A record changes nothing that runs: says which commands do.
async fn realise(session: &Session, ledger: &Ledger, receipt: &Receipt) {
    let release = Reference::Sequence(receipt.environment.clone(), receipt.sequence);
    match ledger.realised(&release).await {
        Ok(realised) => {
            for realised in realised {
                session.output.fact("Realise", printable(&realised.command));
            }
        }
        // The entry stands: how to bring it about can be asked for again.
        Err(error) => complain(format!(
            "  note      what realises it is not known: {error}"
        )),
    }
}

/// `cairn retire`.
pub(crate) async fn retire(session: &Session, args: &cli::Retire) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    let signers = session.signers(&args.words.keys)?;
    can_wait(&ledger, &args.words)?;
    let terms = terms(&args.words, &signers, false)?;
    let outcome = ledger.retire(&args.environment, &terms).await?;
    tell(session, &ledger, &outcome, (args.words.witnessed, None)).await?;
    Ok(0)
}

/// Who asks for witnesses and pins none is told before anything is recorded.
pub(super) fn can_wait(ledger: &Ledger, words: &cli::Words) -> Result<(), Failure> {
    if words.witnessed.is_none() || ledger.trust().witnesses().quorum() > 0 {
        return Ok(());
    }
    let why = "no witnesses are pinned, so none can be waited for; nothing was recorded";
    Err(Failure::usage(why).mended_by("Pin some: `cairn trust add URL --witness VKEY`."))
}

/// What came of a release that others signed with.
pub(super) async fn tell_receipt(
    session: &Session,
    ledger: &Ledger,
    receipt: Receipt,
) -> Result<(), Failure> {
    tell(session, ledger, &Outcome::Recorded(receipt), (None, None)).await
}

/// The terms of a release of what was captured.
pub(super) fn terms_of<'a>(
    args: &cli::Record,
    signers: &'a [Box<dyn Signer>],
) -> Result<Terms<'a>, Failure> {
    let mut terms = terms(&args.words, signers, args.what.again)?;
    if let Some(reason) = &args.what.allow_name_reuse {
        let annotations = &mut terms.words.annotations;
        annotations.insert(NAME_REUSE.to_owned(), reason.clone());
    }
    Ok(terms)
}

pub(super) fn terms<'a>(
    words: &cli::Words,
    signers: &'a [Box<dyn Signer>],
    again: bool,
) -> Result<Terms<'a>, Failure> {
    let break_glass = words.break_glass.as_deref().map(str::parse).transpose();
    let break_glass = break_glass.map_err(|_| {
        Failure::usage("--break-glass takes the leaf hash of an order: `cairn order list`")
    })?;
    let annotations = words.annotations.iter().map(|text| {
        let pair = text
            .split_once('=')
            .filter(|(name, _)| is_annotation_name(name));
        let pair = pair.map(|(name, text)| (name.to_owned(), text.to_owned()));
        pair.ok_or_else(|| Failure::usage(format!("--annotate {text}: not NAME=TEXT")))
    });
    Ok(Terms {
        signers: signers.iter().map(AsRef::as_ref).collect(),
        words: Words {
            reason: words.reason.clone(),
            source: Some(Source {
                tool: "cairn".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                run: words.run.clone(),
            }),
            annotations: annotations.collect::<Result<_, _>>()?,
            break_glass,
        },
        again,
        expect: words.expect.map(Sequence),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WitnessedJson {
    checkpoint_size: u64,
    cosigned: usize,
    needed: usize,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RecordJson<'a> {
    schema: &'static str,
    environment: &'a str,
    sequence: u64,
    index: u64,
    leaf_hash: String,
    checkpoint_size: u64,
    manifest: String,
    action: &'static str,
    unchanged: bool,
    current: bool,
    signers: &'a [String],
    elapsed_us: u128,
    /// Who cosigned, if that was waited for.
    witnessed: Option<WitnessedJson>,
}

/// Says what came of it, and who signed what stands now.
pub(super) async fn tell(
    session: &Session,
    ledger: &Ledger,
    outcome: &Outcome,
    (witnessed, next): (Option<u64>, Option<&str>),
) -> Result<(), Failure> {
    let receipt = outcome.receipt();
    let signers = signers_of(ledger, receipt).await?;
    let output = session.output;
    for between in &receipt.between {
        if let Some(release) = between.release() {
            complain(format!(
                "  between   {}#{} at index {} was recorded first",
                release.environment, release.sequence, between.index
            ));
        }
    }
    people(output, outcome, &signers);
    let witnessed = match witnessed {
        Some(seconds) => Some(wait(ledger, receipt, Duration::from_secs(seconds)).await),
        None => None,
    };
    let seen = witnessed.as_ref().and_then(|it| it.as_ref().ok());
    if let Some(Witnessed {
        size,
        cosigned,
        needed,
    }) = seen
    {
        let text = format!("by {cosigned} under checkpoint {size}, {needed} must have");
        output.fact("Witnessed", text);
    }
    if let Some(next) = next.filter(|_| matches!(outcome, Outcome::Recorded(_))) {
        output.fact("Next", next);
    }
    output.json(&RecordJson {
        schema: "cairn.record/v1",
        environment: receipt.environment.as_str(),
        sequence: receipt.sequence.0,
        index: receipt.index.0,
        leaf_hash: receipt.leaf_hash.to_string(),
        checkpoint_size: receipt.checkpoint_size.0,
        manifest: format!("blake3:{}", receipt.manifest),
        action: receipt.action.as_str(),
        unchanged: matches!(outcome, Outcome::Unchanged(_)),
        current: receipt.current,
        signers: &signers,
        elapsed_us: receipt.elapsed.as_micros(),
        witnessed: seen.map(|seen| WitnessedJson {
            checkpoint_size: seen.size.0,
            cosigned: seen.cosigned,
            needed: seen.needed,
        }),
    });
    witnessed.transpose().map(drop)
}

/// Waits for witnesses. The entry stands whatever they do, and that is said.
async fn wait(
    ledger: &Ledger,
    receipt: &Receipt,
    patience: Duration,
) -> Result<Witnessed, Failure> {
    let waited = ledger.witnessed(&receipt.environment, receipt.index, patience);
    waited.await.map_err(|error| {
        let failure = Failure::from(error);
        let (environment, sequence) = (&receipt.environment, receipt.sequence);
        let message = format!(
            "{environment}#{sequence} is recorded, but {}",
            failure.message
        );
        Failure { message, ..failure }
    })
}

fn people(output: Output, outcome: &Outcome, signers: &[String]) {
    let receipt = outcome.receipt();
    let name = format!("{}#{}", receipt.environment, receipt.sequence);
    let by = match signers {
        [] => String::new(),
        signers => format!(" by {}", signers.join(", ")),
    };
    if let Outcome::Unchanged(_) = outcome {
        output.fact("Unchanged", name);
        return;
    }
    output.fact(
        "Recorded",
        format!("{name}  at index {}{by}", receipt.index),
    );
    let current = if receipt.current {
        "included and current"
    } else {
        "included"
    };
    let elapsed = receipt.elapsed.as_millis().max(1);
    let size = receipt.checkpoint_size;
    output.fact(
        "Proved",
        format!("{current} under checkpoint {size}, durable in {elapsed} ms"),
    );
}

/// Names of the signers in the policy then in force; empty if it was overtaken already.
async fn signers_of(ledger: &Ledger, receipt: &Receipt) -> Result<Vec<String>, Failure> {
    let looked = match ledger.lookup(&receipt.environment).await {
        // The entry stands whatever happens now: names are a nicety.
        Err(ClientError::Unreachable { .. } | ClientError::Refused(_)) => return Ok(Vec::new()),
        looked => looked?,
    };
    match &looked.current {
        Current::Release(release) if release.release().sequence == receipt.sequence => Ok(release
            .signers()
            .iter()
            .map(|(name, _)| name.clone())
            .collect()),
        _ => Ok(Vec::new()),
    }
}
