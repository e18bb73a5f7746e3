//! What is there: files, directories, trees of many files, OCI image layouts.
//!
//! [`capture`] serves `record` (what to record) and `verify` (what is there now); only the
//! [`Purpose`] differs. Invariants: nothing below an input is reached through a symbolic
//! link, nothing is skipped silently, every digest is over raw bytes that did not change
//! while they were read, and what looks like a secret is recorded by a keyed tag alone.
//! Out of scope: comparing ([`crate::compare`]), sending, anything but local files.
//!
//! ```text
//! Input --open--> Opened --walk--> Plan --measure--> Results --assemble--> Capture
//! ```

mod assemble;
mod content;
mod error;
mod input;
pub(crate) mod layout;
mod measure;
mod measured;
mod plan;
mod recorded;
mod root;
mod sniff;
mod staples;
#[cfg(test)]
pub(crate) mod tests;
mod walk;

use std::collections::{BTreeMap, BTreeSet};

use cairn_proto::{
    hash::ContentId,
    manifest::{Artifact, ArtifactKind, Comparison, Mode, Profile},
    name::{ArtifactName, Environment},
    reason::Reason,
    secret::TagKey,
    tree::Tree,
};

use bytes::Bytes;
use serde_json::Value;

use crate::detail::printable;

pub use content::{Content, ContentSource, FileSource, HashingReader};
pub(crate) use error::shown;
pub use error::{ImageFault, SourceError};
pub(crate) use input::base_name;
pub use input::{Covered, Input};
pub(crate) use recorded::ancestors;
pub use recorded::{ListingError, Recorded};
pub(crate) use root::{Root, open_below};
pub(crate) use sniff::looks_secret;

/// What a capture is for.
#[derive(Debug, Clone, Copy)]
pub enum Purpose<'a> {
    /// To record what is there. Whatever stands in the way is an error.
    Record,
    /// To compare with what was recorded, in the shapes in which it was. What stands in the
    /// way is listed as unmeasured.
    Verify(&'a Recorded<'a>),
}

/// What becomes of the layers of images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layers {
    /// Only their digests are recorded.
    #[default]
    External,
    /// Their bytes are stored.
    Stored,
}

/// How to capture.
#[derive(Debug, Clone)]
pub struct CaptureOptions<'a> {
    /// What for.
    pub purpose: Purpose<'a>,
    /// Names of artifacts (of files of trees: `tree/file`) to be stored in plain though
    /// they look like secrets. Recording refuses a name that nothing has.
    pub store_plain: BTreeSet<String>,
    /// What becomes of layers.
    pub layers: Layers,
}

impl<'a> CaptureOptions<'a> {
    /// Secrets withheld, layers external.
    pub fn new(purpose: Purpose<'a>) -> Self {
        Self {
            purpose,
            store_plain: BTreeSet::new(),
            layers: Layers::External,
        }
    }
}

/// What tags of withheld values are made with.
#[derive(Debug, Clone)]
pub struct TagContext {
    /// The environment that the values belong to.
    pub environment: Environment,
    /// Its key.
    pub key: TagKey,
}

/// Is told how a capture goes on; called by several threads.
pub trait Progress: Sync {
    /// The inputs were walked: so many files, links and directories, and bytes to read.
    fn planned(&self, _files: usize, _bytes: u64) {}
    /// So many more bytes were read.
    fn read(&self, _bytes: usize) {}
    /// One more file is done.
    fn file_done(&self) {}
}

impl Progress for () {}

/// Something that was found and could not be measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmeasured {
    /// Its name, where a manifest could hold it. All below it is unmeasured as well.
    pub name: Option<ArtifactName>,
    /// The name, or else the path, safe to print.
    pub shown: String,
    /// Its permission bits, where they are known.
    pub mode: Option<Mode>,
    /// The stable code; [`Reason::SecretKey`] for a withheld value without its key.
    pub reason: Reason,
    /// What is wrong, safe to print.
    pub why: String,
}

impl Unmeasured {
    fn new(name: Option<ArtifactName>, mode: Option<Mode>, error: &SourceError) -> Self {
        let shown = match (&name, error) {
            (Some(name), _) => printable(name.as_str()),
            (None, SourceError::Name { path }) => path.clone(),
            (None, error) => error.to_string(),
        };
        Self {
            name,
            shown,
            mode,
            reason: error.reason(),
            why: error.to_string(),
        }
    }
}

/// What is there.
#[derive(Debug)]
pub struct Capture {
    /// Everything but the files of trees, sorted by name.
    pub artifacts: Vec<Artifact>,
    /// The listings of the trees among them.
    pub trees: BTreeMap<ArtifactName, Tree>,
    /// All bytes that they name, each once and sorted by id, without the empty content and
    /// what is external or withheld.
    pub contents: Vec<Content>,
    /// Files, links and empty directories, those of trees included, and parts of images not.
    pub files: usize,
    /// Images: `index.json` of layouts.
    pub images: usize,
    /// Objects of deployment tools.
    pub objects_found: usize,
    /// What the release was made from.
    pub inputs: usize,
    /// What was observed of objects, to be compared by fields; empty when recording.
    pub objects: BTreeMap<ArtifactName, Bytes>,
    /// Bytes of all of them.
    pub bytes: u64,
    /// What is withheld, those in trees included.
    pub withheld: Vec<ArtifactName>,
    /// What people should know, safe to print.
    pub notes: Vec<String>,
    /// What could not be measured; empty when recording.
    pub unmeasured: Vec<Unmeasured>,
    /// Which names this speaks for: one of them that is not here is missing.
    pub covered: Vec<Covered>,
}

impl Capture {
    /// The artifact of a name.
    pub fn artifact(&self, name: &str) -> Option<&Artifact> {
        let position = self
            .artifacts
            .binary_search_by(|artifact| artifact.name.as_str().cmp(name))
            .ok()?;
        self.artifacts.get(position)
    }

    /// The content of an id.
    pub fn content(&self, id: &ContentId) -> Option<&Content> {
        let position = self
            .contents
            .binary_search_by(|content| content.id.cmp(id))
            .ok()?;
        self.contents.get(position)
    }

    /// What was observed of an object.
    pub(crate) fn object(&self, name: &str) -> Option<Value> {
        let bytes = self.objects.get(&name.parse::<ArtifactName>().ok()?)?;
        serde_json::from_slice(bytes).ok()
    }

    /// How a release of these artifacts is compared, as was asked for.
    pub fn compared_by(&self, asked: Comparison) -> Comparison {
        let mut artifacts = self.artifacts.iter();
        let objects = artifacts.any(|artifact| artifact.kind.is_of_objects());
        let profile = if objects {
            Profile::Objects
        } else {
            Profile::Files
        };
        Comparison { profile, ..asked }
    }

    /// Puts everything in its order.
    pub(crate) fn sort(&mut self) {
        self.artifacts
            .sort_unstable_by(|left, right| left.name.cmp(&right.name));
        self.contents.sort_by_key(|content| content.id);
        self.contents.dedup_by_key(|content| content.id);
    }

    /// Whether the inputs hold, or would hold, an artifact of that name.
    pub fn covers(&self, name: &ArtifactName) -> bool {
        self.covered.iter().any(|covered| covered.covers(name))
    }
}

/// Whether an artifact is counted with its image and not as a file.
pub(crate) fn is_image_part(kind: ArtifactKind) -> bool {
    matches!(
        kind,
        ArtifactKind::Image
            | ArtifactKind::ImageIndex
            | ArtifactKind::ImageManifest
            | ArtifactKind::ImageConfig
            | ArtifactKind::ImageLayer
    )
}

/// Measures what the inputs hold. `tags` is needed for what is withheld: recording without
/// it ends with [`SourceError::KeyNeeded`]; verifying leaves such artifacts unmeasured.
pub fn capture(
    inputs: &[Input],
    options: &CaptureOptions<'_>,
    tags: Option<&TagContext>,
    progress: &dyn Progress,
) -> Result<Capture, SourceError> {
    let recorded = match options.purpose {
        Purpose::Record => None,
        Purpose::Verify(recorded) => Some(recorded),
    };
    let opened = input::open_all(inputs, recorded)?;
    let plan = plan::Plan::make(opened, options)?;
    progress.planned(plan.items.len(), plan.bytes);
    let meter = measure::Meter {
        tags,
        progress,
        stop_at_error: recorded.is_none(),
    };
    assemble::assemble(plan, &meter, options)
}
