//! Plain `POST`s to any URL: how a witness is asked.
//!
//! Invariant: time and bytes of an answer are bounded. What it says is for the caller to believe:
//! a witness's signature proves itself, so `http://` is as good as `https://` here.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use cairn_proto::witness::ANSWER_BYTES_MAX;
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use super::{Endpoint, read_api::causes};
use crate::error::ClientError;

/// How long an answer may take: a witness syncs a file for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends bodies, and reads short answers.
#[derive(Debug, Clone)]
pub struct Poster {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl Poster {
    /// With the only certificate authorities to accept, in PEM; the web's where `None`.
    pub fn new(ca_file: Option<PathBuf>) -> Result<Self, ClientError> {
        let endpoint = Endpoint {
            ca_file,
            ..Endpoint::new("")
        };
        let client = Client::builder(TokioExecutor::new());
        Ok(Self {
            client: client.build(endpoint.connector()?),
        })
    }

    /// Status and body of the answer, or why there is none.
    pub async fn post(&self, url: &str, body: Bytes) -> Result<(u16, Bytes), String> {
        let answered = async {
            let answer = self.send(url, "text/plain; charset=utf-8", body).await?;
            let status = answer.status().as_u16();
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
            let body = body.collect().await.map_err(|error| error.to_string())?;
            Ok((status, body.to_bytes()))
        };
        in_time(answered).await
    }

    /// Sends JSON, and asks for no more than a status of success.
    pub async fn notify(&self, url: &str, document: &serde_json::Value) -> Result<(), String> {
        let body = Bytes::from(document.to_string());
        let answered = async {
            let answer = self.send(url, "application/json", body).await?;
            let status = answer.status();
            let taken = status.is_success().then_some(());
            taken.ok_or_else(|| format!("it answered {status}"))
        };
        in_time(answered).await
    }

    async fn send(&self, url: &str, kind: &str, body: Bytes) -> Result<Response<Incoming>, String> {
        let request = Request::post(url)
            .header(CONTENT_TYPE, kind)
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        let answer = self.client.request(request).await;
        answer.map_err(|error| causes(&error))
    }
}

async fn in_time<T>(answered: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::time::timeout(PATIENCE, answered)
        .await
        .unwrap_or_else(|_| Err("no answer in time".to_owned()))
}
