//! The file system as Q-Store needs it: small enough to replace, strict enough to test against.
//!
//! This crate is the only one in the set that renames, links, locks or syncs. Everything that must
//! survive a crash goes through the [`FileSystem`] trait and the two durable helpers on top of it:
//!
//! | to publish | use | until `commit` returns `Ok` |
//! |---|---|---|
//! | one file | [`StagedFile`] | its public name shows the old file, or nothing |
//! | one file that several writers may replace | [`Replacement`] | the same; it finds its own temporary name |
//! | a tree of files | [`StagedDir`] | its public name shows the old tree, or nothing |
//!
//! There are two file systems to choose from, and room for more:
//!
//! | file system | use it to |
//! |---|---|
//! | [`LocalFs`] | store files on the machine's disks |
//! | [`MemoryFs`] | test: it behaves like a disk and can show what a power cut would leave |
//! | your own | implement [`FileSystem`], then run [`conformance::check`] on it |
//!
//! # What happens in every case
//! * **After `Ok`** a change is visible to every reader at once. It survives a power cut only after the
//!   sync that covers it; `commit` does all syncs that are needed, in the right order.
//! * **After `Err`** nothing has changed unless the method's documentation says otherwise. Nothing is
//!   retried: the caller knows whether that makes sense.
//! * **A crash during `commit`** leaves the old content or the new content under the public name, never a
//!   mixture. A temporary name may be left behind; the owner of the name removes it at the next start.
//! * **A full disk** is reported by the write or by the sync. The staged content is dropped, and the
//!   public name still shows the old one.
//!
//! What this crate is **not**: it knows no file format, starts no thread and retries nothing. It is not a
//! general virtual file system: it has no timestamps and follows no links, and permissions are only
//! carried over from a file to the one that replaces it.
//!
//! ```
//! use qstore_storage::{FileSystem, MemoryFs, StagedFile, read_all};
//! use std::{path::Path, sync::Arc};
//!
//! let memory = MemoryFs::new();
//! let files: Arc<dyn FileSystem> = Arc::new(memory.clone());
//!
//! let mut staged = StagedFile::create(&files, Path::new("/.report.tmp"))?;
//! staged.append(b"all rows are safe")?;
//! staged.commit(Path::new("/report"))?;
//!
//! let after = memory.power_cut();
//! assert_eq!(read_all(&after, Path::new("/report"))?, b"all rows are safe");
//! # Ok::<(), qstore_storage::Error>(())
//! ```
//!
//! # How is this different from …
//! * **`std::fs::write`**, which truncates the old file first: a crash in between loses both versions.
//! * **`tempfile::NamedTempFile::persist`**, which renames but syncs neither the bytes nor the name:
//!   after a power cut the file may be empty or missing.
//! * **An object store**, which has no locks, no hard links and no rename. A bucket cannot implement
//!   [`FileSystem`]; checkpoints in a bucket use the repository trait of `qstore-checkpoint` instead.
//!
//! # Features
//! `testing` — the module `testing`: file systems that observe, fail, hang and lose power on demand. Off by
//! default; turn it on in dev-dependencies.
//!
//! # Platforms
//! Unix. [`FileSystem::exchange`] needs Linux or macOS. Locks are `flock` locks: they hold between the
//! processes of one machine, belong to the open file, and are therefore shared with a forked child
//! until both processes have closed it. A [noted lock](FileSystem::try_lock_noted) can be asked for without
//! taking it, on Linux. What a forked child drops (a lock, a claim, a staged file or tree)
//! stays with its parent: nothing is released and nothing is removed. Where a file system has no locks,
//! writing is refused unless [`Locking::IfSupported`] is chosen. What else a system cannot do is done without:
//! see [`Error::is_unsupported`].

#![deny(unsafe_code)]

#[cfg(not(unix))]
compile_error!("qstore-storage needs positional writes and directory syncs as Unix has them");

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod attributes;
mod by_name;
mod cannot;
pub mod conformance;
mod error;
mod file_system;
mod holes;
mod in_place;
mod kind;
mod lease;
mod local;
mod locking;
mod memory;
mod noted_lock;
mod operation;
mod random;
mod replacement;
mod staged_dir;
mod staged_file;
mod sync_dir;
mod sync_tree;
pub mod temporary;
#[cfg(feature = "testing")]
pub mod testing;
mod tree;
mod whole;
mod write_out;

pub use by_name::open_dir;
pub use error::{Error, Operation, Result};
pub use file_system::{Entry, EntryKind, FileHandle, FileSystem, Lock, Metadata, TreeSync};
pub use in_place::{Claim, Exclusive, Stamp};
pub use local::LocalFs;
pub use locking::Locking;
pub use memory::{MemoryFs, PowerCut, UnsyncedBytes, UnsyncedNames};
pub use noted_lock::{FileId, NOTE_BYTES_MAX, Probe};
pub use replacement::Replacement;
pub use staged_dir::{ReplacedDir, StagedDir};
pub use staged_file::StagedFile;
pub use tree::{create_dir_all, parent_of, remove_dir_all};
pub use whole::{read_all, read_into_zeroed, read_up_to};
