//! The sled database behind the view: opening it whatever state it is in, and writing.
//!
//! sled 0.34 panics on some damage and leaves half-written snapshots behind; both become
//! "rebuild the view" here and nowhere else.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use super::rows::{self, Update};

/// Rows are written at the end and read once, at start: little has to stay in memory.
const CACHE_BYTES: u64 = 8 << 20;

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
