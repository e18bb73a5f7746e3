//! The admins' orders: all of them, proven complete; and proposing the next.
//!
//! Invariant: what is listed is every order that the log holds as of a checkpoint which is linked
//! to what was seen: the map's row states a root over their list.

use cairn_grpc::{OrdersAnswer, v1};
use cairn_proto::{
    checkpoint::TrustedCheckpoint,
    entry::{Leaf, Submission},
    hash::{ContentId, KeyId, LeafHash, TreeSize},
    order::OrderDocument,
    rules::{OrderStep, PolicyChain, RuleError},
    statement::{Order, Predicate, Statement, Subject},
    verify::{self, ProvenOrders, are_all_orders},
};

use crate::{error::ClientError, ledger::Ledger, proposal::Proposal};

/// Orders that are read: as many as admins could sign in a lifetime.
const ORDERS_MAX: usize = 65_536;

/// An order, and whose signatures it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// The order.
    pub step: OrderStep,
    /// Who signed.
    pub keyids: Vec<KeyId>,
    entry: Vec<u8>,
    document: Vec<u8>,
}

/// Every order of a ledger.
#[derive(Debug, Clone)]
pub struct Orders {
    ordered: Vec<Ordered>,
    checkpoint: Option<TrustedCheckpoint>,
}

impl Orders {
    /// In the order of the log; their numbers are their places, from 1.
    pub fn all(&self) -> &[Ordered] {
        &self.ordered
    }

    /// The checkpoint as of which they are all.
    pub fn checkpoint(&self) -> Option<&TrustedCheckpoint> {
        self.checkpoint.as_ref()
    }

    /// The order that erased a content, and its number.
    pub fn erased(&self, content: &ContentId) -> Option<(usize, &OrderStep)> {
        let mut numbered = self.ordered.iter().zip(1..);
        let found = numbered.find(|(ordered, _)| match &ordered.step.order {
            OrderDocument::Redaction(order) => order.contents.binary_search(content).is_ok(),
            _ => false,
        });
        found.map(|(ordered, number)| (number, &ordered.step))
    }

    /// Number of the next order, and the leaf hash of the one before it.
    fn next(&self) -> (u64, Option<LeafHash>) {
        let number = u64::try_from(self.ordered.len()).unwrap_or(u64::MAX);
        let last = self.ordered.last().map(|last| last.step.leaf);
        (number.saturating_add(1), last)
    }

    /// Proposes the next order.
    pub fn propose(
        &self,
        ledger: &Ledger,
        document: &OrderDocument,
    ) -> Result<Proposal, ClientError> {
        let bytes = document.encode();
        // What we would refuse to read we do not propose.
        OrderDocument::decode(document.kind(), &bytes).map_err(|error| ClientError::Usage {
            why: format!("this cannot be ordered: {error}"),
        })?;
        let (number, previous) = self.next();
        let order = Order {
            kind: document.kind(),
            ledger: *ledger.trust().genesis(),
            number,
            previous,
        };
        let statement = Statement {
            subject: Subject::of(&bytes),
            predicate: Predicate::Order(order),
        };
        Proposal::new(statement, bytes)
    }

    /// The order that a proposal proposes, if it is the one that can follow.
    pub fn proposed(&self, proposal: &Proposal) -> Result<OrderDocument, ClientError> {
        let Predicate::Order(order) = &proposal.statement().predicate else {
            let why = "it proposes no order".to_owned();
            return Err(ClientError::Proposal { why });
        };
        let (expected, previous) = self.next();
        if order.number != expected {
            let found = order.number;
            let rule = RuleError::WrongNumber { found, expected };
            return Err(ClientError::WouldBeRefused(rule));
        }
        if order.previous != previous {
            return Err(ClientError::WouldBeRefused(RuleError::WrongPrevious {
                found: order.previous,
                expected: previous,
            }));
        }
        let document = OrderDocument::decode(order.kind, proposal.document());
        document.map_err(|error| ClientError::Proposal {
            why: error.to_string(),
        })
    }

    /// The chain of policies as of a size, with those of these that are below it, for judging what
    /// names one of them. Later ones may be signed by admins of a policy that is not in the chain.
    pub(crate) fn on(
        &self,
        policies: PolicyChain,
        size: TreeSize,
    ) -> Result<PolicyChain, ClientError> {
        let mut chain = policies;
        let known = self.ordered.iter();
        for ordered in known.take_while(|ordered| ordered.step.index.0 < size.0) {
            let submission = Submission::decode(&ordered.entry, &ordered.document);
            let submission = submission.map_err(|error| ClientError::Verify(error.into()))?;
            let adopted = chain.adopt_order(ordered.step.index, submission);
            adopted.map_err(|error| ClientError::Verify(error.into()))?;
        }
        Ok(chain)
    }
}

impl Ledger {
    /// All orders, proven under a checkpoint that is linked to what was seen.
    pub async fn orders(&self) -> Result<Orders, ClientError> {
        let mut orders = Orders {
            ordered: Vec::new(),
            checkpoint: None,
        };
        loop {
            let (next, _) = orders.next();
            let (answer, checkpoint) = self.ask_orders(next).await?;
            let evidence = &answer.evidence;
            let row = (answer.row.as_slice(), answer.row_proof.as_slice());
            let proven = verify::orders(self.trust(), &checkpoint, evidence, row);
            let ProvenOrders { steps, row } = proven.map_err(ClientError::Verify)?;
            let number = row.as_ref().map_or(0, |row| row.number);
            let last = orders.ordered.last().map(|last| last.step.index);
            let follows = steps.first().is_some_and(|step| last < Some(step.index));
            for (step, raw) in steps.into_iter().zip(&evidence.orders) {
                orders.ordered.push(Ordered {
                    step,
                    keyids: keyids(&raw.entry)?,
                    entry: raw.entry.clone(),
                    document: raw.document.clone(),
                });
            }
            orders.checkpoint = Some(checkpoint);
            let known = u64::try_from(orders.ordered.len()).unwrap_or(u64::MAX);
            let steps = orders.ordered.iter().map(|ordered| &ordered.step);
            if known == number && are_all_orders(steps, row.as_ref()) {
                return Ok(orders);
            }
            if !follows || known >= number || orders.ordered.len() > ORDERS_MAX {
                let what = "all of the orders that its map states".to_owned();
                return Err(ClientError::Lacks { what });
            }
        }
    }

    async fn ask_orders(
        &self,
        from: u64,
    ) -> Result<(OrdersAnswer, TrustedCheckpoint), ClientError> {
        let held = self.held().load()?;
        let request = v1::GetOrdersRequest {
            trusted_checkpoint: Self::note_of(held.as_ref()),
            successions: false,
            from,
        };
        let answer = OrdersAnswer::try_from(self.connection().get_orders(request).await?)?;
        let (note, consistency) = (&answer.checkpoint, &answer.consistency);
        let checkpoint = self.trusted(held.as_ref(), note, consistency).await?;
        Self::current(&checkpoint)?;
        self.remember(held.as_ref(), &checkpoint, None, 0).await?;
        Ok((answer, checkpoint))
    }
}

fn keyids(entry: &[u8]) -> Result<Vec<KeyId>, ClientError> {
    match Leaf::decode(entry).map_err(|error| ClientError::Verify(error.into()))? {
        Leaf::Entry(entry) => {
            let signatures = entry.envelope().signatures().iter();
            Ok(signatures.map(|signature| signature.keyid).collect())
        }
        Leaf::MapRecord(_) => Ok(Vec::new()),
    }
}
