//! Refusals over gRPC: a status with `google.rpc.ErrorInfo` whose reason is Cairn's code.

use std::time::Duration;

use cairn_proto::reason::Reason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

const DOMAIN: &str = "cairn.v1";

/// What a peer refused, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The stable code, if this program knows it.
    pub reason: Option<Reason>,
    /// The code as it was sent.
    pub code: String,
    /// The peer's words. Untrusted text.
    pub message: String,
    /// When to try again, if the peer says.
    pub retry_after: Option<Duration>,
}

/// The gRPC code that goes with a reason.
fn grpc_code(reason: Reason) -> Code {
    match reason {
        Reason::NotAuthenticated => Code::Unauthenticated,
        Reason::NotAllowed
        | Reason::UnknownSigner
        | Reason::SignerNotAllowed
        | Reason::TooFewApprovals
        | Reason::TooFewSignatures
        | Reason::BadSignature => Code::PermissionDenied,
        Reason::WrongSequence | Reason::WrongPrevious | Reason::WrongVersion => Code::Aborted,
        Reason::AlreadyRetired
        | Reason::NameReused
        | Reason::RevocationLifted
        | Reason::NotOffered
        | Reason::RollbackTarget
        | Reason::ContentMissing
        | Reason::ContentErased
        | Reason::AlreadyErased
        | Reason::DocumentMissing
        | Reason::GenesisTwice
        | Reason::ContentOffset => Code::FailedPrecondition,
        Reason::NotFound => Code::NotFound,
        Reason::NoSpace | Reason::Overloaded | Reason::ProposalsFull | Reason::ContentTooLarge => {
            Code::ResourceExhausted
        }
        Reason::ShuttingDown | Reason::NotSigning | Reason::Unreachable => Code::Unavailable,
        Reason::Internal | Reason::StoreDamaged => Code::Internal,
        _ => Code::InvalidArgument,
    }
}

/// A status that refuses with a reason.
pub fn refusing(reason: Reason, message: impl Into<String>) -> Status {
    let mut details = ErrorDetails::with_error_info(reason.code(), DOMAIN, []);
    if matches!(
        reason,
        Reason::Overloaded | Reason::NoSpace | Reason::ShuttingDown
    ) {
        details.set_retry_info(Some(Duration::from_secs(1)));
    }
    Status::with_error_details(grpc_code(reason), message, details)
}

/// Reads what a status refuses.
pub fn refused(status: &Status) -> Refused {
    let details = status.get_error_details();
    let code = details
        .error_info()
        .map(|info| info.reason.clone())
        .unwrap_or_default();
    Refused {
        reason: code.parse().ok(),
        code,
        message: status.message().to_owned(),
        retry_after: details.retry_info().and_then(|retry| retry.retry_delay),
    }
}
