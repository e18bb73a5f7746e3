//! A small ledger: its keys, its first entry, and what will be appended to it.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use cairn_proto::{
    envelope::Envelope,
    hash::{ContentId, LeafHash, Sequence, Version},
    key::{SecretKey, Signer},
    manifest::{Artifact, ArtifactKind, Bytes as ArtifactBytes, Comparison, Digests, Manifest},
    order::{OrderDocument, Redaction},
    policy::{Deployer, NamedKey, Policy, Right},
    statement::{Action, Order, OrderKind, PolicyChange, Predicate, Release, Statement, Subject},
};

use super::notary::{Notary, Shared};
use crate::{
    access::{Access, Caller},
    content::ContentLimits,
    disk::fake::FakeDisk,
    ledger::{Genesis, ServerKeys},
    segment::LedgerTag,
    start::{self, Place},
};

/// What every sector of a content that is erased says.
pub(super) const SECRET: &[u8] = b"a secret text ";

/// An entry to append, with what it needs.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) entry: Bytes,
    pub(super) document: Bytes,
    pub(super) contents: Vec<Vec<u8>>,
    /// What it erases.
    pub(super) erases: Vec<Vec<u8>>,
}

impl Step {
    pub(super) fn leaf(&self) -> LeafHash {
        LeafHash::of(&self.entry)
    }
}

pub(super) struct World {
    pub(super) place: Place,
    pub(super) genesis: Genesis,
    pub(super) steps: Vec<Step>,
    log: Arc<SecretKey>,
    clock: Arc<SecretKey>,
    admin: SecretKey,
    deployer: SecretKey,
}

fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number; 32]).unwrap()
}

/// A manifest that names these contents, and one more artifact so that no two are alike.
fn manifest(text: &str, contents: &[Vec<u8>]) -> Bytes {
    let artifact = |name: String, bytes| Artifact {
        name: name.parse().unwrap(),
        kind: ArtifactKind::File,
        media_type: None,
        mode: None,
        parent: None,
        platform: None,
        bytes,
    };
    let digests = Digests::of(text.as_bytes());
    let size = text.len() as u64;
    let mut artifacts = vec![artifact(
        "text".to_owned(),
        ArtifactBytes::External { digests, size },
    )];
    for (number, content) in contents.iter().enumerate() {
        let bytes = ArtifactBytes::Stored {
            digests: Digests::of(content),
            size: content.len() as u64,
        };
        artifacts.push(artifact(format!("stored{number}"), bytes));
    }
    let manifest = Manifest::new(artifacts, Comparison::default()).unwrap();
    manifest.encode().into()
}

impl World {
    pub(super) fn new() -> Self {
        let place = Place {
            origin: "crash.example/ledger".parse().unwrap(),
            data: "/data".into(),
            anchor: None,
            limits: ContentLimits::default(),
        };
        let (log, clock) = (Arc::new(key(1)), Arc::new(key(2)));
        let keys = ServerKeys {
            log: log.clone(),
            clock: clock.clone(),
        };
        let (admin, deployer) = (key(3), key(4));
        let policy = policy(1, &admin, &deployer);
        let genesis =
            start::genesis(&place.origin, &keys, &policy, ([7; 16], None), &[&admin]).unwrap();
        let mut world = Self {
            place,
            genesis,
            steps: Vec::new(),
            log,
            clock,
            admin,
            deployer,
        };
        world.steps = world.script();
        world
    }

    /// Releases with contents of both kinds, a policy, and a document that is named twice.
    fn script(&self) -> Vec<Step> {
        let small = b"small content ".repeat(150);
        let large = b"large content ".repeat((1 << 20) / 14 + 40);
        let one = self.release("prod/a", 1, None, "one", vec![small]);
        let two = self.release("prod/a", 2, Some(one.leaf()), "two", vec![large]);
        let policy = self.policy(2, LeafHash::of(&self.genesis.entry));
        let other = self.release("prod/b", 1, None, "one", one.contents.clone());
        let back = Release {
            action: Action::Rollback,
            rollback_to: Some(Sequence(1)),
            ..self.next("prod/a", 3, Some(two.leaf()))
        };
        let back = self.sign(back, one.document.clone(), Vec::new());
        vec![one, two, policy, other, back]
    }

    /// The same with contents that are erased, small and large ones, between others that stay.
    pub(super) fn erasing() -> Self {
        let mut world = Self::new();
        let secret = |salt: u8, times| [SECRET, &[salt; 3]].concat().repeat(times);
        let (small, last) = (secret(1, 120), secret(2, 40));
        let large = secret(3, (1 << 20) / 17);
        let kept = |text: &str| text.as_bytes().repeat(60);
        let contents = vec![
            kept("before "),
            small.clone(),
            kept("after "),
            large.clone(),
        ];
        let one = world.release("prod/a", 1, None, "one", contents);
        let erased = world.erasure(1, None, vec![small, large]);
        let contents = vec![kept("later "), last.clone()];
        let two = world.release("prod/b", 1, None, "two", contents);
        let again = world.erasure(2, Some(erased.leaf()), vec![last]);
        let three = world.release("prod/c", 1, None, "three", vec![kept("last ")]);
        world.steps = vec![one, erased, two, again, three];
        world
    }

    fn erasure(&self, number: u64, previous: Option<LeafHash>, erases: Vec<Vec<u8>>) -> Step {
        let mut contents: Vec<_> = erases.iter().map(|bytes| ContentId::of(bytes)).collect();
        contents.sort_unstable();
        let reason = "recorded by mistake".to_owned();
        let document = OrderDocument::Redaction(Redaction { contents, reason }).encode();
        let predicate = Predicate::Order(Order {
            kind: OrderKind::Redaction,
            ledger: LeafHash::of(&self.genesis.entry),
            number,
            previous,
        });
        let step = signed(predicate, document.into(), Vec::new(), &self.admin);
        Step { erases, ..step }
    }

    pub(super) fn tag(&self) -> LedgerTag {
        LedgerTag::of(&self.place.origin)
    }

    /// The server's keys, in the hands of one who watches what they sign.
    pub(super) fn keys(&self, disk: &FakeDisk, outside: &Shared) -> ServerKeys {
        let notary = Notary {
            key: self.log.clone(),
            tag: self.tag(),
            disk: disk.clone(),
            outside: outside.clone(),
        };
        ServerKeys {
            log: Arc::new(notary),
            clock: self.clock.clone(),
        }
    }

    pub(super) fn caller() -> Caller {
        Access::open().identify(None).unwrap()
    }

    fn next(&self, environment: &str, sequence: u64, previous: Option<LeafHash>) -> Release {
        Release {
            ledger: LeafHash::of(&self.genesis.entry),
            environment: environment.parse().unwrap(),
            sequence: Sequence(sequence),
            previous,
            action: Action::Release,
            break_glass: None,
            rollback_to: None,
            reason: None,
            source: None,
            created_at: "2026-11-01T10:00:00Z".parse().unwrap(),
            annotations: BTreeMap::new(),
        }
    }

    pub(super) fn release(
        &self,
        environment: &str,
        sequence: u64,
        previous: Option<LeafHash>,
        text: &str,
        contents: Vec<Vec<u8>>,
    ) -> Step {
        let document = manifest(text, &contents);
        self.sign(
            self.next(environment, sequence, previous),
            document,
            contents,
        )
    }

    fn sign(&self, release: Release, document: Bytes, contents: Vec<Vec<u8>>) -> Step {
        let predicate = Predicate::Release(Box::new(release));
        signed(predicate, document, contents, &self.deployer)
    }

    pub(super) fn policy(&self, version: u64, previous: LeafHash) -> Step {
        let document = policy(version, &self.admin, &self.deployer).encode();
        let predicate = Predicate::Policy(PolicyChange {
            ledger: LeafHash::of(&self.genesis.entry),
            previous,
            version: Version(version),
        });
        signed(predicate, document.into(), Vec::new(), &self.admin)
    }
}

fn signed(
    predicate: Predicate,
    document: Bytes,
    contents: Vec<Vec<u8>>,
    signer: &dyn Signer,
) -> Step {
    let statement = Statement {
        subject: Subject::of(&document),
        predicate,
    };
    let envelope = Envelope::sign(statement.encode(), &[signer]).unwrap();
    Step {
        entry: envelope.encode().into(),
        document,
        contents,
        erases: Vec::new(),
    }
}

fn policy(version: u64, admin: &SecretKey, deployer: &SecretKey) -> Policy {
    Policy {
        version: Version(version),
        admins: vec![NamedKey {
            name: "root".parse().unwrap(),
            key: admin.public_key(),
        }],
        threshold: 1,
        deployers: vec![Deployer {
            name: "ci".parse().unwrap(),
            key: deployer.public_key(),
            actions: vec![Right::Release, Right::Retire, Right::Rollback],
            environments: vec!["**".parse().unwrap()],
        }],
        revoked: Vec::new(),
        rules: Vec::new(),
    }
}
