//! Reading the view back at start, and refusing it unless it adds up.

use cairn_proto::{
    hash::{DocumentId, Index, LeafHash},
    merkle::Tree,
    rules::Restoring,
};

use super::{
    DocumentIndex,
    rows::{Change, RECORD, Reader, WATERMARK, Watermark},
    store::View,
};

/// What the view holds, consistent in itself; the caller compares it with the journal.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) watermark: Watermark,
    pub(crate) tree: Tree,
    pub(crate) state: Restoring,
    pub(crate) documents: DocumentIndex,
    /// Where each policy and each order stands, ascending.
    pub(crate) chain: Vec<Index>,
}

#[derive(Default)]
struct Rows {
    watermark: Option<Watermark>,
    tree: Tree,
    state: Restoring,
    documents: DocumentIndex,
    chain: Vec<Index>,
    /// The record whose pieces come, as far as they came.
    bytes: Vec<u8>,
    position: u64,
    pieces: u32,
}

impl View {
    /// Reads everything; `None` if the view is empty, of another version, damaged, or does not
    /// reach as far as its watermark says.
    pub(crate) fn load(&self) -> Option<Loaded> {
        let mut rows = Rows::default();
        // Keys come in order: records by position, their pieces by number, the watermark.
        self.for_each(|key, value| rows.take(key, value))?;
        let watermark = rows.watermark?;
        let whole = watermark.position == rows.position && watermark.size == rows.tree.size();
        (whole && !rows.chain.is_empty()).then_some(Loaded {
            watermark,
            tree: rows.tree,
            state: rows.state,
            documents: rows.documents,
            chain: rows.chain,
        })
    }
}

impl Rows {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Option<()> {
        if key == WATERMARK {
            self.record()?;
            self.watermark = Some(Watermark::decode(value)?);
            return Some(());
        }
        let mut reader = Reader(key);
        (reader.array()? == [RECORD]).then_some(())?;
        let (position, piece) = (reader.u64()?, reader.array().map(u32::from_be_bytes)?);
        reader.end()?;
        if position != self.position {
            self.record()?;
        }
        (position == self.position && piece == self.pieces).then_some(())?;
        self.bytes.extend_from_slice(value);
        self.pieces += 1;
        Some(())
    }

    /// The pieces of a record are all there.
    fn record(&mut self) -> Option<()> {
        let bytes = std::mem::take(&mut self.bytes);
        let mut reader = Reader(&bytes);
        (reader.u64()? == self.tree.size().0).then_some(())?;
        let leaves = reader.count()?;
        for leaf in reader.hashes(leaves)? {
            self.tree.push(LeafHash(*leaf));
        }
        let documents = reader.count()?;
        let ids = reader.hashes(documents)?.iter().copied().map(DocumentId);
        self.documents.add(self.position, ids);
        for _ in 0..reader.count()? {
            self.chain.push(Index(reader.u64()?));
        }
        for _ in 0..reader.count()? {
            let (index, change) = reader.change()?;
            let leaf = self.tree.leaf(index)?;
            match change {
                Change::Release(name, step) => self.state.step(index, &leaf, name, &step),
                Change::Approval(name) => self.state.approval(index, &name)?,
                Change::Host(step) => self.state.host(index, &leaf, &step),
            }
        }
        reader.end()?;
        // Their room is used again.
        self.bytes = bytes;
        self.bytes.clear();
        self.position += 1;
        self.pieces = 0;
        Some(())
    }
}
