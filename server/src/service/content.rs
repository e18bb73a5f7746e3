//! Content: staged, asked for, read. SPEC.md section 5; who may, in `access`.

use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use cairn_grpc::{id32, refusing, v1};
use cairn_proto::{hash::ContentId, name::Environment, reason::Reason};
use tonic::{Status, Streaming};

use super::{Answers, environment, malformed, not_granted, status};
use crate::{
    access::Caller,
    content::{ContentError, ContentStore as _, Part},
    ledger::{Ledger, Named, Refusal, stored},
};

/// Seconds without a part after which an upload is given up; what came is kept.
const PART_SECONDS_MAX: Duration = Duration::from_mins(1);
/// Ids of one `StatContent`.
const STAT_MAX: usize = 10_000;
/// Bytes of one answer of a read.
const READ_BYTES: u64 = 1 << 20;

fn content_status(error: ContentError) -> Status {
    status(&Refusal::Content(error))
}

fn content_id(bytes: &[u8]) -> Result<ContentId, Status> {
    id32(bytes, "content_id").map(ContentId).map_err(malformed)
}

/// File work on a thread of its own: the network's threads never wait for a disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    let stopping = |_| status(&Refusal::ShuttingDown);
    tokio::task::spawn_blocking(work).await.map_err(stopping)?
}

pub(super) async fn put(
    ledger: &Ledger,
    caller: &Caller,
    parts: Streaming<v1::PutContentRequest>,
) -> Result<v1::PutContentResponse, Status> {
    if !caller.may_upload() {
        let message = "this caller may not upload: send a token that may";
        return Err(not_granted(caller, message));
    }
    let mut current = None;
    let answer = take(ledger, caller, parts, &mut current).await;
    if let Some((id, _)) = current {
        let (ledger, owner) = (ledger.clone(), caller.owner().to_owned());
        // What ended the stream matters more than whether a restart will count the last bytes.
        let _ = blocking(move || {
            let paused = ledger.store().content().staging().pause(&owner, &id);
            ledger.heed(paused).map_err(|refusal| status(&refusal))
        })
        .await;
    }
    answer
}

/// Takes parts until their stream ends; leaves in `current` a content that lacks some.
async fn take(
    ledger: &Ledger,
    caller: &Caller,
    mut parts: Streaming<v1::PutContentRequest>,
    current: &mut Option<(ContentId, u64)>,
) -> Result<v1::PutContentResponse, Status> {
    let mut answer = v1::PutContentResponse::default();
    loop {
        let part = tokio::time::timeout(PART_SECONDS_MAX, parts.message()).await;
        let late = |_| {
            refusing(
                Reason::InvalidRequest,
                "no part came for 60 s; what came is kept",
            )
        };
        let Some(part) = part.map_err(late)?? else {
            break;
        };
        let (id, offset) = match (*current, part.content_id.is_empty()) {
            (_, false) => (content_id(&part.content_id)?, part.offset),
            (Some(current), true) => current,
            (None, true) => {
                return Err(refusing(
                    Reason::InvalidRequest,
                    "the first part has no content_id",
                ));
            }
        };
        let (length, last) = (part.data.len() as u64, part.last);
        let (ledger, owner) = (ledger.clone(), caller.owner().to_owned());
        blocking(move || {
            let staging = ledger.store().content().staging();
            let place = if last { Part::Last } else { Part::More };
            let written = staging.write(&owner, id, offset, &part.data, place);
            ledger.heed(written).map_err(|refusal| status(&refusal))
        })
        .await?;
        answer.stored_bytes += length;
        answer.stored += u64::from(last);
        *current = (!last).then_some((id, offset + length));
    }
    Ok(answer)
}

pub(super) async fn stat(
    ledger: &Ledger,
    caller: &Caller,
    request: v1::StatContentRequest,
) -> Result<v1::StatContentResponse, Status> {
    if request.content_ids.len() > STAT_MAX {
        let message = format!("at most {STAT_MAX} content_ids at once");
        return Err(refusing(Reason::InvalidRequest, message));
    }
    let environment = environment(&request.environment)?;
    let ids = request.content_ids.iter().map(|id| content_id(id));
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    let (ledger, caller) = (ledger.clone(), caller.clone());
    blocking(move || missing(&ledger, &caller, &environment, &ids)).await
}

/// To know an id is not to have the content: what others uploaded is "missing" to a caller
/// who could not read it anyway.
pub(super) fn missing(
    ledger: &Ledger,
    caller: &Caller,
    environment: &Environment,
    ids: &[ContentId],
) -> Result<v1::StatContentResponse, Status> {
    let content = ledger.store().content();
    let staging = content.staging();
    let newest = ledger.releases(environment, &ledger.head());
    let named: HashSet<ContentId> = match ledger.manifest_of(environment, newest) {
        // Only what was stored: admission lets nothing else be named again.
        Ok(manifest) if caller.may_write(environment) => stored(&manifest).collect(),
        _ => HashSet::new(),
    };
    let mut answer = v1::StatContentResponse::default();
    for id in ids {
        if let Some(index) = ledger.erased(id).filter(|_| caller.may_upload()) {
            answer.erased.push(v1::Erased {
                content_id: Bytes::copy_from_slice(id.as_bytes()),
                index: index.0,
            });
            continue;
        }
        let nameable = named.contains(id) || caller.reads_everything();
        if nameable && content.size(id).is_some() {
            continue;
        }
        if staging
            .claimed(caller.owner(), id)
            .map_err(content_status)?
            .is_some()
        {
            continue;
        }
        answer.missing.push(v1::Missing {
            content_id: Bytes::copy_from_slice(id.as_bytes()),
            staged_bytes: staging.kept(caller.owner(), id),
        });
    }
    Ok(answer)
}

pub(super) async fn get(
    ledger: &Ledger,
    caller: &Caller,
    request: v1::GetContentRequest,
) -> Result<Answers<v1::GetContentResponse>, Status> {
    let id = content_id(&request.content_id)?;
    let environment = environment(&request.environment)?;
    if !caller.may_read(&environment) {
        let message = format!("this caller may not read content of {environment}");
        return Err(not_granted(caller, message));
    }
    let reader = ledger.clone();
    let sequence = request.sequence;
    let size = blocking(move || {
        let refuse = |refusal: Refusal| status(&refusal);
        let named = reader.named(&environment, sequence).map_err(refuse)?;
        let absent = || {
            let what = format!("content blake3:{id} in {environment}#{sequence}");
            status(&Refusal::NotFound { what })
        };
        if !names(&reader, &named, &id).map_err(refuse)? {
            return Err(absent());
        }
        if let Some(index) = reader.erased(&id) {
            return Err(content_status(ContentError::Erased { id, index }));
        }
        reader.store().content().size(&id).ok_or_else(absent)
    })
    .await?;
    let end = match request.length {
        0 => size,
        length => request.offset.saturating_add(length).min(size),
    };
    if request.offset > end {
        return Err(refusing(
            Reason::InvalidRequest,
            "field `offset` is beyond the content",
        ));
    }
    Ok(read(ledger.clone(), id, request.offset, end, size))
}

/// Whether a manifest, or a tree that it lists, names a stored content. Of a listing that was
/// erased nobody knows any more what it named: it may have named whatever was erased.
fn names(ledger: &Ledger, named: &Named, id: &ContentId) -> Result<bool, Refusal> {
    if named.names(id) {
        return Ok(true);
    }
    for (listing, tree) in named.trees() {
        if ledger.erased(listing).is_some() {
            if ledger.erased(id).is_some() {
                return Ok(true);
            }
            continue;
        }
        if ledger.listing(listing, tree.as_str())?.names(id) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn read(
    ledger: Ledger,
    id: ContentId,
    offset: u64,
    end: u64,
    size: u64,
) -> Answers<v1::GetContentResponse> {
    let parts = futures_util::stream::try_unfold((offset, true), move |(at, first)| {
        let ledger = ledger.clone();
        async move {
            if at >= end && !first {
                return Ok(None);
            }
            let next = end.min(at + READ_BYTES);
            let data = blocking(move || {
                let read = ledger.store().content().read(&id, at..next);
                read.map_err(content_status)
            })
            .await?;
            let size = if first { size } else { 0 };
            Ok(Some((v1::GetContentResponse { data, size }, (next, false))))
        }
    });
    Box::pin(parts)
}
