//! What a registry has that is no image: an artifact of one kind, and its one layer.

use serde::Deserialize;

use super::{
    graph::{self, wrong},
    reference::Reference,
    registry,
};
use crate::sources::{
    SourceError,
    layout::{Descriptor, INDEXES},
};

/// How a kind of artifact is told, by media types.
pub(in crate::systems) struct Kind {
    /// What people call one.
    pub(in crate::systems) name: &'static str,
    /// Of its configuration.
    pub(in crate::systems) config: &'static str,
    /// Of the layer that holds it; others may stand beside it.
    pub(in crate::systems) layer: &'static str,
    /// Bytes that this layer may have.
    pub(in crate::systems) bytes_max: u64,
}

/// An artifact, by bytes that hash to what the registry and its manifest say.
pub(in crate::systems) struct Artifact {
    /// In one spelling.
    pub(in crate::systems) reference: String,
    pub(in crate::systems) manifest: Vec<u8>,
    pub(in crate::systems) layer: Vec<u8>,
}

/// The part of its manifest that leads on.
#[derive(Deserialize)]
struct Parts {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// Fetches one by its reference.
pub(in crate::systems) fn fetch(text: &str, kind: &Kind) -> Result<Artifact, SourceError> {
    let named = text.rsplit_once('/').map_or("", |(_, named)| named);
    let reference = Reference::parse(text).filter(|_| named.contains([':', '@']));
    let reference = reference.ok_or_else(|| {
        let why = format!("say which {}: REGISTRY/REPOSITORY:TAG", kind.name);
        wrong(text, why)
    })?;
    registry::apart(&reference, |registry| {
        let from = reference.to_string();
        let other = |why: &str| wrong(&from, format!("it is no {}: {why}", kind.name));
        let (link, manifest) = registry.top(&reference)?;
        if INDEXES.contains(&link.media_type.as_str()) {
            return Err(other("it is an index of several"));
        }
        let parts: Parts = graph::read(&manifest).map_err(|error| other(&error))?;
        if parts.config.media_type != kind.config {
            return Err(other(&format!("it is a {}", parts.config.media_type)));
        }
        let mut layers = parts.layers.iter();
        let mut layers = layers.by_ref().filter(|it| it.media_type == kind.layer);
        let (Some(layer), None) = (layers.next(), layers.next()) else {
            return Err(other(&format!(
                "it has not one layer that is a {}",
                kind.layer
            )));
        };
        let link = graph::link(&from, layer)?;
        let layer = registry.by_digest("blobs", &link, kind.bytes_max)?;
        Ok(Artifact {
            reference: from.clone(),
            manifest,
            layer,
        })
    })
}
