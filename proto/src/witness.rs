//! What a witness says to a checkpoint that it is shown, and what a log makes of the answer:
//! C2SP tlog-witness, without the HTTP. SPEC.md section 6.1.
//!
//! A witness serves any log, not only ones of this protocol: origins are opaque lines here, and
//! extension lines are taken for what they are, signed and otherwise ignored.
//!
//! Invariant: [`consider`] is the only way to an [`Accepted`], and an `Accepted` extends what the
//! caller said it cosigned last. Out of scope: keeping that, which must be durable before a line
//! is made of an `Accepted`, and atomic with the check.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use thiserror::Error;

use crate::{
    hash::{NodeHash, RootHash, TreeSize},
    key::{SignError, Signer},
    limits::{FUTURE_SECONDS_MAX, NOTE_BYTES_MAX},
    merkle::{Frontier, verify_consistency},
    note::{Note, NoteError, Signed, VerifierKey, cosign_line},
};

/// Hashes that a submission may carry (tlog-witness).
pub const WITNESS_PROOF_MAX: usize = 63;
/// Bytes of a submission: the proof's lines and the largest note.
pub const SUBMISSION_BYTES_MAX: usize = 64 + 45 * WITNESS_PROOF_MAX + NOTE_BYTES_MAX;
/// Bytes of an answer that a log reads: some cosignatures, or a size.
pub const ANSWER_BYTES_MAX: usize = 16 << 10;

/// The head of some log, as a witness sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Number of leaves.
    pub size: TreeSize,
    /// Root over them.
    pub root: RootHash,
}

/// What is put to a witness: `POST <prefix>/add-checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Size of the checkpoint that the witness cosigned last.
    pub old: TreeSize,
    /// Consistency from there.
    pub proof: Vec<NodeHash>,
    /// The checkpoint, a signed note.
    pub note: Vec<u8>,
}

impl Submission {
    /// The request's body.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = format!("old {}\n", self.old).into_bytes();
        for hash in &self.proof {
            body.extend_from_slice(STANDARD.encode(hash.as_bytes()).as_bytes());
            body.push(b'\n');
        }
        body.push(b'\n');
        body.extend_from_slice(&self.note);
        body
    }

    /// Reads a request's body.
    pub fn decode(body: &[u8]) -> Result<Self, Refused> {
        let whole = str::from_utf8(body).map_err(|_| Refused::Malformed)?;
        let (head, note) = whole.split_once("\n\n").ok_or(Refused::Malformed)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old "));
        let old = old.and_then(decimal).ok_or(Refused::Malformed)?;
        let proof = lines.map(|line| {
            let bytes = STANDARD.decode(line).ok()?;
            NodeHash::from_slice(&bytes)
        });
        let proof: Vec<_> = proof.collect::<Option<_>>().ok_or(Refused::Malformed)?;
        if proof.len() > WITNESS_PROOF_MAX {
            return Err(Refused::Malformed);
        }
        Ok(Self {
            old,
            proof,
            note: note.as_bytes().to_vec(),
        })
    }
}

/// A number in its one spelling.
fn decimal(text: &str) -> Option<TreeSize> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(TreeSize(number))
}

/// A log that a witness knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessedLog {
    /// The first line of its checkpoints.
    pub origin: String,
    /// Keys of which one must have signed.
    pub keys: Vec<VerifierKey>,
}

/// Why a witness does not cosign. Each is an HTTP status of tlog-witness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refused {
    /// 400: not of the form, or the old size lies above the checkpoint's.
    #[error("the request is malformed")]
    Malformed,
    /// 404: no log of that origin.
    #[error("no log of that origin is known here")]
    UnknownOrigin,
    /// 403: no key that is trusted for the origin signed it.
    #[error("no key that is trusted for that origin signed the checkpoint")]
    NotSigned,
    /// 409: another checkpoint was cosigned last.
    #[error("the checkpoint cosigned last has {latest} leaves")]
    Conflict {
        /// Its size; 0 where there was none.
        latest: TreeSize,
    },
    /// 422: the proof does not link the two.
    #[error("the proof does not show that the checkpoint extends the one cosigned last")]
    Unproven,
}

impl Refused {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::NotSigned => 403,
            Self::UnknownOrigin => 404,
            Self::Conflict { .. } => 409,
            Self::Unproven => 422,
        }
    }
}

/// A checkpoint that may be cosigned once it is durable that it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    origin: String,
    text: String,
    head: Head,
}

impl Accepted {
    /// Whose it is.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What is cosigned last from now on.
    pub fn head(&self) -> Head {
        self.head
    }

    /// The answer: one cosignature line at `time`, Unix seconds.
    pub fn cosign(&self, name: &str, time: u64, key: &dyn Signer) -> Result<String, SignError> {
        cosign_line(name, &self.text, time, key)
    }
}

/// Size and root of a checkpoint's text, and its origin.
fn read(text: &str) -> Option<(&str, Head)> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    let origin = lines.next().filter(|origin| !origin.is_empty())?;
    let size = decimal(lines.next()?)?;
    let encoded = lines.next()?;
    let root = RootHash::from_slice(&STANDARD.decode(encoded).ok()?)?;
    // Extension lines are never empty.
    lines
        .all(|line| !line.is_empty())
        .then_some((origin, Head { size, root }))
}

/// What a witness answers that knows `logs`, and of each the head it cosigned last.
pub fn consider(
    submission: &Submission,
    logs: &[WitnessedLog],
    latest: impl FnOnce(&str) -> Option<Head>,
) -> Result<Accepted, Refused> {
    let note = Note::parse(&submission.note).map_err(|_| Refused::Malformed)?;
    let (origin, head) = read(note.text()).ok_or(Refused::Malformed)?;
    let log = logs.iter().find(|log| log.origin == origin);
    let log = log.ok_or(Refused::UnknownOrigin)?;
    let signed = |key| matches!(note.signature_by(key), Ok(Some(_)));
    if !log.keys.iter().any(signed) {
        return Err(Refused::NotSigned);
    }
    if submission.old > head.size {
        return Err(Refused::Malformed);
    }
    let known = latest(origin).unwrap_or(Head {
        size: TreeSize(0),
        root: Frontier::default().root(),
    });
    let conflict = Refused::Conflict { latest: known.size };
    if submission.old != known.size {
        return Err(conflict);
    }
    if head.size == known.size && head.root != known.root {
        return Err(conflict);
    }
    linked(&known, &head, &submission.proof)?;
    Ok(Accepted {
        origin: origin.to_owned(),
        text: note.text().to_owned(),
        head,
    })
}

fn linked(known: &Head, head: &Head, proof: &[NodeHash]) -> Result<(), Refused> {
    if known.size.0 == 0 || known.size == head.size {
        return proof.is_empty().then_some(()).ok_or(Refused::Unproven);
    }
    verify_consistency(known.size, head.size, proof, &known.root, &head.root)
        .map_err(|_| Refused::Unproven)
}

/// What a log makes of a witness's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The witness cosigned: its line, as it belongs into the note.
    Cosigned {
        /// The line, with its newline.
        line: String,
        /// When, Unix seconds.
        time: u64,
    },
    /// It cosigned another size last: try again from there.
    From(TreeSize),
    /// It says that the proof does not link: it saw another history.
    Contradicts,
    /// It wants to be left alone for a while.
    Busy,
    /// Anything else: not of the protocol, not by the key, from the future.
    Useless(&'static str),
}

/// Reads the answer to a submission of a checkpoint with this text. Only `key` counts; what else
/// is in the body is passed over. `now` is Unix seconds.
pub fn answered(status: u16, body: &[u8], text: &str, key: &VerifierKey, now: u64) -> Answer {
    let body = body.get(..ANSWER_BYTES_MAX).unwrap_or(body);
    match status {
        200 => cosigned(body, text, key, now),
        // Some witnesses leave out the content type, or the newline.
        409 => match str::from_utf8(body).ok().map(str::trim).and_then(decimal) {
            Some(size) => Answer::From(size),
            None => Answer::Useless("a conflict that names no size"),
        },
        422 => Answer::Contradicts,
        429 | 503 => Answer::Busy,
        400 => Answer::Useless("it takes the request for malformed"),
        403 => Answer::Useless("it does not trust the log's key"),
        404 => Answer::Useless("it does not know the log"),
        _ => Answer::Useless("a status that is not of the protocol"),
    }
}

fn cosigned(body: &[u8], text: &str, key: &VerifierKey, now: u64) -> Answer {
    let mut wrong = "no cosignature by its key";
    // Each line alone: one that is no line, or no text, must not hide the others.
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        let Some(line) = str::from_utf8(line).ok().filter(|it| it.ends_with('\n')) else {
            continue;
        };
        let note = format!("{text}\n{line}");
        let Ok(note) = Note::parse(note.as_bytes()) else {
            continue;
        };
        match note.signature_by(key) {
            Ok(Some(Signed::At(time))) if time > now.saturating_add(FUTURE_SECONDS_MAX) => {
                wrong = "a cosignature from the future";
            }
            Ok(Some(Signed::At(time))) => {
                return Answer::Cosigned {
                    line: line.to_owned(),
                    time,
                };
            }
            Err(NoteError::Signature) => wrong = "a cosignature that does not verify",
            _ => {}
        }
    }
    Answer::Useless(wrong)
}
