//! What was given for a system: a file, standard input, or the word to ask what is live.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use super::{ALL, System};
use crate::sources::{SourceError, shown};

/// Bytes of one document of a tool: more than any real one, and few enough to be held.
pub(crate) const DOCUMENT_BYTES_MAX: u64 = 64 << 20;

/// Where what a system deployed is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Given {
    /// From a file that the tool wrote.
    File(PathBuf),
    /// From standard input, which is read once.
    Stdin(Arc<OnceLock<Vec<u8>>>),
    /// From the system itself; with a name where it takes one.
    Live(Option<String>),
}

/// A system that is to be read.
#[derive(Clone)]
pub struct Asked {
    /// Which.
    pub system: &'static dyn System,
    /// From where.
    pub given: Given,
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}={:?}", self.system.name(), self.given)
    }
}

impl Asked {
    /// Reads what stands after a system's flag; `None` if there is no such system.
    pub fn parse(system: &str, text: &OsStr) -> Option<Self> {
        let system = ALL.iter().find(|known| known.name() == system)?;
        Some(Self {
            system: *system,
            given: Given::parse(text),
        })
    }
}

impl Given {
    /// `-`, `live`, `live:NAME`, or a path.
    pub fn parse(text: &OsStr) -> Self {
        match text.to_str() {
            Some("-") => Self::Stdin(Arc::default()),
            Some("live") => Self::Live(None),
            Some(text) => match text.strip_prefix("live:") {
                Some(name) => Self::Live(Some(name.to_owned())),
                None => Self::File(text.into()),
            },
            None => Self::File(text.into()),
        }
    }

    /// The word that it was, or would be, given as.
    pub fn word(&self) -> OsString {
        match self {
            Self::File(path) => path.into(),
            Self::Stdin(_) => "-".into(),
            Self::Live(None) => "live".into(),
            Self::Live(Some(name)) => format!("live:{name}").into(),
        }
    }

    /// What it is, for messages.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::File(path) => shown(path),
            Self::Stdin(_) => "standard input".to_owned(),
            Self::Live(None) => "live".to_owned(),
            Self::Live(Some(name)) => format!("live:{name}"),
        }
    }

    /// The last name of the file, for the artifact that holds its bytes.
    pub(crate) fn base(&self) -> OsString {
        match self {
            Self::File(path) => path
                .file_name()
                .unwrap_or_else(|| OsStr::new("file"))
                .into(),
            _ => OsString::from("stdin"),
        }
    }

    /// All its bytes; `None` for what is live.
    pub(crate) fn read(&self) -> Result<Option<Vec<u8>>, SourceError> {
        match self {
            Self::File(path) => read_file(path).map(Some),
            Self::Stdin(kept) => {
                if let Some(bytes) = kept.get() {
                    return Ok(Some(bytes.clone()));
                }
                let failed = |error| SourceError::unreadable(Path::new("standard input"), error);
                let bytes = read(io::stdin().lock()).map_err(failed)?;
                let bytes = self.bounded(bytes)?;
                Ok(Some(kept.get_or_init(|| bytes).clone()))
            }
            Self::Live(_) => Ok(None),
        }
    }

    fn bounded(&self, bytes: Vec<u8>) -> Result<Vec<u8>, SourceError> {
        if u64::try_from(bytes.len()).is_ok_and(|length| length <= DOCUMENT_BYTES_MAX) {
            return Ok(bytes);
        }
        Err(SourceError::Input {
            what: self.shown(),
            why: format!("it is longer than {} MiB", DOCUMENT_BYTES_MAX >> 20),
        })
    }
}

/// Reads a file of a tool whole.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, SourceError> {
    let failed = |error| SourceError::unreadable(path, error);
    let file = File::open(path).map_err(failed)?;
    let bytes = read(file).map_err(failed)?;
    Given::File(path.to_owned()).bounded(bytes)
}

fn read(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
