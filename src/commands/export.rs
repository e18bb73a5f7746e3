//! `cairn export`: a bundle in a file, whole or not at all.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use cairn_client::{
    detail::{printable_bytes, shell_word},
    error::ClientError,
};
use serde_json::json;

use crate::{cli, failure::Failure, session::Session};

/// Permission bits of a file that anybody may read, before the umask.
const MODE: u32 = 0o666;

/// `cairn export REF -o FILE`
pub(crate) async fn export(session: &Session, args: &cli::Export) -> Result<u8, Failure> {
    let ledger = session.ledger()?;
    let exported = if args.tlog_proof {
        ledger.tlog_proof(&args.reference).await?
    } else {
        ledger.export(&args.reference).await?
    };
    write_whole(&args.file, &exported.bytes)?;
    let output = session.output;
    output.json(&json!({
        "schema": "cairn.export/v1",
        "release": exported.release,
        "checkpointSize": exported.size,
        "file": args.file.to_string_lossy(),
        "bytes": exported.bytes.len(),
    }));
    let file = printable_bytes(args.file.as_os_str().as_encoded_bytes());
    output.fact(
        "Exported",
        format_args!(
            "{} as of checkpoint {} to {file}",
            exported.release, exported.size
        ),
    );
    if args.tlog_proof {
        return Ok(0);
    }
    output.fact(
        "Next",
        format_args!(
            "cairn verify --bundle {} --environment {} --offline PATH",
            shell_word(args.file.as_os_str().as_encoded_bytes()),
            exported.environment
        ),
    );
    Ok(0)
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
