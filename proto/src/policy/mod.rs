//! Policy documents: who may do what. SPEC.md section 4.
//!
//! Out of scope: which policy is in force (`rules`). Invariants: a [`Policy`] is well formed, names
//! no key that it revokes, and leaves no rule that nobody could satisfy.

mod deployer;
mod revocation;
mod rule;

pub use deployer::{Deployer, Right};
pub use revocation::Revocation;
pub use rule::{Rule, Terms};

use crate::{
    hash::{KeyId, Version},
    json::{Field, JsonError, Value, ascending, parse_canonical},
    key::PublicKey,
    limits::{ADMINS_MAX, DEPLOYERS_MAX, JSON_INTEGER_MAX, POLICY_BYTES_MAX, POLICY_RULES_MAX},
    name::{Environment, Label},
    reason::Reason,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

const SCHEMA: &str = "cairn.policy/v1";

/// A key with a person's name for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedKey {
    /// The name.
    pub name: Label,
    /// The key.
    pub key: PublicKey,
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// From 1.
    pub version: Version,
    /// Who may change the policy, ascending by name.
    pub admins: Vec<NamedKey>,
    /// How many of them it takes.
    pub threshold: usize,
    /// Who may release, ascending by name.
    pub deployers: Vec<Deployer>,
    /// Keys that count for nothing any more, ascending by key.
    pub revoked: Vec<Revocation>,
    /// What holds where, ascending by pattern.
    pub rules: Vec<Rule>,
}

impl Policy {
    /// Reads canonical bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, JsonError> {
        if bytes.len() > POLICY_BYTES_MAX {
            return Err(JsonError::new(Reason::DocumentTooLarge, ""));
        }
        let mut members = Field::root(parse_canonical(bytes)?).members()?;
        members.schema(SCHEMA)?;
        let mut admins = members.take("admins")?.members()?;
        let keys = list(admins.take("keys")?, 1..=ADMINS_MAX, decode_admin)?;
        let most = u64::try_from(keys.len()).unwrap_or(1);
        let threshold = small(&admins.take("threshold")?, most)?;
        admins.finish()?;
        let policy = Self {
            version: Version(
                members
                    .take("version")?
                    .number(1..=JSON_INTEGER_MAX.unsigned_abs())?,
            ),
            admins: keys,
            threshold,
            deployers: list(
                members.take("deployers")?,
                0..=DEPLOYERS_MAX,
                deployer::decode,
            )?,
            revoked: revocation::decode_list(members.take_optional("revoked"))?,
            rules: list(members.take("rules")?, 0..=POLICY_RULES_MAX, Rule::decode)?,
        };
        members.finish()?;
        policy.check_order()?;
        policy.check_revoked()?;
        policy.check_lockout()?;
        Ok(policy)
    }

    fn check_order(&self) -> Result<(), JsonError> {
        let admins: Vec<_> = self.admins.iter().map(|admin| &admin.name).collect();
        ascending(&admins, "admins.keys")?;
        distinct(self.admins.iter().map(|admin| admin.key), "admins.keys")?;
        let deployers: Vec<_> = self
            .deployers
            .iter()
            .map(|deployer| &deployer.name)
            .collect();
        ascending(&deployers, "deployers")?;
        distinct(
            self.deployers.iter().map(|deployer| deployer.key),
            "deployers",
        )?;
        let rules: Vec<_> = self.rules.iter().map(|rule| &rule.environments).collect();
        ascending(&rules, "rules")
    }

    /// What is revoked is named nowhere else.
    fn check_revoked(&self) -> Result<(), JsonError> {
        let admins = self.admins.iter().map(|admin| &admin.key);
        let deployers = self.deployers.iter().map(|deployer| &deployer.key);
        let named = admins.chain(deployers);
        match named.into_iter().find(|key| self.revocation(key).is_some()) {
            None => Ok(()),
            Some(key) => Err(JsonError::new(
                Reason::KeyRevoked,
                format!("revoked: {}", key.id()),
            )),
        }
    }

    /// Where anybody may release, enough may that the rules can be satisfied. Who was revoked
    /// counts: in an emergency a key must go before there is another.
    fn check_lockout(&self) -> Result<(), JsonError> {
        let locked = self.rules.iter().find(|rule| {
            let able = self.deployers.iter().filter(|deployer| {
                let mut patterns = deployer.environments.iter();
                deployer.actions.contains(&Right::Release)
                    && patterns.any(|pattern| pattern.overlaps(&rule.environments))
            });
            let able = able.count();
            let enough = |needed| able == 0 || able.saturating_add(self.revoked.len()) >= needed;
            !rule.approvals.is_none_or(enough)
        });
        match locked {
            None => Ok(()),
            Some(rule) => Err(JsonError::new(
                Reason::PolicyLockout,
                format!("rules: {}", rule.environments),
            )),
        }
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let admins = Value::object([
            (
                "keys",
                Value::Array(self.admins.iter().map(encode_admin).collect()),
            ),
            ("threshold", count(self.threshold)),
        ]);
        let mut members = vec![
            ("admins", admins),
            (
                "deployers",
                Value::Array(self.deployers.iter().map(deployer::encode).collect()),
            ),
            (
                "rules",
                Value::Array(self.rules.iter().map(Rule::encode).collect()),
            ),
            ("schema", Value::text(SCHEMA)),
            ("version", Value::number(self.version.0)),
        ];
        if !self.revoked.is_empty() {
            members.push(("revoked", revocation::encode_list(&self.revoked)));
        }
        Value::object(members).encode()
    }

    /// Whether, and since when, a key counts for nothing.
    pub fn revocation(&self, key: &PublicKey) -> Option<&Revocation> {
        let found = self.revoked.binary_search_by(|other| other.key.cmp(key));
        self.revoked.get(found.ok()?)
    }

    /// The admin with a keyid.
    pub fn admin(&self, keyid: &KeyId) -> Option<&NamedKey> {
        self.admins.iter().find(|admin| admin.key.id() == *keyid)
    }

    /// The deployer with a keyid.
    pub fn deployer(&self, keyid: &KeyId) -> Option<&Deployer> {
        self.deployers
            .iter()
            .find(|deployer| deployer.key.id() == *keyid)
    }

    /// Distinct deployers that must sign for the environment: the strictest rule's number.
    pub fn approvals(&self, environment: &Environment) -> usize {
        self.matching(environment)
            .filter_map(|rule| rule.approvals)
            .max()
            .unwrap_or(1)
    }

    /// What it asks of a proof for the environment: the strictest of all rules.
    pub fn terms(&self, environment: &Environment) -> Terms {
        let rules = || self.matching(environment);
        Terms {
            policy_version: self.version.0,
            max_staleness: rules().filter_map(|rule| rule.max_staleness).min(),
            witnesses: rules().filter_map(|rule| rule.witnesses).max(),
            eased_by: None,
        }
    }

    fn matching<'a>(&'a self, environment: &'a Environment) -> impl Iterator<Item = &'a Rule> {
        self.rules
            .iter()
            .filter(|rule| rule.environments.matches(environment))
    }
}

fn list<T>(
    field: Field,
    bounds: std::ops::RangeInclusive<usize>,
    decode: fn(Field) -> Result<T, JsonError>,
) -> Result<Vec<T>, JsonError> {
    field.array(bounds)?.into_iter().map(decode).collect()
}

fn small(field: &Field, most: u64) -> Result<usize, JsonError> {
    usize::try_from(field.number(1..=most)?).map_err(|_| field.invalid())
}

fn count(number: usize) -> Value<'static> {
    Value::number(u64::try_from(number).unwrap_or(u64::MAX))
}

fn distinct(keys: impl Iterator<Item = PublicKey>, path: &str) -> Result<(), JsonError> {
    let mut keys: Vec<_> = keys.collect();
    keys.sort_unstable();
    ascending(&keys, path)
}

pub(crate) fn decode_key(field: &Field) -> Result<PublicKey, JsonError> {
    let bytes = field.base64()?;
    let bytes = <&[u8; 32]>::try_from(bytes.as_slice()).map_err(|_| field.invalid())?;
    PublicKey::parse(bytes).map_err(|_| field.error(Reason::KeyWeak))
}

pub(crate) fn encode_key(key: &PublicKey) -> Value<'static> {
    Value::Text(STANDARD.encode(key.as_bytes()).into())
}

fn decode_admin(field: Field) -> Result<NamedKey, JsonError> {
    let mut members = field.members()?;
    let admin = NamedKey {
        name: members.take("name")?.parsed()?,
        key: decode_key(&members.take("key")?)?,
    };
    members.finish()?;
    Ok(admin)
}

fn encode_admin(admin: &NamedKey) -> Value<'static> {
    Value::object([
        ("key", encode_key(&admin.key)),
        ("name", Value::text(&admin.name)),
    ])
}
