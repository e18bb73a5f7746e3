//! An image: which digests it has, as far as they are known, and how that is recorded.
//!
//! One image has three digests: of the index, of each platform's manifest, of each platform's
//! configuration. Invariant: a digest that is unknown is absent and is never compared.

use cairn_proto::hash::Sha256;
use serde_json::{Map, Value, json};

use super::reference::{Reference, digest_of, text_of};

/// Of an image as it is recorded.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.cairn.docker.image.v1+json";
/// A platform that nobody stated.
pub(super) const UNKNOWN_PLATFORM: &str = "unknown";

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) reference: Option<String>,
    /// Of an index or of a manifest: which, was not said.
    pub(super) digest: Option<Sha256>,
    pub(super) index: Option<Sha256>,
    pub(super) platforms: Vec<Platform>,
}

/// What is known of it for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Platform {
    /// `os/arch[/variant]`.
    pub(super) name: String,
    pub(super) manifest: Option<Sha256>,
    pub(super) config: Option<Sha256>,
    /// As they are transferred: digest and size.
    pub(super) layers: Option<Vec<(Sha256, u64)>>,
    /// The same unpacked, as the configuration states them.
    pub(super) diff_ids: Option<Vec<Sha256>>,
}

impl Image {
    pub(super) fn json(&self) -> Value {
        let platforms: Vec<_> = self.platforms.iter().map(Platform::json).collect();
        let mut image = json!({
            "reference": self.reference,
            "index": self.index.as_ref().map(text_of),
            "platforms": platforms,
        });
        if let (Some(digest), Some(members)) = (&self.digest, image.as_object_mut()) {
            members.insert("digest".to_owned(), text_of(digest).into());
        }
        image
    }

    /// What was recorded; members that are not understood are as if they were not there.
    pub(super) fn read(image: &Value) -> Self {
        let platforms = image.get("platforms").and_then(Value::as_array);
        let platforms = platforms.into_iter().flatten().map(Platform::read);
        Self {
            reference: text(image, "reference"),
            digest: digest(image, "digest"),
            index: digest(image, "index"),
            platforms: platforms.collect(),
        }
    }

    /// What its reference leads to, as a registry knows it.
    pub(super) fn top(&self) -> Option<Sha256> {
        let sole = match self.platforms.as_slice() {
            [platform] => platform.manifest,
            _ => None,
        };
        self.digest.or(self.index).or(sole)
    }

    /// All digests of manifests and indexes.
    pub(super) fn manifests(&self) -> impl Iterator<Item = Sha256> {
        let own = self.platforms.iter().filter_map(|it| it.manifest);
        self.digest.into_iter().chain(self.index).chain(own)
    }

    /// The digests of all configurations; none if one of them is unknown.
    pub(super) fn configs(&self) -> Option<Vec<Sha256>> {
        let configs: Option<Vec<_>> = self.platforms.iter().map(|it| it.config).collect();
        configs.filter(|configs| !configs.is_empty())
    }

    pub(super) fn is_named(&self, reference: &Reference) -> bool {
        self.parsed().as_ref() == Some(reference)
    }

    pub(super) fn parsed(&self) -> Option<Reference> {
        Reference::parse(self.reference.as_deref()?)
    }

    /// This image, found now, with no more and no less than is known of a recorded one;
    /// `None` if they have no digest of one kind.
    pub(super) fn seen_as(mut self, recorded: &Self) -> Option<Self> {
        self.reference.clone_from(&recorded.reference);
        let top = self.top();
        self.digest = recorded.digest.and(top);
        if let (None, true) = (top, recorded.digest.is_some()) {
            return None;
        }
        if recorded.platforms.is_empty() {
            self.index = recorded.index.and(top);
            self.platforms.clear();
            return top.map(|_| self);
        }
        if let ([own], [known]) = (self.platforms.as_mut_slice(), recorded.platforms.as_slice())
            && [&own.name, &known.name].contains(&&UNKNOWN_PLATFORM.to_owned())
        {
            own.name.clone_from(&known.name);
        }
        let whole = recorded.top().is_some();
        let of = |name: &str| recorded.platforms.iter().find(|it| it.name == name);
        self.platforms
            .retain(|platform| whole || of(&platform.name).is_some());
        let mut common = whole && top.is_some();
        for platform in &mut self.platforms {
            let Some(known) = of(&platform.name) else {
                continue;
            };
            common |= platform.config.is_some() && known.config.is_some();
            common |= platform.manifest.is_some() && known.manifest.is_some();
            platform.fill(known);
        }
        // An archive of what was pulled does not have the index that it came by.
        let same = self.platforms == recorded.platforms;
        if !whole || (same && top.is_none()) {
            self.index = recorded.index;
        }
        (common || self.platforms.is_empty()).then_some(self)
    }
}

impl Platform {
    fn json(&self) -> Value {
        let layers = self.layers.as_ref().map(|layers| {
            let layer =
                |(digest, size): &(Sha256, u64)| json!({ "digest": text_of(digest), "size": size });
            layers.iter().map(layer).collect::<Vec<_>>()
        });
        let diff_ids = self.diff_ids.as_ref();
        json!({
            "platform": self.name,
            "manifest": self.manifest.as_ref().map(text_of),
            "config": self.config.as_ref().map(text_of),
            "layers": layers,
            "diffIds": diff_ids.map(|ids| ids.iter().map(text_of).collect::<Vec<_>>()),
        })
    }

    fn read(platform: &Value) -> Self {
        let list = |name| platform.get(name).and_then(Value::as_array);
        let layers = list("layers").and_then(|layers| {
            let layer = |layer| Some((digest(layer, "digest")?, layer.get("size")?.as_u64()?));
            layers.iter().map(layer).collect()
        });
        let diff_ids = list("diffIds").and_then(|ids| {
            let ids = ids.iter().map(|id| digest_of(id.as_str()?));
            ids.collect()
        });
        Self {
            name: text(platform, "platform").unwrap_or_else(|| UNKNOWN_PLATFORM.to_owned()),
            manifest: digest(platform, "manifest"),
            config: digest(platform, "config"),
            layers,
            diff_ids,
        }
    }

    /// Leaves out what is not known of the other, and takes from it what is not known here: a
    /// difference shows in what both have, since each digest fixes those below it.
    fn fill(&mut self, known: &Self) {
        fn one<T: Clone>(own: &mut Option<T>, known: Option<&T>) {
            if own.is_none() || known.is_none() {
                *own = known.cloned();
            }
        }
        one(&mut self.manifest, known.manifest.as_ref());
        one(&mut self.config, known.config.as_ref());
        one(&mut self.layers, known.layers.as_ref());
        one(&mut self.diff_ids, known.diff_ids.as_ref());
    }
}

fn text(of: &Value, name: &str) -> Option<String> {
    of.get(name)?.as_str().map(str::to_owned)
}

fn digest(of: &Value, name: &str) -> Option<Sha256> {
    digest_of(of.get(name)?.as_str()?)
}

/// With the digests of a running container in place of the recorded ones.
pub(super) fn running(recorded: &Value, config: &Sha256, platform: Option<&str>) -> Value {
    let mut found = recorded.clone();
    let platforms = found.get_mut("platforms").and_then(Value::as_array_mut);
    let mut platforms: Vec<&mut Map<String, Value>> = platforms
        .into_iter()
        .flatten()
        .filter_map(Value::as_object_mut)
        .collect();
    let named = |it: &Map<String, Value>| it.get("platform").and_then(Value::as_str) == platform;
    let known = platforms.iter().any(|it| named(it));
    for members in &mut platforms {
        if !known || named(members) {
            members.insert("config".to_owned(), text_of(config).into());
        }
    }
    found
}
