//! Captures of real files in temporary directories.
#![allow(clippy::unwrap_used)]

mod content;
mod files;
mod images;
mod inputs;
mod secrets;
mod trees;

use std::{
    fs,
    path::{Path, PathBuf},
};

use cairn_proto::{
    manifest::{Comparison, Manifest},
    reason::Reason,
};
use tempfile::TempDir;

use super::{
    Capture, CaptureOptions, Input, Progress, Purpose, Recorded, SourceError, TagContext, TagKey,
    capture,
};

/// A directory with files in it, given as (path, content).
pub(crate) fn directory(files: &[(&str, &[u8])]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (path, content) in files {
        put(directory.path(), path, content);
    }
    directory
}

pub(crate) fn put(root: &Path, path: &str, content: &[u8]) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

pub(crate) fn input(path: impl Into<PathBuf>) -> Input {
    Input {
        name: None,
        path: path.into(),
    }
}

pub(crate) fn tags() -> TagContext {
    tags_with(7)
}

pub(crate) fn tags_with(byte: u8) -> TagContext {
    TagContext {
        environment: "prod/shop".parse().unwrap(),
        key: TagKey::new([byte; 32]),
    }
}

pub(crate) fn record(path: &Path) -> Capture {
    try_record(path).unwrap()
}

pub(crate) fn try_record(path: &Path) -> Result<Capture, SourceError> {
    let options = CaptureOptions::new(Purpose::Record);
    capture(&[input(path)], &options, Some(&tags()), &())
}

/// The reason for which recording a directory is refused.
pub(crate) fn refusal(path: &Path) -> Reason {
    try_record(path).unwrap_err().reason()
}

pub(crate) fn manifest(capture: &Capture) -> Manifest {
    Manifest::new(capture.artifacts.clone(), Comparison::default()).unwrap()
}

pub(crate) fn verify(path: &Path, recorded: &Recorded<'_>) -> Capture {
    let options = CaptureOptions::new(Purpose::Verify(recorded));
    capture(&[input(path)], &options, Some(&tags()), &()).unwrap()
}

pub(crate) fn names(capture: &Capture) -> Vec<&str> {
    capture
        .artifacts
        .iter()
        .map(|artifact| artifact.name.as_str())
        .collect()
}

/// Does something at the first call, once: what a hostile neighbour would.
pub(crate) struct Once<F: Fn() + Sync> {
    what: F,
    done: std::sync::Once,
    when_planned: bool,
}

impl<F: Fn() + Sync> Once<F> {
    pub(crate) fn after_the_walk(what: F) -> Self {
        Self {
            what,
            done: std::sync::Once::new(),
            when_planned: true,
        }
    }

    pub(crate) fn after_a_read(what: F) -> Self {
        Self {
            when_planned: false,
            ..Self::after_the_walk(what)
        }
    }
}

impl<F: Fn() + Sync> Progress for Once<F> {
    fn planned(&self, _: usize, _: u64) {
        if self.when_planned {
            self.done.call_once(&self.what);
        }
    }

    fn read(&self, _: usize) {
        if !self.when_planned {
            self.done.call_once(&self.what);
        }
    }
}
