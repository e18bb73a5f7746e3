//! What the pods of one workload have that its recorded template does not say.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    super::docker::{ImageBytes, bytes_of},
    Desk,
    owned::Pod,
    rules::{CONTAINERS, pod_of},
};

/// What a mesh's charts write where its webhook is to fill in an image.
const PLACEHOLDER: &str = "auto";
/// Images of which people are told.
const TOLD_MAX: usize = 16;

/// How many containers of that name run an image.
type Counts = BTreeMap<(String, String), usize>;

/// A workload's recorded images, and what was found of its pods.
pub(super) struct Beside {
    /// By the names of containers.
    images: BTreeMap<String, Known>,
    debugging: Map<String, Value>,
    odd: Map<String, Value>,
    injected: Counts,
    older: Counts,
    /// Pods of the newest revision.
    newest: usize,
    /// Recorded images whose bytes no pod could be held against.
    unheld: BTreeSet<String>,
}

/// An image as it was recorded.
struct Known {
    name: String,
    bytes: Option<ImageBytes>,
}

impl Beside {
    /// By what was recorded of the workload, and of images beside it.
    pub(super) fn of(workload: &Value, images: &[ImageBytes]) -> Self {
        let lists = CONTAINERS.iter();
        let lists = lists.filter_map(|list| pod_of(workload)?.get(*list)?.as_array());
        let known = lists.flatten().filter_map(|container| {
            let image = container.get("image")?.as_str()?;
            let name = container.get("name")?.as_str()?.to_owned();
            let known = Known {
                name: image.to_owned(),
                bytes: bytes_of(image, images).cloned(),
            };
            Some((name, known))
        });
        Self {
            images: known.collect(),
            debugging: Map::new(),
            odd: Map::new(),
            injected: Counts::new(),
            older: Counts::new(),
            newest: 0,
            unheld: BTreeSet::new(),
        }
    }

    /// Looks at a pod, of the newest revision or of an older one.
    pub(super) fn look(&mut self, pod: &Pod, current: bool) {
        let at = |container: &str| format!("{}/{container}", pod.metadata.name());
        for container in &pod.spec.ephemeral {
            let image = container.image.clone();
            self.debugging.insert(at(&container.name), image.into());
        }
        // It is on its way out, however long that takes.
        let current = current && !pod.is_leaving();
        self.newest += usize::from(current);
        for container in pod.spec.init.iter().chain(&pod.spec.containers) {
            let (name, image) = (&container.name, &container.image);
            let count = |counts: &mut Counts| {
                *counts.entry((name.clone(), image.clone())).or_default() += 1;
            };
            let known = self.images.get(name);
            let Some(known) = known.filter(|known| known.name != PLACEHOLDER) else {
                count(&mut self.injected);
                continue;
            };
            match known.differs(image, pod.image_id(name), &mut self.unheld) {
                Some(what) if current => {
                    self.odd.insert(at(name), what.into());
                }
                Some(_) => count(&mut self.older),
                None => {}
            }
        }
    }

    /// Why what runs does not say that the workload is what it should be.
    pub(super) fn trouble(&self) -> Option<String> {
        let none = self.newest == 0 && !self.older.is_empty();
        none.then(|| "only an older revision of it runs, or what is ending".to_owned())
    }

    /// Writes it into the workload, and adds it up.
    pub(super) fn tell(self, object: &mut Value, totals: &mut Totals) {
        totals.unheld.extend(self.unheld);
        for (into, counts) in [
            (&mut totals.injected, &self.injected),
            (&mut totals.older, &self.older),
        ] {
            for ((_, image), count) in counts {
                *into.entry(image.clone()).or_default() += count;
            }
        }
        let mut pods = Map::new();
        for (sort, all) in [
            ("debugging", self.debugging),
            ("images", self.odd),
            ("injected", listed(self.injected)),
            ("older", listed(self.older)),
        ] {
            if !all.is_empty() {
                pods.insert(sort.to_owned(), all.into());
            }
        }
        if let (Some(members), false) = (object.as_object_mut(), pods.is_empty()) {
            members.insert("pods".to_owned(), pods.into());
        }
    }
}

fn listed(counts: Counts) -> Map<String, Value> {
    let counts = counts.into_iter().map(|((name, image), count)| {
        (
            format!("{name} {image}"),
            format!("in pods: {count}").into(),
        )
    });
    counts.collect()
}

impl Known {
    /// How a container of it differs, by its bytes where those can be told, or else by its name.
    fn differs(
        &self,
        image: &str,
        id: Option<&str>,
        unheld: &mut BTreeSet<String>,
    ) -> Option<String> {
        let Self { name, bytes } = self;
        if let (Some(bytes), Some(id)) = (bytes, id) {
            match bytes.are(id) {
                Some(true) => return None,
                Some(false) => {
                    return Some(format!("{image}, of {id}, which is no recorded {name}"));
                }
                None => {
                    unheld.insert(name.clone());
                }
            }
        }
        (name != image).then(|| format!("{image}, and not {name}"))
    }
}

/// What people are told of all workloads: what is no difference, and still runs.
#[derive(Default)]
pub(super) struct Totals {
    injected: BTreeMap<String, usize>,
    older: BTreeMap<String, usize>,
    unheld: BTreeSet<String>,
}

impl Totals {
    pub(super) fn tell(self, desk: &mut Desk<'_>) {
        for (what, images) in [
            ("admission put into pods", self.injected),
            ("older revisions, or what is ending, still run", self.older),
        ] {
            let more = images.len().saturating_sub(TOLD_MAX);
            for (image, count) in images.into_iter().take(TOLD_MAX) {
                desk.note(format!("{what} {image}, in {count}"));
            }
            if more > 0 {
                desk.note(format!("{what} {more} more images"));
            }
        }
        for image in self.unheld.into_iter().take(TOLD_MAX) {
            desk.note(format!(
                "pods of {image} were held against its name alone: of its bytes not all digests \
                 that a node may show are recorded"
            ));
        }
    }
}
