//! Keys in an ssh-agent: the private half stays there. Two messages of the agent protocol
//! (draft-ietf-sshm-ssh-agent): which keys are there, and sign this.
//!
//! Invariant: a signature that comes back was verified with the key that was asked for, so
//! whatever an agent answers can only fail; an answer is bounded before it is read.
//! Out of scope: keys of other kinds, certificates (a certificate's key signs under its own
//! fingerprint), adding keys.

use std::{
    io::{self, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use cairn_proto::{
    hash::Sha256,
    key::{PublicKey, SignError, Signer},
};

use super::KeyError;

/// How long an agent may take: a person may have to touch a token or confirm.
const PATIENCE: Duration = Duration::from_mins(2);
/// Bytes of a message: what OpenSSH's agent sends and takes at the most.
const MESSAGE_BYTES_MAX: usize = 256 << 10;

const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
const ED25519: &[u8] = b"ssh-ed25519";

/// A key that an agent holds. A connection lasts for one request.
pub(super) struct AgentSigner {
    socket: PathBuf,
    /// The public key as SSH spells it.
    blob: Vec<u8>,
    public_key: PublicKey,
}

impl AgentSigner {
    /// Finds the Ed25519 key of a fingerprint as `ssh-add -l` prints it.
    pub(super) fn open(socket: &Path, fingerprint: &str) -> Result<Self, KeyError> {
        let answer = ask(socket, IDENTITIES_ANSWER, &[REQUEST_IDENTITIES]);
        let answer = answer.map_err(|error| KeyError::Agent {
            why: error.to_string(),
        })?;
        let blobs = identities(&answer).ok_or_else(|| KeyError::Agent {
            why: "its list of keys makes no sense".into(),
        })?;
        let asked_for = |blob: &&[u8]| {
            let hash = STANDARD_NO_PAD.encode(Sha256::of(blob).0);
            fingerprint.strip_prefix("SHA256:") == Some(&hash)
        };
        let Some(blob) = blobs.into_iter().find(asked_for) else {
            return Err(KeyError::NotInAgent {
                fingerprint: fingerprint.to_owned(),
            });
        };
        let bytes = ed25519(blob).ok_or(KeyError::NotEd25519)?;
        Ok(Self {
            socket: socket.to_owned(),
            blob: blob.to_vec(),
            public_key: PublicKey::parse(&bytes).map_err(|_| KeyError::Weak)?,
        })
    }
}

impl Signer for AgentSigner {
    fn public_key(&self) -> PublicKey {
        self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let failed = |why: &str| SignError(format!("ssh-agent: {why}"));
        let mut request = vec![SIGN_REQUEST];
        push_string(&mut request, &self.blob);
        push_string(&mut request, message);
        request.extend_from_slice(&[0; 4]); // No flags.
        let answer = ask(&self.socket, SIGN_RESPONSE, &request);
        let answer = answer.map_err(|error| failed(&error.to_string()))?;
        let mut answer = answer.as_slice();
        let signature = take_string(&mut answer)
            .and_then(ed25519)
            .ok_or_else(|| failed("its answer is no Ed25519 signature"))?;
        self.public_key
            .verify(message, &signature)
            .map_err(|_| failed("the signature does not verify"))?;
        Ok(signature)
    }
}

/// Sends a request, and returns what comes after the type of the answer.
fn ask(socket: &Path, expected: u8, request: &[u8]) -> io::Result<Vec<u8>> {
    let too_long = || io::Error::new(io::ErrorKind::InvalidData, "a message is too long");
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let length = u32::try_from(request.len()).map_err(|_| too_long())?;
    stream.write_all(&length.to_be_bytes())?;
    stream.write_all(request)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length))
        .ok()
        .filter(|length| (1..=MESSAGE_BYTES_MAX).contains(length))
        .ok_or_else(too_long)?;
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    if answer.remove(0) == expected {
        return Ok(answer);
    }
    // It does not say why: locked, refused by its owner, or another program.
    Err(io::Error::other("it refused"))
}

/// The keys of a list: a count, then each key and its comment.
fn identities(mut answer: &[u8]) -> Option<Vec<&[u8]>> {
    let (count, rest) = answer.split_first_chunk()?;
    answer = rest;
    let mut blobs = Vec::new();
    for _ in 0..u32::from_be_bytes(*count) {
        blobs.push(take_string(&mut answer)?);
        take_string(&mut answer)?;
    }
    Some(blobs)
}

/// What SSH writes as `ssh-ed25519` and so many bytes: a public key, or a signature.
fn ed25519<const N: usize>(mut blob: &[u8]) -> Option<[u8; N]> {
    let kind = take_string(&mut blob)?;
    let bytes = take_string(&mut blob)?;
    (kind == ED25519 && blob.is_empty())
        .then(|| bytes.try_into().ok())
        .flatten()
}

fn take_string<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (string, tail) = tail.split_at_checked(length)?;
    *rest = tail;
    Some(string)
}

fn push_string(out: &mut Vec<u8>, string: &[u8]) {
    let length = u32::try_from(string.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(string);
}
