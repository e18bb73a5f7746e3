//! What may wait: as far as the policy in force and the published head say.
//!
//! One step of admission is left out, and one alone: that so few have signed. Everything else that
//! admission would refuse is refused here, so that nobody is asked to sign what cannot be recorded.

use bytes::Bytes;
use cairn_proto::{
    entry::{Content, Submission},
    envelope::Envelope,
    hash::{KeyId, LeafHash, Sequence, Sha256, Version},
    name::Environment,
    order::OrderDocument,
    row::{Row, RowName},
    rules::RuleError,
};

use super::ProposalError;
use crate::ledger::Head;

/// A proposal of which every signature verifies, by a key that the policy names for the role, and
/// which follows what stands. Made by [`judge`] alone.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(super) id: Sha256,
    pub(super) envelope: Envelope,
    pub(super) document: Bytes,
    /// Whose writers may see it.
    pub(super) environment: Option<Environment>,
    pub(super) place: Place,
    /// Whether nobody signed it but those whom the proposal itself would give a role: no reason
    /// to let it wait, though they may add to what waits.
    pub(super) names_itself: Option<RuleError>,
}

/// What a proposal would be, and so what overtakes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// An environment's next step.
    Release(Environment, Sequence),
    /// Other signers for the release that stands.
    Approval(Environment, LeafHash),
    /// The next policy.
    Policy(Version),
    /// The next order.
    Order(u64),
    /// A host's next step.
    Host(KeyId, u64),
    /// None: a ledger begins once.
    Nowhere,
}

impl Place {
    pub(super) fn of(content: &Content) -> Self {
        match content {
            Content::Genesis(..) => Self::Nowhere,
            Content::Policy(change, _) => Self::Policy(change.version),
            Content::Release(release, _) => {
                Self::Release(release.environment.clone(), release.sequence)
            }
            Content::Approval(approval, _) => {
                Self::Approval(approval.environment.clone(), approval.release)
            }
            Content::Enrolment(enrolment, record) => Self::Host(record.id(), enrolment.number),
            Content::Order(order, _) => Self::Order(order.number),
        }
    }

    /// Whether something else, or the very same, was recorded there. Of two approvals of a release
    /// that is not said: the rules say it when they are submitted.
    pub(crate) fn is_taken(&self, head: &Head) -> bool {
        match self {
            Self::Release(environment, sequence) => {
                last(head, &RowName::Environment(environment)).0 >= sequence.0
            }
            Self::Approval(environment, release) => {
                last(head, &RowName::Environment(environment)).1 != Some(*release)
            }
            Self::Policy(version) => head.chain.current().policy.version >= *version,
            Self::Order(number) => last(head, &RowName::Orders).0 >= *number,
            Self::Host(host, number) => last(head, &RowName::Host(host)).0 >= *number,
            Self::Nowhere => true,
        }
    }
}

/// Where what a row is of stands: number and leaf hash.
fn last(head: &Head, name: &RowName<'_>) -> (u64, Option<LeafHash>) {
    match head.map.get(&name.key()) {
        Some(Row::Environment(row)) => (row.sequence.0, Some(row.leaf)),
        Some(Row::Orders(row)) => (row.number, Some(row.leaf)),
        Some(Row::Host(row)) => (row.number, Some(row.leaf)),
        _ => (0, None),
    }
}

/// Whether it would be the next of its kind.
fn follows(head: &Head, content: &Content) -> Result<(), RuleError> {
    let before = |found: Option<LeafHash>, expected: Option<LeafHash>| {
        if found == expected {
            return Ok(());
        }
        Err(RuleError::WrongPrevious { found, expected })
    };
    let next = |found: u64, number: u64| {
        let expected = number.saturating_add(1);
        if found == expected {
            return Ok(());
        }
        Err(RuleError::WrongNumber { found, expected })
    };
    match content {
        // The policy in force says it of the next one.
        Content::Genesis(..) | Content::Policy(..) => Ok(()),
        Content::Release(release, _) => {
            let environment = &release.environment;
            let (number, leaf) = last(head, &RowName::Environment(environment));
            let expected = Sequence(number.saturating_add(1));
            if release.sequence != expected {
                return Err(RuleError::WrongSequence {
                    environment: environment.clone(),
                    found: release.sequence,
                    expected,
                });
            }
            before(release.previous, leaf)
        }
        Content::Approval(approval, _) => {
            let (_, leaf) = last(head, &RowName::Environment(&approval.environment));
            before(Some(approval.release), leaf)
        }
        Content::Enrolment(enrolment, record) => {
            let (number, leaf) = last(head, &RowName::Host(&record.id()));
            next(enrolment.number, number)?;
            before(enrolment.previous, leaf)
        }
        Content::Order(order, _) => {
            let (number, leaf) = last(head, &RowName::Orders);
            next(order.number, number)?;
            before(order.previous, leaf)
        }
    }
}

/// Judges an envelope and its document under the published head. The environment is the one for which
/// admission asks who may write.
pub(crate) fn judge(
    head: &Head,
    environment: Option<&Environment>,
    envelope: &[u8],
    document: &[u8],
) -> Result<Judged, ProposalError> {
    let submission = Submission::decode(envelope, document).map_err(RuleError::Entry)?;
    let envelope = submission.envelope().clone();
    let place = Place::of(submission.content());
    if let Content::Order(_, OrderDocument::KeySuccession(_)) = submission.content() {
        return Err(ProposalError::Succession);
    }
    follows(head, submission.content())?;
    let now = head.chain.current().policy.version;
    let authenticated = head.chain.authority().authenticate(submission);
    // A policy may be signed by those whom it names itself, whoever they are.
    let names_itself = match &authenticated {
        Err(RuleError::TooFewSignatures {
            version, found: 0, ..
        }) if *version == now => envelope.signatures().first(),
        _ => None,
    };
    let names_itself = names_itself.map(|signature| RuleError::UnknownSigner {
        keyid: signature.keyid,
    });
    match authenticated {
        Ok(_) | Err(RuleError::TooFewApprovals { .. } | RuleError::TooFewSignatures { .. }) => {}
        Err(refused) => return Err(refused.into()),
    }
    Ok(Judged {
        id: Sha256::of(envelope.payload()),
        envelope,
        // A copy: what was sent may be a small part of a large message.
        document: Bytes::copy_from_slice(document),
        environment: environment.cloned(),
        place,
        names_itself,
    })
}
