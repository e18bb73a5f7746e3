//! Who cosigned the newest checkpoint, and what a witness says of it when it is asked directly.

use std::time::Duration;

use bytes::Bytes;
use cairn_proto::{
    checkpoint::{SignedCheckpoint, TrustedCheckpoint},
    hash::{Index, TreeSize},
    name::Environment,
    note::VerifierKey,
    trust::Cosigners,
    witness::{Answer, Submission, answered},
};

use super::Ledger;
use crate::{connect::Poster, error::ClientError};

/// How often is looked for witnesses to have cosigned.
const LOOK: Duration = Duration::from_millis(200);
/// Submissions to a witness that is asked: the first has it say where it stands.
const TRIES: usize = 3;

/// Somebody who is pinned, and when they cosigned (Unix seconds), if they did.
pub type Cosignature = (VerifierKey, Option<u64>);

/// The newest checkpoint, linked to what was seen, and who cosigned it.
#[derive(Debug, Clone)]
pub struct Vouched {
    /// The checkpoint.
    pub checkpoint: TrustedCheckpoint,
    /// Pinned auditors.
    pub auditors: Vec<Cosignature>,
    /// Pinned witnesses.
    pub witnesses: Vec<Cosignature>,
}

/// What a witness says of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// It is, or extends, what the witness saw: it cosigned it at this time, Unix seconds.
    Agrees(u64),
    /// It saw a larger tree.
    Ahead(TreeSize),
    /// It saw another history. No proof of that: its word.
    Contradicts,
    /// Nothing that helps, and why.
    Nothing(String),
}

/// A release under a checkpoint that enough witnesses cosigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Witnessed {
    /// Leaves of the checkpoint.
    pub size: TreeSize,
    /// Pinned witnesses that cosigned it.
    pub cosigned: usize,
    /// How many must have.
    pub needed: usize,
}

impl Ledger {
    /// Fetches the newest checkpoint, links it, remembers it, and says who cosigned it.
    pub async fn vouchers(&self) -> Result<Vouched, ClientError> {
        let note = self.connection().read_api().checkpoint().await?;
        let held = self.held().load()?;
        let checkpoint = self.trusted_unasked(held.as_ref(), &note).await?;
        Self::current(&checkpoint)?;
        self.remember(held.as_ref(), &checkpoint, None, 0).await?;
        let signed = SignedCheckpoint::parse(&note)?;
        let of = |cosigners: &Cosigners| {
            let keys = cosigners.keys().iter();
            keys.map(|key| Ok((key.clone(), signed.cosigned_by(key)?)))
                .collect::<Result<_, ClientError>>()
        };
        Ok(Vouched {
            auditors: of(self.trust().auditors())?,
            witnesses: of(self.trust().witnesses())?,
            checkpoint,
        })
    }

    /// Puts a checkpoint to whoever answers at `url`; what is said counts only if a pinned
    /// witness signed it, or as a reason to look closer.
    pub async fn ask_witness(
        &self,
        poster: &Poster,
        url: &str,
        checkpoint: &TrustedCheckpoint,
    ) -> Result<Said, ClientError> {
        let head = checkpoint.head();
        let text = SignedCheckpoint::parse(head.bytes())?;
        let url = format!("{}/add-checkpoint", url.trim_end_matches('/'));
        let mut old = TreeSize(0);
        for _ in 0..TRIES {
            let submission = Submission {
                old,
                proof: self.consistency(old.0, head.size().0).await?,
                note: head.bytes().to_vec(),
            };
            let body = Bytes::from(submission.encode());
            let (status, body) = match poster.post(&url, body).await {
                Ok(answer) => answer,
                Err(why) => return Ok(Said::Nothing(why)),
            };
            let mut useless = "no witness is pinned";
            for key in self.trust().witnesses().keys() {
                match answered(status, &body, text.text(), key, self.now()) {
                    Answer::Cosigned { time, .. } => return Ok(Said::Agrees(time)),
                    Answer::Contradicts => return Ok(Said::Contradicts),
                    Answer::From(size) if size > head.size() => return Ok(Said::Ahead(size)),
                    Answer::From(size) if size == old && size == head.size() => {
                        return Ok(Said::Contradicts);
                    }
                    Answer::From(size) => {
                        old = size;
                        break;
                    }
                    Answer::Busy => return Ok(Said::Nothing("it is busy".to_owned())),
                    Answer::Useless(why) => useless = why,
                }
            }
            if status != 409 {
                return Ok(Said::Nothing(useless.to_owned()));
            }
        }
        let why = "it names one size after the other";
        Ok(Said::Nothing(why.to_owned()))
    }

    /// Waits until enough witnesses cosigned a checkpoint that has the entry at an index.
    pub async fn witnessed(
        &self,
        environment: &Environment,
        index: Index,
        patience: Duration,
    ) -> Result<Witnessed, ClientError> {
        let end = tokio::time::Instant::now() + patience;
        let mut asked = self.trust().witnesses().quorum();
        loop {
            // Auditors take minutes; they are not what is waited for.
            let nobody = Cosigners::default();
            let looked = self.lookup_cosigned(environment, (asked, &nobody)).await?;
            let head = looked.checkpoint.head();
            let terms = looked.current.terms();
            let Some((cosigned, needed)) = head.witnesses(terms.witnesses) else {
                return Err(ClientError::Usage {
                    why: "no witnesses are pinned, so none can be waited for: `cairn trust add \
                          URL --witness VKEY`"
                        .to_owned(),
                });
            };
            asked = needed.min(self.trust().witnesses().keys().len());
            let covers = head.size().0 > index.0;
            if covers && cosigned >= needed {
                return Ok(Witnessed {
                    size: head.size(),
                    cosigned,
                    needed,
                });
            }
            if tokio::time::Instant::now() >= end {
                // Cosignatures of a checkpoint without the entry say nothing of it.
                let found = if covers { cosigned } else { 0 };
                return Err(ClientError::TooFewWitnesses { found, needed });
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
