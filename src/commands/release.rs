//! `cairn release`: releases that several must sign.

use cairn_client::{
    compare::DifferenceKind, detail::printable, ledger::Ledger, proposal::Proposal,
    record::ProposedRelease,
};
use cairn_proto::{manifest::Unmeasured, name::Environment, statement::Predicate};
use serde_json::json;

use super::{
    capturing::{captured, comparison},
    pending::Listed,
    proposals::{self, Kept},
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
        cli::ReleaseCommand::Propose { record, target } => {
            propose(session, &ledger, record, target).await
        }
        cli::ReleaseCommand::Approve(args) => approve(session, &ledger, args).await,
        cli::ReleaseCommand::Submit { proposals } => {
            let proposal = proposals::fetch_all(&ledger, proposals).await?;
            submit(session, &ledger, &proposal).await
        }
        cli::ReleaseCommand::Pending { environment } => {
            pending(session, &ledger, environment.as_ref()).await
        }
        cli::ReleaseCommand::Withdraw { id } => proposals::withdraw(session, &ledger, id).await,
    }
}

async fn propose(
    session: &Session,
    ledger: &Ledger,
    args: &cli::Record,
    target: &cli::Target,
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
    let kept = proposals::keep(ledger, proposal, target).await?;
    finish(session, &kept, &proposed);
    Ok(0)
}

async fn approve(session: &Session, ledger: &Ledger, args: &cli::Sign) -> Result<u8, Failure> {
    let mut proposal = proposals::fetch(ledger, &args.proposal).await?;
    let proposed = ledger.proposed_release(&proposal).await?;
    describe(session, &proposed);
    let signers = session.signers(&args.keys)?;
    let release = &proposed.release;
    let what = format!("{}#{}", release.environment, release.sequence);
    proposals::agree(session, args, &what)?;
    proposal.sign(&proposals::borrowed(&signers))?;
    // Refused here, it goes nowhere.
    ledger.proposed_release(&proposal).await?;
    let kept = proposals::keep(ledger, proposal, &args.proposal.target()).await?;
    let proposed = ledger.proposed_release(&kept.proposal).await?;
    if args.submit && proposals::is_ready(&proposed.standing) {
        return submit(session, ledger, &kept.proposal).await;
    }
    finish(session, &kept, &proposed);
    Ok(0)
}

async fn submit(session: &Session, ledger: &Ledger, proposal: &Proposal) -> Result<u8, Failure> {
    let receipt = ledger.submit_release(proposal).await?;
    tell_receipt(session, ledger, receipt).await?;
    Ok(0)
}

/// What waits, as the server says: nothing of it is verified before it is approved.
async fn pending(
    session: &Session,
    ledger: &Ledger,
    environment: Option<&Environment>,
) -> Result<u8, Failure> {
    let pending = ledger.pending(environment).await?;
    let mut listed = Listed::new(session, "release", ledger.policies().await?);
    for waits in &pending {
        let Ok(statement) = &waits.statement else {
            listed.skip();
            continue;
        };
        let Predicate::Release(release) = &statement.predicate else {
            continue;
        };
        let name = format!("{}#{}", release.environment, release.sequence);
        let reason = release.reason.as_deref().map(printable);
        let reason = reason.map(|it| format!("  {it}")).unwrap_or_default();
        let what = format!("{name}  {}{reason}", act(release));
        let needed = listed.policy().approvals(&release.environment);
        let more = json!({
            "environment": release.environment.to_string(),
            "sequence": release.sequence.0,
            "action": release.action.as_str(),
            "reason": release.reason,
            "createdAt": release.created_at.to_string(),
        });
        listed.show(waits, &what, needed, more);
    }
    listed.end();
    Ok(0)
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
    if let Some(order) = &release.break_glass {
        let text = format!("order {order}: with fewer signatures, until it expires");
        output.fact("Breaks", text);
    }
    if let Some(source) = &release.source {
        let run = source.run.as_deref().unwrap_or_default();
        let text = format!("{} {} {run}", source.tool, source.version);
        output.fact("Made by", printable(text.trim_end()));
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
        let path = match change.path.as_str() {
            "" => String::new(),
            path => format!(" {}", printable(path)),
        };
        output.line(format!("    {mark} {artifact}{path}  {sides}"));
    }
}

fn finish(session: &Session, kept: &Kept, proposed: &ProposedRelease) {
    proposals::tell(session, &proposed.standing, "release", kept);
    session.output.json(&kept.json(json!({
        "schema": "cairn.release-proposal/v1",
        "environment": proposed.release.environment.to_string(),
        "sequence": proposed.release.sequence.0,
        "breakGlass": proposed.release.break_glass.map(|leaf| leaf.to_string()),
        "changes": proposed.changes,
        "ready": proposals::is_ready(&proposed.standing),
    })));
}
