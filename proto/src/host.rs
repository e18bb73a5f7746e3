//! Host records: whose key a host's is, and where it belongs. SPEC.md section 4.2.

use crate::{
    hash::KeyId,
    json::{Field, JsonError, Value, parse_canonical},
    key::PublicKey,
    limits::HOST_BYTES_MAX,
    name::{Environment, Label},
    policy::{decode_key, encode_key},
    reason::Reason,
};

const SCHEMA: &str = "cairn.host/v1";

/// What is enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostRecord {
    /// Where it belongs.
    pub environment: Environment,
    /// Signs what it attests.
    pub key: PublicKey,
    /// What people call it.
    pub name: Label,
}

impl HostRecord {
    /// What the ledger knows it by.
    pub fn id(&self) -> KeyId {
        self.key.id()
    }

    /// Reads canonical bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, JsonError> {
        if bytes.len() > HOST_BYTES_MAX {
            return Err(JsonError::new(Reason::DocumentTooLarge, ""));
        }
        let mut members = Field::root(parse_canonical(bytes)?).members()?;
        members.schema(SCHEMA)?;
        let record = Self {
            environment: members.take("environment")?.parsed()?,
            key: decode_key(&members.take("key")?)?,
            name: members.take("name")?.parsed()?,
        };
        members.finish()?;
        Ok(record)
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        Value::object([
            ("environment", Value::text(&self.environment)),
            ("key", encode_key(&self.key)),
            ("name", Value::text(&self.name)),
            ("schema", Value::text(SCHEMA)),
        ])
        .encode()
    }
}
