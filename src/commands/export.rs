//! `cairn export`: a bundle in a file, whole or not at all, or stapled to an image.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use cairn_client::{
    detail::{printable_bytes, shell_word},
    error::ClientError,
    export::Exported,
    staple::{At, Stapled, staple},
};
use serde_json::json;

use crate::{cli, failure::Failure, output::Output, session::Session};

/// Permission bits of a file that anybody may read, before the umask.
const MODE: u32 = 0o666;

/// `cairn export REF -o FILE`, `cairn export REF --staple LAYOUT:TAG`
pub(crate) async fn export(session: &Session, args: &cli::Export) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    let exported = if args.tlog_proof {
        ledger.tlog_proof(&args.reference).await?
    } else {
        ledger.export(&args.reference).await?
    };
    let at = args.staple.as_deref().map(At::parse);
    let stapled = at.as_ref().map(|at| staple(at, &exported.bytes));
    let stapled = stapled.transpose().map_err(ClientError::from)?;
    if let Some(file) = &args.file {
        write_whole(file, &exported.bytes)?;
    }
    let output = session.output;
    output.json(&json!({
        "schema": "cairn.export/v1",
        "release": exported.release,
        "checkpointSize": exported.size,
        "file": args.file.as_ref().map(|file| file.to_string_lossy()),
        "bytes": exported.bytes.len(),
        "staple": stapled.as_ref().map(|stapled| json!({
            "layout": at.as_ref().map(|at| at.directory.to_string_lossy()),
            "subject": stapled.subject,
            "manifest": stapled.manifest,
            "changed": stapled.changed,
            "replaced": stapled.replaced,
            "left": stapled.left,
        })),
    }));
    if let Some(file) = &args.file {
        wrote(output, file, &exported);
    }
    if let Some(stapled) = &stapled {
        say(output, &exported, stapled);
    }
    if args.tlog_proof {
        return Ok(0);
    }
    let from = match (&args.file, &args.staple) {
        (Some(file), _) => shell_word(file.as_os_str().as_encoded_bytes()),
        (None, Some(staple)) => shell_word(&[b"oci:", staple.as_encoded_bytes()].concat()),
        (None, None) => return Ok(0),
    };
    let path = at.map_or_else(
        || "PATH".to_owned(),
        |at| shell_word(at.directory.as_os_str().as_encoded_bytes()),
    );
    output.fact(
        "Next",
        format_args!(
            "cairn verify --bundle {from} --environment {} --offline {path}",
            exported.environment
        ),
    );
    Ok(0)
}

fn wrote(output: Output, file: &Path, exported: &Exported) {
    output.fact(
        "Exported",
        format_args!(
            "{} as of checkpoint {} to {}",
            exported.release,
            exported.size,
            printable_bytes(file.as_os_str().as_encoded_bytes())
        ),
    );
}

fn say(output: Output, exported: &Exported, stapled: &Stapled) {
    let (release, subject) = (&exported.release, &stapled.subject);
    if stapled.changed {
        let size = exported.size;
        let text = format_args!("{release} as of checkpoint {size} to {subject}");
        output.fact("Stapled", text);
    } else {
        output.fact("Unchanged", format_args!("{release} at {subject}"));
    }
    if let Some(replaced) = &stapled.replaced {
        output.fact("Replaced", format_args!("an older bundle, of {replaced}"));
    }
    for left in &stapled.left {
        output.fact("Left", format_args!("{left}, which may be named elsewhere"));
    }
}

/// Replaces a file; after a crash it is what it was or what it was to become.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    Ok(write_file(path, bytes)?)
}

/// The same for a caller that goes on after an error.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ClientError> {
    replace(path, bytes).map_err(|error| {
        let path = path.to_owned();
        ClientError::File { path, error }
    })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link is followed, so that what it points at is replaced and not the link; and
    // nothing is ever put in the place of a device.
    let path = match fs::metadata(path) {
        Ok(found) if found.is_file() => fs::canonicalize(path)?,
        Ok(_) => return Err(io::Error::other("it is there and is no regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".cairn-new-")
        .permissions(Permissions::from_mode(MODE))
        .tempfile_in(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()
}
