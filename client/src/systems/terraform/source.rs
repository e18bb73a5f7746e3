//! From what was given to what the tool says of it.

use std::path::{Path, PathBuf};

use super::{
    configuration::Configuration,
    documents::{self, Bytes, Document, RawState},
    run::Runner,
};
use crate::{detail::printable, sources::SourceError, systems::Given};

/// What is to be recorded.
pub(super) struct Source {
    /// Whose it is, for messages.
    pub(super) from: String,
    pub(super) document: Document,
    pub(super) raw_state: RawState,
    /// The bytes that were given, and their name.
    pub(super) bytes: Vec<u8>,
    pub(super) base: String,
    pub(super) configuration: Configuration,
}

/// What there is now.
pub(super) struct Observed {
    pub(super) from: String,
    /// A refresh-only plan.
    pub(super) plan: serde_json::Value,
    pub(super) raw_state: RawState,
    pub(super) live: bool,
}

/// Reads what is to be recorded.
pub(super) fn to_record(given: &Given) -> Result<Source, SourceError> {
    let from = given.shown();
    let Some(bytes) = given.read()? else {
        return live(given, &printable(&from));
    };
    let base = given.base().to_string_lossy().into_owned();
    let (document, raw_state, configuration) = match documents::recognise(&from, &bytes)? {
        Bytes::Shown(document) => (document, RawState::default(), Configuration::Untold),
        Bytes::RawPlan => {
            let document = show(given, &from, &bytes)?;
            (document, RawState::default(), Configuration::Planned)
        }
        Bytes::RawState(raw_state) => {
            let document = show(given, &from, &bytes)?;
            (document, raw_state, Configuration::Untold)
        }
    };
    Ok(Source {
        from,
        document,
        raw_state,
        bytes,
        base,
        configuration,
    })
}

/// The state of a directory. The very bytes that are recorded are those that are shown.
fn live(given: &Given, from: &str) -> Result<Source, SourceError> {
    let directory = directory_of(given);
    let runner = Runner::new(&directory)?;
    let bytes = runner.pull()?;
    let from = format!("{from}: state");
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(SourceError::Empty { path: from });
    }
    let raw_state = raw_state(&from, &bytes)?;
    Ok(Source {
        document: documents::read_shown(&from, &runner.show(&bytes)?)?,
        from,
        raw_state,
        bytes,
        base: "terraform.tfstate".to_owned(),
        configuration: Configuration::At(directory),
    })
}

fn raw_state(from: &str, pulled: &[u8]) -> Result<RawState, SourceError> {
    match documents::recognise(from, pulled)? {
        Bytes::RawState(raw_state) => Ok(raw_state),
        _ => Err(SourceError::Input {
            what: from.to_owned(),
            why: "what `state pull` printed is no state".to_owned(),
        }),
    }
}

/// What the tool says of a raw plan or state.
fn show(given: &Given, from: &str, raw: &[u8]) -> Result<Document, SourceError> {
    let said = Runner::new(&directory_of(given))?.show(raw)?;
    documents::read_shown(from, &said)
}

/// Reads what there is now.
pub(super) fn to_compare(given: &Given) -> Result<Observed, SourceError> {
    let from = given.shown();
    let wrong = |why: &str| SourceError::Input {
        what: from.clone(),
        why: why.to_owned(),
    };
    let of_state = "it is what a state says, and no provider was asked: give a plan made with \
                    -refresh-only, or live:DIR";
    let Some(bytes) = given.read()? else {
        return refreshed(given, printable(&from));
    };
    let document = match documents::recognise(&from, &bytes)? {
        Bytes::Shown(document) => document,
        Bytes::RawPlan => show(given, &from, &bytes)?,
        Bytes::RawState(_) => return Err(wrong(of_state)),
    };
    match document {
        Document::Plan(plan) => Ok(Observed {
            from,
            plan,
            raw_state: RawState::default(),
            live: false,
        }),
        Document::State(_) => Err(wrong(of_state)),
    }
}

fn refreshed(given: &Given, from: String) -> Result<Observed, SourceError> {
    let runner = Runner::new(&directory_of(given))?;
    let refreshed = runner.refresh()?;
    if refreshed.targeted {
        return Err(SourceError::Tool {
            tool: from,
            why: "the plan is of some resources alone".to_owned(),
        });
    }
    let Document::Plan(plan) = documents::read_shown(&from, &refreshed.plan)? else {
        return Err(SourceError::Input {
            what: from,
            why: "what `show -json` printed of a plan is no plan".to_owned(),
        });
    };
    if plan.get("errored").and_then(serde_json::Value::as_bool) == Some(true) {
        return Err(refreshed.failure);
    }
    let pulled = runner.pull()?;
    // Where nothing was ever applied, there is no state.
    let nothing = pulled.iter().all(u8::is_ascii_whitespace);
    let raw_state = match nothing.then_some(RawState::default()) {
        Some(none) => none,
        None => raw_state(&from, &pulled)?,
    };
    Ok(Observed {
        from,
        plan,
        raw_state,
        live: true,
    })
}

/// Where to ask: the directory that was given; a file's, if the tool was set up there; else
/// here.
fn directory_of(given: &Given) -> PathBuf {
    let here = || PathBuf::from(".");
    match given {
        Given::Live(Some(directory)) => PathBuf::from(directory),
        Given::File(path) => set_up_beside(path).unwrap_or_else(here),
        _ => here(),
    }
}

/// The directory of a file, if the tool was set up there.
pub(super) fn set_up_beside(path: &Path) -> Option<PathBuf> {
    let parent = path.parent()?;
    let set_up = parent != Path::new("") && parent.join(".terraform").is_dir();
    set_up.then(|| parent.to_owned())
}
