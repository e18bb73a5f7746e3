//! Why something could not be captured. Paths in here are escaped: they may come from
//! whoever can create a file, and go to somebody's terminal.

use std::{io, path::Path};

use cairn_proto::{limits, reason::Reason};
use thiserror::Error;

use crate::detail::printable_bytes;

/// Why a capture failed, or why one thing in it could not be measured.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// It is not there, or may not be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// Which path.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// Size, times, identity or bytes are not those of a moment ago.
    #[error("{path} changed while it was read")]
    Changed {
        /// Which path.
        path: String,
    },
    /// A device, socket or pipe.
    #[error("{path} is a {what}")]
    Special {
        /// Which path.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// A name that no manifest can hold.
    #[error("the name {path} cannot be recorded")]
    Name {
        /// The name, escaped.
        path: String,
    },
    /// An input with nothing in it.
    #[error("{path} holds nothing")]
    Empty {
        /// Which input.
        path: String,
    },
    /// An OCI image layout that is not sound.
    #[error("{path}: {fault}")]
    Image {
        /// Which file of the layout.
        path: String,
        /// What is wrong with it.
        fault: ImageFault,
    },
    /// Something is to be withheld and there is no key to tag it with.
    #[error("{name} is a secret, and there is no key to record it with")]
    KeyNeeded {
        /// The first such artifact.
        name: String,
    },
    /// Two inputs would have names in common.
    #[error("two inputs are named {name}; give one another name with NAME=PATH")]
    Clash {
        /// The name.
        name: String,
    },
    /// A name to be stored in plain that nothing captured has.
    #[error("nothing here is named {name}, which was to be stored in plain")]
    UnknownPlain {
        /// The name.
        name: String,
    },
    /// More artifacts than a manifest holds.
    #[error("{found} artifacts are more than the {max} of a release", max = limits::ARTIFACTS_MAX)]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// What a deployment tool gave is not what it should be.
    #[error("{what}: {why}")]
    Input {
        /// Which file, or whose answer.
        what: String,
        /// What is wrong with it, safe to print.
        why: String,
    },
    /// A tool that is needed is not installed.
    #[error("{tool} is not installed")]
    NoTool {
        /// Which.
        tool: String,
    },
    /// A tool did not do what it was asked.
    #[error("{tool}: {why}")]
    Tool {
        /// Which.
        tool: String,
        /// What it said, safe to print.
        why: String,
    },
    /// What a tool, or a socket, stands for does not answer.
    #[error("{what}: {why}")]
    Unreachable {
        /// What.
        what: String,
        /// What was said, safe to print.
        why: String,
    },
    /// What a tool, or a socket, stands for wants credentials.
    #[error("{what}: {why}")]
    Denied {
        /// What.
        what: String,
        /// What was said, safe to print.
        why: String,
    },
    /// A tree listing longer than it may be.
    #[error("the listing of {name} is too long")]
    TreeTooLarge {
        /// The tree.
        name: String,
    },
}

impl SourceError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Unreadable { .. } => Reason::PathUnreadable,
            Self::Changed { .. } => Reason::PathChanged,
            Self::Special { .. } => Reason::PathSpecial,
            Self::Name { .. } => Reason::PathName,
            Self::Empty { .. } => Reason::PathEmpty,
            Self::Image { .. } => Reason::ImageInvalid,
            Self::KeyNeeded { .. } => Reason::SecretKey,
            Self::Clash { .. } | Self::UnknownPlain { .. } => Reason::Usage,
            Self::Input { .. } => Reason::SourceInvalid,
            Self::NoTool { .. } => Reason::ToolMissing,
            Self::Tool { .. } => Reason::ToolFailed,
            Self::Unreachable { .. } => Reason::Unreachable,
            Self::Denied { .. } => Reason::SourceDenied,
            Self::TooMany { .. } | Self::TreeTooLarge { .. } => Reason::DocumentTooLarge,
        }
    }

    /// Whether nothing else will be told either: the tool is missing, or nobody answers.
    pub(crate) fn is_of_all(&self) -> bool {
        matches!(self, Self::NoTool { .. } | Self::Unreachable { .. })
    }

    pub(crate) fn unreadable(path: &Path, error: impl Into<io::Error>) -> Self {
        Self::Unreadable {
            path: shown(path),
            error: error.into(),
        }
    }

    pub(super) fn changed(path: &Path) -> Self {
        Self::Changed { path: shown(path) }
    }

    pub(super) fn name(path: &Path) -> Self {
        Self::Name { path: shown(path) }
    }
}

/// A path as it may be shown on a terminal.
pub(crate) fn shown(path: &Path) -> String {
    printable_bytes(path.as_os_str().as_encoded_bytes())
}

/// What is wrong with an OCI image layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ImageFault {
    /// JSON that is not what its media type says.
    #[error("is not the JSON that an image layout has here")]
    Syntax,
    /// A JSON blob that is longer than any real one.
    #[error("is longer than a manifest may be")]
    TooLarge,
    /// Both an index and a manifest, or of another media type than its descriptor says.
    #[error("does not have the media type that its descriptor states")]
    MediaType,
    /// A digest that is not `sha256:` and 64 lower-case hex digits.
    #[error("names a blob by an unsupported digest")]
    Digest,
    /// A blob that is named but not there.
    #[error("is named by the image but missing")]
    Missing,
    /// A blob whose bytes are not those that are named.
    #[error("does not match the digest or size that the image states")]
    Mismatch,
    /// Indexes within indexes, beyond any real image.
    #[error("is nested too deeply")]
    TooDeep,
    /// More links than any real image has.
    #[error("links to too many blobs")]
    TooMany,
}
