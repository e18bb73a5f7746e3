//! Verdicts, and the one table of exit codes.
//!
//! Out of scope: how a verdict is reached. Invariant: [`Verdict::PRECEDENCE`] alone decides
//! which of several verdicts is the one that a script sees.

use cairn_proto::reason::Reason;
use serde::{Serialize, Serializer};

/// What is said of an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// Matches the current release; every step proven.
    Verified,
    /// Something differs from the release.
    Drift,
    /// The environment is proven absent, or none of the measured digests was ever released.
    Unrecorded,
    /// A bad signature, or the signer was not allowed.
    Untrusted,
    /// Something contradicts a signed head.
    Tampered,
    /// The newest proof is older than allowed, or than what was seen.
    Stale,
    /// Is exactly an older release, or the environment is retired.
    Superseded,
    /// Something could not be measured.
    Unverifiable,
    /// Nothing was proven either way.
    Failed,
}

impl Verdict {
    /// Which wins where several hold: TAMPERED, UNTRUSTED, UNRECORDED, DRIFT, SUPERSEDED,
    /// UNVERIFIABLE, STALE; then a failure, and last that nothing is wrong.
    pub const PRECEDENCE: [Self; 9] = [
        Self::Tampered,
        Self::Untrusted,
        Self::Unrecorded,
        Self::Drift,
        Self::Superseded,
        Self::Unverifiable,
        Self::Stale,
        Self::Failed,
        Self::Verified,
    ];

    /// The process's exit code.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Verified => 0,
            Self::Failed => 1,
            Self::Drift => 10,
            Self::Unrecorded => 11,
            Self::Untrusted => 12,
            Self::Tampered => 13,
            Self::Stale => 14,
            Self::Superseded => 15,
            Self::Unverifiable => 16,
        }
    }

    /// The word that is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "VERIFIED",
            Self::Failed => "FAILED",
            Self::Drift => "DRIFT",
            Self::Unrecorded => "UNRECORDED",
            Self::Untrusted => "UNTRUSTED",
            Self::Tampered => "TAMPERED",
            Self::Stale => "STALE",
            Self::Superseded => "SUPERSEDED",
            Self::Unverifiable => "UNVERIFIABLE",
        }
    }

    /// Those of `held` in order of precedence, each once; VERIFIED where none holds.
    pub fn ranked(held: &[Self]) -> Vec<Self> {
        let mut ranked: Vec<_> = Self::PRECEDENCE
            .into_iter()
            .filter(|verdict| *verdict != Self::Verified && held.contains(verdict))
            .collect();
        if ranked.is_empty() {
            ranked.push(Self::Verified);
        }
        ranked
    }

    /// What an alarm of this reason amounts to.
    pub(crate) fn of_rule(reason: Reason) -> Self {
        match reason {
            Reason::NeedsNewerCairn | Reason::DocumentMissing => Self::Failed,
            Reason::DocumentMismatch
            | Reason::MapRecordWrong
            | Reason::Forked
            | Reason::InclusionUnproven
            | Reason::EntryUnknownShape => Self::Tampered,
            _ => Self::Untrusted,
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.pad(self.as_str())
    }
}

impl Serialize for Verdict {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict;

    /// Goal: the exit code follows product.md's order. Method: every pair of verdicts.
    #[test]
    fn the_first_of_several_in_the_order_of_precedence_wins() {
        let order = [13, 12, 11, 10, 15, 16, 14, 1, 0];
        let codes: Vec<u8> = Verdict::PRECEDENCE
            .iter()
            .map(|verdict| verdict.exit_code())
            .collect();
        assert_eq!(codes, order);
        for (rank, first) in Verdict::PRECEDENCE.iter().enumerate() {
            for second in &Verdict::PRECEDENCE[rank..] {
                let ranked = Verdict::ranked(&[*second, *first]);
                assert_eq!(ranked.first(), Some(first));
            }
        }
    }

    /// Goal: VERIFIED never stands beside another verdict.
    #[test]
    fn verified_stands_alone() {
        assert_eq!(Verdict::ranked(&[]), [Verdict::Verified]);
        let mixed = Verdict::ranked(&[Verdict::Verified, Verdict::Stale]);
        assert_eq!(mixed, [Verdict::Stale]);
    }
}
