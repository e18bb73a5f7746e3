//! Keyed tags: what is recorded of a value that must not be guessable from the log.
//! SPEC.md section 5.

use zeroize::ZeroizeOnDrop;

use crate::{
    manifest::Withheld,
    name::{ArtifactName, Environment},
};

/// The key of an environment's withheld values; wiped when dropped.
#[derive(Clone, ZeroizeOnDrop)]
pub struct TagKey([u8; 32]);

impl TagKey {
    /// A key of 32 random bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret bytes, to be stored.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    /// Names the key without telling it.
    pub fn id(&self) -> [u8; 16] {
        let digest = blake3::derive_key("cairn v1 secret key id", &self.0);
        let [id @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = digest;
        id
    }

    /// Starts a tag for a value of `size` bytes, which is then streamed in.
    pub fn tagger(
        &self,
        environment: &Environment,
        name: &ArtifactName,
        pointer: &str,
        size: u64,
    ) -> Tagger {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in [environment.as_str(), name.as_str(), pointer] {
            hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&size.to_be_bytes());
        Tagger {
            hasher,
            key_id: self.id(),
        }
    }
}

impl std::fmt::Debug for TagKey {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "TagKey({})", hex::encode(self.id()))
    }
}

/// A tag in the making.
pub struct Tagger {
    hasher: blake3::Hasher,
    key_id: [u8; 16],
}

impl Tagger {
    /// Takes the next bytes of the value.
    pub fn update(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
    }

    /// The tag. The caller has given exactly the size that it announced.
    pub fn finish(self) -> Withheld {
        Withheld {
            key_id: self.key_id,
            tag: *self.hasher.finalize().as_bytes(),
        }
    }
}
