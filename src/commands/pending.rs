//! Lists of what waits with the server for signatures.
//!
//! Nothing of a list is verified: it is the server's words, and whoever wants to sign asks for the
//! proposal itself.

use cairn_client::{clock::time_text, ledger::Ledger, policies::Policies, waiting::Pending};
use cairn_proto::{hash::Index, name::Environment, policy::Policy, statement::Predicate};
use serde_json::{Value, json};

use super::read::extend;
use crate::{failure::Failure, session::Session};

/// What a server says waits, of one kind.
pub(super) struct Listed<'s> {
    session: &'s Session,
    kind: &'static str,
    /// What the policy in force calls those who are said to have signed.
    policies: Policies,
    shown: Vec<Value>,
    unreadable: usize,
}

impl<'s> Listed<'s> {
    pub(super) fn new(session: &'s Session, kind: &'static str, policies: Policies) -> Self {
        Self {
            session,
            kind,
            policies,
            shown: Vec::new(),
            unreadable: 0,
        }
    }

    /// The policy in force.
    pub(super) fn policy(&self) -> &Policy {
        &self.policies.current().policy
    }

    /// One that cannot be read.
    pub(super) fn skip(&mut self) {
        self.unreadable += 1;
    }

    /// One that is `what`, and takes so many signatures; `more` is said of it in JSON.
    pub(super) fn show(&mut self, pending: &Pending, what: &str, needed: usize, more: Value) {
        let signers = self.policies.names_at(Index(u64::MAX), &pending.keyids);
        let (id, until) = (pending.id.short(), time_text(pending.expires));
        let (found, names) = (signers.len(), signers.join(", "));
        let output = self.session.output;
        output.line(format!(
            "  {id}  {what}  {found} of {needed}: {names}  until {until}"
        ));
        let next = match self.kind {
            _ if found >= needed => "submit",
            "release" => "approve",
            _ => "sign",
        };
        output.line(format!("    cairn {} {next} {}", self.kind, pending.id));
        let keyids = pending.keyids.iter().map(ToString::to_string);
        let mut document = json!({
            "id": pending.id.to_string(),
            "keyids": keyids.collect::<Vec<_>>(),
            "signers": signers,
            "needed": needed,
            "waitsUntil": until,
        });
        extend(&mut document, more);
        self.shown.push(document);
    }

    /// Says what could not be read, and that there is nothing where there is nothing.
    pub(super) fn end(self) {
        let output = self.session.output;
        if self.shown.is_empty() {
            output.line("  Nothing waits for signatures.");
        }
        if self.unreadable > 0 {
            let text = format!("{} of a kind that takes a newer cairn", self.unreadable);
            output.fact("Beside", text);
        }
        output.json(&json!({
            "schema": format!("cairn.{}-pending/v1", self.kind),
            "proposals": self.shown,
            "unreadable": self.unreadable,
        }));
    }
}

/// `cairn proposal pending`
pub(super) async fn pending(
    session: &Session,
    ledger: &Ledger,
    environment: Option<&Environment>,
) -> Result<u8, Failure> {
    let pending = ledger.pending(environment).await?;
    let mut listed = Listed::new(session, "proposal", ledger.policies().await?);
    for waits in &pending {
        let Ok(statement) = &waits.statement else {
            listed.skip();
            continue;
        };
        let policy = listed.policy();
        let (what, needed, more) = match &statement.predicate {
            Predicate::Order(order) => {
                let kind = order.kind.as_str();
                let more = json!({ "kind": kind, "number": order.number });
                (
                    format!("order {}  {kind}", order.number),
                    policy.threshold,
                    more,
                )
            }
            Predicate::Approval(approval) => {
                let (name, sequence) = (&approval.environment, approval.sequence.0);
                let more = json!({
                    "kind": "approval",
                    "environment": name.to_string(),
                    "sequence": sequence,
                });
                let needed = policy.approvals(name);
                (format!("approval of {name}#{sequence}"), needed, more)
            }
            Predicate::Enrolment(enrolment) => {
                let action = enrolment.action.as_str();
                let more = json!({ "kind": "enrolment", "action": action });
                (format!("{action} a host"), 1, more)
            }
            Predicate::Policy(_) | Predicate::Release(_) | Predicate::Genesis(_) => continue,
        };
        listed.show(waits, &what, needed, more);
    }
    listed.end();
    Ok(0)
}
