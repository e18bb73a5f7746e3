//! A release as Helm keeps it: base64 of base64 of gzip of JSON in a Secret.
//!
//! Invariant: what is packed is unpacked to a bound.

use std::io::Read as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::MultiGzDecoder;
use serde_json::Value;

use super::{
    super::{given::DOCUMENT_BYTES_MAX, strict},
    input, printed,
    release::Release,
};
use crate::{detail::printable, sources::SourceError};

/// How often something may be packed into something: a Secret's base64, Helm's, and gzip.
const LAYERS_MAX: usize = 4;
/// What gzip begins with.
pub(super) const GZIP: [u8; 2] = [0x1f, 0x8b];
/// What Helm's Secrets and config maps are named by.
const KEPT_AS: &str = "sh.helm.release.v1.";

/// From a Secret or a config map as kubectl prints it, from what it holds, from what that
/// unpacks to, or from what helm prints of all of it.
pub(super) fn read(from: &str, bytes: &[u8]) -> Result<Release, SourceError> {
    let wrong = |why: String| input(from, &printable(&why));
    if let Some(release) = printed::read(from, bytes)? {
        return Ok(release);
    }
    let value = unpacked(bytes).map_err(wrong)?;
    let Some(kept) = kept(value.clone()).map_err(wrong)? else {
        return Release::of(&value).map_err(wrong);
    };
    let packed = kept.packed().map_err(wrong)?;
    let release = Release::of(&unpacked(&packed).map_err(wrong)?).map_err(wrong)?;
    let expected = format!("{KEPT_AS}{}.v{}", release.id.name, release.revision);
    if kept.name != expected || kept.namespace != release.id.namespace {
        return Err(wrong(format!(
            "{} in {} holds another release: revision {} of {} in {}",
            kept.name, kept.namespace, release.revision, release.id.name, release.id.namespace
        )));
    }
    Ok(release)
}

/// What Kubernetes keeps for Helm.
struct Kept {
    name: String,
    namespace: String,
    /// Whether it is a Secret, whose values are base64 once more.
    secret: bool,
    release: String,
}

impl Kept {
    fn packed(&self) -> Result<Vec<u8>, String> {
        if self.secret {
            return decoded(self.release.as_bytes());
        }
        Ok(self.release.clone().into_bytes())
    }
}

/// The Secret or config map that a value is, or a list has alone; `None` if it is neither.
fn kept(mut value: Value) -> Result<Option<Kept>, String> {
    let kind = |value: &Value| value.get("kind").and_then(Value::as_str).map(str::to_owned);
    if kind(&value).is_some_and(|kind| kind.ends_with("List")) {
        let items = value.get_mut("items").and_then(Value::as_array_mut);
        value = match items.map(|items| (items.pop(), items.is_empty())) {
            Some((Some(item), true)) => item,
            _ => return Err("it is a list of more or less than one release".to_owned()),
        };
    }
    let secret = match kind(&value).as_deref() {
        Some("Secret") => true,
        Some("ConfigMap") => false,
        Some(other) => return Err(format!("it is a {other} and no release of Helm")),
        None => return Ok(None),
    };
    let text = |pointer: &str| {
        let text = value.pointer(pointer).and_then(Value::as_str);
        text.map(str::to_owned).unwrap_or_default()
    };
    if secret && text("/type") != "helm.sh/release.v1" {
        return Err("it is a Secret of another type than helm.sh/release.v1".to_owned());
    }
    Ok(Some(Kept {
        name: text("/metadata/name"),
        namespace: text("/metadata/namespace"),
        secret,
        release: text("/data/release"),
    }))
}

/// The JSON below all layers.
fn unpacked(bytes: &[u8]) -> Result<Value, String> {
    let mut bytes = bytes.to_vec();
    for _ in 0..LAYERS_MAX {
        if bytes.starts_with(&GZIP) {
            bytes = unzipped(&bytes)?;
        } else if bytes.trim_ascii_start().starts_with(b"{") {
            let mut values = strict::parse(&bytes)?;
            return match (values.pop(), values.is_empty()) {
                (Some(value), true) => Ok(value),
                _ => Err("it is not one JSON object".to_owned()),
            };
        } else {
            bytes = decoded(&bytes)?;
        }
    }
    Err("it is packed too often".to_owned())
}

fn decoded(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut text = text.to_vec();
    text.retain(|byte| !byte.is_ascii_whitespace());
    if text.is_empty() {
        return Err("there is no release in it".to_owned());
    }
    let decoded = STANDARD.decode(&text);
    decoded.map_err(|_| "it is cut, or neither JSON, gzip nor base64".to_owned())
}

fn unzipped(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    let mut unzip = MultiGzDecoder::new(bytes).take(DOCUMENT_BYTES_MAX + 1);
    let read = unzip.read_to_end(&mut plain);
    read.map_err(|error| format!("its gzip is cut or damaged: {error}"))?;
    if u64::try_from(plain.len()).is_ok_and(|length| length <= DOCUMENT_BYTES_MAX) {
        return Ok(plain);
    }
    let mib = DOCUMENT_BYTES_MAX >> 20;
    Err(format!("it unpacks to more than {mib} MiB"))
}
