//! A journal rebuilt from a copy of the log: an auditor's, or another server's.
//!
//! ```text
//! begin   lock, anchor; an empty journal beside the old one
//! leaf    each leaf of the copy, with the document that it is the first to name
//! finish  roots, then: the old journal aside, the new one in its place, the anchor
//! ```
//!
//! Invariants: nothing of the old journal is deleted; the new one takes its place only when it ends
//! with the head that the log's own key signed, and has the anchor's root at the anchor's size.
//! A repair that was cut short at any moment is begun again. Contents are kept as they are; what
//! the rules say of the leaves is looked at when the ledger starts.

use std::{collections::HashSet, io, path::PathBuf, sync::Arc};

use bytes::Bytes;
use cairn_proto::{
    entry::Leaf,
    hash::{ContentId, DocumentId, Index, LeafHash},
    merkle::Frontier,
    reason::Reason,
};
use thiserror::Error;

use super::{
    FORMAT, Head, JOURNAL, OpenError, StoreOptions, anchor_state,
    place::{Place, write_format},
};
use crate::{
    anchor::{Anchor, AnchorFound, AnchorState},
    content::{ContentFiles, ContentPaths, PackScan},
    disk::{Disk, Held, OsDisk},
    journal::{FileJournal, Journal as _, JournalScan, Record, RecordDocument, erased_by},
    segment::{SeriesTail, StoreError},
    start,
};

/// The new journal, until it takes the other's place.
const DRAFT: &str = "journal.new";
/// What the old one is called then, with a number.
const ASIDE: &str = "journal.before-repair";
/// Old journals that can stand beside each other.
const ASIDE_MAX: u32 = 1_000;
/// Bytes that a record's tables and its map record take at most, for each leaf.
const TABLE_BYTES: u64 = 64;

/// Why a journal was not rebuilt. Nothing that the store needs was changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RepairError {
    /// The directory or its anchor.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The copy has less than was signed.
    #[error("the copy ends at {copy}, and the anchor says that {anchored} was signed")]
    Short {
        /// The copy's head.
        copy: Head,
        /// The anchor's.
        anchored: Head,
    },
    /// No anchor can be read, and nobody accepted the copy's head.
    #[error("no anchor can be read, and nobody accepted the copy's head, which is {copy}")]
    NotAccepted {
        /// The copy's head.
        copy: Head,
    },
    /// The copy is not what a signed head, or the anchor, says.
    #[error("leaf {index} of the copy: {why}")]
    Copy {
        /// Which leaf, or the first that is wanting.
        index: Index,
        /// What is wrong.
        why: &'static str,
    },
}

impl RepairError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Open(error) => error.reason(),
            Self::Store(error) => error.reason(),
            Self::Short { .. } | Self::NotAccepted { .. } => Reason::StoreAnchor,
            Self::Copy { .. } => Reason::RepairSource,
        }
    }
}

/// What was done.
#[derive(Debug, Clone)]
pub struct Repaired {
    /// The journal's head.
    pub head: Head,
    /// Where the old journal is now, if there was one.
    pub aside: Option<PathBuf>,
    /// Whether the packs reach less far than the anchor said: contents are lost.
    pub contents_lost: bool,
}

/// A journal in the making.
#[derive(Debug)]
pub struct Repair {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    anchor: PathBuf,
    options: StoreOptions,
    anchored: Option<AnchorState>,
    /// Whether the anchor's head was met on the way.
    met: bool,
    target: Head,
    journal: FileJournal,
    frontier: Frontier,
    /// Documents that a leaf named already.
    known: HashSet<DocumentId>,
    /// Contents that orders erased: they are not missing.
    erased: HashSet<ContentId>,
    leaves: Vec<Bytes>,
    documents: Vec<RecordDocument>,
    _lock: Box<dyn Held>,
}

impl Repair {
    /// Begins, in a data directory that may be gone. `target` is the copy's head, signed by the
    /// log's key.
    pub fn begin(
        place: &start::Place,
        target: Head,
        accept_head: Option<Head>,
    ) -> Result<Self, RepairError> {
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let options = place.options(None);
        let directory = place.data.clone();
        disk.create_dir(&directory)
            .map_err(StoreError::write(&directory, 0))?;
        let locked = Place::lock(&disk, &directory, &options)?;
        let anchored = match Anchor::find(disk.as_ref(), &locked.anchor, options.ledger)? {
            AnchorFound::Good(anchor) => Some(anchor.state()),
            AnchorFound::Foreign => {
                let file = locked.anchor;
                return Err(OpenError::AnchorForeign { file }.into());
            }
            AnchorFound::Missing | AnchorFound::Unreadable => None,
        };
        match &anchored {
            Some(state) if state.size > target.size => {
                return Err(RepairError::Short {
                    copy: target,
                    anchored: head_of(state),
                });
            }
            None if accept_head != Some(target) => {
                return Err(RepairError::NotAccepted { copy: target });
            }
            _ => {}
        }
        let draft = directory.join(DRAFT);
        clear(disk.as_ref(), &draft)?;
        FileJournal::create(&disk, draft.clone(), options.ledger)?;
        let journal = JournalScan::read(&disk, draft, options.ledger, None)?.settle()?;
        let Place { anchor, lock, .. } = locked;
        Ok(Self {
            disk,
            directory,
            anchor,
            options,
            met: anchored.is_none_or(|state| state.size.0 == 0),
            anchored,
            target,
            journal,
            frontier: Frontier::default(),
            known: HashSet::new(),
            erased: HashSet::new(),
            leaves: Vec::new(),
            documents: Vec::new(),
            _lock: lock,
        })
    }

    fn index(&self) -> Index {
        Index(self.frontier.size().0)
    }

    fn wrong(&self, why: &'static str) -> RepairError {
        let index = self.index();
        RepairError::Copy { index, why }
    }

    /// The document that has to come with a leaf, if it is the first to name it.
    pub fn wants(&self, leaf: &[u8]) -> Result<Option<DocumentId>, RepairError> {
        match Leaf::decode(leaf) {
            Ok(Leaf::Entry(entry)) => {
                let id = entry.statement().subject.blake3;
                Ok((!self.known.contains(&id)).then_some(id))
            }
            Ok(Leaf::MapRecord(_)) => Ok(None),
            Err(_) => Err(self.wrong("it does not decode")),
        }
    }

    /// Takes the next leaf, with the document that it wants.
    pub fn leaf(&mut self, leaf: Bytes, document: Option<Bytes>) -> Result<(), RepairError> {
        if let Some(id) = self.wants(&leaf)? {
            let document = document.filter(|bytes| DocumentId::of(bytes) == id);
            let document = document.ok_or_else(|| self.wrong("it lacks its document"))?;
            self.known.insert(id);
            self.documents.push(RecordDocument {
                leaf: u32::try_from(self.leaves.len()).unwrap_or(u32::MAX),
                bytes: document.clone(),
            });
            self.erased.extend(erased_by(&document));
        }
        let ends = matches!(Leaf::decode(&leaf), Ok(Leaf::MapRecord(_)));
        self.frontier.push(LeafHash::of(&leaf));
        self.leaves.push(leaf);
        if ends { self.record() } else { Ok(()) }
    }

    /// A map record ends a record, as it did when it was committed.
    fn record(&mut self) -> Result<(), RepairError> {
        let tail = self.journal.tail();
        let head = Head {
            size: self.frontier.size(),
            root: self.frontier.root(),
        };
        if let Some(state) = &self.anchored
            && state.size == head.size
        {
            if state.root != head.root {
                return Err(self.wrong("at the anchor's size it has another root"));
            }
            self.met = true;
        }
        let record = Record {
            previous: tail.hash,
            first: Index(tail.size.0),
            leaves: std::mem::take(&mut self.leaves),
            documents: std::mem::take(&mut self.documents),
            size: head.size,
            root: head.root,
        };
        let documents = record.documents.iter().map(|one| one.bytes.len());
        let bytes = record.leaves.iter().map(Bytes::len).chain(documents);
        let tables = TABLE_BYTES * (record.leaves.len() as u64 + 16);
        self.journal.reserve(bytes.sum::<usize>() as u64 + tables)?;
        let _ = self.journal.append(tail.position, &record)?;
        Ok(())
    }

    /// Puts the new journal in the old one's place, and writes the anchor.
    pub fn finish(self) -> Result<Repaired, RepairError> {
        let tail = self.journal.tail();
        let head = Head {
            size: tail.size,
            root: tail.root,
        };
        if !self.leaves.is_empty() || head != self.target || !self.met {
            return Err(self.wrong("up to it the copy has another root than was signed"));
        }
        let (content, contents_lost) = self.content()?;
        let aside = self.switch()?;
        let state = anchor_state(&self.journal, &content);
        Anchor::create(
            self.disk.as_ref(),
            &self.anchor,
            self.options.ledger,
            &state,
        )?;
        Ok(Repaired {
            head,
            aside,
            contents_lost,
        })
    }

    /// What there is of contents, and whether the anchor knew of more.
    fn content(&self) -> Result<(ContentFiles, bool), RepairError> {
        let place = ContentPaths::below(&self.directory);
        let Self { disk, options, .. } = self;
        for directory in [&place.packs, &place.large, &place.staging] {
            disk.create_dir(directory)
                .map_err(StoreError::write(directory, 0))?;
        }
        let names = disk.list(&place.packs);
        if names.map_err(StoreError::read(&place.packs, 0))?.is_empty() {
            ContentFiles::create(disk, &place, options.ledger)?;
        }
        let scan = |tail: Option<SeriesTail>| {
            let packs = place.packs.clone();
            PackScan::read(disk, packs, options.ledger, tail, &self.erased)
        };
        let anchored = self.anchored.map(|state| state.packs);
        let packs = scan(anchored)?;
        let lost = anchored.is_some() && !packs.series().meets_anchor();
        let packs = if lost { scan(None)? } else { packs };
        let content = ContentFiles::open(disk, &place, packs, options.limits)?;
        Ok((content, lost))
    }

    fn switch(&self) -> Result<Option<PathBuf>, RepairError> {
        let (disk, directory) = (&self.disk, &self.directory);
        let failed = |path: &std::path::Path| {
            let path = path.to_owned();
            move |error| StoreError::io(&path, 0)(error)
        };
        let journal = directory.join(JOURNAL);
        let names = disk
            .list(directory)
            .map_err(StoreError::read(directory, 0))?;
        let mut aside = None;
        if names.iter().any(|name| name == JOURNAL) {
            let free = (1..ASIDE_MAX).map(|number| format!("{ASIDE}-{number}"));
            let free = free.into_iter().find(|name| !names.contains(name));
            let path = directory.join(free.unwrap_or_else(|| ASIDE.to_owned()));
            disk.rename(&journal, &path).map_err(failed(&journal))?;
            aside = Some(path);
        }
        disk.rename(&directory.join(DRAFT), &journal)
            .map_err(failed(&journal))?;
        disk.sync_dir(directory).map_err(failed(directory))?;
        if !names.iter().any(|name| name == FORMAT) {
            write_format(disk.as_ref(), directory).map_err(failed(&directory.join(FORMAT)))?;
        }
        // What can be rebuilt is, from the new journal.
        let view = directory.join(start::VIEW);
        match std::fs::remove_dir_all(&view) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io(&view, 0)(error).into());
            }
            _ => {}
        }
        Ok(aside)
    }
}

fn head_of(state: &AnchorState) -> Head {
    Head {
        size: state.size,
        root: state.root,
    }
}

/// An empty directory, whatever a repair that was cut short left there.
fn clear(disk: &dyn Disk, directory: &std::path::Path) -> Result<(), StoreError> {
    disk.create_dir(directory)
        .map_err(StoreError::write(directory, 0))?;
    let names = disk
        .list(directory)
        .map_err(StoreError::read(directory, 0))?;
    for name in names {
        let path = directory.join(name);
        disk.remove(&path).map_err(StoreError::write(&path, 0))?;
    }
    Ok(())
}
