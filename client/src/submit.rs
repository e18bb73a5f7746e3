//! Sending a statement that enough have signed: approvals, enrolments, orders. Releases and
//! policies have more to look at, and go their own ways (`record`, `policies`) to the same append.
//!
//! Invariant: what is returned was proven to stand where the server says.

use cairn_grpc::v1;
use cairn_proto::{
    entry::Leaf,
    hash::{DocumentId, Index, KeyId, LeafHash},
    host::HostRecord,
    name::{Environment, TimeText},
    order::OrderDocument,
    rules::RuleError,
    statement::{Approval, Enrolment, Predicate, Standing as HostStanding, Statement, Subject},
    verify::{Current, Recorded},
};

use crate::{
    clock,
    error::ClientError,
    hosts::KnownHost,
    ledger::{Ledger, Looked},
    proposal::Proposal,
};

/// What a proposal of these kinds proposes, checked as far as that can follow what stands.
#[derive(Debug, Clone)]
pub enum Proposed {
    /// Other signers for a release that stands.
    Approval(Box<Approval>, Box<Approved>),
    /// A host's coming or going, and where it is enrolled now.
    Enrolment(Box<Enrolment>, Box<HostRecord>, Option<Environment>),
    /// An order, and its number.
    Order(u64, Box<OrderDocument>),
}

/// The release that an approval is of, as it stands.
#[derive(Debug, Clone)]
pub struct Approved {
    /// Where its entry stands.
    pub index: Index,
    /// Leaf hash of its entry.
    pub leaf: LeafHash,
    /// What it consists of.
    pub manifest: DocumentId,
    /// How many artifacts that has.
    pub artifacts: usize,
    /// Whose signatures its entry carries.
    pub keyids: Vec<KeyId>,
    /// Why it does not stand, if it does not.
    pub why: Option<RuleError>,
}

impl Ledger {
    /// Proposes an approval of an environment's current release.
    pub async fn propose_approval(
        &self,
        environment: &Environment,
        reason: Option<String>,
    ) -> Result<Proposal, ClientError> {
        let looked = self.lookup(environment).await?;
        let Some((release, leaf)) = looked.current.last() else {
            let what = format!("a release in {environment}");
            return Err(ClientError::NotFound { what });
        };
        let approval = Approval {
            ledger: *self.trust().genesis(),
            environment: environment.clone(),
            sequence: release.sequence,
            release: *leaf,
            number: approved_so_far(&looked)?.saturating_add(1),
            reason,
            created_at: self.time_text()?,
        };
        let document = looked.evidence.release.as_ref();
        let document = document.map(|it| it.manifest.clone()).unwrap_or_default();
        let statement = Statement {
            subject: Subject::of(&document),
            predicate: Predicate::Approval(Box::new(approval)),
        };
        Proposal::new(statement, document)
    }

    /// Proposes a host's enrolment, or its dismissal, after what is known of it.
    pub fn propose_enrolment(
        &self,
        action: HostStanding,
        record: &HostRecord,
        known: Option<&KnownHost>,
        reason: Option<String>,
    ) -> Result<Proposal, ClientError> {
        let document = record.encode();
        let before = known.map(|known| (known.proven.enrolment().number, known.leaf));
        let enrolment = Enrolment {
            ledger: *self.trust().genesis(),
            action,
            number: before.map_or(1, |(number, _)| number.saturating_add(1)),
            previous: before.map(|(_, leaf)| leaf),
            reason,
            created_at: self.time_text()?,
        };
        let statement = Statement {
            subject: Subject::of(&document),
            predicate: Predicate::Enrolment(Box::new(enrolment)),
        };
        Proposal::new(statement, document)
    }

    /// What a proposal proposes, if it was made for this ledger and can follow what stands.
    pub async fn proposed(&self, proposal: &Proposal) -> Result<Proposed, ClientError> {
        let wrong = |why: &str| ClientError::Proposal {
            why: why.to_owned(),
        };
        let this = self.trust().genesis();
        match &proposal.statement().predicate {
            Predicate::Approval(approval) if approval.ledger == *this => {
                let looked = self.lookup(&approval.environment).await?;
                let last = looked.current.last();
                let last = last.map(|(release, leaf)| (release.sequence, *leaf));
                if last != Some((approval.sequence, approval.release)) {
                    return Err(ClientError::RaceLost {
                        environment: approval.environment.clone(),
                        between: Vec::new(),
                    });
                }
                let approved = approved(&looked)?;
                Ok(Proposed::Approval(approval.clone(), Box::new(approved)))
            }
            Predicate::Enrolment(enrolment) if enrolment.ledger == *this => {
                let record = HostRecord::decode(proposal.document());
                let record = record.map_err(|error| wrong(&error.to_string()))?;
                let known = self.host(&record.id()).await?;
                let before = known.as_ref().map(|known| known.proven.enrolment().number);
                let expected = before.unwrap_or(0).saturating_add(1);
                if enrolment.number != expected {
                    let found = enrolment.number;
                    let rule = RuleError::WrongNumber { found, expected };
                    return Err(ClientError::WouldBeRefused(rule));
                }
                let now = known.filter(|known| known.proven.is_enrolled());
                let now = now.map(|known| known.proven.record().environment.clone());
                let record = Box::new(record);
                Ok(Proposed::Enrolment(enrolment.clone(), record, now))
            }
            Predicate::Order(order) if order.ledger == *this => {
                let document = self.orders().await?.proposed(proposal)?;
                Ok(Proposed::Order(order.number, Box::new(document)))
            }
            Predicate::Approval(_) | Predicate::Enrolment(_) | Predicate::Order(_) => {
                Err(wrong("it was made for another ledger"))
            }
            Predicate::Policy(_) => Err(wrong("it proposes a policy: `cairn policy`")),
            Predicate::Release(_) => Err(wrong("it proposes a release: `cairn release`")),
            Predicate::Genesis(_) => Err(wrong("it begins a ledger")),
        }
    }

    /// Sends a proposal that enough have signed. One that stands already is found again.
    pub async fn submit(&self, proposal: &Proposal) -> Result<Recorded, ClientError> {
        let policies = self.policies().await?;
        proposal.standing(policies.chain())?.ready()?;
        self.append_proven(proposal).await
    }

    pub(crate) async fn append_proven(&self, proposal: &Proposal) -> Result<Recorded, ClientError> {
        let entry = proposal.entry()?;
        let held = self.held().load()?;
        let request = v1::AppendRequest {
            envelope: entry.clone().into(),
            document: proposal.document().to_vec().into(),
            trusted_checkpoint: Self::note_of(held.as_ref()),
        };
        let answer = self.connection().append(request).await?;
        let consistency = cairn_grpc::hashes(&answer.consistency, "consistency")?;
        let checkpoint = self
            .trusted(held.as_ref(), &answer.checkpoint, &consistency)
            .await?;
        let inclusion = cairn_grpc::hashes(&answer.inclusion, "inclusion")?;
        let recorded = Recorded::prove(checkpoint.head(), &entry, Index(answer.index), &inclusion)
            .map_err(ClientError::Verify)?;
        self.remember(held.as_ref(), &checkpoint, None, 0).await?;
        Ok(recorded)
    }

    pub(crate) fn time_text(&self) -> Result<TimeText, ClientError> {
        let now = clock::time_text(self.now());
        now.parse().map_err(|_| ClientError::Usage {
            why: "this machine's clock shows no year that can be written".to_owned(),
        })
    }
}

fn approved(looked: &Looked) -> Result<Approved, ClientError> {
    let lacks = || ClientError::Lacks {
        what: "the release".to_owned(),
    };
    let evidence = looked.evidence.release.as_ref().ok_or_else(lacks)?;
    let entry = Leaf::decode(&evidence.entry).map_err(|error| ClientError::Verify(error.into()))?;
    let Leaf::Entry(entry) = entry else {
        return Err(lacks());
    };
    let signatures = entry.envelope().signatures().iter();
    let why = match &looked.current {
        Current::Compromised(compromised) => Some(compromised.why().clone()),
        _ => None,
    };
    Ok(Approved {
        index: evidence.index,
        leaf: *entry.leaf(),
        manifest: entry.statement().subject.blake3,
        artifacts: looked.artifacts(),
        keyids: signatures.map(|signature| signature.keyid).collect(),
        why,
    })
}

/// How often the current release was approved, by the approval that came with the answer: the
/// server gives the newest, and refuses a number that is not the next.
fn approved_so_far(looked: &Looked) -> Result<u64, ClientError> {
    let Some(approval) = &looked.evidence.approval else {
        return Ok(0);
    };
    let entry = Leaf::decode(&approval.entry);
    match entry.map_err(|error| ClientError::Verify(error.into()))? {
        Leaf::Entry(entry) => match &entry.statement().predicate {
            Predicate::Approval(approval) => Ok(approval.number),
            _ => Ok(0),
        },
        Leaf::MapRecord(_) => Ok(0),
    }
}
