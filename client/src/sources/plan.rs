//! What is to be measured, under which names, and how: before a byte of it is read.
//!
//! Recording decides the shapes (single artifacts or a tree, plain or withheld); verifying
//! repeats those that were recorded, so that it compares like with like.

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    sync::Arc,
};

use cairn_proto::{limits::DIRECTORY_FILES_MAX, manifest::Mode, name::ArtifactName};

use super::{
    CaptureOptions, Purpose, Unmeasured,
    error::SourceError,
    input::{Covered, Opened},
    measure::{Item, Want},
    recorded::{Recorded, ancestors},
    sniff::is_secret_by_name,
    walk::{self, Found, Kind},
};

/// What a capture is going to measure.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Everything, sorted by name.
    pub(super) items: Vec<Item>,
    /// The trees that items belong to.
    pub(super) trees: Vec<ArtifactName>,
    /// Prefixes of OCI image layouts: `""`, or ending in `/`.
    pub(super) layouts: BTreeSet<String>,
    /// What cannot be measured (verifying only).
    pub(super) unmeasured: Vec<Unmeasured>,
    /// What people should know.
    pub(super) notes: Vec<String>,
    /// Which names this speaks for.
    pub(super) covered: Vec<Covered>,
    /// Bytes of all files.
    pub(super) bytes: u64,
}

impl Plan {
    /// Walks all inputs.
    pub(super) fn make(
        inputs: Vec<Opened>,
        options: &CaptureOptions<'_>,
    ) -> Result<Self, SourceError> {
        let mut plan = Self::default();
        for input in inputs {
            if input.followed {
                plan.notes
                    .push(format!("{} is a symbolic link: followed", input.shown));
            }
            match &input.file {
                Some(file) => plan.add_file(&input, file, options)?,
                None => plan.add_directory(&input, options)?,
            }
            plan.covered.push(input.covered);
        }
        plan.items
            .sort_unstable_by(|left, right| left.name.cmp(&right.name));
        for name in &options.store_plain {
            let known = plan
                .items
                .binary_search_by(|item| item.name.as_str().cmp(name))
                .is_ok();
            if !known && matches!(options.purpose, Purpose::Record) {
                return Err(SourceError::UnknownPlain { name: name.clone() });
            }
        }
        Ok(plan)
    }

    fn add_file(
        &mut self,
        input: &Opened,
        file: &OsString,
        options: &CaptureOptions<'_>,
    ) -> Result<(), SourceError> {
        let (kind, mode, size) = walk::look(&input.root, file)?;
        let Some(name) = input.covered.tree_name() else {
            return Ok(());
        };
        if kind == Kind::Directory {
            return Err(SourceError::changed(&input.root.path(file)));
        }
        let tree = match options.purpose {
            Purpose::Verify(recorded) => {
                let tree = recorded.tree_of(name.as_str());
                tree.and_then(|tree| self.tree(tree))
            }
            Purpose::Record => None,
        };
        self.add(
            input,
            Arc::new(file.clone()),
            name,
            (kind, mode, size),
            tree,
            options,
        );
        Ok(())
    }

    fn add_directory(
        &mut self,
        input: &Opened,
        options: &CaptureOptions<'_>,
    ) -> Result<(), SourceError> {
        let walk = walk::walk(&input.root);
        for fault in walk.faults {
            match options.purpose {
                // A directory that cannot be listed at all is no measurement of anything.
                Purpose::Verify(_) if fault.relative.as_deref() != Some("") => {
                    let name = fault.relative.and_then(|path| input.covered.name_of(&path));
                    self.unmeasured
                        .push(Unmeasured::new(name, None, &fault.error));
                }
                _ => return Err(fault.error),
            }
        }
        match options.purpose {
            Purpose::Record => self.add_recording(input, walk.found, options),
            Purpose::Verify(recorded) => {
                self.add_verifying(input, walk.found, recorded, options);
                Ok(())
            }
        }
    }

    fn add_recording(
        &mut self,
        input: &Opened,
        found: Vec<Found>,
        options: &CaptureOptions<'_>,
    ) -> Result<(), SourceError> {
        if found.is_empty() {
            return Err(SourceError::Empty {
                path: input.shown.clone(),
            });
        }
        let layouts = layouts(&found);
        let inside = |found: &Found| is_of_layout(&layouts, &found.relative);
        let outside = found.iter().filter(|found| !inside(found)).count();
        let tree = match input.covered.tree_name() {
            Some(name) if outside > DIRECTORY_FILES_MAX => {
                self.notes.push(format!(
                    "{} holds {} files: recorded as one tree",
                    input.shown,
                    thousands(outside)
                ));
                self.tree(name.as_str())
            }
            _ => None,
        };
        for found in found {
            let inside = inside(&found);
            let tree = tree.filter(|_| !inside);
            let name = name_of(input, &found)?;
            let what = (found.kind, found.mode, found.size);
            let relative = Arc::new(OsString::from(found.relative));
            self.add(input, relative, name, what, tree, options);
            // Which file of a layout is a part of an image shows only when all are hashed.
            match self.items.last_mut() {
                Some(item) if inside && item.want == Want::Judge => item.want = Want::Report,
                _ => {}
            }
        }
        for layout in layouts {
            if let Some(name) = input.covered.name_of(&format!("{layout}index.json")) {
                let prefix = name.as_str().strip_suffix("index.json");
                self.layouts.extend(prefix.map(str::to_owned));
            }
        }
        Ok(())
    }

    fn add_verifying(
        &mut self,
        input: &Opened,
        found: Vec<Found>,
        recorded: &Recorded<'_>,
        options: &CaptureOptions<'_>,
    ) {
        // A recorded tree of which nothing is left is still measured: as an empty one.
        let own = input.covered.tree_name();
        if let Some(own) = own.filter(|own| recorded.tree_names().contains(own.as_str())) {
            self.tree(own.as_str());
        }
        for found in found {
            let name = match name_of(input, &found) {
                Ok(name) => name,
                Err(error) => {
                    self.unmeasured.push(Unmeasured::new(None, None, &error));
                    continue;
                }
            };
            if found.kind == Kind::Directory && recorded.tree_names().contains(name.as_str()) {
                self.tree(name.as_str());
                continue;
            }
            let tree = recorded.tree_of(name.as_str());
            let tree = tree.and_then(|tree| self.tree(tree));
            let what = (found.kind, found.mode, found.size);
            let relative = Arc::new(OsString::from(found.relative));
            self.add(input, relative, name, what, tree, options);
        }
    }

    /// The position of a tree, which is made if it is new.
    fn tree(&mut self, name: &str) -> Option<usize> {
        let known = self.trees.iter().position(|tree| tree.as_str() == name);
        known.or_else(|| {
            self.trees.push(name.parse().ok()?);
            Some(self.trees.len() - 1)
        })
    }

    fn add(
        &mut self,
        input: &Opened,
        relative: Arc<OsString>,
        name: ArtifactName,
        (kind, mode, size): (Kind, Mode, u64),
        tree: Option<usize>,
        options: &CaptureOptions<'_>,
    ) {
        if kind == Kind::File {
            self.bytes = self.bytes.saturating_add(size);
        }
        self.items.push(Item {
            root: Arc::clone(&input.root),
            want: want(&name, &relative, options),
            name,
            kind,
            mode,
            tree,
            relative,
        });
    }
}

/// The full name of something found.
fn name_of(input: &Opened, found: &Found) -> Result<ArtifactName, SourceError> {
    input
        .covered
        .name_of(&found.relative)
        .ok_or_else(|| SourceError::name(&input.root.path(found.relative.as_ref())))
}

/// How a file is to be measured, if it is one.
fn want(name: &ArtifactName, relative: &OsStr, options: &CaptureOptions<'_>) -> Want {
    let name = name.as_str();
    if let Purpose::Verify(recorded) = options.purpose {
        match recorded.withheld(name) {
            Some(true) => return Want::Tag,
            Some(false) => return Want::Plain,
            None => {}
        }
    }
    if options.store_plain.contains(name) {
        Want::Plain
    } else if is_secret_by_name(name) || is_secret_by_name(&relative.to_string_lossy()) {
        // Another name given with NAME=PATH does not make a secret any less of one.
        Want::Tag
    } else {
        Want::Judge
    }
}

/// The directories that are OCI image layouts: `""` for the walk's root, or ending in `/`.
fn layouts(found: &[Found]) -> BTreeSet<String> {
    let is_file = |path: &str| {
        found
            .binary_search_by(|found| found.relative.as_str().cmp(path))
            .ok()
            .and_then(|at| found.get(at))
            .is_some_and(|found| found.kind == Kind::File)
    };
    found
        .iter()
        .filter(|found| found.kind == Kind::File)
        .filter_map(|found| found.relative.strip_suffix("oci-layout"))
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('/'))
        .filter(|prefix| is_file(&format!("{prefix}index.json")))
        .map(str::to_owned)
        .collect()
}

/// Whether a path is one of those that a layout consists of. What else lies beside them has
/// nothing to do with it.
fn is_of_layout(layouts: &BTreeSet<String>, path: &str) -> bool {
    let own =
        |rest: &str| matches!(rest, "oci-layout" | "index.json") || rest.starts_with("blobs/");
    let below =
        |prefix: &str| layouts.contains(prefix) && path.strip_prefix(prefix).is_some_and(own);
    below("") || ancestors(path).any(|above| below(&format!("{above}/")))
}

/// `100,000`.
fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
