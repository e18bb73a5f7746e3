//! What stands in the ledger for an artifact's bytes: digests, or a tag. SPEC.md section 5.

use crate::{
    hash::{ContentId, Sha256},
    json::{Field, JsonError, Members, Value},
    limits::JSON_INTEGER_MAX,
};

const SIZE_MAX: u64 = JSON_INTEGER_MAX.unsigned_abs();

/// Both digests of an artifact's bytes; where they are compared, both must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digests {
    /// BLAKE3: the address of the content.
    pub blake3: ContentId,
    /// SHA-256: what OCI, in-toto and the kernel speak.
    pub sha256: Sha256,
}

impl Digests {
    /// Digests of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self {
            blake3: ContentId::of(bytes),
            sha256: Sha256::of(bytes),
        }
    }

    /// Whether they, and the number of bytes, are those of an empty string.
    pub(crate) fn are_of_nothing(&self, size: u64) -> bool {
        size == 0 && *self == Self::of(b"")
    }

    pub(crate) fn encode(&self) -> Value<'static> {
        Value::object([
            ("blake3", Value::text(self.blake3)),
            ("sha256", Value::text(self.sha256)),
        ])
    }

    pub(crate) fn decode(field: Field) -> Result<Self, JsonError> {
        let mut members = field.members()?;
        let digests = Self {
            blake3: ContentId(members.take("blake3")?.hex32()?),
            sha256: Sha256(members.take("sha256")?.hex32()?),
        };
        members.finish()?;
        Ok(digests)
    }
}

/// A keyed tag in place of a secret's digest. SPEC.md section 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Withheld {
    /// Which key made the tag.
    pub key_id: [u8; 16],
    /// Keyed BLAKE3 over environment, name, pointer and value.
    pub tag: [u8; 32],
}

impl Withheld {
    /// What a text begins with that stands in an object for a withheld value.
    pub const IN_OBJECT: &'static str = "cairn:withheld:";

    /// The text that stands in an object in the value's place. SPEC.md section 5.
    pub fn in_object(&self) -> String {
        let (key, tag) = (hex::encode(self.key_id), hex::encode(self.tag));
        format!("{}{key}:{tag}", Self::IN_OBJECT)
    }

    pub(crate) fn encode(&self) -> Value<'static> {
        Value::object([
            ("keyId", Value::text(hex::encode(self.key_id))),
            ("tag", Value::text(hex::encode(self.tag))),
        ])
    }

    pub(crate) fn decode(field: Field) -> Result<Self, JsonError> {
        let mut members = field.members()?;
        let id = members.take("keyId")?;
        let text = id.text(32..=32)?;
        let mut key_id = [0; 16];
        let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        if !lower || hex::decode_to_slice(text, &mut key_id).is_err() {
            return Err(id.invalid());
        }
        let tag = members.take("tag")?.hex32()?;
        members.finish()?;
        Ok(Self { key_id, tag })
    }
}

/// What stands in the ledger for an artifact's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytes {
    /// They are content of the ledger.
    Stored {
        /// Their digests.
        digests: Digests,
        /// Their number.
        size: u64,
    },
    /// Only their digests are recorded.
    External {
        /// Their digests.
        digests: Digests,
        /// Their number.
        size: u64,
    },
    /// Nothing but a keyed tag is recorded.
    Withheld(Withheld),
}

impl Bytes {
    /// The digests, unless withheld.
    pub fn digests(&self) -> Option<&Digests> {
        match self {
            Self::Stored { digests, .. } | Self::External { digests, .. } => Some(digests),
            Self::Withheld(_) => None,
        }
    }
}

pub(super) fn decode_bytes(members: &mut Members) -> Result<Bytes, JsonError> {
    let storage = members.take("storage")?;
    let storage_text = storage.text(1..=16)?;
    if storage_text == "withheld" {
        return Withheld::decode(members.take("withheld")?).map(Bytes::Withheld);
    }
    let digests = Digests::decode(members.take("digests")?)?;
    let size = members.take("size")?.number(0..=SIZE_MAX)?;
    match storage_text {
        "stored" => Ok(Bytes::Stored { digests, size }),
        "external" => Ok(Bytes::External { digests, size }),
        _ => Err(storage.invalid()),
    }
}
