//! A data directory as such: its lock, its format, and what a new one is furnished with.
//!
//! Invariant: a `Place` exists only while this process holds the lock. The format file comes
//! last, so that a directory that has it has everything.
//! Out of scope: what journal, packs and anchor say (`store`).

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{OpenError, StoreOptions};
use crate::{
    anchor::{Anchor, AnchorState},
    content::{ContentFiles, ContentPaths},
    disk::{Disk, Held, LockError},
    journal::{FileJournal, JournalScan},
    segment::{StoreError, is_draft},
};

const LOCK: &str = "lock";
pub(super) const FORMAT: &str = "format";
const FORMAT_TEXT: &[u8] = b"cairn-store 1\n";
const ANCHOR: &str = "anchor";
pub(super) const JOURNAL: &str = "journal";

/// A locked directory, and where things lie in it.
pub(super) struct Place<'a> {
    pub(super) disk: &'a Arc<dyn Disk>,
    pub(super) directory: &'a Path,
    pub(super) anchor: PathBuf,
    pub(super) content: ContentPaths,
    pub(super) lock: Box<dyn Held>,
}

impl<'a> Place<'a> {
    pub(super) fn lock(
        disk: &'a Arc<dyn Disk>,
        directory: &'a Path,
        options: &StoreOptions,
    ) -> Result<Self, OpenError> {
        let file = directory.join(LOCK);
        let lock = disk.lock(&file).map_err(|error| match error {
            LockError::Held { holder } => OpenError::Locked {
                directory: directory.to_owned(),
                holder,
            },
            LockError::Io(error) => StoreError::read(&file, 0)(error).into(),
        })?;
        let anchor = options
            .anchor
            .clone()
            .unwrap_or_else(|| directory.join(ANCHOR));
        let content = ContentPaths::below(directory);
        Ok(Self {
            disk,
            directory,
            anchor,
            content,
            lock,
        })
    }

    pub(super) fn has_format(&self) -> Result<bool, OpenError> {
        let path = self.directory.join(FORMAT);
        let mut text = [0; FORMAT_TEXT.len() + 1];
        match self
            .disk
            .open(&path)
            .and_then(|file| file.read_at(&mut text, 0))
        {
            Ok(count) if text.get(..count) == Some(FORMAT_TEXT) => Ok(true),
            Ok(_) => Err(OpenError::Format { file: path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::read(&path, 0)(error).into()),
        }
    }

    fn make_dir(&self, path: &Path) -> Result<(), StoreError> {
        self.disk
            .create_dir(path)
            .map_err(StoreError::write(path, 0))
    }

    pub(super) fn sync_dir(&self, path: &Path) -> Result<(), StoreError> {
        self.disk.sync_dir(path).map_err(StoreError::io(path, 0))
    }

    /// Makes the names durable that lead to the store: of what is in the directory, of the
    /// directory, and of an anchor elsewhere. A process that was killed between giving a name
    /// and syncing it leaves one that is seen and that a power cut takes back.
    pub(super) fn sync_names(&self) -> Result<(), StoreError> {
        self.sync_dir(self.directory)?;
        for path in [self.directory, self.anchor.as_path()] {
            let parent = path.parent().filter(|it| !it.as_os_str().is_empty());
            let parent = parent.unwrap_or(Path::new("."));
            match self.disk.sync_dir(parent) {
                // Whoever may not read it did not make the name in it either.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                result => result.map_err(StoreError::io(parent, 0))?,
            }
        }
        Ok(())
    }

    fn is_empty(&self, directory: &Path) -> Result<bool, StoreError> {
        let names = self
            .disk
            .list(directory)
            .map_err(StoreError::read(directory, 0))?;
        Ok(names.iter().all(|name| is_draft(name)))
    }

    /// Everything that a new store has, the format last: without it there is no store.
    pub(super) fn furnish(&self, options: &StoreOptions) -> Result<(), OpenError> {
        let journal = self.directory.join(JOURNAL);
        let ContentPaths {
            packs,
            large,
            staging,
        } = &self.content;
        for directory in [&journal, packs, large, staging] {
            self.make_dir(directory)?;
        }
        // Segments are made only where there are none: a crash in `create` leaves an empty
        // first one, anything else is somebody's data.
        if self.is_empty(&journal)? {
            FileJournal::create(self.disk, journal.clone(), options.ledger)?;
        }
        if self.is_empty(packs)? {
            ContentFiles::create(self.disk, &self.content, options.ledger)?;
        }
        let held = JournalScan::read(self.disk, journal.clone(), options.ledger, None)?.tail();
        if held.position != 0 {
            return Err(OpenError::NotEmpty {
                directory: self.directory.to_owned(),
            });
        }
        Anchor::create(
            self.disk.as_ref(),
            &self.anchor,
            options.ledger,
            &AnchorState::empty(),
        )?;
        for directory in [packs, large, staging, &journal] {
            self.sync_dir(directory)?;
        }
        let file = self.directory.join(FORMAT);
        write_format(self.disk.as_ref(), self.directory).map_err(StoreError::write(&file, 0))?;
        Ok(())
    }
}

/// The file that makes a directory a store.
pub(super) fn write_format(disk: &dyn Disk, directory: &Path) -> io::Result<()> {
    let draft = directory.join(FORMAT).with_extension("new");
    match disk.remove(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&draft)?;
    file.write_at(FORMAT_TEXT, 0)?;
    file.sync()?;
    // All other names first, so that the format is never seen without them.
    disk.sync_dir(directory)?;
    disk.rename(&draft, &directory.join(FORMAT))?;
    disk.sync_dir(directory)
}
