//! What a pipeline has before anything is live: the bundle, and how it is to be run. A small
//! JSON file names them, by paths below its own folder:
//!
//! ```json
//! {"application": "shop", "environment": "shop-prod", "version": "v42",
//!  "bundle": "build/shop.zip", "documents": ["options.json"]}
//! ```

use std::{
    fs::File,
    path::{Component, Path, PathBuf},
};

use serde_json::Value;

use super::{super::Given, super::aws::text};
use crate::{
    detail::printable,
    sources::{SourceError, open_below},
};

/// Files that one may name.
const DOCUMENTS_MAX: usize = 64;

/// What the file says.
pub(super) struct Deployment {
    /// The file's own.
    folder: PathBuf,
    pub(super) application: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) version: Option<String>,
    pub(super) bundle: PathBuf,
    /// Option settings, or what `aws elasticbeanstalk` printed.
    pub(super) documents: Vec<PathBuf>,
}

impl Deployment {
    /// Reads it; none if a value is something else.
    pub(super) fn parse(given: &Given, value: &Value) -> Option<Result<Self, SourceError>> {
        let members = value.as_object()?;
        members.get("bundle")?;
        Some(Self::of(given, value))
    }

    fn of(given: &Given, value: &Value) -> Result<Self, SourceError> {
        let wrong = |why: String| SourceError::Input {
            what: given.shown(),
            why,
        };
        let known = [
            "application",
            "environment",
            "version",
            "bundle",
            "documents",
        ];
        let members = value.as_object().into_iter().flatten();
        for (name, value) in members {
            if !known.contains(&name.as_str()) {
                return Err(wrong(format!("{} is not known", printable(name))));
            }
            if name != "documents" && value.as_str().is_none_or(str::is_empty) {
                return Err(wrong(format!("{name} is no text")));
            }
        }
        let folder = match given {
            Given::File(path) => path.parent().unwrap_or(Path::new("")),
            _ => Path::new(""),
        };
        let below = |name: Option<&str>| {
            let path = Path::new(name.unwrap_or_default());
            let mut parts = path.components();
            let below = parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            let own = |part: &Component<'_>| *part != Component::CurDir;
            let path: PathBuf = path.components().filter(own).collect();
            let why = "a path that does not lead below the folder of this file";
            let leads = below && !path.as_os_str().is_empty();
            leads.then_some(path).ok_or_else(|| wrong(why.to_owned()))
        };
        let documents = match value.get("documents") {
            None => &[],
            Some(Value::Array(items)) if items.len() <= DOCUMENTS_MAX => items.as_slice(),
            Some(_) => return Err(wrong("documents is no list, or a very long one".to_owned())),
        };
        let own = |member: &str| text(value, member).map(str::to_owned);
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        Ok(Self {
            folder: folder.to_owned(),
            application: own("application"),
            environment: own("environment"),
            version: own("version"),
            bundle: below(text(value, "bundle"))?,
            documents: documents
                .iter()
                .map(|item| below(item.as_str()))
                .collect::<Result<_, _>>()?,
        })
    }
    /// Opens a file that it names; no symbolic link leads out of its folder.
    pub(super) fn open(&self, named: &Path) -> Result<(PathBuf, File), SourceError> {
        let path = self.folder.join(named);
        match open_below(&self.folder, named) {
            Ok(file) => Ok((path, file)),
            Err(error) => Err(SourceError::unreadable(&path, error)),
        }
    }
}
