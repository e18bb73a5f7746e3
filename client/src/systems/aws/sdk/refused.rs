//! What AWS, or the SDK, says instead of an answer.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::{orchestrator::HttpResponse, result::SdkError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::super::{denied, speaks_of_credentials};
use crate::{connect::causes, detail::printable, sources::SourceError};

/// AWS does not do it, and says why; or there is nobody, or nothing to show.
pub(super) fn refused<E>(operation: &str, error: &SdkError<E, HttpResponse>) -> SourceError
where
    E: Error + ProvideErrorMetadata + 'static,
{
    match error {
        SdkError::ServiceError(said) => {
            let status = said.raw().status().as_u16();
            let Some(code) = said.err().code() else {
                return failed(&format!("it answers {status} to {operation}"));
            };
            let why = said.err().message().unwrap_or("it does not say why");
            // In the words of the command line, which people know, and search for.
            let why =
                format!("An error occurred ({code}) when calling the {operation} operation: {why}");
            if speaks_of_credentials(&why) {
                return denied(&why);
            }
            failed(&why)
        }
        SdkError::TimeoutError(_) => unreachable(&causes(error)),
        SdkError::DispatchFailure(failure) if failure.is_io() || failure.is_timeout() => {
            unreachable(&causes(error))
        }
        error => {
            let credentials = chain(error).find_map(|it| it.downcast_ref::<CredentialsError>());
            if let Some(error) = credentials {
                return denied(&format!("there are no credentials: {}", causes(error)));
            }
            // What is above may show the whole request, and what it carries.
            let last = chain(error).last().map(ToString::to_string);
            let why = last.unwrap_or_else(|| "no answer that can be read".to_owned());
            failed(&format!("{operation} came to nothing: {why}"))
        }
    }
}

/// An error, and what is behind it.
fn chain<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'e dyn Error = *error;
        error.source()
    })
}

/// More pages than AWS has of such.
pub(super) fn too_many(operation: &str) -> SourceError {
    failed(&format!("{operation} has more pages than can be read"))
}

pub(super) fn failed(why: &dyn std::fmt::Display) -> SourceError {
    SourceError::Tool {
        tool: "AWS".to_owned(),
        why: printable(&why.to_string()),
    }
}

pub(super) fn unreachable(why: &str) -> SourceError {
    SourceError::Unreachable {
        what: "AWS".to_owned(),
        why: printable(why),
    }
}
