//! Messages to proto's types and back. Bounds are checked here; truth is not.

use bytes::Bytes;
use cairn_proto::{
    hash::{Index, NodeHash},
    limits::PROOF_HASHES_MAX,
    verify::{
        ApprovalEvidence, EntryEvidence, Evidence, HostEvidence, OrderEvidence, PolicyEvidence,
        ReleaseEvidence,
    },
};
use thiserror::Error;

use crate::v1;

/// A field of a message that is not of its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("field `{0}` is malformed")]
pub struct FieldError(pub &'static str);

/// 32 bytes, or which field is not.
pub fn id32(bytes: &[u8], field: &'static str) -> Result<[u8; 32], FieldError> {
    bytes.try_into().map_err(|_| FieldError(field))
}

/// The hashes of a proof; more than any tree calls for are refused.
pub fn hashes(list: &[Bytes], field: &'static str) -> Result<Vec<NodeHash>, FieldError> {
    if list.len() > PROOF_HASHES_MAX {
        return Err(FieldError(field));
    }
    list.iter()
        .map(|hash| id32(hash, field).map(NodeHash))
        .collect()
}

/// The hashes of a proof, to send: slices of one buffer.
pub fn hash_list(hashes: &[NodeHash]) -> Vec<Bytes> {
    let all: Vec<u8> = hashes.iter().flat_map(|hash| hash.0).collect();
    let mut all = Bytes::from(all);
    hashes
        .iter()
        .map(|hash| all.split_to(hash.as_bytes().len()))
        .collect()
}

/// A `Lookup` answer, raw: the note, the link to the caller's, and the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupAnswer {
    /// The note.
    pub checkpoint: Vec<u8>,
    /// Consistency with the note that the caller sent.
    pub consistency: Vec<NodeHash>,
    /// What proves the rest.
    pub evidence: Evidence,
}

impl TryFrom<v1::LookupResponse> for LookupAnswer {
    type Error = FieldError;

    fn try_from(message: v1::LookupResponse) -> Result<Self, FieldError> {
        let environment = message.environment.ok_or(FieldError("environment"))?;
        let release = if message.entry.is_empty() {
            None
        } else {
            Some(ReleaseEvidence {
                index: Index(message.index),
                entry: message.entry.to_vec(),
                inclusion: hashes(&message.inclusion, "inclusion")?,
                manifest: message.manifest.to_vec(),
            })
        };
        Ok(Self {
            checkpoint: message.checkpoint.to_vec(),
            consistency: hashes(&message.consistency, "consistency")?,
            evidence: Evidence {
                map_record: environment.map_record.to_vec(),
                map_record_inclusion: hashes(
                    &environment.map_record_inclusion,
                    "environment.map_record_inclusion",
                )?,
                environment_row: environment.row.to_vec(),
                environment_proof: environment.row_proof.to_vec(),
                policy_row: message.policy_row.to_vec(),
                policy_proof: message.policy_proof.to_vec(),
                policies: policies(&message.policies)?,
                release,
                orders: orders(&message.orders)?,
                approval: message.approval.as_ref().map(approval).transpose()?,
            },
        })
    }
}

fn policies(steps: &[v1::PolicyStep]) -> Result<Vec<PolicyEvidence>, FieldError> {
    let steps = steps.iter().map(|step| {
        Ok(PolicyEvidence {
            index: Index(step.index),
            entry: step.entry.to_vec(),
            document: step.document.to_vec(),
            inclusion: hashes(&step.inclusion, "policies.inclusion")?,
        })
    });
    steps.collect()
}

fn orders(steps: &[v1::OrderStep]) -> Result<Vec<OrderEvidence>, FieldError> {
    let steps = steps.iter().map(|step| {
        Ok(OrderEvidence {
            index: Index(step.index),
            entry: step.entry.to_vec(),
            document: step.document.to_vec(),
            inclusion: hashes(&step.inclusion, "orders.inclusion")?,
            consistency: hashes(&step.consistency, "orders.consistency")?,
        })
    });
    steps.collect()
}

fn approval(step: &v1::ApprovalStep) -> Result<ApprovalEvidence, FieldError> {
    Ok(ApprovalEvidence {
        index: Index(step.index),
        entry: step.entry.to_vec(),
        inclusion: hashes(&step.inclusion, "approval.inclusion")?,
    })
}

/// A `GetOrders` answer, raw: the note, the link to the caller's, and the evidence, whose
/// environment is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrdersAnswer {
    /// The note.
    pub checkpoint: Vec<u8>,
    /// Consistency with the note that the caller sent.
    pub consistency: Vec<NodeHash>,
    /// The row of the orders; empty where there is none.
    pub row: Vec<u8>,
    /// The map proof for it.
    pub row_proof: Vec<u8>,
    /// What proves the rest.
    pub evidence: Evidence,
}

impl TryFrom<v1::GetOrdersResponse> for OrdersAnswer {
    type Error = FieldError;

    fn try_from(message: v1::GetOrdersResponse) -> Result<Self, FieldError> {
        let row = message.orders_row.ok_or(FieldError("orders_row"))?;
        let inclusion = &row.map_record_inclusion;
        Ok(Self {
            checkpoint: message.checkpoint.to_vec(),
            consistency: hashes(&message.consistency, "consistency")?,
            row: row.row.to_vec(),
            row_proof: row.row_proof.to_vec(),
            evidence: Evidence {
                map_record: row.map_record.to_vec(),
                map_record_inclusion: hashes(inclusion, "orders_row.map_record_inclusion")?,
                policy_row: message.policy_row.to_vec(),
                policy_proof: message.policy_proof.to_vec(),
                policies: policies(&message.policies)?,
                orders: orders(&message.orders)?,
                ..Evidence::default()
            },
        })
    }
}

/// A `GetHost` answer, raw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostAnswer {
    /// The note.
    pub checkpoint: Vec<u8>,
    /// Consistency with the note that the caller sent.
    pub consistency: Vec<NodeHash>,
    /// What proves the host's standing.
    pub evidence: HostEvidence,
}

impl TryFrom<v1::GetHostResponse> for HostAnswer {
    type Error = FieldError;

    fn try_from(message: v1::GetHostResponse) -> Result<Self, FieldError> {
        let host = message.host.ok_or(FieldError("host"))?;
        let inclusion = &host.map_record_inclusion;
        let inclusion = hashes(inclusion, "host.map_record_inclusion")?;
        let newest = (!message.entry.is_empty()).then_some(&message.inclusion);
        let newest = newest.map(|inclusion| {
            Ok(EntryEvidence {
                index: Index(message.index),
                entry: message.entry.to_vec(),
                document: message.document.to_vec(),
                inclusion: hashes(inclusion, "inclusion")?,
            })
        });
        Ok(Self {
            checkpoint: message.checkpoint.to_vec(),
            consistency: hashes(&message.consistency, "consistency")?,
            evidence: HostEvidence {
                map_record: host.map_record.to_vec(),
                map_record_inclusion: inclusion,
                row: host.row.to_vec(),
                row_proof: host.row_proof.to_vec(),
                policy_row: message.policy_row.to_vec(),
                policy_proof: message.policy_proof.to_vec(),
                policies: policies(&message.policies)?,
                newest: newest.transpose()?,
            },
        })
    }
}

impl From<LookupAnswer> for v1::LookupResponse {
    fn from(answer: LookupAnswer) -> Self {
        let evidence = answer.evidence;
        let release = evidence.release.unwrap_or_else(|| ReleaseEvidence {
            index: Index(0),
            entry: Vec::new(),
            inclusion: Vec::new(),
            manifest: Vec::new(),
        });
        let policies = evidence.policies.into_iter().map(|policy| v1::PolicyStep {
            index: policy.index.0,
            entry: policy.entry.into(),
            document: policy.document.into(),
            inclusion: hash_list(&policy.inclusion),
        });
        let orders = evidence.orders.into_iter().map(|order| v1::OrderStep {
            index: order.index.0,
            entry: order.entry.into(),
            document: order.document.into(),
            inclusion: hash_list(&order.inclusion),
            consistency: hash_list(&order.consistency),
        });
        Self {
            checkpoint: answer.checkpoint.into(),
            consistency: hash_list(&answer.consistency),
            environment: Some(v1::CurrentProof {
                map_record: evidence.map_record.into(),
                map_record_inclusion: hash_list(&evidence.map_record_inclusion),
                row: evidence.environment_row.into(),
                row_proof: evidence.environment_proof.into(),
            }),
            policy_row: evidence.policy_row.into(),
            policy_proof: evidence.policy_proof.into(),
            policies: policies.collect(),
            index: release.index.0,
            entry: release.entry.into(),
            inclusion: hash_list(&release.inclusion),
            manifest: release.manifest.into(),
            orders: orders.collect(),
            approval: evidence.approval.map(|approval| v1::ApprovalStep {
                index: approval.index.0,
                entry: approval.entry.into(),
                inclusion: hash_list(&approval.inclusion),
            }),
        }
    }
}
