//! gRPC `cairn.v1.Ledger` and `Proposals`: from messages to the ledger and the waiting room and
//! back. No rule lives here.
//!
//! Every refusal is a status with `ErrorInfo.reason`; a fault of this server is logged and
//! answered without its details.

mod append;
mod content;
mod proposals;
mod query;

use std::{pin::Pin, sync::Arc, time::Duration};

use cairn_grpc::{FieldError, refusing, v1};
use cairn_proto::{
    hash::{Index, KeyId, Sha256, TreeSize},
    limits::COSIGNERS_MAX,
    name::Environment,
    reason::Reason,
};
use futures_util::{Stream, StreamExt as _};
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    access::{Access, Caller},
    ledger::{Ledger, Refusal, Wanted},
    proposals::Room,
};

/// Seconds that one call may take on the server; a retry of an append is safe.
pub(crate) const CALL_SECONDS_MAX: Duration = Duration::from_secs(30);

/// The service over one ledger.
#[derive(Debug, Clone)]
pub(crate) struct LedgerService {
    ledger: Ledger,
    access: Access,
    /// Where proposals wait, if any may.
    room: Option<Arc<Room>>,
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl LedgerService {
    pub(crate) fn new(ledger: Ledger, access: Access, room: Option<Arc<Room>>) -> Self {
        Self {
            ledger,
            access,
            room,
        }
    }

    fn caller<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let header = match request.metadata().get("authorization") {
            None => None,
            Some(value) => Some(value.to_str().map_err(|_| unknown_token())?),
        };
        self.access.identify(header).map_err(|_| unknown_token())
    }

    fn reader<T>(&self, request: &Request<T>) -> Result<Caller, Status> {
        let caller = self.caller(request)?;
        if self.access.reads_log(&caller) {
            return Ok(caller);
        }
        Err(refusing(
            Reason::NotAuthenticated,
            "this ledger is read with a token",
        ))
    }
}

/// What was not granted: to somebody known, or to nobody.
fn not_granted(caller: &Caller, message: impl Into<String>) -> Status {
    let reason = if caller.is_known() {
        Reason::NotAllowed
    } else {
        Reason::NotAuthenticated
    };
    refusing(reason, message)
}

fn unknown_token() -> Status {
    refusing(Reason::NotAuthenticated, "the token is not known here")
}

fn status(refusal: &Refusal) -> Status {
    if refusal.is_own_fault() {
        tracing::error!(%refusal, "a call failed");
    }
    refusing(refusal.reason(), refusal.told())
}

fn malformed(field: FieldError) -> Status {
    refusing(Reason::InvalidRequest, field.to_string())
}

fn environment(text: &str) -> Result<Environment, Status> {
    text.parse()
        .map_err(|error| refusing(Reason::InvalidRequest, format!("environment: {error}")))
}

async fn in_time<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    let late = |_| refusing(Reason::Overloaded, "the server did not get to it in time");
    tokio::time::timeout(CALL_SECONDS_MAX, call)
        .await
        .map_err(late)?
}

/// Cosigners' keys, no more than a client may pin.
fn keys(sent: &[bytes::Bytes], field: &'static str) -> Result<Vec<[u8; 32]>, Status> {
    let keys = sent.iter().take(COSIGNERS_MAX);
    let keys = keys.map(|key| cairn_grpc::id32(key, field));
    keys.collect::<Result<_, _>>().map_err(malformed)
}

#[tonic::async_trait]
impl v1::ledger_server::Ledger for LedgerService {
    async fn get_ledger(
        &self,
        request: Request<v1::GetLedgerRequest>,
    ) -> Result<Response<v1::GetLedgerResponse>, Status> {
        self.reader(&request)?;
        Ok(Response::new(query::ledger(&self.ledger)))
    }

    async fn append(
        &self,
        request: Request<v1::AppendRequest>,
    ) -> Result<Response<v1::AppendResponse>, Status> {
        let caller = self.caller(&request)?;
        let append = append::append(self, &caller, request.into_inner());
        in_time(append).await.map(Response::new)
    }

    type AppendStreamStream = Answers<v1::AppendStreamResponse>;

    async fn append_stream(
        &self,
        request: Request<Streaming<v1::AppendStreamRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        let caller = self.caller(&request)?;
        let answers = append::stream(self.clone(), caller, request.into_inner());
        Ok(Response::new(answers))
    }

    async fn put_content(
        &self,
        request: Request<Streaming<v1::PutContentRequest>>,
    ) -> Result<Response<v1::PutContentResponse>, Status> {
        let caller = self.caller(&request)?;
        let put = content::put(&self.ledger, &caller, request.into_inner()).await?;
        Ok(Response::new(put))
    }

    type GetContentStream = Answers<v1::GetContentResponse>;

    async fn get_content(
        &self,
        request: Request<v1::GetContentRequest>,
    ) -> Result<Response<Self::GetContentStream>, Status> {
        let caller = self.caller(&request)?;
        let get = content::get(&self.ledger, &caller, request.into_inner());
        in_time(get).await.map(Response::new)
    }

    async fn stat_content(
        &self,
        request: Request<v1::StatContentRequest>,
    ) -> Result<Response<v1::StatContentResponse>, Status> {
        let caller = self.caller(&request)?;
        let stat = content::stat(&self.ledger, &caller, request.into_inner());
        in_time(stat).await.map(Response::new)
    }

    async fn get_entry(
        &self,
        request: Request<v1::GetEntryRequest>,
    ) -> Result<Response<v1::GetEntryResponse>, Status> {
        self.reader(&request)?;
        let message = request.into_inner();
        let entry = query::entry(&self.ledger, Index(message.index), TreeSize(message.size));
        entry.map(Response::new).map_err(|refusal| status(&refusal))
    }

    async fn list_entries(
        &self,
        request: Request<v1::ListEntriesRequest>,
    ) -> Result<Response<v1::ListEntriesResponse>, Status> {
        self.reader(&request)?;
        query::list(&self.ledger, &request.into_inner()).map(Response::new)
    }

    async fn lookup(
        &self,
        request: Request<v1::LookupRequest>,
    ) -> Result<Response<v1::LookupResponse>, Status> {
        self.reader(&request)?;
        let message = request.into_inner();
        let environment = environment(&message.environment)?;
        let quorum = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let auditors = keys(&message.auditors, "auditors")?;
        let witnesses = keys(&message.witnesses, "witnesses")?;
        let wanted = Wanted {
            auditors: (&auditors, quorum(message.auditor_quorum)),
            witnesses: (&witnesses, quorum(message.witness_quorum)),
        };
        let trusted = &message.trusted_checkpoint;
        let answer = self.ledger.lookup(&environment, trusted, &wanted);
        let answer = answer.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(answer))
    }

    async fn get_offer(
        &self,
        request: Request<v1::GetOfferRequest>,
    ) -> Result<Response<v1::GetOfferResponse>, Status> {
        self.reader(&request)?;
        let checkpoint = self.ledger.offer().map_err(|refusal| status(&refusal))?;
        Ok(Response::new(v1::GetOfferResponse { checkpoint }))
    }

    async fn add_cosignature(
        &self,
        request: Request<v1::AddCosignatureRequest>,
    ) -> Result<Response<v1::AddCosignatureResponse>, Status> {
        self.reader(&request)?;
        let message = request.into_inner();
        let count = self.ledger.cosign(&message.checkpoint, &message.line);
        let count = count.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(v1::AddCosignatureResponse {
            cosignatures: u32::try_from(count).unwrap_or(u32::MAX),
        }))
    }

    async fn get_orders(
        &self,
        request: Request<v1::GetOrdersRequest>,
    ) -> Result<Response<v1::GetOrdersResponse>, Status> {
        self.reader(&request)?;
        let orders = self.ledger.orders(&request.into_inner());
        orders
            .map(Response::new)
            .map_err(|refusal| status(&refusal))
    }

    async fn get_host(
        &self,
        request: Request<v1::GetHostRequest>,
    ) -> Result<Response<v1::GetHostResponse>, Status> {
        self.reader(&request)?;
        let message = request.into_inner();
        let id = cairn_grpc::id32(&message.host, "host").map_err(malformed)?;
        let host = self.ledger.host(&KeyId(id), &message.trusted_checkpoint);
        host.map(Response::new).map_err(|refusal| status(&refusal))
    }

    async fn find_digest(
        &self,
        request: Request<v1::FindDigestRequest>,
    ) -> Result<Response<v1::FindDigestResponse>, Status> {
        self.reader(&request)?;
        let message = request.into_inner();
        let sha256 = cairn_grpc::id32(&message.sha256, "sha256").map_err(malformed)?;
        let found = self
            .ledger
            .find_digest(&Sha256(sha256), &message.trusted_checkpoint);
        found.map(Response::new).map_err(|refusal| status(&refusal))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<v1::GetConsistencyProofRequest>,
    ) -> Result<Response<v1::GetConsistencyProofResponse>, Status> {
        self.reader(&request)?;
        let message = request.into_inner();
        let (from, to) = (TreeSize(message.from), TreeSize(message.to));
        let proof = self.ledger.consistency(from, to);
        let (hashes, head) = proof.map_err(|refusal| status(&refusal))?;
        Ok(Response::new(v1::GetConsistencyProofResponse {
            hashes: cairn_grpc::hash_list(&hashes),
            checkpoint: head.note.clone(),
        }))
    }

    type WatchCheckpointsStream = Answers<v1::WatchCheckpointsResponse>;

    async fn watch_checkpoints(
        &self,
        request: Request<v1::WatchCheckpointsRequest>,
    ) -> Result<Response<Self::WatchCheckpointsStream>, Status> {
        self.reader(&request)?;
        // A slow reader sees the newest note, not a queue of old ones.
        let notes = WatchStream::new(self.ledger.heads()).map(|head| {
            Ok(v1::WatchCheckpointsResponse {
                checkpoint: head.note.clone(),
            })
        });
        Ok(Response::new(Box::pin(notes)))
    }
}
