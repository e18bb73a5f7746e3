//! Proposals, in files and with the server: read, shown, signed, kept.
//!
//! Invariant: wherever a proposal comes from, it is one [`Proposal`] from here on, and shown and
//! judged by the same code.

use std::path::{Path, PathBuf};

use cairn_client::{
    clock::time_text,
    error::ClientError,
    ledger::Ledger,
    proposal::{Proposal, Standing},
    waiting::ProposalRef,
};
use cairn_proto::{key::Signer, reason::Reason};
use serde_json::{Value, json};

use super::{export::write_whole, read::extend};
use crate::{cli, failure::Failure, session::Session};

/// Bytes of a proposal: the largest document, spelt in base64, and what is said of it.
const PROPOSAL_BYTES_MAX: u64 = 8 << 20;

/// A proposal, from wherever it is.
pub(super) async fn fetch(ledger: &Ledger, origin: &cli::Origin) -> Result<Proposal, Failure> {
    match origin {
        cli::Origin::Waiting(id) => Ok(ledger.waiting(id).await?.proposal),
        cli::Origin::File(path) => read(path),
    }
}

/// A proposal in a file.
pub(super) fn read(path: &Path) -> Result<Proposal, Failure> {
    Ok(Proposal::decode(&read_bytes(path, PROPOSAL_BYTES_MAX)?)?)
}

/// Copies of one proposal, with their signatures joined.
pub(super) async fn fetch_all(
    ledger: &Ledger,
    origins: &[cli::Origin],
) -> Result<Proposal, Failure> {
    let mut copies = origins.iter();
    let first = copies.next();
    let first = first.ok_or_else(|| Failure::usage("name the proposal"))?;
    let mut proposal = fetch(ledger, first).await?;
    for origin in copies {
        proposal.merge(fetch(ledger, origin).await?)?;
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

/// Asks whether to sign what was just shown. Who was shown it by an earlier command says which it was
/// by its whole id: whoever proposes can make two that begin alike.
pub(super) fn agree(session: &Session, args: &cli::Sign, what: &str) -> Result<(), Failure> {
    if let (true, cli::Origin::Waiting(id)) = (args.yes, &args.proposal)
        && !id.is_whole()
    {
        let why = "--yes takes the whole id of what was looked at";
        return Err(Failure::usage(why).mended_by("Look at it, and give all 64 digits of its id."));
    }
    ask(session, args.yes, what)
}

/// Asks whether to sign what was just shown and is at hand.
pub(super) fn ask(session: &Session, yes: bool, what: &str) -> Result<(), Failure> {
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

/// Refuses to leave with the server what nobody signs.
pub(super) fn must_sign(keys: &[String]) -> Result<(), Failure> {
    if !keys.is_empty() {
        return Ok(());
    }
    let why = "what waits with the server must be signed by one already";
    Err(Failure::usage(why).mended_by("Give --key, or write a file: -o FILE."))
}

/// A proposal where it was put.
pub(super) struct Kept {
    /// With the signatures that others gave meanwhile, if it waits with the server.
    pub(super) proposal: Proposal,
    file: Option<PathBuf>,
    /// Until when it waits with the server, if it does; Unix seconds.
    expires: Option<u64>,
}

/// Puts a proposal where it is to go.
pub(super) async fn keep(
    ledger: &Ledger,
    proposal: Proposal,
    target: &cli::Target,
) -> Result<Kept, Failure> {
    // The file first: nothing that was signed is lost where the server will not have it.
    if let Some(file) = &target.file {
        write_whole(file, &proposal.encode())?;
    }
    let mut kept = Kept {
        proposal,
        file: target.file.clone(),
        expires: None,
    };
    if target.send {
        let waiting = ledger.leave(&kept.proposal).await?;
        kept.proposal = waiting.proposal;
        kept.expires = Some(waiting.expires);
    }
    Ok(kept)
}

impl Kept {
    /// How the next command names it.
    fn name(&self) -> String {
        match (&self.file, self.expires) {
            (Some(file), None) => file.display().to_string(),
            _ => self.proposal.id().to_string(),
        }
    }

    /// Adds to what a command says as JSON where the proposal is.
    pub(super) fn json(&self, mut document: Value) -> Value {
        let keyids = self.proposal.keyids().map(ToString::to_string);
        let place = json!({
            "keyids": keyids.collect::<Vec<_>>(),
            "id": self.proposal.id().to_string(),
            "waitsUntil": self.expires.map(time_text),
            "file": self.file,
        });
        extend(&mut document, place);
        document
    }
}

/// How far a proposal has come, where it is, and what to do next.
pub(super) fn tell(session: &Session, standing: &Standing, kind: &str, kept: &Kept) {
    let output = session.output;
    match standing {
        Standing::Ready(_) => output.fact("Signed", "by enough"),
        Standing::Short(rule) => output.fact("Signed", rule),
        Standing::Unsigned => output.fact("Signed", "by nobody yet"),
    }
    if let Some(expires) = kept.expires {
        let (id, until) = (kept.proposal.id().short(), time_text(expires));
        output.fact("Waits", format!("{id}  with the server until {until}"));
    }
    let next = match kind {
        _ if is_ready(standing) => "submit",
        "release" => "approve",
        _ => "sign",
    };
    output.fact("Next", format!("cairn {kind} {next} {}", kept.name()));
}

/// Whether it may be submitted, for scripts.
pub(super) fn is_ready(standing: &Standing) -> bool {
    matches!(standing, Standing::Ready(_))
}

/// `cairn release withdraw`, `cairn policy withdraw`
pub(super) async fn withdraw(
    session: &Session,
    ledger: &Ledger,
    id: &ProposalRef,
) -> Result<u8, Failure> {
    ledger.withdraw(id).await?;
    session.output.fact("Withdrawn", id);
    session.output.json(&json!({
        "schema": "cairn.proposal-withdraw/v1",
        "id": id.to_string(),
    }));
    Ok(0)
}
