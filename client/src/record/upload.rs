//! Sending content that the ledger lacks, in parts, from where the last try stopped.
//!
//! Invariant: a content is completed only if its bytes still hash to what was measured
//! ([`crate::sources::HashingReader`] withholds the end otherwise); memory is bounded by
//! the parts in flight.

use std::{
    io::{self, Read as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use cairn_grpc::v1;
use cairn_proto::{name::Environment, reason::Reason};
use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::{
    error::ClientError,
    ledger::Ledger,
    sources::{Content, ContentSource, SourceError},
};

/// Bytes of a part.
const PART_BYTES: usize = 512 << 10;
/// Parts in flight between the disk and the network.
const PARTS: usize = 8;
/// Bytes of parts that are handed on together. One small file after another would be a frame
/// each, and HTTP/2 servers end a connection that sends many tiny frames.
const BATCH_BYTES: usize = 64 << 10;
/// What a part takes beside its bytes.
const PART_HEAD_BYTES: usize = 64;
/// Contents asked after in one call.
const IDS_MAX: usize = 10_000;
/// Times that an upload is continued after the connection broke, without having come further.
const TRIES: usize = 4;
/// Bytes that count as further: a break after fewer costs a try.
const PROGRESS_BYTES: u64 = 8 << 20;

/// Is told how an upload goes on.
pub trait UploadProgress: Sync {
    /// So many contents and bytes are to be sent.
    fn upload_planned(&self, _contents: usize, _bytes: u64) {}
    /// So many bytes of them were handed to the network.
    fn upload_sent(&self, _bytes: u64) {}
}

impl UploadProgress for () {}

/// What was sent beside an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Contents.
    pub contents: usize,
    /// Bytes of them.
    pub bytes: u64,
}

/// A content, and how much of it the server keeps already.
#[derive(Clone)]
struct Missing {
    content: Content,
    staged: u64,
}

impl Ledger {
    pub(super) async fn upload(
        &self,
        environment: &Environment,
        contents: &[Content],
        progress: &dyn UploadProgress,
    ) -> Result<Sent, ClientError> {
        let mut missing = self.missing(environment, contents).await?;
        let mut sent = Sent::default();
        let mut tries = 0;
        let mut before = (usize::MAX, u64::MAX);
        while !missing.is_empty() {
            let bytes = missing.iter().map(|it| it.content.size - it.staged).sum();
            // What broke a connection that had moved something may not break the next one.
            let count = missing.len();
            if count < before.0 || bytes < before.1.saturating_sub(PROGRESS_BYTES) {
                (tries, before) = (0, (count, bytes));
            }
            progress.upload_planned(count, bytes);
            match self.send(missing, progress).await {
                Ok(()) => {
                    sent.contents += count;
                    sent.bytes += bytes;
                    return Ok(sent);
                }
                Err(error) if may_continue(&error) && tries < TRIES => tries += 1,
                Err(error) => return Err(error),
            }
            missing = self.look_again(environment, contents, &mut tries).await?;
        }
        Ok(sent)
    }

    /// What is missing still, of a server that may be starting again.
    async fn look_again(
        &self,
        environment: &Environment,
        contents: &[Content],
        tries: &mut usize,
    ) -> Result<Vec<Missing>, ClientError> {
        loop {
            match self.missing(environment, contents).await {
                Err(error) if error.may_pass() && *tries < TRIES => *tries += 1,
                looked => return looked,
            }
        }
    }

    async fn missing(
        &self,
        environment: &Environment,
        contents: &[Content],
    ) -> Result<Vec<Missing>, ClientError> {
        let mut missing = Vec::new();
        for some in contents.chunks(IDS_MAX) {
            let ids = some
                .iter()
                .map(|content| content.id.as_bytes().to_vec().into());
            let request = v1::StatContentRequest {
                content_ids: ids.collect(),
                environment: environment.to_string(),
            };
            let answer = self.connection().stat_content(request).await?;
            let is_erased = |content: &&Content| {
                let mut erased = answer.erased.iter();
                erased.any(|it| it.content_id == content.id.as_bytes().as_slice())
            };
            if let Some(content) = some.iter().find(is_erased) {
                return Err(self.why_erased(&content.id, &name_of(content)).await);
            }
            for lacking in &answer.missing {
                // Only what was asked for is ever sent, whatever the answer names.
                let position = some.binary_search_by(|content| {
                    content.id.as_bytes().as_slice().cmp(&lacking.content_id)
                });
                if let Some(content) = position.ok().and_then(|at| some.get(at)) {
                    missing.push(Missing {
                        staged: resume_at(content, lacking.staged_bytes),
                        content: content.clone(),
                    });
                }
            }
        }
        Ok(missing)
    }

    async fn send(
        &self,
        missing: Vec<Missing>,
        progress: &dyn UploadProgress,
    ) -> Result<(), ClientError> {
        let (parts, receiver) = mpsc::channel(PARTS);
        let moved = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&moved);
        let reader = tokio::task::spawn_blocking(move || read_all(&missing, &parts, &counter));
        let parts = ReceiverStream::new(receiver).flat_map(stream::iter);
        let put = self.connection().put_content(parts);
        tokio::pin!(put);
        let mut reported = 0;
        let mut quiet = tokio::time::Instant::now();
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(100));
        let answer = loop {
            tokio::select! {
                answer = &mut put => break answer,
                _ = tick.tick() => {
                    let now = moved.load(Ordering::Relaxed);
                    if now > reported {
                        progress.upload_sent(now - reported);
                        (reported, quiet) = (now, tokio::time::Instant::now());
                    } else if quiet.elapsed() > self.connection().patience() {
                        break Err(self.connection().unreachable("the upload stalled"));
                    }
                }
            }
        };
        progress.upload_sent(moved.load(Ordering::Relaxed) - reported);
        if answer.is_err() {
            // The receiver is gone with `put`: a reader that waits for it ends.
            return match tokio::time::timeout(self.connection().patience(), reader).await {
                Ok(Ok(Err(error))) => Err(error.into()),
                _ => answer.map(|_| ()),
            };
        }
        match reader.await {
            Ok(Ok(())) => Ok(()),
            // A file that changed: the server was left with an unfinished upload.
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(self.connection().unreachable("the upload was abandoned")),
        }
    }
}

/// Whether another look at what the server keeps, and another try, may help: it did not
/// answer, or somebody else sends the same content.
fn may_continue(error: &ClientError) -> bool {
    error.may_pass() || error.reason() == Some(Reason::ContentOffset)
}

/// Where to continue; from the start if the server claims to keep all of it and still
/// calls it missing.
fn resume_at(content: &Content, staged: u64) -> u64 {
    if staged < content.size { staged } else { 0 }
}

/// Reads and sends all parts; ends early, without an error, if nobody listens any more.
fn read_all(
    missing: &[Missing],
    parts: &mpsc::Sender<Vec<v1::PutContentRequest>>,
    moved: &AtomicU64,
) -> Result<(), SourceError> {
    let mut batch = Vec::new();
    let mut gathered = 0;
    for Missing { content, staged } in missing {
        let mut reader = content.open(*staged)?;
        let mut offset = *staged;
        let mut first = true;
        while reader.left() > 0 {
            let mut part =
                vec![0; PART_BYTES.min(usize::try_from(reader.left()).unwrap_or(PART_BYTES))];
            reader
                .read_exact(&mut part)
                .map_err(|error| read_error(content, error))?;
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            let id = if first {
                content.id.as_bytes().to_vec()
            } else {
                Vec::new()
            };
            let request = v1::PutContentRequest {
                content_id: id.into(),
                offset,
                data: Bytes::from(part),
                last: reader.left() == 0,
            };
            gathered += request.data.len() + PART_HEAD_BYTES;
            batch.push(request);
            moved.fetch_add(length, Ordering::Relaxed);
            if gathered >= BATCH_BYTES {
                gathered = 0;
                if parts.blocking_send(std::mem::take(&mut batch)).is_err() {
                    return Ok(());
                }
            }
            offset = offset.saturating_add(length);
            first = false;
        }
    }
    // Nobody listens any more: the answer says why.
    let _ = parts.blocking_send(batch);
    Ok(())
}

/// What a content is called in messages.
fn name_of(content: &Content) -> String {
    match &content.source {
        ContentSource::File(file) => {
            let path = file.path();
            crate::detail::printable_bytes(path.as_os_str().as_encoded_bytes())
        }
        ContentSource::Bytes(_) => content.id.to_string(),
    }
}

fn read_error(content: &Content, error: io::Error) -> SourceError {
    let path = name_of(content);
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => SourceError::Changed { path },
        _ => SourceError::Unreadable { path, error },
    }
}
