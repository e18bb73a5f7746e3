//! The read API over plain HTTP: C2SP's `/checkpoint` and `/tile/...`, and documents.
//! SPEC.md section 6. GET only; nothing here writes.

use std::convert::Infallible;

use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{StatusCode, header},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bytes::{Bytes, BytesMut};
use cairn_proto::{
    hash::DocumentId,
    reason::Reason,
    tile::{Tile, TileKind},
};
use futures_util::stream;

use crate::{
    access::Access,
    ledger::{Ledger, Refusal},
};

const TEXT: &str = "text/plain; charset=utf-8";
const BINARY: &str = "application/octet-stream";
/// A tile or a document never changes.
const FOR_EVER: Keep = Keep {
    public: "public, max-age=31536000, immutable",
    private: "private, max-age=31536000, immutable",
};
/// Bytes of entries or documents that are sent together where there are so many.
const PART_BYTES_MIN: usize = 64 << 10;
/// A checkpoint is old after seconds.
const BRIEFLY: Keep = Keep {
    public: "public, max-age=1",
    private: "private, max-age=1",
};

/// How long an answer may be kept: by anyone, or, of a log that is read with a token, by the
/// one who asked alone. `public` would have a shared cache hand it to everybody.
#[derive(Clone, Copy)]
struct Keep {
    public: &'static str,
    private: &'static str,
}

#[derive(Clone)]
struct Reads {
    ledger: Ledger,
    access: Access,
}

/// The routes of the read API.
pub(crate) fn routes(ledger: Ledger, access: Access) -> Router {
    Router::new()
        .route("/checkpoint", get(checkpoint))
        .route("/tile/{*path}", get(tile))
        .route("/documents/{*path}", get(documents))
        .route("/document/{id}", get(document))
        .route_layer(from_fn_with_state(access.clone(), authorised))
        .with_state(Reads { ledger, access })
}

/// The one place where reading is allowed: before every route above.
async fn authorised(State(access): State<Access>, request: Request, next: Next) -> Response {
    let header = request.headers().get(header::AUTHORIZATION);
    let header = header.map(|value| value.to_str().unwrap_or_default());
    match access.identify(header) {
        Ok(caller) if access.reads_log(&caller) => next.run(request).await,
        _ => {
            let message = "this ledger is read with a token";
            refuse(Reason::NotAuthenticated, message)
        }
    }
}

impl Reads {
    fn found(&self, kind: &'static str, keep: Keep, body: impl Into<Body>) -> Response {
        let keep = if self.access.log_is_public() {
            keep.public
        } else {
            keep.private
        };
        let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, keep)];
        (headers, body.into()).into_response()
    }
}

fn refuse(reason: Reason, message: &str) -> Response {
    let code = match reason {
        Reason::NotAuthenticated => StatusCode::UNAUTHORIZED,
        Reason::NotFound => StatusCode::NOT_FOUND,
        Reason::InvalidRequest => StatusCode::BAD_REQUEST,
        Reason::Overloaded | Reason::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let text = format!("{message} [{reason}]\n");
    (code, [(header::CONTENT_TYPE, TEXT)], text).into_response()
}

fn refused(refusal: &Refusal) -> Response {
    if refusal.is_own_fault() {
        tracing::error!(%refusal, "a read failed");
    }
    refuse(refusal.reason(), &refusal.told())
}

async fn checkpoint(State(reads): State<Reads>) -> Response {
    reads.found(TEXT, BRIEFLY, reads.ledger.signed_note())
}

/// File work on a thread of its own.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Refusal::ShuttingDown)?
}

async fn tile(State(reads): State<Reads>, Path(path): Path<String>) -> Response {
    let Ok(tile) = Tile::parse(&format!("tile/{path}")) else {
        return refuse(Reason::NotFound, "no such tile");
    };
    if tile.kind == TileKind::Entries {
        return in_parts(&reads, tile, Rest::Entries(0)).await;
    }
    // In memory: no thread is needed for it.
    match reads.ledger.tile(&tile) {
        Ok(bytes) => reads.found(BINARY, FOR_EVER, bytes),
        Err(refusal) => refused(&refusal),
    }
}

async fn documents(State(reads): State<Reads>, Path(path): Path<String>) -> Response {
    let Ok(tile) = Tile::parse(&format!("documents/{path}")) else {
        return refuse(Reason::NotFound, "no such tile");
    };
    match reads.ledger.document_records(&tile) {
        Ok(records) => in_parts(&reads, tile, Rest::Documents(records.into_iter())).await,
        Err(refusal) => refused(&refusal),
    }
}

/// What is left to read of a bundle.
#[derive(Debug, Clone)]
enum Rest {
    /// Entries from this offset on.
    Entries(u16),
    /// Documents of these records.
    Documents(std::vec::IntoIter<u64>),
}

/// Reads the next part. It is empty only at the end, and small only there: HTTP/2 readers
/// take many such frames for a flood.
fn part(ledger: &Ledger, tile: &Tile, rest: Rest) -> Result<(Bytes, Option<Rest>), Refusal> {
    match rest {
        Rest::Entries(from) => {
            let (bytes, next) = ledger.entries_in(tile, from, PART_BYTES_MIN)?;
            Ok((bytes, (next < tile.width).then_some(Rest::Entries(next))))
        }
        Rest::Documents(mut records) => {
            let mut bytes = BytesMut::new();
            while bytes.len() < PART_BYTES_MIN {
                let Some(position) = records.next() else {
                    break;
                };
                bytes.extend_from_slice(&ledger.documents_in(tile, position)?);
            }
            let rest = (records.len() > 0).then_some(Rest::Documents(records));
            Ok((bytes.freeze(), rest))
        }
    }
}

/// A bundle: at once where it is small, else as it is read. The first part is read before
/// the answer begins, so that a fault is seen, and then again: nothing waits in memory for a
/// reader that does not read.
async fn in_parts(reads: &Reads, tile: Tile, all: Rest) -> Response {
    let read = move |ledger: Ledger, rest| blocking(move || part(&ledger, &tile, rest));
    match read(reads.ledger.clone(), all.clone()).await {
        Ok((bytes, None)) if bytes.len() <= 2 * PART_BYTES_MIN => {
            return reads.found(BINARY, FOR_EVER, bytes);
        }
        Ok(_) => {}
        Err(refusal) => return refused(&refusal),
    }
    let ledger = reads.ledger.clone();
    let parts = stream::try_unfold(Some(all), move |rest| {
        let ledger = ledger.clone();
        async move {
            let Some(rest) = rest else { return Ok(None) };
            // An error ends the body early, so that the reader sees that it is not whole.
            let (bytes, rest) = read(ledger, rest).await.inspect_err(|refusal| {
                tracing::error!(%refusal, "a read failed");
            })?;
            Ok::<_, Refusal>((!bytes.is_empty()).then_some((bytes, rest)))
        }
    });
    reads.found(BINARY, FOR_EVER, Body::from_stream(parts))
}

async fn document(State(reads): State<Reads>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<DocumentId>() else {
        return refuse(Reason::NotFound, "no such document");
    };
    let ledger = reads.ledger.clone();
    match blocking(move || ledger.document(&id)).await {
        Ok(bytes) => reads.found(BINARY, FOR_EVER, bytes),
        Err(refusal) => refused(&refusal),
    }
}

/// The answer to a path that is not served.
pub(crate) async fn nothing_here() -> Result<Response, Infallible> {
    Ok(refuse(Reason::NotFound, "nothing is served at this path"))
}
