//! One file of a fake disk: what a reader sees, what the disk has, and what lies between.

use std::sync::Arc;

use super::content::Content;

const SECTOR_BYTES: usize = 512;

pub(super) fn length(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap()
}

/// A change that the file's sync makes durable, unless a failed one made it `clean`.
#[derive(Debug, Clone)]
struct ByteChange {
    what: Bytes,
    clean: bool,
}

#[derive(Debug, Clone)]
enum Bytes {
    At(usize, Arc<[u8]>),
    Size(usize),
}

/// A file, without its name.
#[derive(Debug, Clone, Default)]
pub(super) struct File {
    live: Content,
    durable: Content,
    pending: Vec<ByteChange>,
    /// Whether a reader sees bytes that no sync will ever write.
    strayed: bool,
}

impl File {
    pub(super) fn durable(bytes: &[u8]) -> Self {
        let content = Content::of(bytes);
        Self {
            live: content.clone(),
            durable: content,
            ..Self::default()
        }
    }

    /// What a reader sees.
    pub(super) fn live(&self) -> &Content {
        &self.live
    }

    pub(super) fn is_unsynced(&self) -> bool {
        self.strayed || !self.pending.is_empty()
    }

    pub(super) fn write(&mut self, at: usize, data: Arc<[u8]>) {
        self.live.write(&data, at);
        let end = at + data.len();
        let mut pending = self.pending.iter();
        let untouched = pending.all(|change| match &change.what {
            Bytes::At(from, data) => from + data.len() <= at || end <= *from,
            Bytes::Size(_) => false,
        });
        // Nothing is left to do for bytes that the disk has and nobody changed since.
        if !untouched || !self.durable.has(&data, at) {
            self.push(Bytes::At(at, data));
        }
    }

    pub(super) fn set_size(&mut self, bytes: usize) {
        self.live.resize(bytes);
        self.push(Bytes::Size(bytes));
    }

    fn push(&mut self, what: Bytes) {
        let clean = false;
        self.pending.push(ByteChange { what, clean });
    }

    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            if change.clean {
                self.strayed = true;
            } else {
                change.what.apply(&mut self.durable);
            }
        }
    }

    /// A sync failed: the pages count as clean, and the next sync has nothing to do for them.
    /// Until then a crash decides what the disk got all the same.
    pub(super) fn fail(&mut self) {
        self.pending
            .iter_mut()
            .for_each(|change| change.clean = true);
    }

    /// Loses what was pending at an earlier moment.
    pub(super) fn lose(&mut self, before: &Self) {
        self.pending.drain(..before.pending.len());
        self.strayed = true;
    }

    pub(super) fn crash(&mut self, landed: &mut impl FnMut() -> bool) {
        for change in std::mem::take(&mut self.pending) {
            match change.what {
                Bytes::At(at, data) => self.tear(at, &data, landed),
                Bytes::Size(bytes) => {
                    if landed() {
                        self.durable.resize(bytes);
                    }
                }
            }
        }
        self.live = self.durable.clone();
        self.strayed = false;
    }

    fn tear(&mut self, mut at: usize, data: &[u8], landed: &mut impl FnMut() -> bool) {
        let end = at + data.len();
        let first = (SECTOR_BYTES - at % SECTOR_BYTES).min(data.len());
        let (first, rest) = data.split_at(first);
        for sector in std::iter::once(first).chain(rest.chunks(SECTOR_BYTES)) {
            if landed() {
                self.durable.write(sector, at);
            }
            at += sector.len();
        }
        // The size is a change by itself: without the bytes it shows zeros.
        if end > self.durable.len() && landed() {
            self.durable.resize(end);
        }
    }

    /// Feeds what tells this file from another to a hash.
    pub(super) fn print(&self, hasher: &mut blake3::Hasher) {
        self.live.print(hasher);
        self.durable.print(hasher);
        for change in &self.pending {
            hasher.update(&[u8::from(change.clean)]);
            match &change.what {
                Bytes::At(at, data) => hasher.update(&at.to_le_bytes()).update(data),
                Bytes::Size(bytes) => hasher.update(&bytes.to_le_bytes()),
            };
        }
    }
}

impl Bytes {
    fn apply(&self, content: &mut Content) {
        match self {
            Self::At(at, data) => content.write(data, *at),
            Self::Size(bytes) => content.resize(*bytes),
        }
    }
}
