//! File systems for tests: they observe, fail, hang and lose power on demand.
//!
//! | to | use |
//! |---|---|
//! | observe each operation, wait in it, or let it fail | [`Watched`] and its hook |
//! | let any operation fail in any way a disk can | [`FaultFs`] |
//! | see what a power cut would leave before every change | [`CrashFs`] |
//! | hold a thread inside an operation until the test continues | [`Gate`] |
//! | decide in code of your own | [`WatchedFs`] with a [`Watcher`] |
//!
//! Each wraps a [`FileSystem`](crate::FileSystem) and forwards every method, so that a test of your own
//! need not. They need the feature `testing`:
//!
//! ```toml
//! [dev-dependencies]
//! qstore-storage = { version = "0.1", features = ["testing"] }
//! ```
//!
//! Run a scenario once without a fault to count its operations, then once for each of them: that leaves no
//! moment untried.
//!
//! ```
//! use qstore_storage::testing::{Failure, Fault, FaultFs};
//! use qstore_storage::{FileSystem, MemoryFs, StagedFile};
//! use std::{path::Path, sync::Arc};
//!
//! let publish = |files: &Arc<dyn FileSystem>| {
//!     let mut staged = StagedFile::create(files, Path::new("/.report.tmp"))?;
//!     staged.append(b"all rows are safe")?;
//!     staged.commit(Path::new("/report"))
//! };
//! let counted = FaultFs::failing(Arc::new(MemoryFs::new()), Fault::Never, Failure::Io);
//! publish(&counted.shared())?;
//! for at in 0..counted.operations() {
//!     let memory = MemoryFs::new();
//!     let faulty = FaultFs::failing(Arc::new(memory.clone()), Fault::Once(at), Failure::Full);
//!     let published = publish(&faulty.shared());
//!     // What was reported as published survives a power cut.
//!     let is_there = memory.power_cut().metadata(Path::new("/report"))?.is_some();
//!     assert!(published.is_err() || is_there, "operation {at}");
//! }
//! # Ok::<(), qstore_storage::Error>(())
//! ```

mod crash;
mod fault;
mod gate;
mod hook;
mod watched;

pub use crash::{CrashFs, Crashes, Moment, cuts};
pub use fault::{Failure, Fault, FaultFs, Faults};
pub use gate::Gate;
pub use hook::{Hook, Watched};
pub use watched::{Step, Verdict, WatchedFs, Watcher, Written};
