//! A witness of its own: it cosigns checkpoints of the logs it knows, each an extension of the
//! one before, and serves C2SP's `add-checkpoint`.
//!
//! Invariant: check, keeping and answering are one step for each log: of two submissions that
//! come at once the second meets what the first left.

mod heads;
#[cfg(test)]
mod tests;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Router,
    extract::{DefaultBodyLimit, State},
    http::{StatusCode, header},
    middleware,
    response::{IntoResponse as _, Response},
    routing::post,
};
use bytes::Bytes;
use cairn_proto::{
    key::{SignError, Signer},
    note::{SignatureType, VerifierKey, VkeyError},
    witness::{Refused, SUBMISSION_BYTES_MAX, Submission, WitnessedLog, consider},
};
use tokio::net::TcpListener;

pub use heads::WitnessError;

use crate::{
    clock,
    disk::{Disk, OsDisk},
    gate::{self, Gate},
    serve,
};
use heads::Heads;

const TEXT: &str = "text/plain; charset=utf-8";
/// What tlog-witness has a conflict's size be.
const SIZE: &str = "text/x.tlog.size";

/// Whose checkpoints are cosigned, and with what.
pub struct Witness {
    name: String,
    key: Arc<dyn Signer>,
    logs: Vec<WitnessedLog>,
    heads: Mutex<Heads>,
    clock: fn() -> u64,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Witness({}, {} logs)", self.name, self.logs.len())
    }
}

/// Why a submission was not answered with a cosignature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotCosigned {
    /// By the rules.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// What was cosigned last is not known, or was not kept.
    #[error(transparent)]
    State(#[from] WitnessError),
    /// The key.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl Witness {
    /// The witness whose state a directory holds; with `new`, one that never cosigned anything,
    /// in a directory that holds none.
    pub fn open(
        directory: &Path,
        new: bool,
        name: &str,
        key: Arc<dyn Signer>,
        logs: Vec<WitnessedLog>,
    ) -> Result<Self, WitnessError> {
        Self::on(Arc::new(OsDisk), directory, new, name, key, logs)
    }

    fn on(
        disk: Arc<dyn Disk>,
        directory: &Path,
        new: bool,
        name: &str,
        key: Arc<dyn Signer>,
        logs: Vec<WitnessedLog>,
    ) -> Result<Self, WitnessError> {
        let heads = if new {
            Heads::create(disk, directory)?
        } else {
            Heads::open(disk, directory)?
        };
        Ok(Self {
            name: name.to_owned(),
            key,
            logs,
            heads: Mutex::new(heads),
            clock: clock::now,
        })
    }

    /// The key by which others know it.
    pub fn verifier_key(&self) -> Result<VerifierKey, VkeyError> {
        let kind = SignatureType::Cosignature;
        VerifierKey::new(&self.name, kind, self.key.public_key())
    }

    fn heads(&self) -> MutexGuard<'_, Heads> {
        // A panic while it was held left it as `broken` as a failed write does.
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to the body of an `add-checkpoint`: a signature line. Waits for the disk.
    pub fn add_checkpoint(&self, body: &[u8]) -> Result<String, NotCosigned> {
        let submission = Submission::decode(body)?;
        let mut heads = self.heads();
        let mut state = Ok(());
        let accepted = consider(&submission, &self.logs, |origin| {
            heads.latest(origin).unwrap_or_else(|error| {
                state = Err(error);
                None
            })
        });
        state?;
        let accepted = accepted?;
        heads.keep(&accepted)?;
        // Still under the lock: a later head must not get an earlier time.
        Ok(accepted.cosign(&self.name, (self.clock)(), &*self.key)?)
    }
}

/// Serves a witness until `stop` resolves.
pub async fn serve(listener: TcpListener, witness: Witness, stop: impl Future<Output = ()>) {
    let router = Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .layer(DefaultBodyLimit::max(SUBMISSION_BYTES_MAX))
        .with_state(Arc::new(witness))
        .layer(middleware::from_fn_with_state(Gate::new(), gate::pass));
    serve::run(&listener, router, stop).await;
}

async fn add_checkpoint(State(witness): State<Arc<Witness>>, body: Bytes) -> Response {
    let answer = tokio::task::spawn_blocking(move || witness.add_checkpoint(&body)).await;
    let Ok(answer) = answer else {
        return told(StatusCode::INTERNAL_SERVER_ERROR, TEXT, "it failed\n");
    };
    match answer {
        Ok(line) => told(StatusCode::OK, TEXT, line),
        Err(NotCosigned::Refused(refused)) => {
            let status = StatusCode::from_u16(refused.status()).unwrap_or(StatusCode::BAD_REQUEST);
            match refused {
                Refused::Conflict { latest } => told(status, SIZE, format!("{latest}\n")),
                _ => told(status, TEXT, format!("{refused}\n")),
            }
        }
        Err(error) => {
            tracing::error!(%error, "nothing was cosigned");
            let text = "the witness cannot cosign now\n";
            told(StatusCode::INTERNAL_SERVER_ERROR, TEXT, text)
        }
    }
}

fn told(status: StatusCode, kind: &'static str, text: impl Into<String>) -> Response {
    (status, [(header::CONTENT_TYPE, kind)], text.into()).into_response()
}
