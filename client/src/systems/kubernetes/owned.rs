//! What is read of pods, and of what stands between them and their workload: as little as tells
//! what runs. A namespace may have thousands.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

/// What kubectl prints of several.
#[derive(Deserialize)]
pub(super) struct List<T> {
    pub(super) items: Vec<T>,
}

/// Some servers say null where others say nothing.
fn nothing_or<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// An object that another one controls.
#[derive(Deserialize)]
pub(super) struct Owned {
    pub(super) metadata: Metadata,
}

/// What it is called, and whose it is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    uid: String,
    #[serde(default, deserialize_with = "nothing_or")]
    labels: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "nothing_or")]
    annotations: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "nothing_or")]
    owner_references: Vec<Owner>,
    deletion_timestamp: Option<String>,
}

#[derive(Deserialize)]
struct Owner {
    uid: String,
    #[serde(default, deserialize_with = "nothing_or")]
    controller: bool,
}

/// A pod.
#[derive(Deserialize)]
pub(super) struct Pod {
    pub(super) metadata: Metadata,
    pub(super) spec: Spec,
    #[serde(default, deserialize_with = "nothing_or")]
    status: Status,
}

/// Its containers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec {
    #[serde(default, deserialize_with = "nothing_or")]
    pub(super) containers: Vec<Container>,
    #[serde(default, rename = "initContainers", deserialize_with = "nothing_or")]
    pub(super) init: Vec<Container>,
    #[serde(
        default,
        rename = "ephemeralContainers",
        deserialize_with = "nothing_or"
    )]
    pub(super) ephemeral: Vec<Container>,
}

/// One of them.
#[derive(Deserialize)]
pub(super) struct Container {
    pub(super) name: String,
    #[serde(default)]
    pub(super) image: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    phase: Option<String>,
    #[serde(default, deserialize_with = "nothing_or")]
    container_statuses: Vec<Started>,
    #[serde(default, deserialize_with = "nothing_or")]
    init_container_statuses: Vec<Started>,
}

#[derive(Deserialize)]
struct Started {
    name: String,
    #[serde(default, rename = "imageID")]
    image_id: String,
}

impl Metadata {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn uid(&self) -> &str {
        &self.uid
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels.get(name).map(String::as_str)
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.get(name).map(String::as_str)
    }

    /// The uid of what controls it: of one at the most.
    pub(super) fn controller(&self) -> Option<&str> {
        let mut owners = self.owner_references.iter();
        owners
            .find(|owner| owner.controller)
            .map(|owner| owner.uid.as_str())
    }
}

impl Pod {
    /// Whether it is over: nothing of it runs.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"))
    }

    /// Whether somebody told it to end.
    pub(super) fn is_leaving(&self) -> bool {
        self.metadata.deletion_timestamp.is_some()
    }

    /// What a container was started from, as its node says it; none before it was.
    pub(super) fn image_id(&self, container: &str) -> Option<&str> {
        let Status {
            container_statuses,
            init_container_statuses,
            ..
        } = &self.status;
        let mut all = init_container_statuses.iter().chain(container_statuses);
        let own = all.find(|started| started.name == container)?;
        Some(own.image_id.as_str()).filter(|id| !id.is_empty())
    }
}
