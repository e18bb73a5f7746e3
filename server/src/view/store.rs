//! The view: opening it whatever state its table is in, and writing.
//! Out of scope: how the table is kept (`table`), what is in it (`rows`).

use std::path::{Path, PathBuf};

use super::{
    rows::{self, Update},
    table::{Table, remove_half_snapshots},
};

/// The view's rows, and where they are kept.
#[derive(Debug)]
pub(crate) struct View {
    table: Table,
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
        match Table::open(path) {
            Ok(table) => Ok(Self {
                table,
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
        #[cfg(test)]
        if let Table::Memory(shelf) = &self.table {
            shelf.lock().unwrap().clear();
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
        })
    }

    /// Writes rows and watermark in one atomic batch. An error costs speed at the next start
    /// and nothing else.
    pub(crate) fn write(&self, update: Update) -> Result<(), ViewError> {
        let mut rows = update.rows;
        if let Some(watermark) = update.watermark {
            let value = rows::seal(rows::WATERMARK, watermark.encode());
            rows.push((rows::WATERMARK.to_vec(), value));
        }
        self.table.apply(rows).map_err(|cause| self.failed(cause))
    }

    /// Asks for what is held to be written back.
    pub(crate) fn flush(&self) -> Result<(), ViewError> {
        self.table.flush().map_err(|cause| self.failed(cause))
    }

    /// Every row, checksums taken off; `None` where one does not fit.
    pub(super) fn for_each(&self, row: impl FnMut(&[u8], &[u8]) -> Option<()>) -> Option<()> {
        self.table.for_each(rows::open, row)
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
        }
    }

    /// A value with the checksum that belongs to it.
    pub(crate) fn seal(key: &[u8], value: &[u8]) -> Vec<u8> {
        rows::seal(key, value.to_vec())
    }
}
