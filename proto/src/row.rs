//! Rows of the map: what the ledger says of a name now. SPEC.md section 8.1.

use crate::{
    hash::{Index, KeyId, LeafHash, MapKey, RootHash, RowHash, Sequence, Sha256, Version},
    name::Environment,
    statement::{Action, Standing},
};

/// An environment's current step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvironmentRow {
    /// Its sequence: the size of the environment's history.
    pub sequence: Sequence,
    /// Where its entry stands in the log.
    pub index: Index,
    /// Leaf hash of its entry.
    pub leaf: LeafHash,
    /// What it does.
    pub action: Action,
    /// Root over (index, leaf hash) of every step.
    pub history: RootHash,
}

/// The policy in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PolicyRow {
    /// Its version: the size of the policy's history.
    pub version: Version,
    /// Where its entry stands in the log.
    pub index: Index,
    /// Leaf hash of its entry.
    pub leaf: LeafHash,
    /// Root over (index, leaf hash) of every version.
    pub history: RootHash,
}

/// Where and when a sha256 entered or left environments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigestRow {
    /// First entry that touched it.
    pub first: Index,
    /// Last entry that touched it.
    pub last: Index,
    /// How many did.
    pub count: u64,
    /// BLAKE3 chain over (index, leaf hash) of them all.
    pub chain: [u8; 32],
}

impl DigestRow {
    /// The row after one more touch.
    pub fn touched(before: Option<&Self>, index: Index, leaf: &LeafHash) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(before.map_or(&[0; 32], |row| &row.chain));
        hasher.update(&index.0.to_be_bytes());
        hasher.update(leaf.as_bytes());
        Self {
            first: before.map_or(index, |row| row.first),
            last: index,
            count: before.map_or(1, |row| row.count.saturating_add(1)),
            chain: *hasher.finalize().as_bytes(),
        }
    }
}

/// The newest of the admins' orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrdersRow {
    /// Its number: the size of the history of orders.
    pub number: u64,
    /// Where its entry stands in the log.
    pub index: Index,
    /// Leaf hash of its entry.
    pub leaf: LeafHash,
    /// Root over (index, leaf hash) of every order.
    pub history: RootHash,
}

/// A host's current standing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostRow {
    /// Number of its enrolments and dismissals: the size of its history.
    pub number: u64,
    /// Where the newest of them stands in the log.
    pub index: Index,
    /// Leaf hash of its entry.
    pub leaf: LeafHash,
    /// What it does.
    pub action: Standing,
    /// Root over (index, leaf hash) of them all.
    pub history: RootHash,
}

/// A row of any kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    /// Of an environment.
    Environment(EnvironmentRow),
    /// Of the policy.
    Policy(PolicyRow),
    /// Of a sha256.
    Digest(DigestRow),
    /// Of the orders.
    Orders(OrdersRow),
    /// Of a host.
    Host(HostRow),
}

/// Whose row is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowName<'a> {
    /// An environment's.
    Environment(&'a Environment),
    /// The policy's.
    Policy,
    /// A sha256's.
    Digest(&'a Sha256),
    /// The orders'.
    Orders,
    /// A host's, by its key.
    Host(&'a KeyId),
}

impl RowName<'_> {
    /// The row's key in the map.
    pub fn key(&self) -> MapKey {
        match self {
            Self::Environment(name) => {
                derive_key("cairn v1 map environment", name.as_str().as_bytes())
            }
            Self::Policy => derive_key("cairn v1 map policy", b"policy"),
            Self::Digest(sha256) => derive_key("cairn v1 map digest", sha256.as_bytes()),
            Self::Orders => derive_key("cairn v1 map orders", b"orders"),
            Self::Host(id) => derive_key("cairn v1 map host", id.as_bytes()),
        }
    }

    /// Decodes a row of this kind; `None` if the bytes are not one.
    pub fn decode(&self, bytes: &[u8]) -> Option<Row> {
        let mut reader = Reader(bytes);
        let row = match self {
            Self::Environment(_) => Row::Environment(EnvironmentRow {
                sequence: Sequence(reader.number()?),
                index: Index(reader.number()?),
                leaf: LeafHash(reader.bytes()?),
                action: match reader.bytes()? {
                    [1] => Action::Release,
                    [2] => Action::Rollback,
                    [3] => Action::Retire,
                    _ => return None,
                },
                history: RootHash(reader.bytes()?),
            }),
            Self::Policy => Row::Policy(PolicyRow {
                version: Version(reader.number()?),
                index: Index(reader.number()?),
                leaf: LeafHash(reader.bytes()?),
                history: RootHash(reader.bytes()?),
            }),
            Self::Digest(_) => Row::Digest(DigestRow {
                first: Index(reader.number()?),
                last: Index(reader.number()?),
                count: reader.number()?,
                chain: reader.bytes()?,
            }),
            Self::Orders => Row::Orders(OrdersRow {
                number: reader.number()?,
                index: Index(reader.number()?),
                leaf: LeafHash(reader.bytes()?),
                history: RootHash(reader.bytes()?),
            }),
            Self::Host(_) => Row::Host(HostRow {
                number: reader.number()?,
                index: Index(reader.number()?),
                leaf: LeafHash(reader.bytes()?),
                action: match reader.bytes()? {
                    [1] => Standing::Enrol,
                    [2] => Standing::Dismiss,
                    _ => return None,
                },
                history: RootHash(reader.bytes()?),
            }),
        };
        reader.0.is_empty().then_some(row)
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn number(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_be_bytes)
    }
}

fn derive_key(context: &str, name: &[u8]) -> MapKey {
    MapKey(blake3::derive_key(context, name))
}

impl Row {
    /// The fixed binary encoding.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(96);
        match self {
            Self::Environment(row) => {
                bytes.extend(row.sequence.0.to_be_bytes());
                bytes.extend(row.index.0.to_be_bytes());
                bytes.extend(row.leaf.0);
                bytes.push(match row.action {
                    Action::Release => 1,
                    Action::Rollback => 2,
                    Action::Retire => 3,
                });
                bytes.extend(row.history.0);
            }
            Self::Policy(row) => {
                bytes.extend(row.version.0.to_be_bytes());
                bytes.extend(row.index.0.to_be_bytes());
                bytes.extend(row.leaf.0);
                bytes.extend(row.history.0);
            }
            Self::Digest(row) => {
                bytes.extend(row.first.0.to_be_bytes());
                bytes.extend(row.last.0.to_be_bytes());
                bytes.extend(row.count.to_be_bytes());
                bytes.extend(row.chain);
            }
            Self::Orders(row) => {
                bytes.extend(row.number.to_be_bytes());
                bytes.extend(row.index.0.to_be_bytes());
                bytes.extend(row.leaf.0);
                bytes.extend(row.history.0);
            }
            Self::Host(row) => {
                bytes.extend(row.number.to_be_bytes());
                bytes.extend(row.index.0.to_be_bytes());
                bytes.extend(row.leaf.0);
                bytes.push(match row.action {
                    Standing::Enrol => 1,
                    Standing::Dismiss => 2,
                });
                bytes.extend(row.history.0);
            }
        }
        bytes
    }

    /// What the map's leaf commits to.
    pub fn hash(&self) -> RowHash {
        let context = match self {
            Self::Environment(_) => "cairn v1 row environment",
            Self::Policy(_) => "cairn v1 row policy",
            Self::Digest(_) => "cairn v1 row digest",
            Self::Orders(_) => "cairn v1 row orders",
            Self::Host(_) => "cairn v1 row host",
        };
        RowHash(blake3::derive_key(context, &self.encode()))
    }
}

/// Leaf of a history tree: `u64 index || leaf hash`. SPEC.md section 8.4.
pub fn history_leaf(index: Index, leaf: &LeafHash) -> LeafHash {
    let mut data = Vec::with_capacity(40);
    data.extend(index.0.to_be_bytes());
    data.extend(leaf.0);
    LeafHash::of(&data)
}
