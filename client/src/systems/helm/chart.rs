//! A chart's package: recorded as bytes, since packing the same files again gives others.
//!
//! `Chart.yaml` is read for the name alone. Invariants: nothing of it is unpacked to a disk; it
//! is read to its end, so that one that is cut, leads out or swells is refused.

use std::io::{self, Read};

use cairn_proto::manifest::Digests;
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use tar::{Archive, Entry, EntryType};

use super::{super::docker::artifact, Desk, input, packed::GZIP};
use crate::{
    detail::printable,
    sources::{SourceError, looks_secret},
    systems::given::DOCUMENT_BYTES_MAX,
};

/// Bytes that a package may unpack to.
const PLAIN_BYTES_MAX: u64 = 256 << 20;
/// Bytes of one of its files: Helm itself takes 5 MiB.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Its files.
const FILES_MAX: usize = 20_000;
/// Where a tar says that it is one, and how.
const TAR_MAGIC: (usize, &[u8]) = (257, b"ustar");

/// A chart in a registry, as helm pushes it.
const IN_REGISTRY: artifact::Kind = artifact::Kind {
    name: "chart",
    config: "application/vnd.cncf.helm.config.v1+json",
    layer: "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
    bytes_max: DOCUMENT_BYTES_MAX,
};

/// What a package is called.
pub(super) struct Chart {
    named: Named,
    /// Whether something in it looks like a secret.
    secret: bool,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    version: String,
}

impl Chart {
    /// Records the package. Where it holds a secret, only that it is this one.
    pub(super) fn lay_down(self, bytes: Vec<u8>, desk: &mut Desk<'_>) -> Result<(), SourceError> {
        let file = format!("{}-{}.tgz", self.named.name, self.named.version);
        if self.secret {
            return desk.secret_input(&["chart", &file], &bytes);
        }
        let words = ["chart", file.as_str()];
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        desk.named(&words, Digests::of(&bytes), size)?;
        desk.input(&["chart", &file], bytes)
    }
}

/// Records a chart that a registry has: its package as any other, and beside it the manifest,
/// whose digest is the one by which a registry knows it.
pub(super) fn from_registry(text: &str, desk: &mut Desk<'_>) -> Result<(), SourceError> {
    // No tag can hold what stands before a version's build; helm writes it so, too.
    let asked = match text.rsplit_once(':') {
        Some((chart, version)) => format!("{chart}:{}", version.replace('+', "_")),
        None => text.to_owned(),
    };
    let found = artifact::fetch(&asked, &IN_REGISTRY)?;
    let chart = read(&found.reference, &found.layer)?;
    let other = || input(&found.reference, "its layer is no chart's package");
    let chart = chart.ok_or_else(other)?;
    let file = format!("{}-{}.oci.json", chart.named.name, chart.named.version);
    let size = u64::try_from(found.manifest.len()).unwrap_or(u64::MAX);
    desk.named(
        &["oci", &found.reference],
        Digests::of(&found.manifest),
        size,
    )?;
    if chart.secret {
        // helm copies much of Chart.yaml into it.
        desk.secret_input(&["chart", &file], &found.manifest)?;
    } else {
        desk.input(&["chart", &file], found.manifest)?;
    }
    chart.lay_down(found.layer, desk)
}

/// Reads a package; `None` if the bytes are something else.
pub(super) fn read(from: &str, bytes: &[u8]) -> Result<Option<Chart>, SourceError> {
    if !bytes.starts_with(&GZIP) || !is_tar(bytes) {
        return Ok(None);
    }
    let wrong = |why: String| input(from, &printable(&why));
    read_tar(bytes).map(Some).map_err(wrong)
}

fn is_tar(bytes: &[u8]) -> bool {
    let mut head = Vec::new();
    let (at, magic) = TAR_MAGIC;
    let read = MultiGzDecoder::new(bytes).take(512).read_to_end(&mut head);
    read.is_ok() && head.get(at..).is_some_and(|rest| rest.starts_with(magic))
}

fn read_tar(bytes: &[u8]) -> Result<Chart, String> {
    let failed = |error: io::Error| format!("its package is cut or damaged: {error}");
    let mut plain = MultiGzDecoder::new(bytes).take(PLAIN_BYTES_MAX + 1);
    let (mut named, mut secret) = (None, false);
    {
        let mut archive = Archive::new(&mut plain);
        for (count, entry) in archive.entries().map_err(failed)?.enumerate() {
            if count == FILES_MAX {
                return Err(format!("its package holds more than {FILES_MAX} files"));
            }
            let Some((path, bytes)) = file(entry.map_err(failed)?)? else {
                continue;
            };
            secret = secret || looks_secret(&path, &bytes);
            let mut below = path.split('/').skip(1);
            if (below.next(), below.next()) == (Some("Chart.yaml"), None) {
                if named.is_some() {
                    return Err("its package has two Chart.yaml".to_owned());
                }
                named = Some(name_of(&bytes)?);
            }
        }
    }
    // What comes after the files counts as well: a checksum, at least.
    io::copy(&mut plain, &mut io::sink()).map_err(failed)?;
    if plain.limit() == 0 {
        let mib = PLAIN_BYTES_MAX >> 20;
        return Err(format!("its package unpacks to more than {mib} MiB"));
    }
    let named = named.ok_or("its package has no Chart.yaml")?;
    Ok(Chart { named, secret })
}

/// A file's path and bytes; `None` for what holds no bytes.
fn file(entry: Entry<'_, impl Read>) -> Result<Option<(String, Vec<u8>)>, String> {
    let failed = |error: io::Error| format!("its package is cut or damaged: {error}");
    let path = String::from_utf8(entry.path_bytes().into_owned());
    let path = path.map_err(|_| "its package has a name that is no text")?;
    if path.starts_with('/') || path.split(['/', '\\']).any(|step| step == "..") {
        return Err(format!("its package leads out of itself: {path}"));
    }
    match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous => {}
        EntryType::Directory | EntryType::XGlobalHeader => return Ok(None),
        _ => return Err(format!("its package has a link or a device: {path}")),
    }
    let mut bytes = Vec::new();
    let mut bounded = entry.take(FILE_BYTES_MAX + 1);
    bounded.read_to_end(&mut bytes).map_err(failed)?;
    if bounded.limit() == 0 {
        let mib = FILE_BYTES_MAX >> 20;
        return Err(format!(
            "a file of its package is longer than {mib} MiB: {path}"
        ));
    }
    Ok(Some((path, bytes)))
}

/// The name goes into an artifact's name, and decides nothing.
fn name_of(bytes: &[u8]) -> Result<Named, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_events: 100_000,
            max_nodes: 100_000,
            max_inclusion_depth: 0,
        },
    };
    let named: Named = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let error = error.to_string();
        format!(
            "its Chart.yaml: {}",
            error.lines().next().unwrap_or_default()
        )
    })?;
    if named.name.is_empty() || named.version.is_empty() {
        return Err("its Chart.yaml has no name or no version".to_owned());
    }
    Ok(named)
}
