//! The bytes of a version. Elastic Beanstalk keeps no digest of them, only a bucket and a key,
//! and whoever may write there can put others: what lies there *now* is what the next instance
//! gets, and so that is what is hashed, not the object's version of when it was recorded.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use cairn_proto::manifest::Digests;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::super::{
    aws::{ask, text},
    tool::PrivateFolder,
};
use crate::sources::SourceError;

/// Bytes of a bundle: AWS takes no more.
const BUNDLE_BYTES_MAX: u64 = 512 << 20;
/// Bytes that are read at once.
const PART: usize = 64 << 10;

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
        let failed = |error: io::Error| SourceError::unreadable(path, error);
        let mut file = file.take(BUNDLE_BYTES_MAX + 1);
        let (mut blake3, mut sha256) = (blake3::Hasher::new(), Sha256::new());
        let (mut part, mut size) = (vec![0; PART], 0_u64);
        loop {
            let count = match file.read(&mut part) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(failed(error)),
            };
            let read = part.get(..count).unwrap_or_default();
            if read.is_empty() {
                break;
            }
            blake3.update(read);
            sha256.update(read);
            size = size.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        }
        if size > BUNDLE_BYTES_MAX {
            return Err(too_long(&crate::sources::shown(path)));
        }
        Ok(Self {
            blake3: format!("blake3:{}", blake3.finalize().to_hex()),
            sha256: format!("sha256:{}", hex::encode(sha256.finalize())),
            size,
            version: None,
        })
    }

    /// Fetches what lies at a place of S3, and hashes it.
    pub(super) fn fetch(bucket: &str, key: &str) -> Result<Self, SourceError> {
        let at = [("--bucket", bucket), ("--key", key)];
        let head = ask(&["s3api", "head-object"], &at)?;
        let size = head.get("ContentLength").and_then(Value::as_u64);
        if size.is_none_or(|size| size > BUNDLE_BYTES_MAX) {
            return Err(too_long(&format!("s3://{bucket}/{key}")));
        }
        let folder = PrivateFolder::new()?;
        let path = folder.path().join("bundle");
        let mut options = at.to_vec();
        // The one whose size was told.
        options.extend(text(&head, "ETag").map(|tag| ("--if-match", tag)));
        let to = path.to_string_lossy();
        let said = ask(&["s3api", "get-object", &to], &options)?;
        let file = File::open(&path).map_err(|error| SourceError::unreadable(&path, error))?;
        let version = text(&said, "VersionId").filter(|version| *version != "null");
        Ok(Self {
            version: version.map(str::to_owned),
            ..Self::read(file, &path)?
        })
    }
}

fn too_long(what: &str) -> SourceError {
    SourceError::Input {
        what: crate::detail::printable(what),
        why: format!(
            "a bundle is never longer than {} MiB",
            BUNDLE_BYTES_MAX >> 20
        ),
    }
}
