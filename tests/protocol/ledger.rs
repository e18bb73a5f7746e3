//! Small ledgers for properties: keys, documents and entries, all well formed.

use std::collections::BTreeMap;

use cairn_proto::{
    entry::{Leaf, Submission},
    envelope::Envelope,
    hash::{Sequence, Version},
    key::{SecretKey, Signer},
    manifest::{Artifact, ArtifactKind, Bytes, Comparison, Digests, Manifest},
    name::Environment,
    note::{SignatureType, VerifierKey},
    policy::{Deployer, NamedKey, Policy, Right, Rule},
    rules::{Effect, RuleError, State},
    statement::{Action, Genesis, Predicate, Release, Statement, Subject},
};

pub(crate) const ORIGIN: &str = "ledger.example/properties";

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32]).unwrap()
}

pub(crate) fn environment(name: &str) -> Environment {
    name.parse().unwrap()
}

/// One admin (key 1), two deployers (keys 2 and 3) who may do everything; `prod/**` asks for
/// both of them.
pub(crate) fn policy() -> Policy {
    let deployer = |name: &str, seed| Deployer {
        name: name.parse().unwrap(),
        key: key(seed).public_key(),
        actions: vec![Right::Release, Right::Retire, Right::Rollback],
        environments: vec!["**".parse().unwrap()],
    };
    Policy {
        version: Version(1),
        admins: vec![NamedKey {
            name: "alice".parse().unwrap(),
            key: key(1).public_key(),
        }],
        threshold: 1,
        deployers: vec![deployer("ci", 2), deployer("ops", 3)],
        revoked: Vec::new(),
        rules: vec![Rule {
            environments: "prod/**".parse().unwrap(),
            approvals: Some(2),
            max_staleness: None,
            witnesses: None,
        }],
    }
}

pub(crate) fn manifest(contents: &BTreeMap<String, Vec<u8>>) -> Manifest {
    let artifact = |(name, content): (&String, &Vec<u8>)| Artifact {
        name: name.parse().unwrap(),
        kind: ArtifactKind::File,
        media_type: None,
        mode: None,
        parent: None,
        platform: None,
        bytes: Bytes::Stored {
            digests: Digests::of(content),
            size: u64::try_from(content.len()).unwrap(),
        },
    };
    let artifacts = contents.iter().map(artifact).collect();
    Manifest::new(artifacts, Comparison::default()).unwrap()
}

fn sign(predicate: Predicate, document: &[u8], seeds: &[u8]) -> Vec<u8> {
    let subject = Subject::of(document);
    let statement = Statement { subject, predicate };
    let keys: Vec<_> = seeds.iter().map(|seed| key(*seed)).collect();
    let signers: Vec<&dyn Signer> = keys.iter().map(|key| key as &dyn Signer).collect();
    let envelope = Envelope::sign(statement.encode(), &signers).unwrap();
    envelope.encode()
}

/// A ledger as its leaves with their documents, and the state they add up to.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) leaves: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) state: State,
}

impl Book {
    pub(crate) fn new() -> Self {
        let mut book = Self::default();
        let vkey =
            |name: &str, kind, seed| VerifierKey::new(name, kind, key(seed).public_key()).unwrap();
        let genesis = Genesis {
            origin: ORIGIN.parse().unwrap(),
            log_key: vkey(ORIGIN, SignatureType::Ed25519, 8),
            clock_key: vkey(&format!("{ORIGIN}/clock"), SignatureType::Cosignature, 9),
            nonce: [5; 16],
            predecessor: None,
        };
        let document = policy().encode();
        let leaf = sign(Predicate::Genesis(Box::new(genesis)), &document, &[1]);
        book.append(leaf, document).unwrap();
        book
    }

    pub(crate) fn append(&mut self, leaf: Vec<u8>, document: Vec<u8>) -> Result<(), RuleError> {
        apply(&mut self.state, &leaf, &document)?;
        self.leaves.push((leaf, document));
        Ok(())
    }

    /// The entry of a release that may follow.
    pub(crate) fn release(&self, name: &str, action: Action, document: &[u8]) -> Vec<u8> {
        let environment = environment(name);
        let before = self.state.environment(&environment);
        let sequence = before.map_or(0, |state| state.sequence().0) + 1;
        let release = Release {
            ledger: *self.state.chain().unwrap().ledger(),
            sequence: Sequence(sequence),
            previous: before.map(|state| state.leaf),
            break_glass: None,
            rollback_to: (action == Action::Rollback).then_some(Sequence(1)),
            action,
            environment,
            reason: None,
            source: None,
            created_at: "2026-01-02T03:04:05Z".parse().unwrap(),
            annotations: BTreeMap::new(),
        };
        sign(Predicate::Release(Box::new(release)), document, &[2, 3])
    }

    pub(crate) fn record(&mut self, time: u64) {
        let leaf = self.state.map_record(time).encode();
        self.append(leaf, Vec::new()).unwrap();
    }
}

/// Applies a leaf from its bytes alone.
pub(crate) fn apply(state: &mut State, leaf: &[u8], document: &[u8]) -> Result<Effect, RuleError> {
    match Leaf::decode(leaf)? {
        Leaf::MapRecord(record) => {
            state.apply_map_record(&record)?;
            Ok(Effect::default())
        }
        Leaf::Entry(_) => {
            let signed = state.authenticate(Submission::decode(leaf, document)?)?;
            state.apply(&signed)
        }
    }
}
