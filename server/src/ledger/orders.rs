//! The admins' orders and hosts' standing, with their proofs.

use cairn_grpc::{hash_list, v1};
use cairn_proto::{
    checkpoint::SignedCheckpoint,
    entry::Leaf,
    hash::{Index, KeyId, LeafHash},
    merkle::prove_consistency,
    name::Environment,
    order::OrderDocument,
    row::{Row, RowName},
    rules::OrderStep,
    statement::Predicate,
};

use super::{Ledger, Refusal, Shared, head::Head, reading};
use crate::clock::now;

/// Orders of one answer, and bytes of them after which it ends.
const PAGE_ORDERS: usize = 64;
const PAGE_BYTES: usize = 1 << 20;

impl Shared {
    /// An order as it is sent, proven under a head.
    fn order(&self, head: &Head, step: &OrderStep) -> Result<v1::OrderStep, Refusal> {
        let orders = reading(&self.orders);
        let bytes = orders.iter().find(|order| order.index == step.index);
        let bytes = bytes.ok_or(Refusal::SelfCheck)?.clone();
        drop(orders);
        let inclusion = self.inclusion(step.index, LeafHash::of(&bytes.entry), head)?;
        let consistency = match &step.order {
            OrderDocument::KeySuccession(order) => {
                let note = SignedCheckpoint::parse(order.head.as_bytes());
                let from = note.map_err(|_| Refusal::SelfCheck)?.claimed_size();
                let proof = prove_consistency(&*reading(&self.tree), from, head.size());
                proof.ok_or(Refusal::SelfCheck)?
            }
            _ => Vec::new(),
        };
        Ok(v1::OrderStep {
            index: step.index.0,
            entry: bytes.entry,
            document: bytes.document,
            inclusion: hash_list(&inclusion),
            consistency: hash_list(&consistency),
        })
    }
}

impl Ledger {
    /// What a verifier of an environment's release needs to know of the orders. `entry` is the
    /// release's, empty where there is none.
    pub(super) fn orders_for(
        &self,
        head: &Head,
        environment: &Environment,
        entry: &[u8],
    ) -> Result<Vec<v1::OrderStep>, Refusal> {
        // Most ledgers never have one: then no entry is decoded for it.
        if head.chain.orders().is_empty() {
            return Ok(Vec::new());
        }
        let named = match Leaf::decode(entry) {
            Ok(Leaf::Entry(entry)) => match &entry.statement().predicate {
                Predicate::Release(release) => release.break_glass,
                _ => None,
            },
            _ => None,
        };
        let now = now();
        let steps = head.chain.orders().iter().filter(|step| match &step.order {
            OrderDocument::KeySuccession(_) => true,
            OrderDocument::BreakGlass(glass) => {
                let eases = glass.max_staleness.is_some()
                    && now < glass.expires
                    && glass.environments.matches(environment);
                Some(step.leaf) == named || eases
            }
            OrderDocument::Redaction(_) => false,
        });
        steps.map(|step| self.shared.order(head, step)).collect()
    }

    /// The orders from a number on, or those of succession.
    pub(crate) fn orders(
        &self,
        request: &v1::GetOrdersRequest,
    ) -> Result<v1::GetOrdersResponse, Refusal> {
        let head = self.head();
        let skip = usize::try_from(request.from.saturating_sub(1)).unwrap_or(usize::MAX);
        let steps = head.chain.orders().iter().skip(skip);
        let wanted = steps.filter(|step| {
            let succession = matches!(step.order, OrderDocument::KeySuccession(_));
            succession || !request.successions
        });
        let (mut orders, mut bytes) = (Vec::new(), 0);
        for step in wanted {
            let order = self.shared.order(&head, step)?;
            bytes += order.entry.len() + order.document.len();
            orders.push(order);
            let full = orders.len() >= PAGE_ORDERS || bytes >= PAGE_BYTES;
            if full && !request.successions {
                break;
            }
        }
        let relied = orders.iter().map(|order| Index(order.index));
        let relied: Vec<_> = relied.collect();
        let (policy_row, policy_proof) = Shared::policy_row(&head)?;
        Ok(v1::GetOrdersResponse {
            checkpoint: head.note.clone(),
            consistency: hash_list(&self.link(&request.trusted_checkpoint, &head)),
            orders_row: Some(self.current_proof(&head, &RowName::Orders)?),
            policy_row,
            policy_proof,
            policies: self.shared.policies(&head, relied)?,
            orders,
        })
    }

    /// A host's standing, or that it was never enrolled.
    pub(crate) fn host(&self, id: &KeyId, trusted: &[u8]) -> Result<v1::GetHostResponse, Refusal> {
        let head = self.head();
        let shared = &self.shared;
        let (row, bytes, proof) = Shared::row(&head, &RowName::Host(id))?;
        let (policy_row, policy_proof) = Shared::policy_row(&head)?;
        let mut answer = v1::GetHostResponse {
            checkpoint: head.note.clone(),
            consistency: hash_list(&self.link(trusted, &head)),
            host: Some(shared.under_map_record(&head, bytes, proof)?),
            policy_row,
            policy_proof,
            ..v1::GetHostResponse::default()
        };
        let mut newest = None;
        if let Some(Row::Host(row)) = row {
            newest = Some(row.index);
            let (entry, document) = self.entry(row.index)?;
            let leaf = LeafHash::of(&entry);
            answer.index = row.index.0;
            answer.inclusion = hash_list(&shared.inclusion(row.index, leaf, &head)?);
            answer.entry = entry;
            answer.document = document;
        }
        answer.policies = shared.policies(&head, newest)?;
        Ok(answer)
    }
}
