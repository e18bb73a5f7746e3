//! Where documents lie, shared between the sequencer, which adds, and everyone who reads.
//!
//! Invariant: a document of a published record is found here from the moment of
//! publication on.

use std::sync::RwLock;

use cairn_proto::hash::DocumentId;

use super::{reading, writing};
use crate::view::{DocumentIndex, DocumentPlace};

#[derive(Debug)]
pub(super) struct Documents(RwLock<DocumentIndex>);

impl Documents {
    pub(super) fn new(index: DocumentIndex) -> Self {
        Self(RwLock::new(index))
    }

    pub(super) fn place(&self, id: &DocumentId) -> Option<DocumentPlace> {
        reading(&self.0).place(id)
    }

    /// The documents of a record, in their order. Before publication.
    pub(super) fn add(&self, position: u64, ids: &[DocumentId]) {
        if !ids.is_empty() {
            writing(&self.0).add(position, ids.iter().copied());
        }
    }
}
