//! Ed25519, strictly: keys that verifiers could disagree on do not exist here.
//! SPEC.md section 2.

use std::fmt;

use ed25519_dalek::{Signature as DalekSignature, Signer as _, SigningKey, VerifyingKey};
use thiserror::Error;

use crate::hash::KeyId;

/// A public key of small order, off the curve or not canonically encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the public key is weak or not canonical")]
pub struct WeakKey;

/// A signature that does not verify, strictly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// A public key that every verifier reads alike.
#[derive(Clone, Copy)]
pub struct PublicKey {
    key: VerifyingKey,
    /// Hashed once: policies are searched by it for every signature.
    id: KeyId,
}

impl PublicKey {
    /// Parses 32 bytes and refuses weak and non-canonical encodings.
    pub fn parse(bytes: &[u8; 32]) -> Result<Self, WeakKey> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| WeakKey)?;
        if key.is_weak() || !is_canonical(bytes) {
            return Err(WeakKey);
        }
        Ok(Self::of(key))
    }

    fn of(key: VerifyingKey) -> Self {
        let id = KeyId::of(key.as_bytes());
        Self { key, id }
    }

    /// The 32 bytes: what keys are compared by.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// SHA-256 of the bytes.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The one place where a signature is verified.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
        self.key
            .verify_strict(message, &DalekSignature::from_bytes(signature))
            .map_err(|_| BadSignature)
    }
}

/// Whether the y coordinate is below p = 2^255 - 19.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let [low, middle @ .., high] = bytes;
    let all_ones = high & 0x7f == 0x7f && middle.iter().all(|byte| *byte == 0xff);
    !(all_ones && *low >= 0xed)
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for PublicKey {}

impl PartialOrd for PublicKey {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PublicKey {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PublicKey({})", hex::encode(self.as_bytes()))
    }
}

/// Whatever can sign: a key in memory, an agent, a token.
pub trait Signer: Send + Sync {
    /// The public half.
    fn public_key(&self) -> PublicKey;
    /// Signs with plain Ed25519. An error says why the signer would not.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

/// A signer that did not sign: locked, gone, refused by its owner.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the signer refused: {0}")]
pub struct SignError(pub String);

/// A private key in memory; wiped when dropped.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of a 32-byte seed.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, WeakKey> {
        let key = SigningKey::from_bytes(seed);
        PublicKey::parse(key.verifying_key().as_bytes())?;
        Ok(Self(key))
    }

    /// Signs; deterministic (RFC 8032).
    pub fn sign_bytes(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SecretKey(of {:?})", self.public_key())
    }
}

impl Signer for SecretKey {
    fn public_key(&self) -> PublicKey {
        PublicKey::of(self.0.verifying_key())
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        Ok(self.sign_bytes(message))
    }
}
