//! Bundles that are stapled to the images of a layout are no part of what is recorded or
//! compared: the layout is measured as it was before.
//!
//! Invariant: passed over is only what is exactly a staple. `index.json` counts as the bytes
//! that it has without the descriptors of staples; a descriptor counts as one if the manifest,
//! the empty configuration and the bundle that it leads to were measured, have the digests
//! and sizes that are stated, are spelled as [`crate::staple`] spells them, and say of the
//! release what the bundle says. Anything else stands where it stands, and differs. No tag
//! leads to what is passed over, nothing runs it, and a note names each.
//! Out of scope: whether a stapled bundle proves anything. It need not, to be harmless.

use std::collections::{BTreeMap, BTreeSet};

use cairn_proto::{
    hash::{Sequence, Sha256},
    name::Environment,
};

use super::{
    Recorded,
    layout::JSON_BYTES_MAX,
    measure::{Item, Measured, Results, read_again},
};
use crate::{
    detail::printable,
    staple::{
        form::{self, Claim, Link, Staple},
        index::Index,
    },
};

/// What a bundle says that it is of; `None` for what is no bundle.
type Said = Option<(Environment, Sequence)>;

/// Puts what `index.json` was before staples in the place of what it is, and gives the names
/// of the blobs that are passed over.
pub(super) fn strip(
    items: &[Item],
    results: &mut Results,
    notes: &mut Vec<String>,
) -> BTreeSet<String> {
    let mut passed = BTreeSet::new();
    let mut known = BTreeMap::new();
    for at in 0..items.len() {
        let mut looking = Looking {
            items,
            results,
            known: &mut known,
        };
        let Some(found) = looking.layout(at) else {
            continue;
        };
        notes.extend(found.notes);
        passed.extend(found.blobs);
        if let Some(slot) = results.get_mut(at) {
            *slot = Some(Ok(found.index));
        }
    }
    passed
}

/// Leaves out what is passed over, unless something else wants it.
pub(super) fn pass_over(
    passed: &BTreeSet<String>,
    items: &[Item],
    results: &mut Results,
    recorded: Option<&Recorded<'_>>,
    is_part: impl Fn(&str) -> bool,
) {
    if passed.is_empty() {
        return;
    }
    for (item, slot) in items.iter().zip(results) {
        let name = item.name.as_str();
        let is_recorded = recorded.is_some_and(|recorded| recorded.is_own(name));
        if passed.contains(name) && !is_recorded && !is_part(name) {
            *slot = None;
        }
    }
}

/// A layout with staples.
struct Stapled {
    index: Measured,
    blobs: Vec<String>,
    notes: Vec<String>,
}

struct Looking<'a> {
    items: &'a [Item],
    results: &'a Results,
    /// Bundles that were read already: several images may have one and the same.
    known: &'a mut BTreeMap<Sha256, Said>,
}

impl Looking<'_> {
    /// The layout whose `index.json` an item is.
    fn layout(&mut self, at: usize) -> Option<Stapled> {
        let item = self.items.get(at)?;
        let prefix = item.name.as_str().strip_suffix("index.json")?;
        if !(prefix.is_empty() || prefix.ends_with('/')) || item.tree.is_some() {
            return None;
        }
        self.measured(&format!("{prefix}oci-layout"))?;
        let (_, _, size) = self.measured(item.name.as_str())?;
        let Some(Ok(Measured::File { digests, mode, .. })) = self.results.get(at)? else {
            return None;
        };
        if size > JSON_BYTES_MAX {
            return None;
        }
        let text = String::from_utf8(read_again(item, digests).ok()?).ok()?;
        let index = Index::read(&text)?;
        if index.staples.is_empty() {
            return None;
        }
        let mut blobs = Vec::new();
        let mut notes = Vec::new();
        for claim in &index.staples {
            // One that is not what it says leaves the whole as it is: it differs, then.
            let staple = self.staple(prefix, claim)?;
            let own = [claim.manifest.clone(), form::empty(), staple.bundle];
            blobs.extend(own.iter().filter_map(|link| name(prefix, link)));
            notes.push(format!(
                "{}: a bundle of {}#{} is stapled to {}; it was passed over",
                printable(item.name.as_str()),
                claim.environment,
                claim.sequence,
                staple.subject.digest(),
            ));
        }
        let index = Measured::Made {
            bytes: index.without().into_bytes(),
            mode: *mode,
        };
        Some(Stapled {
            index,
            blobs,
            notes,
        })
    }

    /// A staple whose blobs are all there and all as they should be.
    fn staple(&mut self, prefix: &str, claim: &Claim) -> Option<Staple> {
        let manifest = self.blob(prefix, &claim.manifest)?;
        let staple = Staple::read(&manifest).filter(|staple| staple.is_of(claim))?;
        // The empty configuration is known by its digest alone.
        self.has(prefix, &form::empty())?;
        self.has(prefix, &staple.bundle)?;
        let digest = staple.bundle.sha256()?;
        if !self.known.contains_key(&digest) {
            let said = form::said_of(&self.blob(prefix, &staple.bundle)?);
            self.known.insert(digest, said);
        }
        let said = self.known.get(&digest)?.as_ref()?;
        (*said == (staple.environment.clone(), staple.sequence)).then_some(staple)
    }

    /// That a blob was measured and is what its descriptor says.
    fn has(&self, prefix: &str, link: &Link) -> Option<usize> {
        let (at, digest, size) = self.measured(&name(prefix, link)?)?;
        (Some(digest) == link.sha256() && size == link.size).then_some(at)
    }

    fn blob(&self, prefix: &str, link: &Link) -> Option<Vec<u8>> {
        let at = self.has(prefix, link)?;
        let Some(Ok(Measured::File { digests, .. })) = self.results.get(at)? else {
            return None;
        };
        read_again(self.items.get(at)?, digests).ok()
    }

    fn measured(&self, name: &str) -> Option<(usize, Sha256, u64)> {
        let found = self.items.binary_search_by(|it| it.name.as_str().cmp(name));
        let at = found.ok()?;
        match self.results.get(at)? {
            Some(Ok(Measured::File { digests, stamp, .. })) => {
                Some((at, digests.sha256, stamp.size()))
            }
            _ => None,
        }
    }
}

fn name(prefix: &str, link: &Link) -> Option<String> {
    Some(format!("{prefix}blobs/sha256/{}", link.sha256()?))
}
