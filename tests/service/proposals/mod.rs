//! Half-signed envelopes that wait with a server, over a real socket.

mod hostile;
mod life;

use std::path::Path;

use cairn_grpc::v1::{self, proposals_client::ProposalsClient};
use cairn_proto::hash::Sha256;
use cairn_server::{
    access::{Access, Grants, Token},
    proposals::Settings,
};
use tonic::{Request, Status, service::interceptor::InterceptedService, transport::Channel};

use crate::{
    access::{Presenting, told},
    support::{Draft, Server, external, ledger, manifest},
};

pub(super) type Waiters = ProposalsClient<InterceptedService<Channel, Presenting>>;

/// A server with a waiting room in its data directory.
pub(super) async fn serve(data: &Path, access: Access, settings: Settings) -> Server {
    let data = data.to_owned();
    let opened = tokio::task::spawn_blocking(move || ledger(&data)).await;
    Server::waiting(opened.unwrap(), access, Some(settings)).await
}

pub(super) async fn usual(data: &Path) -> Server {
    serve(data, Access::open(), Settings::below(data)).await
}

/// `one` and `two` write below `prod`, `rival` elsewhere, `reader` nowhere.
pub(super) fn tokens() -> Access {
    let token = |name: &str, read: &str, write: &[&str]| Token {
        name: name.to_owned(),
        hash: *blake3::hash(format!("{name}-token").as_bytes()).as_bytes(),
        grants: Grants {
            read: vec![read.parse().unwrap()],
            write: write.iter().map(|text| text.parse().unwrap()).collect(),
        },
    };
    let tokens = vec![
        token("one", "one/*", &["prod/**"]),
        token("two", "two/*", &["prod/**"]),
        token("rival", "rival/*", &["rival/*"]),
        token("reader", "prod/**", &[]),
    ];
    Access::new(Grants::default(), tokens, false)
}

/// A client with a token; with none where it has no name.
pub(super) async fn waiters(server: &Server, name: Option<&str>) -> Waiters {
    let channel = Channel::from_shared(server.url()).unwrap().connect().await;
    let header = name.map(|name| format!("Bearer {name}-token").parse().unwrap());
    ProposalsClient::with_interceptor(channel.unwrap(), Presenting::of(header))
        .max_decoding_message_size(64 << 20)
        .max_encoding_message_size(64 << 20)
}

/// A first release of an environment; the text makes it another.
pub(super) fn draft(server: &Server, environment: &str, text: &str) -> Draft {
    let files = manifest(vec![external("a", text.as_bytes())]);
    Draft::new(*server.ledger.trust().genesis(), environment, 1, &files)
}

pub(super) fn proposed(append: v1::AppendRequest) -> v1::PutProposalRequest {
    v1::PutProposalRequest {
        envelope: append.envelope,
        document: append.document,
    }
}

pub(super) async fn put(
    client: &mut Waiters,
    append: v1::AppendRequest,
) -> Result<v1::WaitingProposal, Status> {
    let answer = client.put_proposal(proposed(append)).await?;
    Ok(answer.into_inner().proposal.unwrap())
}

pub(super) fn id(draft: &Draft) -> String {
    Sha256::of(&draft.statement().encode()).to_string()
}

pub(super) async fn get(client: &mut Waiters, id: &str) -> Result<v1::GetProposalResponse, Status> {
    let request = v1::GetProposalRequest { id: id.to_owned() };
    Ok(client.get_proposal(request).await?.into_inner())
}

/// All that waits for an environment, by pages of two.
pub(super) async fn list(client: &mut Waiters, environment: &str) -> Vec<v1::WaitingProposal> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListProposalsRequest {
            environment: environment.to_owned(),
            page_size: 2,
            page_token: token,
        };
        let page = client.list_proposals(Request::new(request)).await;
        let page = page.unwrap().into_inner();
        assert!(page.proposals.len() <= 2);
        all.extend(page.proposals);
        token = page.next_page_token;
        if token.is_empty() {
            return all;
        }
    }
}

pub(super) fn code<T>(answer: Result<T, Status>) -> String {
    told(answer).0
}

pub(super) async fn withdraw(client: &mut Waiters, id: &str) -> Result<(), Status> {
    let request = v1::WithdrawProposalRequest { id: id.to_owned() };
    client.withdraw_proposal(request).await.map(drop)
}
