//! Ledgers of any size, of a server of this process.

use cairn_grpc::v1;
use cairn_proto::hash::LeafHash;

pub(crate) use crate::support::fill::environment;
use crate::support::{DEV, Server, fill as stream, key, prove};

/// A release of an environment, after the one before it.
pub(crate) fn release(
    genesis: LeafHash,
    environment: &str,
    sequence: u64,
    previous: Option<LeafHash>,
    text: &str,
) -> v1::AppendRequest {
    stream::release(genesis, environment, sequence, previous, text, &key(DEV))
}

/// Appends `rounds` releases to each of so many environments; of each round all are sent
/// before the next begins.
pub(crate) async fn fill(server: &Server, environments: u64, rounds: u64) {
    let (client, trust) = (server.client().await, server.ledger.trust());
    stream::fill(client, trust, &key(DEV), environments, rounds).await;
}

/// Appends one release to each of so many environments that are not there yet.
pub(crate) async fn fill_more(server: &Server, environments: u64) {
    let genesis = *server.ledger.trust().genesis();
    let mut client = server.client().await;
    for number in 0..environments {
        let name = format!("more/{number}");
        let request = release(genesis, &name, 1, None, &name);
        let receipt = client.append(request.clone()).await.unwrap().into_inner();
        prove::receipt(server.ledger.trust(), &request, &name, &receipt);
    }
}
