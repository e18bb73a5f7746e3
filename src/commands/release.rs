//! `cairn release`: releases that several must sign.

use std::path::Path;

use cairn_client::{
    compare::DifferenceKind, detail::printable, ledger::Ledger, proposal::Proposal,
    record::ProposedRelease,
};
use cairn_proto::manifest::Unmeasured;
use serde_json::json;

use super::{
    capturing::{captured, comparison},
    export::write_whole,
    proposals,
    read::act,
    record::{tell_receipt, terms_of},
};
use crate::{
    cli,
    failure::Failure,
    output::{Bars, count},
    session::Session,
};

/// `cairn release`
pub(crate) async fn release(
    session: &Session,
    command: &cli::ReleaseCommand,
) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    match command {
        cli::ReleaseCommand::Propose { record, file } => {
            propose(session, &ledger, record, file).await
        }
        cli::ReleaseCommand::Approve(args) => approve(session, &ledger, args).await,
        cli::ReleaseCommand::Submit { files } => {
            let proposal = proposals::read_all(files)?;
            let receipt = ledger.submit_release(&proposal).await?;
            tell_receipt(session, &ledger, receipt).await?;
            Ok(0)
        }
    }
}

async fn propose(
    session: &Session,
    ledger: &Ledger,
    args: &cli::Record,
    file: &Path,
) -> Result<u8, Failure> {
    let signers = session.signers(&args.words.keys)?;
    let bars = Bars::new(session.output);
    let capture = captured(session, ledger, args, &bars).await?;
    let terms = terms_of(args, &signers)?;
    let proposal = ledger
        .propose(&args.environment, &capture, comparison(args), &terms, &bars)
        .await;
    bars.done();
    let proposal = proposal?;
    let proposed = ledger.proposed_release(&proposal).await?;
    describe(session, &proposed);
    finish(session, &proposal, &proposed, file)
}

async fn approve(session: &Session, ledger: &Ledger, args: &cli::Sign) -> Result<u8, Failure> {
    let mut proposal = proposals::read(&args.file)?;
    let proposed = ledger.proposed_release(&proposal).await?;
    describe(session, &proposed);
    let signers = session.signers(&args.keys)?;
    let release = &proposed.release;
    let what = format!("{}#{}", release.environment, release.sequence);
    proposals::agree(session, args.yes, &what)?;
    proposal.sign(&proposals::borrowed(&signers))?;
    let proposed = ledger.proposed_release(&proposal).await?;
    finish(session, &proposal, &proposed, &args.file)
}

/// What is about to be signed.
fn describe(session: &Session, proposed: &ProposedRelease) {
    let output = session.output;
    let release = &proposed.release;
    let artifacts = count(proposed.manifest.artifacts().len(), "artifact");
    let name = format!("{}#{}", release.environment, release.sequence);
    output.fact("Proposed", format!("{name}  {}  {artifacts}", act(release)));
    output.fact("Manifest", format!("blake3:{}", proposed.document));
    if let Some(reason) = &release.reason {
        output.fact("Reason", printable(reason));
    }
    for (name, text) in &release.annotations {
        let (name, text) = (printable(name), printable(text));
        output.fact("Annotated", format!("{name} {text}"));
    }
    // What is ignored is signed as well: it silences differences later.
    let comparison = proposed.manifest.comparison();
    for pointer in &comparison.ignore {
        output.fact("Ignores", printable(pointer));
    }
    if comparison.unmeasured == Unmeasured::Accept {
        output.fact("Accepts", "withheld artifacts that cannot be measured");
    }
    if let Some(why) = &proposed.compromised {
        output.fact("Beware", format!("what stands now is compromised: {why}"));
    }
    // All of them: what is not shown is signed as well.
    for change in &proposed.changes {
        let mark = match change.kind {
            DifferenceKind::Added => '+',
            DifferenceKind::Missing => '-',
            _ => '~',
        };
        let sides = [&change.recorded, &change.found];
        let sides: Vec<_> = sides
            .into_iter()
            .flatten()
            .map(|it| printable(it))
            .collect();
        let (artifact, sides) = (printable(&change.artifact), sides.join(" -> "));
        output.line(format!("    {mark} {artifact}  {sides}"));
    }
}

fn finish(
    session: &Session,
    proposal: &Proposal,
    proposed: &ProposedRelease,
    file: &Path,
) -> Result<u8, Failure> {
    write_whole(file, &proposal.encode())?;
    proposals::tell(session, &proposed.standing, "release", file);
    session.output.json(&json!({
        "schema": "cairn.release-proposal/v1",
        "environment": proposed.release.environment.to_string(),
        "sequence": proposed.release.sequence.0,
        "changes": proposed.changes,
        "keyids": proposal.keyids().map(ToString::to_string).collect::<Vec<_>>(),
        "ready": proposals::is_ready(&proposed.standing),
        "file": file,
    }));
    Ok(0)
}
