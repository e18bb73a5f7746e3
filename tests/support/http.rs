//! Plain HTTP as any client speaks it: one connection, one request after another, of either
//! version. Nothing here judges what comes back.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, time::timeout};

/// An answer of the server that is tested comes in milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

enum Sender {
    One(http1::SendRequest<Empty<Bytes>>),
    Two(http2::SendRequest<Empty<Bytes>>),
}

/// One connection.
pub(crate) struct Browser {
    address: SocketAddr,
    token: Option<String>,
    /// A byte that is flipped in what comes from paths that begin so.
    lie: Option<(&'static str, usize)>,
    sender: Sender,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

impl Browser {
    pub(crate) async fn open(address: SocketAddr, version: Version) -> Self {
        let stream = timeout(PATIENCE, TcpStream::connect(address))
            .await
            .unwrap()
            .unwrap();
        stream.set_nodelay(true).unwrap();
        let io = TokioIo::new(stream);
        let sender = match version {
            Version::One => {
                let (sender, connection) = http1::handshake(io).await.unwrap();
                tokio::spawn(connection);
                Sender::One(sender)
            }
            Version::Two => {
                let handshake = http2::handshake(TokioExecutor::new(), io);
                let (sender, connection) = handshake.await.unwrap();
                tokio::spawn(connection);
                Sender::Two(sender)
            }
        };
        Self {
            address,
            token: None,
            lie: None,
            sender,
        }
    }

    /// The same, presenting a token with every request.
    pub(crate) fn with_token(mut self, token: &str) -> Self {
        self.token = Some(format!("Bearer {token}"));
        self
    }

    /// The same, as if the server flipped a byte: to see whether anybody notices.
    pub(crate) fn lied_to(mut self, path: &'static str, at: usize) -> Self {
        self.lie = Some((path, at));
        self
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer, String> {
        let mut answer = self.ask(Method::GET, path).await?;
        if let Some((of, at)) = self.lie
            && path.starts_with(of)
        {
            let mut body = answer.body.to_vec();
            let at = at % body.len().max(1);
            body.get_mut(at).into_iter().for_each(|byte| *byte ^= 1);
            answer.body = body.into();
        }
        Ok(answer)
    }

    /// Asks, and reads the whole answer; one that ends early is an error.
    pub(crate) async fn ask(&mut self, method: Method, path: &str) -> Result<Answer, String> {
        let asked = timeout(PATIENCE, self.try_ask(method, path)).await;
        asked.map_err(|_| format!("{path}: no answer in {PATIENCE:?}"))?
    }

    async fn try_ask(&mut self, method: Method, path: &str) -> Result<Answer, String> {
        let failed = |error: hyper::Error| format!("{path}: {error:?}");
        let mut request = Request::builder().method(method);
        request = match &self.sender {
            Sender::One(_) => request
                .uri(path)
                .header(header::HOST, self.address.to_string()),
            Sender::Two(_) => request.uri(format!("http://{}{path}", self.address)),
        };
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        let request = request
            .body(Empty::new())
            .map_err(|error| format!("{path}: {error}"))?;
        let answer = match &mut self.sender {
            Sender::One(sender) => {
                sender.ready().await.map_err(failed)?;
                sender.send_request(request).await
            }
            Sender::Two(sender) => {
                sender.ready().await.map_err(failed)?;
                sender.send_request(request).await
            }
        };
        let (parts, body) = answer.map_err(failed)?.into_parts();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: body.collect().await.map_err(failed)?.to_bytes(),
        })
    }
}
