//! From a trusted checkpoint to an approved release, one proven step at a time.
//! SPEC.md section 9, steps 3 to 6.
//!
//! ```text
//! TrustedCheckpoint --prove_map--> TrustedMap --prove_row--> CurrentRow | Absent
//!   --prove_entry--> IncludedEntry --approve--> ApprovedRelease
//! ```
//!
//! Invariant: each type can be built only by the step that proves it, from raw bytes and the
//! type before. Nothing here takes a value on the caller's word.
//! Out of scope: fetching; comparing with what runs.

use thiserror::Error;

use crate::{
    checkpoint::{AuthenticCheckpoint, TrustedCheckpoint},
    entry::{Content, EntryError, Leaf, MapRecord, Submission},
    hash::{Index, LeafHash, NodeHash, Sha256, TreeSize},
    manifest::Manifest,
    map::{MapProof, MapProofError},
    merkle::{ProofError, verify_inclusion},
    name::Environment,
    reason::Reason,
    row::{DigestRow, EnvironmentRow, PolicyRow, Row, RowName},
    rules::{Authority, PolicyChain, RuleError, authenticate_genesis},
    statement::Release,
    trust::Trust,
};

/// Why evidence does not prove what it was given for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// An inclusion proof does not hold.
    #[error("{what} is not proven to be in the log: {error}")]
    Inclusion {
        /// Which leaf.
        what: &'static str,
        /// How the proof fails.
        error: ProofError,
    },
    /// The last leaf under the checkpoint is not a map record over the rest.
    #[error("the checkpoint does not end with a map record over its leaves")]
    MapRecord,
    /// A map proof does not hold.
    #[error("what the map says of {what} is not proven")]
    Map {
        /// Of what.
        what: &'static str,
        /// The proof's error.
        error: MapProofError,
    },
    /// The entry given is not the one that the row states.
    #[error("the entry is not the one that the map states: {what} differs")]
    RowMismatch {
        /// What differs.
        what: &'static str,
    },
    /// Bytes that are bound by a signed root do not decode.
    #[error("a recorded entry does not decode: {0}")]
    Entry(#[from] EntryError),
    /// The first policy is not the pinned genesis.
    #[error("the ledger begins with {found}, pinned is {pinned}")]
    WrongGenesis {
        /// What it begins with.
        found: LeafHash,
        /// What was pinned.
        pinned: LeafHash,
    },
    /// The policies do not form the chain that the map states.
    #[error("the policies are not the chain that the map states")]
    PolicyChain,
    /// A policy, or the release, was not allowed by the policy in force.
    #[error("policy: {0}")]
    Rule(#[from] RuleError),
    /// The genesis keys differ from the pinned ones.
    #[error("the genesis entry names other keys than the pinned ones")]
    WrongKeys,
    /// The environment has a release, but the evidence does not carry it.
    #[error("the evidence lacks {what}")]
    Lacks {
        /// What is not there.
        what: &'static str,
    },
}

impl VerifyError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Inclusion { .. } | Self::Lacks { .. } => Reason::InclusionUnproven,
            Self::MapRecord => Reason::MapRecordWrong,
            Self::Map { .. } => Reason::MapProof,
            Self::RowMismatch { .. } => Reason::RowMismatch,
            Self::Entry(error) => error.reason(),
            Self::WrongGenesis { .. } | Self::WrongKeys => Reason::WrongGenesis,
            Self::PolicyChain => Reason::PolicyChain,
            Self::Rule(error) => error.reason(),
        }
    }

    /// Whether this says that a signer was not allowed, rather than that nothing was proven.
    pub fn is_untrusted(&self) -> bool {
        matches!(self, Self::Rule(_))
    }
}

/// Raw evidence for one name: what `Lookup` answers and a bundle holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// The last leaf under the checkpoint.
    pub map_record: Vec<u8>,
    /// Its inclusion proof.
    pub map_record_inclusion: Vec<NodeHash>,
    /// The environment's row; empty if it is absent.
    pub environment_row: Vec<u8>,
    /// The map proof for it.
    pub environment_proof: Vec<u8>,
    /// The policy's row.
    pub policy_row: Vec<u8>,
    /// The map proof for it.
    pub policy_proof: Vec<u8>,
    /// Every policy, from genesis on.
    pub policies: Vec<PolicyEvidence>,
    /// The release that the row states; `None` if the environment is absent.
    pub release: Option<ReleaseEvidence>,
}

/// One version of the policy, as raw bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyEvidence {
    /// Where its entry stands.
    pub index: Index,
    /// The entry.
    pub entry: Vec<u8>,
    /// The policy document.
    pub document: Vec<u8>,
    /// Inclusion proof; empty unless it is asked for.
    pub inclusion: Vec<NodeHash>,
}

/// A release, as raw bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseEvidence {
    /// Where its entry stands.
    pub index: Index,
    /// The entry.
    pub entry: Vec<u8>,
    /// Its inclusion proof.
    pub inclusion: Vec<NodeHash>,
    /// The manifest.
    pub manifest: Vec<u8>,
}

/// An entry proven to be in the log under an authentic checkpoint: what a receipt shows. It
/// is no verdict: nothing is said of who may sign, nor of what is current.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    index: Index,
    leaf: LeafHash,
    size: TreeSize,
}

impl Recorded {
    /// Proves that these very bytes stand at `index`.
    pub fn prove(
        checkpoint: &AuthenticCheckpoint,
        entry: &[u8],
        index: Index,
        inclusion: &[NodeHash],
    ) -> Result<Self, VerifyError> {
        let leaf = LeafHash::of(entry);
        included(checkpoint, leaf, index, inclusion, "the entry")?;
        let size = checkpoint.size();
        Ok(Self { index, leaf, size })
    }

    /// Where it stands.
    pub fn index(&self) -> Index {
        self.index
    }

    /// Its leaf hash.
    pub fn leaf(&self) -> &LeafHash {
        &self.leaf
    }

    /// Size of the tree that it was proven in.
    pub fn size(&self) -> TreeSize {
        self.size
    }
}

fn included(
    checkpoint: &AuthenticCheckpoint,
    leaf: LeafHash,
    index: Index,
    proof: &[NodeHash],
    what: &'static str,
) -> Result<(), VerifyError> {
    verify_inclusion(leaf, index, checkpoint.size(), proof, checkpoint.root())
        .map_err(|error| VerifyError::Inclusion { what, error })
}

/// The map under a trusted checkpoint, as the log's last leaf states it.
#[derive(Debug, Clone)]
pub struct TrustedMap<'a> {
    checkpoint: &'a TrustedCheckpoint,
    record: MapRecord,
}

impl<'a> TrustedMap<'a> {
    /// Step 3: the last leaf is included and is a map record over all leaves before it.
    pub fn prove(
        checkpoint: &'a TrustedCheckpoint,
        leaf: &[u8],
        inclusion: &[NodeHash],
    ) -> Result<Self, VerifyError> {
        let size = checkpoint.head().size().0;
        let last = size.checked_sub(1).ok_or(VerifyError::MapRecord)?;
        let hash = LeafHash::of(leaf);
        included(
            checkpoint.head(),
            hash,
            Index(last),
            inclusion,
            "the map record",
        )?;
        match Leaf::decode(leaf)? {
            Leaf::MapRecord(record) if record.covers == last => Ok(Self { checkpoint, record }),
            _ => Err(VerifyError::MapRecord),
        }
    }

    /// What the leaf states.
    pub fn record(&self) -> &MapRecord {
        &self.record
    }

    fn row(
        &self,
        name: &RowName<'_>,
        row: &[u8],
        proof: &[u8],
        what: &'static str,
    ) -> Result<Option<Row>, VerifyError> {
        MapProof::decode(proof)
            .and_then(|proof| proof.verify(&self.record.root, name, row))
            .map_err(|error| VerifyError::Map { what, error })
    }

    /// Step 4 for an environment: its row, or that it has none.
    pub fn environment(
        &self,
        name: &Environment,
        row: &[u8],
        proof: &[u8],
    ) -> Result<Option<EnvironmentRow>, VerifyError> {
        let name = RowName::Environment(name);
        match self.row(&name, row, proof, "the environment")? {
            Some(Row::Environment(row)) => Ok(Some(row)),
            _ => Ok(None),
        }
    }

    /// Step 4 for a sha256: its row, or that no release ever held it.
    pub fn digest(
        &self,
        sha256: &Sha256,
        row: &[u8],
        proof: &[u8],
    ) -> Result<Option<DigestRow>, VerifyError> {
        match self.row(&RowName::Digest(sha256), row, proof, "the digest")? {
            Some(Row::Digest(row)) => Ok(Some(row)),
            _ => Ok(None),
        }
    }

    fn policy(&self, row: &[u8], proof: &[u8]) -> Result<PolicyRow, VerifyError> {
        match self.row(&RowName::Policy, row, proof, "the policy")? {
            Some(Row::Policy(row)) => Ok(row),
            _ => Err(VerifyError::PolicyChain),
        }
    }

    /// Step 6, first half: the whole chain of policies, from the pinned genesis to the row.
    pub fn policies(
        &self,
        trust: &Trust,
        row: &[u8],
        proof: &[u8],
        policies: &[PolicyEvidence],
    ) -> Result<PolicyChain, VerifyError> {
        let row = self.policy(row, proof)?;
        let (first, later) = policies.split_first().ok_or(VerifyError::PolicyChain)?;
        let genesis = LeafHash::of(&first.entry);
        if genesis != *trust.genesis() || first.index != Index(0) {
            return Err(VerifyError::WrongGenesis {
                found: genesis,
                pinned: *trust.genesis(),
            });
        }
        let genesis = Submission::decode(&first.entry, &first.document)?;
        let mut chain = PolicyChain::begin(&authenticate_genesis(genesis)?)?;
        let keys = (chain.origin(), chain.log_key(), chain.clock_key());
        if keys != (trust.origin(), trust.log_key(), trust.clock_key()) {
            return Err(VerifyError::WrongKeys);
        }
        for policy in later {
            if policy.index <= chain.current().index {
                return Err(VerifyError::PolicyChain);
            }
            let submission = Submission::decode(&policy.entry, &policy.document)?;
            let signed = chain.authority().authenticate(submission)?;
            chain.extend(policy.index, &signed)?;
        }
        if chain.row() == row {
            Ok(chain)
        } else {
            Err(VerifyError::PolicyChain)
        }
    }
}

/// Step 5: the entry that the row states, included where the row states it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct IncludedEntry {
    index: Index,
    submission: Submission,
}

impl IncludedEntry {
    fn prove(
        map: &TrustedMap<'_>,
        row: &EnvironmentRow,
        environment: &Environment,
        trust: &Trust,
        evidence: &ReleaseEvidence,
    ) -> Result<Self, VerifyError> {
        let same = |same: bool, what| same.then_some(()).ok_or(VerifyError::RowMismatch { what });
        let leaf = LeafHash::of(&evidence.entry);
        same(leaf == row.leaf, "the leaf hash")?;
        same(evidence.index == row.index, "the index")?;
        included(
            map.checkpoint.head(),
            leaf,
            row.index,
            &evidence.inclusion,
            "the entry",
        )?;
        let submission = Submission::decode(&evidence.entry, &evidence.manifest)?;
        let Content::Release(release, _) = submission.content() else {
            return Err(VerifyError::RowMismatch { what: "the kind" });
        };
        same(release.ledger == *trust.genesis(), "the ledger")?;
        same(release.environment == *environment, "the environment")?;
        same(release.sequence == row.sequence, "the sequence")?;
        same(release.action == row.action, "the action")?;
        Ok(Self {
            index: row.index,
            submission,
        })
    }

    /// Step 6, second half: the policy in force at the entry allows it, and it and its
    /// successor stand in the log where the chain says.
    fn approve(
        self,
        map: &TrustedMap<'_>,
        chain: &PolicyChain,
        policies: &[PolicyEvidence],
    ) -> Result<ApprovedRelease, VerifyError> {
        let authority = chain
            .authority_at(self.index)
            .ok_or(VerifyError::PolicyChain)?;
        let position = in_force(chain, &authority);
        for evidence in policies.iter().skip(position).take(2) {
            let leaf = LeafHash::of(&evidence.entry);
            let proof = &evidence.inclusion;
            included(
                map.checkpoint.head(),
                leaf,
                evidence.index,
                proof,
                "a policy",
            )?;
        }
        let signed = authority.authenticate(self.submission)?;
        let signers = named_signers(&authority, signed.signers());
        let Content::Release(release, manifest) = signed.submission().content() else {
            return Err(VerifyError::RowMismatch { what: "the kind" });
        };
        Ok(ApprovedRelease {
            index: self.index,
            leaf: *signed.submission().leaf(),
            policy_version: chain.current().policy.version.0,
            max_staleness: chain.current().policy.max_staleness(&release.environment),
            signers,
            release: (**release).clone(),
            manifest: manifest.clone(),
        })
    }
}

fn in_force(chain: &PolicyChain, authority: &Authority<'_>) -> usize {
    let index = authority.step().index;
    chain.steps().take_while(|step| step.index < index).count()
}

fn named_signers(
    authority: &Authority<'_>,
    keys: &[crate::key::PublicKey],
) -> Vec<(String, String)> {
    let deployers = &authority.step().policy.deployers;
    keys.iter()
        .filter_map(|key| deployers.iter().find(|deployer| deployer.key == *key))
        .map(|deployer| (deployer.name.to_string(), deployer.key.id().to_string()))
        .collect()
}

/// A release that is recorded, current as of the checkpoint, and was allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovedRelease {
    index: Index,
    leaf: LeafHash,
    policy_version: u64,
    max_staleness: Option<u64>,
    signers: Vec<(String, String)>,
    release: Release,
    manifest: Manifest,
}

impl ApprovedRelease {
    /// Where its entry stands in the log.
    pub fn index(&self) -> Index {
        self.index
    }

    /// Leaf hash of its entry.
    pub fn leaf(&self) -> &LeafHash {
        &self.leaf
    }

    /// Version of the newest policy.
    pub fn policy_version(&self) -> u64 {
        self.policy_version
    }

    /// Seconds after which the newest policy calls a proof for this environment stale.
    pub fn max_staleness(&self) -> Option<u64> {
        self.max_staleness
    }

    /// Who signed: name in the policy then in force, and keyid.
    pub fn signers(&self) -> &[(String, String)] {
        &self.signers
    }

    /// What they said.
    pub fn release(&self) -> &Release {
        &self.release
    }

    /// What the release consists of.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

/// What a ledger says of an environment, proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Current {
    /// Its current release.
    Release(Box<ApprovedRelease>),
    /// It was never released to. Carries the policy's version.
    Absent {
        /// Version of the newest policy.
        policy_version: u64,
        /// Seconds after which it calls a proof for this environment stale.
        max_staleness: Option<u64>,
    },
}

/// Steps 3 to 6 for an environment under a trusted checkpoint.
pub fn current(
    trust: &Trust,
    checkpoint: &TrustedCheckpoint,
    environment: &Environment,
    evidence: &Evidence,
) -> Result<Current, VerifyError> {
    let map = TrustedMap::prove(
        checkpoint,
        &evidence.map_record,
        &evidence.map_record_inclusion,
    )?;
    let row = map.environment(
        environment,
        &evidence.environment_row,
        &evidence.environment_proof,
    )?;
    let (policy_row, policy_proof) = (&evidence.policy_row, &evidence.policy_proof);
    let chain = map.policies(trust, policy_row, policy_proof, &evidence.policies)?;
    let Some(row) = row else {
        let newest = &chain.current().policy;
        return Ok(Current::Absent {
            policy_version: newest.version.0,
            max_staleness: newest.max_staleness(environment),
        });
    };
    let release = evidence.release.as_ref();
    let release = release.ok_or(VerifyError::Lacks {
        what: "the release",
    })?;
    let entry = IncludedEntry::prove(&map, &row, environment, trust, release)?;
    let approved = entry.approve(&map, &chain, &evidence.policies)?;
    Ok(Current::Release(Box::new(approved)))
}
