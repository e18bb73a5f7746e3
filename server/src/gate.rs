//! What every request passes first: a bound on how many are under way, and on how long one
//! may take. Bodies are read behind it, so it bounds the bytes in flight as well.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use cairn_grpc::refusing;
use cairn_proto::reason::Reason;
use tokio::{sync::Semaphore, time};

/// Requests whose answer has not begun: each may hold one message in memory.
const REQUESTS_MAX: usize = 1_024;
/// Time for a request to come in and be answered, streams of parts excepted: those have a
/// bound for each part.
const REQUEST_SECONDS_MAX: Duration = Duration::from_mins(1);
/// Calls that last as long as their peer sends.
const STREAMS: [&str; 2] = ["/PutContent", "/AppendStream"];

/// The places of requests under way.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(REQUESTS_MAX)))
    }
}

/// Lets a request through, or answers that there is too much to do.
pub(crate) async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let speaks_grpc = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let Ok(_place) = gate.0.try_acquire() else {
        return overloaded(speaks_grpc, "too many requests are under way");
    };
    let path = request.uri().path();
    if STREAMS.iter().any(|stream| path.ends_with(stream)) {
        return next.run(request).await;
    }
    match time::timeout(REQUEST_SECONDS_MAX, next.run(request)).await {
        Ok(response) => response,
        Err(_) => overloaded(speaks_grpc, "the request did not come in and end in time"),
    }
}

fn overloaded(speaks_grpc: bool, message: &str) -> Response {
    if speaks_grpc {
        return refusing(Reason::Overloaded, message).into_http();
    }
    let text = format!("{message} [{}]\n", Reason::Overloaded);
    let headers = [(header::RETRY_AFTER, "1")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, text).into_response()
}
