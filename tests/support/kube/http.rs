//! Requests and answers, before and after anybody thinks about them.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{State, protobuf};

pub(super) async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let state = state.clone();
        let service = service_fn(move |request| respond(request, state.clone()));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

async fn respond(
    request: Request<Incoming>,
    state: Arc<Mutex<State>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let asked = Asked {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: query(parts.uri.query().unwrap_or_default()),
        content_type: content_type
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default(),
        body: body.unwrap_or_default(),
    };
    let (status, answer) = match state.lock().unwrap().answer(&asked) {
        Ok((status, answer)) => (status, answer),
        Err(refusal) => (refusal.code, refusal.status()),
    };
    let response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(answer.to_string())));
    Ok(response.unwrap())
}

fn query(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), unescaped(value)))
        .collect()
}

pub(super) fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|two| hex::decode(two).ok());
        match (first, hex) {
            (b'%', Some(byte)) => {
                bytes.extend(byte);
                rest = &after[2..];
            }
            (b'+', _) => {
                bytes.push(b' ');
                rest = after;
            }
            (byte, _) => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}

pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: BTreeMap<String, String>,
    pub(super) content_type: String,
    body: Bytes,
}

impl Asked {
    pub(super) fn manager(&self) -> &str {
        let manager = self.query.get("fieldManager");
        manager.map_or("unknown", String::as_str)
    }

    /// The body; YAML is JSON here, since that is what kubectl sends by that name.
    pub(super) fn json(&self) -> Result<Value, Refusal> {
        if self.content_type == "application/vnd.kubernetes.protobuf" {
            let what = "in protobuf, only Secrets are understood";
            return protobuf::secret(&self.body)
                .ok_or_else(|| Refusal::new(415, "UnsupportedMediaType", what));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| Refusal::new(400, "BadRequest", &format!("the body: {error}")))
    }
}

/// What the API says no with.
pub(super) struct Refusal {
    code: u16,
    reason: &'static str,
    message: String,
}

impl Refusal {
    pub(super) fn new(code: u16, reason: &'static str, message: &str) -> Self {
        Self {
            code,
            reason,
            message: message.to_owned(),
        }
    }

    fn status(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        })
    }
}
