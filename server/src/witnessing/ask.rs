//! One witness: a checkpoint is put to it, from the size that it cosigned last.

use std::sync::Arc;

use bytes::Bytes;
use cairn_proto::{
    checkpoint::Checkpoint,
    hash::TreeSize,
    note::VerifierKey,
    witness::{Answer, Submission, answered},
};

use super::{Post, WitnessPeer};
use crate::{
    clock::now,
    ledger::{Head, Ledger},
};

/// Submissions of one checkpoint: what is believed of the witness's size may be old.
const TRIES: usize = 3;

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// A line for the note.
    Cosigned { line: String },
    /// It cosigned a larger tree than the one put to it.
    Ahead(TreeSize),
    /// It cosigned another history.
    Contradicts,
    /// It is not to be asked again soon.
    Busy,
    /// No use, and why.
    Nothing(String),
}

/// A witness, and what is known of it.
pub(super) struct Peer {
    who: WitnessPeer,
    post: Arc<dyn Post>,
    /// What it cosigned last, as far as is known: 0 has it say so.
    old: TreeSize,
}

impl Peer {
    pub(super) fn new(who: WitnessPeer, post: Arc<dyn Post>) -> Self {
        Self {
            who,
            post,
            old: TreeSize(0),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.who.key.name()
    }

    pub(super) fn key(&self) -> &VerifierKey {
        &self.who.key
    }

    /// Puts a head to it.
    pub(super) async fn ask(&mut self, ledger: &Ledger, head: &Head) -> Asked {
        for _ in 0..TRIES {
            if self.old > head.size() {
                // Its word for now: next time it is asked again.
                return Asked::Ahead(std::mem::take(&mut self.old));
            }
            match self.submit(ledger, head).await {
                Ok(Answer::Cosigned { line, .. }) => {
                    self.old = head.size();
                    return Asked::Cosigned { line };
                }
                // The same size with another root is a conflict, too.
                Ok(Answer::From(size)) if size == self.old => {
                    return if size == head.size() {
                        Asked::Contradicts
                    } else {
                        Asked::Nothing("it names the size that it does not take".into())
                    };
                }
                Ok(Answer::From(size)) => self.old = size,
                Ok(Answer::Contradicts) => return Asked::Contradicts,
                Ok(Answer::Busy) => return Asked::Busy,
                Ok(Answer::Useless(why)) => return Asked::Nothing(why.into()),
                Err(why) => return Asked::Nothing(why),
            }
        }
        Asked::Nothing("it names one size after the other".into())
    }

    async fn submit(&self, ledger: &Ledger, head: &Head) -> Result<Answer, String> {
        let proof = ledger.consistency_of(self.old, head);
        let submission = Submission {
            old: self.old,
            proof: proof.ok_or("no proof could be made for it")?,
            note: head.note.to_vec(),
        };
        let url = format!("{}/add-checkpoint", self.who.url.trim_end_matches('/'));
        let body = Bytes::from(submission.encode());
        let (status, body) = self.post.post(url, body).await?;
        let text = Checkpoint::text(&head.checkpoint);
        Ok(answered(status, &body, &text, &self.who.key, now()))
    }
}
