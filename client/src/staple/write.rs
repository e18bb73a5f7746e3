//! Stapling: what is written, in which order.
//!
//! Invariants: nothing is written before everything that is needed was found sound. The
//! blobs are durable before `index.json` names them, and what it no longer names is taken
//! away last; so after a crash a layout is at worst left with blobs that nothing names, and
//! each of them shows as not recorded.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{File, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{Duration, Instant},
};

use cairn_proto::{bundle::Bundle, checkpoint::SignedCheckpoint, manifest::Mode};
use serde_json::Value;

use super::{
    STAPLES_MAX, StapleError, StapleFault,
    form::{self, Claim, Link, Staple},
    index::Index,
    layout::{At, Layout, name_of, named},
};
use crate::{
    read::place::{remove_below, write_below},
    sources::{ImageFault, SourceError, layout::JSON_BYTES_MAX, shown},
};

/// How long another process may be at it.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// Documents that are read to learn what a layout names; real ones have a few dozen.
const DOCUMENTS_MAX: usize = 4_096;

/// What stapling came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stapled {
    /// The digest of the image that the bundle is stapled to.
    pub subject: String,
    /// The digest of the referrer's manifest.
    pub manifest: String,
    /// Whether anything had to be written.
    pub changed: bool,
    /// What was stapled before in its place, as `env#12`.
    pub replaced: Option<String>,
    /// Blobs of what was replaced that could not be taken away; safe to print.
    pub left: Vec<String>,
}

/// Staples a bundle to an image of a layout. An older one of the same environment gives way.
pub fn staple(at: &At, bundle: &[u8]) -> Result<Stapled, StapleError> {
    let layout = Layout::open(&at.directory)?;
    let _lock = lock(&at.directory)?;
    let text = layout.index()?;
    let index = layout.parsed(&text)?;
    if index.odd > 0 {
        return Err(layout.invalid("index.json", StapleFault::Descriptor));
    }
    let subject = layout.subject(&index, at.tag.as_deref())?;
    let said = form::said_of(bundle);
    let (environment, sequence) =
        said.ok_or_else(|| layout.invalid("the bundle", StapleFault::Bundle))?;
    let new = Staple {
        environment,
        sequence,
        bundle: Link::of(form::BUNDLE, bundle),
        subject,
    };
    let (mut kept, old) = judge(&layout, &index, &new, bundle)?;
    let claim = new.claim();
    kept.push(claim.clone());
    let manifest = new.encode();
    let wanted = index.with(&kept).unwrap_or_default();
    let too_large = u64::try_from(wanted.len()).unwrap_or(u64::MAX) > JSON_BYTES_MAX;
    if too_large || wanted.is_empty() || kept.len() > STAPLES_MAX {
        let path = shown(&at.directory.join("index.json"));
        let fault = ImageFault::TooMany;
        return Err(SourceError::Image { path, fault }.into());
    }
    let blobs = [
        (form::empty(), form::EMPTY_BYTES),
        (new.bundle.clone(), bundle),
        (claim.manifest.clone(), manifest.as_slice()),
    ];
    let lacking = lacking(&layout, &blobs)?;
    for (link, bytes) in &lacking {
        write(&at.directory, &name_of(link), bytes, None)?;
    }
    if wanted != text {
        replace_index(&layout, &at.directory, &text, &wanted)?;
    }
    let gone = old.iter().filter(|(old, _)| *old != claim);
    let left = sweep(&layout, &at.directory, &wanted, gone.clone());
    let replaced = gone.map(|(old, _)| named(&old.environment, old.sequence));
    Ok(Stapled {
        subject: new.subject.digest().to_owned(),
        manifest: claim.manifest.digest().to_owned(),
        changed: wanted != text || !lacking.is_empty(),
        replaced: replaced.max(),
        left,
    })
}

/// The staples that stay, and those of the same environment and image, which do not.
type Judged = (Vec<Claim>, Vec<(Claim, Staple)>);

fn judge(
    layout: &Layout,
    index: &Index<'_>,
    new: &Staple,
    bundle: &[u8],
) -> Result<Judged, StapleError> {
    let (mut kept, mut old) = (Vec::new(), Vec::new());
    let own = new.claim();
    for claim in &index.staples {
        if claim.environment != new.environment {
            kept.push(claim.clone());
            continue;
        }
        if *claim == own {
            // The same again: whatever of it was damaged is written anew.
            old.push((claim.clone(), new.clone()));
            continue;
        }
        let staple = layout.staple(claim)?;
        if staple.subject != new.subject {
            kept.push(claim.clone());
            continue;
        }
        // What is no bundle at all is nothing that could be newer.
        let there = layout.bundle(&staple).ok().and_then(|it| size_of(&it));
        let is_newer = |size| (staple.sequence, Some(size)) > (new.sequence, size_of(bundle));
        if let Some(size) = there.filter(|size| is_newer(*size)) {
            let there = named(&staple.environment, staple.sequence);
            return Err(StapleError::Newer {
                there: format!("{there} as of checkpoint {size}"),
                new: named(&new.environment, new.sequence),
            });
        }
        old.push((claim.clone(), staple));
    }
    Ok((kept, old))
}

/// The size that a bundle's checkpoint claims.
fn size_of(bundle: &[u8]) -> Option<u64> {
    let bundle = Bundle::decode(bundle).ok()?;
    let note = SignedCheckpoint::parse(&bundle.checkpoint).ok()?;
    Some(note.claimed_size().0)
}

/// The blobs that are not there as they should be.
fn lacking<'b>(
    layout: &Layout,
    blobs: &[(Link, &'b [u8])],
) -> Result<Vec<(Link, &'b [u8])>, StapleError> {
    let mut lacking = Vec::new();
    for (link, bytes) in blobs {
        match layout.blob(link, u64::MAX) {
            Ok(_) => {}
            // A name that is a digest stands for no other bytes: what has it is damaged.
            Err(StapleError::Invalid { .. }) => lacking.push((link.clone(), *bytes)),
            Err(error) => return Err(error),
        }
    }
    Ok(lacking)
}

/// Replaces `index.json` by what is to be there, if it is still what was read.
fn replace_index(
    layout: &Layout,
    directory: &Path,
    text: &str,
    wanted: &str,
) -> Result<(), StapleError> {
    let path = directory.join("index.json");
    let unreadable = |error| SourceError::unreadable(&path, error);
    let file = layout.root().open_file(OsStr::new("index.json"));
    let metadata = file.and_then(|file| file.metadata()).map_err(unreadable)?;
    if layout.index()? != text {
        let path = shown(&path);
        return Err(SourceError::Changed { path }.into());
    }
    let mode = Mode::of(metadata.mode());
    write(directory, "index.json", wanted.as_bytes(), Some(mode))
}

fn write(
    directory: &Path,
    name: &str,
    bytes: &[u8],
    mode: Option<Mode>,
) -> Result<(), StapleError> {
    let failed = |error| StapleError::Write {
        path: shown(&directory.join(name)),
        error,
    };
    let parsed = name.parse();
    let parsed = parsed.map_err(|_| failed(io::ErrorKind::InvalidInput.into()))?;
    write_below(directory, &parsed, bytes, mode).map_err(failed)
}

/// Takes away the blobs of what was replaced, unless anything else names them.
fn sweep<'o>(
    layout: &Layout,
    directory: &Path,
    text: &str,
    old: impl Iterator<Item = &'o (Claim, Staple)>,
) -> Vec<String> {
    let old = old.flat_map(|(claim, staple)| [name_of(&claim.manifest), name_of(&staple.bundle)]);
    let old: BTreeSet<_> = old.collect();
    let linked = (!old.is_empty()).then(|| linked(layout, text)).flatten();
    let mut left = Vec::new();
    for name in old {
        let is_linked = linked.as_ref().map(|linked| linked.contains(&name));
        let removed = match (is_linked, name.parse()) {
            (Some(true), _) => true,
            (Some(false), Ok(parsed)) => remove_below(directory, &parsed).is_ok(),
            _ => false,
        };
        if !removed {
            left.push(shown(&directory.join(name)));
        }
    }
    left
}

/// The names of all blobs that anything reachable from an index names; `None` if that
/// cannot be told.
fn linked(layout: &Layout, text: &str) -> Option<BTreeSet<String>> {
    let mut linked = BTreeSet::new();
    let mut waiting = vec![serde_json::from_str(text).ok()?];
    let mut documents = 0;
    while let Some(value) = waiting.pop() {
        documents += 1;
        if documents > DOCUMENTS_MAX {
            return None;
        }
        let mut links = Vec::new();
        links_in(&value, &mut links);
        for link in links {
            let name = name_of(&link);
            if !linked.insert(name) || !form::is_image(&link.media_type) {
                continue;
            }
            match layout.blob(&link, JSON_BYTES_MAX) {
                Ok(bytes) => waiting.push(serde_json::from_slice(&bytes).ok()?),
                // A subject may be elsewhere.
                Err(StapleError::Invalid {
                    fault: StapleFault::Gone,
                    ..
                }) => {}
                Err(_) => return None,
            }
        }
    }
    Some(linked)
}

/// Everything in a document that looks like a descriptor.
fn links_in(value: &Value, links: &mut Vec<Link>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| links_in(value, links)),
        Value::Object(members) => {
            let text = |name: &str| members.get(name).and_then(Value::as_str);
            let hex = text("digest").and_then(|digest| digest.strip_prefix("sha256:"));
            let digest = hex.and_then(|hex| hex.parse().ok());
            if let Some(digest) = digest {
                let size = members.get("size").and_then(Value::as_u64);
                let media_type = text("mediaType").unwrap_or_default();
                links.push(Link::new(media_type, &digest, size.unwrap_or_default()));
            }
            members.values().for_each(|value| links_in(value, links));
        }
        _ => {}
    }
}

/// One stapler at a time.
fn lock(directory: &Path) -> Result<File, StapleError> {
    let failed = |error| StapleError::Write {
        path: shown(directory),
        error,
    };
    let file = File::open(directory).map_err(failed)?;
    let started = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) if started.elapsed() > LOCK_WAIT => {
                let layout = shown(directory);
                return Err(StapleError::Busy { layout });
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
