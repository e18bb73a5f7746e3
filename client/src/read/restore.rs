//! Putting recorded bytes back: what they are, and fetching them, from where an earlier run
//! stopped.
//!
//! Invariant: a file gets its name only after all of its bytes, those of an earlier run
//! included, had both recorded digests. What an earlier run left is never a reason to accuse
//! a server: if the whole is wrong, all of it is fetched anew before anything is said.
//! Out of scope: where bytes are written (`place`).

use std::{
    io,
    path::{Path, PathBuf},
};

use cairn_proto::{
    limits::TREE_BYTES_MAX,
    manifest::{Artifact, ArtifactKind, Bytes, Digests, Manifest, Mode},
    name::ArtifactName,
    tree::{Tree, TreeBytes},
};
use rustix::io::Errno;

use super::{
    Proven, Reference,
    content::{Fetch, Want},
    place::{NewFile, Place},
};
use crate::{error::ClientError, ledger::Ledger};

/// Bytes of a symbolic link's target: no system takes more, whatever was recorded.
const TARGET_BYTES_MAX: usize = 4_096;

/// Is told how a restore goes on.
pub trait RestoreProgress: Sync {
    /// An earlier run left so many of so many bytes, and this one goes on after them.
    fn resumed(&self, _kept: u64, _of: u64) {}
    /// What was left did not belong to the whole; all is fetched anew.
    fn again(&self) {}
}

impl RestoreProgress for () {}

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Where it is now.
    pub path: PathBuf,
    /// Its number of bytes.
    pub bytes: u64,
    /// Bytes of them that an earlier run had left, and that were not fetched again.
    pub resumed: u64,
}

/// One recorded thing that can be put back.
struct Item {
    name: ArtifactName,
    kind: ArtifactKind,
    mode: Option<Mode>,
    digests: Digests,
    size: u64,
}

impl Ledger {
    /// Writes what a release recorded under `name` (a file of a tree: `tree/file`) to the
    /// same name below `to`.
    pub async fn restore(
        &self,
        reference: &Reference,
        name: &ArtifactName,
        to: &Path,
        progress: &dyn RestoreProgress,
    ) -> Result<Restored, ClientError> {
        let proven = self.resolve(reference).await?;
        let item = self.find_item(&proven, name).await?;
        let path = to.join(item.name.as_str());
        let file = |error: io::Error| ClientError::File {
            path: path.clone(),
            error,
        };
        let place = Place::open(to, &item.name).map_err(file)?;
        let want = want(&proven, &item);
        let mut resumed = 0;
        match item.kind {
            ArtifactKind::Directory => place.directory(item.mode).map_err(file)?,
            ArtifactKind::Symlink => {
                let target = self.fetch(&want, TARGET_BYTES_MAX).await?;
                let target = target.ok_or_else(|| file(Errno::NAMETOOLONG.into()))?;
                place.symlink(&target).map_err(file)?;
            }
            _ => {
                let mut new = place.create(&item.digests.blake3).map_err(file)?;
                resumed = self.fetch_file(&want, &mut new, progress).await?;
                new.publish(item.mode).map_err(file)?;
            }
        }
        Ok(Restored {
            path,
            bytes: item.size,
            resumed,
        })
    }

    /// What a release was made from, below a name: what can be put back, and what was withheld and
    /// cannot. And the release itself, whatever is recorded meanwhile.
    pub async fn inputs_below(
        &self,
        reference: &Reference,
        below: &ArtifactName,
    ) -> Result<(Reference, [Vec<ArtifactName>; 2]), ClientError> {
        let proven = self.resolve(reference).await?;
        let release = &proven.release;
        let pinned = format!("{}#{}", release.environment, release.sequence);
        let pinned = pinned.parse().unwrap_or_else(|_| reference.clone());
        let artifacts = proven.manifest.artifacts().iter();
        let inputs = artifacts.filter(|artifact| {
            let rest = artifact.name.as_str().strip_prefix(below.as_str());
            artifact.kind == ArtifactKind::Input && rest.is_some_and(|it| it.starts_with('/'))
        });
        let (stored, withheld): (Vec<_>, Vec<_>) =
            inputs.partition(|artifact| !matches!(artifact.bytes, Bytes::Withheld(_)));
        let names = |all: Vec<&Artifact>| all.iter().map(|it| it.name.clone()).collect();
        Ok((pinned, [names(stored), names(withheld)]))
    }

    /// Completes a file; says how many of its bytes were there before.
    async fn fetch_file(
        &self,
        want: &Want<'_>,
        new: &mut NewFile<'_>,
        progress: &dyn RestoreProgress,
    ) -> Result<u64, ClientError> {
        let file = |error: io::Error| ClientError::File {
            path: want.name.into(),
            error,
        };
        let mut fetch = Fetch::new(want);
        let kept = new.reread(want.size, |bytes| fetch.hash(bytes));
        let kept = kept.map_err(file)?;
        if kept > 0 {
            progress.resumed(kept, want.size);
            match self.fetch_rest(&mut fetch, &mut new.file).await {
                Ok(()) if fetch.is_right() => return Ok(kept),
                Err(error) if error.may_pass() => return Err(error),
                // What an earlier run left shall be gone as well.
                Err(error @ ClientError::Erased(_)) => {
                    new.discard();
                    return Err(error);
                }
                // Wherever the wrong bytes came from: this run was not given all of them.
                _ => progress.again(),
            }
            new.empty().map_err(file)?;
            fetch = Fetch::new(want);
        }
        let fetched = self.fetch_rest(&mut fetch, &mut new.file).await;
        match fetched.and_then(|()| self.weigh(&fetch)) {
            Ok(()) => Ok(0),
            // What came is left to another run: nobody said that it is wrong.
            Err(error) if error.may_pass() => Err(error),
            Err(error) => {
                new.discard();
                Err(error)
            }
        }
    }

    async fn find_item(&self, proven: &Proven, name: &ArtifactName) -> Result<Item, ClientError> {
        if let Some(item) = own(&proven.manifest, name)? {
            return Ok(item);
        }
        for tree in trees_above(&proven.manifest, name) {
            let inside = match tree.name.as_str() {
                "." => Some(name.as_str()),
                tree => name
                    .as_str()
                    .strip_prefix(tree)
                    .and_then(|rest| rest.strip_prefix('/')),
            };
            let listing = self.fetch(&want(proven, &tree), TREE_BYTES_MAX).await?;
            let (Some(inside), Some(listing)) = (inside, listing) else {
                continue;
            };
            let listing = Tree::decode(&listing).map_err(|_| ClientError::Lacks {
                what: format!("a listing of {}", tree.name),
            })?;
            let entry = listing
                .entries()
                .iter()
                .find(|entry| entry.name.as_str() == inside);
            match entry.map(|entry| (entry, entry.bytes)) {
                Some((entry, TreeBytes::Stored { digests, size })) => {
                    return Ok(Item {
                        name: name.clone(),
                        kind: entry.kind,
                        mode: Some(entry.mode),
                        digests,
                        size,
                    });
                }
                Some((_, TreeBytes::Withheld(_))) => return Err(not_stored(name, "withheld")),
                None => {}
            }
        }
        Err(ClientError::NotFound {
            what: format!(
                "{name} of {}#{}",
                proven.release.environment, proven.release.sequence
            ),
        })
    }
}

fn want<'a>(proven: &'a Proven, item: &'a Item) -> Want<'a> {
    Want {
        environment: &proven.release.environment,
        sequence: proven.release.sequence,
        digests: item.digests,
        size: item.size,
        name: item.name.as_str(),
    }
}

fn not_stored(name: &ArtifactName, why: &str) -> ClientError {
    ClientError::NotFound {
        what: format!("the content of {name}, which was recorded as {why},"),
    }
}

fn own(manifest: &Manifest, name: &ArtifactName) -> Result<Option<Item>, ClientError> {
    let Some(artifact) = manifest.artifact(name.as_str()) else {
        return Ok(None);
    };
    if artifact.kind == ArtifactKind::Tree {
        return Err(ClientError::Usage {
            why: format!("{name} is a tree; name a file of it"),
        });
    }
    match artifact.bytes {
        Bytes::Stored { digests, size } => Ok(Some(Item {
            name: name.clone(),
            kind: artifact.kind,
            mode: artifact.mode,
            digests,
            size,
        })),
        Bytes::External { .. } => Err(not_stored(name, "external")),
        Bytes::Withheld(_) => Err(not_stored(name, "withheld")),
    }
}

/// The recorded trees that may list a name.
fn trees_above(manifest: &Manifest, name: &ArtifactName) -> Vec<Item> {
    let above = |tree: &ArtifactName| {
        tree.as_str() == "."
            || name
                .as_str()
                .strip_prefix(tree.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
    };
    let trees = manifest
        .artifacts()
        .iter()
        .filter(|artifact| artifact.kind == ArtifactKind::Tree && above(&artifact.name));
    trees
        .filter_map(|artifact| match artifact.bytes {
            Bytes::Stored { digests, size } => Some(Item {
                name: artifact.name.clone(),
                kind: artifact.kind,
                mode: None,
                digests,
                size,
            }),
            _ => None,
        })
        .collect()
}
