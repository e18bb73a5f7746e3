//! `cairn policy`: who may do what, and how that is changed.
//!
//! Invariant: nobody signs a policy that was not shown as what it changes, and none that the
//! ledger's rules would refuse.

use std::path::Path;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cairn_client::{
    clock::time_text,
    detail::printable,
    ledger::Ledger,
    policies::{Policies, changes, draft, pretty, revoking},
    proposal::{Proposal, Standing},
};
use cairn_proto::{
    hash::{Index, Version},
    key::PublicKey,
    policy::Policy,
    reason::Reason,
    rules::PolicyStep,
    statement::Predicate,
};
use serde_json::{Value, json};

use super::{
    export::write_whole,
    pending::Listed,
    proposals::{self, Kept},
};
use crate::{cli, failure::Failure, session::Session};

/// Bytes of a policy that a person edited.
const POLICY_FILE_BYTES_MAX: u64 = 1 << 20;

/// `cairn policy`
pub(crate) async fn policy(session: &Session, command: &cli::PolicyCommand) -> Result<u8, Failure> {
    use cli::PolicyCommand as Command;
    let ledger = session.ledger()?;
    match command {
        Command::Show { version, file } => {
            let policies = ledger.policies().await?;
            let step = match version {
                None => policies.current(),
                Some(version) => policies.version(Version(*version)).ok_or_else(|| {
                    Failure::new(Reason::NotFound, format!("there is no policy {version}"))
                })?,
            };
            show(session, step, file.as_deref())
        }
        Command::History => history(session, &ledger).await,
        Command::At { when } => at(session, &ledger, *when).await,
        Command::Propose(args) => {
            let policies = ledger.policies().await?;
            let text = proposals::read_bytes(&args.policy, POLICY_FILE_BYTES_MAX)?;
            let next = draft(&text, &policies.current().policy)?;
            propose(
                session,
                &ledger,
                &policies,
                &next,
                (&args.keys, &args.target),
            )
            .await
        }
        Command::Revoke(args) => {
            let policies = ledger.policies().await?;
            let current = &policies.current().policy;
            let key = key_of(current, &args.key)?;
            let since = args.since.map(Index);
            let next = revoking(current, &key, since, args.reason.clone())?;
            propose(
                session,
                &ledger,
                &policies,
                &next,
                (&args.keys, &args.target),
            )
            .await
        }
        Command::Sign(args) => sign(session, &ledger, args).await,
        Command::Submit { proposals } => {
            let proposal = proposals::fetch_all(&ledger, proposals).await?;
            submit(session, &ledger, &proposal).await
        }
        Command::Pending => pending(session, &ledger).await,
        Command::Withdraw { id } => proposals::withdraw(session, &ledger, id).await,
    }
}

async fn submit(session: &Session, ledger: &Ledger, proposal: &Proposal) -> Result<u8, Failure> {
    let next =
        Policy::decode(proposal.document()).map_err(|error| Failure::new(error.reason, &error))?;
    let index = ledger.submit_policy(proposal).await?;
    session.output.fact(
        "In force",
        format!("policy {} from the entry after {index} on", next.version),
    );
    session.output.json(&json!({
        "schema": "cairn.policy-submit/v1",
        "version": next.version.0,
        "index": index.0,
    }));
    Ok(0)
}

/// What waits, as the server says: nothing of it is verified before it is signed.
async fn pending(session: &Session, ledger: &Ledger) -> Result<u8, Failure> {
    let pending = ledger.pending(None).await?;
    let mut listed = Listed::new(session, "policy", ledger.policies().await?);
    for waits in &pending {
        let Ok(statement) = &waits.statement else {
            listed.skip();
            continue;
        };
        let Predicate::Policy(change) = &statement.predicate else {
            continue;
        };
        let what = format!("policy {}", change.version);
        // The next policy's own threshold stands in a document that is not in a list.
        let needed = listed.policy().threshold;
        let more = json!({ "version": change.version.0 });
        listed.show(waits, &what, needed, more);
    }
    listed.end();
    Ok(0)
}

fn show(session: &Session, step: &PolicyStep, file: Option<&Path>) -> Result<u8, Failure> {
    let text = pretty(&step.policy);
    if let Some(file) = file {
        write_whole(file, text.as_bytes())?;
        session.output.fact("Wrote", file.display());
        let next = format!(
            "edit it, then cairn policy propose {} -o FILE",
            file.display()
        );
        session.output.fact("Next", next);
    } else {
        for line in text.lines() {
            session.output.line(printable(line));
        }
    }
    session.output.json(&step_json(step));
    Ok(0)
}

fn step_json(step: &PolicyStep) -> Value {
    let policy: Value = serde_json::from_slice(&step.policy.encode()).unwrap_or_default();
    json!({
        "schema": "cairn.policy-show/v1",
        "version": step.policy.version.0,
        "index": step.index.0,
        "leafHash": step.leaf.to_string(),
        "policy": policy,
    })
}

async fn history(session: &Session, ledger: &Ledger) -> Result<u8, Failure> {
    let policies = ledger.policies().await?;
    let output = session.output;
    let mut listed = Vec::new();
    let mut before: Option<&Policy> = None;
    for (step, signers) in policies.history() {
        let time = time_text(ledger.effective(step.index).await? / 1_000);
        output.line(format!(
            "  policy {}  index {}  {time}  by {}",
            step.policy.version,
            step.index,
            signers.join(", ")
        ));
        let lines = before.map(|before| changes(before, &step.policy));
        let lines = lines.unwrap_or_default();
        for line in &lines {
            output.line(format!("    {line}"));
        }
        listed.push(json!({
            "version": step.policy.version.0,
            "index": step.index.0,
            "time": time,
            "leafHash": step.leaf.to_string(),
            "signers": signers,
            "changes": lines,
        }));
        before = Some(&step.policy);
    }
    output.json(&json!({ "schema": "cairn.policy-history/v1", "versions": listed }));
    Ok(0)
}

async fn at(session: &Session, ledger: &Ledger, when: cli::When) -> Result<u8, Failure> {
    let policies = ledger.policies().await?;
    let mut found = None;
    for step in policies.chain().steps() {
        let began = match when {
            cli::When::Index(index) => step.index < index,
            cli::When::Time(time) => ledger.effective(step.index).await? / 1_000 <= time,
        };
        if began {
            found = Some(step);
        }
    }
    let step = found.ok_or_else(|| {
        Failure::new(Reason::NotFound, "the ledger had no policy then")
            .mended_by("The first policy is in force from the entry after genesis on.")
    })?;
    let file = None;
    show(session, step, file)
}

/// A deployer's or an admin's key by its name, or the key itself.
pub(super) fn key_of(policy: &Policy, text: &str) -> Result<PublicKey, Failure> {
    let mut named: Vec<PublicKey> = Vec::new();
    let admins = policy.admins.iter().map(|admin| (&admin.name, admin.key));
    let deployers = policy.deployers.iter();
    let deployers = deployers.map(|deployer| (&deployer.name, deployer.key));
    named.extend(
        admins
            .chain(deployers)
            .filter(|(name, _)| name.as_str() == text)
            .map(|(_, key)| key),
    );
    named.sort_unstable();
    named.dedup();
    if let [key] = named.as_slice() {
        return Ok(*key);
    }
    if !named.is_empty() {
        let why = format!("`{text}` names an admin and a deployer with other keys");
        return Err(Failure::usage(why).mended_by("Give the key itself."));
    }
    public_key(text, || {
        Failure::usage(format!("`{text}` is no name in the policy, and no key"))
            .mended_by("`cairn policy show` lists names and keys.")
    })
}

/// A public key as `cairn key show` prints it; `wrong` where the text is none.
pub(super) fn public_key(
    text: &str,
    wrong: impl FnOnce() -> Failure,
) -> Result<PublicKey, Failure> {
    let bytes = STANDARD.decode(text).ok();
    let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(wrong)?;
    PublicKey::parse(&bytes).map_err(|error| Failure::new(Reason::KeyWeak, error))
}

async fn propose(
    session: &Session,
    ledger: &Ledger,
    policies: &Policies,
    next: &Policy,
    (keys, target): (&[String], &cli::Target),
) -> Result<u8, Failure> {
    let mut proposal = policies.propose(next)?;
    let lines = describe(session, policies, next);
    if lines.is_empty() {
        let why = "the policy that is proposed is the one in force";
        return Err(Failure::usage(why).mended_by("Change something first."));
    }
    if target.send {
        proposals::must_sign(keys)?;
    }
    if !keys.is_empty() {
        let signers = session.signers(keys)?;
        proposal.sign(&proposals::borrowed(&signers))?;
    }
    // Kept only after the rules accept it as far as it is signed.
    let standing = proposal.standing(policies.chain())?;
    let kept = proposals::keep(ledger, proposal, target).await?;
    finish(session, &kept, &standing, next, &lines);
    Ok(0)
}

async fn sign(session: &Session, ledger: &Ledger, args: &cli::Sign) -> Result<u8, Failure> {
    let mut proposal = proposals::fetch(ledger, &args.proposal).await?;
    let policies = ledger.policies().await?;
    let next = policies.proposed(&proposal)?;
    let lines = describe(session, &policies, &next);
    let signers = session.signers(&args.keys)?;
    proposals::agree(session, args, &format!("policy {}", next.version))?;
    proposal.sign(&proposals::borrowed(&signers))?;
    // Refused here, it goes nowhere.
    proposal.standing(policies.chain())?;
    let kept = proposals::keep(ledger, proposal, &args.proposal.target()).await?;
    let standing = kept.proposal.standing(policies.chain())?;
    if args.submit && proposals::is_ready(&standing) {
        return submit(session, ledger, &kept.proposal).await;
    }
    finish(session, &kept, &standing, &next, &lines);
    Ok(0)
}

/// What it changes, before anybody is asked anything.
fn describe(session: &Session, policies: &Policies, next: &Policy) -> Vec<String> {
    let current = &policies.current().policy;
    let lines = changes(current, next);
    let from = format!("policy {} to {}", current.version, next.version);
    session.output.fact("Changes", from);
    for line in &lines {
        session.output.line(format!("    {line}"));
    }
    lines
}

fn finish(session: &Session, kept: &Kept, standing: &Standing, next: &Policy, lines: &[String]) {
    proposals::tell(session, standing, "policy", kept);
    session.output.json(&kept.json(json!({
        "schema": "cairn.policy-proposal/v1",
        "version": next.version.0,
        "changes": lines,
        "ready": proposals::is_ready(standing),
    })));
}
