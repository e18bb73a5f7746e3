//! In-toto statements: what an envelope's signers say. SPEC.md section 3.

mod approval;
mod enrolment;
mod order;
mod release;

pub use approval::Approval;
pub use enrolment::{Enrolment, Standing};
pub use order::{Order, OrderKind};
pub use release::{Action, Release, Source, is_annotation_name};

use crate::{
    hash::{DocumentId, LeafHash, Sha256, Version},
    json::{Field, JsonError, Members, Value, parse_canonical},
    limits::{JSON_INTEGER_MAX, NOTE_BYTES_MAX},
    name::Origin,
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

/// What a statement says, by kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Predicate {
    /// The ledger begins.
    Genesis(Box<Genesis>),
    /// The policy changes.
    Policy(PolicyChange),
    /// An environment changes.
    Release(Box<Release>),
    /// A release that stands gets other signers.
    Approval(Box<Approval>),
    /// A host comes or goes. Its document is the host record.
    Enrolment(Box<Enrolment>),
    /// Admins order what no policy says. Its document is the order.
    Order(Order),
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
        let known = kind.text(0..=usize::MAX)?;
        let schema = match known {
            GENESIS => GENESIS_SCHEMA,
            POLICY => POLICY_SCHEMA,
            RELEASE => RELEASE_SCHEMA,
            APPROVAL => APPROVAL_SCHEMA,
            ENROLMENT => ENROLMENT_SCHEMA,
            other if order_kind(other).is_some() => ORDER_SCHEMA,
            _ => return Err(kind.error(Reason::NeedsNewerCairn)),
        };
        // Before anything else is looked at: what is newer is not wrong.
        let mut predicate = members.take("predicate")?.members()?;
        predicate.schema(schema)?;
        let statement_type = members.take("_type")?;
        if statement_type.text(1..=128)? != TYPE {
            return Err(statement_type.invalid());
        }
        let subjects = members.take("subject")?;
        members.finish()?;
        let predicate = match known {
            GENESIS => decode_genesis(predicate)?,
            POLICY => decode_policy(predicate)?,
            APPROVAL => approval::decode_approval(predicate)?,
            ENROLMENT => enrolment::decode_enrolment(predicate)?,
            other => match order_kind(other) {
                Some(kind) => order::decode_order(kind, predicate)?,
                None => release::decode_release(predicate)?,
            },
        };
        let subject = decode_subject(subjects, subject_name(&predicate))?;
        Ok(Self { subject, predicate })
    }

    /// The canonical bytes to sign.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, predicate) = match &self.predicate {
            Predicate::Genesis(genesis) => (GENESIS, encode_genesis(genesis)),
            Predicate::Policy(change) => (POLICY, encode_policy(change)),
            Predicate::Release(release) => (RELEASE, release::encode_release(release)),
            Predicate::Approval(it) => (APPROVAL, approval::encode_approval(it)),
            Predicate::Enrolment(it) => (ENROLMENT, enrolment::encode_enrolment(it)),
            Predicate::Order(it) => (it.kind.predicate_type(), order::encode_order(it)),
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
const APPROVAL: &str = "urn:cairn:approval:v1";
const ENROLMENT: &str = "urn:cairn:enrolment:v1";
const GENESIS_SCHEMA: &str = "cairn.genesis/v1";
const POLICY_SCHEMA: &str = "cairn.policy-change/v1";
const RELEASE_SCHEMA: &str = "cairn.release/v1";
const APPROVAL_SCHEMA: &str = "cairn.approval/v1";
const ENROLMENT_SCHEMA: &str = "cairn.enrolment/v1";
const ORDER_SCHEMA: &str = "cairn.order/v1";

fn order_kind(predicate_type: &str) -> Option<OrderKind> {
    [
        OrderKind::Redaction,
        OrderKind::BreakGlass,
        OrderKind::KeySuccession,
    ]
    .into_iter()
    .find(|kind| kind.predicate_type() == predicate_type)
}

fn subject_name(predicate: &Predicate) -> &str {
    match predicate {
        Predicate::Genesis(_) | Predicate::Policy(_) => "policy",
        Predicate::Release(release) => release.environment.as_str(),
        Predicate::Approval(approval) => approval.environment.as_str(),
        Predicate::Enrolment(_) => "host",
        Predicate::Order(_) => "order",
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
    let subject = Subject {
        blake3: DocumentId(digest.take("blake3")?.hex32()?),
        sha256: Sha256(digest.take("sha256")?.hex32()?),
    };
    digest.finish()?;
    Ok(subject)
}

fn decode_genesis(mut members: Members) -> Result<Predicate, JsonError> {
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

fn encode_genesis(genesis: &Genesis) -> Value<'static> {
    let mut members = vec![
        ("clockKey", Value::text(&genesis.clock_key)),
        ("logKey", Value::text(&genesis.log_key)),
        ("nonce", Value::text(hex::encode(genesis.nonce))),
        ("origin", Value::text(&genesis.origin)),
        ("schema", Value::text(GENESIS_SCHEMA)),
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
    let change = PolicyChange {
        ledger: LeafHash(members.take("ledger")?.hex32()?),
        previous: LeafHash(members.take("previous")?.hex32()?),
        version: Version(members.take("version")?.number(1..=NUMBER_MAX)?),
    };
    members.finish()?;
    Ok(Predicate::Policy(change))
}

fn encode_policy(change: &PolicyChange) -> Value<'static> {
    Value::object([
        ("ledger", Value::text(change.ledger)),
        ("previous", Value::text(change.previous)),
        ("schema", Value::text(POLICY_SCHEMA)),
        ("version", Value::number(change.version.0)),
    ])
}
