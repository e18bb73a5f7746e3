//! An image that a registry has, with all that its manifests lead to.

use cairn_proto::hash::Sha256;

use super::{
    graph::{self, Blobs, Link, Traced},
    reference::Reference,
    registry::{self, Registry},
};
use crate::sources::{SourceError, layout::JSON_BYTES_MAX};

/// Asks a registry for an image.
pub(super) fn image(reference: &Reference) -> Result<Traced, SourceError> {
    registry::apart(reference, |registry| ask(reference, registry))
}

fn ask(reference: &Reference, registry: &mut Registry) -> Result<Traced, SourceError> {
    let from = registry.name().to_owned();
    let (link, bytes) = registry.top(reference)?;
    let mut blobs = Known {
        top: Some((link.digest, bytes)),
        registry,
    };
    let mut traced = graph::trace(&mut blobs, Some(from), link)?;
    if reference.digest.is_some() && traced.image.top() != reference.digest {
        // Of a manifest that names no image, nothing was laid down.
        traced.image.digest = reference.digest;
    }
    Ok(traced)
}

/// A registry, and what it was asked for first.
struct Known<'r> {
    top: Option<(Sha256, Vec<u8>)>,
    registry: &'r mut Registry,
}

impl Blobs for Known<'_> {
    fn from(&self) -> &str {
        self.registry.name()
    }

    fn manifest(&mut self, link: &Link) -> Result<Option<Vec<u8>>, SourceError> {
        match self.top.take() {
            Some((digest, bytes)) if digest == link.digest => Ok(Some(bytes)),
            _ => self
                .registry
                .by_digest("manifests", link, JSON_BYTES_MAX)
                .map(Some),
        }
    }

    fn config(&mut self, link: &Link) -> Result<Option<Vec<u8>>, SourceError> {
        self.registry
            .by_digest("blobs", link, JSON_BYTES_MAX)
            .map(Some)
    }

    fn layer(&mut self, _: &Link) -> Result<(), SourceError> {
        Ok(())
    }
}
