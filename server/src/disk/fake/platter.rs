//! What a fake disk holds: names and bytes, each live and durable, and what lies between.
//!
//! A write is seen at once and durable after its file's sync; a name is seen at once and
//! durable after the sync of its directory, whatever was synced of the file. At a crash any
//! subset of what was not synced may have happened: of bytes in sectors, of sizes and names
//! each by itself. A rename within a directory happens whole or not at all; into another
//! directory it is two changes of two directories.
//! After a failed sync the pages count as clean: readers see the bytes, the disk never got
//! them, and no later sync writes them. Names stay to be synced after a failure: a file
//! system whose journal fails takes no more writes until it is mounted again.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    change::{Change, Unsynced},
    file::{File, length},
    random::Random,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Directory,
    File(u64),
}

/// A change of one directory that its sync makes durable.
#[derive(Debug, Clone)]
struct NameChange {
    directory: PathBuf,
    gone: Option<PathBuf>,
    there: Option<(PathBuf, Node)>,
}

type Names = BTreeMap<PathBuf, Node>;

/// The disk's contents. A copy is cheap.
#[derive(Debug, Clone, Default)]
pub(crate) struct Platter {
    live: Names,
    durable: Names,
    pending: Vec<NameChange>,
    files: BTreeMap<u64, Arc<File>>,
    next: u64,
    /// Whether a directory must have been made before it is used.
    strict: bool,
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("/")).to_owned()
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        if let Some(gone) = &self.gone {
            names.remove(gone);
        }
        if let Some((path, node)) = &self.there {
            names.insert(path.clone(), *node);
        }
    }
}

impl Platter {
    /// An empty disk on which only the root exists.
    pub(crate) fn strict() -> Self {
        let strict = true;
        Self {
            strict,
            ..Self::default()
        }
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<u64> {
        match self.live.get(path) {
            Some(Node::File(file)) => Ok(*file),
            Some(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn is_directory(&self, path: &Path) -> bool {
        let made = self.live.get(path) == Some(&Node::Directory);
        made || !self.strict || path == Path::new("/")
    }

    pub(super) fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        if !self.is_directory(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let names = self.live.keys();
        let mut names: Vec<String> = names
            .filter_map(|path| path.strip_prefix(directory).ok()?.iter().next())
            .map(|name| name.to_str().unwrap().to_owned())
            .collect();
        names.dedup();
        Ok(names)
    }

    pub(super) fn read(&self, file: u64, buffer: &mut [u8], offset: u64) -> usize {
        self.files[&file].live().read(buffer, length(offset))
    }

    pub(super) fn size(&self, file: u64) -> u64 {
        self.files[&file].live().len() as u64
    }

    pub(super) fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(self.files[&self.file(path)?].live().bytes())
    }

    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        let files = self.live.iter();
        let files = files.filter(|(_, node)| **node != Node::Directory);
        files.map(|(path, _)| path.clone())
    }

    /// Files in which a text is seen.
    pub(crate) fn mentions(&self, text: &[u8]) -> Vec<PathBuf> {
        let found = self.live.iter().filter(|(_, node)| match node {
            Node::File(file) => self.files[file].live().mentions(text),
            Node::Directory => false,
        });
        found.map(|(path, _)| path.clone()).collect()
    }

    pub(super) fn put(&mut self, path: &Path, bytes: &[u8]) {
        self.pending
            .retain(|change| change.there.as_ref().is_none_or(|(there, _)| there != path));
        let node = Node::File(self.next);
        self.files.insert(self.next, Arc::new(File::durable(bytes)));
        self.next += 1;
        self.live.insert(path.to_owned(), node);
        self.durable.insert(path.to_owned(), node);
    }

    /// Whether a change needs room that a full disk does not have.
    pub(super) fn grows(&self, change: &Change) -> bool {
        match change {
            Change::Create(path) | Change::CreateDir(path) => !self.live.contains_key(path),
            Change::Write {
                file, offset, data, ..
            } => offset + data.len() as u64 > self.size(*file),
            Change::SetSize { file, bytes } => *bytes > self.size(*file),
            _ => false,
        }
    }

    /// As a full disk does: what still fitted is written.
    pub(super) fn apply_half(&mut self, change: &Change) {
        if let Change::Write {
            file, offset, data, ..
        } = change
        {
            self.write(*file, *offset, data[..data.len() / 2].into());
        }
    }

    /// What is left behind by a change that an error was reported for.
    pub(super) fn fail(&mut self, change: &Change) {
        match change {
            Change::Write { .. } => self.apply_half(change),
            Change::Sync { file, .. } => self.file_mut(*file).fail(),
            _ => {}
        }
    }

    fn file_mut(&mut self, file: u64) -> &mut File {
        Arc::make_mut(self.files.get_mut(&file).unwrap())
    }

    fn write(&mut self, file: u64, offset: u64, data: Arc<[u8]>) {
        self.file_mut(file).write(length(offset), data);
    }

    /// Makes a change; the number of the file that it made, if it made one.
    pub(crate) fn apply(&mut self, change: &Change) -> io::Result<u64> {
        match change {
            Change::Write {
                file, offset, data, ..
            } => self.write(*file, *offset, Arc::clone(data)),
            Change::SetSize { file, bytes } => self.file_mut(*file).set_size(length(*bytes)),
            Change::Sync { file, .. } => self.file_mut(*file).sync(),
            Change::SyncDir(directory) => {
                if !self.is_directory(directory) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                let pending = std::mem::take(&mut self.pending);
                for change in pending {
                    if change.directory == *directory {
                        change.apply(&mut self.durable);
                    } else {
                        self.pending.push(change);
                    }
                }
            }
            names => return self.apply_names(names),
        }
        Ok(0)
    }

    fn apply_names(&mut self, change: &Change) -> io::Result<u64> {
        let mut file = 0;
        match change {
            Change::Create(path) => {
                self.absent(path)?;
                file = self.next;
                self.next += 1;
                self.files.insert(file, Arc::default());
                self.rename(None, Some((path, Node::File(file))));
            }
            Change::CreateDir(path) => {
                if self.live.get(path) == Some(&Node::Directory) {
                    return Ok(0);
                }
                self.absent(path)?;
                self.rename(None, Some((path, Node::Directory)));
            }
            Change::Rename { from, to } => {
                let node = Node::File(self.file(from)?);
                if !self.is_directory(&parent(to)) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                if parent(from) == parent(to) {
                    self.rename(Some(from), Some((to, node)));
                } else {
                    self.rename(None, Some((to, node)));
                    self.rename(Some(from), None);
                }
            }
            Change::Remove(path) => {
                self.file(path)?;
                self.rename(Some(path), None);
            }
            Change::RemoveDir(path) => {
                if !self.list(path)?.is_empty() {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                if self.live.contains_key(path) {
                    self.rename(Some(path), None);
                }
            }
            _ => {}
        }
        Ok(file)
    }

    fn absent(&self, path: &Path) -> io::Result<()> {
        if self.live.contains_key(path) {
            Err(io::ErrorKind::AlreadyExists.into())
        } else if self.is_directory(&parent(path)) {
            Ok(())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn rename(&mut self, gone: Option<&PathBuf>, there: Option<(&PathBuf, Node)>) {
        let there = there.map(|(path, node)| (path.clone(), node));
        let named = gone.or(there.as_ref().map(|(path, _)| path));
        let change = NameChange {
            directory: parent(named.unwrap()),
            gone: gone.cloned(),
            there,
        };
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    /// Settles what became of what was not synced.
    pub(crate) fn crash(&mut self, unsynced: Unsynced) {
        let mut random = match unsynced {
            Unsynced::Shown => return,
            Unsynced::Torn(seed) => Some(Random(seed)),
            Unsynced::Lost | Unsynced::Kept => None,
        };
        let mut landed = || match &mut random {
            Some(random) => random.coin(),
            None => unsynced == Unsynced::Kept,
        };
        for change in std::mem::take(&mut self.pending) {
            if landed() {
                change.apply(&mut self.durable);
            }
        }
        // A directory that is not durably named is gone, with all that is in it.
        let all = self.durable.iter().chain(&self.live);
        let directories = all.filter(|(_, node)| **node == Node::Directory);
        let lost: BTreeSet<_> = directories
            .map(|(path, _)| path.clone())
            .chain(self.durable.keys().map(|path| parent(path)))
            .filter(|path| self.strict && path != Path::new("/"))
            .filter(|path| self.durable.get(path) != Some(&Node::Directory))
            .collect();
        self.durable
            .retain(|path, _| !path.ancestors().any(|above| lost.contains(above)));
        self.live.clone_from(&self.durable);
        let reachable: BTreeSet<u64> = self
            .live
            .values()
            .filter_map(|node| match node {
                Node::File(file) => Some(*file),
                Node::Directory => None,
            })
            .collect();
        self.files.retain(|number, _| reachable.contains(number));
        for file in self.files.values_mut() {
            if file.is_unsynced() {
                Arc::make_mut(file).crash(&mut landed);
            }
        }
    }

    /// A crash after which the disk has, of all that was not synced, only what came since an
    /// earlier moment. No sync lies between the two.
    pub(crate) fn crash_since(&mut self, before: &Self) {
        self.pending.drain(..before.pending.len());
        for (number, file) in &mut self.files {
            match before.files.get(number) {
                Some(before) if before.is_unsynced() => Arc::make_mut(file).lose(before),
                _ => {}
            }
        }
        self.crash(Unsynced::Kept);
    }

    /// A number that differs where what is seen, or what is to be synced, differs.
    pub(crate) fn print(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for (name, names) in [(b'l', &self.live), (b'd', &self.durable)] {
            for (path, node) in names {
                hasher.update(&[name]);
                hasher.update(path.as_os_str().as_encoded_bytes());
                if let Node::File(file) = node {
                    let file = &self.files[file];
                    file.print(&mut hasher);
                }
            }
        }
        hasher.update(format!("{:?}", self.pending).as_bytes());
        *hasher.finalize().as_bytes()
    }
}
