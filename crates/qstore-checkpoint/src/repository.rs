//! The seam: where checkpoints are stored. A repository knows names and bytes; it knows no format.
//!
//! A directory of the local file system, a prefix in a bucket and a map in memory can all be one. What
//! a checkpoint consists of, and whether the bytes under its name are whole, is known one layer above.
//!
//! # How saves are ordered
//! Each save gets a number greater than that of every save before it. Where
//! [`exclude`](Repository::exclude) returns [`Exclusion::Held`], a writer takes the number, commits and
//! removes old checkpoints while it excludes the others. Where there is no lock, as in a bucket, a
//! writer claims its number with [`create`](Repository::create), which exactly one of several writers
//! wins, and looks again whether a greater one exists.

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

/// The result of a repository operation.
pub type Result<T, E = RepositoryError> = std::result::Result<T, E>;

/// Where checkpoints are stored. All methods may block; they are called from background threads and
/// from threads that load.
///
/// Names are relative, with `/` between their parts, and consist of bytes that are safe in a path and
/// in a key. Three kinds of things have names: files, which are the checkpoints of
/// [`Layout::SingleFile`](crate::Layout::SingleFile); trees of entries, which are those of
/// [`Layout::Directory`](crate::Layout::Directory); and small documents (pins, the catalog, joint
/// manifests), which are files as well.
///
/// Eight methods are required. A repository without trees leaves out the two `tree` methods; then the
/// directory layout is refused when a manager opens it.
pub trait Repository: fmt::Debug + Send + Sync {
    /// The place in words, for messages: a path, a URL.
    fn location(&self) -> String;

    /// The names directly below `prefix`, which is empty or ends with `/`, in no particular order.
    /// Drafts that are not committed are not among them.
    ///
    /// # Errors
    /// When the listing could not be read. A prefix under which there is nothing is an empty listing.
    fn list(&self, prefix: &str) -> Result<Vec<Listed>>;

    /// Begins a file, which nobody can see before it is committed.
    ///
    /// # Errors
    /// When it cannot be begun; nothing has changed then.
    fn begin_file(&self, name: &str) -> Result<Box<dyn FileDraft>>;

    /// Opens a committed file. What is opened stays readable and unchanged when the name is replaced or
    /// removed.
    ///
    /// # Errors
    /// [`is_not_found`](RepositoryError::is_not_found) when there is none.
    fn open_file(&self, name: &str) -> Result<Box<dyn FileSource>>;

    /// Begins a tree, which nobody can see before it is committed, and which `writers` threads fill.
    ///
    /// # Errors
    /// [`RepositoryError::Unsupported`] where there are no trees, as here;
    /// [`RepositoryError::Foreign`] when the name belongs to something that is not a checkpoint.
    fn begin_tree(&self, name: &str, writers: usize) -> Result<Box<dyn TreeDraft>> {
        let _ = (name, writers);
        Err(RepositoryError::Unsupported { what: "trees of entries" })
    }

    /// Opens a committed tree. Unlike a file it can be replaced or removed while it is read.
    ///
    /// # Errors
    /// [`is_not_found`](RepositoryError::is_not_found) when there is none.
    fn open_tree(&self, name: &str) -> Result<Box<dyn TreeSource>> {
        Err(RepositoryError::NotFound { name: name.into(), location: self.location() })
    }

    /// Whether [`begin_tree`](Self::begin_tree) is supported.
    fn has_trees(&self) -> bool {
        false
    }

    /// Writes a small document if there is none of that name. Of several writers exactly one gets
    /// [`Created::New`]; after that the document is durable.
    ///
    /// # Errors
    /// [`RepositoryError::Unsettled`] when it is not known whether it was written.
    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created>;

    /// Writes a small document, replacing one of that name in one step. After `Ok` it is durable.
    ///
    /// # Errors
    /// After an error the earlier document is as it was, or was replaced as a whole.
    fn replace(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut draft = self.begin_file(name)?;
        draft.append(bytes)?;
        draft.commit().map(drop)
    }

    /// Removes files, trees and documents, each in one step, in this order. After `Ok` none of them
    /// comes back, not even after a power cut. A name that does not exist is not an error.
    ///
    /// # Errors
    /// After an error those before the failing one are gone; a power cut may bring them back whole.
    fn remove(&self, names: &[String]) -> Result<Leftovers>;

    /// Keeps other writers from ordering saves and removing checkpoints, until what is returned is
    /// dropped. Waits for another writer that does so. Readers are never excluded.
    ///
    /// # Errors
    /// When it is not known whether others are excluded.
    fn exclude(&self) -> Result<Exclusion>;

    /// Bytes that can still be written, or `None` where that is not known.
    ///
    /// # Errors
    /// When it could not be found out although it usually can.
    fn available(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// Removes what writers left behind that were killed. Best effort: whatever cannot be removed now
    /// is tried again by the next one who opens the repository.
    fn collect_leftovers(&self) {}
}

/// A name in a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Listed {
    /// The name, without the prefix.
    pub name: String,
    /// Whether it is a file or a tree.
    pub kind: Kind,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A file or a document.
    File,
    /// A tree of entries.
    Tree,
}

impl Listed {
    /// A file or document of that name.
    #[must_use]
    pub fn file(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: Kind::File }
    }

    /// A tree of that name.
    #[must_use]
    pub fn tree(name: impl Into<String>) -> Self {
        Self { name: name.into(), kind: Kind::Tree }
    }
}

/// A file that is being written, from front to back. Dropped without a commit it leaves nothing.
pub trait FileDraft: fmt::Debug + Send {
    /// Appends bytes.
    ///
    /// # Errors
    /// After an error the draft can only be dropped.
    fn append(&mut self, bytes: &[u8]) -> Result<()>;

    /// Bytes appended so far.
    fn len(&self) -> u64;

    /// Whether nothing was appended yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes the file durable and gives it its name in one step, replacing what had the name. After
    /// `Ok` it survives a power cut. What it replaced may still take space, which is freed when the
    /// leftovers are dropped.
    ///
    /// # Errors
    /// After an error the name shows the earlier file, or this one as a whole.
    fn commit(self: Box<Self>) -> Result<Leftovers>;
}

/// A tree that is being filled, by any number of threads. Dropped without a commit it leaves nothing.
pub trait TreeDraft: fmt::Debug + Send + Sync {
    /// Writes one entry, given in pieces.
    ///
    /// # Errors
    /// When the entry exists already or could not be written; the draft can only be dropped then.
    fn put(&self, entry: &str, pieces: &[&[u8]]) -> Result<()>;

    /// Makes an entry of the committed tree `tree`, under the same name, an entry of this one without
    /// copying it. Returns whether that was possible; where it was not, the caller writes the entry.
    fn link(&self, entry: &str, tree: &str) -> bool {
        let _ = (entry, tree);
        false
    }

    /// As [`FileDraft::commit`], for the whole tree.
    ///
    /// # Errors
    /// As [`FileDraft::commit`]; [`RepositoryError::Foreign`] when the name belongs to something that
    /// is not a checkpoint.
    fn commit(self: Box<Self>) -> Result<Leftovers>;
}

/// A file that is read, from any number of threads.
pub trait FileSource: fmt::Debug + Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// When it could not be found out.
    fn len(&self) -> Result<u64>;

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// As [`len`](Self::len).
    fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills the buffer from that offset.
    ///
    /// # Errors
    /// When the file ends before the buffer is full, or could not be read.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;
}

/// A tree that is read, from any number of threads.
pub trait TreeSource: fmt::Debug + Send + Sync {
    /// Opens an entry. No entry leads out of the tree: a link is not followed.
    ///
    /// # Errors
    /// [`is_not_found`](RepositoryError::is_not_found) when there is none.
    fn open(&self, entry: &str) -> Result<Box<dyn FileSource>>;

    /// The names of all entries, at any depth, in no particular order. Something in the tree that is
    /// neither an entry nor leads to one is listed as well.
    ///
    /// # Errors
    /// When the listing could not be read.
    fn entries(&self) -> Result<Vec<String>>;
}

/// What became of [`Repository::create`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Created {
    /// The document is ours, and durable.
    New,
    /// There is one already, with these bytes.
    Exists(Vec<u8>),
}

/// What became of [`Repository::exclude`].
#[derive(Debug)]
#[non_exhaustive]
#[must_use = "dropping it lets the others in"]
pub enum Exclusion {
    /// Other writers wait until this is dropped.
    Held(Box<dyn Guard>),
    /// This repository has no lock. Saves are ordered by [`Repository::create`].
    Unavailable,
}

/// Keeps other writers out until it is dropped.
pub trait Guard: fmt::Debug + Send {}

impl<G: fmt::Debug + Send> Guard for G {}

/// What has lost its name and still takes space. Dropping it frees the space, which can take as long
/// as writing it took; after a kill the next writer does it.
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

    /// Also frees the space of `item` when this is dropped, by dropping it, in the order of the calls.
    pub fn hold(&mut self, item: impl Send + 'static) {
        self.held.push(Box::new(item));
    }

    /// Also frees what `other` would.
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

/// The bytes of a whole file or document, `None` when there is none.
///
/// # Errors
/// When it could not be read, or is longer than `limit` bytes.
pub fn read_all(repository: &dyn Repository, name: &str, limit: u64) -> Result<Option<Vec<u8>>> {
    let file = match repository.open_file(name) {
        Err(error) if error.is_not_found() => return Ok(None),
        opened => opened?,
    };
    let len = file.len()?;
    if len > limit {
        return Err(RepositoryError::TooLong { name: name.into(), len, limit });
    }
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    file.read_at(0, &mut bytes)?;
    Ok(Some(bytes))
}
