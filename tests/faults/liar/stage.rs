//! What the liar says at the moment: a world, and the lies told of it.

use std::sync::Arc;

use bytes::Bytes;
use cairn_grpc::{hash_list, refusing, v1};
use cairn_proto::{
    entry::Leaf,
    hash::{ContentId, Index, Sha256},
    reason::Reason,
    row::RowName,
    statement::Predicate,
};
use prost::Message;

use super::world::World;

/// Changes an answer.
pub(super) type Change<T> = Arc<dyn Fn(&mut T) + Send + Sync>;
type Twist<T> = Option<Change<T>>;

/// How an answer reaches the client.
#[derive(Debug, Clone, Copy)]
pub(super) enum Delivery {
    /// Nothing ever comes.
    Never,
    /// It ends in the middle, as a broken connection does.
    Broken,
    /// It ends in the middle, in good order.
    Short,
    /// It goes on for ever.
    Endless,
    /// Nothing goes on for ever: parts without bytes.
    EndlessNothing,
    /// It says that it has so many bytes.
    Claims(u32),
}

/// What is changed on the way; by default nothing. The names are those of the calls.
#[derive(Clone, Default)]
pub(super) struct Lies {
    pub(super) lookup: Twist<v1::LookupResponse>,
    pub(super) append: Twist<v1::AppendResponse>,
    pub(super) entry: Twist<v1::GetEntryResponse>,
    pub(super) page: Twist<v1::ListEntriesResponse>,
    pub(super) digest: Twist<v1::FindDigestResponse>,
    pub(super) consistency: Twist<v1::GetConsistencyProofResponse>,
    pub(super) ledger: Twist<v1::GetLedgerResponse>,
    pub(super) content: Twist<Vec<u8>>,
    /// Of the read API: path and bytes; `None` where there is nothing.
    pub(super) file: Twist<(String, Option<Bytes>)>,
    /// The encoded message of a call.
    pub(super) encoded: Twist<(String, Vec<u8>)>,
    /// How answers to calls, or paths, that begin so are delivered.
    pub(super) delivery: Option<(&'static str, Delivery)>,
    /// What is appended stands in the log and not in the map.
    pub(super) hides: bool,
    /// The call that is refused, and why.
    pub(super) refuses: Option<(&'static str, Reason)>,
}

/// What is shown at the moment.
#[derive(Clone)]
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) lies: Lies,
}

/// Setters of the lies, by the names of what they change.
macro_rules! lies {
    ($($name:ident: $answer:ty;)*) => {
        impl Stage {
            $(pub(super) fn $name(&mut self, lie: impl Fn(&mut $answer) + Send + Sync + 'static) {
                self.lies.$name = Some(Arc::new(lie));
            })*
        }
    };
}

lies! {
    lookup: v1::LookupResponse;
    append: v1::AppendResponse;
    entry: v1::GetEntryResponse;
    page: v1::ListEntriesResponse;
    digest: v1::FindDigestResponse;
    consistency: v1::GetConsistencyProofResponse;
    ledger: v1::GetLedgerResponse;
    content: Vec<u8>;
    file: (String, Option<Bytes>);
    encoded: (String, Vec<u8>);
}

impl Stage {
    pub(super) fn delivery(&self, call: &str) -> Option<Delivery> {
        let delivery = self.lies.delivery;
        delivery
            .filter(|(begins, _)| call.starts_with(begins))
            .map(|(_, delivery)| delivery)
    }

    /// The messages that answer a call.
    pub(super) fn answer(
        &mut self,
        call: &str,
        message: Bytes,
    ) -> Result<Vec<Vec<u8>>, tonic::Status> {
        if let Some((refused, reason)) = self.lies.refuses
            && refused == call
        {
            return Err(refusing(reason, "no"));
        }
        let mut messages = match call {
            "GetLedger" => vec![told(self.get_ledger(), self.lies.ledger.as_ref())],
            "Lookup" => {
                let asked = v1::LookupRequest::decode(message).unwrap();
                let answer = self
                    .world
                    .lookup(&asked.environment, &asked.trusted_checkpoint);
                vec![told(answer, self.lies.lookup.as_ref())]
            }
            "Append" => vec![told(self.get_append(message), self.lies.append.as_ref())],
            "StatContent" => vec![v1::StatContentResponse::default().encode_to_vec()],
            "GetEntry" => vec![told(self.get_entry(message), self.lies.entry.as_ref())],
            "ListEntries" => vec![told(self.get_page(message), self.lies.page.as_ref())],
            "FindDigest" => vec![told(self.get_digest(message), self.lies.digest.as_ref())],
            "GetConsistencyProof" => {
                let asked = v1::GetConsistencyProofRequest::decode(message).unwrap();
                let answer = v1::GetConsistencyProofResponse {
                    hashes: hash_list(&self.world.consistency(asked.from, asked.to)),
                    checkpoint: self.world.note(),
                };
                vec![told(answer, self.lies.consistency.as_ref())]
            }
            "GetContent" => self.get_content(message),
            _ => return Err(tonic::Status::unimplemented("not here")),
        };
        if let Some(lie) = &self.lies.encoded {
            for message in &mut messages {
                let mut lied = (call.to_owned(), std::mem::take(message));
                lie(&mut lied);
                *message = lied.1;
            }
        }
        Ok(messages)
    }

    fn get_ledger(&self) -> v1::GetLedgerResponse {
        let trust = &self.world.trust;
        v1::GetLedgerResponse {
            origin: trust.origin().to_string(),
            log_key: trust.log_key().to_string(),
            clock_key: trust.clock_key().to_string(),
            genesis: trust.genesis().as_bytes().to_vec().into(),
            checkpoint: self.world.note(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    fn get_append(&mut self, message: Bytes) -> v1::AppendResponse {
        let asked = v1::AppendRequest::decode(message).unwrap();
        let index = if self.lies.hides {
            let index = self.world.force(&asked.envelope, &asked.document);
            self.world.seal_as(|_| {});
            index
        } else {
            let index = self.world.enter(&asked.envelope, &asked.document);
            self.world.seal();
            index
        };
        let Ok(Leaf::Entry(entry)) = Leaf::decode(&asked.envelope) else {
            panic!("no entry");
        };
        let Predicate::Release(release) = &entry.statement().predicate else {
            panic!("no release");
        };
        self.world
            .receipt(index, &release.environment, &asked.trusted_checkpoint)
    }

    fn get_entry(&self, message: Bytes) -> v1::GetEntryResponse {
        let asked = v1::GetEntryRequest::decode(message).unwrap();
        let index = Index(asked.index);
        v1::GetEntryResponse {
            entry: self.world.leaf(index),
            document: self.world.document(index),
            checkpoint: self.world.note(),
            inclusion: hash_list(&self.world.inclusion(index)),
        }
    }

    fn get_page(&self, message: Bytes) -> v1::ListEntriesResponse {
        let asked = v1::ListEntriesRequest::decode(message).unwrap();
        let listed = self.world.listed(&asked.environment).into_iter();
        let entries = listed.map(|(index, entry)| v1::ListedEntry {
            index: index.0,
            entry,
            inclusion: hash_list(&self.world.inclusion(index)),
        });
        v1::ListEntriesResponse {
            entries: entries.collect(),
            next_page_token: String::new(),
            checkpoint: self.world.note(),
        }
    }

    fn get_digest(&self, message: Bytes) -> v1::FindDigestResponse {
        let asked = v1::FindDigestRequest::decode(message).unwrap();
        let sha256 = Sha256::from_slice(&asked.sha256).unwrap();
        v1::FindDigestResponse {
            checkpoint: self.world.note(),
            consistency: hash_list(&self.world.link(&asked.trusted_checkpoint)),
            digest: Some(self.world.proof(&RowName::Digest(&sha256))),
        }
    }

    /// In parts of four bytes: the contents of a test are small.
    fn get_content(&self, message: Bytes) -> Vec<Vec<u8>> {
        let asked = v1::GetContentRequest::decode(message).unwrap();
        let id = ContentId::from_slice(&asked.content_id).unwrap();
        let mut bytes = self.world.contents[&id].to_vec();
        if let Some(lie) = &self.lies.content {
            lie(&mut bytes);
        }
        let parts = bytes.chunks(4).map(|part| v1::GetContentResponse {
            data: Bytes::copy_from_slice(part),
            size: 0,
        });
        parts.map(|part| part.encode_to_vec()).collect()
    }
}

fn told<T: Message>(mut answer: T, lie: Option<&Change<T>>) -> Vec<u8> {
    if let Some(lie) = lie {
        lie(&mut answer);
    }
    answer.encode_to_vec()
}
