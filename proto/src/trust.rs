//! What a verifier pins: origin, log key, clock key, genesis. SPEC.md section 9.

use crate::{
    hash::{LeafHash, TreeSize},
    limits::{COSIGNERS_MAX, SUCCESSIONS_MAX},
    name::Origin,
    note::{SignatureType, VerifierKey},
    reason::Reason,
};

/// The pinned identity of one ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    origin: Origin,
    first: Keys,
    later: Vec<Era>,
    genesis: LeafHash,
    auditors: Cosigners,
    witnesses: Cosigners,
}

/// The two keys of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Signs its checkpoints.
    pub log: VerifierKey,
    /// Bounds their age.
    pub clock: VerifierKey,
}

/// Keys that took over from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Era {
    /// The last size that those before signed: these sign every larger one, and no other.
    pub after: TreeSize,
    /// The keys.
    pub keys: Keys,
}

/// Who is trusted to say more of a checkpoint than its log does, and how many of them it takes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cosigners {
    keys: Vec<VerifierKey>,
    quorum: usize,
}

/// Keys that cannot be a ledger's auditors, or its witnesses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "auditors, and witnesses, are 1 to {COSIGNERS_MAX} keys of type 0x04, no two of them alike, none \
     of them the ledger's own, and a quorum of 1 to their number"
)]
pub struct CosignersError;

impl Cosigners {
    /// Keys by their bytes distinct, and how many of them must have cosigned.
    pub fn new(keys: Vec<VerifierKey>, quorum: usize) -> Result<Self, CosignersError> {
        let mut bytes: Vec<_> = keys.iter().map(VerifierKey::key).collect();
        bytes.sort_unstable();
        bytes.dedup();
        let fits = (1..=COSIGNERS_MAX).contains(&keys.len())
            && bytes.len() == keys.len()
            && keys
                .iter()
                .all(|key| key.kind() == SignatureType::Cosignature)
            && (1..=keys.len()).contains(&quorum);
        fits.then_some(Self { keys, quorum }).ok_or(CosignersError)
    }

    /// Whose cosignatures count; none where nobody is trusted.
    pub fn keys(&self) -> &[VerifierKey] {
        &self.keys
    }

    /// How many it takes; 0 where nobody is trusted.
    pub fn quorum(&self) -> usize {
        self.quorum
    }
}

/// Keys that cannot be one ledger's log and clock keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the log key and the clock key must be two keys, of types 0x01 and 0x04, named by the origin, and \
     none that the ledger had before"
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
            first: Keys {
                log: log_key,
                clock: clock_key,
            },
            later: Vec::new(),
            genesis,
            auditors: Cosigners::default(),
            witnesses: Cosigners::default(),
        })
    }

    /// The same ledger, whose keys others took over from: what a trust file pins, and what
    /// [`succession`](crate::verify::succession()) proves.
    pub fn succeeded_by(mut self, era: Era) -> Result<Self, KeysError> {
        check_keys(&self.origin, &era.keys.log, &era.keys.clock)?;
        let bytes = |keys: &Keys| [*keys.log.key(), *keys.clock.key()];
        let before = self.all_keys().flat_map(bytes).collect::<Vec<_>>();
        let cosigners = self.auditors.keys.iter().chain(&self.witnesses.keys);
        let taken = before.iter().chain(cosigners.map(VerifierKey::key));
        let again = bytes(&era.keys);
        let is_new = taken.into_iter().all(|key| !again.contains(key));
        let is_later = self.later.last().is_none_or(|last| last.after < era.after);
        let too_many = self.later.len() >= SUCCESSIONS_MAX;
        if !is_new || !is_later || too_many || era.after == TreeSize(0) {
            return Err(KeysError);
        }
        self.later.push(era);
        Ok(self)
    }

    /// The same ledger and keys, with the auditors and witnesses of another.
    pub fn with_cosigners_of(self, other: &Self) -> Result<Self, CosignersError> {
        self.alone()
            .with_auditors(other.auditors.clone())?
            .with_witnesses(other.witnesses.clone())
    }

    /// The same ledger as its genesis entry names it: without keys that took over.
    #[must_use]
    pub fn with_first_keys(self) -> Self {
        Self {
            later: Vec::new(),
            ..self
        }
    }

    /// The same ledger, with the keys that took over of which either knows; refused where the two
    /// know of different ones.
    pub fn with_later_keys_of(mut self, other: &Self) -> Result<Self, KeysError> {
        let (own, others) = (&self.later, &other.later);
        let agree = own.iter().zip(others).all(|(one, other)| one == other);
        if !agree {
            return Err(KeysError);
        }
        if others.len() > own.len() {
            self.later.clone_from(others);
        }
        Ok(self)
    }

    /// The first keys, and all that took over.
    pub(crate) fn all_keys(&self) -> impl Iterator<Item = &Keys> {
        std::iter::once(&self.first).chain(self.later.iter().map(|era| &era.keys))
    }

    /// The keys that the genesis entry names.
    pub fn first_keys(&self) -> &Keys {
        &self.first
    }

    /// Those that took over since, in order.
    pub fn later_keys(&self) -> &[Era] {
        &self.later
    }

    /// The keys that sign now.
    pub fn keys(&self) -> &Keys {
        self.later.last().map_or(&self.first, |era| &era.keys)
    }

    /// The keys that sign a checkpoint of a size.
    pub fn keys_at(&self, size: TreeSize) -> &Keys {
        let era = self.later.iter().rev().find(|era| era.after < size);
        era.map_or(&self.first, |era| &era.keys)
    }

    /// The same ledger, with auditors. Neither of the ledger's own keys can be one, nor can a
    /// witness: one key must say one thing (tlog-cosignature, additional statements).
    pub fn with_auditors(self, auditors: Cosigners) -> Result<Self, CosignersError> {
        self.other_than_own(&auditors, &self.witnesses)?;
        Ok(Self { auditors, ..self })
    }

    /// The same ledger, with witnesses; of other keys than its own and its auditors'.
    pub fn with_witnesses(self, witnesses: Cosigners) -> Result<Self, CosignersError> {
        self.other_than_own(&witnesses, &self.auditors)?;
        Ok(Self { witnesses, ..self })
    }

    /// The same ledger; where it has no auditors, or no witnesses, with another's.
    pub fn or_cosigners_of(self, other: &Self) -> Result<Self, CosignersError> {
        let either = |own: &Cosigners, other: &Cosigners| {
            let chosen = if own.quorum > 0 { own } else { other };
            chosen.clone()
        };
        let auditors = either(&self.auditors, &other.auditors);
        let witnesses = either(&self.witnesses, &other.witnesses);
        self.alone()
            .with_auditors(auditors)?
            .with_witnesses(witnesses)
    }

    fn other_than_own(&self, new: &Cosigners, other: &Cosigners) -> Result<(), CosignersError> {
        let own = self.all_keys().flat_map(|keys| [&keys.log, &keys.clock]);
        let taken = other.keys.iter().chain(own);
        let taken: Vec<_> = taken.map(VerifierKey::key).collect();
        let clash = new.keys.iter().any(|key| taken.contains(&key.key()));
        (!clash).then_some(()).ok_or(CosignersError)
    }

    /// The same ledger, as only its own keys say it is: with no auditors and no witnesses.
    #[must_use]
    pub fn alone(self) -> Self {
        Self {
            auditors: Cosigners::default(),
            witnesses: Cosigners::default(),
            ..self
        }
    }

    /// Who is trusted to have seen one history alone.
    pub fn witnesses(&self) -> &Cosigners {
        &self.witnesses
    }

    /// Whether somebody must have cosigned.
    pub fn needs_cosigners(&self) -> bool {
        self.auditors.quorum > 0 || self.witnesses.quorum > 0
    }

    /// Who is trusted to have recomputed the map.
    pub fn auditors(&self) -> &Cosigners {
        &self.auditors
    }

    /// Whether another pins the same ledger, whoever cosigns it, and whichever keys took over.
    pub fn is_same_ledger(&self, other: &Self) -> bool {
        (&self.origin, &self.first, &self.genesis) == (&other.origin, &other.first, &other.genesis)
    }

    /// Whose log.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The key that signs its checkpoints now.
    pub fn log_key(&self) -> &VerifierKey {
        &self.keys().log
    }

    /// The key that bounds their age.
    pub fn clock_key(&self) -> &VerifierKey {
        &self.keys().clock
    }

    /// Leaf hash of its first entry.
    pub fn genesis(&self) -> &LeafHash {
        &self.genesis
    }
}
