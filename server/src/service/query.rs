//! Reading entries and lists of them, each with its proof.

use cairn_grpc::{hash_list, refusing, v1};
use cairn_proto::{
    hash::{Index, TreeSize},
    name::Environment,
    reason::Reason,
};
use tonic::Status;

use super::{environment, status};
use crate::ledger::{Head, Ledger, Refusal};

/// Entries of a page.
const PAGE_MAX: u32 = 200;
/// Bytes of entries after which a page ends: it waits in memory until it is read.
const PAGE_BYTES: usize = 256 << 10;
const PAGE_DEFAULT: u32 = 50;

pub(super) fn ledger(ledger: &Ledger) -> v1::GetLedgerResponse {
    let trust = ledger.trust();
    v1::GetLedgerResponse {
        origin: trust.origin().to_string(),
        log_key: trust.log_key().to_string(),
        clock_key: trust.clock_key().to_string(),
        genesis: trust.genesis().as_bytes().to_vec().into(),
        checkpoint: ledger.signed_note(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }
}

pub(super) fn entry(
    ledger: &Ledger,
    index: Index,
    size: TreeSize,
) -> Result<v1::GetEntryResponse, Refusal> {
    let head = ledger.head();
    let (entry, document) = ledger.entry(index)?;
    Ok(v1::GetEntryResponse {
        entry,
        document,
        checkpoint: head.note.clone(),
        inclusion: hash_list(&ledger.inclusion(index, size, &head)?),
    })
}

/// One page, newest first. The token is the number that the next page begins below: a
/// sequence where an environment is asked for, else an index.
pub(super) fn list(
    ledger: &Ledger,
    request: &v1::ListEntriesRequest,
) -> Result<v1::ListEntriesResponse, Status> {
    let head = ledger.head();
    let of = match request.environment.as_str() {
        "" => None,
        name => Some(environment(name)?),
    };
    let newest = match &of {
        Some(name) => ledger.releases(name, &head),
        None => head.size().0,
    };
    let below = match request.page_token.as_str() {
        "" => newest,
        token => token
            .parse()
            .map_err(|_| refusing(Reason::InvalidRequest, "field `page_token` is malformed"))?,
    };
    let below = newest.min(below);
    let count = match request.page_size {
        0 => PAGE_DEFAULT,
        asked => asked.min(PAGE_MAX),
    };
    let last = below.saturating_sub(u64::from(count));
    let mut entries = Vec::new();
    let (mut next, mut bytes) = (below, 0);
    while next > last && bytes < PAGE_BYTES {
        next -= 1;
        let listed =
            listed(ledger, of.as_ref(), next, &head).map_err(|refusal| status(&refusal))?;
        bytes += listed.entry.len();
        entries.push(listed);
    }
    Ok(v1::ListEntriesResponse {
        entries,
        next_page_token: if next > 0 {
            next.to_string()
        } else {
            String::new()
        },
        checkpoint: head.note.clone(),
    })
}

fn listed(
    ledger: &Ledger,
    of: Option<&Environment>,
    number: u64,
    head: &Head,
) -> Result<v1::ListedEntry, Refusal> {
    let index = place(ledger, of, number)?;
    Ok(v1::ListedEntry {
        index: index.0,
        entry: ledger.leaf(index)?,
        inclusion: hash_list(&ledger.inclusion(index, head.size(), head)?),
    })
}

fn place(ledger: &Ledger, of: Option<&Environment>, number: u64) -> Result<Index, Refusal> {
    match of {
        None => Ok(Index(number)),
        Some(name) => ledger
            .release(name, number + 1)
            .ok_or_else(|| Refusal::NotFound {
                what: format!("{name}#{}", number + 1),
            }),
    }
}
