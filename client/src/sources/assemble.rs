//! Artifacts, listings and contents from what was measured.

use std::collections::BTreeMap;

use bytes::Bytes as Buffer;
use cairn_proto::{
    json::JsonError,
    limits::{ARTIFACTS_MAX, TREE_BYTES_MAX},
    manifest::{Artifact, ArtifactKind, Bytes, Digests, Mode},
    name::ArtifactName,
    tree::{Tree, TreeBytes, TreeEntry},
};

use super::{
    Capture, CaptureOptions, Layers, Purpose, Unmeasured,
    content::{Content, ContentSource, FileSource},
    error::{SourceError, shown},
    input::Covered,
    is_image_part,
    layout::{self, Part},
    measure::{Item, Measured, Meter, Results},
    measured::MeasuredFiles,
    plan::Plan,
    staples,
};

/// The mode of every symbolic link: the system keeps none.
const LINK_MODE: u32 = 0o777;

/// Entries of a tree that are encoded at once.
const LISTED_AT_ONCE: usize = 1_024;

/// Measures a plan and makes a capture of it.
pub(super) fn assemble(
    mut plan: Plan,
    meter: &Meter<'_>,
    options: &CaptureOptions<'_>,
) -> Result<Capture, SourceError> {
    let mut results = meter.measure(&plan.items);
    let recording = matches!(options.purpose, Purpose::Record);
    if recording && let Some(error) = first_error(&mut results) {
        return Err(error);
    }
    let passed = staples::strip(&plan.items, &mut results, &mut plan.notes);
    let mut parts = BTreeMap::new();
    for prefix in &plan.layouts {
        parts.append(&mut layout::parts(
            prefix,
            &MeasuredFiles {
                items: &plan.items,
                results: &results,
            },
        )?);
    }
    let recorded = match options.purpose {
        Purpose::Verify(recorded) => Some(recorded),
        Purpose::Record => None,
    };
    let is_part = |name: &str| parts.contains_key(name);
    staples::pass_over(&passed, &plan.items, &mut results, recorded, is_part);
    let mut builder = Builder::new(plan.trees, plan.unmeasured, plan.notes, plan.covered);
    for (item, result) in plan.items.iter().zip(results) {
        match result {
            Some(Ok(measured)) => {
                let part = parts.remove(item.name.as_str());
                let measured = withhold_suspect(item, measured, part.as_ref(), meter)?;
                builder.add(item, measured, part, options);
            }
            Some(Err(error)) => {
                let name = Some(item.name.clone());
                let unmeasured = Unmeasured::new(name, None, &error);
                builder.unmeasured.push(unmeasured);
            }
            None => {}
        }
    }
    let capture = builder.finish()?;
    if recording && capture.artifacts.len() > ARTIFACTS_MAX {
        return Err(SourceError::TooMany {
            found: capture.artifacts.len(),
        });
    }
    Ok(capture)
}

fn first_error(results: &mut Results) -> Option<SourceError> {
    let failed = results
        .iter_mut()
        .find(|result| matches!(result, Some(Err(_))))?;
    failed.take().and_then(Result::err)
}

/// A secret that only happens to lie in a layout is withheld like any other. A part of an
/// image is not: its very name is its digest. Its bytes are then not stored, see below.
fn withhold_suspect(
    item: &Item,
    measured: Measured,
    part: Option<&Part>,
    meter: &Meter<'_>,
) -> Result<Measured, SourceError> {
    match measured {
        Measured::File { suspect: true, .. } if part.is_none() => meter.tag(item),
        measured => Ok(measured),
    }
}

struct Builder {
    artifacts: Vec<Artifact>,
    trees: Vec<(ArtifactName, Vec<TreeEntry>)>,
    contents: Vec<Content>,
    files: usize,
    images: usize,
    bytes: u64,
    withheld: Vec<ArtifactName>,
    notes: Vec<String>,
    unmeasured: Vec<Unmeasured>,
    covered: Vec<Covered>,
}

/// What one item comes to.
struct Made {
    kind: ArtifactKind,
    mode: Option<Mode>,
    bytes: Bytes,
}

impl Builder {
    fn new(
        trees: Vec<ArtifactName>,
        unmeasured: Vec<Unmeasured>,
        notes: Vec<String>,
        covered: Vec<Covered>,
    ) -> Self {
        Self {
            artifacts: Vec::new(),
            trees: trees.into_iter().map(|name| (name, Vec::new())).collect(),
            contents: Vec::new(),
            files: 0,
            images: 0,
            bytes: 0,
            withheld: Vec::new(),
            notes,
            unmeasured,
            covered,
        }
    }

    fn add(
        &mut self,
        item: &Item,
        measured: Measured,
        part: Option<Part>,
        options: &CaptureOptions<'_>,
    ) {
        let Some(made) = self.make(item, measured, part.as_ref(), options) else {
            return;
        };
        match made.kind {
            ArtifactKind::Image => self.images += 1,
            kind if is_image_part(kind) => {}
            _ => self.files += 1,
        }
        if let Bytes::Stored { size, .. } | Bytes::External { size, .. } = made.bytes {
            self.bytes = self.bytes.saturating_add(size);
        }
        let tree = item.tree.and_then(|tree| self.trees.get_mut(tree));
        if let Some((tree, entries)) = tree {
            entries.extend(entry(tree, item, &made));
            return;
        }
        let (media_type, parent, platform) = match part {
            Some(part) => (Some(part.media_type), part.parent, part.platform),
            None => (None, None, None),
        };
        self.artifacts.push(Artifact {
            name: item.name.clone(),
            kind: made.kind,
            media_type,
            mode: made.mode,
            parent,
            platform,
            bytes: made.bytes,
        });
    }

    fn make(
        &mut self,
        item: &Item,
        measured: Measured,
        part: Option<&Part>,
        options: &CaptureOptions<'_>,
    ) -> Option<Made> {
        let made = match measured {
            Measured::File {
                digests,
                mode,
                stamp,
                suspect,
            } => {
                let size = stamp.size();
                let kind = part.map_or(ArtifactKind::File, |part| part.kind);
                let layer = kind == ArtifactKind::ImageLayer && options.layers == Layers::External;
                let bytes = if layer || suspect {
                    Bytes::External { digests, size }
                } else {
                    let root = std::sync::Arc::clone(&item.root);
                    let relative = std::sync::Arc::clone(&item.relative);
                    let file = FileSource::new(root, relative, stamp);
                    self.store(digests, size, ContentSource::File(file))
                };
                if suspect {
                    self.notes.push(format!(
                        "{} looks like a secret: only its digests are recorded",
                        shown(&item.path())
                    ));
                }
                // How a blob's permissions come out is up to the tool that copied it.
                let mode = part.is_none().then_some(mode);
                Made { kind, mode, bytes }
            }
            Measured::Made { bytes, mode } => Made {
                kind: part.map_or(ArtifactKind::File, |part| part.kind),
                mode: part.is_none().then_some(mode),
                bytes: self.store_bytes(bytes),
            },
            Measured::Tagged { withheld, mode } => {
                self.withheld.push(item.name.clone());
                Made {
                    kind: ArtifactKind::File,
                    mode: Some(mode),
                    bytes: Bytes::Withheld(withheld),
                }
            }
            Measured::KeyMissing { mode } => {
                let error = SourceError::KeyNeeded {
                    name: item.name.to_string(),
                };
                let name = Some(item.name.clone());
                self.unmeasured
                    .push(Unmeasured::new(name, Some(mode), &error));
                return None;
            }
            Measured::Link(target) => Made {
                kind: ArtifactKind::Symlink,
                mode: Some(Mode::of(LINK_MODE)),
                bytes: self.store_bytes(target),
            },
            Measured::Directory => Made {
                kind: ArtifactKind::Directory,
                mode: Some(item.mode),
                bytes: self.store_bytes(Vec::new()),
            },
        };
        Some(made)
    }

    fn store(&mut self, digests: Digests, size: u64, source: ContentSource) -> Bytes {
        if size > 0 {
            self.contents.push(Content {
                id: digests.blake3,
                size,
                source,
            });
        }
        Bytes::Stored { digests, size }
    }

    fn store_bytes(&mut self, bytes: Vec<u8>) -> Bytes {
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let digests = Digests::of(&bytes);
        self.store(digests, size, ContentSource::Bytes(Buffer::from(bytes)))
    }

    fn finish(mut self) -> Result<Capture, SourceError> {
        let mut trees = BTreeMap::new();
        for (name, entries) in std::mem::take(&mut self.trees) {
            // Names of files are distinct, or the walk would not have found them.
            let clash = |_| SourceError::Clash {
                name: name.to_string(),
            };
            let tree = Tree::new(entries).map_err(clash)?;
            let listing = listing(&tree).map_err(clash)?;
            if listing.len() > TREE_BYTES_MAX {
                return Err(SourceError::TreeTooLarge {
                    name: name.to_string(),
                });
            }
            let bytes = self.store_bytes(listing);
            self.artifacts.push(Artifact {
                name: name.clone(),
                kind: ArtifactKind::Tree,
                media_type: None,
                mode: None,
                parent: None,
                platform: None,
                bytes,
            });
            trees.insert(name, tree);
        }
        let mut capture = Capture {
            artifacts: self.artifacts,
            trees,
            contents: self.contents,
            files: self.files,
            images: self.images,
            objects_found: 0,
            inputs: 0,
            objects: BTreeMap::new(),
            bytes: self.bytes,
            withheld: self.withheld,
            notes: self.notes,
            unmeasured: self.unmeasured,
            covered: self.covered,
        };
        capture.sort();
        Ok(capture)
    }
}

/// A tree's canonical bytes, joined from those of its parts: encoding all of it at once
/// takes ten times the memory of the outcome.
fn listing(tree: &Tree) -> Result<Vec<u8>, JsonError> {
    let empty = Tree::new(Vec::new())?.encode();
    let brackets = memchr::memmem::find(&empty, b"[]").unwrap_or_default();
    let (head, tail) = empty.split_at(brackets + 1);
    let mut listing = head.to_vec();
    for part in tree.entries().chunks(LISTED_AT_ONCE) {
        let part = Tree::new(part.to_vec())?.encode();
        let entries = part.get(head.len()..part.len().saturating_sub(tail.len()));
        if listing.len() > head.len() {
            listing.push(b',');
        }
        listing.extend_from_slice(entries.unwrap_or_default());
    }
    listing.extend_from_slice(tail);
    Ok(listing)
}

/// The entry of a file in the listing of its tree.
fn entry(tree: &ArtifactName, item: &Item, made: &Made) -> Option<TreeEntry> {
    let full = item.name.as_str();
    let inside = match tree.as_str() {
        "." => full,
        tree => full.strip_prefix(tree)?.strip_prefix('/')?,
    };
    Some(TreeEntry {
        name: inside.parse().ok()?,
        kind: made.kind,
        mode: made.mode.unwrap_or(item.mode),
        bytes: match made.bytes {
            Bytes::Stored { digests, size } | Bytes::External { digests, size } => {
                TreeBytes::Stored { digests, size }
            }
            Bytes::Withheld(withheld) => TreeBytes::Withheld(withheld),
        },
    })
}
