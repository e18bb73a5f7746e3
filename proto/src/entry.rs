//! Leaves of the log: envelopes and map records, told apart and decoded. SPEC.md
//! sections 3, 5 and 8.5.
//!
//! A [`Submission`] is an envelope whose statement and document decode and belong together;
//! who signed it is not yet known.

use thiserror::Error;

use crate::{
    envelope::{Envelope, EnvelopeError},
    hash::{LeafHash, MapRoot},
    host::HostRecord,
    json::{Field, JsonError, Value, parse_canonical},
    limits::{ENTRY_BYTES_MAX, JSON_INTEGER_MAX},
    manifest::{Manifest, ManifestError},
    order::OrderDocument,
    policy::Policy,
    reason::Reason,
    statement::{
        Approval, Enrolment, Genesis, Order, PolicyChange, Predicate, Release, Statement, Subject,
    },
};

const NUMBER_MAX: u64 = JSON_INTEGER_MAX.unsigned_abs();

/// Why bytes are not an entry with its document.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EntryError {
    /// Neither an envelope nor a map record.
    #[error("neither an envelope nor a map record")]
    UnknownShape,
    /// Not a canonical envelope.
    #[error("envelope: {0}")]
    Envelope(#[from] EnvelopeError),
    /// Not a statement that Cairn knows.
    #[error("statement: {0}")]
    Statement(JsonError),
    /// Not a map record.
    #[error("map record: {0}")]
    MapRecord(JsonError),
    /// Not the document that the statement's kind asks for.
    #[error("manifest: {0}")]
    Manifest(#[from] ManifestError),
    /// Not the document that the statement's kind asks for.
    #[error("policy: {0}")]
    Policy(JsonError),
    /// Not the document that the statement's kind asks for.
    #[error("order: {0}")]
    Order(JsonError),
    /// Not the document that the statement's kind asks for.
    #[error("host record: {0}")]
    Host(JsonError),
    /// The document is not the one that the subject names.
    #[error("the document does not hash to the subject's digests")]
    DocumentMismatch,
}

impl EntryError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::UnknownShape => Reason::EntryUnknownShape,
            Self::Envelope(error) => error.reason(),
            Self::Statement(error)
            | Self::MapRecord(error)
            | Self::Policy(error)
            | Self::Order(error)
            | Self::Host(error) => error.reason,
            Self::Manifest(error) => error.reason(),
            Self::DocumentMismatch => Reason::DocumentMismatch,
        }
    }
}

/// A leaf, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaf {
    /// Signed by people.
    Entry(Box<Entry>),
    /// Written by the server.
    MapRecord(MapRecord),
}

impl Leaf {
    /// Decodes a leaf's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(EnvelopeError::TooLarge { bytes: bytes.len() }.into());
        }
        if bytes.starts_with(b"{\"cairn\":") {
            return MapRecord::decode(bytes).map(Self::MapRecord);
        }
        if bytes.starts_with(b"{\"payload\":") {
            return Entry::decode(bytes).map(|entry| Self::Entry(Box::new(entry)));
        }
        Err(EntryError::UnknownShape)
    }
}

/// An envelope and the statement in it; nothing is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    envelope: Envelope,
    statement: Statement,
    leaf: LeafHash,
}

impl Entry {
    fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let envelope = Envelope::parse(bytes)?;
        let statement = Statement::parse(envelope.payload()).map_err(EntryError::Statement)?;
        Ok(Self {
            envelope,
            statement,
            leaf: LeafHash::of(bytes),
        })
    }

    /// The envelope.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The statement.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Leaf hash of its bytes.
    pub fn leaf(&self) -> &LeafHash {
        &self.leaf
    }

    /// Joins the document that the subject names.
    pub fn with_document(self, document: &[u8]) -> Result<Submission, EntryError> {
        // Decoded before compared: the reason for a bad document is the document's own.
        let content = match self.statement.predicate {
            Predicate::Genesis(genesis) => Content::Genesis(
                genesis,
                Policy::decode(document).map_err(EntryError::Policy)?,
            ),
            Predicate::Policy(change) => Content::Policy(
                change,
                Policy::decode(document).map_err(EntryError::Policy)?,
            ),
            Predicate::Release(release) => Content::Release(release, Manifest::decode(document)?),
            Predicate::Approval(approval) => {
                Content::Approval(approval, Manifest::decode(document)?)
            }
            Predicate::Enrolment(enrolment) => {
                let record = HostRecord::decode(document).map_err(EntryError::Host)?;
                Content::Enrolment(enrolment, record)
            }
            Predicate::Order(order) => {
                let document = OrderDocument::decode(order.kind, document);
                Content::Order(order, document.map_err(EntryError::Order)?)
            }
        };
        if Subject::of(document) != self.statement.subject {
            return Err(EntryError::DocumentMismatch);
        }
        Ok(Submission {
            envelope: self.envelope,
            leaf: self.leaf,
            subject: self.statement.subject,
            content,
        })
    }
}

/// What a submission says, with the document that it says it of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The ledger begins under its first policy.
    Genesis(Box<Genesis>, Policy),
    /// The policy changes.
    Policy(PolicyChange, Policy),
    /// An environment changes.
    Release(Box<Release>, Manifest),
    /// A release that stands gets other signers.
    Approval(Box<Approval>, Manifest),
    /// A host comes or goes.
    Enrolment(Box<Enrolment>, HostRecord),
    /// Admins order something.
    Order(Order, OrderDocument),
}

/// An entry together with its document; who signed it is not yet known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    envelope: Envelope,
    leaf: LeafHash,
    subject: Subject,
    content: Content,
}

impl Submission {
    /// Decodes an envelope's bytes and its document.
    pub fn decode(entry: &[u8], document: &[u8]) -> Result<Self, EntryError> {
        match Leaf::decode(entry)? {
            Leaf::Entry(entry) => entry.with_document(document),
            Leaf::MapRecord(_) => Err(EntryError::UnknownShape),
        }
    }

    /// The envelope.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Leaf hash of the entry.
    pub fn leaf(&self) -> &LeafHash {
        &self.leaf
    }

    /// The document's digests.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// What it says.
    pub fn content(&self) -> &Content {
        &self.content
    }
}

/// The last leaf under every checkpoint: what the leaves before it add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MapRecord {
    /// Number of leaves that it covers: its own index.
    pub covers: u64,
    /// Root of the map.
    pub root: MapRoot,
    /// Rows of the map.
    pub rows: u64,
    /// Unix milliseconds; never decreases.
    pub time: u64,
}

impl MapRecord {
    /// Decodes a leaf's bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        let decode = || {
            let mut members = Field::root(parse_canonical(bytes)?).members()?;
            let version = members.take("cairn")?;
            if version.text(0..=usize::MAX)? != "map/v1" {
                return Err(version.error(Reason::NeedsNewerCairn));
            }
            let record = Self {
                covers: members.take("covers")?.number(0..=NUMBER_MAX)?,
                root: MapRoot(members.take("root")?.hex32()?),
                rows: members.take("rows")?.number(0..=NUMBER_MAX)?,
                time: members.take("time")?.number(0..=NUMBER_MAX)?,
            };
            members.finish()?;
            Ok(record)
        };
        decode().map_err(EntryError::MapRecord)
    }

    /// The leaf's bytes.
    pub fn encode(&self) -> Vec<u8> {
        Value::object([
            ("cairn", Value::text("map/v1")),
            ("covers", Value::number(self.covers)),
            ("root", Value::text(self.root)),
            ("rows", Value::number(self.rows)),
            ("time", Value::number(self.time)),
        ])
        .encode()
    }
}
