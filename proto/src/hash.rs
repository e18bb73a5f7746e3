//! Newtypes for every digest and number that could be swapped by mistake.
//!
//! Invariant: a value here says what was hashed, never that anything was verified.
//! Bytes: SPEC.md section 2.

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256 as Hasher};
use thiserror::Error;

/// Text that is not 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not 64 lower-case hex digits")]
pub struct HexError;

/// Decodes exactly 32 bytes of lower-case hex.
pub fn decode_hex32(text: &str) -> Result<[u8; 32], HexError> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(HexError);
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| HexError)?;
    Ok(bytes)
}

macro_rules! digests {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Reads 32 bytes; `None` for any other length.
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = HexError;

            fn from_str(text: &str) -> Result<Self, HexError> {
                decode_hex32(text).map(Self)
            }
        }
    )*};
}

digests! {
    /// RFC 6962 leaf hash of an entry: `SHA-256(0x00 || entry)`.
    LeafHash;
    /// RFC 6962 hash of an inner node, or of a leaf seen as a node.
    NodeHash;
    /// RFC 6962 root of a log tree.
    RootHash;
    /// BLAKE3 of a document (manifest, policy).
    DocumentId;
    /// BLAKE3 of an artifact's bytes.
    ContentId;
    /// SHA-256 of an artifact's bytes.
    Sha256;
    /// SHA-256 of an Ed25519 public key's 32 bytes.
    KeyId;
    /// Key of a row in the map.
    MapKey;
    /// Derived hash of a map row.
    RowHash;
    /// Root of the map.
    MapRoot;
    /// BLAKE3 of the canonical artifacts of a manifest.
    ArtifactsDigest;
}

impl LeafHash {
    /// Hashes an entry as a leaf of the log.
    pub fn of(entry: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update([0]);
        hasher.update(entry);
        Self(hasher.finalize().into())
    }
}

impl From<LeafHash> for NodeHash {
    fn from(leaf: LeafHash) -> Self {
        Self(leaf.0)
    }
}

impl NodeHash {
    /// `SHA-256(0x01 || left || right)`.
    pub fn parent(left: &Self, right: &Self) -> Self {
        let mut hasher = Hasher::new();
        hasher.update([1]);
        hasher.update(left.0);
        hasher.update(right.0);
        Self(hasher.finalize().into())
    }
}

impl RootHash {
    /// Root of the empty tree: `SHA-256("")`.
    pub fn empty() -> Self {
        Self(Hasher::new().finalize().into())
    }
}

impl DocumentId {
    /// BLAKE3 of the document's bytes.
    pub fn of(document: &[u8]) -> Self {
        Self(*blake3::hash(document).as_bytes())
    }
}

impl ContentId {
    /// BLAKE3 of the content's bytes.
    pub fn of(content: &[u8]) -> Self {
        Self(*blake3::hash(content).as_bytes())
    }
}

impl Sha256 {
    /// SHA-256 of the bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Hasher::digest(bytes).into())
    }
}

impl KeyId {
    /// SHA-256 of a public key's bytes.
    pub fn of(public_key: &[u8; 32]) -> Self {
        Self(Hasher::digest(public_key).into())
    }
}

macro_rules! numbers {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(out)
            }
        }
    )*};
}

numbers! {
    /// Position of a leaf in the log, from 0.
    Index;
    /// Number of leaves in a tree.
    TreeSize;
    /// Place of a release in its environment's chain, from 1.
    Sequence;
    /// Version of the policy, from 1.
    Version;
}
