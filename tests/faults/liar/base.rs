//! The ledger that is lied about, recorded by the client on a real server.
//!
//! ```text
//!  0 genesis, policy 1   4 prod/eu/shop#1   8 staging#2   12 old#1            16 policy 3
//!  2 staging#1           6 policy 2        10 qa#1        14 old#2 (retired)  18 qa#2
//! ```
//!
//! A map record stands at every odd index. Policy 2 strikes `third` off and bounds the age of
//! what is said of `staging`; two must sign for `prod`.

use bytes::Bytes;
use cairn_client::record::Terms;
use cairn_grpc::v1;
use cairn_proto::{
    hash::{ContentId, LeafHash, Version},
    key::{SecretKey, Signer},
    manifest::Comparison,
    policy::{Policy, Rule},
    statement::{PolicyChange, Predicate, Statement, Subject},
};

use super::world::World;
use crate::support::{
    ADMIN, DEV, OTHER, Server, audit::audit, desk::Desk, key, leaf, policy, request,
};

/// What stands in `web.yaml`, by sequence of `staging`.
pub(super) const WEB: [&[u8]; 2] = [b"replicas: 1\n", b"replicas: 2\n"];
/// The oldest head that `staging` may be judged by.
pub(super) const STALENESS: u64 = 3_600;

pub(super) struct Base {
    pub(super) world: World,
    pub(super) server: Server,
    _data: tempfile::TempDir,
}

/// The next version of a policy, signed by the keys of the seeds.
pub(super) fn policy_entry(
    ledger: LeafHash,
    previous: LeafHash,
    next: &Policy,
    seeds: &[u8],
) -> v1::AppendRequest {
    let document = next.encode();
    let statement = Statement {
        subject: Subject::of(&document),
        predicate: Predicate::Policy(PolicyChange {
            ledger,
            previous,
            version: next.version,
        }),
    };
    request(&statement.encode(), &document, seeds)
}

/// Policy 2 and all after it, but for their version.
pub(super) fn stricter(version: u64) -> Policy {
    let mut next = policy();
    next.version = Version(version);
    next.deployers
        .retain(|deployer| deployer.name.to_string() != "third");
    next.rules.push(Rule {
        environments: "staging".parse().unwrap(),
        approvals: None,
        max_staleness: Some(STALENESS),
        witnesses: None,
    });
    next
}

impl Base {
    pub(super) async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let server = Server::start(data.path()).await;
        let mut client = server.client().await;
        let desk = Desk::at(&server).await;
        desk.put("web.yaml", WEB[0]);
        record(&desk, "staging", &[DEV]).await;
        desk.put("web.yaml", WEB[1]);
        record(&desk, "prod/eu/shop", &[DEV, OTHER]).await;
        let genesis = *server.ledger.trust().genesis();
        let second = policy_entry(genesis, genesis, &stricter(2), &[ADMIN]);
        client.append(second.clone()).await.unwrap();
        record(&desk, "staging", &[DEV]).await;
        record(&desk, "qa", &[DEV]).await;
        record(&desk, "old", &[DEV]).await;
        let old = "old".parse().unwrap();
        desk.ledger.retire(&old, &desk.terms()).await.unwrap();
        let third = policy_entry(genesis, leaf(&second), &stricter(3), &[ADMIN]);
        client.append(third).await.unwrap();
        record(&desk, "qa", &[DEV]).await;
        let audited = audit(&server).await;
        let mut world = World::of(server.ledger.trust(), &audited);
        assert_eq!(world.size(), 20);
        for bytes in [WEB[0], WEB[1], b"port: 80\n"] {
            let bytes = Bytes::from_static(bytes);
            world.contents.insert(ContentId::of(&bytes), bytes);
        }
        Self {
            world,
            server,
            _data: data,
        }
    }
}

async fn record(desk: &Desk, environment: &str, seeds: &[u8]) {
    let keys: Vec<SecretKey> = seeds.iter().map(|seed| key(*seed)).collect();
    let terms = Terms {
        signers: keys.iter().map(|key| key as &dyn Signer).collect(),
        again: true,
        ..Terms::default()
    };
    let (environment, capture) = (environment.parse().unwrap(), desk.capture());
    let comparison = Comparison::default();
    desk.ledger
        .record(&environment, &capture, comparison, &terms, &())
        .await
        .unwrap();
}
