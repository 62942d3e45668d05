//! The trait for where checkpoints are stored. A repository stores bytes under names; it knows no format.
//!
//! A local directory, a prefix in a bucket and a map in memory can all be repositories. What a checkpoint
//! consists of, and whether its bytes are complete, is decided one layer above.
//!
//! # How saves are ordered
//! Each save gets a number greater than that of every earlier save. If
//! [`exclude`](Repository::exclude) returns [`Exclusion::Held`], a writer takes the number, commits and
//! removes old checkpoints while it excludes the others. If there is no lock, as in a bucket, a writer
//! claims its number with [`create`](Repository::create), at which exactly one of several writers
//! succeeds, and then checks whether a greater one exists.

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
mod error;
#[cfg(any(test, feature = "testing"))]
mod faulty;
mod memory;

pub use error::RepositoryError;
#[cfg(any(test, feature = "testing"))]
pub use faulty::{Fault, Faulty};
pub use memory::MemoryRepository;

use std::any::Any;
use std::fmt;
use std::io;
use std::ops::Range;

/// The result of a repository operation.
pub type Result<T, E = RepositoryError> = std::result::Result<T, E>;

/// Where checkpoints are stored. All methods may block; they are called from background threads and
/// from threads that load checkpoints.
///
/// Names are relative, with `/` as the separator, and consist of bytes that are safe in paths and in
/// object keys. Three kinds of things have names: files, which are the checkpoints of
/// [`Layout::SingleFile`](crate::Layout::SingleFile); trees of entries, which are those of
/// [`Layout::Directory`](crate::Layout::Directory); and small documents (pins, the description, joint
/// manifests), which are also files.
///
/// Eight methods are required. A repository without trees leaves out the two `tree` methods; a manager
/// then refuses the directory layout.
pub trait Repository: fmt::Debug + Send + Sync {
    /// The location for messages: a path, a URL.
    fn location(&self) -> String;

    /// The names directly below `prefix`, which is empty or ends with `/`, in no particular order.
    /// Uncommitted drafts are not listed.
    ///
    /// # Errors
    /// If the listing could not be read. A prefix with nothing below it has an empty listing.
    fn list(&self, prefix: &str) -> Result<Vec<Listed>>;

    /// Begins a file, which is invisible until it is committed.
    ///
    /// # Errors
    /// If it could not be created; then nothing has changed.
    fn begin_file(&self, name: &str) -> Result<Box<dyn FileDraft>>;

    /// Opens a committed file. When its name is replaced or removed, an open file stays readable and
    /// unchanged; where that is impossible, as in a bucket, reading it fails from then on with
    /// [`ReplacedWhileRead`](RepositoryError::ReplacedWhileRead). It never shows bytes of another file.
    ///
    /// # Errors
    /// [`is_not_found`](RepositoryError::is_not_found) if it does not exist.
    fn open_file(&self, name: &str) -> Result<Box<dyn FileSource>>;

    /// Begins a tree, which is invisible until it is committed, and which `writers` threads fill.
    ///
    /// # Errors
    /// [`RepositoryError::Unsupported`] if the repository does not support trees, which is the default;
    /// [`RepositoryError::Foreign`] if the name belongs to something that is not a checkpoint.
    fn begin_tree(&self, name: &str, writers: usize) -> Result<Box<dyn TreeDraft>> {
        let _ = (name, writers);
        Err(RepositoryError::Unsupported { what: "trees of entries" })
    }

    /// Opens a committed tree. Unlike a file, it can be replaced or removed while it is read.
    ///
    /// # Errors
    /// [`is_not_found`](RepositoryError::is_not_found) if it does not exist.
    fn open_tree(&self, name: &str) -> Result<Box<dyn TreeSource>> {
        Err(RepositoryError::NotFound { name: name.into(), location: self.location() })
    }

    /// Whether [`begin_tree`](Self::begin_tree) is supported.
    fn has_trees(&self) -> bool {
        false
    }

    /// Writes a small document if there is none with this name. Exactly one of several writers gets
    /// [`Created::New`]; after that the document is durable.
    ///
    /// # Errors
    /// [`RepositoryError::Unsettled`] if it is not known whether it was written.
    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created>;

    /// Writes a small document, atomically replacing one with the same name. After `Ok` it is durable.
    ///
    /// # Errors
    /// After an error, the earlier document is unchanged, or completely replaced.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut draft = self.begin_file(name)?;
        draft.append(bytes)?;
        draft.commit().map(drop)
    }

    /// Removes files, trees and documents, each atomically, in the given order. After `Ok` none of them
    /// comes back, not even after a power cut. A name that does not exist is not an error. The caller
    /// [excludes](Self::exclude) other writers, if that is possible.
    ///
    /// # Errors
    /// After an error, any of the names may be removed; a power cut may bring them back complete. The caller
    /// removes them one by one to find out which, so a name that cannot be removed does not keep the others.
    fn remove(&self, names: &[String]) -> Result<Leftovers>;

    /// The same for checkpoints: each is identified, so that what someone else has put under its name since
    /// the caller looked is left alone. The default cannot do that, and removes by name.
    ///
    /// # Errors
    /// As [`remove`](Self::remove); [`RepositoryError::Replaced`] if something is not what is to be removed.
    fn remove_if(&self, names: &[String], is_due: Identify<'_>) -> Result<Leftovers> {
        let _ = is_due;
        self.remove(names)
    }

    /// Keeps other writers from ordering saves and removing checkpoints until the returned value is
    /// dropped. Waits while another writer has excluded this one. Readers are never excluded.
    ///
    /// # Errors
    /// If it is not known whether others are excluded.
    fn exclude(&self) -> Result<Exclusion>;

    /// The free space in bytes, or `None` if the repository cannot know it.
    ///
    /// # Errors
    /// If the free space could not be determined although the repository usually knows it.
    fn available(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Removes what killed writers left behind. What is not a checkpoint was somebody else's: it gets its
    /// name back. Best effort: the next writer that opens the repository retries what cannot be done now.
    fn collect_leftovers(&self, is_ours: Identify<'_>) {
        let _ = is_ours;
    }
}

/// Tells whether what has a name is what the caller takes it for, such as a checkpoint. An error means that
/// it is not known; then it is not touched.
pub type Identify<'a> = &'a (dyn Fn(&str, Source) -> Result<bool> + 'a);

/// A name in a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Listed {
    /// The name, without the prefix.
    pub name: String,
    /// Whether it is a file or a tree.
    pub kind: Kind,
}

/// What a name refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A file or a document.
    File,
    /// A tree of entries.
    Tree,
}

impl Listed {
    /// A file or document with this name.
    #[must_use]
    pub fn file(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: Kind::File }
    }

    /// A tree with this name.
    #[must_use]
    pub fn tree(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: Kind::Tree }
    }
}

/// A file being written, append-only. Dropped without a commit, it leaves nothing behind.
pub trait FileDraft: fmt::Debug + Send {
    /// Appends bytes.
    ///
    /// # Errors
    /// After an error the draft can only be dropped.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;

    /// The number of bytes appended so far.
    fn len(&self) -> u64;

    /// Whether nothing has been appended yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes the file durable and atomically gives it its name, replacing what had that name. After `Ok`
    /// it survives a power cut. What it replaced may still take space, which is freed when the leftovers
    /// are dropped.
    ///
    /// # Errors
    /// After an error, the name refers to the earlier file or to all of this one.
    fn commit(self: Box<Self>) -> Result<Leftovers>;

    /// The same for a checkpoint: it replaces nothing but what `is_ours` identifies. The default cannot tell,
    /// and replaces whatever has the name.
    ///
    /// # Errors
    /// As [`commit`](Self::commit); [`RepositoryError::Foreign`] if the name belongs to something else.
    fn commit_over(self: Box<Self>, is_ours: Identify<'_>) -> Result<Leftovers> {
        let _ = is_ours;
        self.commit()
    }
}

/// A tree being filled by any number of threads. Dropped without a commit, it leaves nothing behind.
pub trait TreeDraft: fmt::Debug + Send + Sync {
    /// Writes one entry, given in pieces.
    ///
    /// # Errors
    /// If the entry already exists or could not be written; then the draft can only be dropped.
    fn put(&self, entry: &str, pieces: &[&[u8]]) -> Result<()>;

    /// Adds the entry with the same name in the committed tree `tree` to this tree without copying it.
    /// Returns whether that was possible; if not, the caller writes the entry.
    fn link(&self, entry: &str, tree: &str) -> bool {
        let _ = (entry, tree);
        false
    }

    /// Like [`FileDraft::commit`], for the whole tree.
    ///
    /// # Errors
    /// As [`FileDraft::commit`]; [`RepositoryError::Foreign`] if the name belongs to something that is
    /// not a checkpoint.
    fn commit(self: Box<Self>) -> Result<Leftovers>;
}

/// An open file, readable from any number of threads.
pub trait FileSource: fmt::Debug + Send + Sync {
    /// The length in bytes.
    ///
    /// # Errors
    /// If it could not be determined.
    fn len(&self) -> Result<u64>;

    /// Whether the file is empty.
    ///
    /// # Errors
    /// As [`len`](Self::len).
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills the buffer, starting at this offset of the file.
    ///
    /// # Errors
    /// If the file ends before the buffer is full, or could not be read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// Announces ranges that will be read, each once, in about this order. A file that is far away can then
    /// read neighbors together. A hint: the default does nothing.
    fn announce(&self, ranges: &[Range<u64>]) {
        let _ = ranges;
    }

    /// Whether the file was replaced or removed, and can therefore not be read anymore. The default is for
    /// files that stay readable.
    fn is_replaced(&self) -> bool {
        false
    }
}

/// An open tree, readable from any number of threads.
pub trait TreeSource: fmt::Debug + Send + Sync {
    /// Opens an entry. Names cannot escape the tree, and symbolic links are not followed.
    ///
    /// # Errors
    /// [`is_not_found`](RepositoryError::is_not_found) if it does not exist.
    fn open(&self, entry: &str) -> Result<Box<dyn FileSource>>;

    /// The names of all entries, at any depth, in no particular order. Anything else in the tree, such as
    /// a symbolic link, is listed as well.
    ///
    /// # Errors
    /// If the listing could not be read.
    fn entries(&self) -> Result<Vec<String>>;
}

/// A file or a tree that was opened by its path, wherever it is.
#[derive(Debug)]
#[non_exhaustive]
pub enum Source {
    /// A file.
    File(Box<dyn FileSource>),
    /// A tree.
    Tree(Box<dyn TreeSource>),
}

/// The result of [`Repository::create`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Created {
    /// The document was created and is durable.
    New,
    /// There already is one, with these bytes.
    Exists(Vec<u8>),
}

/// The result of [`Repository::exclude`].
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "dropping it lets the others in"]
pub enum Exclusion {
    /// Other writers wait until this is dropped.
    Held(Box<dyn Guard>),
    /// This repository has no lock. Saves are ordered by [`Repository::create`].
    Unavailable,
}

/// Excludes other writers until it is dropped.
pub trait Guard: fmt::Debug + Send {}

impl<G: fmt::Debug + Send> Guard for G {}

/// Files and trees that have lost their name but still take space. Dropping it frees the space, which can
/// take as long as writing them did; after a kill, the next writer does it.
#[derive(Default)]
#[must_use = "dropping it frees space, which takes time"]
pub struct Leftovers {
    held: Vec<Box<dyn Any + Send>>,
}

impl Leftovers {
    /// Nothing is left over.
    pub const fn none() -> Self {
        Self { held: Vec::new() }
    }

    /// Also drops `item`, which frees its space, when this is dropped. Items are dropped in call order.
    pub fn hold(&mut self, item: impl Send + 'static) {
        self.held.push(Box::new(item));
    }

    /// Takes over everything that `other` would free.
    pub fn append(&mut self, mut other: Self) {
        self.held.append(&mut other.held);
    }

    /// Whether there is anything to free.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

impl fmt::Debug for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leftovers").field("count", &self.held.len()).finish()
    }
}

/// The bytes of a whole file or document; `None` if it does not exist.
///
/// # Errors
/// If it could not be read, or is longer than `limit` bytes.
pub fn read_all(repository: &dyn Repository, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
    let file = match repository.open_file(name) {
        Err(error) if error.is_not_found() => return Ok(None),
        opened => opened?,
    };
    let len = file.len()?;
    if len > limit {
        return Err(RepositoryError::TooLong { name: name.into(), len, limit });
    }
    let mut bytes = Vec::new();
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if bytes.try_reserve_exact(len).is_err() {
        return Err(RepositoryError::other(name, io::Error::from(io::ErrorKind::OutOfMemory)));
    }
    bytes.resize(len, 0); // bounded: it was reserved
    file.read_at(0, &mut bytes)?;
    Ok(Some(bytes))
}
