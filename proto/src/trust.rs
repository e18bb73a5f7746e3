//! What a verifier pins: origin, log key, clock key, genesis. SPEC.md section 9.

use crate::{
    hash::LeafHash,
    limits::AUDITORS_MAX,
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
    auditors: Auditors,
}

/// Who is trusted to have recomputed the map, and how many of them it takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Auditors {
    keys: Vec<VerifierKey>,
    quorum: usize,
}

/// Keys that cannot be a ledger's auditors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "auditors are 1 to {AUDITORS_MAX} keys of type 0x04, no two of them alike, and a quorum of 1 to \
     their number"
)]
pub struct AuditorsError;

impl Auditors {
    /// Keys by their bytes distinct, and how many of them must have cosigned.
    pub fn new(keys: Vec<VerifierKey>, quorum: usize) -> Result<Self, AuditorsError> {
        let mut bytes: Vec<_> = keys.iter().map(VerifierKey::key).collect();
        bytes.sort_unstable();
        bytes.dedup();
        let fits = (1..=AUDITORS_MAX).contains(&keys.len())
            && bytes.len() == keys.len()
            && keys
                .iter()
                .all(|key| key.kind() == SignatureType::Cosignature)
            && (1..=keys.len()).contains(&quorum);
        fits.then_some(Self { keys, quorum }).ok_or(AuditorsError)
    }

    /// Whose cosignatures count; none where no auditor is trusted.
    pub fn keys(&self) -> &[VerifierKey] {
        &self.keys
    }

    /// How many it takes; 0 where no auditor is trusted.
    pub fn quorum(&self) -> usize {
        self.quorum
    }
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
            auditors: Auditors::default(),
        })
    }

    /// The same ledger, with auditors. Neither of the ledger's own keys can be one.
    pub fn with_auditors(self, auditors: Auditors) -> Result<Self, AuditorsError> {
        let mut keys = auditors.keys.iter().map(VerifierKey::key);
        if keys.any(|key| key == self.log_key.key() || key == self.clock_key.key()) {
            return Err(AuditorsError);
        }
        Ok(Self { auditors, ..self })
    }

    /// The same ledger, with no auditors.
    #[must_use]
    pub fn without_auditors(self) -> Self {
        Self {
            auditors: Auditors::default(),
            ..self
        }
    }

    /// Who is trusted to have recomputed the map.
    pub fn auditors(&self) -> &Auditors {
        &self.auditors
    }

    /// Whether another pins the same ledger, whoever its auditors are.
    pub fn is_same_ledger(&self, other: &Self) -> bool {
        (&self.origin, &self.log_key, &self.clock_key, &self.genesis)
            == (
                &other.origin,
                &other.log_key,
                &other.clock_key,
                &other.genesis,
            )
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
