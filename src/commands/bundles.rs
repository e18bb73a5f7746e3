//! The bundle that `verify` is given: a file, or what is stapled to an image.

use std::{ffi::OsStr, fs::File, io::Read as _, os::unix::ffi::OsStrExt as _, path::Path};

use cairn_client::{
    error::ClientError,
    staple::{self, At},
};
use cairn_proto::{limits::BUNDLE_BYTES_MAX, name::Environment, reason::Reason};

use crate::{cli, failure::Failure};

/// What an image layout is told by, as `skopeo` and `umoci` do. A file of such a name is `./oci:...`.
const LAYOUT: &[u8] = b"oci:";

/// A bundle's bytes, which nothing is known of yet.
pub(super) struct Given {
    pub(super) bytes: Vec<u8>,
    /// Where it was found, if that is not plain.
    pub(super) note: Option<String>,
}

/// Reads the bundle of `--bundle`.
pub(super) fn read(from: &Path, args: &cli::Verify) -> Result<Given, Failure> {
    let Some(layout) = from.as_os_str().as_bytes().strip_prefix(LAYOUT) else {
        return Ok(Given {
            bytes: read_bounded(from)?,
            note: None,
        });
    };
    let at = At::parse(OsStr::from_bytes(layout));
    let found = staple::find(&at, wanted(args).as_ref()).map_err(ClientError::from)?;
    let note = format!(
        "the bundle of {}#{} that is stapled to {}",
        found.environment, found.sequence, found.subject
    );
    Ok(Given {
        bytes: found.bytes,
        note: Some(note),
    })
}

/// The environment that the bundle must be of: what was said, or the first of several words.
fn wanted(args: &cli::Verify) -> Option<Environment> {
    let first = match args.words.as_slice() {
        [first, _, ..] => first.to_str(),
        _ => None,
    };
    // A word that is there as a path is one.
    let first = first.filter(|first| !Path::new(first).exists());
    let first = first.and_then(|first| first.parse().ok());
    args.environment.clone().or(first)
}

/// Reads a file that is no longer than a bundle may be, or one byte more of it.
pub(super) fn read_bounded(file: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(
            Reason::PathUnreadable,
            format!("{}: {error}", file.display()),
        )
    };
    let mut bytes = Vec::new();
    let bound = BUNDLE_BYTES_MAX as u64 + 1;
    let file = File::open(file).map_err(failed)?;
    file.take(bound).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
