//! Bytes of one file: pages that copies share until one of them is written to, so that a
//! copy of a disk costs next to nothing, and zeros cost nothing at all.

use std::sync::{Arc, OnceLock};

const PAGE: usize = 4096;
/// Compared with as a whole, which is quick also where nothing is optimised.
const ZEROS: [u8; PAGE] = [0; PAGE];

#[derive(Clone)]
struct Page {
    bytes: [u8; PAGE],
    print: OnceLock<u64>,
}

/// A file's bytes.
#[derive(Clone, Default)]
pub(super) struct Content {
    /// `None` for zeros.
    pages: Vec<Option<Arc<Page>>>,
    length: usize,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Content({} bytes)", self.length)
    }
}

impl Content {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut content = Self::default();
        content.write(bytes, 0);
        content
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: usize) -> usize {
        let count = self.length.saturating_sub(offset).min(buffer.len());
        let mut done = 0;
        while done < count {
            let at = offset + done;
            let within = at % PAGE;
            let part = (PAGE - within).min(count - done);
            let target = &mut buffer[done..done + part];
            match self.pages.get(at / PAGE) {
                Some(Some(page)) => target.copy_from_slice(&page.bytes[within..within + part]),
                _ => target.fill(0),
            }
            done += part;
        }
        count
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.length];
        self.read(&mut bytes, 0);
        bytes
    }

    /// Grows if need be.
    pub(super) fn write(&mut self, data: &[u8], offset: usize) {
        self.resize(self.length.max(offset + data.len()));
        let mut done = 0;
        while done < data.len() {
            let at = offset + done;
            let within = at % PAGE;
            let part = (PAGE - within).min(data.len() - done);
            let source = &data[done..done + part];
            self.write_page(at / PAGE, within, source);
            done += part;
        }
    }

    fn write_page(&mut self, number: usize, within: usize, source: &[u8]) {
        let slot = &mut self.pages[number];
        let is_zero = *source == ZEROS[..source.len()];
        match slot {
            None if is_zero => {}
            Some(_) if is_zero && source.len() == PAGE => *slot = None,
            Some(page) if page.bytes[within..within + source.len()] == *source => {}
            _ => {
                let mut bytes = slot.as_ref().map_or([0; PAGE], |page| page.bytes);
                bytes[within..within + source.len()].copy_from_slice(source);
                let print = OnceLock::new();
                *slot = Some(Arc::new(Page { bytes, print }));
            }
        }
    }

    pub(super) fn resize(&mut self, length: usize) {
        if length < self.length && !length.is_multiple_of(PAGE) {
            // What is cut off reads as zeros if the file grows again.
            let within = length % PAGE;
            self.write_page(length / PAGE, within, &ZEROS[within..]);
        }
        self.pages.resize(length.div_ceil(PAGE), None);
        self.length = length;
    }

    /// Whether the bytes at the offset are these already.
    pub(super) fn has(&self, data: &[u8], offset: usize) -> bool {
        let mut done = 0;
        while done < data.len() {
            let at = offset + done;
            let within = at % PAGE;
            let part = (PAGE - within).min(data.len() - done);
            let there = match self.pages.get(at / PAGE) {
                Some(Some(page)) => &page.bytes,
                _ => &ZEROS,
            };
            if there[within..within + part] != data[done..done + part] {
                return false;
            }
            done += part;
        }
        offset + data.len() <= self.length
    }

    /// Whether a page has the text.
    pub(super) fn mentions(&self, text: &[u8]) -> bool {
        let mut pages = self.pages.iter().flatten();
        pages.any(|page| page.bytes.windows(text.len()).any(|part| part == text))
    }

    /// Feeds what tells this content from another to a hash.
    pub(super) fn print(&self, hasher: &mut blake3::Hasher) {
        hasher.update(&self.length.to_le_bytes());
        for (number, page) in self.pages.iter().enumerate() {
            if let Some(page) = page {
                let first = |hash: blake3::Hash| *hash.as_bytes().first_chunk().unwrap();
                let print = page.print.get_or_init(|| {
                    // A page of zeros that was written byte by byte is no other content.
                    let zero = page.bytes == ZEROS;
                    let print = u64::from_le_bytes(first(blake3::hash(&page.bytes)));
                    if zero { 0 } else { print }
                });
                if *print != 0 {
                    hasher.update(&number.to_le_bytes());
                    hasher.update(&print.to_le_bytes());
                }
            }
        }
    }
}
