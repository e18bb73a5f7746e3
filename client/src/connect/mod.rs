//! One connection to one ledger's server: gRPC calls with deadlines, bounds and retries,
//! and the plain HTTP read API beside them.
//!
//! Nothing that comes from here is trusted. Invariant: every call ends in bounded time and
//! memory, and only calls that were not answered are sent again. All calls may be: reads
//! change nothing, and an entry that is appended twice stands once.

mod endpoint;
mod pace;
mod poster;
mod read_api;

use std::{future::Future, time::Duration};

use backon::{ExponentialBuilder, Retryable as _};
use bytes::Bytes;
use cairn_grpc::{
    refused,
    v1::{self, ledger_client::LedgerClient, proposals_client::ProposalsClient},
};
use cairn_proto::reason::Reason;
use futures_util::Stream;
use tonic::{
    Code, Request, Response, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

pub(crate) use endpoint::is_loopback;
pub use endpoint::{Endpoint, Timeouts, Token};
pub use poster::Poster;
pub use read_api::ReadApi;
pub(crate) use read_api::causes;

use crate::{detail::shortened, error::ClientError};
use pace::Pace;

/// Bytes of an answer: a bundle's worth, which is the most that a lookup can hold.
const ANSWER_BYTES_MAX: usize = cairn_proto::limits::BUNDLE_BYTES_MAX;
/// Bytes of a request: a manifest and an entry, with room.
const REQUEST_BYTES_MAX: usize = cairn_proto::limits::MANIFEST_BYTES_MAX + (1 << 20);
/// How often a call is sent again.
const RETRIES_MAX: usize = 3;
/// The longest that a server may ask to be left alone between two tries.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);
/// Characters of somebody else's words that are shown.
const WORDS_MAX: usize = 300;

/// A gRPC client that presents the token.
pub(crate) type Service = LedgerClient<InterceptedService<Channel, Bearer>>;
/// The same, for what waits to be signed.
type Proposals = ProposalsClient<InterceptedService<Channel, Bearer>>;

/// Adds the token to each call.
#[derive(Debug, Clone)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// A server of a ledger.
#[derive(Debug, Clone)]
pub struct Connection {
    address: String,
    service: Service,
    proposals: Proposals,
    read_api: ReadApi,
    timeouts: Timeouts,
}

macro_rules! unary {
    ($service:ident; $($(#[$doc:meta])* $name:ident($request:ident) -> $response:ident;)*) => {$(
        $(#[$doc])*
        pub async fn $name(&self, message: v1::$request) -> Result<v1::$response, ClientError> {
            self.attempts(|| {
                let mut service = self.$service.clone();
                let request = self.request(message.clone());
                async move { service.$name(request).await }
            })
            .await
        }
    )*};
}

impl Connection {
    /// Prepares a connection; the first call makes it.
    pub fn open(endpoint: &Endpoint) -> Result<Self, ClientError> {
        let channel = endpoint.channel()?;
        let bearer = Bearer(endpoint.token()?);
        let proposals = ProposalsClient::with_interceptor(channel.clone(), bearer.clone())
            .max_decoding_message_size(REQUEST_BYTES_MAX)
            .max_encoding_message_size(REQUEST_BYTES_MAX);
        let service = LedgerClient::with_interceptor(channel, bearer)
            .max_decoding_message_size(ANSWER_BYTES_MAX)
            .max_encoding_message_size(REQUEST_BYTES_MAX);
        Ok(Self {
            address: endpoint.url.clone(),
            service,
            proposals,
            read_api: ReadApi::of(endpoint)?,
            timeouts: endpoint.timeouts,
        })
    }

    /// The server's URL.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The HTTP read API of the same server.
    pub fn read_api(&self) -> &ReadApi {
        &self.read_api
    }

    unary! {
        service;
        /// Who the server says it is.
        get_ledger(GetLedgerRequest) -> GetLedgerResponse;
        /// Appends an envelope.
        append(AppendRequest) -> AppendResponse;
        /// Which contents are missing.
        stat_content(StatContentRequest) -> StatContentResponse;
        /// One leaf.
        get_entry(GetEntryRequest) -> GetEntryResponse;
        /// A page of leaves.
        list_entries(ListEntriesRequest) -> ListEntriesResponse;
        /// The current release of an environment.
        lookup(LookupRequest) -> LookupResponse;
        /// The admins' orders.
        get_orders(GetOrdersRequest) -> GetOrdersResponse;
        /// A host's standing.
        get_host(GetHostRequest) -> GetHostResponse;
        /// The row of a sha256.
        find_digest(FindDigestRequest) -> FindDigestResponse;
        /// The checkpoint that auditors are to cosign now.
        get_offer(GetOfferRequest) -> GetOfferResponse;
        /// Adds an auditor's cosignature to it.
        add_cosignature(AddCosignatureRequest) -> AddCosignatureResponse;
        /// Consistency between two sizes.
        get_consistency_proof(GetConsistencyProofRequest) -> GetConsistencyProofResponse;
    }

    unary! {
        proposals;
        /// Leaves a half-signed envelope, or adds to one that waits.
        put_proposal(PutProposalRequest) -> PutProposalResponse;
        /// One that waits.
        get_proposal(GetProposalRequest) -> GetProposalResponse;
        /// A page of those that wait.
        list_proposals(ListProposalsRequest) -> ListProposalsResponse;
        /// Takes one away.
        withdraw_proposal(WithdrawProposalRequest) -> WithdrawProposalResponse;
    }

    /// Sends parts of contents. `parts` ends early where a file could not be read.
    pub(crate) async fn put_content(
        &self,
        parts: impl Stream<Item = v1::PutContentRequest> + Send + 'static,
    ) -> Result<v1::PutContentResponse, ClientError> {
        let mut service = self.service.clone();
        // No deadline for the whole: it may be gigabytes. The sender watches for progress.
        match service.put_content(Request::new(parts)).await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(self.error(&status)),
        }
    }

    /// Opens the stream of a content's bytes.
    pub(crate) async fn get_content(
        &self,
        message: v1::GetContentRequest,
    ) -> Result<Parts<'_>, ClientError> {
        let stream = self.attempts(|| {
            let mut service = self.service.clone();
            let request = Request::new(message.clone());
            async move { service.get_content(request).await }
        });
        Ok(Parts {
            stream: stream.await?,
            pace: Pace::new(self.timeouts.request),
            stalled: false,
            connection: self,
        })
    }

    /// How long an answer may take.
    pub(crate) fn patience(&self) -> Duration {
        self.timeouts.request
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeouts.request);
        request
    }

    async fn attempts<T, F>(&self, mut send: impl FnMut() -> F) -> Result<T, ClientError>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let attempt = || {
            let answer = send();
            async {
                match tokio::time::timeout(self.timeouts.request, answer).await {
                    Ok(Ok(response)) => Ok(response.into_inner()),
                    Ok(Err(status)) => Err(self.error(&status)),
                    Err(_) => Err(self.unreachable("no answer in time")),
                }
            }
        };
        attempt
            .retry(delays())
            .when(ClientError::may_pass)
            .adjust(as_asked)
            .await
    }

    pub(crate) fn unreachable(&self, why: &str) -> ClientError {
        unreachable(&self.address, why)
    }

    /// What a failed call says: that nobody answered, or what was answered.
    fn error(&self, status: &Status) -> ClientError {
        let mut refused = refused(status);
        if !refused.code.is_empty() {
            return ClientError::Refused(refused);
        }
        let source = std::error::Error::source(status);
        refused.reason = match status.code() {
            Code::Unauthenticated => Some(Reason::NotAuthenticated),
            Code::PermissionDenied => Some(Reason::NotAllowed),
            Code::NotFound => Some(Reason::NotFound),
            Code::ResourceExhausted => Some(Reason::Overloaded),
            Code::OutOfRange => return ClientError::TooLarge { what: "a call" },
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
                return self.unreachable(&words(status));
            }
            _ if source.is_some() => return self.unreachable(&words(status)),
            _ => None,
        };
        ClientError::Refused(refused)
    }
}

/// A content's bytes as they come.
pub(crate) struct Parts<'c> {
    stream: Streaming<v1::GetContentResponse>,
    pace: Pace,
    stalled: bool,
    connection: &'c Connection,
}

impl Parts<'_> {
    /// The next bytes; `None` at the end. All of them together come in time, or it fails.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        match self.pace.wait(self.stream.message()).await {
            Some(Ok(part)) => Ok(part.map(|part| {
                self.pace.received(part.data.len());
                part.data
            })),
            Some(Err(status)) => Err(self.connection.error(&status)),
            None => {
                self.stalled = true;
                Err(self.connection.unreachable("the stream stalled"))
            }
        }
    }

    /// Whether the server was there and too slow.
    pub(crate) fn stalled(&self) -> bool {
        self.stalled
    }
}

/// A status and its causes, in one line.
fn words(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    text
}

pub(crate) fn unreachable(address: &str, why: &str) -> ClientError {
    ClientError::Unreachable {
        address: address.to_owned(),
        why: shortened(why, WORDS_MAX),
    }
}

pub(crate) fn delays() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_factor(3.0)
        .with_jitter()
        .with_max_times(RETRIES_MAX)
}

/// When to try again: not before the server asked for, where it asked for something bearable.
/// `planned` is `None` where there are no tries left.
pub(crate) fn as_asked(error: &ClientError, planned: Option<Duration>) -> Option<Duration> {
    let asked = match error {
        ClientError::Refused(refused) => refused.retry_after.unwrap_or_default(),
        _ => Duration::ZERO,
    };
    planned.map(|planned| planned.max(asked.min(RETRY_AFTER_MAX)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cairn_grpc::Refused;
    use cairn_proto::reason::Reason;

    use super::{RETRY_AFTER_MAX, as_asked};
    use crate::error::ClientError;

    /// Goal: a server says when to come back, and can neither hurry nor hold up a client.
    #[test]
    fn a_refusals_own_delay_is_kept_within_bounds() {
        let after = |retry_after| {
            ClientError::Refused(Refused {
                reason: Some(Reason::Overloaded),
                code: "OVERLOADED".to_owned(),
                message: String::new(),
                retry_after,
            })
        };
        let planned = Some(Duration::from_millis(100));
        let second = Duration::from_secs(1);
        assert_eq!(as_asked(&after(None), planned), planned);
        assert_eq!(as_asked(&after(Some(Duration::ZERO)), planned), planned);
        assert_eq!(as_asked(&after(Some(second)), planned), Some(second));
        let hour = after(Some(3_600 * second));
        assert_eq!(as_asked(&hour, planned), Some(RETRY_AFTER_MAX));
        assert_eq!(as_asked(&hour, None), None);
    }
}
