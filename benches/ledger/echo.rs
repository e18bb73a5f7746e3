//! The same messages over the same generated service, with no work behind it: what gRPC
//! alone takes, for client and server together.

use std::sync::Arc;

use cairn_grpc::v1::{
    self, append_stream_response::Outcome, ledger_client::LedgerClient, ledger_server,
};
use futures_util::{StreamExt as _, stream::BoxStream};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming, transport::Channel};

type Answers<T> = BoxStream<'static, Result<T, Status>>;

/// Answers every append with one and the same receipt.
#[derive(Clone)]
struct Echo(Arc<v1::AppendResponse>);

/// Calls that no bench makes here.
macro_rules! refuse {
    ($($name:ident($request:ty) -> $response:ty;)*) => {
        #[tonic::async_trait]
        impl ledger_server::Ledger for Echo {
            $(async fn $name(&self, _: Request<$request>) -> Result<Response<$response>, Status> {
                Err(Status::unimplemented("not here"))
            })*

            type AppendStreamStream = Answers<v1::AppendStreamResponse>;
            type GetContentStream = Answers<v1::GetContentResponse>;
            type WatchCheckpointsStream = Answers<v1::WatchCheckpointsResponse>;

            async fn append(
                &self,
                _: Request<v1::AppendRequest>,
            ) -> Result<Response<v1::AppendResponse>, Status> {
                Ok(Response::new((*self.0).clone()))
            }

            async fn append_stream(
                &self,
                requests: Request<Streaming<v1::AppendStreamRequest>>,
            ) -> Result<Response<Self::AppendStreamStream>, Status> {
                let receipt = Arc::clone(&self.0);
                let answers = requests.into_inner().map(move |request| {
                    Ok(v1::AppendStreamResponse {
                        tag: request?.tag,
                        outcome: Some(Outcome::Receipt((*receipt).clone())),
                    })
                });
                Ok(Response::new(answers.boxed()))
            }
        }
    };
}

refuse! {
    get_ledger(v1::GetLedgerRequest) -> v1::GetLedgerResponse;
    get_orders(v1::GetOrdersRequest) -> v1::GetOrdersResponse;
    get_host(v1::GetHostRequest) -> v1::GetHostResponse;
    get_offer(v1::GetOfferRequest) -> v1::GetOfferResponse;
    add_cosignature(v1::AddCosignatureRequest) -> v1::AddCosignatureResponse;
    put_content(Streaming<v1::PutContentRequest>) -> v1::PutContentResponse;
    get_content(v1::GetContentRequest) -> Answers<v1::GetContentResponse>;
    stat_content(v1::StatContentRequest) -> v1::StatContentResponse;
    get_entry(v1::GetEntryRequest) -> v1::GetEntryResponse;
    list_entries(v1::ListEntriesRequest) -> v1::ListEntriesResponse;
    lookup(v1::LookupRequest) -> v1::LookupResponse;
    find_digest(v1::FindDigestRequest) -> v1::FindDigestResponse;
    get_consistency_proof(v1::GetConsistencyProofRequest) -> v1::GetConsistencyProofResponse;
    watch_checkpoints(v1::WatchCheckpointsRequest) -> Answers<v1::WatchCheckpointsResponse>;
}

/// Serves it for as long as the runtime lives.
pub(crate) async fn echo(receipt: v1::AppendResponse) -> LedgerClient<Channel> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = ledger_server::LedgerServer::new(Echo(Arc::new(receipt)));
    let serving = tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(serving);
    LedgerClient::connect(url).await.unwrap()
}
