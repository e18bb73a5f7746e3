//! What was named on the command line, and the names that artifacts get from it.
//!
//! Invariant: the inputs of one capture cover disjoint sets of names.

use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use cairn_proto::name::ArtifactName;

use super::{
    error::{SourceError, shown},
    recorded::{Recorded, ancestors},
    root::Root,
};

/// A file or directory to capture, and the name to give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The name or prefix of its artifacts; `.` for none at all.
    pub name: Option<String>,
    /// Where it lies.
    pub path: PathBuf,
}

impl Input {
    /// Reads `PATH` or `NAME=PATH`. What stands before the first `=` counts only if it can
    /// be an artifact's name: `./a=b` is a path.
    pub fn parse(text: &OsStr) -> Self {
        let bytes = text.as_bytes();
        let split = bytes.iter().position(|byte| *byte == b'=').and_then(|at| {
            let name = std::str::from_utf8(bytes.get(..at)?).ok()?;
            let path = bytes.get(at + 1..).filter(|path| !path.is_empty())?;
            name.parse::<ArtifactName>().ok()?;
            Some((name.to_owned(), OsStr::from_bytes(path)))
        });
        match split {
            Some((name, path)) => Self {
                name: Some(name),
                path: path.into(),
            },
            None => Self {
                name: None,
                path: text.into(),
            },
        }
    }
}

/// Which names a capture speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Covered {
    /// All of them: a directory whose artifacts are named from its root.
    Everything,
    /// A name and all below it.
    Under(ArtifactName),
    /// One name.
    Exactly(ArtifactName),
}

impl Covered {
    /// Whether a name is among them.
    pub fn covers(&self, name: &ArtifactName) -> bool {
        match self {
            Self::Everything => true,
            Self::Exactly(own) => own == name,
            Self::Under(own) => {
                own == name || ancestors(name.as_str()).any(|above| above == own.as_str())
            }
        }
    }

    /// The name that a directory has as a whole: as a tree.
    pub(super) fn tree_name(&self) -> Option<ArtifactName> {
        match self {
            Self::Everything => ".".parse().ok(),
            Self::Under(name) | Self::Exactly(name) => Some(name.clone()),
        }
    }

    /// The full name of a path within.
    pub(super) fn name_of(&self, relative: &str) -> Option<ArtifactName> {
        match self {
            Self::Everything => relative.parse().ok(),
            Self::Exactly(name) => Some(name.clone()),
            Self::Under(name) => format!("{name}/{relative}").parse().ok(),
        }
    }

    fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, _) | (_, Self::Everything) => true,
            (
                Self::Under(left) | Self::Exactly(left),
                Self::Under(right) | Self::Exactly(right),
            ) => {
                let below = |low: &ArtifactName, high: &ArtifactName| {
                    ancestors(low.as_str()).any(|above| above == high.as_str())
                };
                left == right || below(left, right) || below(right, left)
            }
        }
    }
}

/// An input that was opened.
#[derive(Debug)]
pub(super) struct Opened {
    /// The directory, or where the file lies.
    pub(super) root: Arc<Root>,
    /// The file's name there; `None` for a directory.
    pub(super) file: Option<OsString>,
    /// The names it covers.
    pub(super) covered: Covered,
    /// The path as given, safe to show.
    pub(super) shown: String,
    /// Whether the path was a symbolic link that was followed.
    pub(super) followed: bool,
}

/// Opens all inputs and gives them names.
pub(super) fn open_all(
    inputs: &[Input],
    recorded: Option<&Recorded<'_>>,
) -> Result<Vec<Opened>, SourceError> {
    let alone = inputs.len() == 1;
    let mut opened: Vec<Opened> = Vec::with_capacity(inputs.len());
    for input in inputs {
        let next = open(input, alone, recorded)?;
        if let Some(other) = opened
            .iter()
            .find(|other| other.covered.overlaps(&next.covered))
        {
            let name = other.covered.tree_name().or(next.covered.tree_name());
            return Err(SourceError::Clash {
                name: name.map(|name| name.to_string()).unwrap_or_default(),
            });
        }
        opened.push(next);
    }
    Ok(opened)
}

fn open(
    input: &Input,
    alone: bool,
    recorded: Option<&Recorded<'_>>,
) -> Result<Opened, SourceError> {
    let path = input.path.as_path();
    let unreadable = |error| SourceError::unreadable(path, error);
    let is_link = fs::symlink_metadata(path).map_err(unreadable)?.is_symlink();
    let metadata = fs::metadata(path);
    if metadata.as_ref().is_ok_and(fs::Metadata::is_dir) {
        let covered = match &input.name {
            None if alone => Covered::Everything,
            None => Covered::Under(base_name(path)?),
            Some(name) if name == "." => Covered::Everything,
            Some(name) => Covered::Under(given_name(name)?),
        };
        return Ok(Opened {
            root: Arc::new(Root::open(path).map_err(unreadable)?),
            file: None,
            covered,
            shown: shown(path),
            followed: is_link,
        });
    }
    let name = match &input.name {
        None => base_name(path)?,
        Some(name) => given_name(name).and_then(|name| match name.as_str() {
            "." => Err(SourceError::name(Path::new("."))),
            _ => Ok(name),
        })?,
    };
    // A link that was recorded as a link is measured as one; otherwise it is followed.
    let stays = is_link && recorded.is_some_and(|recorded| recorded.is_symlink(name.as_str()));
    if !stays && !metadata.map_err(unreadable)?.is_file() {
        return Err(SourceError::Special {
            path: shown(path),
            what: "device, socket or pipe",
        });
    }
    let followed = is_link && !stays;
    let real = if followed {
        fs::canonicalize(path).map_err(unreadable)?
    } else {
        path.to_owned()
    };
    let directory = match real.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let file = real.file_name().ok_or_else(|| SourceError::name(path))?;
    Ok(Opened {
        root: Arc::new(Root::open(directory).map_err(unreadable)?),
        file: Some(file.to_owned()),
        covered: Covered::Exactly(name),
        shown: shown(path),
        followed,
    })
}

fn given_name(name: &str) -> Result<ArtifactName, SourceError> {
    name.parse().map_err(|_| SourceError::name(Path::new(name)))
}

/// The last name of a path, of the real one where the given one ends in `.` or `..`.
pub(crate) fn base_name(path: &Path) -> Result<ArtifactName, SourceError> {
    let real;
    let base = if let Some(base) = path.file_name() {
        base
    } else {
        real = fs::canonicalize(path).map_err(|error| SourceError::unreadable(path, error))?;
        real.file_name().ok_or_else(|| SourceError::name(path))?
    };
    base.to_str()
        .and_then(|base| base.parse().ok())
        .ok_or_else(|| SourceError::name(path))
}
