//! The log key, and all that the outside world was ever told.
//!
//! Whatever is signed counts as shown, published or not: a receipt is one network packet away
//! from a signature.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use cairn_proto::{
    hash::Index,
    key::{PublicKey, SecretKey, SignError, Signer},
};

use crate::{
    anchor::{Anchor, AnchorFound},
    disk::fake::{FakeDisk, Unsynced},
    segment::LedgerTag,
};

/// What the outside world holds, over all lives of a ledger.
#[derive(Debug, Clone, Default)]
pub(super) struct Outside {
    /// The text of each signed note: origin, size and root. One for each size.
    pub(super) signed: BTreeMap<u64, String>,
    /// Where each acknowledged step stands.
    pub(super) acknowledged: BTreeMap<usize, Index>,
    /// What must never happen, and did.
    pub(super) faults: Vec<String>,
}

pub(super) type Shared = Arc<Mutex<Outside>>;

/// Signs for a ledger on this disk, and watches what it signs.
pub(super) struct Notary {
    pub(super) key: Arc<SecretKey>,
    pub(super) tag: LedgerTag,
    pub(super) disk: FakeDisk,
    pub(super) outside: Shared,
}

impl Notary {
    /// The size that the disk's anchor would have if all power went now.
    fn anchored(&self) -> Option<u64> {
        let mut platter = self.disk.platter();
        platter.crash(Unsynced::Lost);
        let disk = FakeDisk::with(platter);
        match Anchor::find(&disk, Path::new("/data/anchor"), self.tag) {
            Ok(AnchorFound::Good(anchor)) => Some(anchor.state().size.0),
            _ => None,
        }
    }
}

impl Signer for Notary {
    fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let text = std::str::from_utf8(message).unwrap().to_owned();
        let size: u64 = text.lines().nth(1).unwrap().parse().unwrap();
        let anchored = self.anchored();
        let failed = self.disk.failed_change();
        let mut outside = self.outside.lock().unwrap();
        if anchored.is_none_or(|anchored| anchored < size) {
            let fault = format!("signed size {size} while the anchor durably says {anchored:?}");
            outside.faults.push(fault);
        }
        if let Some(failed) = failed {
            let fault = format!("signed size {size} after a failure: {failed}");
            outside.faults.push(fault);
        }
        let before = outside.signed.insert(size, text.clone());
        if before.is_some_and(|before| before != text) {
            let fault = format!("signed two roots at size {size}");
            outside.faults.push(fault);
        }
        Ok(self.key.sign_bytes(message))
    }
}
