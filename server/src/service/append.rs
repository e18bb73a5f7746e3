//! Appending, one at a time or many in flight on one stream.

use cairn_grpc::{refused, refusing, v1};
use cairn_proto::{name::Environment, reason::Reason};
use futures_util::StreamExt as _;
use tonic::{Status, Streaming};

use super::{Answers, LedgerService, in_time, not_granted, proposals, status};
use crate::{
    access::Caller,
    ledger::{Received, Refusal},
};

/// Appends of one stream that are under way at once.
const IN_FLIGHT_MAX: usize = 256;

pub(super) async fn append(
    service: &LedgerService,
    caller: &Caller,
    request: v1::AppendRequest,
) -> Result<v1::AppendResponse, Status> {
    let ledger = &service.ledger;
    let refuse = |refusal: Refusal| status(&refusal);
    if !request.trusted_checkpoint.is_empty() {
        ledger.meet_note(&request.trusted_checkpoint);
    }
    // Before anything is decoded: whoever may append nowhere is not worth the work.
    may_write(caller, None)?;
    let received = Received::decode(request.envelope.clone()).map_err(refuse)?;
    let environment = received.environment().cloned();
    may_write(caller, environment.as_ref())?;
    let placed = ledger.append(received, request.document.clone(), caller);
    let placed = match placed.await {
        Err(missing @ Refusal::ContentMissing { .. }) => {
            proposals::append_as_left(service, &request, missing).await
        }
        placed => placed,
    };
    let placed = placed.map_err(refuse)?;
    proposals::recorded(service, &request.envelope);
    ledger
        .receipt(&placed, environment.as_ref(), &request.trusted_checkpoint)
        .map_err(refuse)
}

pub(super) fn may_write(caller: &Caller, environment: Option<&Environment>) -> Result<(), Status> {
    let allowed = match environment {
        Some(environment) => caller.may_write(environment),
        None => caller.may_upload(),
    };
    if allowed {
        return Ok(());
    }
    let message = "this caller may not append here: send a token that may";
    Err(not_granted(caller, message))
}

pub(super) fn stream(
    service: LedgerService,
    caller: Caller,
    requests: Streaming<v1::AppendStreamRequest>,
) -> Answers<v1::AppendStreamResponse> {
    let answers = requests.map(move |request| {
        let (service, caller) = (service.clone(), caller.clone());
        async move {
            let request = request?;
            let append = request
                .append
                .ok_or_else(|| refusing(Reason::InvalidRequest, "field `append` is missing"))?;
            let outcome = in_time(self::append(&service, &caller, append)).await;
            Ok(v1::AppendStreamResponse {
                tag: request.tag,
                outcome: Some(outcome.map_or_else(|status| refusal(&status), receipt)),
            })
        }
    });
    Box::pin(answers.buffer_unordered(IN_FLIGHT_MAX))
}

fn receipt(receipt: v1::AppendResponse) -> v1::append_stream_response::Outcome {
    v1::append_stream_response::Outcome::Receipt(receipt)
}

fn refusal(status: &Status) -> v1::append_stream_response::Outcome {
    let refused = refused(status);
    v1::append_stream_response::Outcome::Refusal(v1::Refusal {
        reason: refused.code,
        message: refused.message,
        code: status.code().into(),
    })
}
