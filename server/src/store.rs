//! A data directory: journal, contents and anchor, and how they come to agree at open.
//!
//! ```text
//! lock  format  anchor  erased  journal/  packs/  large/  staging/
//! ```
//!
//! Open: lock, read the anchor, scan journal and packs, judge, and only then write.
//!
//! Invariants:
//! - A `Store` exists only while this process holds the lock and the anchor covers all that
//!   the journal holds, durably: what it shows at open may be signed.
//! - A refusal to open has changed nothing.
//! - The anchor never says less than before, unless there was none to read and a person named
//!   the very head that the store holds.
//!
//! Out of scope: signing, views, witnesses and clients' notes (a head that they contradict
//! must not be accepted either; the caller asks them).

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use cairn_proto::hash::{RootHash, TreeSize};

use crate::{
    anchor::{Anchor, AnchorFound, AnchorState},
    content::{ContentFiles, ContentLimits, PackScan, Staging},
    disk::{Disk, Held},
    journal::{Appended, FileJournal, Journal as _, JournalScan, Record, Tail},
    segment::{Damage, FrameAt, LedgerTag, StoreError},
};

mod erased;
mod error;
mod place;
mod repair;
#[cfg(test)]
mod tests;

pub use erased::Carried;
pub use error::{Head, OpenError};
pub use repair::{Repair, RepairError, Repaired};

use erased::ErasedMark;
use place::{FORMAT, JOURNAL, Place};

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Whose data it is.
    pub ledger: LedgerTag,
    /// The anchor's file; in the data directory if not said.
    pub anchor: Option<PathBuf>,
    /// The head that a person accepts if the anchor is missing or unreadable. While the
    /// anchor can be read this is not looked at.
    pub accept_head: Option<(TreeSize, RootHash)>,
    /// What uploads may take.
    pub limits: ContentLimits,
}

/// What was done at open, for the operator.
#[derive(Debug, Clone, Default)]
pub struct Recovery {
    /// Journal records beyond the anchor that were verified, rewritten and synced.
    pub records_rewritten: usize,
    /// Pack frames likewise.
    pub contents_rewritten: usize,
    /// Torn ends that were cut off; nothing in them was ever acknowledged.
    pub cuts: Vec<(FrameAt, Damage)>,
    /// Whether the head was accepted on a person's word.
    pub accepted_head: bool,
}

/// An open data directory.
#[derive(Debug)]
pub struct Store {
    journal: FileJournal,
    content: ContentFiles,
    anchor: Anchor,
    recovery: Recovery,
    erased: ErasedMark,
    /// Last, so that it is released after everything else is closed.
    _lock: Box<dyn Held>,
}

/// What an anchor allows.
enum Footing {
    /// It can be read, and here it is.
    Anchored(Box<Anchor>),
    /// It cannot; a person named this head. `None` for an empty journal, which claims nothing.
    Accepted(Option<(TreeSize, RootHash)>),
}

impl Store {
    /// Makes a store in a directory that exists or whose parent does, and opens it.
    pub fn create(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        options: &StoreOptions,
    ) -> Result<Self, OpenError> {
        disk.create_dir(directory)
            .map_err(StoreError::write(directory, 0))?;
        let place = Place::lock(disk, directory, options)?;
        if place.has_format()? {
            return Err(OpenError::Exists {
                directory: directory.to_owned(),
            });
        }
        // An anchor that says anything belongs to data that is lost or elsewhere.
        match Anchor::find(disk.as_ref(), &place.anchor, options.ledger)? {
            AnchorFound::Missing => {}
            AnchorFound::Good(anchor) if anchor.state() == AnchorState::empty() => {}
            _ => return Err(OpenError::AnchorTaken { file: place.anchor }),
        }
        place.furnish(options)?;
        Self::open_locked(place, options)
    }

    /// Opens a store, healing what a crash may have left, or refuses and says why.
    pub fn open(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        options: &StoreOptions,
    ) -> Result<Self, OpenError> {
        let missing = || OpenError::NoStore {
            directory: directory.to_owned(),
        };
        match disk.list(directory) {
            // Before the lock, whose file would be made.
            Ok(names) if !names.iter().any(|name| name == FORMAT) => return Err(missing()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            result => result.map_err(StoreError::read(directory, 0))?,
        };
        let place = Place::lock(disk, directory, options)?;
        if place.has_format()? {
            Self::open_locked(place, options)
        } else {
            Err(missing())
        }
    }

    fn open_locked(place: Place<'_>, options: &StoreOptions) -> Result<Self, OpenError> {
        let Place {
            disk,
            directory,
            ref anchor,
            ref content,
            ..
        } = place;
        let found = Anchor::find(disk.as_ref(), anchor, options.ledger)?;
        let anchored = match &found {
            AnchorFound::Good(anchor) => Some(anchor.state()),
            AnchorFound::Foreign => {
                return Err(OpenError::AnchorForeign {
                    file: anchor.clone(),
                });
            }
            AnchorFound::Missing | AnchorFound::Unreadable => None,
        };
        // Reads only, from here to `settle`.
        let journal = directory.join(JOURNAL);
        let tail = anchored.map(|state| state.journal);
        let journal = JournalScan::read(disk, journal, options.ledger, tail)?;
        let tail = anchored.map(|state| state.packs);
        let directory_of = content.packs.clone();
        let packs = PackScan::read(disk, directory_of, options.ledger, tail, journal.erased())?;
        let footing = judge(found, anchor, options, &journal, &packs)?;
        // Whoever made the names may have been killed before they were durable.
        place.sync_names()?;

        let mut recovery = Recovery {
            records_rewritten: journal.series().unsettled(),
            contents_rewritten: packs.series().unsettled(),
            cuts: Vec::new(),
            accepted_head: matches!(footing, Footing::Accepted(Some(_))),
        };
        recovery.cuts.extend(journal.series().cut().cloned());
        recovery.cuts.extend(packs.series().cut().cloned());
        let journal = journal.settle()?;
        let content = ContentFiles::open(disk, content, packs, options.limits)?;
        let state = anchor_state(&journal, &content);
        // Records beyond the anchor are durable now; the anchor follows before anybody can
        // sign them. Written even if it says the same: see `anchor` on failed syncs.
        let anchor = match footing {
            Footing::Anchored(anchor) => {
                anchor.write(&state)?;
                *anchor
            }
            Footing::Accepted(_) => Anchor::create(disk.as_ref(), anchor, options.ledger, &state)?,
        };
        Ok(Self {
            journal,
            content,
            anchor,
            recovery,
            erased: ErasedMark::below(disk, directory),
            _lock: place.lock,
        })
    }

    /// The records.
    pub fn journal(&self) -> &FileJournal {
        &self.journal
    }

    /// The contents.
    pub fn content(&self) -> &ContentFiles {
        &self.content
    }

    /// The uploads.
    pub fn staging(&self) -> &Staging {
        self.content.staging()
    }

    /// What was done at open.
    pub fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    /// Up to which order contents are erased, durably.
    pub fn erased(&self) -> &ErasedMark {
        &self.erased
    }

    /// What the anchor says.
    pub fn anchored(&self) -> AnchorState {
        self.anchor.state()
    }

    /// Appends the record at the tail; durable on return, and **not to be signed** before
    /// `advance_anchor`. After a fatal error the process must abort.
    pub fn commit(&self, record: &Record) -> Result<Appended, StoreError> {
        self.journal.append(self.journal.tail().position, record)
    }

    /// Writes the durable ends of journal and packs to the anchor; durable on return. Any
    /// error means that the process must abort: nothing may be signed ahead of the anchor.
    pub fn advance_anchor(&self) -> Result<AnchorState, StoreError> {
        let state = anchor_state(&self.journal, &self.content);
        self.anchor.write(&state)?;
        Ok(state)
    }
}

fn anchor_state(journal: &FileJournal, content: &ContentFiles) -> AnchorState {
    let (
        Tail {
            hash, size, root, ..
        },
        end,
    ) = journal.ends();
    let packs = content.packs_tail();
    AnchorState {
        size,
        root,
        journal: end,
        record: hash,
        packs,
    }
}

/// Whether what the store holds may be stood on, given what the anchor says.
fn judge(
    found: AnchorFound,
    path: &Path,
    options: &StoreOptions,
    journal: &JournalScan,
    packs: &PackScan,
) -> Result<Footing, OpenError> {
    let tail = journal.tail();
    let held = Head {
        size: tail.size,
        root: tail.root,
    };
    let file = path.to_owned();
    let cut = journal.series().cut().map(|(frame, _)| frame.clone());
    let missing = match found {
        AnchorFound::Good(anchor) => {
            let state = anchor.state();
            let anchored = Head {
                size: state.size,
                root: state.root,
            };
            let agrees = journal.tail_at_anchor().is_some_and(|there| {
                there.size == state.size && there.root == state.root && there.hash == state.record
            });
            if !agrees {
                return Err(OpenError::AnchorDisagrees {
                    file,
                    anchored,
                    held,
                });
            }
            if !packs.series().meets_anchor() {
                let (anchored, held) = (state.packs, packs.series().tail());
                return Err(OpenError::PacksShort {
                    file,
                    anchored,
                    held,
                });
            }
            return Ok(Footing::Anchored(anchor));
        }
        AnchorFound::Foreign => return Err(OpenError::AnchorForeign { file }),
        AnchorFound::Missing => true,
        AnchorFound::Unreadable => false,
    };
    match options.accept_head {
        // Nothing was ever recorded here, so nothing can have been lost from the record.
        _ if missing && tail.position == 0 && cut.is_none() => Ok(Footing::Accepted(None)),
        Some((size, root)) if Head { size, root } == held => {
            Ok(Footing::Accepted(Some((size, root))))
        }
        Some((size, root)) => Err(OpenError::HeadNotHeld {
            accepted: Head { size, root },
            held,
            cut,
        }),
        None if missing => Err(OpenError::AnchorMissing { file, held, cut }),
        None => Err(OpenError::AnchorUnreadable { file, held, cut }),
    }
}
