//! A storage that fails when it is told to.
//!
//! It counts the operations that change or sync something, or all of them, and lets one of them, or
//! several, go wrong in one way: an error of the system, a write that stops half way, a sync after which
//! nothing can be believed, a disk that hangs. Put it around a
//! [`MemoryFs`](qstore::storage::MemoryFs), run a scenario once without a fault to see how many
//! operations there are, and then once for each: that leaves no moment untried.
//!
//! ```
//! use qstore::storage::{MemoryFs, StagedFile, FileSystem};
//! use qstore_tests::fault::{Failure, Fault, FaultFs};
//! use std::{path::Path, sync::Arc};
//!
//! let publish = |storage: &Arc<dyn FileSystem>| {
//!     let mut staged = StagedFile::create(storage, Path::new("/.report.tmp"))?;
//!     staged.append(b"all rows are safe")?;
//!     staged.commit(Path::new("/report"))
//! };
//! let storage = FaultFs::failing(Arc::new(MemoryFs::new()), Fault::Never, Failure::Io);
//! publish(&storage.shared())?;
//! for at in 0..storage.operations() {
//!     let memory = MemoryFs::new();
//!     let storage = FaultFs::failing(Arc::new(memory.clone()), Fault::Once(at), Failure::Full);
//!     let published = publish(&storage.shared());
//!     // What said that it was published is there after a power cut.
//!     let is_there = memory.power_cut().metadata(Path::new("/report"))?.is_some();
//!     assert!(published.is_err() || is_there, "operation {at}");
//! }
//! # Ok::<(), qstore::storage::Error>(())
//! ```
//!
//! An implementation of `FileSystem` of your own should first pass
//! [`qstore::storage::conformance`], which says what a storage must do when nothing fails.

use crate::gate::Gate;
use crate::watched::{Step, Verdict, WatchedFs, Watcher, Written};
use qstore::storage::{FileSystem, Operation, Stamp};
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

/// Which operations fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// None.
    Never,
    /// The one with this number, counted from 0.
    Once(usize),
    /// So many, beginning with the one with this number.
    Burst {
        /// The first that fails.
        at: usize,
        /// How many fail.
        length: usize,
    },
    /// The one with this number and all after it, as if the machine had stopped there.
    From(usize),
}

/// How they fail.
#[derive(Debug, Clone)]
pub enum Failure {
    /// No space is left; half of a write is done.
    Full,
    /// The device fails; all of a write but its last byte is done.
    Io,
    /// A signal came first.
    Interrupted,
    /// It is not permitted.
    Denied,
    /// The file system has become read-only, as it does when its disk fails.
    ReadOnly,
    /// A write stops after its first byte.
    ShortWrite,
    /// A sync fails, what was written is lost, and every later sync of that file says that all is
    /// well: what Linux may do with pages it could not write down.
    LostSync,
    /// An error of this kind; half of a write is done.
    Kind(ErrorKind),
    /// It waits until the gate is opened, and is done then.
    Hang(Arc<Gate>),
}

impl Failure {
    /// The errors that any operation can meet.
    pub const ERRORS: [Self; 5] =
        [Self::Full, Self::Io, Self::Interrupted, Self::Denied, Self::ReadOnly];

    /// All ways in which that operation can fail.
    pub fn of(operation: Operation) -> Vec<Self> {
        let special = match operation {
            Operation::Write => Some(Self::ShortWrite),
            Operation::Sync => Some(Self::LostSync),
            _ => None,
        };
        Self::ERRORS.into_iter().chain(special).collect()
    }

    /// How much of a write is done before it fails.
    fn written(&self) -> Written {
        match self {
            Self::Full | Self::Kind(_) => Written::Half,
            Self::Io => Written::AllButOne,
            Self::ShortWrite => Written::One,
            _ => Written::None,
        }
    }

    /// What the system says. The numbers are the same on every Unix.
    fn error(&self) -> io::Error {
        io::Error::from_raw_os_error(match self {
            Self::Interrupted => 4,
            Self::Denied => 13,
            Self::Full => 28,
            Self::ReadOnly => 30,
            Self::Io | Self::LostSync | Self::Hang(_) => 5,
            Self::ShortWrite => return ErrorKind::WriteZero.into(),
            Self::Kind(kind) => return (*kind).into(),
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "enospc",
            Self::Io => "eio",
            Self::Interrupted => "eintr",
            Self::Denied => "eacces",
            Self::ReadOnly => "erofs",
            Self::ShortWrite => "short-write",
            Self::LostSync => "lost-sync",
            Self::Kind(kind) => return write!(f, "{kind:?}"),
            Self::Hang(_) => "hang",
        })
    }
}

/// A storage that fails like that.
pub type FaultFs = WatchedFs<Faults>;

/// What has been asked for, and what fails.
#[derive(Debug)]
pub struct Faults {
    fault: Fault,
    failure: Failure,
    counts_all: bool,
    count: AtomicUsize,
    has_struck: AtomicBool,
    asked: Mutex<Vec<Operation>>,
    /// Files whose sync has failed once and now pretends.
    lost: Mutex<Vec<Stamp>>,
}

impl FaultFs {
    /// Lets everything through to `inner` but for `fault`, counted among the operations that change
    /// something, which fails with an error of that kind.
    pub fn new(inner: Arc<dyn FileSystem>, fault: Fault, kind: ErrorKind) -> Self {
        Self::failing(inner, fault, Failure::Kind(kind))
    }

    /// The same for any failure.
    pub fn failing(inner: Arc<dyn FileSystem>, fault: Fault, failure: Failure) -> Self {
        Self::over(inner, Faults::new(fault, failure, false))
    }

    /// The same counted among all operations, those that only look included.
    pub fn failing_any(inner: Arc<dyn FileSystem>, fault: Fault, failure: Failure) -> Self {
        Self::over(inner, Faults::new(fault, failure, true))
    }

    /// How many operations were asked for so far, of those that are counted.
    pub fn operations(&self) -> usize {
        self.watcher().count.load(SeqCst)
    }

    /// Which those were, in order.
    pub fn asked(&self) -> Vec<Operation> {
        lock(&self.watcher().asked).clone()
    }

    /// Whether anything has failed.
    pub fn has_struck(&self) -> bool {
        self.watcher().has_struck.load(SeqCst)
    }
}

impl Faults {
    fn new(fault: Fault, failure: Failure, counts_all: bool) -> Self {
        let (count, has_struck) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (asked, lost) = (Mutex::default(), Mutex::default());
        Self { fault, failure, counts_all, count, has_struck, asked, lost }
    }

    fn is_lost(&self, step: &Step<'_>) -> bool {
        let stamp = step.file.and_then(|file| file.stamp().ok());
        stamp.is_some_and(|stamp| lock(&self.lost).iter().any(|lost| lost.is_same_file(&stamp)))
    }
}

impl Watcher for Faults {
    fn before(&self, step: &Step<'_>) -> Verdict {
        if !step.is_change && !self.counts_all {
            return Verdict::Proceed;
        }
        let number = self.count.fetch_add(1, SeqCst);
        lock(&self.asked).push(step.operation);
        let fails = match self.fault {
            Fault::Never => false,
            Fault::Once(at) => number == at,
            Fault::Burst { at, length } => (at..at + length).contains(&number),
            Fault::From(at) => number >= at,
        };
        let is_lost_sync = step.operation == Operation::Sync;
        if !fails {
            let pretends = is_lost_sync && self.is_lost(step);
            return if pretends { Verdict::Pretend } else { Verdict::Proceed };
        }
        self.has_struck.store(true, SeqCst);
        match &self.failure {
            Failure::Hang(gate) => {
                gate.pass();
                return Verdict::Proceed;
            }
            Failure::LostSync if is_lost_sync => {
                lock(&self.lost).extend(step.file.and_then(|file| file.stamp().ok()));
            }
            _ => {}
        }
        // A machine that has stopped writes nothing more.
        let written = if matches!(self.fault, Fault::From(_)) {
            Written::None
        } else {
            self.failure.written()
        };
        Verdict::Fail(self.failure.error(), written)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
