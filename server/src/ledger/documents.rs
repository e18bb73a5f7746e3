//! Where documents lie: the view's answer, overlaid with what it does not have yet.
//!
//! Invariant: a document of a published record is found here from the moment of
//! publication on.

use std::{
    collections::HashMap,
    sync::{Arc, RwLock},
};

use cairn_proto::hash::DocumentId;

use super::{reading, writing};
use crate::view::{DocumentPlace, View};

#[derive(Debug)]
pub(super) struct Documents {
    view: Arc<View>,
    recent: RwLock<HashMap<DocumentId, DocumentPlace>>,
}

impl Documents {
    pub(super) fn new(view: Arc<View>) -> Self {
        Self {
            view,
            recent: RwLock::default(),
        }
    }

    pub(super) fn place(&self, id: &DocumentId) -> Option<DocumentPlace> {
        let recent = reading(&self.recent).get(id).copied();
        recent.or_else(|| self.view.document(id))
    }

    /// Before publication.
    pub(super) fn add(&self, documents: &[(DocumentId, DocumentPlace)]) {
        writing(&self.recent).extend(documents.iter().copied());
    }

    /// After the view has them.
    pub(super) fn forget(&self, documents: &[(DocumentId, DocumentPlace)]) {
        let mut recent = writing(&self.recent);
        for (id, _) in documents {
            recent.remove(id);
        }
    }
}
