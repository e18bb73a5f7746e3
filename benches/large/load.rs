//! Requests as fast as they are answered, by clients that do next to nothing: hyper's own
//! connections, whole answers counted and thrown away. And a server that does nothing but
//! answer the same bytes, for a ceiling.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::net::{TcpListener, TcpStream};

use crate::{report::percentiles, support::tools::Random};

/// Before anything is counted.
const WARM: Duration = Duration::from_millis(500);
const MEASURED: Duration = Duration::from_secs(4);

/// What is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) path: String,
    /// A gRPC message; without one it is a plain GET.
    pub(crate) call: Option<Bytes>,
}

/// Connections, and requests under way on each. One: HTTP/1.1; more: HTTP/2.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) connections: usize,
    pub(crate) each: usize,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) rate: f64,
    pub(crate) p99_ms: f64,
}

/// Which one to ask for, each time.
pub(crate) type Next = Arc<dyn Fn(&mut Random) -> Ask + Send + Sync>;

enum Sender {
    One(http1::SendRequest<Full<Bytes>>),
    Two(http2::SendRequest<Full<Bytes>>),
}

/// One for each request that is to be under way.
async fn senders(address: SocketAddr, shape: Shape) -> Vec<Sender> {
    let mut senders = Vec::new();
    for _ in 0..shape.connections {
        match connect(address, shape.each > 1).await {
            Sender::Two(two) => senders.extend((0..shape.each).map(|_| Sender::Two(two.clone()))),
            Sender::One(one) => senders.push(Sender::One(one)),
        }
    }
    senders
}

async fn connect(address: SocketAddr, two: bool) -> Sender {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let io = TokioIo::new(stream);
    if two {
        let (sender, connection) = http2::Builder::new(TokioExecutor::new())
            .initial_stream_window_size(4 << 20)
            .initial_connection_window_size(16 << 20)
            .handshake(io)
            .await
            .unwrap();
        tokio::spawn(connection);
        return Sender::Two(sender);
    }
    let (sender, connection) = http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    Sender::One(sender)
}

impl Sender {
    async fn send(&mut self, address: &str, ask: Ask) -> Response<Incoming> {
        let request = match ask.call {
            Some(message) => Request::post(format!("http://{address}{}", ask.path))
                .header(header::CONTENT_TYPE, "application/grpc")
                .header(header::TE, "trailers")
                .body(Full::new(framed(&message))),
            None => Request::get(ask.path)
                .header(header::HOST, address)
                .body(Full::default()),
        };
        let request = request.unwrap();
        let answer = match self {
            Self::One(sender) => {
                sender.ready().await.unwrap();
                sender.send_request(request).await
            }
            Self::Two(sender) => {
                sender.ready().await.unwrap();
                sender.send_request(request).await
            }
        };
        let answer = answer.unwrap();
        assert_eq!(answer.status(), 200);
        answer
    }

    /// Asks, and takes the whole answer, which must be a good one.
    async fn ask(&mut self, address: &str, ask: Ask) {
        let call = ask.call.is_some();
        take(self.send(address, ask).await, call).await;
    }
}

/// A connection that fetches one thing after another.
pub(crate) struct Fetcher {
    sender: Sender,
    host: String,
}

impl Fetcher {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self {
            sender: connect(address, false).await,
            host: address.to_string(),
        }
    }

    /// Number of bytes, which may be none.
    pub(crate) async fn fetch(&mut self, path: String) -> usize {
        let ask = Ask { path, call: None };
        let body = self.sender.send(&self.host, ask).await.into_body();
        body.collect().await.unwrap().to_bytes().len()
    }
}

async fn take(answer: Response<Incoming>, call: bool) {
    let mut body = answer.into_body();
    let (mut bytes, mut trailers) = (0, None);
    while let Some(frame) = body.frame().await {
        let frame = frame.unwrap();
        match frame.data_ref() {
            Some(data) => bytes += data.len(),
            None => trailers = frame.into_trailers().ok(),
        }
    }
    if call {
        let trailers = trailers.unwrap();
        assert_eq!(trailers["grpc-status"], "0", "{trailers:?}");
    }
    assert!(bytes > 0);
}

fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(message.len() + 5);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    frame.freeze()
}

/// One answer's bytes.
pub(crate) async fn once(address: SocketAddr, ask: Ask) -> Bytes {
    let mut sender = connect(address, ask.call.is_some()).await;
    let answer = sender.send(&address.to_string(), ask).await;
    answer.into_body().collect().await.unwrap().to_bytes()
}

/// Asks for some seconds.
#[allow(clippy::cast_precision_loss)]
pub(crate) async fn load(address: SocketAddr, shape: Shape, next: Next) -> Load {
    let counting = Arc::new(AtomicBool::new(false));
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = Vec::new();
    for (mut sender, seed) in senders(address, shape).await.into_iter().zip(1..) {
        let next = next.clone();
        let (counting, stop) = (counting.clone(), stop.clone());
        let mut random = Random::of(seed);
        let host = address.to_string();
        tasks.push(tokio::spawn(async move {
            let mut millis = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let start = Instant::now();
                sender.ask(&host, next(&mut random)).await;
                if counting.load(Ordering::Relaxed) {
                    millis.push(start.elapsed().as_secs_f64() * 1e3);
                }
            }
            millis
        }));
    }
    tokio::time::sleep(WARM).await;
    let start = Instant::now();
    counting.store(true, Ordering::Relaxed);
    tokio::time::sleep(MEASURED).await;
    counting.store(false, Ordering::Relaxed);
    let seconds = start.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let mut millis = Vec::new();
    for task in tasks {
        millis.extend(task.await.unwrap());
    }
    let count = millis.len() as f64;
    let (_, p99_ms) = percentiles(&mut millis);
    Load {
        rate: count / seconds,
        p99_ms,
    }
}

/// A server in this process that answers everything with the same bytes.
pub(crate) async fn constant(body: Bytes, call: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let body = body.clone();
            tokio::spawn(async move {
                let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                    let answer = answer(body.clone(), call);
                    async move {
                        // Answered before it has come whole, a call would be reset.
                        request.into_body().collect().await?;
                        Ok::<_, hyper::Error>(answer)
                    }
                });
                let mut builder = auto::Builder::new(TokioExecutor::new());
                builder
                    .http2()
                    .initial_stream_window_size(1 << 20)
                    .initial_connection_window_size(2 << 20);
                // It ends when the load does.
                let _ = builder
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

type Body = http_body_util::combinators::BoxBody<Bytes, std::convert::Infallible>;

fn answer(body: Bytes, call: bool) -> Response<Body> {
    let body = Full::new(body);
    if !call {
        return Response::new(body.boxed());
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let body = body.with_trailers(std::future::ready(Some(Ok(trailers))));
    Response::new(body.boxed())
}
