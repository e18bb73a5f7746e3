//! How people name an image: `shop:1`, `registry.example/team/shop@sha256:...`.
//!
//! Invariant: two texts that Docker takes for one image are one reference, which is written in
//! one way.

use std::fmt;

use cairn_proto::hash::Sha256;

/// Bytes of a reference: what Docker takes.
const BYTES_MAX: usize = 512;
/// Where an image is whose reference names no registry.
pub(super) const HUB: &str = "docker.io";

/// A reference, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// Host and port.
    pub(super) registry: String,
    /// The path within.
    pub(super) repository: String,
    /// What comes after it.
    pub(super) tag: Option<String>,
    pub(super) digest: Option<Sha256>,
}

impl Reference {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text.len() > BYTES_MAX {
            return None;
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest_of(digest)?)),
            None => (text, None),
        };
        let path = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest.get(path..)?.split_once(':') {
            Some((last, tag)) => (
                rest.get(..path + last.len())?,
                Some(is_tag(tag).then(|| tag.to_owned())?),
            ),
            None => (rest, None),
        };
        let is_host = |host: &str| host.contains(['.', ':']) || host == "localhost";
        let (registry, repository) = match name.split_once('/') {
            Some((host, repository)) if is_host(host) => (host, repository.to_owned()),
            Some(_) => (HUB, name.to_owned()),
            None => (HUB, format!("library/{name}")),
        };
        let registry = if registry == "index.docker.io" {
            HUB
        } else {
            registry
        };
        let repository = match (registry, repository.contains('/')) {
            (HUB, false) => format!("library/{repository}"),
            _ => repository,
        };
        let sound = is_registry(registry) && repository.split('/').all(is_component);
        let tag = match (tag, digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag,
        };
        sound.then(|| Self {
            registry: registry.to_owned(),
            repository,
            tag,
            digest,
        })
    }

    /// Registry and path, without what tells images in there apart.
    pub(super) fn place(&self) -> (&str, &str) {
        (&self.registry, &self.repository)
    }

    /// What a registry is asked for: the digest where there is one, which cannot be moved.
    pub(super) fn asked(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => text_of(digest),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.registry.as_str(), &self.repository) {
            (HUB, path) => out.write_str(path.strip_prefix("library/").unwrap_or(path))?,
            (registry, path) => write!(out, "{registry}/{path}")?,
        }
        if let Some(tag) = &self.tag {
            write!(out, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(out, "@{}", text_of(digest)),
            None => Ok(()),
        }
    }
}

/// Of `sha256:` and 64 lower-case hex digits.
pub(super) fn digest_of(text: &str) -> Option<Sha256> {
    text.strip_prefix("sha256:")?.parse().ok()
}

pub(super) fn text_of(digest: &Sha256) -> String {
    format!("sha256:{digest}")
}

fn is_tag(tag: &str) -> bool {
    let in_tag = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=128).contains(&tag.len()) && tag.bytes().all(in_tag) && !tag.starts_with(['.', '-'])
}

fn is_component(part: &str) -> bool {
    let in_part = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.' | b'-')
    };
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    part.bytes().all(in_part) && ends(part.bytes().next()) && ends(part.bytes().last())
}

/// A host, or an address, with a port or not.
fn is_registry(text: &str) -> bool {
    let in_host =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    !text.is_empty() && text.bytes().all(in_host)
}

#[cfg(test)]
mod tests {
    use super::Reference;

    /// Goal: what Docker takes for one image is one reference; what it refuses is none.
    /// Method: texts and how they are written here.
    #[test]
    fn a_reference_has_one_spelling() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, shown) in [
            ("shop", "shop:latest"),
            ("docker.io/library/shop:1", "shop:1"),
            ("index.docker.io/shop:1", "shop:1"),
            ("team/shop:1", "team/shop:1"),
            ("localhost/shop", "localhost/shop:latest"),
            ("127.0.0.1:5000/team/shop:1", "127.0.0.1:5000/team/shop:1"),
        ] {
            assert_eq!(Reference::parse(text).unwrap().to_string(), shown, "{text}");
        }
        let pinned = format!("shop@{digest}");
        let parsed = Reference::parse(&pinned).unwrap();
        assert_eq!(parsed.to_string(), pinned);
        assert_eq!(parsed.asked(), digest);
        for wrong in [
            "",
            "Shop:1",
            "shop:",
            "a//b",
            "shop@sha256:12",
            "../../etc",
            "reg.example/a/../b",
            "reg.example/a?b",
        ] {
            assert_eq!(Reference::parse(wrong), None, "{wrong}");
        }
    }
}
