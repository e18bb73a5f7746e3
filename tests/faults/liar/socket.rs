//! The liar on a socket: gRPC and the read API on one port, spoken by hand, so that any byte
//! of an answer, its length and its end can be a lie.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::{BufMut as _, Bytes, BytesMut};
use cairn_grpc::v1;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Collected, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use prost::Message as _;
use tokio::{net::TcpListener, task::JoinHandle};

use super::{
    stage::{Delivery, Lies, Stage},
    world::World,
};

type Body = UnsyncBoxBody<Bytes, io::Error>;
type Sent = Result<Frame<Bytes>, io::Error>;
type Frames = stream::BoxStream<'static, Sent>;
/// A server that says what its stage holds.
pub(super) struct Liar {
    address: SocketAddr,
    pub(super) stage: Arc<Mutex<Stage>>,
    task: JoinHandle<()>,
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Liar {
    pub(super) async fn start(world: World) -> Self {
        let lies = Lies::default();
        let stage = Arc::new(Mutex::new(Stage { world, lies }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(serve(listener, Arc::clone(&stage)));
        Self {
            address,
            stage,
            task,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Stage)) {
        change(&mut self.stage.lock().unwrap());
    }

    pub(super) fn world(&self) -> World {
        self.stage.lock().unwrap().world.clone()
    }
}

async fn serve(listener: TcpListener, stage: Arc<Mutex<Stage>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let stage = Arc::clone(&stage);
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&stage), request));
            let builder = auto::Builder::new(TokioExecutor::new());
            // A client that has seen enough ends the connection.
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    stage: Arc<Mutex<Stage>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    if request.method() == Method::GET {
        return Ok(file(&stage, path.trim_start_matches('/')));
    }
    let call = path.rsplit('/').next().unwrap().to_owned();
    let message = if call == "PutContent" {
        Bytes::new()
    } else {
        let body = request.into_body().collect().await;
        let body = body.map(Collected::to_bytes).unwrap_or_default();
        body.get(5..)
            .map(Bytes::copy_from_slice)
            .unwrap_or_default()
    };
    let answered = stage.lock().unwrap().answer(&call, message);
    let delivery = stage.lock().unwrap().delivery(&call);
    let frames = match answered {
        Ok(messages) => delivered(messages.iter().map(|it| framed(it)).collect(), delivery),
        Err(status) => return Ok(status.into_http::<Body>()),
    };
    let mut response = Response::new(body(frames));
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", grpc);
    Ok(response)
}

fn body(frames: Frames) -> Body {
    BodyExt::boxed_unsync(StreamBody::new(frames))
}

/// A gRPC frame: not compressed, length, message.
fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(message);
    frame.freeze()
}

fn all(frames: Vec<Bytes>) -> impl Stream<Item = Sent> {
    stream::iter(frames.into_iter().map(|bytes| Ok(Frame::data(bytes))))
}

fn end() -> Frame<Bytes> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    Frame::trailers(trailers)
}

/// For ever the same.
fn repeated(bytes: Bytes, pause: Duration) -> impl Stream<Item = Sent> {
    stream::unfold(bytes, move |bytes| async move {
        tokio::time::sleep(pause).await;
        Some((Ok(Frame::data(bytes.clone())), bytes))
    })
}

fn delivered(mut frames: Vec<Bytes>, delivery: Option<Delivery>) -> Frames {
    let half = |frames: &mut Vec<Bytes>| {
        frames.truncate(frames.len().div_ceil(2));
        let last = frames.pop().unwrap_or_default();
        let half = last.slice(..last.len() / 2);
        frames.push(half);
    };
    match delivery {
        None => {
            let frames = all(frames);
            frames.chain(stream::iter([Ok(end())])).boxed()
        }
        Some(Delivery::Never) => stream::pending().boxed(),
        Some(Delivery::Broken) => {
            half(&mut frames);
            let cut = Err(io::Error::other("cut"));
            let frames = all(frames);
            frames.chain(stream::iter([cut])).boxed()
        }
        Some(Delivery::Short) => {
            frames.truncate(frames.len() / 2);
            let frames = all(frames);
            frames.chain(stream::iter([Ok(end())])).boxed()
        }
        Some(Delivery::Endless) => {
            let part = v1::GetContentResponse {
                data: Bytes::from(vec![b'#'; 256 << 10]),
                size: 0,
            };
            repeated(framed(&part.encode_to_vec()), Duration::ZERO).boxed()
        }
        Some(Delivery::EndlessNothing) => repeated(framed(&[]), Duration::from_millis(5)).boxed(),
        Some(Delivery::Claims(bytes)) => {
            let mut head = vec![0];
            head.put_u32(bytes);
            all(vec![head.into()]).chain(stream::pending()).boxed()
        }
    }
}

/// The read API.
fn file(stage: &Mutex<Stage>, path: &str) -> Response<Body> {
    let stage = stage.lock().unwrap();
    let mut answer = (path.to_owned(), stage.world.file(path));
    if let Some(lie) = &stage.lies.file {
        lie(&mut answer);
    }
    let delivery = stage.delivery(path);
    let Some(bytes) = answer.1 else {
        let mut missing = Response::new(body(stream::empty().boxed()));
        *missing.status_mut() = StatusCode::NOT_FOUND;
        return missing;
    };
    let frames = match delivery {
        None => all(vec![bytes]).boxed(),
        Some(Delivery::Endless) => {
            let bytes = Bytes::from(vec![b'#'; 256 << 10]);
            repeated(bytes, Duration::ZERO).boxed()
        }
        Some(Delivery::Short) => all(vec![bytes.slice(..bytes.len() / 2)]).boxed(),
        other => delivered(vec![bytes], other),
    };
    Response::new(body(frames))
}
