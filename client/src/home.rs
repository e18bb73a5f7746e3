//! Where contexts, trust, keys and held state lie.
//!
//! `CAIRN_HOME` names one directory for everything; without it the XDG directories are
//! used. Out of scope: what the files say.

use std::{
    env,
    path::{Path, PathBuf},
};

use cairn_proto::{hash::LeafHash, name::Label};
use etcetera::base_strategy::{BaseStrategy as _, Xdg};

use crate::error::HomeError;

/// The directories of one user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    config: PathBuf,
    data: PathBuf,
    state: PathBuf,
}

impl Home {
    /// `CAIRN_HOME`, or else the XDG directories.
    pub fn from_environment() -> Result<Self, HomeError> {
        if let Some(directory) = env::var_os("CAIRN_HOME").filter(|value| !value.is_empty()) {
            return Ok(Self::at(directory));
        }
        let xdg = Xdg::new().map_err(|_| HomeError::NoHome)?;
        let data = xdg.data_dir().join("cairn");
        let state = xdg.state_dir().map(|state| state.join("cairn"));
        Ok(Self {
            config: xdg.config_dir().join("cairn"),
            state: state.unwrap_or_else(|| data.clone()),
            data,
        })
    }

    /// One directory for everything.
    pub fn at(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        Self {
            config: directory.clone(),
            data: directory.clone(),
            state: directory,
        }
    }

    /// Which contexts there are.
    pub fn contexts_file(&self) -> PathBuf {
        self.config.join("contexts.toml")
    }

    /// What is pinned of a ledger.
    pub fn trust_file(&self, name: &Label) -> PathBuf {
        self.data.join("trust").join(format!("{name}.json"))
    }

    /// Where signing keys lie.
    pub fn keys_directory(&self) -> PathBuf {
        self.data.join("keys")
    }

    /// Where the keys of a ledger's withheld values lie.
    pub fn secrets_directory(&self, genesis: &LeafHash) -> PathBuf {
        self.data.join("secrets").join(genesis.to_string())
    }

    /// Where the state of a ledger lies.
    pub fn state_directory(&self, genesis: &LeafHash) -> PathBuf {
        self.state.join("state").join(genesis.to_string())
    }

    /// What was seen of a ledger.
    pub fn held_file(&self, genesis: &LeafHash) -> PathBuf {
        self.state_directory(genesis).join("held.json")
    }

    /// The newest checkpoint of a ledger that enough of those who are pinned cosigned.
    pub fn audited_file(&self, genesis: &LeafHash) -> PathBuf {
        self.state_directory(genesis).join("held-audited.json")
    }

    /// An auditor's copy of a ledger.
    pub fn mirror_directory(&self, genesis: &LeafHash) -> PathBuf {
        self.state_directory(genesis).join("mirror")
    }

    /// Where evidence of tampering is kept.
    pub fn evidence_directory(&self) -> PathBuf {
        self.state.join("evidence")
    }

    /// A path from a configuration file: relative ones count from where that file lies.
    pub fn resolve(&self, path: &Path) -> PathBuf {
        self.config.join(path)
    }
}
