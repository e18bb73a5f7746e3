//! The view: opening it whatever state its table is in, and writing.
//! Out of scope: how the table is kept (`table`), what is in it (`rows`).

#[cfg(test)]
use std::sync::PoisonError;
use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use cairn_proto::{
    hash::{DocumentId, Index, LeafHash},
    name::Environment,
    row::{Row, RowName},
    rules::{Effect, State},
};

use super::{
    rows::{self, DocumentPlace, Watermark},
    table::{Table, remove_half_snapshots},
};

/// The rows that some records change, and the watermark after them.
#[derive(Debug, Default)]
pub(crate) struct Update {
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    documents: HashMap<DocumentId, DocumentPlace>,
    watermark: Option<Watermark>,
}

impl Update {
    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        let value = rows::seal(&key, value);
        self.rows.push((key, value));
    }

    /// The leaf hashes of a record.
    pub(crate) fn leaves(&mut self, first: Index, leaves: &[LeafHash]) {
        let value = leaves.iter().flat_map(|leaf| leaf.0).collect();
        self.put(rows::leaves_key(first), value);
    }

    /// Where a document lies.
    pub(crate) fn document(&mut self, id: &DocumentId, place: DocumentPlace) {
        self.documents.insert(*id, place);
        self.put(rows::document_key(id), place.encode());
    }

    /// Where a document lies, if this update says so.
    pub(crate) fn placed(&self, id: &DocumentId) -> Option<DocumentPlace> {
        self.documents.get(id).copied()
    }

    /// What an entry changed, as the state has it now.
    pub(crate) fn effect(&mut self, state: &State, effect: &Effect) {
        if effect.policy
            && let Some(chain) = state.chain()
        {
            let current = chain.current();
            let value = current.index.0.to_be_bytes().to_vec();
            self.put(rows::policy_key(current.policy.version), value);
        }
        if let Some(name) = &effect.environment {
            self.environment(state, name);
        }
        for sha256 in &effect.digests {
            if let Some(row @ Row::Digest(_)) = state.map().get(&RowName::Digest(sha256).key()) {
                self.put(rows::digest_key(sha256), row.encode());
            }
        }
    }

    fn environment(&mut self, state: &State, name: &Environment) {
        let Some(environment) = state.environment(name) else {
            return;
        };
        self.put(
            rows::environment_key(name),
            rows::encode_environment(environment),
        );
        if let Some(mark) = environment.releases.last() {
            let key = rows::release_key(name, environment.sequence());
            self.put(key, rows::encode_mark(mark));
        }
    }

    /// How far the rows reach.
    pub(crate) fn until(&mut self, watermark: Watermark) {
        self.watermark = Some(watermark);
    }

    /// Adds what a later record changes.
    pub(crate) fn then(&mut self, later: Self) {
        self.rows.extend(later.rows);
        self.documents.extend(later.documents);
        self.watermark = later.watermark.or(self.watermark);
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }
}

/// The view's rows, and where they are kept.
#[derive(Debug)]
pub(crate) struct View {
    table: Table,
    path: PathBuf,
    /// Rows that say where a document lies. The watermark states their number: no root
    /// covers them, so a missing one would be noticed by nothing else.
    documents: AtomicU64,
}

/// The view could not be opened or written, not even from nothing: the disk is at fault.
#[derive(Debug, thiserror::Error)]
#[error("the view at {} cannot be used: {cause}", path.display())]
pub struct ViewError {
    /// Its directory.
    pub path: PathBuf,
    /// What sled says.
    pub cause: String,
}

impl View {
    /// Opens the view, or begins an empty one where it does not open.
    pub(crate) fn open(path: &Path) -> Result<Self, ViewError> {
        remove_half_snapshots(path);
        match Table::open(path) {
            Ok(table) => Ok(Self {
                table,
                path: path.to_owned(),
                documents: AtomicU64::new(0),
            }),
            Err(cause) => {
                tracing::warn!(%cause, "the view does not open: it is rebuilt from the journal");
                Self::fresh(path)
            }
        }
    }

    /// Drops everything and begins an empty view.
    pub(crate) fn rebuild(self) -> Result<Self, ViewError> {
        #[cfg(test)]
        if let Table::Memory(shelf) = &self.table {
            shelf.lock().unwrap_or_else(PoisonError::into_inner).clear();
            return Ok(Self::on(shelf));
        }
        let path = self.path.clone();
        drop(self);
        Self::fresh(&path)
    }

    fn fresh(path: &Path) -> Result<Self, ViewError> {
        let failed = |cause: String| ViewError {
            path: path.to_owned(),
            cause,
        };
        if path.exists() {
            std::fs::remove_dir_all(path).map_err(|error| failed(error.to_string()))?;
        }
        let table = Table::open(path).map_err(failed)?;
        Ok(Self {
            table,
            path: path.to_owned(),
            documents: AtomicU64::new(0),
        })
    }

    /// Writes rows and watermark in one atomic batch. An error costs speed at the next start
    /// and nothing else.
    pub(crate) fn write(&self, update: Update) -> Result<(), ViewError> {
        let mut rows = update.rows;
        let ids = update.documents.keys();
        let new = ids.filter(|id| self.table.get(&rows::document_key(id)).is_none());
        let documents = self.documents.load(Ordering::Relaxed) + new.count() as u64;
        self.documents.store(documents, Ordering::Relaxed);
        if let Some(watermark) = update.watermark {
            let value = rows::seal(rows::WATERMARK, watermark.encode(documents));
            rows.push((rows::WATERMARK.to_vec(), value));
        }
        self.table.apply(rows).map_err(|cause| self.failed(cause))
    }

    /// Asks sled to write back what it holds.
    pub(crate) fn flush(&self) -> Result<(), ViewError> {
        self.table.flush().map_err(|cause| self.failed(cause))
    }

    /// Where a document lies; `None` if the view does not say, or says it damaged.
    pub(crate) fn document(&self, id: &DocumentId) -> Option<DocumentPlace> {
        let key = rows::document_key(id);
        let value = self.table.get(&key)?;
        DocumentPlace::decode(rows::open(&key, &value)?)
    }

    /// Every row, checksums taken off; `None` where one does not fit.
    pub(super) fn for_each(&self, mut row: impl FnMut(&[u8], &[u8]) -> Option<()>) -> Option<()> {
        self.table
            .for_each(|key, value| row(key, rows::open(key, value)?))
    }

    /// Notes how many documents the view was found to have.
    pub(super) fn counted(&self, documents: u64) {
        self.documents.store(documents, Ordering::Relaxed);
    }

    fn failed(&self, cause: String) -> ViewError {
        ViewError {
            path: self.path.clone(),
            cause,
        }
    }
}

#[cfg(test)]
impl View {
    /// A view in memory, whose rows a test has in its hands.
    pub(crate) fn on(shelf: &super::table::Shelf) -> Self {
        Self {
            table: Table::Memory(shelf.clone()),
            path: PathBuf::new(),
            documents: AtomicU64::new(0),
        }
    }

    /// A value with the checksum that belongs to it.
    pub(crate) fn seal(key: &[u8], value: &[u8]) -> Vec<u8> {
        rows::seal(key, value.to_vec())
    }
}
