//! Asking witnesses to cosign: one head at a time is put to all of them, so that one head gets a
//! quorum, and again while nothing happens, so that its times stay young.
//!
//! Invariant: a witness can delay nothing but its own cosignature, and what it says is believed
//! only as far as its key signed it; but before this server signs anything, a witness that saw
//! more of the log than there is here is reason enough not to start ([`check`]).
//! Out of scope: how a request gets there; the caller brings a [`Post`].

mod ask;
mod rounds;

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use cairn_proto::{hash::TreeSize, note::VerifierKey, reason::Reason};
use futures_util::future::join_all;
use thiserror::Error;

pub use rounds::witness;

use crate::ledger::Ledger;
use ask::{Asked, Peer};

/// How long witnesses have before the server starts without them.
const CHECK: Duration = Duration::from_secs(5);

/// A witness, and where it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessPeer {
    /// Its key.
    pub key: VerifierKey,
    /// Its submission prefix: `/add-checkpoint` is appended.
    pub url: String,
}

/// Status and body of an answer, or why there is none.
pub type Posted = Result<(u16, Bytes), String>;

/// A way to `POST` a body to a URL. It bounds the time, and the bytes of the answer.
pub trait Post: Send + Sync {
    /// Sends, and reads the answer.
    fn post(&self, url: String, body: Bytes) -> Pin<Box<dyn Future<Output = Posted> + Send + '_>>;
}

/// Who is asked, and how.
#[derive(Clone)]
pub struct Witnesses {
    /// Who.
    pub peers: Vec<WitnessPeer>,
    /// How.
    pub post: Arc<dyn Post>,
}

/// A witness says that this server does not have all that it signed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WitnessAhead {
    /// It cosigned a larger tree.
    #[error(
        "witness {witness} cosigned a tree of {seen} leaves, and this server holds {here}: it is an \
         old copy, or another server signs with its key"
    )]
    Larger {
        /// The witness's name.
        witness: String,
        /// Leaves that it saw.
        seen: TreeSize,
        /// Leaves that are here.
        here: TreeSize,
    },
    /// It cosigned another history.
    #[error("witness {witness} cosigned another history of this log")]
    Other {
        /// The witness's name.
        witness: String,
    },
}

impl WitnessAhead {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        Reason::WitnessAhead
    }
}

/// Asks every witness before the server begins to serve. One that does not answer in time is
/// passed over, with a warning.
pub async fn check(ledger: &Ledger, witnesses: &Witnesses) -> Result<(), WitnessAhead> {
    let head = ledger.head();
    let asked = witnesses.peers.iter().map(|peer| async {
        let mut peer = Peer::new(peer.clone(), witnesses.post.clone());
        let asked = tokio::time::timeout(CHECK, peer.ask(ledger, &head)).await;
        (
            peer,
            asked.unwrap_or(Asked::Nothing("no answer in time".into())),
        )
    });
    for (peer, asked) in join_all(asked).await {
        let witness = peer.name().to_owned();
        match asked {
            Asked::Cosigned { line } => ledger.witnessed(&head, peer.key(), &line),
            Asked::Ahead(seen) => {
                return Err(WitnessAhead::Larger {
                    witness,
                    seen,
                    here: head.size(),
                });
            }
            Asked::Contradicts => return Err(WitnessAhead::Other { witness }),
            Asked::Busy => tracing::warn!(%witness, "the witness is busy"),
            Asked::Nothing(why) => tracing::warn!(%witness, %why, "a witness does not cosign"),
        }
    }
    Ok(())
}
