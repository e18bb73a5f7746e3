//! An image layout that is read: its images by tag, its blobs by descriptor, its staples.
//!
//! Invariant: every blob that is handed out has the size and the SHA-256 that its descriptor
//! states, and was reached through no symbolic link below the layout's own path.

use std::{
    ffi::OsStr,
    io::{self, Read as _},
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use cairn_proto::{
    hash::{Sequence, Sha256},
    limits::BUNDLE_BYTES_MAX,
    name::Environment,
};
use serde::Deserialize;

use super::{
    StapleError, StapleFault,
    form::{self, Claim, Link, Staple},
    index::Index,
};
use crate::{
    detail::printable,
    sources::{
        ImageFault, Root, SourceError,
        layout::{Descriptor, Document, JSON_BYTES_MAX},
        shown,
    },
};

const TAG: &str = "org.opencontainers.image.ref.name";
/// Tags that an error lists.
const TAGS_SHOWN: usize = 8;

/// Which image of which layout, as `skopeo` and `umoci` are told: `LAYOUT[:TAG]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The layout's directory.
    pub directory: PathBuf,
    /// Which of its images; the only one where `None`.
    pub tag: Option<String>,
}

impl At {
    /// Reads `LAYOUT[:TAG]`: the directory ends at the first colon, since tags have some too.
    pub fn parse(text: &OsStr) -> Self {
        let bytes = text.as_bytes();
        let colon = bytes.iter().position(|byte| *byte == b':');
        let (directory, tag) = match colon.and_then(|at| bytes.split_at_checked(at)) {
            Some((directory, tag)) => (directory, Some(tag.get(1..).unwrap_or_default())),
            None => (bytes, None),
        };
        let tag = tag.map(|tag| String::from_utf8_lossy(tag).into_owned());
        Self {
            directory: OsStr::from_bytes(directory).into(),
            tag: tag.filter(|tag| !tag.is_empty()),
        }
    }
}

/// A bundle that is stapled to an image.
#[derive(Debug, Clone)]
pub struct Found {
    /// The bundle's bytes: evidence, not trust.
    pub bytes: Vec<u8>,
    /// Whose release it says it is of.
    pub environment: Environment,
    /// Which.
    pub sequence: Sequence,
    /// The digest of the image that it is stapled to.
    pub subject: String,
}

/// The bundle of an environment that is stapled to an image; of whichever environment where
/// `wanted` is none of those that have one and only one is there.
pub fn find(at: &At, wanted: Option<&Environment>) -> Result<Found, StapleError> {
    let layout = Layout::open(&at.directory)?;
    let text = layout.index()?;
    let index = layout.parsed(&text)?;
    let subject = layout.subject(&index, at.tag.as_deref())?;
    if index.odd > 0 {
        return Err(layout.invalid("index.json", StapleFault::Descriptor));
    }
    let mut of_image = Vec::new();
    for claim in &index.staples {
        match layout.staple(claim) {
            Ok(staple) if staple.subject == subject => of_image.push(staple),
            Ok(_) => {}
            // What is not asked for may be damaged.
            Err(_) if wanted.is_some_and(|wanted| *wanted != claim.environment) => {}
            Err(error) => return Err(error),
        }
    }
    let there = || {
        let named = of_image
            .iter()
            .map(|it| named(&it.environment, it.sequence));
        let named: Vec<_> = named.collect();
        if named.is_empty() {
            "none".to_owned()
        } else {
            named.join(", ")
        }
    };
    let fits = |staple: &&Staple| wanted.is_none_or(|wanted| *wanted == staple.environment);
    let mut fitting = of_image.iter().filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some(staple), None) => Ok(Found {
            bytes: layout.bundle(staple)?,
            environment: staple.environment.clone(),
            sequence: staple.sequence,
            subject: subject.digest().to_owned(),
        }),
        (None, _) => Err(StapleError::Missing {
            wanted: wanted.map_or_else(|| "any environment".to_owned(), ToString::to_string),
            subject: subject.digest().to_owned(),
            there: there(),
        }),
        (Some(_), Some(_)) => Err(StapleError::Several {
            subject: subject.digest().to_owned(),
            there: there(),
        }),
    }
}

/// `env#12`.
pub(super) fn named(environment: &Environment, sequence: Sequence) -> String {
    format!("{environment}#{sequence}")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// A layout's directory.
pub(super) struct Layout {
    root: Root,
}

impl Layout {
    /// Opens one; a symbolic link in its own path is followed, this once.
    pub(super) fn open(directory: &Path) -> Result<Self, StapleError> {
        let unreadable = |error| SourceError::unreadable(directory, error);
        let root = Root::open(directory).map_err(unreadable)?;
        let layout = Self { root };
        let marker = layout.file("oci-layout", JSON_BYTES_MAX)?;
        let marker: Option<Marker> = serde_json::from_slice(&marker).ok();
        let sound = marker.is_some_and(|it| it.image_layout_version.starts_with("1."));
        sound
            .then_some(layout)
            .ok_or_else(|| image(&directory.join("oci-layout"), ImageFault::Syntax))
    }

    /// The text of `index.json`.
    pub(super) fn index(&self) -> Result<String, StapleError> {
        let bytes = self.file("index.json", JSON_BYTES_MAX)?;
        String::from_utf8(bytes).map_err(|_| self.fault("index.json", ImageFault::Syntax))
    }

    /// The same, taken apart.
    pub(super) fn parsed<'t>(&self, text: &'t str) -> Result<Index<'t>, StapleError> {
        let syntax = || self.fault("index.json", ImageFault::Syntax);
        let document: Document = serde_json::from_str(text).map_err(|_| syntax())?;
        let own = crate::sources::layout::INDEXES.first().copied();
        document
            .check_type(own.unwrap_or_default())
            .map_err(|fault| self.fault("index.json", fault))?;
        Index::read(text).ok_or_else(syntax)
    }

    /// The image that a tag names, or the only one; it is there, and what it says it is.
    pub(super) fn subject(
        &self,
        index: &Index<'_>,
        tag: Option<&str>,
    ) -> Result<Link, StapleError> {
        let mut found = Vec::new();
        let mut tags = Vec::new();
        for text in &index.others {
            let syntax = |_| self.fault("index.json", ImageFault::Syntax);
            let descriptor: Descriptor = serde_json::from_str(text).map_err(syntax)?;
            let named = descriptor.annotations.as_ref().and_then(|it| it.get(TAG));
            tags.extend(named.map(|tag| printable(tag)));
            // What refers to another image is none that could be meant without its tag.
            let own = descriptor.artifact_type.is_none() && form::is_image(&descriptor.media_type);
            if tag.map_or(own, |tag| named.is_some_and(|named| named == tag)) {
                found.push(descriptor);
            }
        }
        let [descriptor] = found.as_slice() else {
            let more = tags.len() > TAGS_SHOWN;
            tags.truncate(TAGS_SHOWN);
            tags.extend(more.then(|| "and more".to_owned()));
            return Err(StapleError::Tag {
                layout: shown(&self.root.path(OsStr::new(""))),
                found: found.len(),
                known: if tags.is_empty() {
                    "no tags".to_owned()
                } else {
                    tags.join(", ")
                },
            });
        };
        let hex = descriptor.digest.strip_prefix("sha256:");
        let digest = hex
            .and_then(|hex| hex.parse::<Sha256>().ok())
            .ok_or_else(|| self.fault("index.json", ImageFault::Digest))?;
        if !form::is_image(&descriptor.media_type) {
            return Err(self.fault("index.json", ImageFault::MediaType));
        }
        let link = Link::new(&descriptor.media_type, &digest, descriptor.size);
        let name = blob(&digest);
        let bytes = match self.blob(&link, JSON_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(StapleError::Invalid { fault, .. }) => {
                let fault = match fault {
                    StapleFault::Gone => ImageFault::Missing,
                    _ => ImageFault::Mismatch,
                };
                return Err(self.fault(&name, fault));
            }
            Err(error) => return Err(error),
        };
        let document: Document =
            serde_json::from_slice(&bytes).map_err(|_| self.fault(&name, ImageFault::Syntax))?;
        document
            .check_type(&link.media_type)
            .map_err(|fault| self.fault(&name, fault))?;
        Ok(link)
    }

    /// What a descriptor of a staple leads to, without the bundle.
    pub(super) fn staple(&self, claim: &Claim) -> Result<Staple, StapleError> {
        let bytes = self.blob(&claim.manifest, form::MANIFEST_BYTES_MAX)?;
        let wrong = || self.invalid(&name_of(&claim.manifest), StapleFault::Manifest);
        let staple = Staple::read(&bytes).filter(|staple| staple.is_of(claim));
        staple.ok_or_else(wrong)
    }

    /// The bundle of a staple, which says of itself what the staple says.
    pub(super) fn bundle(&self, staple: &Staple) -> Result<Vec<u8>, StapleError> {
        self.blob(&form::empty(), form::MANIFEST_BYTES_MAX)?;
        let bytes = self.blob(&staple.bundle, BUNDLE_BYTES_MAX as u64)?;
        let said = form::said_of(&bytes);
        if said == Some((staple.environment.clone(), staple.sequence)) {
            Ok(bytes)
        } else {
            Err(self.invalid(&name_of(&staple.bundle), StapleFault::Bundle))
        }
    }

    /// A blob, by its descriptor.
    pub(super) fn blob(&self, link: &Link, bytes_max: u64) -> Result<Vec<u8>, StapleError> {
        let name = name_of(link);
        if link.size > bytes_max {
            return Err(self.fault(&name, ImageFault::TooLarge));
        }
        let bytes = match self.file(&name, link.size) {
            Ok(bytes) => bytes,
            Err(StapleError::Layout(SourceError::Unreadable { error, .. }))
                if error.kind() == io::ErrorKind::NotFound =>
            {
                return Err(self.invalid(&name, StapleFault::Gone));
            }
            Err(StapleError::Layout(SourceError::Image {
                fault: ImageFault::TooLarge,
                ..
            })) => return Err(self.invalid(&name, StapleFault::Size)),
            Err(error) => return Err(error),
        };
        let found = Link::of(&link.media_type, &bytes);
        if found.size != link.size {
            return Err(self.invalid(&name, StapleFault::Size));
        }
        if found.digest() != link.digest() {
            return Err(self.invalid(&name, StapleFault::Digest));
        }
        Ok(bytes)
    }

    fn file(&self, name: &str, bytes_max: u64) -> Result<Vec<u8>, StapleError> {
        let path = self.root.path(OsStr::new(name));
        let unreadable = |error| SourceError::unreadable(&path, error);
        let file = self.root.open_file(OsStr::new(name)).map_err(unreadable)?;
        if !file.metadata().map_err(unreadable)?.is_file() {
            let what = "directory or special file";
            let path = shown(&path);
            return Err(SourceError::Special { path, what }.into());
        }
        let mut bytes = Vec::new();
        file.take(bytes_max.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(unreadable)?;
        if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > bytes_max {
            return Err(image(&path, ImageFault::TooLarge));
        }
        Ok(bytes)
    }

    fn fault(&self, name: &str, fault: ImageFault) -> StapleError {
        image(&self.root.path(OsStr::new(name)), fault)
    }

    pub(super) fn invalid(&self, name: &str, fault: StapleFault) -> StapleError {
        StapleError::Invalid {
            path: shown(&self.root.path(OsStr::new(name))),
            fault,
        }
    }

    pub(super) fn root(&self) -> &Root {
        &self.root
    }
}

fn image(path: &Path, fault: ImageFault) -> StapleError {
    let path = shown(path);
    SourceError::Image { path, fault }.into()
}

/// The name of a blob below its layout.
pub(super) fn blob(digest: &Sha256) -> String {
    format!("blobs/sha256/{digest}")
}

/// The name of the blob of a descriptor.
pub(super) fn name_of(link: &Link) -> String {
    link.sha256()
        .map(|digest| blob(&digest))
        .unwrap_or_default()
}
