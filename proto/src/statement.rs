//! In-toto statements: what an envelope's signers say. SPEC.md section 3.

use std::collections::BTreeMap;

use crate::{
    hash::{DocumentId, LeafHash, Sequence, Sha256, Version},
    json::{Field, JsonError, Members, Value, parse_canonical},
    limits::{JSON_INTEGER_MAX, NOTE_BYTES_MAX, TEXT_BYTES_MAX},
    name::{Environment, Origin, TimeText},
    note::VerifierKey,
    reason::Reason,
};

const TYPE: &str = "https://in-toto.io/Statement/v1";
const NUMBER_MAX: u64 = JSON_INTEGER_MAX.unsigned_abs();

/// Both digests of the document that an entry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subject {
    /// BLAKE3 of the document.
    pub blake3: DocumentId,
    /// SHA-256 of the document.
    pub sha256: Sha256,
}

impl Subject {
    /// The subject that names these bytes.
    pub fn of(document: &[u8]) -> Self {
        Self {
            blake3: DocumentId::of(document),
            sha256: Sha256::of(document),
        }
    }
}

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

/// The ledger's first statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Genesis {
    /// The ledger's name.
    pub origin: Origin,
    /// Signs checkpoints.
    pub log_key: VerifierKey,
    /// Bounds their age.
    pub clock_key: VerifierKey,
    /// 16 random bytes: two ledgers with the same keys differ.
    pub nonce: [u8; 16],
    /// The ledger that was lost, if this one continues it.
    pub predecessor: Option<Predecessor>,
}

/// A lost ledger that this one continues.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Predecessor {
    /// Its name.
    pub origin: Origin,
    /// Its last known note.
    pub checkpoint: String,
}

/// A new version of the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyChange {
    /// Leaf hash of the genesis entry.
    pub ledger: LeafHash,
    /// Leaf hash of the genesis or policy entry before.
    pub previous: LeafHash,
    /// The new version.
    pub version: Version,
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

/// What a statement says, by kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    /// The ledger begins.
    Genesis(Box<Genesis>),
    /// The policy changes.
    Policy(PolicyChange),
    /// An environment changes.
    Release(Box<Release>),
}

/// A subject and what is said of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The document it names.
    pub subject: Subject,
    /// What it says.
    pub predicate: Predicate,
}

impl Statement {
    /// Parses a payload's canonical bytes.
    pub fn parse(payload: &[u8]) -> Result<Self, JsonError> {
        let mut members = Field::root(parse_canonical(payload)?).members()?;
        let kind = members.take("predicateType")?;
        let known = kind.text(1..=128)?;
        if !matches!(known, GENESIS | POLICY | RELEASE) {
            return Err(kind.error(Reason::NeedsNewerCairn));
        }
        let statement_type = members.take("_type")?;
        if statement_type.text(1..=128)? != TYPE {
            return Err(statement_type.invalid());
        }
        let predicate = members.take("predicate")?.members()?;
        let subjects = members.take("subject")?;
        members.finish()?;
        let predicate = match known {
            GENESIS => decode_genesis(predicate)?,
            POLICY => decode_policy(predicate)?,
            _ => decode_release(predicate)?,
        };
        let subject = decode_subject(subjects, subject_name(&predicate))?;
        Ok(Self { subject, predicate })
    }

    /// The canonical bytes to sign.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, predicate) = match &self.predicate {
            Predicate::Genesis(genesis) => (GENESIS, encode_genesis(genesis)),
            Predicate::Policy(change) => (POLICY, encode_policy(change)),
            Predicate::Release(release) => (RELEASE, encode_release(release)),
        };
        let digest = Value::object([
            ("blake3", Value::text(self.subject.blake3)),
            ("sha256", Value::text(self.subject.sha256)),
        ]);
        let subject = Value::object([
            ("digest", digest),
            ("name", Value::text(subject_name(&self.predicate))),
        ]);
        Value::object([
            ("_type", Value::text(TYPE)),
            ("predicate", predicate),
            ("predicateType", Value::text(kind)),
            ("subject", Value::Array(vec![subject])),
        ])
        .encode()
    }
}

const GENESIS: &str = "urn:cairn:genesis:v1";
const POLICY: &str = "urn:cairn:policy:v1";
const RELEASE: &str = "urn:cairn:release:v1";

fn subject_name(predicate: &Predicate) -> &str {
    match predicate {
        Predicate::Genesis(_) | Predicate::Policy(_) => "policy",
        Predicate::Release(release) => release.environment.as_str(),
    }
}

fn decode_subject(subjects: Field, name: &str) -> Result<Subject, JsonError> {
    let wrong = subjects.error(Reason::StatementSubject);
    let mut subjects = subjects.array(0..=usize::MAX)?;
    let (Some(subject), true) = (subjects.pop(), subjects.is_empty()) else {
        return Err(wrong);
    };
    let mut members = subject.members()?;
    if members.take("name")?.text(0..=usize::MAX)? != name {
        return Err(wrong);
    }
    let mut digest = members.take("digest")?.members()?;
    members.finish()?;
    let (Some(blake3), Some(sha256)) = (
        digest.take_optional("blake3"),
        digest.take_optional("sha256"),
    ) else {
        return Err(wrong);
    };
    digest.finish()?;
    Ok(Subject {
        blake3: DocumentId(blake3.hex32()?),
        sha256: Sha256(sha256.hex32()?),
    })
}

fn decode_genesis(mut members: Members) -> Result<Predicate, JsonError> {
    members.schema("cairn.genesis/v1")?;
    let nonce_field = members.take("nonce")?;
    let text = nonce_field.text(32..=32)?;
    let mut nonce = [0; 16];
    let upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
    if upper || hex::decode_to_slice(text, &mut nonce).is_err() {
        return Err(nonce_field.invalid());
    }
    let genesis = Genesis {
        origin: members.take("origin")?.parsed()?,
        log_key: members.take("logKey")?.parsed()?,
        clock_key: members.take("clockKey")?.parsed()?,
        nonce,
        predecessor: members
            .take_optional("predecessor")
            .map(decode_predecessor)
            .transpose()?,
    };
    members.finish()?;
    Ok(Predicate::Genesis(Box::new(genesis)))
}

fn decode_predecessor(field: Field) -> Result<Predecessor, JsonError> {
    let mut members = field.members()?;
    let predecessor = Predecessor {
        origin: members.take("origin")?.parsed()?,
        checkpoint: members
            .take("checkpoint")?
            .text(1..=NOTE_BYTES_MAX / 2)?
            .to_owned(),
    };
    members.finish()?;
    Ok(predecessor)
}

fn encode_genesis(genesis: &Genesis) -> Value {
    let mut members = vec![
        ("clockKey", Value::text(&genesis.clock_key)),
        ("logKey", Value::text(&genesis.log_key)),
        ("nonce", Value::text(hex::encode(genesis.nonce))),
        ("origin", Value::text(&genesis.origin)),
        ("schema", Value::text("cairn.genesis/v1")),
    ];
    members.extend(genesis.predecessor.as_ref().map(|predecessor| {
        let predecessor = Value::object([
            ("checkpoint", Value::text(&predecessor.checkpoint)),
            ("origin", Value::text(&predecessor.origin)),
        ]);
        ("predecessor", predecessor)
    }));
    Value::object(members)
}

fn decode_policy(mut members: Members) -> Result<Predicate, JsonError> {
    members.schema("cairn.policy-change/v1")?;
    let change = PolicyChange {
        ledger: LeafHash(members.take("ledger")?.hex32()?),
        previous: LeafHash(members.take("previous")?.hex32()?),
        version: Version(members.take("version")?.number(1..=NUMBER_MAX)?),
    };
    members.finish()?;
    Ok(Predicate::Policy(change))
}

fn encode_policy(change: &PolicyChange) -> Value {
    Value::object([
        ("ledger", Value::text(change.ledger)),
        ("previous", Value::text(change.previous)),
        ("schema", Value::text("cairn.policy-change/v1")),
        ("version", Value::number(change.version.0)),
    ])
}

fn decode_release(mut members: Members) -> Result<Predicate, JsonError> {
    members.schema("cairn.release/v1")?;
    let sequence_of = |field: Field| field.number(1..=NUMBER_MAX).map(Sequence);
    let previous = members.take_optional("previous");
    let rollback_to = members.take_optional("rollbackTo");
    let sequence = sequence_of(members.take("sequence")?)?;
    let action = Action::decode(&members.take("action")?)?;
    let absent = |name: &str| {
        let path = format!("predicate.{name}");
        JsonError::new(Reason::JsonInvalidValue, path)
    };
    if previous.is_some() == (sequence.0 == 1) {
        return Err(absent("previous"));
    }
    if rollback_to.is_some() != (action == Action::Rollback) {
        return Err(absent("rollbackTo"));
    }
    let release = Release {
        ledger: LeafHash(members.take("ledger")?.hex32()?),
        environment: members.take("environment")?.parsed()?,
        sequence,
        previous: previous
            .map(|field| field.hex32().map(LeafHash))
            .transpose()?,
        action,
        rollback_to: rollback_to.map(sequence_of).transpose()?,
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

fn encode_release(release: &Release) -> Value {
    let mut members = vec![
        ("action", Value::text(release.action.as_str())),
        ("createdAt", Value::text(&release.created_at)),
        ("environment", Value::text(&release.environment)),
        ("ledger", Value::text(release.ledger)),
        ("schema", Value::text("cairn.release/v1")),
        ("sequence", Value::number(release.sequence.0)),
    ];
    members.extend(release.previous.map(|leaf| ("previous", Value::text(leaf))));
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
        let annotations =
            Value::object(pairs.map(|(name, text)| (name.as_str(), Value::text(text))));
        members.push(("annotations", annotations));
    }
    Value::object(members)
}
