//! Half-signed envelopes: left, found, signed further, taken away. What may wait, and for how long,
//! is `crate::proposals`' to say; who may send is what it is for `Append`.

use std::sync::Arc;

use bytes::Bytes;
use cairn_grpc::{refusing, v1};
use cairn_proto::{
    entry::{Content, Submission},
    envelope::Envelope,
    hash::Sha256,
    reason::Reason,
};
use tonic::{Request, Response, Status};

use super::{
    LedgerService, append::may_write, content, content::blocking, environment, not_granted, status,
};
use crate::{
    access::Caller,
    ledger::{Placed, Received, Refusal, stored},
    proposals::{ProposalError, Room, Waiting, judge},
};

/// Proposals of a page.
const PAGE_MAX: u32 = 200;
const PAGE_DEFAULT: u32 = 50;
/// Bytes of envelopes after which a page ends: it waits in memory until it is read.
const PAGE_BYTES: usize = 256 << 10;

fn refused(error: &ProposalError) -> Status {
    if let ProposalError::Disk(cause) = error {
        tracing::error!(error = %cause, "a proposal was not kept");
        return refusing(error.reason(), error.reason().meaning());
    }
    refusing(error.reason(), error.to_string())
}

/// Whoever may write where it would stand sees it: who else is to sign it.
fn sees(caller: &Caller, waiting: &Waiting) -> bool {
    may_write(caller, waiting.environment.as_ref()).is_ok()
}

fn message(waiting: &Waiting) -> v1::WaitingProposal {
    v1::WaitingProposal {
        envelope: waiting.envelope.encode().into(),
        expires: waiting.expires,
    }
}

/// The payload's hash, of an envelope that was decoded before.
fn id_of(envelope: &[u8]) -> Option<Sha256> {
    let envelope = Envelope::parse(envelope).ok()?;
    Some(Sha256::of(envelope.payload()))
}

/// Appends what waited here once more, with the uploads of whoever left it: who submits it need not
/// be the one who sent what it names.
pub(super) async fn append_as_left(
    service: &LedgerService,
    request: &v1::AppendRequest,
    missing: Refusal,
) -> Result<Placed, Refusal> {
    let waiting = service.room.as_ref().and_then(|room| {
        let waiting = room.get(&id_of(&request.envelope)?)?;
        service.access.staging_as(&waiting.owner)
    });
    let Some(owner) = waiting else {
        return Err(missing);
    };
    let received = Received::decode(request.envelope.clone())?;
    let document = request.document.clone();
    service.ledger.append(received, document, &owner).await
}

/// What was recorded waits no more. The caller does not wait for the disk.
pub(super) fn recorded(service: &LedgerService, envelope: &[u8]) {
    let Some(room) = service.room.as_ref().filter(|room| !room.is_empty()) else {
        return;
    };
    if let Some(id) = id_of(envelope)
        && room.get(&id).is_some()
    {
        let room = Arc::clone(room);
        tokio::task::spawn_blocking(move || room.remove(&id));
    }
}

impl LedgerService {
    /// The room, without what expired or was overtaken.
    async fn swept(&self) -> Result<Arc<Room>, Status> {
        let nowhere = || {
            let message = "nothing waits with this server: hand files on instead (-o FILE)";
            refusing(Reason::NotAllowed, message)
        };
        let room = Arc::clone(self.room.as_ref().ok_or_else(nowhere)?);
        let ledger = self.ledger.clone();
        blocking(move || {
            room.sweep(|place| place.is_taken(&ledger.head()));
            Ok(room)
        })
        .await
    }

    async fn put(
        &self,
        caller: Caller,
        request: v1::PutProposalRequest,
    ) -> Result<v1::PutProposalResponse, Status> {
        // Before anything is decoded, as for an append.
        may_write(&caller, None)?;
        let received = Received::decode(request.envelope.clone());
        let received = received.map_err(|refusal| status(&refusal))?;
        let environment = received.environment().cloned();
        may_write(&caller, environment.as_ref())?;
        let room = self.swept().await?;
        let ledger = self.ledger.clone();
        let waiting = blocking(move || {
            let refused = |error: ProposalError| refused(&error);
            let id = id_of(&request.envelope);
            let known = id.and_then(|id| room.get(&id));
            let document = match (&known, id) {
                (Some(known), _) if request.document.is_empty() => known.document.clone(),
                (None, Some(id)) if request.document.is_empty() => {
                    return Err(refused(ProposalError::DocumentMissing { id }));
                }
                _ => request.document,
            };
            let judged = judge(
                &ledger.head(),
                environment.as_ref(),
                &request.envelope,
                &document,
            );
            let judged = judged.map_err(refused)?;
            if known.is_none() {
                has_content(&ledger, &caller, &request.envelope, &document)?;
            }
            room.put(judged, caller.owner()).map_err(refused)
        })
        .await?;
        Ok(v1::PutProposalResponse {
            proposal: Some(message(&waiting)),
        })
    }

    async fn find(&self, caller: &Caller, id: &str) -> Result<(Sha256, Waiting), Status> {
        may_write(caller, None)?;
        let room = self.swept().await?;
        let found = room.find(id, |waiting| sees(caller, waiting));
        found.map_err(|error| refused(&error))
    }

    async fn list(
        &self,
        caller: &Caller,
        request: v1::ListProposalsRequest,
    ) -> Result<v1::ListProposalsResponse, Status> {
        may_write(caller, None)?;
        let of = match request.environment.as_str() {
            "" => None,
            name => Some(environment(name)?),
        };
        let after = match request.page_token.as_str() {
            "" => None,
            token => Some(token.parse().map_err(|_| {
                refusing(Reason::InvalidRequest, "field `page_token` is malformed")
            })?),
        };
        let count = match request.page_size {
            0 => PAGE_DEFAULT,
            asked => asked.min(PAGE_MAX),
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let room = self.swept().await?;
        let shown = |waiting: &Waiting| {
            let there = of.is_none() || waiting.environment == of;
            there && sees(caller, waiting)
        };
        // One more than asked for, to know whether there is another page.
        let found = room.after(after, count.saturating_add(1), shown);
        let (mut answer, mut bytes) = (v1::ListProposalsResponse::default(), 0_usize);
        let mut last = None;
        for (id, waiting) in &found {
            if let Some(last) = last
                && (answer.proposals.len() >= count || bytes >= PAGE_BYTES)
            {
                answer.next_page_token = Sha256::to_string(last);
                break;
            }
            let message = message(waiting);
            bytes = bytes.saturating_add(message.envelope.len());
            answer.proposals.push(message);
            last = Some(id);
        }
        Ok(answer)
    }

    async fn withdraw(&self, caller: &Caller, id: &str) -> Result<(), Status> {
        let (id, waiting) = self.find(caller, id).await?;
        if !caller.is_known() {
            let message = "without a token nobody can be told from whoever left it: it expires";
            return Err(not_granted(caller, message));
        }
        if *waiting.owner != *caller.owner() {
            let message = "another token left this proposal, and that one may withdraw it";
            return Err(not_granted(caller, message));
        }
        let room = self.swept().await?;
        blocking(move || room.withdraw(&id).map_err(|error| refused(&error))).await
    }
}

/// Says what is missing while whoever has it is still there. When it is submitted, admission looks
/// again.
fn has_content(
    ledger: &crate::ledger::Ledger,
    caller: &Caller,
    envelope: &[u8],
    document: &Bytes,
) -> Result<(), Status> {
    let submission = Submission::decode(envelope, document);
    let Ok(Content::Release(release, manifest)) = submission.as_ref().map(Submission::content)
    else {
        return Ok(());
    };
    // What is rolled back to names its contents itself.
    if release.rollback_to.is_some() {
        return Ok(());
    }
    let named: Vec<_> = stored(manifest).collect();
    let answer = content::missing(ledger, caller, &release.environment, &named)?;
    let missing = answer.missing.len();
    if missing == 0 {
        return Ok(());
    }
    let of = release.environment.to_string();
    Err(status(&Refusal::ContentMissing { missing, of }))
}

#[tonic::async_trait]
impl v1::proposals_server::Proposals for LedgerService {
    async fn put_proposal(
        &self,
        request: Request<v1::PutProposalRequest>,
    ) -> Result<Response<v1::PutProposalResponse>, Status> {
        let caller = self.caller(&request)?;
        let put = self.put(caller, request.into_inner());
        super::in_time(put).await.map(Response::new)
    }

    async fn get_proposal(
        &self,
        request: Request<v1::GetProposalRequest>,
    ) -> Result<Response<v1::GetProposalResponse>, Status> {
        let caller = self.caller(&request)?;
        let (_, waiting) = self.find(&caller, &request.into_inner().id).await?;
        Ok(Response::new(v1::GetProposalResponse {
            proposal: Some(message(&waiting)),
            document: waiting.document,
        }))
    }

    async fn list_proposals(
        &self,
        request: Request<v1::ListProposalsRequest>,
    ) -> Result<Response<v1::ListProposalsResponse>, Status> {
        let caller = self.caller(&request)?;
        let list = self.list(&caller, request.into_inner()).await;
        list.map(Response::new)
    }

    async fn withdraw_proposal(
        &self,
        request: Request<v1::WithdrawProposalRequest>,
    ) -> Result<Response<v1::WithdrawProposalResponse>, Status> {
        let caller = self.caller(&request)?;
        self.withdraw(&caller, &request.into_inner().id).await?;
        Ok(Response::new(v1::WithdrawProposalResponse {}))
    }
}
