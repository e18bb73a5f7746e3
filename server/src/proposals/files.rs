//! Proposals on disk: one file each, named by its id.
//!
//! Invariant: a name never shows half a file. What cannot be read is dropped with a line in the
//! log, and never a reason not to start: whoever made the proposal makes it again.

use std::{io, path::PathBuf, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use cairn_proto::{
    entry::Submission,
    hash::{KeyId, Sha256},
    limits::{ENTRY_BYTES_MAX, MANIFEST_BYTES_MAX},
};
use serde::{Deserialize, Serialize};

use super::{Place, ProposalLimits, Waiting};
use crate::{
    disk::{Disk, read_exact_at},
    ledger::Received,
};

const SCHEMA: &str = "cairn.waiting/v1";
/// What a file is called until it is whole.
const DRAFT: &str = ".new";
/// Bytes of a file: the largest document and the largest envelope in base64, with room.
const FILE_BYTES_MAX: u64 = 4 * (ENTRY_BYTES_MAX + MANIFEST_BYTES_MAX) as u64 / 3 + (64 << 10);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Over the one spelling of `proposal`.
    blake3: String,
    proposal: Proposal,
    schema: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proposal {
    charged: Vec<String>,
    document: String,
    envelope: String,
    expires: u64,
    owner: String,
}

fn checksum(proposal: &Proposal) -> String {
    let bytes = serde_json::to_vec(proposal).unwrap_or_default();
    blake3::hash(&bytes).to_hex().to_string()
}

/// The directory.
#[derive(Debug)]
pub(super) struct Files {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
}

impl Files {
    pub(super) fn new(disk: Arc<dyn Disk>, directory: PathBuf) -> Self {
        Self { disk, directory }
    }

    /// Reads what an earlier process left, so many and so many bytes at most.
    pub(super) fn load(&self, limits: &ProposalLimits) -> io::Result<Vec<(Sha256, Waiting)>> {
        self.disk.create_dir(&self.directory)?;
        if let Some(parent) = self.directory.parent() {
            self.disk.sync_dir(parent)?;
        }
        let (mut found, mut bytes) = (Vec::new(), 0_usize);
        let mut names = self.disk.list(&self.directory)?;
        names.sort_unstable();
        for name in names {
            let Ok(id) = name.parse::<Sha256>() else {
                if name.ends_with(DRAFT) {
                    let _ = self.disk.remove(&self.directory.join(name));
                }
                continue;
            };
            if found.len() >= limits.number_max || bytes >= limits.bytes_max {
                self.drop(&id, "more wait than there is room for");
                continue;
            }
            match self.read(&id) {
                Ok(waiting) => {
                    bytes = bytes.saturating_add(waiting.bytes());
                    found.push((id, waiting));
                }
                Err(why) => self.drop(&id, why),
            }
        }
        Ok(found)
    }

    fn drop(&self, id: &Sha256, why: &str) {
        tracing::warn!(%id, why, "a waiting proposal was dropped");
        self.remove(id);
    }

    fn read(&self, id: &Sha256) -> Result<Waiting, &'static str> {
        let bytes = self.bytes(id)?;
        let file: File = serde_json::from_slice(&bytes).map_err(|_| "it is no proposal's file")?;
        if file.schema != SCHEMA {
            return Err("its schema needs a newer cairn");
        }
        if file.blake3 != checksum(&file.proposal) {
            return Err("its checksum does not fit");
        }
        let stored = file.proposal;
        let decoded = |text: &str| STANDARD.decode(text).map_err(|_| "it is not base64");
        let (envelope, document) = (decoded(&stored.envelope)?, decoded(&stored.document)?);
        // The signatures were verified when they came; whoever asks for them verifies them again.
        let submission = Submission::decode(&envelope, &document)
            .map_err(|_| "its envelope and its document do not belong together")?;
        if Sha256::of(submission.envelope().payload()) != *id {
            return Err("it is another proposal");
        }
        let received = Received::decode(envelope.into()).map_err(|_| "it is no envelope")?;
        let charged = stored.charged.iter().map(|text| text.parse::<KeyId>());
        Ok(Waiting {
            environment: received.environment().cloned(),
            place: Place::of(submission.content()),
            envelope: submission.envelope().clone(),
            document: document.into(),
            charged: charged.collect::<Result<_, _>>().map_err(|_| "a keyid")?,
            owner: stored.owner.into(),
            expires: stored.expires,
        })
    }

    fn bytes(&self, id: &Sha256) -> Result<Vec<u8>, &'static str> {
        let unreadable = |_| "it cannot be read";
        let path = self.directory.join(id.to_string());
        let file = self.disk.open(&path).map_err(unreadable)?;
        let length = file.size().map_err(unreadable)?;
        if length > FILE_BYTES_MAX {
            return Err("it is too long");
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        read_exact_at(&*file, &mut bytes, 0).map_err(unreadable)?;
        Ok(bytes)
    }

    /// Writes a proposal, whole or not at all; durable on return.
    pub(super) fn write(&self, id: &Sha256, waiting: &Waiting) -> io::Result<()> {
        let proposal = Proposal {
            charged: waiting.charged.iter().map(ToString::to_string).collect(),
            document: STANDARD.encode(&waiting.document),
            envelope: STANDARD.encode(waiting.envelope.encode()),
            expires: waiting.expires,
            owner: waiting.owner.to_string(),
        };
        let file = File {
            blake3: checksum(&proposal),
            proposal,
            schema: SCHEMA.to_owned(),
        };
        let bytes = serde_json::to_vec(&file).unwrap_or_default();
        let path = self.directory.join(id.to_string());
        let draft = self.directory.join(format!("{id}{DRAFT}"));
        match self.disk.remove(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let written = (|| {
            let file = self.disk.create(&draft)?;
            file.write_at(&Bytes::from(bytes), 0)?;
            file.sync()?;
            self.disk.rename(&draft, &path)?;
            self.disk.sync_dir(&self.directory)
        })();
        if written.is_err() {
            // What is left of it would only take room; a start sweeps it too.
            let _ = self.disk.remove(&draft);
        }
        written
    }

    /// Removes a proposal for good: no crash brings back what was withdrawn.
    pub(super) fn erase(&self, id: &Sha256) -> io::Result<()> {
        match self.disk.remove(&self.directory.join(id.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.disk.sync_dir(&self.directory),
        }
    }

    /// Removes a proposal. A crash may bring it back: it is overtaken then, or it expires.
    pub(super) fn remove(&self, id: &Sha256) {
        match self.disk.remove(&self.directory.join(id.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%id, %error, "a proposal's file was not removed");
            }
            _ => {}
        }
    }
}
