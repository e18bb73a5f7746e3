//! From a directory and two keys to a running ledger: what `init`, `serve` and `dev` share.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cairn_proto::{
    envelope::Envelope,
    hash::{RootHash, TreeSize},
    key::{SignError, Signer},
    name::Origin,
    note::{SignatureType, VerifierKey, VkeyError},
    policy::Policy,
    reason::Reason,
    statement::{self, Predecessor, Predicate, Statement, Subject},
};
use thiserror::Error;

use crate::{
    content::ContentLimits,
    disk::{Disk, OsDisk},
    ledger::{Genesis, Ledger, LedgerError, ServerKeys},
    segment::LedgerTag,
    store::{OpenError, Recovery, Store, StoreOptions},
};

/// Below the data directory: what can be rebuilt.
pub(crate) const VIEW: &str = "view";

/// Where a ledger's data is.
#[derive(Debug, Clone)]
pub struct Place {
    /// The ledger's name.
    pub origin: Origin,
    /// The data directory.
    pub data: PathBuf,
    /// The anchor's file, if it is not in the data directory.
    pub anchor: Option<PathBuf>,
    /// Bounds on uploads.
    pub limits: ContentLimits,
}

/// Why a ledger was not made or started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data directory.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// What is in it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The genesis entry was not signed.
    #[error("the genesis entry was not signed: {0}")]
    Sign(#[from] SignError),
    /// A key cannot be named by the origin.
    #[error("the origin cannot name a key: {0}")]
    Name(#[from] VkeyError),
}

impl StartError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Open(error) => error.reason(),
            Self::Ledger(error) => error.reason(),
            Self::Sign(_) => Reason::KeyFile,
            Self::Name(_) => Reason::Usage,
        }
    }
}

/// Signs the first entry of a ledger: its keys and its first policy, by its admins. `predecessor`
/// is the ledger that was lost, if this one continues it.
pub fn genesis(
    origin: &Origin,
    keys: &ServerKeys,
    policy: &Policy,
    (nonce, predecessor): ([u8; 16], Option<Predecessor>),
    admins: &[&dyn Signer],
) -> Result<Genesis, StartError> {
    let (log, clock) = (keys.log.public_key(), keys.clock.public_key());
    let document = policy.encode();
    let predicate = statement::Genesis {
        origin: origin.clone(),
        log_key: VerifierKey::new(origin.as_str(), SignatureType::Ed25519, log)?,
        clock_key: VerifierKey::new(&origin.clock_name(), SignatureType::Cosignature, clock)?,
        nonce,
        predecessor,
    };
    let statement = Statement {
        subject: Subject::of(&document),
        predicate: Predicate::Genesis(Box::new(predicate)),
    };
    let envelope = Envelope::sign(statement.encode(), admins)?;
    Ok(Genesis {
        entry: envelope.encode().into(),
        document: document.into(),
    })
}

/// Makes a data directory that begins with the genesis entry, and starts its ledger.
pub fn create(place: &Place, keys: ServerKeys, genesis: &Genesis) -> Result<Ledger, StartError> {
    let store = make(&disk(), place)?;
    Ok(Ledger::open(
        store,
        &place.data.join(VIEW),
        keys,
        Some(genesis),
    )?)
}

/// Makes the store of a new ledger.
pub(crate) fn make(disk: &Arc<dyn Disk>, place: &Place) -> Result<Store, OpenError> {
    let options = place.options(None);
    match Store::create(disk, &place.data, &options) {
        // An earlier attempt may have ended before the genesis entry was committed.
        Err(OpenError::Exists { .. }) => Store::open(disk, &place.data, &options),
        created => created,
    }
}

/// Starts the ledger of a data directory. `accept_head` is a person's word where the anchor
/// is missing.
pub fn open(
    place: &Place,
    keys: ServerKeys,
    accept_head: Option<(TreeSize, RootHash)>,
) -> Result<(Ledger, Recovery), StartError> {
    let store = Store::open(&disk(), &place.data, &place.options(accept_head))?;
    let recovery = store.recovery().clone();
    let ledger = Ledger::open(store, &place.data.join(VIEW), keys, None)?;
    Ok((ledger, recovery))
}

/// The same under keys that take over by `order` from those that signed before.
pub fn take_over(
    place: &Place,
    keys: ServerKeys,
    accept_head: Option<(TreeSize, RootHash)>,
    order: &Genesis,
) -> Result<(Ledger, Recovery), StartError> {
    let store = Store::open(&disk(), &place.data, &place.options(accept_head))?;
    let recovery = store.recovery().clone();
    let view = place.data.join(VIEW);
    let ledger = Ledger::open_under_new_keys(store, &view, keys, order)?;
    Ok((ledger, recovery))
}

/// Whether a directory holds a ledger's data.
pub fn exists(data: &Path) -> bool {
    data.join("format").is_file()
}

fn disk() -> Arc<dyn Disk> {
    Arc::new(OsDisk)
}

impl Place {
    pub(crate) fn options(&self, accept_head: Option<(TreeSize, RootHash)>) -> StoreOptions {
        StoreOptions {
            ledger: LedgerTag::of(&self.origin),
            anchor: self.anchor.clone(),
            accept_head,
            limits: self.limits,
        }
    }
}
