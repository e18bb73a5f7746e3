//! What holds for the environments of a pattern, and what that makes of one environment.
//! SPEC.md section 4.

use std::fmt;

use super::{count, small};
use crate::{
    hash::Index,
    json::{Field, JsonError, Value},
    limits::{COSIGNERS_MAX, SECONDS_MAX, SIGNATURES_MAX},
    name::Pattern,
};

/// What holds for the environments of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which environments.
    pub environments: Pattern,
    /// Distinct deployers that must sign, 1 to 16.
    pub approvals: Option<usize>,
    /// Seconds after which a proof is stale.
    pub max_staleness: Option<u64>,
    /// Witnesses, of those that a verifier pins, that must have cosigned a proof's checkpoint,
    /// 1 to 16: it raises a verifier's own quorum and never lowers it.
    pub witnesses: Option<usize>,
}

/// What the newest policy asks of any proof for an environment: the strictest of all rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The policy's version.
    pub policy_version: u64,
    /// Seconds after which a proof is stale.
    pub max_staleness: Option<u64>,
    /// Pinned witnesses that must have cosigned the checkpoint.
    pub witnesses: Option<usize>,
    /// Where the break-glass order stands that allows a proof to be older than the policy does.
    pub eased_by: Option<Index>,
}

impl Rule {
    /// A rule that asks for nothing yet; as such it is in no policy.
    pub fn on(environments: Pattern) -> Self {
        Self {
            environments,
            approvals: None,
            max_staleness: None,
            witnesses: None,
        }
    }

    fn asks_nothing(&self) -> bool {
        self.approvals.is_none() && self.max_staleness.is_none() && self.witnesses.is_none()
    }

    pub(super) fn decode(field: Field) -> Result<Self, JsonError> {
        let empty = field.invalid();
        let mut members = field.members()?;
        let most = |limit: usize| u64::try_from(limit).unwrap_or(1);
        let mut number = |name: &'static str, limit: usize| {
            let field = members.take_optional(name);
            field.map(|field| small(&field, most(limit))).transpose()
        };
        let approvals = number("approvals", SIGNATURES_MAX / 2)?;
        let witnesses = number("witnesses", COSIGNERS_MAX)?;
        let rule = Self {
            environments: members.take("environments")?.parsed()?,
            approvals,
            max_staleness: members
                .take_optional("maxStaleness")
                .map(|field| field.number(1..=SECONDS_MAX))
                .transpose()?,
            witnesses,
        };
        members.finish()?;
        (!rule.asks_nothing()).then_some(rule).ok_or(empty)
    }

    pub(super) fn encode(&self) -> Value<'static> {
        let numbers = [
            ("approvals", self.approvals.map(count)),
            ("maxStaleness", self.max_staleness.map(Value::number)),
            ("witnesses", self.witnesses.map(count)),
        ];
        let mut members = vec![("environments", Value::text(&self.environments))];
        let numbers = numbers.into_iter();
        members.extend(numbers.filter_map(|(name, number)| Some((name, number?))));
        Value::object(members)
    }
}

/// One sentence for a person.
impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = |number: usize, one: &str, more: &str| match number {
            1 => format!("1 {one}"),
            _ => format!("{number} {more}"),
        };
        let parts = [
            self.approvals
                .map(|number| format!("{} must sign", many(number, "deployer", "deployers"))),
            self.max_staleness
                .map(|seconds| format!("a proof is stale after {seconds} s")),
            self.witnesses.map(|number| {
                format!(
                    "{} must have cosigned",
                    many(number, "witness", "witnesses")
                )
            }),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        write!(out, "in {}: {}", self.environments, parts.join(", "))
    }
}
