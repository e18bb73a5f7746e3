//! The recorded objects of deployment tools: many small contents, several fetched at once; and
//! how to deploy again what a release recorded.

use std::collections::BTreeMap;

use cairn_proto::manifest::{Artifact, ArtifactKind, Bytes, Withheld};
use futures_util::StreamExt as _;

use super::{Erasure, Proven, Reference, content::Want};
use crate::{
    error::ClientError,
    ledger::Ledger,
    sources::Recorded,
    systems::{self, Realised},
};

/// Fetches at once.
const FETCHES: usize = 16;
/// Bytes of an object: what an adapter reads at most.
const OBJECT_BYTES_MAX: usize = 64 << 20;
/// Bytes of all objects that are held at once.
const OBJECTS_BYTES_MAX: u64 = 512 << 20;
/// Objects of one sort that are looked at to say how to deploy them again.
const REALISED_MAX: usize = 64;

/// A recorded object, to be given to the tool again.
#[derive(Debug, Clone)]
pub struct RecordedObject {
    /// Its name.
    pub name: String,
    /// What the tool said of it; none where parts of it are withheld, or where it was erased.
    pub bytes: Option<Vec<u8>>,
    /// By which order, if it was erased.
    pub erased: Option<Erasure>,
}

impl Ledger {
    /// Fetches recorded objects, in the order of their names.
    pub(crate) async fn objects<'a>(
        &self,
        proven: &'a Proven,
        wanted: impl Iterator<Item = &'a Artifact>,
    ) -> Vec<(&'a Artifact, Result<Option<Vec<u8>>, ClientError>)> {
        let mut room = OBJECTS_BYTES_MAX;
        let fetches = wanted.filter_map(|artifact| {
            let Bytes::Stored { digests, size } = artifact.bytes else {
                return None;
            };
            // What there is no room for is not at hand, and so never a match.
            room = room.checked_sub(size)?;
            let want = Want {
                environment: &proven.release.environment,
                sequence: proven.release.sequence,
                digests,
                size,
                name: artifact.name.as_str(),
            };
            Some(async move { (artifact, self.fetch(&want, OBJECT_BYTES_MAX).await) })
        });
        // Made before they are polled: the stream is over futures and nothing else.
        let fetches: Vec<_> = fetches.collect();
        futures_util::stream::iter(fetches)
            .buffered(FETCHES)
            .collect()
            .await
    }

    /// The objects of a release at or below a name, as the tool can read them again.
    pub async fn restore_objects(
        &self,
        reference: &Reference,
        below: &str,
    ) -> Result<Vec<RecordedObject>, ClientError> {
        let proven = self.resolve(reference).await?;
        let mut restored = Vec::new();
        let fetched = self.objects(&proven, objects_below(&proven, below)).await;
        if fetched.len() < objects_below(&proven, below).count() {
            return Err(ClientError::TooLarge {
                what: "all of these objects together",
            });
        }
        for (artifact, fetched) in fetched {
            let name = artifact.name.to_string();
            let bytes = match fetched {
                // The others can be put back all the same.
                Err(ClientError::Erased(erasure)) => {
                    let (bytes, erased) = (None, Some(erasure));
                    restored.push(RecordedObject {
                        name,
                        bytes,
                        erased,
                    });
                    continue;
                }
                fetched => fetched?,
            };
            let bytes = bytes.ok_or(ClientError::TooLarge { what: "an object" })?;
            let tag = Withheld::IN_OBJECT.as_bytes();
            let withheld = memchr::memmem::find(&bytes, tag).is_some();
            restored.push(RecordedObject {
                name,
                bytes: (!withheld).then_some(bytes),
                erased: None,
            });
        }
        if restored.is_empty() {
            return Err(ClientError::NotFound {
                what: format!("an object at or below {below} in {reference}"),
            });
        }
        Ok(restored)
    }

    /// How each deployment tool brings about what a release recorded.
    pub async fn realised(&self, reference: &Reference) -> Result<Vec<Realised>, ClientError> {
        let proven = self.resolve(reference).await?;
        let mut realised = Vec::new();
        for system in systems::ALL {
            let mut recorded = Recorded::new(&proven.manifest);
            // Of each sort: behind many resources, a template is the last by its name.
            let mut of_sort = BTreeMap::<_, usize>::new();
            let wanted = objects_below(&proven, system.name()).filter(|artifact| {
                let count = of_sort.entry(artifact.media_type.as_deref()).or_default();
                *count += 1;
                *count <= REALISED_MAX
            });
            let mut any = false;
            for (artifact, fetched) in self.objects(&proven, wanted).await {
                any = true;
                // What cannot be had is left out of the advice: the release stands without it.
                if let Ok(Some(bytes)) = fetched {
                    let _ = recorded.add_object(&artifact.name, &bytes);
                }
            }
            if any && let Some(command) = system.realise(&reference.to_string(), &recorded) {
                realised.push(Realised {
                    system: system.name(),
                    command,
                });
            }
        }
        Ok(realised)
    }
}

fn objects_below<'a>(proven: &'a Proven, below: &'a str) -> impl Iterator<Item = &'a Artifact> {
    let artifacts = proven.manifest.artifacts().iter();
    artifacts.filter(move |artifact| {
        let rest = artifact.name.as_str().strip_prefix(below);
        artifact.kind == ArtifactKind::Object
            && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}
