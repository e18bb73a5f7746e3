//! Steps 3 to 6 of SPEC.md section 9, and whose fault it is where they fail.
//!
//! A verdict about a ledger needs bytes that the ledger answers for. An answer, or a bundle,
//! is anybody's: junk in it says nothing of the log. So everything is bound first, by hashing
//! alone, and only what is bound is decoded and judged:
//!
//! ```text
//! signed head --inclusion--> last leaf = map record --map proofs--> rows
//!   environment's row --leaf hash--> release entry --subject--> manifest
//!   policy row --history root over (index, leaf hash)--> all policy entries --subject--> documents
//! ```
//!
//! - What is missing, or is bound by nothing, proves nothing: failed. Policies are bound all
//!   at once or not at all, since the row states a root over their list; a list with another
//!   root is `POLICY_CHAIN` whatever else is wrong with its entries, so that nobody is called
//!   UNTRUSTED for an entry that is in no log.
//! - TAMPERED is what a signed head contradicts: a last leaf that is included and is no
//!   covering map record; an entry that the row names and that does not decode, or says
//!   otherwise than the row; and bytes given for a digest that is bound, by the row's leaf hash
//!   or by a bound entry's subject, which do not hash to it. The last is the protocol's "bytes
//!   that do not hash": an honest server has the very bytes or sends none.
//! - UNTRUSTED is a bound entry whose signers were not allowed. Since what is not bound never
//!   gets as far as the rules, every [`VerifyError::Rule`] that comes from here is that.
//! - What needs a newer program is never a fault.

use cairn_proto::{
    checkpoint::TrustedCheckpoint,
    entry::{EntryError, Leaf},
    hash::LeafHash,
    map::MapProof,
    merkle::Frontier,
    name::Environment,
    reason::Reason,
    row::{Row, RowName, history_leaf},
    rules::PolicyChain,
    statement::Subject,
    trust::Trust,
    verify::{self, Current, Evidence, Recorded, TrustedMap, VerifyError},
};

use crate::{error::ClientError, evidence::EvidenceStore};

/// What is to be proven, and from what.
pub(crate) struct Case<'a> {
    pub(crate) trust: &'a Trust,
    pub(crate) checkpoint: &'a TrustedCheckpoint,
    pub(crate) environment: &'a Environment,
    pub(crate) evidence: &'a Evidence,
    /// The verifier's time, Unix seconds.
    pub(crate) now: u64,
    /// Where contradictions are kept.
    pub(crate) store: &'a EvidenceStore,
}

/// Why something was not proven.
enum Fault {
    /// It proves nothing, or a signer was not allowed.
    Unproven(VerifyError),
    /// It contradicts the signed head.
    Contradicts(VerifyError),
}

impl Fault {
    /// Of bytes that are bound.
    fn of_bound(error: VerifyError) -> Self {
        if error.reason() == Reason::NeedsNewerCairn {
            Self::Unproven(error)
        } else {
            Self::Contradicts(error)
        }
    }
}

impl Case<'_> {
    /// What contradicts the signed head, if anything does. Keeps nothing.
    pub(crate) fn contradiction(&self) -> Option<VerifyError> {
        match self.bind().and_then(|()| self.current()) {
            Err(Fault::Contradicts(error)) => Some(error),
            _ => None,
        }
    }

    /// The current release, or that there is none. Evidence of what contradicts the signed
    /// head is kept before the error is returned.
    pub(crate) fn prove(&self) -> Result<Current, ClientError> {
        let error = match self.bind().and_then(|()| self.current()) {
            Ok(current) => return Ok(current),
            Err(Fault::Unproven(error)) => return Err(ClientError::Verify(error)),
            Err(Fault::Contradicts(error)) => error,
        };
        let asked = (self.environment, self.checkpoint.head().bytes());
        let code = error.reason().code();
        match self
            .store
            .contradiction(code, asked, self.evidence, self.now)
        {
            Ok(evidence) => Err(ClientError::Contradiction { error, evidence }),
            Err(failure) => Err(failure.into()),
        }
    }

    /// That every entry and document given is the one that the signed head binds.
    fn bind(&self) -> Result<(), Fault> {
        let evidence = self.evidence;
        let record = (&evidence.map_record, &evidence.map_record_inclusion);
        let map = TrustedMap::prove(self.checkpoint, record.0, record.1);
        let map = map.map_err(|error| match error {
            // Both come only after its inclusion was proven; an empty log has no last leaf.
            VerifyError::MapRecord if self.checkpoint.head().size().0 > 0 => {
                Fault::Contradicts(error)
            }
            VerifyError::Entry(_) => Fault::of_bound(error),
            error => Fault::Unproven(error),
        })?;
        let (row, proof) = (&evidence.environment_row, &evidence.environment_proof);
        let row = map.environment(self.environment, row, proof);
        let row = row.map_err(Fault::Unproven)?;
        bind_policies(&map, self.trust, evidence).map_err(Fault::Unproven)?;
        for policy in &evidence.policies {
            bind_document(&policy.entry, &policy.document)?;
        }
        let head = self.checkpoint.head();
        for order in &evidence.orders {
            // Only what is in the log is bound; the steps find what is not.
            let (index, inclusion) = (order.index, &order.inclusion);
            if Recorded::prove(head, &order.entry, index, inclusion).is_ok() {
                bind_document(&order.entry, &order.document)?;
            }
        }
        let (Some(row), Some(release)) = (row, &evidence.release) else {
            return Ok(());
        };
        let mismatch = |what| VerifyError::RowMismatch { what };
        if LeafHash::of(&release.entry) != row.leaf {
            return Err(Fault::Contradicts(mismatch("the leaf hash")));
        }
        // An index is the answer's own word.
        if release.index != row.index {
            return Err(Fault::Unproven(mismatch("the index")));
        }
        bind_document(&release.entry, &release.manifest)
    }

    /// The same steps once more, now down to what the bytes say.
    fn current(&self) -> Result<Current, Fault> {
        let (environment, evidence) = (self.environment, self.evidence);
        let proven = verify::current(self.trust, self.checkpoint, environment, evidence, self.now);
        proven.map_err(|error| match error {
            VerifyError::Entry(_) | VerifyError::RowMismatch { .. } => Fault::of_bound(error),
            error => Fault::Unproven(error),
        })
    }
}

/// The chain of policies under a map; what is not bound by it is not decoded.
pub(crate) fn policies(
    map: &TrustedMap<'_>,
    trust: &Trust,
    evidence: &Evidence,
) -> Result<PolicyChain, VerifyError> {
    bind_policies(map, trust, evidence)?;
    let (row, proof) = (&evidence.policy_row, &evidence.policy_proof);
    map.policies(trust, row, proof, &evidence.policies)
}

/// That the policies given begin with the pinned genesis and are those that the map's row
/// states, by their hashes alone.
fn bind_policies(
    map: &TrustedMap<'_>,
    trust: &Trust,
    evidence: &Evidence,
) -> Result<(), VerifyError> {
    let row = MapProof::decode(&evidence.policy_proof)
        .and_then(|proof| {
            let root = &map.record().root;
            proof.verify(root, &RowName::Policy, &evidence.policy_row)
        })
        .map_err(|error| VerifyError::Map {
            what: "the policy",
            error,
        })?;
    let (Some(Row::Policy(row)), Some(first)) = (row, evidence.policies.first()) else {
        return Err(VerifyError::PolicyChain);
    };
    let found = LeafHash::of(&first.entry);
    if found != *trust.genesis() {
        return Err(VerifyError::WrongGenesis {
            found,
            pinned: *trust.genesis(),
        });
    }
    let mut history = Frontier::default();
    for policy in &evidence.policies {
        let leaf = LeafHash::of(&policy.entry);
        history.push(history_leaf(policy.index, &leaf));
    }
    if history.size().0 == row.version.0 && history.root() == row.history {
        Ok(())
    } else {
        Err(VerifyError::PolicyChain)
    }
}

/// That a document is the one that a bound entry's subject names; it is not decoded. No
/// document is empty: an empty one was not given, and contradicts nothing.
fn bind_document(entry: &[u8], document: &[u8]) -> Result<(), Fault> {
    match Leaf::decode(entry) {
        Ok(Leaf::Entry(_)) if document.is_empty() => {
            Err(Fault::Unproven(VerifyError::Undocumented))
        }
        Ok(Leaf::Entry(entry)) if entry.statement().subject != Subject::of(document) => {
            Err(Fault::Contradicts(EntryError::DocumentMismatch.into()))
        }
        // A map record has no document; that one stands here is for the steps to find.
        Ok(_) => Ok(()),
        Err(error) => Err(Fault::of_bound(error.into())),
    }
}
