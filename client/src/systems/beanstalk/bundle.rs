//! The bytes of a version. Elastic Beanstalk keeps no digest of them, only a bucket and a key,
//! and whoever may write there can put others: what lies there *now* is what the next instance
//! gets, and so that is what is hashed, not the object's version of when it was recorded.

use std::{
    fs::File,
    io::{self, Read as _, Write},
    path::Path,
};

use cairn_proto::manifest::Digests;
use sha2::{Digest as _, Sha256};

use super::super::aws::Aws;
use crate::sources::SourceError;

/// Bytes of a bundle: AWS takes no more.
const BUNDLE_BYTES_MAX: u64 = 512 << 20;

/// A bundle that was read to its end.
pub(super) struct Bundle {
    pub(super) blake3: String,
    pub(super) sha256: String,
    pub(super) size: u64,
    /// Of the object, where the bucket keeps versions.
    pub(super) version: Option<String>,
}

impl Bundle {
    /// Both digests, as a manifest has them.
    pub(super) fn digests(&self) -> Option<Digests> {
        Some(Digests {
            blake3: self.blake3.strip_prefix("blake3:")?.parse().ok()?,
            sha256: self.sha256.strip_prefix("sha256:")?.parse().ok()?,
        })
    }

    /// Hashes a file.
    pub(super) fn read(file: File, path: &Path) -> Result<Self, SourceError> {
        let mut hashes = Hashes::default();
        io::copy(&mut file.take(BUNDLE_BYTES_MAX + 1), &mut hashes)
            .map_err(|error| SourceError::unreadable(path, error))?;
        if hashes.size > BUNDLE_BYTES_MAX {
            return Err(SourceError::Input {
                what: crate::sources::shown(path),
                why: format!(
                    "a bundle is never longer than {} MiB",
                    BUNDLE_BYTES_MAX >> 20
                ),
            });
        }
        Ok(hashes.done(None))
    }

    /// Hashes what lies at a place of S3.
    pub(super) fn fetch(aws: &Aws, bucket: &str, key: &str) -> Result<Self, SourceError> {
        let mut hashes = Hashes::default();
        let version = aws.fetch(bucket, key, BUNDLE_BYTES_MAX, &mut hashes)?;
        Ok(hashes.done(version))
    }
}

/// Both digests of what is written to it.
#[derive(Default)]
struct Hashes {
    blake3: blake3::Hasher,
    sha256: Sha256,
    size: u64,
}

impl Hashes {
    fn done(self, version: Option<String>) -> Bundle {
        Bundle {
            blake3: format!("blake3:{}", self.blake3.finalize().to_hex()),
            sha256: format!("sha256:{}", hex::encode(self.sha256.finalize())),
            size: self.size,
            version,
        }
    }
}

impl Write for Hashes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.blake3.update(bytes);
        self.sha256.update(bytes);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.size = self.size.saturating_add(length);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
