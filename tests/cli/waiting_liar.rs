//! A server in the middle that lies about what waits. Everything else it passes on.

use std::{
    fs,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use cairn_grpc::v1::{
    self,
    proposals_client::ProposalsClient,
    proposals_server::{Proposals, ProposalsServer},
};
use cairn_proto::{
    envelope::Envelope,
    key::{SecretKey, Signer as _},
    statement::{Predicate, Statement},
};
use hyper::{Request, body::Incoming, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{net::TcpListener, runtime::Runtime};
use tonic::{Response, Status, codegen::Service as _, transport::Channel};

use crate::{
    firm::Firm,
    waiting::{id_of, office},
};

type Lie<T> = Box<dyn Fn(&mut T) + Send>;

/// What is changed on the way; by default nothing.
struct Lies {
    get: Lie<v1::GetProposalResponse>,
    put: Lie<v1::PutProposalResponse>,
    list: Lie<v1::ListProposalsResponse>,
    /// It answers as a server that never heard of proposals.
    old: bool,
}

impl Default for Lies {
    fn default() -> Self {
        Self {
            get: Box::new(|_| {}),
            put: Box::new(|_| {}),
            list: Box::new(|_| {}),
            old: false,
        }
    }
}

#[derive(Clone)]
struct Liar {
    honest: ProposalsClient<Channel>,
    lies: Arc<Mutex<Lies>>,
}

/// Passes a call on with its token, and changes the answer.
macro_rules! lie {
    ($($name:ident($request:ident) -> $response:ident: $($lie:ident)?;)*) => {
        #[tonic::async_trait]
        impl Proposals for Liar {
            $(async fn $name(
                &self,
                request: tonic::Request<v1::$request>,
            ) -> Result<Response<v1::$response>, Status> {
                let (metadata, extensions, message) = request.into_parts();
                let request = tonic::Request::from_parts(metadata, extensions, message);
                let answer = self.honest.clone().$name(request).await?.into_inner();
                $(let mut answer = answer; (self.lies.lock().unwrap().$lie)(&mut answer);)?
                Ok(Response::new(answer))
            })*
        }
    };
}

lie! {
    put_proposal(PutProposalRequest) -> PutProposalResponse: put;
    get_proposal(GetProposalRequest) -> GetProposalResponse: get;
    list_proposals(ListProposalsRequest) -> ListProposalsResponse: list;
    withdraw_proposal(WithdrawProposalRequest) -> WithdrawProposalResponse:;
}

type Answer = Result<hyper::Response<tonic::body::Body>, String>;
type Onward = Client<HttpConnector, Incoming>;

async fn answer(liar: Liar, onward: Onward, to: String, mut request: Request<Incoming>) -> Answer {
    let path = request.uri().path().to_owned();
    if path.starts_with("/cairn.v1.Proposals/") {
        if liar.lies.lock().unwrap().old {
            let answer = hyper::Response::builder().status(404);
            let answer = answer.header("content-type", "text/plain");
            return Ok(answer.body(tonic::body::Body::empty()).unwrap());
        }
        return Ok(ProposalsServer::new(liar).call(request).await.unwrap());
    }
    *request.uri_mut() = format!("{to}{path}").parse().unwrap();
    *request.version_mut() = hyper::Version::HTTP_2;
    request.headers_mut().remove("host");
    let answer = onward.request(request).await;
    Ok(answer
        .map_err(|error| error.to_string())?
        .map(tonic::body::Body::new))
}

/// Runs in the background until it is dropped.
struct Middle {
    url: String,
    lies: Arc<Mutex<Lies>>,
    _runtime: Runtime,
}

impl Middle {
    fn before(to: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let lies = Arc::new(Mutex::new(Lies::default()));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let entered = runtime.enter();
        let channel = Channel::from_shared(to.to_owned()).unwrap().connect_lazy();
        drop(entered);
        let liar = Liar {
            honest: ProposalsClient::new(channel),
            lies: Arc::clone(&lies),
        };
        let mut onward = Client::builder(TokioExecutor::new());
        let onward: Onward = onward.http2_only(true).build(HttpConnector::new());
        let to = to.to_owned();
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (liar, onward, to) = (liar.clone(), onward.clone(), to.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        answer(liar.clone(), onward.clone(), to.clone(), request)
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    // Who hangs up is done.
                    let _ = builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            url,
            lies,
            _runtime: runtime,
        }
    }

    fn lies(&self, lies: Lies) {
        *self.lies.lock().unwrap() = lies;
    }
}

/// Two releases wait, each signed by `ci`; `mark` goes by way of the liar.
struct Scene {
    firm: Firm,
    middle: Middle,
    id: String,
    other: String,
}

fn scene() -> Scene {
    let firm = office(&["--approvals", "prod/**=2"]);
    let middle = Middle::before(firm.url());
    firm.person_at(&middle.url, "mark", "cd.pem");
    let propose = |name: &str| {
        let line = format!("release propose prod/{name} app --send");
        id_of(&firm.run(&line).exits(0))
    };
    let (id, other) = (propose("shop"), propose("other"));
    Scene {
        firm,
        middle,
        id,
        other,
    }
}

impl Scene {
    fn get(&self, lie: impl Fn(&mut v1::GetProposalResponse) + Send + 'static) {
        self.middle.lies(Lies {
            get: Box::new(lie),
            ..Lies::default()
        });
    }

    /// The approver does not sign: what waits is signed by one.
    #[track_caller]
    fn refuses(&self, exit: i32, code: &str, words: &str) {
        let line = format!("release approve {} --yes", self.id);
        let ran = self.firm.as_host("mark", &line);
        ran.refuses(exit, code).says(words);
        self.is_unsigned();
    }

    #[track_caller]
    fn is_unsigned(&self) {
        let listed = self.firm.run("release pending prod/shop --output json");
        let listed = listed.exits(0).json("cairn.release-pending/v1");
        assert_eq!(listed["proposals"][0]["signers"], serde_json::json!(["ci"]));
    }

    fn waits(&self, id: &str) -> v1::GetProposalResponse {
        let seen = Arc::new(Mutex::new(None));
        let keep = Arc::clone(&seen);
        self.get(move |it| *keep.lock().unwrap() = Some(it.clone()));
        let line = format!("release approve {id}");
        self.firm.as_host("mark", &line).refuses(2, "USAGE");
        seen.lock().unwrap().take().unwrap()
    }
}

/// The same envelope about something else, under the old signatures.
fn reworded(envelope: &[u8], reason: &str) -> Bytes {
    let envelope = Envelope::parse(envelope).unwrap();
    let mut statement = Statement::parse(envelope.payload()).unwrap();
    let Predicate::Release(release) = &mut statement.predicate else {
        panic!("a release")
    };
    release.reason = Some(reason.to_owned());
    let signatures = envelope.signatures().to_vec();
    Envelope::join(statement.encode(), signatures)
        .unwrap()
        .encode()
        .into()
}

fn envelope(answer: &mut v1::GetProposalResponse) -> &mut Bytes {
    &mut answer.proposal.as_mut().unwrap().envelope
}

/// Goal: an approver signs what was asked for, as it was proposed, or nothing. Method: a server that
/// gives another proposal, another document, other words, junk signatures, nothing, too much.
#[test]
fn an_approver_refuses_what_a_server_altered() {
    let scene = scene();
    let (own, other) = (scene.waits(&scene.id), scene.waits(&scene.other));
    assert_ne!(own, other);

    let whole = other.clone();
    scene.get(move |it| *it = whole.clone());
    scene.refuses(1, "PROPOSAL_SYNTAX", "another proposal than was asked for");
    scene.get(|it| *envelope(it) = reworded(&it.proposal.clone().unwrap().envelope, "harmless"));
    scene.refuses(1, "PROPOSAL_SYNTAX", "another proposal than was asked for");

    let document = String::from_utf8(own.document.to_vec()).unwrap();
    let altered = document.replacen("web.yaml", "bad.yaml", 1);
    assert_ne!(altered, document);
    scene.get(move |it| it.document = altered.clone().into());
    scene.refuses(1, "PROPOSAL_SYNTAX", "not the one that the statement names");
    scene.get(|it| it.document.clear());
    scene.refuses(1, "PROPOSAL_SYNTAX", "not the one that the statement names");
    scene.get(|it| it.document = vec![b' '; (4 << 20) + 1].into());
    scene.refuses(1, "INVALID_REQUEST", "too large");
    scene.get(|it| it.proposal = None);
    scene.refuses(1, "PROPOSAL_SYNTAX", "gave none");
    scene.get(|it| envelope(it).clear());
    scene.refuses(1, "PROPOSAL_SYNTAX", "not a proposal");

    // As if `qa` had signed as well: whoever believes that would take one signature for the last.
    let qa = scene.firm.deployer("qa");
    scene.get(move |it| {
        let sent = Envelope::parse(envelope(it)).unwrap();
        let mut signatures = sent.signatures().to_vec();
        signatures[0].keyid = qa;
        *envelope(it) = Envelope::join(sent.payload().to_vec(), signatures)
            .unwrap()
            .encode()
            .into();
    });
    scene.refuses(4, "BAD_SIGNATURE", "does not verify");
    let stranger = SecretKey::from_seed(&[66; 32]).unwrap();
    scene.get(move |it| {
        let sent = Envelope::parse(envelope(it)).unwrap();
        let signed = Envelope::sign(sent.payload().to_vec(), &[&stranger]).unwrap();
        assert_eq!(signed.signatures()[0].keyid, stranger.public_key().id());
        *envelope(it) = signed.encode().into();
    });
    scene.refuses(4, "UNKNOWN_SIGNER", "would be refused");

    scene.middle.lies(Lies::default());
    let line = format!("release approve {} --yes --submit", scene.id);
    scene
        .firm
        .as_host("mark", &line)
        .exits(0)
        .says("Recorded  prod/shop#1");
}

/// Goal: who proposes is told where the proposal is, truly, or that it is not known. Method: a server
/// that says it keeps something else.
#[test]
fn what_a_server_says_it_keeps_is_checked() {
    let scene = scene();
    scene.middle.lies(Lies {
        put: Box::new(|it| {
            let kept = it.proposal.as_mut().unwrap();
            kept.envelope = reworded(&kept.envelope, "something else");
        }),
        ..Lies::default()
    });
    let line = "release propose prod/third app --send -o third.json";
    scene
        .firm
        .as_host("mark", line)
        .refuses(1, "PROPOSAL_SYNTAX")
        .says("another proposal than was left");
    // What was signed is not lost with the server's word.
    assert!(fs::exists(scene.firm.stage.path("third.json")).unwrap());
}

/// Goal: a list is words of the server and harms nobody. Method: pages without end, a reason that would
/// command a terminal, what nobody can read; a server that has no lists.
#[test]
fn a_list_that_lies_ends_and_stays_on_its_line() {
    let scene = scene();
    let list = |lie: Lie<v1::ListProposalsResponse>| {
        scene.middle.lies(Lies {
            list: lie,
            ..Lies::default()
        });
        scene.firm.as_host("mark", "release pending")
    };
    let evil = list(Box::new(|it| {
        for waits in &mut it.proposals {
            waits.envelope = reworded(&waits.envelope, "evil\u{1b}[2J\n  deadbeef0000  fine");
        }
    }));
    let evil = evil.exits(0);
    assert!(!evil.out.contains('\u{1b}'));
    assert_eq!(evil.out.lines().count(), 4, "{}", evil.out);
    list(Box::new(|it| it.next_page_token = "0".repeat(64))).refuses(1, "INVALID_REQUEST");
    list(Box::new(|it| it.proposals[0].envelope.clear())).refuses(1, "PROPOSAL_SYNTAX");
    let newer = list(Box::new(|it| {
        let waits = &mut it.proposals[0];
        let sent = Envelope::parse(&waits.envelope).unwrap();
        let text = String::from_utf8(sent.payload().to_vec()).unwrap();
        let text = text.replace("urn:cairn:release:v1", "urn:cairn:moon:v1");
        let newer = Envelope::join(text.into_bytes(), sent.signatures().to_vec());
        waits.envelope = newer.unwrap().encode().into();
    }));
    newer.exits(0).says("1 of a kind that takes a newer cairn");
    scene.middle.lies(Lies {
        old: true,
        ..Lies::default()
    });
    for line in [
        "release pending",
        "policy pending",
        "release withdraw 00000000",
    ] {
        let ran = scene.firm.as_host("mark", line);
        ran.refuses(2, "USAGE").says("keeps no proposals");
    }
}
