//! Following the chain of records at open.
//!
//! Invariant: every frame's header names the BLAKE3 of its payload, which is the record's
//! hash. So the whole chain of `previous` and `first` is followed from headers and heads
//! alone, and one flipped bit in either breaks it and names the frame.
//! Out of scope: which tail is trusted (`store`).

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use cairn_proto::{hash::ContentId, order::OrderDocument, statement::OrderKind};

use super::{FileJournal, RECORD_BYTES_MAX, Record, RecordHash, Tail, files::Row, record::Head};
use crate::{
    disk::Disk,
    segment::{
        Damage, Found, Frame, Kind, LedgerTag, SEGMENT_BYTES_MAX, Scan, SeriesConfig, SeriesTail,
        StoreError, Successor,
    },
};

/// What a journal's files hold, before anything was changed.
#[derive(Debug)]
pub struct JournalScan {
    scan: Scan,
    rows: Vec<Row>,
    tail: Tail,
    at_anchor: Option<Tail>,
    erased: HashSet<ContentId>,
}

pub(super) fn config(
    directory: PathBuf,
    ledger: LedgerTag,
    segment_bytes_max: u64,
) -> SeriesConfig {
    SeriesConfig {
        directory,
        kind: Kind::Journal,
        ledger,
        payload_bytes_max: u32::try_from(RECORD_BYTES_MAX).unwrap_or(u32::MAX),
        segment_bytes_max,
    }
}

/// The contents that a document erases, if it is an order that does.
pub(crate) fn erased_by(document: &[u8]) -> Vec<ContentId> {
    match OrderDocument::decode(OrderKind::Redaction, document) {
        Ok(OrderDocument::Redaction(redaction)) => redaction.contents,
        _ => Vec::new(),
    }
}

/// Follows the chain of records as a scan meets them.
struct Chain {
    rows: Vec<Row>,
    tail: Tail,
    last: Option<Frame>,
    anchored: u64,
    at_anchor: Option<(Tail, Option<Frame>)>,
    erased: HashSet<ContentId>,
}

impl Chain {
    fn new(anchored: u64) -> Self {
        let tail = Tail::empty();
        let at_anchor = (anchored == 0).then_some((tail, None));
        Self {
            rows: Vec::new(),
            tail,
            last: None,
            anchored,
            at_anchor,
            erased: HashSet::new(),
        }
    }

    fn follow(&mut self, found: Found<'_>) -> Result<(), Damage> {
        let head = Head::decode(found.head).map_err(Damage::Record)?;
        if head.previous != self.tail.hash || head.first.0 != self.tail.size.0 {
            return Err(Damage::Chain);
        }
        if let Some(payload) = found.payload {
            let record = Record::decode(payload).map_err(Damage::Record)?;
            let documents = record.documents.iter();
            self.erased
                .extend(documents.flat_map(|document| erased_by(&document.bytes)));
        }
        self.rows.push(Row {
            first: head.first.0,
            place: found.frame.place,
        });
        self.tail = Tail {
            position: found.frame.position + 1,
            hash: RecordHash(found.frame.digest),
            size: head.size,
            root: head.root,
        };
        self.last = Some(found.frame);
        if self.tail.position == self.anchored {
            self.at_anchor = Some((self.tail, self.last));
        }
        Ok(())
    }
}

impl JournalScan {
    /// Reads the journal's files; `anchored` is where it is known to reach, if that is known.
    pub fn read(
        disk: &Arc<dyn Disk>,
        directory: PathBuf,
        ledger: LedgerTag,
        anchored: Option<SeriesTail>,
    ) -> Result<Self, StoreError> {
        let config = config(directory, ledger, SEGMENT_BYTES_MAX);
        Self::read_series(disk, config, anchored)
    }

    pub(super) fn read_series(
        disk: &Arc<dyn Disk>,
        config: SeriesConfig,
        anchored: Option<SeriesTail>,
    ) -> Result<Self, StoreError> {
        let anchored = anchored.unwrap_or(SeriesTail::START);
        let mut chain = Chain::new(anchored.position);
        let scan = Scan::read(disk, config, anchored, Successor::IsDamage, &mut |found| {
            chain.follow(found)
        })?;
        // The two records whose heads the store is about to rely on, verified whole: below
        // the anchored tail the scan looked at headers only.
        let at_anchor = chain.at_anchor.and_then(|(_, frame)| frame);
        for frame in chain.last.iter().chain(&at_anchor) {
            let decoded = Record::decode(&scan.payload(frame)?);
            decoded.map_err(|fault| {
                let damage = Damage::Record(fault);
                StoreError::Damaged {
                    frame: scan.name(frame),
                    damage,
                }
            })?;
        }
        let at_anchor = chain.at_anchor.map(|(tail, _)| tail);
        Ok(Self {
            scan,
            rows: chain.rows,
            tail: chain.tail,
            at_anchor,
            erased: chain.erased,
        })
    }

    /// What the files hold.
    pub fn tail(&self) -> Tail {
        self.tail
    }

    /// What they held at the anchored position; `None` if they do not reach it, or if no
    /// frame ends where the anchor says.
    pub fn tail_at_anchor(&self) -> Option<Tail> {
        self.at_anchor.filter(|_| self.scan.meets_anchor())
    }

    /// Contents that orders in the records beyond the anchor, or without one in all records, erase.
    pub fn erased(&self) -> &HashSet<ContentId> {
        &self.erased
    }

    /// The underlying scan.
    pub fn series(&self) -> &Scan {
        &self.scan
    }

    /// Rewrites, cuts and syncs what the anchor does not cover, and opens the journal.
    pub fn settle(self) -> Result<FileJournal, StoreError> {
        Ok(FileJournal::new(self.scan.settle()?, self.rows, self.tail))
    }
}
