//! Files that were measured, as whoever follows a layout's links asks for them.
//!
//! Invariant: a file is read again only as it was measured.

use cairn_proto::manifest::Digests;

use super::{
    error::{SourceError, shown},
    layout::Files,
    measure::{Item, Measured, Results, read_again},
};

/// A layout's files, for following its links.
pub(super) struct MeasuredFiles<'a> {
    pub(super) items: &'a [Item],
    pub(super) results: &'a Results,
}

impl MeasuredFiles<'_> {
    fn find(&self, name: &str) -> Option<(&Item, Digests, u64)> {
        let at = self
            .items
            .binary_search_by(|item| item.name.as_str().cmp(name))
            .ok()?;
        match self.results.get(at)? {
            Some(Ok(Measured::File { digests, stamp, .. })) => {
                Some((self.items.get(at)?, *digests, stamp.size()))
            }
            Some(Ok(Measured::Made { bytes, .. })) => {
                let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                Some((self.items.get(at)?, Digests::of(bytes), size))
            }
            _ => None,
        }
    }

    /// The bytes that a file counts as, where those are not its own.
    fn made(&self, name: &str) -> Option<&[u8]> {
        let found = self.items.binary_search_by(|it| it.name.as_str().cmp(name));
        match self.results.get(found.ok()?)? {
            Some(Ok(Measured::Made { bytes, .. })) => Some(bytes),
            _ => None,
        }
    }
}

impl Files for MeasuredFiles<'_> {
    fn measured(&self, name: &str) -> Option<(Digests, u64)> {
        self.find(name).map(|(_, digests, size)| (digests, size))
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, SourceError> {
        if let Some(bytes) = self.made(name) {
            return Ok(bytes.to_vec());
        }
        match self.find(name) {
            Some((item, digests, _)) => read_again(item, &digests),
            None => Err(SourceError::Changed {
                path: self.shown(name),
            }),
        }
    }

    fn shown(&self, name: &str) -> String {
        let found = self.find(name);
        found.map_or_else(|| shown(name.as_ref()), |(item, _, _)| shown(&item.path()))
    }
}
