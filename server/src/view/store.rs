//! The sled database behind the view: opening it whatever state it is in, and writing.
//!
//! sled 0.34 panics on some damage and leaves half-written snapshots behind; both become
//! "rebuild the view" here and nowhere else.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use cairn_proto::{
    hash::{DocumentId, Index, LeafHash},
    name::Environment,
    row::{Row, RowName},
    rules::{Effect, State},
};

use super::rows::{self, DocumentPlace, Watermark};

const CACHE_BYTES: u64 = 48 << 20;

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

/// The view's database.
#[derive(Debug)]
pub(crate) struct View {
    database: sled::Db,
    path: PathBuf,
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
        match try_open(path) {
            Ok(database) => Ok(Self {
                database,
                path: path.to_owned(),
            }),
            Err(cause) => {
                tracing::warn!(%cause, "the view does not open: it is rebuilt from the journal");
                Self::fresh(path)
            }
        }
    }

    /// Drops everything and begins an empty view.
    pub(crate) fn rebuild(self) -> Result<Self, ViewError> {
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
        let database = try_open(path).map_err(failed)?;
        Ok(Self {
            database,
            path: path.to_owned(),
        })
    }

    /// Writes rows and watermark in one atomic batch. An error costs speed at the next start
    /// and nothing else.
    pub(crate) fn write(&self, update: Update) -> Result<(), ViewError> {
        let mut batch = sled::Batch::default();
        for (key, value) in update.rows {
            batch.insert(key, value);
        }
        if let Some(watermark) = update.watermark {
            let value = rows::seal(rows::WATERMARK, watermark.encode());
            batch.insert(rows::WATERMARK, value);
        }
        self.guard(|database| database.apply_batch(batch))
    }

    /// Asks sled to write back what it holds.
    pub(crate) fn flush(&self) -> Result<(), ViewError> {
        self.guard(|database| database.flush().map(drop))
    }

    /// Where a document lies; `None` if the view does not say, or says it damaged.
    pub(crate) fn document(&self, id: &DocumentId) -> Option<DocumentPlace> {
        let key = rows::document_key(id);
        let value = catch_unwind(AssertUnwindSafe(|| self.database.get(&key)));
        let value = value.ok()?.ok()??;
        DocumentPlace::decode(rows::open(&key, &value)?)
    }

    /// Every row, checksums taken off; `None` where one does not fit.
    pub(super) fn for_each(&self, mut row: impl FnMut(&[u8], &[u8]) -> Option<()>) -> Option<()> {
        let mut read = || {
            for item in self.database.iter() {
                let (key, value) = item.ok()?;
                row(&key, rows::open(&key, &value)?)?;
            }
            Some(())
        };
        catch_unwind(AssertUnwindSafe(&mut read)).ok()?
    }

    fn guard(&self, call: impl FnOnce(&sled::Db) -> sled::Result<()>) -> Result<(), ViewError> {
        let cause = match catch_unwind(AssertUnwindSafe(|| call(&self.database))) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "sled panicked".to_owned(),
        };
        Err(ViewError {
            path: self.path.clone(),
            cause,
        })
    }
}

fn try_open(path: &Path) -> Result<sled::Db, String> {
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None);
    match catch_unwind(AssertUnwindSafe(|| config.open())) {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("sled panicked".to_owned()),
    }
}

/// A kill while sled writes its snapshot leaves a file that keeps it from opening.
fn remove_half_snapshots(path: &Path) {
    let Ok(entries) = std::fs::read_dir(path) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().ends_with(".generating") {
            // If it cannot be removed, the open fails and the view is rebuilt.
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
