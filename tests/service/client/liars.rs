//! A server in the middle that changes answers: the client never says VERIFIED, nor
//! Recorded, of what was not proven, and says why with the right verdict.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use cairn_client::{
    connect::{Connection, Endpoint},
    ledger::Ledger,
    verdict::Verdict,
    verify::{Report, Subject},
};
use cairn_grpc::v1::{self, ledger_client::LedgerClient, ledger_server};
use tokio::net::TcpListener;
use tokio_stream::{StreamExt as _, wrappers::TcpListenerStream};
use tonic::{Request, Response, Status, Streaming, transport::Channel};

use crate::{
    client::desk::{Desk, environment, tags},
    support::Server,
};

type Stream<T> = tokio_stream::wrappers::ReceiverStream<Result<T, Status>>;
type Lie<T> = Arc<dyn Fn(&mut T) + Send + Sync>;

/// What is changed on the way; by default nothing.
#[derive(Clone)]
struct Lies {
    lookup: Lie<v1::LookupResponse>,
    append: Lie<v1::AppendResponse>,
}

impl Default for Lies {
    fn default() -> Self {
        Self {
            lookup: Arc::new(|_| {}),
            append: Arc::new(|_| {}),
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
        find_digest(FindDigestRequest) -> FindDigestResponse;
        get_consistency_proof(GetConsistencyProofRequest) -> GetConsistencyProofResponse;
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
        Err(Status::unimplemented("not here"))
    }

    async fn watch_checkpoints(
        &self,
        _: Request<v1::WatchCheckpointsRequest>,
    ) -> Result<Response<Self::WatchCheckpointsStream>, Status> {
        Err(Status::unimplemented("not here"))
    }
}

struct Case {
    desk: Desk,
    lies: Arc<Mutex<Lies>>,
    server: Server,
    _data: tempfile::TempDir,
}

impl Case {
    /// Two releases recorded honestly; then the desk talks to the liar.
    async fn new() -> Self {
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

    async fn told(&self, lie: impl Fn(&mut v1::LookupResponse) + Send + Sync + 'static) -> Report {
        self.lies.lock().unwrap().lookup = Arc::new(lie);
        let (inputs, tags) = (self.desk.inputs(), tags());
        let subject = Subject {
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

/// A field of an answer.
type Pick = fn(&mut v1::LookupResponse) -> &mut Bytes;

fn flipped(bytes: &Bytes, at: usize) -> Bytes {
    let mut changed = bytes.to_vec();
    let at = at % changed.len();
    changed[at] ^= 1;
    changed.into()
}

/// Goal: each lie has its verdict, and the same run without it is VERIFIED.
#[tokio::test(flavor = "multi_thread")]
async fn each_changed_piece_of_a_lookup_has_its_own_verdict() {
    let case = Case::new().await;
    assert_eq!(case.told(|_| {}).await.verdict, Verdict::Verified);
    let manifest = case
        .told(|it| it.manifest = flipped(&it.manifest, 30))
        .await;
    assert_eq!(manifest.verdict, Verdict::Tampered);
    assert!(manifest.evidence.unwrap().exists());
    let entry = case.told(|it| it.entry = flipped(&it.entry, 30)).await;
    assert_eq!(entry.verdict, Verdict::Tampered);
    let note = case
        .told(|it| {
            let text = String::from_utf8(it.checkpoint.to_vec()).unwrap();
            let (head, _) = text.split_once("\n\n").unwrap();
            let line = "\u{2014} somebody AAAAAAAA";
            it.checkpoint = format!("{head}\n\n{line}\n").into_bytes().into();
        })
        .await;
    assert_eq!(note.verdict, Verdict::Untrusted);
    let size = case
        .told(|it| {
            let text = String::from_utf8(it.checkpoint.to_vec()).unwrap();
            it.checkpoint = text.replacen('\n', "\n9", 1).into_bytes().into();
        })
        .await;
    assert_eq!(size.verdict, Verdict::Untrusted);
    let unproven: Vec<Lie<v1::LookupResponse>> = vec![
        Arc::new(|it| it.inclusion.clear()),
        Arc::new(|it| it.policies.clear()),
        Arc::new(|it| it.entry = Bytes::new()),
        Arc::new(|it| it.policy_row = flipped(&it.policy_row, 5)),
        Arc::new(|it| it.index += 1),
        Arc::new(|it| {
            let proof = it.environment.as_mut().unwrap();
            proof.row = flipped(&proof.row, 7);
        }),
        Arc::new(|it| {
            let proof = it.environment.as_mut().unwrap();
            proof.row = Bytes::new();
        }),
        Arc::new(|it| {
            it.environment
                .as_mut()
                .unwrap()
                .map_record_inclusion
                .clear();
        }),
    ];
    for (number, lie) in unproven.into_iter().enumerate() {
        let report = case.told(move |answer| lie(answer)).await;
        assert_eq!(report.verdict, Verdict::Failed, "lie {number}: {report:?}");
        assert!(report.evidence.is_none());
    }
    assert_eq!(case.told(|_| {}).await.verdict, Verdict::Verified);
}

/// Goal: no flipped byte of any field ever yields VERIFIED for it. Method: a sweep.
#[tokio::test(flavor = "multi_thread")]
async fn no_flipped_byte_of_a_lookup_is_verified() {
    let case = Case::new().await;
    let fields: [Pick; 9] = [
        |it| &mut it.entry,
        |it| &mut it.manifest,
        |it| &mut it.policy_row,
        |it| &mut it.policy_proof,
        |it| &mut it.environment.as_mut().unwrap().map_record,
        |it| &mut it.environment.as_mut().unwrap().row,
        |it| &mut it.environment.as_mut().unwrap().row_proof,
        |it| &mut it.policies[0].entry,
        |it| &mut it.policies[0].document,
    ];
    for field in fields {
        for step in 0..24 {
            let report = case
                .told(move |it| {
                    let bytes = field(it);
                    *bytes = flipped(bytes, step * 37);
                })
                .await;
            assert_ne!(report.verdict, Verdict::Verified);
        }
    }
}

/// Goal: an answer kept from before is never current again. Method: the liar repeats the
/// first answer after another release.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_older_answer_is_stale() {
    let case = Case::new().await;
    let kept: Arc<Mutex<Option<v1::LookupResponse>>> = Arc::default();
    let keeper = Arc::clone(&kept);
    let report = case
        .told(move |it| {
            keeper.lock().unwrap().get_or_insert_with(|| it.clone());
        })
        .await;
    assert_eq!(report.verdict, Verdict::Verified);
    let accomplice = Desk::at(&case.server).await;
    accomplice.put("web.yaml", b"replicas: 3\n");
    accomplice.recorded().await;
    assert_eq!(case.told(|_| {}).await.verdict, Verdict::Superseded);
    let report = case
        .told(move |it| *it = kept.lock().unwrap().clone().unwrap())
        .await;
    assert_eq!(report.verdict, Verdict::Stale, "{report:?}");
}

/// Goal: what an append's answer does not prove is not reported as recorded; the entry
/// stands, and recording again says so. Method: one piece of the answer changed.
#[tokio::test(flavor = "multi_thread")]
async fn an_unproven_receipt_is_no_receipt() {
    let case = Case::new().await;
    let lies: Vec<Lie<v1::AppendResponse>> = vec![
        Arc::new(|it| it.index -= 1),
        Arc::new(|it| it.inclusion.clear()),
        Arc::new(|it| it.current = None),
        Arc::new(|it| it.current.as_mut().unwrap().row = Bytes::new()),
        Arc::new(|it| {
            let proof = it.current.as_mut().unwrap();
            proof.row = flipped(&proof.row, 7);
        }),
        Arc::new(|it| it.current.as_mut().unwrap().map_record_inclusion.clear()),
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let text = format!("replicas: {}\n", 100 + number);
        case.desk.put("web.yaml", text.as_bytes());
        case.lies.lock().unwrap().append = lie;
        let error = case.desk.record().await.unwrap_err();
        assert_eq!(error.exit_code(), 1, "lie {number}: {error}");
        let again = case.desk.record().await.unwrap();
        assert!(matches!(again, cairn_client::record::Outcome::Unchanged(_)));
    }
}
