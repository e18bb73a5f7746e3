//! Keys that sign: in PKCS#8 files, as `openssl genpkey -algorithm ed25519` writes them,
//! in an ssh-agent, or on a PKCS#11 token.
//!
//! Invariant: a key that others could have read is refused, never merely warned about, and
//! buffers that held one are wiped. Out of scope: what keys may do; the ledger's policy says.

mod agent;
pub(crate) mod file;
mod pkcs8;
#[cfg(test)]
mod tests;
#[cfg(feature = "pkcs11")]
mod token;

use std::{
    path::{Path, PathBuf},
    str::FromStr,
};

use cairn_proto::{
    key::{PublicKey, SecretKey, Signer},
    reason::Reason,
};
use thiserror::Error;
use zeroize::Zeroizing;

use self::pkcs8::{Nonces, Pem};
pub use file::PrivateFileError;
#[cfg(feature = "pkcs11")]
pub use token::{Listed, TokenError, TokenUri, TriesLeft, UriError};

/// Where a signing key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySpec {
    /// In the ssh-agent at `SSH_AUTH_SOCK`, by its fingerprint as `ssh-add -l` prints it.
    Agent(String),
    /// In a file.
    File(PathBuf),
    /// On a PKCS#11 token.
    #[cfg(feature = "pkcs11")]
    Token(Box<TokenUri>),
}

impl FromStr for KeySpec {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        #[cfg(feature = "pkcs11")]
        if token::uri::is_uri(text) {
            let uri = text.parse().map_err(TokenError::from)?;
            return Ok(Self::Token(Box::new(uri)));
        }
        #[cfg(not(feature = "pkcs11"))]
        if text.starts_with("pkcs11:") {
            return Err(KeyError::NoTokens);
        }
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
    /// A token gave no key.
    #[cfg(feature = "pkcs11")]
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Tokens were left out when the program was built.
    #[cfg(not(feature = "pkcs11"))]
    #[error("this cairn was built without keys on PKCS#11 tokens (its feature pkcs11)")]
    NoTokens,
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
            #[cfg(feature = "pkcs11")]
            Self::Token(error) => error.reason(),
            #[cfg(not(feature = "pkcs11"))]
            Self::NoTokens => Reason::Usage,
            _ => Reason::KeyFile,
        }
    }
}

/// Whoever can ask a person for a passphrase.
pub trait AskPassphrase {
    /// The passphrase of a key file; `None` if nobody can be asked.
    fn passphrase(&self, path: &Path) -> Option<Zeroizing<String>>;

    /// The PIN of a token of this name; `None` if nobody can be asked.
    fn pin(&self, _token: &str) -> Option<Zeroizing<String>> {
        None
    }

    /// Tells somebody to type the PIN on the token's own keys; `false` if nobody is there.
    fn pin_on_token(&self, _token: &str) -> bool {
        false
    }
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
    let mut nonces = Nonces {
        salt: [0; 16],
        iv: [0; 16],
    };
    for bytes in [seed.as_mut_slice(), &mut nonces.salt, &mut nonces.iv] {
        fill(bytes)?;
    }
    let key = SecretKey::from_seed(&seed).map_err(|_| KeyError::Weak)?;
    let lock = passphrase.map(|passphrase| (passphrase, &nonces));
    let pem = pkcs8::encode(&seed, lock).ok_or_else(|| KeyError::Syntax {
        path: file::shown(path),
    })?;
    file::create(path, pem.as_bytes())?;
    Ok(key.public_key())
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
        #[cfg(feature = "pkcs11")]
        KeySpec::Token(uri) => Ok(Box::new(token::TokenSigner::open(uri, ask)?)),
    }
}

/// Opens a key file.
pub fn load_file(path: &Path, ask: &dyn AskPassphrase) -> Result<SecretKey, KeyError> {
    let shown = file::shown(path);
    match pkcs8::decode(&file::read(path)?) {
        None => Err(KeyError::Syntax { path: shown }),
        Some(Pem::Plain(key)) => Ok(key),
        Some(Pem::Locked(locked)) => match ask.passphrase(path) {
            None => Err(KeyError::PassphraseMissing { path: shown }),
            Some(passphrase) => locked
                .open(&passphrase)
                .ok_or(KeyError::PassphraseWrong { path: shown }),
        },
    }
}

/// The Ed25519 keys on the tokens that a URI fits.
#[cfg(feature = "pkcs11")]
pub fn list_tokens(uri: &TokenUri, ask: &dyn AskPassphrase) -> Result<Vec<Listed>, KeyError> {
    Ok(token::list(uri, ask)?)
}

/// Makes a key on a token: the one that a URI fits, under the name that it gives.
#[cfg(feature = "pkcs11")]
pub fn new_token_key(uri: &TokenUri, ask: &dyn AskPassphrase) -> Result<Listed, KeyError> {
    Ok(token::generate(uri, ask)?)
}

/// Random bytes from the system.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), KeyError> {
    getrandom::fill(bytes).map_err(|_| KeyError::Random)
}
