//! What may wait: as far as the policy in force and the published head say.
//!
//! One step of admission is left out, and one alone: that so few have signed. Everything else that
//! admission would refuse is refused here, so that nobody is asked to sign what cannot be recorded.

use bytes::Bytes;
use cairn_proto::{
    entry::{Content, Submission},
    envelope::Envelope,
    hash::{LeafHash, Sequence, Sha256, Version},
    name::Environment,
    row::{Row, RowName},
    rules::RuleError,
};

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
    /// The next policy.
    Policy(Version),
    /// Anything that no number is taken for: gone when it is recorded, or when it expires.
    Free,
}

impl Place {
    pub(super) fn of(content: &Content) -> Self {
        if let Content::Release(release, _) = content {
            return Self::Release(release.environment.clone(), release.sequence);
        }
        if let Content::Policy(change, _) = content {
            return Self::Policy(change.version);
        }
        Self::Free
    }

    /// Whether something else, or the very same, was recorded there.
    pub(crate) fn is_taken(&self, head: &Head) -> bool {
        match self {
            Self::Release(environment, sequence) => last(head, environment).0 >= sequence.0,
            Self::Policy(version) => head.chain.current().policy.version >= *version,
            Self::Free => false,
        }
    }
}

/// Where an environment stands: sequence and leaf hash.
fn last(head: &Head, environment: &Environment) -> (u64, Option<LeafHash>) {
    match head.map.get(&RowName::Environment(environment).key()) {
        Some(Row::Environment(row)) => (row.sequence.0, Some(row.leaf)),
        _ => (0, None),
    }
}

/// Judges an envelope and its document under the published head. The environment is the one for which
/// admission asks who may write.
pub(crate) fn judge(
    head: &Head,
    environment: Option<&Environment>,
    envelope: &[u8],
    document: &[u8],
) -> Result<Judged, RuleError> {
    let submission = Submission::decode(envelope, document).map_err(RuleError::Entry)?;
    let envelope = submission.envelope().clone();
    let place = Place::of(submission.content());
    if let Content::Release(release, _) = submission.content() {
        let (sequence, leaf) = last(head, &release.environment);
        if release.sequence.0 != sequence.saturating_add(1) {
            return Err(RuleError::WrongSequence {
                environment: release.environment.clone(),
                found: release.sequence,
                expected: Sequence(sequence.saturating_add(1)),
            });
        }
        if release.previous != leaf {
            return Err(RuleError::WrongPrevious {
                found: release.previous,
                expected: leaf,
            });
        }
    }
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
        Err(refused) => return Err(refused),
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
