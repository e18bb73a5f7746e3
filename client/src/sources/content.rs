//! Bytes that a capture names, to be read again for sending.
//!
//! Invariant: a reader never yields the last byte of a content before all of them have
//! hashed to its id. So whoever sends what it reads never completes an upload of a file
//! that changed since it was measured, or that was swapped for another.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Cursor, Read},
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use cairn_proto::hash::ContentId;

use super::{
    error::SourceError,
    root::{Root, Stamp},
};

/// Bytes of an artifact, or of a tree's file or listing.
#[derive(Debug, Clone)]
pub struct Content {
    /// Their BLAKE3.
    pub id: ContentId,
    /// Their number.
    pub size: u64,
    /// Where they are.
    pub source: ContentSource,
}

/// Where a content's bytes are.
#[derive(Debug, Clone)]
pub enum ContentSource {
    /// In a file that was measured.
    File(FileSource),
    /// In memory: a tree listing, a symbolic link's target.
    Bytes(Bytes),
}

/// A file below an input that is still open, as it was when it was measured.
#[derive(Debug, Clone)]
pub struct FileSource {
    root: Arc<Root>,
    relative: Arc<OsString>,
    stamp: Stamp,
}

impl FileSource {
    pub(super) fn new(root: Arc<Root>, relative: Arc<OsString>, stamp: Stamp) -> Self {
        Self {
            root,
            relative,
            stamp,
        }
    }

    /// Its path, for messages.
    pub fn path(&self) -> PathBuf {
        self.root.path(&self.relative)
    }

    fn open(&self) -> Result<File, SourceError> {
        let unreadable = |error| SourceError::unreadable(&self.path(), error);
        let file = self.root.open_file(&self.relative).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_file() && Stamp::of(&metadata) == self.stamp {
            Ok(file)
        } else {
            Err(SourceError::changed(&self.path()))
        }
    }
}

impl Content {
    /// Opens the bytes from `offset` on; those before are read and hashed as well.
    pub fn open(&self, offset: u64) -> Result<HashingReader, SourceError> {
        let source: Box<dyn Read + Send> = match &self.source {
            ContentSource::File(file) => Box::new(file.open()?),
            ContentSource::Bytes(bytes) => Box::new(Cursor::new(bytes.clone())),
        };
        let mut reader = HashingReader {
            source,
            hasher: blake3::Hasher::new(),
            id: self.id,
            left: self.size,
        };
        let skipped = io::copy(&mut (&mut reader).take(offset), &mut io::sink());
        match (skipped, &self.source) {
            (Ok(skipped), _) if skipped == offset.min(self.size) => Ok(reader),
            (_, ContentSource::File(file)) => Err(SourceError::changed(&file.path())),
            (_, ContentSource::Bytes(_)) => Err(SourceError::Changed {
                path: self.id.to_string(),
            }),
        }
    }
}

/// Reads a content and hashes it on the way.
///
/// A read that would yield the last byte fails with [`io::ErrorKind::InvalidData`] if the
/// bytes are not the content's; a file that became shorter fails with
/// [`io::ErrorKind::UnexpectedEof`].
pub struct HashingReader {
    source: Box<dyn Read + Send>,
    hasher: blake3::Hasher,
    id: ContentId,
    left: u64,
}

impl HashingReader {
    /// Bytes that are still to be read.
    pub fn left(&self) -> u64 {
        self.left
    }
}

impl Read for HashingReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX);
        let wanted = wanted.min(buffer.len());
        let part = buffer.get_mut(..wanted).unwrap_or_default();
        if part.is_empty() {
            return Ok(0);
        }
        let count = self.source.read(part)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.hasher.update(part.get(..count).unwrap_or_default());
        self.left = self
            .left
            .saturating_sub(u64::try_from(count).unwrap_or(u64::MAX));
        if self.left == 0 && self.hasher.finalize().as_bytes() != self.id.as_bytes() {
            part.fill(0);
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the bytes changed since they were measured",
            ));
        }
        Ok(count)
    }
}

impl std::fmt::Debug for HashingReader {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("HashingReader")
            .field("id", &self.id)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
