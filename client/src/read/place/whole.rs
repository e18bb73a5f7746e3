//! Files whose bytes are at hand, put below a directory or taken away, as the parent's
//! invariants ask.

use std::{
    io::{self, Write as _},
    path::Path,
};

use cairn_proto::{hash::ContentId, manifest::Mode, name::ArtifactName};
use rustix::fs::{AtFlags, unlinkat};

use super::Place;

/// Replaces a file, or makes it: whole and durable, or not at all.
pub(crate) fn write_below(
    folder: &Path,
    name: &ArtifactName,
    bytes: &[u8],
    mode: Option<Mode>,
) -> io::Result<()> {
    let place = Place::open(folder, name)?;
    let mut new = place.create(&ContentId::of(bytes))?;
    // The bytes are at hand: what a failure leaves of them is of no use to anybody.
    new.discard();
    new.empty()?;
    new.file.write_all(bytes)?;
    new.publish(mode)
}

/// Takes a file away. A directory is left alone.
pub(crate) fn remove_below(folder: &Path, name: &ArtifactName) -> io::Result<()> {
    let place = Place::open(folder, name)?;
    unlinkat(&place.directory, &place.name, AtFlags::empty())?;
    Ok(rustix::fs::fsync(&place.directory)?)
}
