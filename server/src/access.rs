//! Who may call what. Transport identity decides about reading and about the server's
//! resources; it never stands in for an entry's signature.

use std::sync::Arc;

use cairn_proto::name::{Environment, Pattern};

/// A static bearer token and what it grants.
#[derive(Debug, Clone)]
pub struct Token {
    /// The operator's name for it.
    pub name: String,
    /// BLAKE3 of the token's text: the token itself is not kept.
    pub hash: [u8; 32],
    /// What it grants.
    pub grants: Grants,
}

/// Environments that a caller may read content of, and upload for.
#[derive(Debug, Clone, Default)]
pub struct Grants {
    /// Content of their releases may be read.
    pub read: Vec<Pattern>,
    /// Content may be uploaded, and entries appended, for these.
    pub write: Vec<Pattern>,
}

/// Under what name uploads without a token are staged.
const ANONYMOUS: &str = "anonymous";
/// What a token's name begins with there.
const TOKEN: &str = "token ";

/// The server's access policy.
#[derive(Debug, Clone)]
pub struct Access {
    anonymous: Arc<Grants>,
    tokens: Arc<[Token]>,
    /// Whether tiles, entries and documents need a token.
    reads_need_token: bool,
}

/// Somebody who calls, and what was granted.
#[derive(Debug, Clone)]
pub struct Caller {
    owner: Arc<str>,
    grants: Arc<Grants>,
}

/// A token that is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownToken;

impl Access {
    /// Everyone may do everything: for `dev`, on loopback.
    pub fn open() -> Self {
        let everywhere = || "**".parse().into_iter().collect();
        let grants = Grants {
            read: everywhere(),
            write: everywhere(),
        };
        Self::new(grants, Vec::new(), false)
    }

    /// An access policy. `reads_need_token` closes tiles, entries and documents as well.
    pub fn new(anonymous: Grants, tokens: Vec<Token>, reads_need_token: bool) -> Self {
        Self {
            anonymous: Arc::new(anonymous),
            tokens: tokens.into(),
            reads_need_token,
        }
    }

    /// Identifies a caller by the `authorization` header, if there is one.
    pub fn identify(&self, authorization: Option<&str>) -> Result<Caller, UnknownToken> {
        let Some(header) = authorization else {
            return Ok(Caller {
                owner: ANONYMOUS.into(),
                grants: self.anonymous.clone(),
            });
        };
        let token = header.strip_prefix("Bearer ").ok_or(UnknownToken)?;
        let hash = blake3::hash(token.as_bytes());
        // blake3's comparison takes the same time whatever differs.
        let known = self.tokens.iter().find(|known| hash == known.hash);
        known.map(Caller::of).ok_or(UnknownToken)
    }

    /// Whoever stages uploads under a name, as far as that is somebody still.
    pub(crate) fn staging_as(&self, owner: &str) -> Option<Caller> {
        if owner == ANONYMOUS {
            return self.identify(None).ok();
        }
        let name = owner.strip_prefix(TOKEN)?;
        let known = self.tokens.iter().find(|known| known.name == name)?;
        Some(Caller::of(known))
    }

    /// Whether everyone may read tiles, entries and documents.
    pub fn log_is_public(&self) -> bool {
        !self.reads_need_token
    }

    /// Whether the caller may read tiles, entries and documents.
    pub fn reads_log(&self, caller: &Caller) -> bool {
        self.log_is_public() || caller.is_known()
    }
}

impl Caller {
    fn of(token: &Token) -> Self {
        Self {
            owner: format!("{TOKEN}{}", token.name).into(),
            grants: Arc::new(token.grants.clone()),
        }
    }

    /// Under what name this caller's uploads are staged.
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Whether the caller sent a token.
    pub fn is_known(&self) -> bool {
        &*self.owner != ANONYMOUS
    }

    /// Whether the caller may read content of the environment's releases.
    pub fn may_read(&self, environment: &Environment) -> bool {
        self.grants
            .read
            .iter()
            .any(|pattern| pattern.matches(environment))
    }

    /// Whether the caller may upload and append for the environment.
    pub fn may_write(&self, environment: &Environment) -> bool {
        self.grants
            .write
            .iter()
            .any(|pattern| pattern.matches(environment))
    }

    /// Whether the caller may upload at all.
    pub fn may_upload(&self) -> bool {
        !self.grants.write.is_empty()
    }

    /// Whether every content of the ledger is readable to this caller, so that naming one
    /// tells nothing new.
    pub fn reads_everything(&self) -> bool {
        self.grants
            .read
            .iter()
            .any(|pattern| pattern.as_str() == "**")
    }
}
