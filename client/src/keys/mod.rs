//! Keys that sign: in PKCS#8 files, as `openssl genpkey -algorithm ed25519` writes them,
//! or in an ssh-agent.
//!
//! Invariant: a key that others could have read is refused, never merely warned about, and
//! buffers that held one are wiped. Out of scope: what keys may do; the ledger's policy says.

mod agent;
pub(crate) mod file;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use cairn_proto::{
    key::{PublicKey, SecretKey, Signer},
    reason::Reason,
};
use ed25519_dalek::{
    SigningKey,
    pkcs8::{EncodePrivateKey, KeypairBytes, spki::der::pem::LineEnding},
};
use pkcs8::{
    DecodePrivateKey, PrivateKeyInfoRef,
    pkcs5::{pbes2, scrypt},
};
use thiserror::Error;
use zeroize::Zeroizing;

pub use file::PrivateFileError;

/// scrypt's cost for a passphrase, log2: what OpenSSL accepts without being told to use
/// more memory.
const SCRYPT_LOG_N: u8 = 14;

/// Where a signing key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySpec {
    /// In the ssh-agent at `SSH_AUTH_SOCK`, by its fingerprint as `ssh-add -l` prints it.
    Agent(String),
    /// In a file.
    File(PathBuf),
}

impl FromStr for KeySpec {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let Some(fingerprint) = text.strip_prefix("agent:") else {
            return Ok(Self::File(text.into()));
        };
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        match fingerprint.strip_prefix("SHA256:") {
            Some(hash) if hash.len() == 43 && hash.bytes().all(base64) => {
                Ok(Self::Agent(fingerprint.to_owned()))
            }
            _ => Err(KeyError::Fingerprint),
        }
    }
}

/// Why there is no key to sign with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Its file was refused, or could not be read or written.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// The file is no PKCS#8 with an Ed25519 key in it.
    #[error("{path} is not an Ed25519 key in PKCS#8 PEM")]
    Syntax {
        /// The file.
        path: String,
    },
    /// The key is encrypted, and nobody gave a passphrase.
    #[error("{path} is encrypted and there is no passphrase")]
    PassphraseMissing {
        /// The file.
        path: String,
    },
    /// The key could not be decrypted.
    #[error("the passphrase does not open {path}")]
    PassphraseWrong {
        /// The file.
        path: String,
    },
    /// A key that verifiers would refuse.
    #[error("the key is weak")]
    Weak,
    /// Text that should be a fingerprint.
    #[error("a key in the agent is named agent:SHA256:..., as `ssh-add -l` prints it")]
    Fingerprint,
    /// `SSH_AUTH_SOCK` is not set.
    #[error("no ssh-agent runs here: SSH_AUTH_SOCK is not set")]
    NoAgent,
    /// The agent did not do what it was asked.
    #[error("ssh-agent: {why}")]
    Agent {
        /// What went wrong.
        why: String,
    },
    /// The agent does not hold the key.
    #[error("the ssh-agent does not hold {fingerprint}")]
    NotInAgent {
        /// Which key.
        fingerprint: String,
    },
    /// The agent's key is of another kind.
    #[error("the agent's key is not an Ed25519 key")]
    NotEd25519,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

impl KeyError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::File(error) => error.reason(),
            Self::Weak => Reason::KeyWeak,
            Self::Fingerprint => Reason::Usage,
            _ => Reason::KeyFile,
        }
    }
}

/// Whoever can ask a person for a passphrase.
pub trait AskPassphrase {
    /// The passphrase of a key file; `None` if nobody can be asked.
    fn passphrase(&self, path: &Path) -> Option<Zeroizing<String>>;
}

/// Nobody is asked: `--no-input`.
#[derive(Debug, Clone, Copy)]
pub struct NoPassphrase;

impl AskPassphrase for NoPassphrase {
    fn passphrase(&self, _: &Path) -> Option<Zeroizing<String>> {
        None
    }
}

/// Makes a key and writes it to a new file of mode 0600.
pub fn new_key_file(path: &Path, passphrase: Option<&str>) -> Result<PublicKey, KeyError> {
    let mut seed = Zeroizing::new([0; 32]);
    fill(seed.as_mut_slice())?;
    let key = SecretKey::from_seed(&seed).map_err(|_| KeyError::Weak)?;
    let pair = KeypairBytes {
        secret_key: *seed,
        public_key: None, // Version 1 of PKCS#8, which every tool reads.
    };
    let pem = match passphrase {
        None => pair.to_pkcs8_pem(LineEnding::LF).ok(),
        Some(passphrase) => encrypt(&pair, passphrase)?,
    };
    let syntax = || KeyError::Syntax {
        path: file::shown(path),
    };
    file::create(path, pem.ok_or_else(syntax)?.as_bytes())?;
    Ok(key.public_key())
}

fn encrypt(pair: &KeypairBytes, passphrase: &str) -> Result<Option<Zeroizing<String>>, KeyError> {
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    fill(&mut salt)?;
    fill(&mut iv)?;
    let encrypted = scrypt::Params::new(SCRYPT_LOG_N, 8, 1)
        .ok()
        .and_then(|cost| pbes2::Parameters::generate_scrypt_aes256cbc(cost, &salt, iv).ok())
        .and_then(|params| {
            let der = pair.to_pkcs8_der().ok()?;
            let key = PrivateKeyInfoRef::try_from(der.as_bytes()).ok()?;
            key.encrypt_with_params(params, passphrase).ok()
        });
    Ok(encrypted.and_then(|der| der.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).ok()))
}

/// Opens a key.
pub fn load(spec: &KeySpec, ask: &dyn AskPassphrase) -> Result<Box<dyn Signer>, KeyError> {
    match spec {
        KeySpec::File(path) => Ok(Box::new(load_file(path, ask)?)),
        KeySpec::Agent(fingerprint) => {
            let socket = std::env::var_os("SSH_AUTH_SOCK").ok_or(KeyError::NoAgent)?;
            let signer = agent::AgentSigner::open(Path::new(&socket), fingerprint)?;
            Ok(Box::new(signer))
        }
    }
}

/// Opens a key file.
pub fn load_file(path: &Path, ask: &dyn AskPassphrase) -> Result<SecretKey, KeyError> {
    let syntax = || KeyError::Syntax {
        path: file::shown(path),
    };
    let bytes = file::read(path)?;
    let pem = std::str::from_utf8(&bytes).map_err(|_| syntax())?;
    let key = if pem.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        let passphrase = ask.passphrase(path);
        let passphrase = passphrase.ok_or_else(|| KeyError::PassphraseMissing {
            path: file::shown(path),
        })?;
        SigningKey::from_pkcs8_encrypted_pem(pem, passphrase.as_bytes()).map_err(|_| {
            KeyError::PassphraseWrong {
                path: file::shown(path),
            }
        })?
    } else {
        SigningKey::from_pkcs8_pem(pem).map_err(|_| syntax())?
    };
    let seed = Zeroizing::new(key.to_bytes());
    SecretKey::from_seed(&seed).map_err(|_| KeyError::Weak)
}

/// Random bytes from the system.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), KeyError> {
    getrandom::fill(bytes).map_err(|_| KeyError::Random)
}
