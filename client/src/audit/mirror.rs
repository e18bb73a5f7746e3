//! A copy of a log in the layout of the read API: what a killed audit continues from, and
//! what an auditor can serve or audit again.
//!
//! Nothing in it is believed (see [`super`]), so files are renamed into place and not
//! synced: one that a power failure tore is found out like any other wrong byte.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cairn_proto::tile::Tile;

use crate::{connect::ReadApi, error::HomeError, files};

/// The copy.
#[derive(Debug, Clone)]
pub(super) struct Mirror {
    directory: PathBuf,
    copy: ReadApi,
}

impl Mirror {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            copy: ReadApi::directory(directory),
        }
    }

    /// Throws a copy away; `false` if there was nothing in it.
    pub(super) fn discard(directory: &Path) -> Result<bool, HomeError> {
        let mut any = false;
        for part in ["tile", "documents", "document"] {
            let path = directory.join(part);
            match fs::remove_dir_all(&path) {
                Ok(()) => any = true,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(files::io_error(&path)(error)),
            }
        }
        Ok(any)
    }

    /// The copy's own read API.
    pub(super) fn copy(&self) -> &ReadApi {
        &self.copy
    }

    pub(super) fn keep_tile(&self, tile: &Tile, bytes: &[u8]) -> Result<(), HomeError> {
        self.keep(&tile.to_string(), bytes)
    }

    pub(super) fn keep(&self, path: &str, bytes: &[u8]) -> Result<(), HomeError> {
        files::write_unsynced(&self.directory.join(path), bytes)
    }

    /// The note is written last: it never names what the copy does not have.
    pub(super) fn finish(&self, note: &[u8]) -> Result<(), HomeError> {
        files::write(&self.directory.join("checkpoint"), note)
    }
}
