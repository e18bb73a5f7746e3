//! How far an upload was known to be right: lengths, and what the bytes up to there hash to.
//!
//! ```text
//! staging/<owner>/<id>.marks   length u64, BLAKE3 of so many bytes [32]; again and again
//! ```
//!
//! Invariant: nothing here is trusted or synced. A process that finds an unfinished upload
//! hashes it again, and what agrees with a mark is what was once received, whatever a crash
//! did to the file or to the marks: bytes after the last mark that agrees are sent again.
//! Out of scope: hashing (`upload`).

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use cairn_proto::hash::ContentId;

use crate::{
    disk::{Disk, DiskFile},
    segment::StoreError,
};

/// Bytes between two marks: what a crash can cost, beside what was on its way.
const MARK_EVERY_BYTES: u64 = 1 << 20;
const MARK_BYTES: usize = 40;
/// Marks that are read: more than the largest content has, for whoever damaged the file.
const MARKS_MAX: u64 = 1 << 18;

/// One length and its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) bytes: u64,
    pub(super) found: ContentId,
}

/// The marks of one upload.
#[derive(Debug)]
pub(super) struct Marks {
    path: PathBuf,
    /// `None` before the first mark.
    file: Option<Arc<dyn DiskFile>>,
    /// Those of an earlier process, until it is known which hold.
    noted: Vec<Mark>,
    count: u64,
    /// Bytes at the newest one.
    last: u64,
}

/// Where the marks of a staged file are.
pub(super) fn marks_path(staged: &Path) -> PathBuf {
    staged.with_extension("marks")
}

/// Removes marks whose upload is gone; `false` for any other file.
pub(super) fn sweep(disk: &dyn Disk, path: &Path) -> bool {
    let are_marks = path
        .extension()
        .is_some_and(|extension| extension == "marks");
    let gone = |error: io::Error| error.kind() == io::ErrorKind::NotFound;
    // Best effort: they cost nothing but their bytes.
    are_marks && disk.open(&path.with_extension("")).is_err_and(gone) && disk.remove(path).is_ok()
}

impl Marks {
    pub(super) fn none(staged: &Path) -> Self {
        Self {
            path: marks_path(staged),
            file: None,
            noted: Vec::new(),
            count: 0,
            last: 0,
        }
    }

    /// What an earlier process noted.
    pub(super) fn read(disk: &dyn Disk, staged: &Path) -> Result<Self, StoreError> {
        let mut marks = Self::none(staged);
        let file = match disk.open(&marks.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(marks),
            result => result.map_err(StoreError::read(&marks.path, 0))?,
        };
        let mut bytes = [0; MARK_BYTES];
        while marks.count < MARKS_MAX {
            let at = marks.count * MARK_BYTES as u64;
            let read = file.read_at(&mut bytes, at);
            if read.map_err(StoreError::read(&marks.path, at))? < MARK_BYTES {
                break;
            }
            let (length, found) = bytes.split_at(8);
            let length = length.try_into().map_or(0, u64::from_le_bytes);
            let Ok(found) = found.try_into().map(ContentId) else {
                break;
            };
            if length <= marks.last {
                break;
            }
            (marks.last, marks.count) = (length, marks.count + 1);
            marks.noted.push(Mark {
                bytes: length,
                found,
            });
        }
        marks.file = Some(file);
        Ok(marks)
    }

    /// Those of an earlier process, shortest first.
    pub(super) fn take_noted(&mut self) -> Vec<Mark> {
        std::mem::take(&mut self.noted)
    }

    /// Forgets all but the first few, which hold and end at so many bytes.
    pub(super) fn keep(
        &mut self,
        disk: &dyn Disk,
        count: u64,
        bytes: u64,
    ) -> Result<(), StoreError> {
        (self.count, self.last) = (count, bytes);
        match &self.file {
            Some(file) => file
                .set_size(count * MARK_BYTES as u64)
                .map_err(StoreError::io(&self.path, 0)),
            None => self.begin(disk),
        }
    }

    /// Bytes at which the next one is due.
    pub(super) fn next(&self) -> u64 {
        self.last.saturating_add(MARK_EVERY_BYTES)
    }

    /// Adds one, unless it says nothing new.
    pub(super) fn note(
        &mut self,
        disk: &dyn Disk,
        bytes: u64,
        found: ContentId,
    ) -> Result<(), StoreError> {
        if bytes <= self.last || self.count >= MARKS_MAX {
            return Ok(());
        }
        if self.file.is_none() {
            self.begin(disk)?;
        }
        let at = self.count * MARK_BYTES as u64;
        let mark = [&bytes.to_le_bytes()[..], found.as_bytes()].concat();
        if let Some(file) = &self.file {
            file.write_at(&mark, at)
                .map_err(StoreError::write(&self.path, at))?;
        }
        (self.last, self.count) = (bytes, self.count + 1);
        Ok(())
    }

    fn begin(&mut self, disk: &dyn Disk) -> Result<(), StoreError> {
        // A file of this name is of an upload that is gone.
        match disk.remove(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io(&self.path, 0)(error));
            }
            _ => {}
        }
        let file = disk.create(&self.path);
        self.file = Some(file.map_err(StoreError::write(&self.path, 0))?);
        Ok(())
    }
}
