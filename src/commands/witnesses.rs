//! The witnesses that a server asks: as flags and configurations name them, and how they are
//! reached.

use std::{path::PathBuf, pin::Pin, sync::Arc};

use bytes::Bytes;
use cairn_client::connect::Poster;
use cairn_server::{
    ledger::{Ledger, ServerKeys},
    serve::Duties,
    witnessing::{self, Post, Posted, WitnessPeer, Witnesses},
};

use super::cosigners::keys;
use crate::failure::Failure;

/// Requests leave by the client's own connector.
struct Sender(Poster);

impl Post for Sender {
    fn post(&self, url: String, body: Bytes) -> Pin<Box<dyn Future<Output = Posted> + Send + '_>> {
        Box::pin(async move { self.0.post(&url, body).await })
    }
}

/// One witness of a configuration.
pub(super) fn peer(url: &str, key: &str) -> Result<WitnessPeer, Failure> {
    let parsed: Option<http::Uri> = url.parse().ok();
    let scheme = parsed.as_ref().and_then(http::Uri::scheme_str);
    if !matches!(scheme, Some("http" | "https")) {
        return Err(Failure::usage(format!(
            "witness {url}: not a URL that begins with https:// or http://"
        )));
    }
    let mut keys = keys("witness", &[key.to_owned()])?;
    Ok(WitnessPeer {
        key: keys.remove(0),
        url: url.to_owned(),
    })
}

/// One witness of a flag: `URL=VKEY`.
pub(super) fn flagged(text: &str) -> Result<WitnessPeer, Failure> {
    let wrong = || Failure::usage(format!("--witness {text}: not URL=VKEY"));
    let (url, key) = text.split_once('=').ok_or_else(wrong)?;
    peer(url, key)
}

/// Takes on who cosigns, and asks the witnesses once before the server says that it is there: it
/// may be an old copy.
pub(super) async fn duties(
    ledger: &Ledger,
    keys: ServerKeys,
    auditors: &[String],
    peers: Vec<WitnessPeer>,
    ca_file: Option<PathBuf>,
) -> Result<Duties, Failure> {
    let auditors = super::cosigners::keys("auditor", auditors)?;
    let known = peers.iter().map(|peer| peer.key.clone()).collect();
    ledger.collect(auditors, known).map_err(Failure::usage)?;
    if peers.is_empty() {
        return Ok(Duties {
            keys,
            witnesses: None,
            proposals: None,
        });
    }
    let witnesses = Witnesses {
        peers,
        post: Arc::new(Sender(Poster::new(ca_file)?)),
    };
    witnessing::check(ledger, &witnesses)
        .await
        .map_err(|error| Failure::new(error.reason(), error))?;
    Ok(Duties {
        keys,
        witnesses: Some(witnesses),
        proposals: None,
    })
}
