//! Keys of withheld values, one for each environment, in a directory of the caller's.
//!
//! Whoever holds such a key can test guesses of the values against the ledger's tags, so
//! it is kept like a signing key. A key is made once and never replaced here: tags made
//! with another one match nothing that was recorded.

#[cfg(test)]
mod tests;

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use cairn_proto::{name::Environment, reason::Reason, secret::TagKey};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::keys::{
    KeyError,
    file::{self, PrivateFileError},
    fill,
};

/// What the one line of such a file begins with.
const MARKER: &str = "cairn-secret-key-v1:";

/// Why a key of withheld values was not read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Its file was refused, or could not be read or written.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// There is none.
    #[error("there is no key for the withheld values of {environment}")]
    Missing {
        /// The environment.
        environment: Environment,
    },
    /// There is one already, and it is another.
    #[error("there is another key for the withheld values of {environment} already")]
    Differs {
        /// The environment.
        environment: Environment,
    },
    /// Text that is no such key.
    #[error("this is not a key of withheld values: one line, {MARKER} and 64 hex digits")]
    Syntax,
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

impl SecretError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::File(error) => error.reason(),
            Self::Random => Reason::KeyFile,
            _ => Reason::SecretKey,
        }
    }
}

/// The keys in a directory.
#[derive(Debug, Clone)]
pub struct SecretKeys {
    directory: PathBuf,
}

impl SecretKeys {
    /// The keys in `directory`, which is made when the first is written.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
        }
    }

    /// The file of an environment's key.
    pub fn path(&self, environment: &Environment) -> PathBuf {
        let name = environment.as_str().replace('/', "%2F");
        self.directory.join(format!("{name}.key"))
    }

    /// The key of an environment; `None` if there is none.
    pub fn load(&self, environment: &Environment) -> Result<Option<TagKey>, SecretError> {
        match file::read(&self.path(environment)) {
            Ok(bytes) => decode(&bytes).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the key of an environment that has none.
    pub fn create(&self, environment: &Environment) -> Result<TagKey, SecretError> {
        let mut bytes = Zeroizing::new([0; 32]);
        fill(bytes.as_mut_slice()).map_err(|_: KeyError| SecretError::Random)?;
        let key = TagKey::new(*bytes);
        self.write(environment, &key)?;
        Ok(key)
    }

    /// Keeps a key that another machine exported. The same one again changes nothing.
    pub fn import(&self, environment: &Environment, text: &[u8]) -> Result<TagKey, SecretError> {
        let key = decode(text)?;
        match self.load(environment)? {
            None => self.write(environment, &key)?,
            Some(held) if held.expose() == key.expose() => {}
            Some(_) => {
                return Err(SecretError::Differs {
                    environment: environment.clone(),
                });
            }
        }
        Ok(key)
    }

    /// Keeps a key that was exported to a file, which must be as private as those here.
    pub fn import_file(
        &self,
        environment: &Environment,
        path: &Path,
    ) -> Result<TagKey, SecretError> {
        self.import(environment, &file::read(path)?)
    }

    /// The key as text, for [`SecretKeys::import`] elsewhere.
    pub fn export(&self, environment: &Environment) -> Result<Zeroizing<String>, SecretError> {
        match self.load(environment)? {
            Some(key) => Ok(encode(&key)),
            None => Err(SecretError::Missing {
                environment: environment.clone(),
            }),
        }
    }

    fn write(&self, environment: &Environment, key: &TagKey) -> Result<(), SecretError> {
        let io = |error: io::Error| PrivateFileError::Io {
            path: file::shown(&self.directory),
            error,
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .map_err(io)?;
        file::create(&self.path(environment), encode(key).as_bytes())?;
        Ok(())
    }
}

fn encode(key: &TagKey) -> Zeroizing<String> {
    let mut hex = Zeroizing::new([0; 64]);
    // 32 bytes are 64 digits.
    let _ = hex::encode_to_slice(key.expose(), hex.as_mut_slice());
    let mut line = Zeroizing::new(String::with_capacity(MARKER.len() + 65));
    line.push_str(MARKER);
    line.extend(hex.iter().map(|digit| char::from(*digit)));
    line.push('\n');
    line
}

fn decode(text: &[u8]) -> Result<TagKey, SecretError> {
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    let digits = line
        .strip_prefix(MARKER.as_bytes())
        .filter(|digits| !digits.iter().any(u8::is_ascii_uppercase))
        .ok_or(SecretError::Syntax)?;
    let mut bytes = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, bytes.as_mut_slice()).map_err(|_| SecretError::Syntax)?;
    Ok(TagKey::new(*bytes))
}
