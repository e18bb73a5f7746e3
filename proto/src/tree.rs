//! Tree listings: the content of a `tree` artifact. SPEC.md section 5.
//!
//! One canonical spelling, so that equal directories have equal digests, and a verifier
//! who has no copy of the recorded listing can still tell equal from different.

use crate::{
    hash::ContentId,
    json::{Field, JsonError, Value, ascending, parse_canonical},
    limits::{JSON_INTEGER_MAX, TREE_BYTES_MAX},
    manifest::{ArtifactKind, Digests, Mode, Withheld},
    name::ArtifactName,
    reason::Reason,
};

const SCHEMA: &str = "cairn.tree/v1";
const SIZE_MAX: u64 = JSON_INTEGER_MAX.unsigned_abs();

/// What a listing says of an entry's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeBytes {
    /// Content of the ledger.
    Stored {
        /// Its digests.
        digests: Digests,
        /// Its number of bytes.
        size: u64,
    },
    /// A keyed tag in place of a secret.
    Withheld(Withheld),
}

/// One file, link or empty directory of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Path from the tree's root.
    pub name: ArtifactName,
    /// File, symlink or directory.
    pub kind: ArtifactKind,
    /// Permission bits.
    pub mode: Mode,
    /// Its bytes.
    pub bytes: TreeBytes,
}

impl TreeEntry {
    fn encode(&self) -> Value<'static> {
        let mut members = vec![
            ("kind", Value::text(self.kind.as_str())),
            ("mode", self.mode.encode()),
            ("name", Value::text(&self.name)),
        ];
        match &self.bytes {
            TreeBytes::Stored { digests, size } => {
                members.extend([
                    ("digests", digests.encode()),
                    ("size", Value::number(*size)),
                ]);
            }
            TreeBytes::Withheld(withheld) => members.push(("withheld", withheld.encode())),
        }
        Value::object(members)
    }

    fn decode(field: Field) -> Result<Self, JsonError> {
        let mut members = field.members()?;
        let name = members.take("name")?;
        let kind = members.take("kind")?;
        let entry = Self {
            name: name.parsed()?,
            kind: ArtifactKind::decode(&kind)?,
            mode: Mode::decode(&members.take("mode")?)?,
            bytes: match members.take_optional("withheld") {
                Some(withheld) => TreeBytes::Withheld(Withheld::decode(withheld)?),
                None => TreeBytes::Stored {
                    digests: Digests::decode(members.take("digests")?)?,
                    size: members.take("size")?.number(0..=SIZE_MAX)?,
                },
            },
        };
        members.finish()?;
        if entry.name.as_str() == "." {
            return Err(name.invalid());
        }
        match (entry.kind, &entry.bytes) {
            (ArtifactKind::File | ArtifactKind::Symlink, _) => Ok(entry),
            (ArtifactKind::Directory, TreeBytes::Stored { digests, size })
                if digests.are_of_nothing(*size) =>
            {
                Ok(entry)
            }
            _ => Err(kind.invalid()),
        }
    }
}

/// A directory's files, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    entries: Vec<TreeEntry>,
}

impl Tree {
    /// Sorts the entries; equal names are refused.
    pub fn new(mut entries: Vec<TreeEntry>) -> Result<Self, JsonError> {
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        let tree = Self { entries };
        tree.check_order()?;
        Ok(tree)
    }

    /// Reads canonical bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, JsonError> {
        if bytes.len() > TREE_BYTES_MAX {
            return Err(JsonError::new(Reason::DocumentTooLarge, ""));
        }
        let mut members = Field::root(parse_canonical(bytes)?).members()?;
        members.schema(SCHEMA)?;
        let entries = members
            .take("entries")?
            .array(0..=usize::MAX)?
            .into_iter()
            .map(TreeEntry::decode)
            .collect::<Result<Vec<_>, _>>()?;
        members.finish()?;
        let tree = Self { entries };
        tree.check_order()?;
        Ok(tree)
    }

    fn check_order(&self) -> Result<(), JsonError> {
        let names: Vec<_> = self.entries.iter().map(|entry| &entry.name).collect();
        ascending(&names, "entries")
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        Value::object([
            (
                "entries",
                Value::Array(self.entries.iter().map(TreeEntry::encode).collect()),
            ),
            ("schema", Value::text(SCHEMA)),
        ])
        .encode()
    }

    /// The entries, sorted by name.
    pub fn entries(&self) -> &[TreeEntry] {
        &self.entries
    }

    /// The content that the listing names.
    pub fn contents(&self) -> impl Iterator<Item = (ContentId, u64)> + '_ {
        self.entries.iter().filter_map(|entry| match &entry.bytes {
            TreeBytes::Stored { digests, size } => Some((digests.blake3, *size)),
            TreeBytes::Withheld(_) => None,
        })
    }
}
