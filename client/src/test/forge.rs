//! Heads that are signed over what no rule allows.

use std::collections::BTreeMap;

use cairn_proto::{
    entry::MapRecord,
    envelope::Envelope,
    hash::{Index, LeafHash, RootHash},
    key::SecretKey,
    name::Environment,
    row::{EnvironmentRow, Row, RowName},
    statement::{Predicate, Release, Statement, Subject},
};

use super::{Log, Snapshot};

impl Log {
    /// An entry of anybody's.
    pub(crate) fn signed_by(key: &SecretKey, release: Release, document: &[u8]) -> Vec<u8> {
        let statement = Statement {
            subject: Subject::of(document),
            predicate: Predicate::Release(Box::new(release)),
        };
        let envelope = Envelope::sign(statement.encode(), &[key]).unwrap();
        envelope.encode()
    }

    /// Ends the log with an entry and a map that calls it current, whatever the rules say.
    pub(crate) fn forge(&mut self, release: &Release, entry: Vec<u8>, document: Vec<u8>) {
        let environment: Environment = release.environment.clone();
        let row = Row::Environment(EnvironmentRow {
            sequence: release.sequence,
            index: Index(self.size()),
            leaf: LeafHash::of(&entry),
            action: release.action,
            history: RootHash([0; 32]),
        });
        self.push(entry, Some(document));
        let policy = Row::Policy(self.state.chain().unwrap().row());
        let mut map = self.state.map().clone();
        map.insert(RowName::Environment(&environment).key(), row);
        let record = MapRecord {
            covers: self.size(),
            root: map.root(),
            rows: map.rows(),
            time: self.size() * 1_000,
        };
        self.push(record.encode(), None);
        let snapshot = Snapshot {
            map,
            policy,
            environments: BTreeMap::from([(environment, row)]),
        };
        self.heads.insert(self.size(), snapshot);
    }
}
