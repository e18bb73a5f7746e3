//! What a verifier pins: origin, log key, clock key, genesis. SPEC.md section 9.

use crate::{
    hash::LeafHash,
    name::Origin,
    note::{SignatureType, VerifierKey},
    reason::Reason,
};

/// The pinned identity of one ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    origin: Origin,
    log_key: VerifierKey,
    clock_key: VerifierKey,
    genesis: LeafHash,
}

/// Keys that cannot be one ledger's log and clock keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the log key and the clock key must be two keys, of types 0x01 and 0x04, named by the origin"
)]
pub struct KeysError;

impl KeysError {
    /// The stable code.
    pub fn reason(self) -> Reason {
        Reason::GenesisKeys
    }
}

/// The one check of a ledger's two keys. SPEC.md section 7.3.
pub(crate) fn check_keys(
    origin: &Origin,
    log_key: &VerifierKey,
    clock_key: &VerifierKey,
) -> Result<(), KeysError> {
    let fits = log_key.kind() == SignatureType::Ed25519
        && log_key.name() == origin.as_str()
        && clock_key.kind() == SignatureType::Cosignature
        && clock_key.name() == origin.clock_name()
        && log_key.key() != clock_key.key();
    fits.then_some(()).ok_or(KeysError)
}

impl Trust {
    /// Pins a ledger.
    pub fn new(
        origin: Origin,
        log_key: VerifierKey,
        clock_key: VerifierKey,
        genesis: LeafHash,
    ) -> Result<Self, KeysError> {
        check_keys(&origin, &log_key, &clock_key)?;
        Ok(Self {
            origin,
            log_key,
            clock_key,
            genesis,
        })
    }

    /// Whose log.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The key that signs its checkpoints.
    pub fn log_key(&self) -> &VerifierKey {
        &self.log_key
    }

    /// The key that bounds their age.
    pub fn clock_key(&self) -> &VerifierKey {
        &self.clock_key
    }

    /// Leaf hash of its first entry.
    pub fn genesis(&self) -> &LeafHash {
        &self.genesis
    }
}
