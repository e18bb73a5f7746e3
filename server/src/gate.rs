//! What every request passes first: a bound on how many are being answered, and on how long
//! one may take.
//!
//! Invariant: a request takes a place once it is whole and not before, so whoever begins many
//! and ends none holds up nobody. What is gathered of it until then is on `intake`'s account.
//! Out of scope: streams of parts and of appends, whose messages are on that account too.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use cairn_grpc::refusing;
use cairn_proto::reason::Reason;
use hyper::body::Frame;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};

/// Requests that are whole and not answered: each may hold one message in memory.
const REQUESTS_MAX: usize = 1_024;
/// Time for a request to come in and be answered, streams of parts excepted: those have a
/// bound for each part.
const REQUEST_SECONDS_MAX: Duration = Duration::from_mins(1);
/// Calls that last as long as their peer sends.
const STREAMS: [&str; 2] = ["/PutContent", "/AppendStream"];

/// The places of requests that are being answered.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Semaphore>);

impl Gate {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(REQUESTS_MAX)))
    }
}

/// A request's place, once it has one.
#[derive(Debug, Clone)]
struct Place {
    gate: Gate,
    taken: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Place {
    fn at(gate: Gate) -> Self {
        Self {
            gate,
            taken: Arc::default(),
        }
    }

    /// Whether it has one now.
    fn take(&self) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.is_none() {
            *taken = self.gate.0.clone().try_acquire_owned().ok();
        }
        taken.is_some()
    }
}

/// A body whose end takes the request's place.
struct Entering {
    body: Body,
    place: Place,
}

impl HttpBody for Entering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() && !self.place.take() {
            let full = refusing(Reason::Overloaded, FULL);
            return Poll::Ready(Some(Err(axum::Error::new(full))));
        }
        Poll::Ready(frame)
    }
}

const FULL: &str = "too many requests are under way";

/// Lets a request through, or answers that there is too much to do.
pub(crate) async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if STREAMS.iter().any(|stream| path.ends_with(stream)) {
        return next.run(request).await;
    }
    let speaks_grpc = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let place = Place::at(gate);
    if request.body().is_end_stream() && !place.take() {
        return overloaded(speaks_grpc, FULL);
    }
    let entering = place.clone();
    let request = request.map(|body| {
        Body::new(Entering {
            body,
            place: entering,
        })
    });
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
