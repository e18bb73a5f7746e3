//! What AWS, or the SDK, says instead of an answer.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::{
    orchestrator::HttpResponse,
    result::{ConnectorError, SdkError},
};
use aws_smithy_types::{error::metadata::ProvideErrorMetadata, retry::ErrorKind};

use super::super::{denied, speaks_of_credentials};
use crate::{
    connect::causes,
    detail::{printable, shortened},
    sources::SourceError,
};

/// Characters of what somebody says that are shown.
const SAID_CHARS_MAX: usize = 2_048;

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
        error => match chain(error).find_map(|it| it.downcast_ref::<CredentialsError>()) {
            Some(none) => without(none),
            None if is_silence(error) => unreachable(&causes(error)),
            // What is above may show the whole request, and what it carries.
            None => {
                let last = chain(error).last().map(ToString::to_string);
                let why = last.unwrap_or_else(|| "no answer that can be read".to_owned());
                failed(&format!("{operation} came to nothing: {why}"))
            }
        },
    }
}

/// Nobody to ask as: there is none, nobody answers who would say, or settings are none.
fn without(none: &CredentialsError) -> SourceError {
    let why = causes(none);
    match none {
        CredentialsError::ProviderTimedOut(_) => unreachable(&why),
        CredentialsError::InvalidConfiguration(_) => SourceError::Input {
            what: "AWS".to_owned(),
            why: said(&why),
        },
        none if is_silence(none) => unreachable(&why),
        _ => denied(&said(&format!("there are no credentials: {why}"))),
    }
}

/// Whether nobody answered, or not to the end.
fn is_silence(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|error| {
        error.downcast_ref::<ConnectorError>().is_some_and(|error| {
            let passing = error.as_other() == Some(ErrorKind::TransientError);
            error.is_io() || error.is_timeout() || passing
        })
    })
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
        why: said(&why.to_string()),
    }
}

pub(super) fn unreachable(why: &str) -> SourceError {
    SourceError::Unreachable {
        what: "AWS".to_owned(),
        why: said(why),
    }
}

fn said(why: &str) -> String {
    shortened(&printable(why), SAID_CHARS_MAX)
}
