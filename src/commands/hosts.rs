//! `cairn host` and `cairn approve`: what a deployer's key signs beside releases.

use cairn_client::{hosts::KnownHost, proposal::Standing, submit::Proposed};
use cairn_proto::{
    hash::KeyId, host::HostRecord, key::PublicKey, reason::Reason, statement::Standing as Action,
};
use serde_json::json;

use super::{
    orders::{describe, finish, submit},
    policy::public_key,
    proposals,
};
use crate::{cli, failure::Failure, session::Session};

/// `cairn approve`
pub(crate) async fn approve(session: &Session, args: &cli::Approve) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    let asked = &args.release;
    let proposed = ledger.propose_approval(&asked.environment, args.reason.clone());
    let mut proposal = proposed.await?;
    let proposed = ledger.proposed(&proposal).await?;
    describe(session, &proposed);
    if let Proposed::Approval(approval, _) = &proposed
        && approval.sequence.0 != asked.sequence
    {
        let (environment, current) = (&asked.environment, approval.sequence);
        let why = format!("{environment}#{current} is current by now");
        return Err(Failure::new(Reason::RaceLost, why)
            .mended_by("Look at that one; only what is current can be approved."));
    }
    let signers = session.signers(&args.keys)?;
    let what = format!("an approval of {}#{}", asked.environment, asked.sequence);
    proposals::ask(session, args.yes, &what)?;
    proposal.sign(&proposals::borrowed(&signers))?;
    if args.send || args.file.is_some() {
        let target = cli::Target {
            file: args.file.clone(),
            send: args.send,
        };
        return finish(session, &ledger, proposal, &proposed, &target).await;
    }
    let policies = ledger.policies().await?;
    if let Standing::Short(rule) = proposal.standing(policies.chain())? {
        return Err(Failure::new(Reason::TooFewApprovals, rule).mended_by(
            "Give --send, or -o FILE, and have others sign it: `cairn proposal sign`.",
        ));
    }
    submit(session, &ledger, &proposal).await
}

/// `cairn host`
pub(crate) async fn host(session: &Session, command: &cli::HostCommand) -> Result<u8, Failure> {
    match command {
        cli::HostCommand::Enrol(args) => {
            let record = HostRecord {
                environment: args.environment.clone(),
                key: host_key(&args.host_key)?,
                name: args.name.clone(),
            };
            let ledger = session.ledger()?;
            let known = ledger.host(&record.id()).await?;
            step(session, Action::Enrol, &record, known.as_ref(), &args.words).await
        }
        cli::HostCommand::Dismiss(args) => {
            let known = session.ledger()?.host(&host_id(&args.host)?).await?;
            let standing = known.filter(|known| known.proven.is_enrolled());
            let known = standing.ok_or_else(|| {
                Failure::new(Reason::NotFound, "no host with that key is enrolled")
            })?;
            let record = known.proven.record().clone();
            step(session, Action::Dismiss, &record, Some(&known), &args.words).await
        }
        cli::HostCommand::Show { host } => show(session, &host_id(host)?).await,
    }
}

async fn step(
    session: &Session,
    action: Action,
    record: &HostRecord,
    known: Option<&KnownHost>,
    words: &cli::HostWords,
) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    let mut proposal = ledger.propose_enrolment(action, record, known, words.reason.clone())?;
    let signers = session.signers(&words.keys)?;
    proposal.sign(&proposals::borrowed(&signers))?;
    describe(session, &ledger.proposed(&proposal).await?);
    submit(session, &ledger, &proposal).await
}

async fn show(session: &Session, id: &KeyId) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    let known = ledger.host(id).await?;
    let output = session.output;
    let Some(known) = known else {
        output.fact("Proved", format!("no host {id} was ever enrolled"));
        output
            .json(&json!({ "schema": "cairn.host/v1", "host": id.to_string(), "standing": null }));
        return Ok(0);
    };
    let (proven, record) = (&known.proven, known.proven.record());
    let signers = proven.signers().iter().map(|(name, _)| name.as_str());
    let signers: Vec<_> = signers.collect();
    let standing = if proven.is_enrolled() {
        "enrolled"
    } else {
        "dismissed"
    };
    output.fact("Host", format!("{}  {id}", record.name));
    output.fact("Standing", format!("{standing} in {}", record.environment));
    output.fact("Signed", format!("by {}", signers.join(", ")));
    let (index, size) = (proven.index(), known.size);
    let text = format!("at index {index}, current under checkpoint {size}");
    output.fact("Proved", text);
    output.json(&json!({
        "schema": "cairn.host/v1",
        "host": id.to_string(),
        "standing": standing,
        "name": record.name.to_string(),
        "environment": record.environment.to_string(),
        "number": proven.enrolment().number,
        "index": proven.index().0,
        "signers": signers,
    }));
    Ok(0)
}

fn host_key(text: &str) -> Result<PublicKey, Failure> {
    public_key(text, || {
        Failure::usage(format!("`{text}` is no public key"))
            .mended_by("`cairn key show` prints a key as it is taken here.")
    })
}

fn host_id(text: &str) -> Result<KeyId, Failure> {
    match text.parse() {
        Ok(id) => Ok(id),
        Err(_) => Ok(host_key(text)?.id()),
    }
}
