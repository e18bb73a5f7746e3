//! Contexts: which ledger a command talks to, and as whom.
//!
//! Invariant: a context names its trust file; the environment may choose a context and
//! nothing that is pinned.

use std::{collections::BTreeMap, env, path::PathBuf};

use cairn_proto::name::Label;
use serde::{Deserialize, Serialize};

use crate::{
    error::HomeError,
    files::{self, Lock},
    home::Home,
};

/// Bytes of the file: thousands of contexts.
const FILE_BYTES_MAX: usize = 1 << 20;

/// One ledger, and how to reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Context {
    /// Where it answers: `https://...`, or `http://...` on this machine.
    pub url: String,
    /// Name of its trust file.
    pub trust: String,
    /// Which key signs: what `keys` understands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// A file with a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// The only certificate authorities to accept, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Allows `http://` to other machines: everything is verified, nothing is private.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plaintext: bool,
}

/// All contexts of a user.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contexts {
    /// The one that is used where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// By name.
    #[serde(default)]
    pub contexts: BTreeMap<String, Context>,
}

impl Contexts {
    /// Reads the file; none is no contexts.
    pub fn load(home: &Home) -> Result<Self, HomeError> {
        let path = home.contexts_file();
        let Some(bytes) = files::read(&path, FILE_BYTES_MAX)? else {
            return Ok(Self::default());
        };
        let invalid = |why: String| HomeError::Invalid {
            path: path.clone(),
            why,
        };
        let text = String::from_utf8(bytes).map_err(|error| invalid(error.to_string()))?;
        toml::from_str(&text).map_err(|error| invalid(error.message().to_owned()))
    }

    /// Changes the file under its lock.
    pub fn update(
        home: &Home,
        change: impl FnOnce(&mut Self) -> Result<(), HomeError>,
    ) -> Result<Self, HomeError> {
        let path = home.contexts_file();
        let _lock = Lock::of(&path)?;
        let mut contexts = Self::load(home)?;
        change(&mut contexts)?;
        let text = toml::to_string(&contexts).map_err(|error| HomeError::Invalid {
            path: path.clone(),
            why: error.to_string(),
        })?;
        files::write(&path, text.as_bytes())?;
        Ok(contexts)
    }

    /// The context of a name; of `CAIRN_CONTEXT`; or the active one.
    pub fn select(&self, name: Option<&str>) -> Result<(Label, &Context), HomeError> {
        let chosen = match name {
            Some(name) => Some(name.to_owned()),
            None => env::var("CAIRN_CONTEXT")
                .ok()
                .filter(|name| !name.is_empty())
                .or_else(|| self.active.clone()),
        };
        let name = chosen.ok_or(HomeError::NothingTrusted)?;
        let found = self.contexts.get(&name).zip(name.parse().ok());
        let (context, label) = found.ok_or(HomeError::NoContext { name })?;
        Ok((label, context))
    }

    /// Adds or replaces a context and makes it the active one.
    pub fn activate(home: &Home, name: &Label, context: Context) -> Result<Self, HomeError> {
        Self::update(home, |contexts| {
            contexts.contexts.insert(name.to_string(), context);
            contexts.active = Some(name.to_string());
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Context, Contexts};
    use crate::home::Home;

    fn context(url: &str) -> Context {
        Context {
            url: url.to_owned(),
            trust: "dev".to_owned(),
            key: None,
            token_file: None,
            ca_file: None,
            plaintext: false,
        }
    }

    /// Goal: what is written is read back, private. Method: a round through the file.
    #[test]
    fn a_context_survives_its_file_and_the_file_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path().join("home"));
        assert_eq!(Contexts::load(&home).unwrap(), Contexts::default());
        let name = "dev".parse().unwrap();
        let written = Contexts::activate(&home, &name, context("http://127.0.0.1:1")).unwrap();
        let read = Contexts::load(&home).unwrap();
        assert_eq!(read, written);
        let (found, chosen) = read.select(Some("dev")).unwrap();
        assert_eq!((found, chosen.url.as_str()), (name, "http://127.0.0.1:1"));
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&home.contexts_file()), 0o600);
        assert_eq!(mode(home.contexts_file().parent().unwrap()), 0o700);
    }

    /// Goal: a misspelt setting is no silent default.
    #[test]
    fn an_unknown_setting_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::at(directory.path());
        let text = "[contexts.dev]\nurl = \"x\"\ntrust = \"dev\"\ntoken_fil = \"y\"\n";
        std::fs::write(home.contexts_file(), text).unwrap();
        let error = Contexts::load(&home).unwrap_err();
        assert_eq!(error.reason(), cairn_proto::reason::Reason::Usage);
    }

    /// Goal: no context, no guess.
    #[test]
    fn a_name_without_a_context_is_refused() {
        let contexts = Contexts::default();
        assert!(contexts.select(Some("prod")).is_err());
    }
}
