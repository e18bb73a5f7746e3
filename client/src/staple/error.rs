//! Why a bundle was not stapled, or none was found.

use std::io;

use cairn_proto::reason::Reason;
use thiserror::Error;

use crate::sources::SourceError;

/// Why stapling, or finding what is stapled, ended. Paths in here are safe to print.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StapleError {
    /// The layout itself.
    #[error(transparent)]
    Layout(#[from] SourceError),
    /// The words name no image of the layout, or more than one.
    #[error("{layout} holds {found} images of that name ({known}); name one as LAYOUT:TAG")]
    Tag {
        /// Which layout.
        layout: String,
        /// How many images the words fit.
        found: usize,
        /// The tags that there are.
        known: String,
    },
    /// Nothing fitting is stapled to the image.
    #[error("no bundle of {wanted} is stapled to {subject}; there are: {there}")]
    Missing {
        /// Of which environment.
        wanted: String,
        /// The image's digest.
        subject: String,
        /// What is stapled to it.
        there: String,
    },
    /// Several fit, and nothing says which.
    #[error("several bundles are stapled to {subject}: {there}")]
    Several {
        /// The image's digest.
        subject: String,
        /// Which.
        there: String,
    },
    /// What is stapled is not in the one form.
    #[error("{path}: {fault}")]
    Invalid {
        /// Which file of the layout.
        path: String,
        /// What is wrong with it.
        fault: StapleFault,
    },
    /// What is to be stapled is older than what is there.
    #[error("a newer bundle is stapled already: {there}; this one is {new}")]
    Newer {
        /// What is there.
        there: String,
        /// What was to be stapled.
        new: String,
    },
    /// The layout cannot be written to.
    #[error("{path}: {error}")]
    Write {
        /// Which file of the layout.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// Somebody else is at it.
    #[error("another process is changing {layout}")]
    Busy {
        /// Which layout.
        layout: String,
    },
}

/// What is wrong with something stapled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StapleFault {
    /// A descriptor of the artifact type in another spelling.
    #[error("names a bundle in a form that cairn does not write")]
    Descriptor,
    /// The bytes are not as many as their descriptor says.
    #[error("does not have the size that its descriptor states")]
    Size,
    /// The bytes do not hash to what their descriptor says.
    #[error("does not have the digest that its descriptor states")]
    Digest,
    /// A blob that is named and not there.
    #[error("is named by a staple but missing")]
    Gone,
    /// A manifest in another spelling, or one that says other things than its descriptor.
    #[error("is not the manifest that its descriptor promises")]
    Manifest,
    /// A bundle that says other things than its manifest, or none at all.
    #[error("is not the bundle that its manifest promises")]
    Bundle,
}

impl StapleError {
    /// The stable code.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Layout(error) => error.reason(),
            Self::Tag { .. } => Reason::Usage,
            Self::Missing { .. } => Reason::StapleMissing,
            Self::Several { .. } => Reason::StapleAmbiguous,
            Self::Invalid { .. } => Reason::StapleInvalid,
            Self::Newer { .. } => Reason::StapleNewer,
            Self::Write { .. } => Reason::PathUnreadable,
            Self::Busy { .. } => Reason::PathChanged,
        }
    }
}
