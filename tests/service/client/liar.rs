//! A server in the middle that passes on what an honest one answers, and changes it where a
//! test says so.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cairn_client::{
    connect::{Connection, Endpoint},
    ledger::Ledger,
    verify::{Report, Subject},
};
use cairn_grpc::v1::{self, ledger_client::LedgerClient, ledger_server};
use cairn_proto::reason::Reason;
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc},
};
use tokio_stream::{StreamExt as _, wrappers::TcpListenerStream};
use tonic::{Request, Response, Status, Streaming, transport::Channel};

use crate::{
    client::desk::{Desk, environment, tags},
    support::Server,
};

type Stream<T> = tokio_stream::wrappers::ReceiverStream<Result<T, Status>>;
pub(crate) type Lie<T> = Arc<dyn Fn(&mut T) + Send + Sync>;

/// What is changed on the way; by default nothing, but that there is no content.
#[derive(Clone)]
pub(crate) struct Lies {
    pub(crate) lookup: Lie<v1::LookupResponse>,
    pub(crate) append: Lie<v1::AppendResponse>,
    pub(crate) lost: Option<Arc<Lost>>,
    pub(crate) content: Option<Served>,
}

/// The next append stands, and is answered as one that came too late.
#[derive(Default)]
pub(crate) struct Lost {
    pub(crate) appended: Notify,
    pub(crate) answer: Notify,
}

/// What is served for any content.
#[derive(Clone)]
pub(crate) enum Served {
    Bytes(&'static [u8]),
    /// Parts without bytes, for ever.
    Nothing,
    /// The word that it was erased.
    Erased,
}

impl Default for Lies {
    fn default() -> Self {
        Self {
            lookup: Arc::new(|_| {}),
            append: Arc::new(|_| {}),
            lost: None,
            content: None,
        }
    }
}

#[derive(Clone)]
struct Liar {
    honest: LedgerClient<Channel>,
    lies: Arc<Mutex<Lies>>,
}

/// An implementation in which the calls named first are passed on as they are.
macro_rules! implement {
    ([$($name:ident($request:ident) -> $response:ident;)*] $($rest:tt)*) => {
        #[tonic::async_trait]
        impl ledger_server::Ledger for Liar {
            $(async fn $name(
                &self,
                request: Request<v1::$request>,
            ) -> Result<Response<v1::$response>, Status> {
                self.honest.clone().$name(Request::new(request.into_inner())).await
            })*
            $($rest)*
        }
    };
}

implement! {
    [
        get_ledger(GetLedgerRequest) -> GetLedgerResponse;
        stat_content(StatContentRequest) -> StatContentResponse;
        get_entry(GetEntryRequest) -> GetEntryResponse;
        list_entries(ListEntriesRequest) -> ListEntriesResponse;
        get_orders(GetOrdersRequest) -> GetOrdersResponse;
        get_host(GetHostRequest) -> GetHostResponse;
        find_digest(FindDigestRequest) -> FindDigestResponse;
        get_consistency_proof(GetConsistencyProofRequest) -> GetConsistencyProofResponse;
        get_offer(GetOfferRequest) -> GetOfferResponse;
        add_cosignature(AddCosignatureRequest) -> AddCosignatureResponse;
    ]

    type AppendStreamStream = Stream<v1::AppendStreamResponse>;
    type GetContentStream = Stream<v1::GetContentResponse>;
    type WatchCheckpointsStream = Stream<v1::WatchCheckpointsResponse>;

    async fn lookup(
        &self,
        request: Request<v1::LookupRequest>,
    ) -> Result<Response<v1::LookupResponse>, Status> {
        let request = Request::new(request.into_inner());
        let mut answer = self.honest.clone().lookup(request).await?.into_inner();
        (self.lies.lock().unwrap().lookup)(&mut answer);
        Ok(Response::new(answer))
    }

    async fn append(
        &self,
        request: Request<v1::AppendRequest>,
    ) -> Result<Response<v1::AppendResponse>, Status> {
        let request = Request::new(request.into_inner());
        let mut answer = self.honest.clone().append(request).await?.into_inner();
        (self.lies.lock().unwrap().append)(&mut answer);
        let lost = self.lies.lock().unwrap().lost.take();
        if let Some(lost) = lost {
            lost.appended.notify_one();
            lost.answer.notified().await;
            let refusal = cairn_grpc::refusing(Reason::WrongSequence, "too late");
            return Err(refusal);
        }
        Ok(Response::new(answer))
    }

    async fn append_stream(
        &self,
        _: Request<Streaming<v1::AppendStreamRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        Err(Status::unimplemented("not here"))
    }

    async fn put_content(
        &self,
        request: Request<Streaming<v1::PutContentRequest>>,
    ) -> Result<Response<v1::PutContentResponse>, Status> {
        let parts = request.into_inner().filter_map(Result::ok);
        self.honest.clone().put_content(parts).await
    }

    async fn get_content(
        &self,
        _: Request<v1::GetContentRequest>,
    ) -> Result<Response<Self::GetContentStream>, Status> {
        let served = self.lies.lock().unwrap().content.clone();
        let served = served.ok_or_else(|| Status::unimplemented("not here"))?;
        if let Served::Erased = served {
            let words = "the content was erased by entry 2";
            return Err(cairn_grpc::refusing(Reason::ContentErased, words));
        }
        let (parts, stream) = mpsc::channel(1);
        tokio::spawn(async move {
            let part = |data| v1::GetContentResponse {
                data,
                ..v1::GetContentResponse::default()
            };
            if let Served::Bytes(bytes) = served {
                let _ = parts.send(Ok(part(Bytes::from_static(bytes)))).await;
                return;
            }
            while parts.send(Ok(part(Bytes::new()))).await.is_ok() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        });
        Ok(Response::new(Stream::new(stream)))
    }

    async fn watch_checkpoints(
        &self,
        _: Request<v1::WatchCheckpointsRequest>,
    ) -> Result<Response<Self::WatchCheckpointsStream>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

pub(crate) struct Case {
    pub(crate) desk: Desk,
    pub(crate) lies: Arc<Mutex<Lies>>,
    pub(crate) server: Server,
    _data: tempfile::TempDir,
}

impl Case {
    /// Two releases recorded honestly; then the desk talks to the liar.
    pub(crate) async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let server = Server::start(data.path()).await;
        let mut desk = Desk::at(&server).await;
        desk.put("web.yaml", b"replicas: 1\n");
        desk.recorded().await;
        desk.put("web.yaml", b"replicas: 2\n");
        desk.recorded().await;
        let lies = Arc::new(Mutex::new(Lies::default()));
        let liar = Liar {
            honest: server.client().await,
            lies: Arc::clone(&lies),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = ledger_server::LedgerServer::new(liar).max_decoding_message_size(64 << 20);
        let serving = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(serving);
        let (home, trust) = (desk.ledger.home().clone(), desk.ledger.trust().clone());
        let connection = Connection::open(&Endpoint::new(url)).unwrap();
        desk.ledger = Ledger::new(&home, trust, connection);
        Self {
            desk,
            lies,
            server,
            _data: data,
        }
    }

    pub(crate) async fn told(
        &self,
        lie: impl Fn(&mut v1::LookupResponse) + Send + Sync + 'static,
    ) -> Report {
        self.lies.lock().unwrap().lookup = Arc::new(lie);
        let (inputs, tags) = (self.desk.inputs(), tags());
        let subject = Subject {
            systems: &[],
            inputs: &inputs,
            tags: Some(&tags),
            progress: &(),
        };
        self.desk
            .ledger
            .verify(&environment(), &subject)
            .await
            .unwrap()
    }
}
