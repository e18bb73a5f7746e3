//! What a pipeline has before anything is live: the bundle, and how it is to be run. A small
//! JSON file names them, by paths below its own folder:
//!
//! ```json
//! {"application": "shop", "environment": "shop-prod", "version": "v42",
//!  "bundle": "build/shop.zip", "documents": ["options.json"]}
//! ```

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::{super::Given, super::aws::text};
use crate::{detail::printable, sources::SourceError};

/// Files that one may name.
const DOCUMENTS_MAX: usize = 64;

/// What the file says.
pub(super) struct Deployment {
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
            let mut parts = path.components().peekable();
            let inside = parts.peek().is_some()
                && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            let why = "a path that does not lead below the folder of this file";
            inside
                .then(|| folder.join(path))
                .ok_or_else(|| wrong(why.to_owned()))
        };
        let documents = match value.get("documents") {
            None => &[],
            Some(Value::Array(items)) if items.len() <= DOCUMENTS_MAX => items.as_slice(),
            Some(_) => return Err(wrong("documents is no list, or a very long one".to_owned())),
        };
        let own = |member: &str| text(value, member).map(str::to_owned);
        Ok(Self {
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
}
