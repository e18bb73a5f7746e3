//! Content that is not there because the admins ordered it erased.
//!
//! Invariant: nothing is called erased because a server says so. Somebody says so here only where
//! an order of the admins that lists the content is proven to be in the log.

use std::{collections::BTreeMap, fmt, sync::Arc};

use cairn_proto::{hash::ContentId, manifest::Bytes, reason::Reason};
use serde::Serialize;
use tokio::sync::Mutex;

use super::{Proven, Want};
use crate::{detail::printable, error::ClientError, ledger::Ledger, orders::Orders};

/// Orders that were proven once: what they erased stays erased.
pub(crate) type ProvenBefore = Arc<Mutex<Option<Arc<Orders>>>>;

/// An order that erased something, and what it erased of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erasure {
    /// The artifact.
    pub artifact: String,
    /// The order's number, from 1.
    pub order: usize,
    /// Index of its entry.
    pub index: u64,
    /// Why, in the admins' words.
    pub reason: String,
}

impl fmt::Display for Erasure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (artifact, reason) = (printable(&self.artifact), printable(&self.reason));
        let Self { order, index, .. } = self;
        write!(
            out,
            "{artifact} was erased by order {order} (index {index}): {reason}"
        )
    }
}

impl Erasure {
    fn find(orders: &Orders, content: &ContentId, artifact: &str) -> Option<Self> {
        let (order, step) = orders.erased(content)?;
        Some(Self {
            artifact: artifact.to_owned(),
            order,
            index: step.index.0,
            reason: step.order.reason().to_owned(),
        })
    }
}

impl Ledger {
    /// Which of some recorded contents were erased, as of now.
    pub(crate) async fn erasures(
        &self,
        contents: impl Iterator<Item = (&String, &ContentId)>,
    ) -> Result<Vec<Erasure>, ClientError> {
        let orders = self.prove_orders().await?;
        let found = contents.filter_map(|(artifact, id)| Erasure::find(&orders, id, artifact));
        Ok(found.collect())
    }

    /// Which of a release's own artifacts were erased, as of now. What is said of the release stands
    /// without it: where no orders are to be had, none is named.
    pub async fn erased_of(&self, proven: &Proven) -> Result<Vec<Erasure>, ClientError> {
        let artifacts = proven.manifest.artifacts().iter();
        let stored: BTreeMap<_, _> = artifacts
            .filter_map(|artifact| match &artifact.bytes {
                Bytes::Stored { digests, .. } => Some((artifact.name.to_string(), digests.blake3)),
                _ => None,
            })
            .collect();
        match self.erasures(stored.iter()).await {
            Err(error) if error.evidence().is_none() => Ok(Vec::new()),
            found => found,
        }
    }

    async fn prove_orders(&self) -> Result<Arc<Orders>, ClientError> {
        let orders = Arc::new(self.orders().await?);
        *self.proven_orders().lock().await = Some(Arc::clone(&orders));
        Ok(orders)
    }

    /// What a server's refusal says of a content: if it is that it was erased, then by which order,
    /// or that this is not proven.
    pub(super) async fn why_not(&self, error: ClientError, want: &Want<'_>) -> ClientError {
        if error.reason() != Some(Reason::ContentErased) {
            return error;
        }
        self.why_erased(&want.digests.blake3, want.name).await
    }

    /// By which order a content was erased, or that it is not proven that any did.
    pub(crate) async fn why_erased(&self, id: &ContentId, name: &str) -> ClientError {
        let known = self.proven_orders().lock().await.clone();
        let mut found = known.and_then(|orders| Erasure::find(&orders, id, name));
        if found.is_none() {
            match self.prove_orders().await {
                Ok(orders) => found = Erasure::find(&orders, id, name),
                Err(error) => return error,
            }
        }
        match found {
            Some(erasure) => ClientError::Erased(erasure),
            None => ClientError::Lacks {
                what: format!("an order that erased {name}, which it says was: not proven"),
            },
        }
    }
}
