//! C2SP signed notes and verifier keys. SPEC.md section 6.
//!
//! A [`Note`] is parsed and unproven; [`Note::signature_by`] is the only way to learn that a
//! key signed it.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::{
    key::{PublicKey, SignError, Signer},
    limits::{NOTE_BYTES_MAX, NOTE_LINES_MAX},
    reason::Reason,
};

/// What a key of a note signs, by C2SP's type byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureType {
    /// 0x01: Ed25519 over the note's text.
    Ed25519,
    /// 0x04: Ed25519 over a time and the note's text.
    Cosignature,
}

impl SignatureType {
    const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }
}

/// A named key: `<name>+<id>+<base64(type || key)>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    kind: SignatureType,
    key: PublicKey,
}

/// Text that is not a verifier key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a verifier key of the form name+id+key")]
pub struct VkeyError;

impl VkeyError {
    /// The stable code.
    pub fn reason(self) -> Reason {
        Reason::VkeySyntax
    }
}

impl VerifierKey {
    /// Names a key; the name is 1 to 255 printable ASCII characters without space or `+`.
    pub fn new(name: &str, kind: SignatureType, key: PublicKey) -> Result<Self, VkeyError> {
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'+';
        if !(1..=255).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(VkeyError);
        }
        Ok(Self {
            name: name.to_owned(),
            kind,
            key,
        })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    pub fn kind(&self) -> SignatureType {
        self.kind
    }

    /// The key itself.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// First 4 bytes of `SHA-256(name || LF || type || key)`.
    pub fn id(&self) -> [u8; 4] {
        let mut hasher = Sha256::new();
        hasher.update(self.name.as_bytes());
        hasher.update([b'\n', self.kind.byte()]);
        hasher.update(self.key.as_bytes());
        let [a, b, c, d, ..]: [u8; 32] = hasher.finalize().into();
        [a, b, c, d]
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = vec![self.kind.byte()];
        typed.extend_from_slice(self.key.as_bytes());
        let id = hex::encode(self.id());
        write!(out, "{}+{id}+{}", self.name, STANDARD.encode(typed))
    }
}

impl FromStr for VerifierKey {
    type Err = VkeyError;

    fn from_str(text: &str) -> Result<Self, VkeyError> {
        let (name, rest) = text.split_once('+').ok_or(VkeyError)?;
        let (_, encoded) = rest.split_once('+').ok_or(VkeyError)?;
        let typed = STANDARD.decode(encoded).map_err(|_| VkeyError)?;
        let (kind, key) = match typed.split_first() {
            Some((0x01, key)) => (SignatureType::Ed25519, key),
            Some((0x04, key)) => (SignatureType::Cosignature, key),
            _ => return Err(VkeyError),
        };
        let key = <&[u8; 32]>::try_from(key).map_err(|_| VkeyError)?;
        let key = PublicKey::parse(key).map_err(|_| VkeyError)?;
        let vkey = Self::new(name, kind, key)?;
        // The id must fit, and there is one spelling.
        if vkey.to_string() == text {
            Ok(vkey)
        } else {
            Err(VkeyError)
        }
    }
}

/// Why bytes are no note, or a signature on it does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Not a note.
    #[error("not a signed note")]
    Syntax,
    /// A line with a known name and id does not verify.
    #[error("a signature by a known key does not verify")]
    Signature,
}

impl NoteError {
    /// The stable code.
    pub fn reason(self) -> Reason {
        match self {
            Self::Syntax => Reason::NoteSyntax,
            Self::Signature => Reason::NoteSignature,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    name: String,
    id: [u8; 4],
    signature: Vec<u8>,
}

/// Text and signature lines; nothing is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    lines: Vec<Line>,
}

/// What a line by a known key said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// The key signed the text.
    Plain,
    /// The key signed the text together with this time, Unix seconds.
    At(u64),
}

impl Note {
    /// Parses a note; at most [`NOTE_BYTES_MAX`] bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(NoteError::Syntax);
        }
        let whole = str::from_utf8(bytes).map_err(|_| NoteError::Syntax)?;
        if whole
            .chars()
            .any(|character| character < ' ' && character != '\n')
        {
            return Err(NoteError::Syntax);
        }
        let (text, block) = whole.rsplit_once("\n\n").ok_or(NoteError::Syntax)?;
        let block = block.strip_suffix('\n').ok_or(NoteError::Syntax)?;
        let lines = block
            .split('\n')
            .map(parse_line)
            .collect::<Option<Vec<_>>>()
            .filter(|lines| lines.len() <= NOTE_LINES_MAX)
            .ok_or(NoteError::Syntax)?;
        Ok(Self {
            text: format!("{text}\n"),
            lines,
        })
    }

    /// The signed text, ending in a newline.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What `key` signed. `None`: it has no line. Every line of it must verify; of several
    /// cosignatures the newest counts.
    pub fn signature_by(&self, key: &VerifierKey) -> Result<Option<Signed>, NoteError> {
        let id = key.id();
        let mut newest = None;
        for line in &self.lines {
            if line.name != key.name || line.id != id {
                continue;
            }
            let signed = verify_line(key, &self.text, &line.signature)?;
            newest = match (newest, signed) {
                (Some(Signed::At(known)), Signed::At(time)) => Some(Signed::At(known.max(time))),
                (_, signed) => Some(signed),
            };
        }
        Ok(newest)
    }
}

fn parse_line(line: &str) -> Option<Line> {
    let (name, encoded) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
    let plain = |character: char| !character.is_whitespace() && character != '+';
    if name.is_empty() || !name.chars().all(plain) {
        return None;
    }
    let blob = STANDARD.decode(encoded).ok()?;
    let (id, signature) = blob.split_first_chunk::<4>()?;
    (!signature.is_empty()).then(|| Line {
        name: name.to_owned(),
        id: *id,
        signature: signature.to_vec(),
    })
}

fn verify_line(key: &VerifierKey, text: &str, blob: &[u8]) -> Result<Signed, NoteError> {
    let verify = |message: &[u8], signature: &[u8]| {
        let signature = <&[u8; 64]>::try_from(signature).map_err(|_| NoteError::Signature)?;
        key.key
            .verify(message, signature)
            .map_err(|_| NoteError::Signature)
    };
    match key.kind {
        SignatureType::Ed25519 => {
            verify(text.as_bytes(), blob)?;
            Ok(Signed::Plain)
        }
        SignatureType::Cosignature => {
            let (time, signature) = blob.split_first_chunk::<8>().ok_or(NoteError::Signature)?;
            let time = u64::from_be_bytes(*time);
            verify(cosigned_message(time, text).as_bytes(), signature)?;
            Ok(Signed::At(time))
        }
    }
}

fn cosigned_message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// One signature line by an Ed25519 key over `text`.
pub fn sign_line(name: &str, text: &str, signer: &dyn Signer) -> Result<String, SignError> {
    let signature = signer.sign(text.as_bytes())?;
    line(name, SignatureType::Ed25519, signer, &signature)
}

/// One cosignature line over `text` at `time`, Unix seconds.
pub fn cosign_line(
    name: &str,
    text: &str,
    time: u64,
    signer: &dyn Signer,
) -> Result<String, SignError> {
    let signature = signer.sign(cosigned_message(time, text).as_bytes())?;
    let mut blob = time.to_be_bytes().to_vec();
    blob.extend_from_slice(&signature);
    line(name, SignatureType::Cosignature, signer, &blob)
}

fn line(
    name: &str,
    kind: SignatureType,
    signer: &dyn Signer,
    blob: &[u8],
) -> Result<String, SignError> {
    let key = VerifierKey::new(name, kind, signer.public_key())
        .map_err(|error| SignError(error.to_string()))?;
    let mut bytes = key.id().to_vec();
    bytes.extend_from_slice(blob);
    Ok(format!("\u{2014} {name} {}\n", STANDARD.encode(bytes)))
}
