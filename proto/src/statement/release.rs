//! The predicate of a release. SPEC.md section 3.

use std::collections::BTreeMap;

use super::{NUMBER_MAX, Predicate, RELEASE_SCHEMA};
use crate::{
    hash::{LeafHash, Sequence},
    json::{Field, JsonError, Members, Value},
    limits::TEXT_BYTES_MAX,
    name::{Environment, TimeText},
};

/// What a release does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// A new desired state.
    Release,
    /// An older one, again.
    Retire,
    /// None any more; the environment ends here until released again.
    Rollback,
}

impl Action {
    /// The text in a statement or policy; its order is the enum's.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Retire => "retire",
            Self::Rollback => "rollback",
        }
    }

    pub(crate) fn decode(field: &Field) -> Result<Self, JsonError> {
        match field.text(1..=16)? {
            "release" => Ok(Self::Release),
            "retire" => Ok(Self::Retire),
            "rollback" => Ok(Self::Rollback),
            _ => Err(field.invalid()),
        }
    }
}

/// What made a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The tool.
    pub tool: String,
    /// Its version.
    pub version: String,
    /// The pipeline's run.
    pub run: Option<String>,
}

/// A step in an environment's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Leaf hash of the genesis entry.
    pub ledger: LeafHash,
    /// Where.
    pub environment: Environment,
    /// Its place in the chain, from 1.
    pub sequence: Sequence,
    /// Leaf hash of the step before; absent at 1.
    pub previous: Option<LeafHash>,
    /// What it does.
    pub action: Action,
    /// Leaf hash of the break-glass order under which fewer deployers sign it.
    pub break_glass: Option<LeafHash>,
    /// The older sequence that a rollback repeats.
    pub rollback_to: Option<Sequence>,
    /// Why, in the deployer's words.
    pub reason: Option<String>,
    /// What made it.
    pub source: Option<Source>,
    /// By the deployer's clock; informative.
    pub created_at: TimeText,
    /// The deployer's own data.
    pub annotations: BTreeMap<String, String>,
}

pub(super) fn decode_release(mut members: Members) -> Result<Predicate, JsonError> {
    let sequence_of = |field: Field| field.number(1..=NUMBER_MAX).map(Sequence);
    let action = Action::decode(&members.take("action")?)?;
    let rollback_to = match action {
        Action::Rollback => Some(sequence_of(members.take("rollbackTo")?)?),
        Action::Release | Action::Retire => match members.take_optional("rollbackTo") {
            Some(field) => return Err(field.invalid()),
            None => None,
        },
    };
    let release = Release {
        ledger: LeafHash(members.take("ledger")?.hex32()?),
        environment: members.take("environment")?.parsed()?,
        sequence: sequence_of(members.take("sequence")?)?,
        // Whether it belongs there is a rule (section 7.6), not a matter of form.
        previous: members
            .take_optional("previous")
            .map(|field| field.hex32().map(LeafHash))
            .transpose()?,
        action,
        break_glass: members
            .take_optional("breakGlass")
            .map(|field| field.hex32().map(LeafHash))
            .transpose()?,
        rollback_to,
        reason: members
            .take_optional("reason")
            .map(|field| field.text(1..=TEXT_BYTES_MAX).map(ToOwned::to_owned))
            .transpose()?,
        source: members
            .take_optional("source")
            .map(decode_source)
            .transpose()?,
        created_at: members.take("createdAt")?.parsed()?,
        annotations: decode_annotations(members.take_optional("annotations"))?,
    };
    members.finish()?;
    Ok(Predicate::Release(Box::new(release)))
}

fn decode_source(field: Field) -> Result<Source, JsonError> {
    let mut members = field.members()?;
    let text = |field: Field| field.text(1..=256).map(ToOwned::to_owned);
    let source = Source {
        tool: text(members.take("tool")?)?,
        version: text(members.take("version")?)?,
        run: members.take_optional("run").map(text).transpose()?,
    };
    members.finish()?;
    Ok(source)
}

fn decode_annotations(field: Option<Field>) -> Result<BTreeMap<String, String>, JsonError> {
    let Some(field) = field else {
        return Ok(BTreeMap::new());
    };
    let empty = field.invalid();
    let mut annotations = BTreeMap::new();
    for (name, value) in field.members()?.rest() {
        if !is_annotation_name(&name) {
            return Err(value.invalid());
        }
        let text = value.text(0..=TEXT_BYTES_MAX)?.to_owned();
        annotations.insert(name, text);
    }
    if (1..=32).contains(&annotations.len()) {
        Ok(annotations)
    } else {
        Err(empty)
    }
}

/// `[a-z0-9][a-z0-9._/-]{0,126}`
pub fn is_annotation_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 127
        && name.bytes().next().is_some_and(plain)
        && name
            .bytes()
            .all(|byte| plain(byte) || matches!(byte, b'.' | b'_' | b'/' | b'-'))
}

pub(super) fn encode_release(release: &Release) -> Value<'static> {
    let mut members = vec![
        ("action", Value::text(release.action.as_str())),
        ("createdAt", Value::text(&release.created_at)),
        ("environment", Value::text(&release.environment)),
        ("ledger", Value::text(release.ledger)),
        ("schema", Value::text(RELEASE_SCHEMA)),
        ("sequence", Value::number(release.sequence.0)),
    ];
    members.extend(release.previous.map(|leaf| ("previous", Value::text(leaf))));
    let glass = release.break_glass;
    members.extend(glass.map(|leaf| ("breakGlass", Value::text(leaf))));
    members.extend(
        release
            .rollback_to
            .map(|to| ("rollbackTo", Value::number(to.0))),
    );
    members.extend(
        release
            .reason
            .as_ref()
            .map(|text| ("reason", Value::text(text))),
    );
    members.extend(release.source.as_ref().map(|source| {
        let mut members = vec![
            ("tool", Value::text(&source.tool)),
            ("version", Value::text(&source.version)),
        ];
        members.extend(source.run.as_ref().map(|run| ("run", Value::text(run))));
        ("source", Value::object(members))
    }));
    if !release.annotations.is_empty() {
        let pairs = release.annotations.iter();
        let pairs = pairs.map(|(name, text)| (name.clone(), Value::text(text)));
        members.push(("annotations", Value::Object(pairs.collect())));
    }
    Value::object(members)
}
