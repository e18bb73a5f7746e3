//! What peers have under way of messages that are not whole yet.
//!
//! A message is gathered in memory until it is whole, one for each call, and a connection may
//! have hundreds of calls: a peer that never ends them would take gigabytes. So the bytes of
//! unfinished messages are counted, for each connection and for all together, and a message
//! has a time to end in. Small ones are not counted: ordinary calls go on while somebody
//! fills the account.
//!
//! Invariant: what a body has on either account is given back when its message is whole, and
//! when the body is dropped. Out of scope: whole messages, which handlers bound.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{BoxError, Router};
use bytes::{Buf as _, Bytes};
use cairn_grpc::refusing;
use cairn_proto::reason::Reason;
use http::Request;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};
use tower::Service;

/// Unfinished messages of one connection: a few of the largest, or dozens of parts of uploads.
const OWN_BYTES_MAX: usize = 24 << 20;
/// Unfinished messages of all connections.
const ALL_BYTES_MAX: usize = 512 << 20;
/// A message of so many bytes is not counted: an entry with a usual manifest.
const SMALL_BYTES_MAX: usize = 16 << 10;
/// Time for a message to become whole, from its first byte on.
const MESSAGE_SECONDS_MAX: Duration = Duration::from_mins(1);

/// Bytes taken of so many.
#[derive(Debug)]
struct Account {
    taken: AtomicUsize,
    max: usize,
}

impl Account {
    fn new(max: usize) -> Arc<Self> {
        Arc::new(Self {
            taken: AtomicUsize::new(0),
            max,
        })
    }

    fn take(&self, bytes: usize) -> bool {
        let fits = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= self.max);
        let taken = &self.taken;
        taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .is_ok()
    }

    fn give(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The account of all connections.
#[derive(Debug)]
pub(crate) struct Intake(Arc<Account>);

impl Intake {
    pub(crate) fn new() -> Self {
        Self(Account::new(ALL_BYTES_MAX))
    }

    /// What answers one connection.
    pub(crate) fn connection(&self, router: Router) -> Counting {
        Counting {
            router,
            peer: Peer {
                own: Account::new(OWN_BYTES_MAX),
                all: Arc::clone(&self.0),
            },
        }
    }
}

/// A router whose requests' bodies are counted.
#[derive(Debug, Clone)]
pub(crate) struct Counting {
    router: Router,
    peer: Peer,
}

impl Service<Request<Incoming>> for Counting {
    type Response = <Router as Service<Request<Counted<Incoming>>>>::Response;
    type Error = <Router as Service<Request<Counted<Incoming>>>>::Error;
    type Future = <Router as Service<Request<Counted<Incoming>>>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // A router is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        let peer = self.peer.clone();
        self.router
            .call(request.map(|body| Counted::new(body, peer)))
    }
}

#[derive(Debug, Clone)]
struct Peer {
    own: Arc<Account>,
    all: Arc<Account>,
}

impl Peer {
    fn take(&self, bytes: usize) -> bool {
        if !self.own.take(bytes) {
            return false;
        }
        let taken = self.all.take(bytes);
        if !taken {
            self.own.give(bytes);
        }
        taken
    }

    fn give(&self, bytes: usize) {
        self.own.give(bytes);
        self.all.give(bytes);
    }
}

/// Where a body stands in gRPC's framing: a flag and a length of four bytes, then so many.
#[derive(Debug, Default)]
struct Framing {
    head: [u8; 5],
    head_bytes: usize,
    message: usize,
    left: usize,
    /// Messages that are whole.
    ended: u64,
}

impl Framing {
    fn pass(&mut self, mut data: &[u8]) {
        while let Some(first) = data.first() {
            if self.left > 0 {
                let passed = self.left.min(data.len());
                self.left -= passed;
                data.advance(passed);
            } else {
                if let Some(place) = self.head.get_mut(self.head_bytes) {
                    *place = *first;
                }
                self.head_bytes += 1;
                data.advance(1);
                if self.head_bytes < self.head.len() {
                    continue;
                }
                let [_, length @ ..] = self.head;
                self.message = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                (self.left, self.head_bytes) = (self.message, 0);
            }
            if self.left == 0 {
                self.ended += 1;
            }
        }
    }

    fn is_within_a_message(&self) -> bool {
        self.left > 0 || self.head_bytes > 0
    }

    /// Bytes that are gathered of a message that is not small and not whole.
    fn gathered(&self) -> usize {
        if self.left == 0 || self.message <= SMALL_BYTES_MAX {
            return 0;
        }
        self.message - self.left
    }
}

/// A request's body, counted.
#[derive(Debug)]
pub(crate) struct Counted<B> {
    body: B,
    peer: Peer,
    framing: Framing,
    taken: usize,
    until: Option<Pin<Box<Sleep>>>,
}

impl<B> Counted<B> {
    fn new(body: B, peer: Peer) -> Self {
        Self {
            body,
            peer,
            framing: Framing::default(),
            taken: 0,
            until: None,
        }
    }

    /// Counts what came; whether it may be kept.
    fn count(&mut self, data: &[u8]) -> bool {
        let ended = self.framing.ended;
        self.framing.pass(data);
        if !self.framing.is_within_a_message() {
            self.until = None;
        } else if self.until.is_none() || self.framing.ended > ended {
            self.until = Some(Box::pin(sleep(MESSAGE_SECONDS_MAX)));
        }
        let gathered = self.framing.gathered();
        if gathered <= self.taken {
            self.peer.give(self.taken - gathered);
        } else if !self.peer.take(gathered - self.taken) {
            return false;
        }
        self.taken = gathered;
        true
    }
}

impl<B> Drop for Counted<B> {
    fn drop(&mut self) {
        self.peer.give(self.taken);
    }
}

fn refused(message: &str) -> BoxError {
    refusing(Reason::Overloaded, message).into()
}

impl<B> Body for Counted<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            if let Some(until) = &mut this.until {
                ready!(until.as_mut().poll(context));
                return Poll::Ready(Some(Err(refused("a message did not end in time"))));
            }
            return Poll::Pending;
        };
        let frame = frame.map(|frame| frame.map_err(Into::into));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && !this.count(data)
        {
            let message = "too much is under way in messages that are not whole";
            return Poll::Ready(Some(Err(refused(message))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, Counted, Framing, OWN_BYTES_MAX, Peer, SMALL_BYTES_MAX};

    fn message(bytes: usize) -> Vec<u8> {
        let mut message = vec![0];
        message.extend(u32::try_from(bytes).unwrap().to_be_bytes());
        message.resize(5 + bytes, 7);
        message
    }

    /// Goal: the framing is followed however it is cut. Method: messages of several sizes in
    /// pieces of every length.
    #[test]
    fn messages_are_followed_over_any_cut() {
        let sizes = [0, 1, 5, 40, SMALL_BYTES_MAX + 1];
        let text: Vec<u8> = sizes.iter().flat_map(|size| message(*size)).collect();
        for piece in [1, 2, 3, 4, 5, 6, 7, 100, text.len()] {
            let mut framing = Framing::default();
            for part in text.chunks(piece) {
                framing.pass(part);
            }
            assert_eq!(framing.ended, sizes.len() as u64, "pieces of {piece}");
            assert!(!framing.is_within_a_message() && framing.gathered() == 0);
        }
        let mut framing = Framing::default();
        framing.pass(&message(SMALL_BYTES_MAX + 1)[..100]);
        assert_eq!(framing.gathered(), 95);
    }

    /// Goal: what is taken is given back, and no more is taken than there is.
    #[tokio::test]
    async fn an_unfinished_message_is_on_the_account_until_it_ends() {
        let peer = Peer {
            own: Account::new(OWN_BYTES_MAX),
            all: Account::new(30_000),
        };
        let taken = || {
            let own = peer.own.taken.load(std::sync::atomic::Ordering::Relaxed);
            let all = peer.all.taken.load(std::sync::atomic::Ordering::Relaxed);
            assert_eq!(own, all);
            own
        };
        let large = message(20_000);
        let mut first = Counted::new((), peer.clone());
        assert!(first.count(&large[..19_005]));
        assert_eq!(taken(), 19_000);
        let mut second = Counted::new((), peer.clone());
        assert!(!second.count(&large[..19_005]));
        // A small one goes on beside them.
        let mut small = Counted::new((), peer.clone());
        assert!(small.count(&message(SMALL_BYTES_MAX)[..10_000]));
        assert!(first.count(&large[19_005..]));
        assert_eq!(taken(), 0);
        assert!(first.count(&large[..10_005]));
        assert_eq!(taken(), 10_000);
        drop((first, second, small));
        assert_eq!(taken(), 0);
    }
}
