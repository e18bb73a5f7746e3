//! `cairn order`, and `cairn proposal` for what is signed by several and is neither a policy nor a
//! release.
//!
//! Invariant: nobody signs what was not shown, and nothing that the ledger's rules would refuse.

use cairn_client::{
    clock::{now, time_text},
    detail::printable,
    ledger::Ledger,
    orders::Orders,
    proposal::{Proposal, Standing},
    submit::Proposed,
};
use cairn_proto::{
    hash::ContentId,
    manifest::Bytes,
    note::{SignatureType, VerifierKey},
    order::{BreakGlass, KeySuccession, OrderDocument, Redaction},
    reason::Reason,
};
use serde_json::{Value, json};

use super::{
    pending::pending,
    proposals::{self, Kept},
};
use crate::{cli, failure::Failure, output::count, session::Session};

/// `cairn order`
pub(crate) async fn order(session: &Session, command: &cli::OrderCommand) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    let orders = ledger.orders().await?;
    let (document, words) = match command {
        cli::OrderCommand::List => return list(session, &ledger, &orders).await,
        cli::OrderCommand::Redact(args) => (redaction(&ledger, args).await?, &args.words),
        cli::OrderCommand::BreakGlass(args) => {
            let order = BreakGlass {
                environments: args.environments.clone(),
                approvals: args.approvals.map(usize::from),
                max_staleness: args.max_staleness,
                expires: now().saturating_add(args.lasts),
                reason: args.words.reason.clone(),
            };
            (OrderDocument::BreakGlass(order), &args.words)
        }
        cli::OrderCommand::Succession(args) => {
            (succession(session, &ledger, args).await?, &args.words)
        }
    };
    if words.target.send {
        if let OrderDocument::KeySuccession(_) = document {
            let why = "keys take over while the server does not run";
            return Err(Failure::usage(why).mended_by("Write a file: -o FILE."));
        }
        proposals::must_sign(&words.keys)?;
    }
    let mut proposal = orders.propose(&ledger, &document)?;
    if !words.keys.is_empty() {
        let signers = session.signers(&words.keys)?;
        proposal.sign(&proposals::borrowed(&signers))?;
    }
    let proposed = ledger.proposed(&proposal).await?;
    describe(session, &proposed);
    finish(session, &ledger, proposal, &proposed, &words.target).await
}

async fn redaction(ledger: &Ledger, args: &cli::Redact) -> Result<OrderDocument, Failure> {
    let mut contents = Vec::new();
    let release = match &args.from {
        Some(reference) => Some(ledger.resolve(reference).await?),
        None => None,
    };
    for text in &args.contents {
        let content = match &release {
            Some(release) => match release.manifest.artifact(text).map(|it| &it.bytes) {
                Some(Bytes::Stored { digests, .. }) => digests.blake3,
                Some(_) => {
                    let why = format!("the ledger holds no bytes of `{text}`");
                    return Err(Failure::new(Reason::NotFound, why));
                }
                None => {
                    let why = format!("that release has no artifact `{text}`");
                    return Err(Failure::new(Reason::NotFound, why)
                        .mended_by("`cairn show REF` lists them."));
                }
            },
            None => content_id(text)?,
        };
        contents.push(content);
    }
    contents.sort_unstable();
    contents.dedup();
    Ok(OrderDocument::Redaction(Redaction {
        contents,
        reason: args.words.reason.clone(),
    }))
}

fn content_id(text: &str) -> Result<ContentId, Failure> {
    let hex = text.strip_prefix("blake3:");
    let id = hex.and_then(|hex| hex.parse().ok());
    id.ok_or_else(|| {
        Failure::usage(format!("`{text}` is no blake3:HEX"))
            .mended_by("Give the content's digest, or names of artifacts with --from REF.")
    })
}

async fn succession(
    session: &Session,
    ledger: &Ledger,
    args: &cli::Succession,
) -> Result<OrderDocument, Failure> {
    let origin = ledger.trust().origin();
    let key = |text: &str, name: &str, kind| -> Result<VerifierKey, Failure> {
        if let Ok(key) = text.parse() {
            return Ok(key);
        }
        let public = session.signer(text)?.public_key();
        VerifierKey::new(name, kind, public).map_err(Failure::usage)
    };
    let log_key = key(&args.log_key, origin.as_str(), SignatureType::Ed25519)?;
    let clock_name = origin.clock_name();
    let clock_key = key(&args.clock_key, &clock_name, SignatureType::Cosignature)?;
    let head = ledger.newest_note().await?;
    session.output.fact(
        "Then",
        "stop the server; nothing may be recorded before it starts with the new keys",
    );
    Ok(OrderDocument::KeySuccession(Box::new(KeySuccession {
        log_key,
        clock_key,
        head,
        reason: args.words.reason.clone(),
    })))
}

async fn list(session: &Session, ledger: &Ledger, orders: &Orders) -> Result<u8, Failure> {
    let policies = ledger.policies().await?;
    let output = session.output;
    let mut listed = Vec::new();
    for (ordered, number) in orders.all().iter().zip(1_u64..) {
        let step = &ordered.step;
        let mut signers = policies.names_at(step.index, &ordered.keyids);
        signers.sort();
        output.line(format!(
            "  order {number}  index {}  {}  by {}",
            step.index,
            step.order.kind().as_str(),
            signers.join(", ")
        ));
        for line in lines(&step.order) {
            output.line(format!("    {line}"));
        }
        output.line(format!("    leaf hash {}", step.leaf));
        let mut one = order_json(&step.order);
        super::read::extend(
            &mut one,
            json!({
                "number": number,
                "index": step.index.0,
                "leafHash": step.leaf.to_string(),
                "signers": signers,
            }),
        );
        listed.push(one);
    }
    let all = count(orders.all().len(), "order");
    output.fact("Proved", format!("these {all} are all there are"));
    output.json(&json!({ "schema": "cairn.orders/v1", "orders": listed }));
    Ok(0)
}

/// What an order says, a line each.
fn lines(order: &OrderDocument) -> Vec<String> {
    let mut lines = vec![format!("reason {}", printable(order.reason()))];
    match order {
        OrderDocument::Redaction(order) => {
            let contents = order.contents.iter();
            lines.extend(contents.map(|id| format!("erases blake3:{id}")));
        }
        OrderDocument::BreakGlass(order) => {
            let until = time_text(order.expires);
            lines.push(format!("in {} until {until}", order.environments));
            let approvals = order.approvals;
            lines.extend(approvals.map(|few| format!("approvals {few}")));
            let age = order.max_staleness;
            lines.extend(age.map(|age| format!("a proof may be {age} s old")));
        }
        OrderDocument::KeySuccession(order) => {
            lines.push(format!("log key {}", order.log_key));
            lines.push(format!("clock key {}", order.clock_key));
            let size = order.head.lines().nth(1).unwrap_or_default();
            lines.push(format!("after size {}", printable(size)));
        }
    }
    lines
}

fn order_json(order: &OrderDocument) -> Value {
    let kind = order.kind().as_str();
    let reason = order.reason();
    match order {
        OrderDocument::Redaction(order) => {
            let contents = order.contents.iter().map(|id| format!("blake3:{id}"));
            json!({ "kind": kind, "reason": reason, "contents": contents.collect::<Vec<_>>() })
        }
        OrderDocument::BreakGlass(order) => json!({
            "kind": kind,
            "reason": reason,
            "environments": order.environments.to_string(),
            "approvals": order.approvals,
            "maxStaleness": order.max_staleness,
            "expires": order.expires,
        }),
        OrderDocument::KeySuccession(order) => json!({
            "kind": kind,
            "reason": reason,
            "logKey": order.log_key.to_string(),
            "clockKey": order.clock_key.to_string(),
            "head": order.head,
        }),
    }
}

/// `cairn proposal`
pub(crate) async fn proposal(
    session: &Session,
    command: &cli::ProposalCommand,
) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    match command {
        cli::ProposalCommand::Sign(args) => sign(session, &ledger, args).await,
        cli::ProposalCommand::Submit { proposals } => {
            let proposal = proposals::fetch_all(&ledger, proposals).await?;
            submit(session, &ledger, &proposal).await
        }
        cli::ProposalCommand::Pending { environment } => {
            pending(session, &ledger, environment.as_ref()).await
        }
        cli::ProposalCommand::Withdraw { id } => proposals::withdraw(session, &ledger, id).await,
    }
}

async fn sign(session: &Session, ledger: &Ledger, args: &cli::Sign) -> Result<u8, Failure> {
    let mut proposal = proposals::fetch(ledger, &args.proposal).await?;
    let proposed = ledger.proposed(&proposal).await?;
    describe(session, &proposed);
    let signers = session.signers(&args.keys)?;
    proposals::agree(session, args, "this")?;
    proposal.sign(&proposals::borrowed(&signers))?;
    let target = args.proposal.target();
    let (kept, standing) = keep(ledger, proposal, &target).await?;
    if args.submit && proposals::is_ready(&standing) {
        return submit(session, ledger, &kept.proposal).await;
    }
    Ok(tell(session, &kept, &standing, &proposed))
}

/// Sends what enough have signed, and says where it stands.
pub(super) async fn submit(
    session: &Session,
    ledger: &Ledger,
    proposal: &Proposal,
) -> Result<u8, Failure> {
    let recorded = ledger.submit(proposal).await?;
    let (index, size) = (recorded.index(), recorded.size());
    let text = format!("index {index}, included under checkpoint {size}");
    session.output.fact("Recorded", text);
    session.output.json(&json!({
        "schema": "cairn.proposal-submit/v1",
        "index": index.0,
        "leafHash": recorded.leaf().to_string(),
        "checkpointSize": size.0,
    }));
    Ok(0)
}

/// What is about to be signed.
pub(super) fn describe(session: &Session, proposed: &Proposed) {
    let output = session.output;
    match proposed {
        Proposed::Approval(approval, of) => {
            let what = format!("{}#{}", approval.environment, approval.sequence);
            let artifacts = count(of.artifacts, "artifact");
            output.fact(
                "Approves",
                format!("{what}  index {}  {artifacts}", of.index),
            );
            output.fact("Leaf hash", of.leaf);
            output.fact("Manifest", format!("blake3:{}", of.manifest));
            for keyid in &of.keyids {
                output.fact("Signed", format!("by key {keyid}"));
            }
            if let Some(why) = &of.why {
                output.fact("Beware", why);
            }
            if let Some(reason) = &approval.reason {
                output.fact("Reason", printable(reason));
            }
        }
        Proposed::Enrolment(enrolment, record, now) => {
            let what = enrolment.action.as_str();
            let (name, environment) = (&record.name, &record.environment);
            output.fact("Host", format!("{what} {name} in {environment}"));
            output.fact("Key id", record.id());
            let number = enrolment.number;
            let now = match now {
                Some(environment) => format!("step {number}; it is enrolled in {environment} now"),
                None => format!("step {number}; it is enrolled nowhere now"),
            };
            output.fact("Standing", now);
            if let Some(reason) = &enrolment.reason {
                output.fact("Reason", printable(reason));
            }
        }
        Proposed::Order(number, order) => {
            output.fact("Order", format!("{number}  {}", order.kind().as_str()));
            for line in lines(order) {
                output.line(format!("    {line}"));
            }
        }
    }
}

/// Kept only after the rules accept it as far as it is signed.
async fn keep(
    ledger: &Ledger,
    proposal: Proposal,
    target: &cli::Target,
) -> Result<(Kept, Standing), Failure> {
    let policies = ledger.policies().await?;
    proposal.standing(policies.chain())?;
    let kept = proposals::keep(ledger, proposal, target).await?;
    let standing = kept.proposal.standing(policies.chain())?;
    Ok((kept, standing))
}

/// Keeps it, and says where it is and how far it has come.
pub(super) async fn finish(
    session: &Session,
    ledger: &Ledger,
    proposal: Proposal,
    proposed: &Proposed,
    target: &cli::Target,
) -> Result<u8, Failure> {
    let (kept, standing) = keep(ledger, proposal, target).await?;
    Ok(tell(session, &kept, &standing, proposed))
}

fn tell(session: &Session, kept: &Kept, standing: &Standing, proposed: &Proposed) -> u8 {
    proposals::tell(session, standing, "proposal", kept);
    let own = match proposed {
        Proposed::Order(_, order) => order_json(order),
        Proposed::Approval(approval, _) => json!({
            "kind": "approval",
            "environment": approval.environment.to_string(),
            "sequence": approval.sequence.0,
        }),
        Proposed::Enrolment(enrolment, record, _) => json!({
            "kind": "enrolment",
            "action": enrolment.action.as_str(),
            "host": record.id().to_string(),
        }),
    };
    let mut told = kept.json(json!({
        "schema": "cairn.proposal-file/v1",
        "ready": proposals::is_ready(standing),
    }));
    super::read::extend(&mut told, own);
    session.output.json(&told);
    0
}
