//! DSSE envelopes in their one canonical spelling. SPEC.md section 3.
//!
//! Out of scope: who may sign (`rules`). Invariant: an [`Envelope`] encodes to the very
//! bytes it was parsed from.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use thiserror::Error;

use crate::{
    hash::KeyId,
    json::{Field, JsonError, Value, ascending, parse_canonical},
    key::{BadSignature, PublicKey, SignError, Signer},
    limits::{ENTRY_BYTES_MAX, SIGNATURES_MAX},
    reason::Reason,
};

/// The only payload type.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Why bytes are not an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// More bytes than an entry may have.
    #[error("an entry of {bytes} bytes is too large")]
    TooLarge {
        /// How many there are.
        bytes: usize,
    },
    /// Not the JSON of an envelope.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Another payload type.
    #[error("the payload is not an in-toto statement")]
    PayloadType,
    /// None, too many, out of order or repeated.
    #[error("the signatures are none, too many, unsorted or repeated")]
    Signatures,
}

impl EnvelopeError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::TooLarge { .. } => Reason::EntryTooLarge,
            Self::Json(error) => error.reason,
            Self::PayloadType => Reason::EnvelopePayloadType,
            Self::Signatures => Reason::EnvelopeSignatures,
        }
    }
}

/// One signature; nothing is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeSignature {
    /// Whose it claims to be.
    pub keyid: KeyId,
    /// The bytes.
    pub signature: [u8; 64],
}

/// A payload and signatures over it; nothing is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    payload: Vec<u8>,
    signatures: Vec<EnvelopeSignature>,
}

impl Envelope {
    /// Parses the canonical bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(EnvelopeError::TooLarge { bytes: bytes.len() });
        }
        let mut members = Field::root(parse_canonical(bytes)?).members()?;
        let payload = members.take("payload")?.base64()?;
        let kind = members.take("payloadType")?;
        let signatures = members.take("signatures")?.array(0..=usize::MAX)?;
        members.finish()?;
        if kind.text(0..=usize::MAX)? != PAYLOAD_TYPE {
            return Err(EnvelopeError::PayloadType);
        }
        if signatures.len() > SIGNATURES_MAX {
            return Err(EnvelopeError::Signatures);
        }
        let signatures = signatures
            .into_iter()
            .map(parse_signature)
            .collect::<Result<Vec<_>, _>>()?;
        Self::assemble(payload, signatures)
    }

    fn assemble(
        payload: Vec<u8>,
        signatures: Vec<EnvelopeSignature>,
    ) -> Result<Self, EnvelopeError> {
        let keyids: Vec<_> = signatures.iter().map(|signature| signature.keyid).collect();
        let counted = (1..=SIGNATURES_MAX).contains(&signatures.len());
        if !counted || ascending(&keyids, "signatures").is_err() {
            return Err(EnvelopeError::Signatures);
        }
        Ok(Self {
            payload,
            signatures,
        })
    }

    /// Joins a payload with signatures that were made apart, in any order.
    pub fn join(
        payload: Vec<u8>,
        mut signatures: Vec<EnvelopeSignature>,
    ) -> Result<Self, EnvelopeError> {
        signatures.sort_by_key(|signature| signature.keyid);
        let envelope = Self::assemble(payload, signatures)?;
        match envelope.encode().len() {
            0..=ENTRY_BYTES_MAX => Ok(envelope),
            bytes => Err(EnvelopeError::TooLarge { bytes }),
        }
    }

    /// Signs a payload with each signer.
    pub fn sign(payload: Vec<u8>, signers: &[&dyn Signer]) -> Result<Self, SignError> {
        let message = pre_authentication_encoding(&payload);
        let signatures = signers
            .iter()
            .map(|signer| {
                Ok(EnvelopeSignature {
                    keyid: signer.public_key().id(),
                    signature: signer.sign(&message)?,
                })
            })
            .collect::<Result<Vec<_>, SignError>>()?;
        Self::join(payload, signatures).map_err(|error| SignError(error.to_string()))
    }

    /// The canonical bytes: a leaf of the log.
    pub fn encode(&self) -> Vec<u8> {
        let signatures = self.signatures.iter().map(|signature| {
            Value::object([
                ("keyid", Value::text(signature.keyid)),
                (
                    "sig",
                    Value::Text(STANDARD.encode(signature.signature).into()),
                ),
            ])
        });
        Value::object([
            (
                "payload",
                Value::Text(STANDARD.encode(&self.payload).into()),
            ),
            ("payloadType", Value::text(PAYLOAD_TYPE)),
            ("signatures", Value::Array(signatures.collect())),
        ])
        .encode()
    }

    /// The statement's bytes.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signatures, ascending by keyid.
    pub fn signatures(&self) -> &[EnvelopeSignature] {
        &self.signatures
    }

    /// What the signatures are over: the DSSE pre-authentication encoding of the payload.
    pub fn signed_bytes(&self) -> Vec<u8> {
        pre_authentication_encoding(&self.payload)
    }

    /// Verifies every signature, the i-th with the i-th key.
    pub(crate) fn verify(&self, keys: &[PublicKey]) -> Result<(), BadSignature> {
        if keys.len() != self.signatures.len() {
            return Err(BadSignature);
        }
        let message = self.signed_bytes();
        for (signature, key) in self.signatures.iter().zip(keys) {
            key.verify(&message, &signature.signature)?;
        }
        Ok(())
    }
}

fn parse_signature(field: Field) -> Result<EnvelopeSignature, JsonError> {
    let mut members = field.members()?;
    let keyid = KeyId(members.take("keyid")?.hex32()?);
    let blob = members.take("sig")?;
    let signature = blob.base64()?.try_into().map_err(|_| blob.invalid())?;
    members.finish()?;
    Ok(EnvelopeSignature { keyid, signature })
}

/// DSSE PAE: what is signed.
fn pre_authentication_encoding(payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "DSSEv1 {} {PAYLOAD_TYPE} {} ",
        PAYLOAD_TYPE.len(),
        payload.len()
    )
    .into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}
