//! Who may do what to environments. SPEC.md section 4.

use super::{decode_key, encode_key, list};
use crate::{
    json::{Field, JsonError, Value, ascending},
    key::PublicKey,
    limits::PATTERNS_MAX,
    name::{Environment, Label, Pattern},
    statement::Action,
};

/// What a deployer may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Enrol hosts, and dismiss them.
    Enrol,
    /// Record a release, and approve one that stands.
    Release,
    /// Retire an environment.
    Retire,
    /// Go back to an older release.
    Rollback,
}

impl Right {
    /// Every right, in the order of a policy.
    pub const ALL: [Self; 4] = [Self::Enrol, Self::Release, Self::Retire, Self::Rollback];

    /// The text in a policy; its order is the enum's.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enrol => "enrol",
            Self::Release => Action::Release.as_str(),
            Self::Retire => Action::Retire.as_str(),
            Self::Rollback => Action::Rollback.as_str(),
        }
    }

    fn decode(field: &Field) -> Result<Self, JsonError> {
        let text = field.text(1..=16)?;
        let known = Self::ALL.into_iter().find(|right| right.as_str() == text);
        known.ok_or_else(|| field.invalid())
    }
}

impl From<Action> for Right {
    fn from(action: Action) -> Self {
        match action {
            Action::Release => Self::Release,
            Action::Retire => Self::Retire,
            Action::Rollback => Self::Rollback,
        }
    }
}

/// A key with rights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployer {
    /// The name.
    pub name: Label,
    /// The key.
    pub key: PublicKey,
    /// What it may do, ascending.
    pub actions: Vec<Right>,
    /// Where, ascending.
    pub environments: Vec<Pattern>,
}

impl Deployer {
    /// Whether this deployer may do this there.
    pub fn may(&self, right: Right, environment: &Environment) -> bool {
        self.actions.contains(&right)
            && self
                .environments
                .iter()
                .any(|pattern| pattern.matches(environment))
    }
}

pub(super) fn decode(field: Field) -> Result<Deployer, JsonError> {
    let mut members = field.members()?;
    let actions = members.take("actions")?;
    let wrong_actions = actions.invalid();
    let environments = members.take("environments")?;
    let wrong_environments = environments.invalid();
    let deployer = Deployer {
        name: members.take("name")?.parsed()?,
        key: decode_key(&members.take("key")?)?,
        actions: list(actions, 1..=Right::ALL.len(), |field| Right::decode(&field))?,
        environments: list(environments, 1..=PATTERNS_MAX, |field| field.parsed())?,
    };
    members.finish()?;
    ascending(&deployer.actions, "").map_err(|_| wrong_actions)?;
    ascending(&deployer.environments, "").map_err(|_| wrong_environments)?;
    Ok(deployer)
}

pub(super) fn encode(deployer: &Deployer) -> Value<'static> {
    let actions = deployer.actions.iter();
    let actions = actions.map(|right| Value::text(right.as_str()));
    Value::object([
        ("actions", Value::Array(actions.collect())),
        (
            "environments",
            Value::Array(deployer.environments.iter().map(Value::text).collect()),
        ),
        ("key", encode_key(&deployer.key)),
        ("name", Value::text(&deployer.name)),
    ])
}
