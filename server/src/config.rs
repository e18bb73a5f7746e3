//! The file that `cairn serve` is started with. Unknown keys are refused: a misspelt limit
//! must not be a limit that is not there.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use cairn_proto::{
    hash::decode_hex32,
    name::{NameError, Pattern},
};
use serde::Deserialize;
use thiserror::Error;

use crate::{
    access::{Access, Grants, Token},
    content::ContentLimits,
    proposals::{Settings, WAIT_SECONDS, WAIT_SECONDS_MAX},
    start::Place,
};

/// What `cairn serve --config FILE` reads.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The ledger's name, as `cairn init` was told.
    pub origin: String,
    /// The data directory.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// The log key: a file, or how else the client names a key.
    pub log_key: String,
    /// The clock key, likewise.
    pub clock_key: String,
    /// The anchor's file, best on another disk; in the data directory if not said.
    #[serde(default)]
    pub anchor: Option<PathBuf>,
    /// Bytes that one content may have.
    #[serde(default)]
    pub content_bytes_max: Option<u64>,
    /// Seconds that a half-signed envelope waits here, 604,800 at most; 0: none is taken.
    #[serde(default)]
    pub proposal_seconds: Option<u64>,
    /// Verifier keys (type 0x04) of the auditors whose cosignatures are taken.
    #[serde(default)]
    pub auditors: Vec<String>,
    /// Witnesses that are asked to cosign.
    #[serde(default)]
    pub witnesses: Vec<WitnessConfig>,
    /// The only certificate authorities to accept of witnesses, in PEM; the web's if not said.
    #[serde(default)]
    pub witness_ca_file: Option<PathBuf>,
    /// Who may call.
    #[serde(default)]
    pub access: AccessConfig,
}

/// A C2SP witness.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessConfig {
    /// Its submission prefix.
    pub url: String,
    /// Its verifier key (type 0x04).
    pub key: String,
}

/// Who may call what.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessConfig {
    /// Whether tiles, entries and documents need a token.
    #[serde(default)]
    pub log: LogReads,
    /// Environments whose content anyone may read.
    #[serde(default)]
    pub anonymous_read: Vec<String>,
    /// Environments that anyone may upload and append for; signatures still decide.
    #[serde(default)]
    pub anonymous_write: Vec<String>,
    /// Tokens.
    #[serde(default)]
    pub tokens: Vec<TokenConfig>,
}

/// Who may read tiles, entries and documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogReads {
    /// Everyone.
    #[default]
    Public,
    /// Whoever has a token.
    Authenticated,
}

/// One static bearer token.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// The operator's name for it.
    pub name: String,
    /// `blake3:<hex>` of the token's text.
    pub hash: String,
    /// Environments whose content it reads.
    #[serde(default)]
    pub read: Vec<String>,
    /// Environments that it uploads and appends for.
    #[serde(default)]
    pub write: Vec<String>,
}

/// Why a configuration was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// It is not of the form.
    #[error("{}: {error}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Where and what.
        error: Box<toml::de::Error>,
    },
    /// A pattern is not one.
    #[error("`{text}` is not a pattern of environments")]
    Pattern {
        /// The text.
        text: String,
    },
    /// Proposals would wait for too long.
    #[error("`proposal_seconds` is {seconds}, and may be {WAIT_SECONDS_MAX} at most")]
    ProposalSeconds {
        /// What was said.
        seconds: u64,
    },
    /// A token's hash is not one.
    #[error("the hash of token `{name}` is not `blake3:` and 64 hex digits")]
    Hash {
        /// The token.
        name: String,
    },
}

impl Config {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
            path: path.to_owned(),
            error,
        })?;
        toml::from_str(&text).map_err(|error| ConfigError::Form {
            path: path.to_owned(),
            error: Box::new(error),
        })
    }

    /// Whose data it is, and where.
    pub fn place(&self) -> Result<Place, NameError> {
        Ok(Place {
            origin: self.origin.parse()?,
            data: self.data.clone(),
            anchor: self.anchor.clone(),
            limits: self.limits(),
        })
    }

    /// Where half-signed envelopes wait, and for how long.
    pub fn proposals(&self) -> Result<Option<Settings>, ConfigError> {
        let seconds = self.proposal_seconds.unwrap_or(WAIT_SECONDS);
        if seconds > WAIT_SECONDS_MAX {
            return Err(ConfigError::ProposalSeconds { seconds });
        }
        let usual = Settings::below(&self.data);
        Ok((seconds > 0).then_some(Settings {
            wait_seconds: seconds,
            ..usual
        }))
    }

    /// The bounds on uploads.
    pub fn limits(&self) -> ContentLimits {
        let mut limits = ContentLimits::default();
        if let Some(bytes) = self.content_bytes_max {
            limits.content_bytes_max = bytes;
        }
        limits
    }
}

impl AccessConfig {
    /// The access policy that it describes.
    pub fn access(&self) -> Result<Access, ConfigError> {
        let anonymous = grants(&self.anonymous_read, &self.anonymous_write)?;
        let tokens = self.tokens.iter().map(token).collect::<Result<_, _>>()?;
        let closed = self.log == LogReads::Authenticated;
        Ok(Access::new(anonymous, tokens, closed))
    }
}

fn grants(read: &[String], write: &[String]) -> Result<Grants, ConfigError> {
    Ok(Grants {
        read: patterns(read)?,
        write: patterns(write)?,
    })
}

fn patterns(texts: &[String]) -> Result<Vec<Pattern>, ConfigError> {
    let parse = |text: &String| {
        text.parse()
            .map_err(|_| ConfigError::Pattern { text: text.clone() })
    };
    texts.iter().map(parse).collect()
}

fn token(config: &TokenConfig) -> Result<Token, ConfigError> {
    let wrong = || ConfigError::Hash {
        name: config.name.clone(),
    };
    let hash = config.hash.strip_prefix("blake3:").ok_or_else(wrong)?;
    Ok(Token {
        name: config.name.clone(),
        hash: decode_hex32(hash).map_err(|_| wrong())?,
        grants: grants(&config.read, &config.write)?,
    })
}
