//! The sled database behind the view: opening it whatever state it is in, and writing.
//!
//! sled 0.34 panics on some damage and leaves half-written snapshots behind; both become
//! "rebuild the view" here and nowhere else.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::mpsc,
    thread,
};

/// Rows of a view in memory, open to whoever damages them.
#[cfg(test)]
pub(crate) type Shelf =
    std::sync::Arc<std::sync::Mutex<std::collections::BTreeMap<Vec<u8>, Vec<u8>>>>;

/// Rows are written at the end and read once, at start: little has to stay in memory.
const CACHE_BYTES: u64 = 8 << 20;

/// Rows, some 4 KB each, that are handed from one thread to the other at once; and how many such
/// groups may wait.
const GROUP_ROWS: usize = 64;
const GROUPS_AHEAD: usize = 16;

/// Rows by key, in order.
#[derive(Debug)]
pub(super) enum Table {
    /// On disk.
    Sled(sled::Db),
    /// For tests that begin a ledger many thousand times.
    #[cfg(test)]
    Memory(Shelf),
}

/// Calls sled, with a panic of it as one more error.
fn guard<T>(call: impl FnOnce() -> sled::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("sled panicked".to_owned()),
    }
}

impl Table {
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(CACHE_BYTES)
            .flush_every_ms(None);
        guard(|| config.open()).map(Self::Sled)
    }

    /// Writes rows in one atomic batch.
    pub(super) fn apply(&self, rows: Vec<(Vec<u8>, Vec<u8>)>) -> Result<(), String> {
        match self {
            Self::Sled(database) => {
                let mut batch = sled::Batch::default();
                for (key, value) in rows {
                    batch.insert(key, value);
                }
                guard(|| database.apply_batch(batch))
            }
            #[cfg(test)]
            Self::Memory(table) => {
                table.lock().unwrap().extend(rows);
                Ok(())
            }
        }
    }

    pub(super) fn flush(&self) -> Result<(), String> {
        match self {
            Self::Sled(database) => guard(|| database.flush().map(drop)),
            #[cfg(test)]
            Self::Memory(_) => Ok(()),
        }
    }

    /// Every row by ascending key, as `open` shows its value; `None` as soon as either says so.
    /// What comes next is read and opened while a row is worked on.
    pub(super) fn for_each(
        &self,
        open: Open,
        mut row: impl FnMut(&[u8], &[u8]) -> Option<()>,
    ) -> Option<()> {
        match self {
            Self::Sled(database) => thread::scope(|scope| {
                let (send, rows) = mpsc::sync_channel(GROUPS_AHEAD);
                let reader = scope.spawn(move || read_all(database, open, &send));
                // An early end drops the channel, which ends the reader.
                let taking = || {
                    for group in rows {
                        for (key, value, length) in group {
                            row(&key, value.get(..length)?)?;
                        }
                    }
                    Some(())
                };
                catch_unwind(AssertUnwindSafe(taking)).ok()??;
                reader.join().ok()?
            }),
            #[cfg(test)]
            Self::Memory(table) => {
                let table = table.lock().unwrap();
                let mut rows = table.iter();
                rows.try_for_each(|(key, value)| row(key, open(key, value)?))
            }
        }
    }
}

/// What a row holds of a key's value, from its begin on; `None` where they do not fit.
pub(super) type Open = for<'a> fn(&[u8], &'a [u8]) -> Option<&'a [u8]>;

/// Rows as sled hands them out, and how much of a value was opened.
type Group = Vec<(sled::IVec, sled::IVec, usize)>;

/// Sends every row, in groups; `None` where one cannot be read or opened, or nobody wants more.
fn read_all(database: &sled::Db, open: Open, send: &mpsc::SyncSender<Group>) -> Option<()> {
    let mut read = || {
        let mut group = Vec::with_capacity(GROUP_ROWS);
        for item in database.iter() {
            let (key, value) = item.ok()?;
            let length = open(&key, &value)?.len();
            group.push((key, value, length));
            if group.len() == GROUP_ROWS {
                send.send(std::mem::take(&mut group)).ok()?;
            }
        }
        send.send(group).ok()
    };
    catch_unwind(AssertUnwindSafe(&mut read)).ok()?
}

/// A kill while sled writes its snapshot leaves a file that keeps it from opening.
pub(super) fn remove_half_snapshots(path: &Path) {
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
