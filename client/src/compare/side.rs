//! One side of a comparison: an artifact or a file of a tree, seen alike.

use cairn_proto::{
    manifest::{Artifact, ArtifactKind, Bytes, Digests, Mode, Withheld},
    name::ArtifactName,
    tree::{TreeBytes, TreeEntry},
};

use super::DifferenceKind;
use crate::sources::is_image_part;

/// Hex digits of a digest that are shown.
const DIGITS_SHOWN: usize = 12;

/// What is compared of a thing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side<'a> {
    pub(super) kind: ArtifactKind,
    pub(super) mode: Option<Mode>,
    bytes: Held<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Held<'a> {
    Plain(&'a Digests, u64),
    Withheld(&'a Withheld),
}

impl<'a> Side<'a> {
    pub(super) fn of(artifact: &'a Artifact) -> Self {
        Self {
            kind: artifact.kind,
            mode: artifact.mode,
            bytes: match &artifact.bytes {
                Bytes::Stored { digests, size } | Bytes::External { digests, size } => {
                    Held::Plain(digests, *size)
                }
                Bytes::Withheld(withheld) => Held::Withheld(withheld),
            },
        }
    }

    fn of_file(entry: &'a TreeEntry) -> Self {
        Self {
            kind: entry.kind,
            mode: Some(entry.mode),
            bytes: match &entry.bytes {
                TreeBytes::Stored { digests, size } => Held::Plain(digests, *size),
                TreeBytes::Withheld(withheld) => Held::Withheld(withheld),
            },
        }
    }

    /// The same with another mode.
    pub(super) fn with_mode(self, mode: Option<Mode>) -> Self {
        Self { mode, ..self }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind == ArtifactKind::Directory
    }

    pub(super) fn is_withheld(&self) -> bool {
        matches!(self.bytes, Held::Withheld(_))
    }

    /// Whether both are, say, regular files. Which part of an image a file is follows from
    /// the bytes of the image's other files, so equal bytes make equal parts.
    pub(super) fn same_class(&self, other: &Self) -> bool {
        let class = |kind: ArtifactKind| match kind {
            kind if is_image_part(kind) => ArtifactKind::File,
            kind => kind,
        };
        class(self.kind) == class(other.kind)
    }

    /// How the bytes differ: the one place where they are compared.
    pub(super) fn difference(&self, found: &Self) -> Option<(DifferenceKind, String, String)> {
        let kind = match (&self.bytes, &found.bytes) {
            (Held::Plain(left, left_size), Held::Plain(right, right_size)) => {
                // Both digests and the size; one alone would not do.
                let same = left.blake3 == right.blake3 && left.sha256 == right.sha256;
                if same && left_size == right_size {
                    return None;
                }
                DifferenceKind::Changed
            }
            (Held::Withheld(left), Held::Withheld(right)) if left.key_id == right.key_id => {
                if left.tag == right.tag {
                    return None;
                }
                let text = |text: &str| text.to_owned();
                return Some((
                    DifferenceKind::Changed,
                    text("withheld value"),
                    text("another value"),
                ));
            }
            _ => DifferenceKind::Unverifiable,
        };
        Some((kind, self.digest(), found.digest()))
    }

    /// The bytes in a few characters.
    pub(super) fn digest(&self) -> String {
        match &self.bytes {
            Held::Plain(digests, size) => {
                let mut hex = digests.sha256.to_string();
                hex.truncate(DIGITS_SHOWN);
                format!("sha256:{hex} ({size} bytes)")
            }
            Held::Withheld(withheld) => {
                let mut hex = hex::encode(withheld.key_id);
                hex.truncate(DIGITS_SHOWN);
                format!("withheld under key {hex}")
            }
        }
    }

    /// What it is, in a word or two.
    pub(super) fn describe(&self) -> String {
        match (self.kind, self.is_withheld()) {
            (ArtifactKind::Directory, _) => "empty directory".to_owned(),
            (kind, false) => kind.as_str().to_owned(),
            (kind, true) => format!("withheld {}", kind.as_str()),
        }
    }
}

/// A thing and its name within its list.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a str,
    pub(super) side: Side<'a>,
}

impl<'a> Entry<'a> {
    pub(super) fn of(artifact: &'a Artifact) -> Self {
        Self {
            name: artifact.name.as_str(),
            side: Side::of(artifact),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.name
    }

    pub(super) fn of_file(entry: &'a TreeEntry) -> Self {
        Self {
            name: entry.name.as_str(),
            side: Side::of_file(entry),
        }
    }
}

/// The entry of a name in a sorted list.
pub(super) fn find<'l, 'a>(list: &'l [Entry<'a>], name: &str) -> Option<&'l Entry<'a>> {
    let at = list.binary_search_by(|entry| entry.name.cmp(name)).ok()?;
    list.get(at)
}

/// Whether a list, sorted by name, has things below a name.
pub(super) fn beneath<T>(list: &[T], name_of: fn(&T) -> &str, name: &str) -> bool {
    let start = format!("{name}/");
    let at = list.partition_point(|it| name_of(it) < start.as_str());
    list.get(at)
        .is_some_and(|it| name_of(it).starts_with(&start))
}

/// Whether a list, sorted by name, has a name or things below it.
pub(super) fn at_or_beneath<T>(list: &[T], name_of: fn(&T) -> &str, name: &str) -> bool {
    let itself = list.binary_search_by(|it| name_of(it).cmp(name)).is_ok();
    itself || beneath(list, name_of, name)
}

/// The name of a tree's file among all artifacts.
pub(super) fn full_name(tree: Option<&ArtifactName>, name: &str) -> String {
    match tree {
        Some(tree) if tree.as_str() != "." => format!("{tree}/{name}"),
        _ => name.to_owned(),
    }
}
