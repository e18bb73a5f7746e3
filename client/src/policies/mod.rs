//! Policies: who may do what now, who could then, and how that is changed.
//!
//! ```text
//! file --draft--> next policy --propose--> Proposal --sign, sign--> --submit--> in force
//! ```
//!
//! Invariant: a policy is proposed, signed and sent only after the rules that the server and
//! every verifier apply accept it as the next one.

mod changes;
mod draft;

use cairn_grpc::v1;
use cairn_proto::{
    checkpoint::TrustedCheckpoint,
    entry::Leaf,
    hash::{Index, KeyId, LeafHash, Version},
    limits::ENTRY_BYTES_MAX,
    name::Environment,
    policy::Policy,
    rules::{PolicyChain, PolicyStep},
    statement::{PolicyChange, Predicate, Statement, Subject},
    verify::Recorded,
};

pub use changes::changes;
pub use draft::{draft, pretty, revoking};

use crate::{
    error::ClientError,
    ledger::{Ledger, Looked},
    proposal::Proposal,
};

/// An environment that nobody names: every lookup proves all policies, and is as of a checkpoint.
pub(crate) fn anywhere() -> Result<Environment, ClientError> {
    "a".parse().map_err(|_| ClientError::Lacks {
        what: "an environment".to_owned(),
    })
}

/// Entries after a policy's that are searched for the map record that covers it.
const RECORD_ENTRIES_MAX: u64 = 2_048;

/// Every version of a ledger's policy, proven.
#[derive(Debug, Clone)]
pub struct Policies {
    checkpoint: TrustedCheckpoint,
    chain: PolicyChain,
    keyids: Vec<Vec<KeyId>>,
}

impl Policies {
    pub(crate) fn of(ledger: &Ledger, looked: &Looked) -> Result<Self, ClientError> {
        let chain = looked
            .policies(ledger.trust())
            .map_err(ClientError::Verify)?;
        let keyids = looked.evidence.policies.iter().map(|policy| {
            match Leaf::decode(&policy.entry).map_err(|error| ClientError::Verify(error.into()))? {
                Leaf::Entry(entry) => {
                    let signatures = entry.envelope().signatures().iter();
                    Ok(signatures.map(|signature| signature.keyid).collect())
                }
                Leaf::MapRecord(_) => Ok(Vec::new()),
            }
        });
        Ok(Self {
            checkpoint: looked.checkpoint.clone(),
            keyids: keyids.collect::<Result<_, ClientError>>()?,
            chain,
        })
    }

    /// The checkpoint under which they are all.
    pub fn checkpoint(&self) -> &TrustedCheckpoint {
        &self.checkpoint
    }

    /// What the policy in force at an entry calls keys that signed it; a keyid where it has no
    /// name for one.
    pub fn names_at(&self, index: Index, keyids: &[KeyId]) -> Vec<String> {
        let policy = self.chain.authority_at(index);
        let policy = policy.map_or_else(
            || self.chain.steps().next().map(|step| &step.policy),
            |authority| Some(&authority.step().policy),
        );
        let name = |keyid: &KeyId| {
            let deployer = policy.and_then(|policy| policy.deployer(keyid));
            let admin = policy.and_then(|policy| policy.admin(keyid));
            let name = deployer.map(|deployer| &deployer.name);
            name.or(admin.map(|admin| &admin.name))
                .map_or_else(|| keyid.to_string(), ToString::to_string)
        };
        keyids.iter().map(name).collect()
    }

    /// The chain that they form.
    pub fn chain(&self) -> &PolicyChain {
        &self.chain
    }

    /// The policy in force.
    pub fn current(&self) -> &PolicyStep {
        self.chain.current()
    }

    /// Whether a key's signature on the entry at an index counts for nothing by now.
    pub fn strikes(&self, keyid: &KeyId, index: Index) -> bool {
        let mut revoked = self.current().policy.revoked.iter();
        revoked.any(|revocation| revocation.key.id() == *keyid && revocation.strikes(index))
    }

    /// Every version, ascending, with the names of the admins who signed it, as that version or
    /// the one before calls them.
    pub fn history(&self) -> Vec<(&PolicyStep, Vec<String>)> {
        let mut before: Option<&PolicyStep> = None;
        let steps = self.chain.steps().zip(&self.keyids).map(|(step, keyids)| {
            let names = keyids.iter().map(|keyid| {
                let own = step.policy.admin(keyid);
                let admin = own.or_else(|| before.and_then(|step| step.policy.admin(keyid)));
                admin.map_or_else(|| keyid.to_string(), |admin| admin.name.to_string())
            });
            let mut names: Vec<_> = names.collect();
            names.sort();
            before = Some(step);
            (step, names)
        });
        steps.collect()
    }

    /// A version.
    pub fn version(&self, version: Version) -> Option<&PolicyStep> {
        self.chain
            .steps()
            .find(|step| step.policy.version == version)
    }

    /// Proposes the next version.
    pub fn propose(&self, next: &Policy) -> Result<Proposal, ClientError> {
        let current = self.current();
        let document = next.encode();
        let change = PolicyChange {
            ledger: *self.chain.ledger(),
            previous: current.leaf,
            version: next.version,
        };
        self.chain
            .authority()
            .follows(&change, next)
            .map_err(ClientError::WouldBeRefused)?;
        let statement = Statement {
            subject: Subject::of(&document),
            predicate: Predicate::Policy(change),
        };
        Proposal::new(statement, document)
    }

    /// The policy that a proposal proposes, if it is one that can follow.
    pub fn proposed(&self, proposal: &Proposal) -> Result<Policy, ClientError> {
        let Predicate::Policy(change) = &proposal.statement().predicate else {
            return Err(ClientError::Proposal {
                why: "it proposes no policy".to_owned(),
            });
        };
        let next = Policy::decode(proposal.document()).map_err(|error| ClientError::Proposal {
            why: error.to_string(),
        })?;
        self.chain
            .authority()
            .follows(change, &next)
            .map_err(ClientError::WouldBeRefused)?;
        Ok(next)
    }
}

impl Ledger {
    /// All policies, proven under a checkpoint that is linked to what was seen.
    pub async fn policies(&self) -> Result<Policies, ClientError> {
        let looked = self.lookup(&anywhere()?).await?;
        Policies::of(self, &looked)
    }

    /// Sends a proposed policy, and returns where it took effect once it is proven in force.
    pub async fn submit_policy(&self, proposal: &Proposal) -> Result<Index, ClientError> {
        let policies = self.policies().await?;
        let entry = proposal.entry()?;
        let leaf = LeafHash::of(&entry);
        if let Some(step) = policies.chain.steps().find(|step| step.leaf == leaf) {
            // An answer that was lost: it stands already.
            return Ok(step.index);
        }
        policies.proposed(proposal)?;
        proposal.standing(policies.chain())?.ready()?;
        let recorded = self.append_proven(proposal).await?;
        // In force is what the map's chain of policies says, not what the receipt does.
        let now = self.policies().await?;
        let step = now.chain.steps().find(|step| step.leaf == leaf);
        match step {
            Some(step) if step.index == recorded.index() => Ok(step.index),
            _ => Err(ClientError::Lacks {
                what: "the policy in its chain".to_owned(),
            }),
        }
    }

    /// When an entry took effect: the time of the map record that first covers it, Unix
    /// milliseconds.
    pub async fn effective(&self, index: Index) -> Result<u64, ClientError> {
        let held = self.held().load()?;
        for offset in 1..=RECORD_ENTRIES_MAX {
            let request = v1::GetEntryRequest {
                index: index.0.saturating_add(offset),
                size: 0,
            };
            let answer = self.connection().get_entry(request).await?;
            if answer.entry.len() > ENTRY_BYTES_MAX {
                return Err(ClientError::TooLarge { what: "an entry" });
            }
            let checkpoint = self
                .trusted_unasked(held.as_ref(), &answer.checkpoint)
                .await?;
            let inclusion = cairn_grpc::hashes(&answer.inclusion, "inclusion")?;
            let at = Index(request.index);
            Recorded::prove(checkpoint.head(), &answer.entry, at, &inclusion)
                .map_err(ClientError::Verify)?;
            match Leaf::decode(&answer.entry).map_err(|error| ClientError::Verify(error.into()))? {
                Leaf::MapRecord(record) => return Ok(record.time),
                Leaf::Entry(_) => {}
            }
        }
        Err(ClientError::Lacks {
            what: format!("a map record after entry {index}"),
        })
    }
}
