//! One listener for gRPC and HTTP, with every limit set, and a graceful end.
//!
//! Invariant: nothing that a peer sends holds a lock, waits for ever or grows without bound;
//! a fatal fault of the store ends the service at once.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, middleware};
use cairn_grpc::{
    FILE_DESCRIPTOR_SET,
    v1::{ledger_server::LedgerServer, proposals_server::ProposalsServer},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
    time,
};
use tonic::service::Routes;

use crate::{
    access::Access,
    disk::OsDisk,
    gate::{self, Gate},
    http,
    intake::Intake,
    ledger::{Failure, Ledger, ServerKeys},
    proposals::{self, Room},
    service::LedgerService,
    witnessing::{self, Witnesses},
};

/// Bytes of one message that a peer sends: an entry with the largest document fits.
const MESSAGE_IN_BYTES_MAX: usize = 6 << 20;
/// Bytes of one message that we send: a manifest with many versions of a policy.
const MESSAGE_OUT_BYTES_MAX: usize = 64 << 20;
/// Open connections: each may hold `STREAMS_MAX` calls.
const CONNECTIONS_MAX: usize = 1_024;
/// Calls of one connection at once.
const STREAMS_MAX: u32 = 512;
/// Bytes of a request's headers.
const HEADER_BYTES_MAX: u32 = 16 << 10;
/// Streams that a peer opened and reset before we looked (rapid reset).
const PENDING_RESETS_MAX: usize = 32;
/// A peer that does not answer a ping in this time is gone; also for HTTP/1 headers.
const IDLE_SECONDS: Duration = Duration::from_secs(20);
/// How often the clock's cosignature is renewed while nothing happens.
const RENEW_SECONDS: Duration = Duration::from_secs(10);
/// Age at which uploads that no entry names are dropped, and how often that is looked at.
const STAGED_AGE_MAX: Duration = Duration::from_hours(24);
const EXPIRE_SECONDS: Duration = Duration::from_mins(10);
/// What an HTTP/2 connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How often a connection that has sent only a part of that is looked at again.
const PREFACE_LOOKS: Duration = Duration::from_millis(50);
/// Time for calls under way to end once the server is asked to stop.
const DRAIN_SECONDS: Duration = Duration::from_secs(10);

/// Why the service ended before it was asked to.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The process must abort: nothing in memory may be trusted.
    #[error("the ledger failed: {0}")]
    Ledger(#[from] Failure),
    /// The reflection service could not be built.
    #[error("the service descriptors cannot be read: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

fn router(
    ledger: &Ledger,
    access: &Access,
    room: Option<&Arc<Room>>,
) -> Result<Router, ServeError> {
    let service = LedgerService::new(ledger.clone(), access.clone(), room.cloned());
    let proposals = ProposalsServer::new(service.clone())
        .max_decoding_message_size(MESSAGE_IN_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_OUT_BYTES_MAX);
    let service = LedgerServer::new(service)
        .max_decoding_message_size(MESSAGE_IN_BYTES_MAX)
        .max_encoding_message_size(MESSAGE_OUT_BYTES_MAX);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let (_, health) = tonic_health::server::health_reporter();
    let grpc = Routes::new(service)
        .add_service(proposals)
        .add_service(reflection)
        .add_service(health);
    // tonic answers unknown paths with a gRPC status; a browser gets plain text instead.
    let grpc = grpc.into_axum_router().reset_fallback();
    Ok(grpc
        .merge(http::routes(ledger.clone(), access.clone()))
        .fallback(http::nothing_here)
        .layer(middleware::from_fn_with_state(Gate::new(), gate::pass)))
}

fn connections() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_SECONDS)
        .max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(PENDING_RESETS_MAX)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(2 << 20)
        .keep_alive_interval(IDLE_SECONDS)
        .keep_alive_timeout(IDLE_SECONDS);
    builder
}

/// What a server does beside answering.
pub struct Duties {
    /// Keep the clock's cosignature young.
    pub keys: ServerKeys,
    /// Are asked to cosign.
    pub witnesses: Option<Witnesses>,
    /// Where half-signed envelopes wait; nowhere if not said.
    pub proposals: Option<proposals::Settings>,
}

/// Serves a ledger until `stop` resolves; then lets calls under way end.
pub async fn serve(
    listener: TcpListener,
    ledger: Ledger,
    duties: Duties,
    access: Access,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let room = open_room(duties.proposals).await;
    let router = router(&ledger, &access, room.as_ref())?;
    let mut beside = JoinSet::new();
    beside.spawn(upkeep(ledger.clone(), duties.keys, room));
    if let Some(witnesses) = duties.witnesses {
        beside.spawn(witnessing::witness(ledger.clone(), witnesses));
    }
    let ended = tokio::select! {
        failure = ledger.failed() => Err(failure.into()),
        () = run(&listener, router, stop) => Ok(()),
    };
    // They hold the ledger, and the ledger the lock, until they are really gone.
    beside.shutdown().await;
    if ended.is_ok() {
        ledger.close().await;
    }
    ended
}

async fn open_room(settings: Option<proposals::Settings>) -> Option<Arc<Room>> {
    let settings = settings?;
    let open = move || Arc::new(Room::open(Arc::new(OsDisk), &settings));
    tokio::task::spawn_blocking(open).await.ok()
}

/// Serves a router with the same limits until `stop` resolves; then lets requests under way end.
pub(crate) async fn run(listener: &TcpListener, router: Router, stop: impl Future<Output = ()>) {
    accept(listener, router).run(stop).await;
}

struct Accepting<'a> {
    listener: &'a TcpListener,
    router: Router,
    places: Arc<Semaphore>,
    intake: Intake,
}

fn accept(listener: &TcpListener, router: Router) -> Accepting<'_> {
    Accepting {
        listener,
        router,
        places: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        intake: Intake::new(),
    }
}

impl Accepting<'_> {
    async fn run(self, stop: impl Future<Output = ()>) {
        let builder = connections();
        let graceful = GracefulShutdown::new();
        // Dropped when the server stops: who has not said a word yet is not waited for.
        let (running, stopping) = watch::channel(());
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut stop => break,
            };
            let (stream, peer): (_, SocketAddr) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, most likely: others must end first.
                    tracing::warn!(%error, "a connection was not accepted");
                    time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Ok(place) = self.places.clone().try_acquire_owned() else {
                tracing::warn!(%peer, "too many connections: one was closed");
                continue;
            };
            // A receipt is small and should leave at once.
            let _ = stream.set_nodelay(true);
            let service = TowerToHyperService::new(self.intake.connection(self.router.clone()));
            let (builder, watcher) = (builder.clone(), graceful.watcher());
            let mut stopping = stopping.clone();
            tokio::spawn(async move {
                let spoke = tokio::select! {
                    spoke = speaks(&stream) => spoke,
                    _ = stopping.changed() => false,
                };
                if spoke {
                    let connection = builder.serve_connection(TokioIo::new(stream), service);
                    if let Err(error) = watcher.watch(connection.into_owned()).await {
                        tracing::debug!(%peer, %error, "a connection ended");
                    }
                }
                drop(place);
            });
        }
        drop(running);
        if time::timeout(DRAIN_SECONDS, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("some calls did not end in time and were cut");
        }
    }
}

/// Whether a peer shows in time which protocol it speaks. hyper has no limit on that: its own
/// begin only once it knows.
async fn speaks(stream: &TcpStream) -> bool {
    let shown = async {
        let mut buffer = [0; PREFACE.len()];
        loop {
            let count = stream.peek(&mut buffer).await.unwrap_or(0);
            let seen = buffer.get(..count).unwrap_or_default();
            if seen.is_empty() || seen.len() == PREFACE.len() || !PREFACE.starts_with(seen) {
                return;
            }
            time::sleep(PREFACE_LOOKS).await;
        }
    };
    time::timeout(IDLE_SECONDS, shown).await.is_ok()
}

async fn upkeep(ledger: Ledger, keys: ServerKeys, room: Option<Arc<Room>>) {
    let mut renew = time::interval(RENEW_SECONDS);
    let mut expire = time::interval(EXPIRE_SECONDS);
    loop {
        tokio::select! {
            _ = renew.tick() => {
                if let Err(error) = ledger.renew(&keys) {
                    tracing::error!(%error, "the clock key does not sign");
                }
            }
            _ = expire.tick() => {
                let (ledger, room) = (ledger.clone(), room.clone());
                let expire = move || {
                    if let Some(room) = room {
                        room.sweep(|place| place.is_taken(&ledger.head()));
                        // What waits names what they uploaded.
                        for owner in room.owners() {
                            ledger.store().content().staging().keep(&owner);
                        }
                    }
                    ledger.expire(STAGED_AGE_MAX)
                };
                let expired = tokio::task::spawn_blocking(expire);
                if let Ok(Err(error)) = expired.await {
                    tracing::warn!(%error, "old uploads were not dropped");
                }
            }
        }
    }
}
