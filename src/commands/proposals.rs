//! Files of proposals: read, shown, signed, written.

use std::path::{Path, PathBuf};

use cairn_client::{
    error::ClientError,
    proposal::{Proposal, Standing},
};
use cairn_proto::{key::Signer, reason::Reason};

use crate::{failure::Failure, session::Session};

/// Bytes of a proposal: the largest document, spelt in base64, and what is said of it.
const PROPOSAL_BYTES_MAX: u64 = 8 << 20;

/// Reads a proposal.
pub(super) fn read(path: &Path) -> Result<Proposal, Failure> {
    Ok(Proposal::decode(&read_bytes(path, PROPOSAL_BYTES_MAX)?)?)
}

/// Reads copies of one proposal, and joins their signatures.
pub(super) fn read_all(paths: &[PathBuf]) -> Result<Proposal, Failure> {
    let mut files = paths.iter();
    let first = files.next();
    let first = first.ok_or_else(|| Failure::usage("name the proposal's file"))?;
    let mut proposal = read(first)?;
    for path in files {
        proposal.merge(read(path)?)?;
    }
    Ok(proposal)
}

/// Reads a file that a person named, of so many bytes at most.
pub(super) fn read_bytes(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let unreadable = |error| ClientError::File {
        path: path.to_owned(),
        error,
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > most {
        let message = format!("{} is larger than any such file", path.display());
        return Err(Failure::new(Reason::ProposalSyntax, message));
    }
    Ok(bytes)
}

/// Asks whether to sign what was just shown.
pub(super) fn agree(session: &Session, yes: bool, what: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if session.cannot_ask() {
        let why = "nobody can be asked whether to sign this";
        return Err(Failure::usage(why).mended_by("Look at what it changes, then give --yes."));
    }
    if session.confirm(&format!("Sign {what}?"))? {
        return Ok(());
    }
    Err(Failure::usage(format!("{what} was not signed")).mended_by("Nothing was changed."))
}

/// The signers as a proposal takes them.
pub(super) fn borrowed(signers: &[Box<dyn Signer>]) -> Vec<&dyn Signer> {
    signers.iter().map(AsRef::as_ref).collect()
}

/// How far a proposal has come, and what to do next.
pub(super) fn tell(session: &Session, standing: &Standing, kind: &str, path: &Path) {
    let output = session.output;
    match standing {
        Standing::Ready(_) => output.fact("Signed", "by enough"),
        Standing::Short(rule) => output.fact("Signed", rule),
        Standing::Unsigned => output.fact("Signed", "by nobody yet"),
    }
    let next = match kind {
        _ if is_ready(standing) => "submit",
        "policy" => "sign",
        _ => "approve",
    };
    output.fact("Next", format!("cairn {kind} {next} {}", path.display()));
}

/// Whether it may be submitted, for scripts.
pub(super) fn is_ready(standing: &Standing) -> bool {
    matches!(standing, Standing::Ready(_))
}
