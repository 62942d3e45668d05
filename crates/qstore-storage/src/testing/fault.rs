//! A file system that fails in one way at one operation, or at several.

use super::gate::Gate;
use super::watched::{Step, Verdict, WatchedFs, Watcher, Written};
use crate::error::Operation;
use crate::file_system::FileSystem;
use crate::in_place::Stamp;
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
    /// Several in a row.
    Burst {
        /// The number of the first that fails.
        at: usize,
        /// The number of operations that fail.
        length: usize,
    },
    /// The one with this number and all later ones, as if the machine had stopped there.
    From(usize),
}

/// How an operation fails.
#[derive(Debug, Clone)]
pub enum Failure {
    /// The disk is full; the first half of a write is written.
    Full,
    /// The device fails; all of a write but its last byte is written.
    Io,
    /// A signal arrives first.
    Interrupted,
    /// Permission is denied.
    Denied,
    /// The file system has become read-only, as it does when its disk fails.
    ReadOnly,
    /// A write stops after its first byte.
    ShortWrite,
    /// A sync fails, what was written is lost, and every later sync of that file reports success: what
    /// Linux may do with pages that it could not write back.
    LostSync,
    /// An error of this kind; the first half of a write is written.
    Kind(ErrorKind),
    /// It waits until the gate is opened, and is then performed.
    Hang(Arc<Gate>),
}

impl Failure {
    /// The errors that any operation can meet.
    pub const ERRORS: [Self; 5] =
        [Self::Full, Self::Io, Self::Interrupted, Self::Denied, Self::ReadOnly];

    /// Every way in which that operation can fail.
    #[must_use]
    pub fn of(operation: Operation) -> Vec<Self> {
        let special = match operation {
            Operation::Write => Some(Self::ShortWrite),
            Operation::Sync => Some(Self::LostSync),
            _ => None,
        };
        Self::ERRORS.into_iter().chain(special).collect()
    }

    /// How much of a failing write is written.
    fn written(&self) -> Written {
        match self {
            Self::Full | Self::Kind(_) => Written::Half,
            Self::Io => Written::AllButOne,
            Self::ShortWrite => Written::One,
            _ => Written::None,
        }
    }

    /// What the system reports. The numbers are the same on every Unix.
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

/// A file system that lets everything through but for a [`Fault`], which is a [`Failure`].
///
/// Operations are counted from 0 in the order in which they are requested.
///
/// ```
/// use qstore_storage::testing::{Failure, Fault, FaultFs};
/// use qstore_storage::{FileSystem, MemoryFs};
/// use std::{path::Path, sync::Arc};
///
/// let files = FaultFs::failing(Arc::new(MemoryFs::new()), Fault::Once(1), Failure::Io);
/// let file = files.create_new(Path::new("/file"))?;
/// assert!(file.write_at(0, b"the device fails").is_err());
/// file.write_at(0, b"and works again")?;
/// assert!(files.has_struck());
/// # Ok::<(), qstore_storage::Error>(())
/// ```
pub type FaultFs = WatchedFs<Faults>;

/// The [`Watcher`] behind [`FaultFs`].
#[derive(Debug)]
pub struct Faults {
    fault: Fault,
    failure: Failure,
    counts_all: bool,
    count: AtomicUsize,
    has_struck: AtomicBool,
    asked: Mutex<Vec<Operation>>,
    /// Files whose sync has failed once and now pretends to succeed.
    lost: Mutex<Vec<Stamp>>,
}

impl FaultFs {
    /// Lets everything through to `inner` but for `fault`, which fails with an error of that kind. Only
    /// operations that change, sync or claim something are counted.
    pub fn new(inner: Arc<dyn FileSystem>, fault: Fault, kind: ErrorKind) -> Self {
        Self::failing(inner, fault, Failure::Kind(kind))
    }

    /// The same with any failure.
    pub fn failing(inner: Arc<dyn FileSystem>, fault: Fault, failure: Failure) -> Self {
        Self::over(inner, Faults::new(fault, failure, false))
    }

    /// The same, counting all operations, including those that only read.
    pub fn failing_any(inner: Arc<dyn FileSystem>, fault: Fault, failure: Failure) -> Self {
        Self::over(inner, Faults::new(fault, failure, true))
    }

    /// The number of counted operations so far.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.watcher().count.load(SeqCst)
    }

    /// The counted operations so far, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Operation> {
        lock(&self.watcher().asked).clone()
    }

    /// Whether anything has failed.
    #[must_use]
    pub fn has_struck(&self) -> bool {
        self.watcher().has_struck.load(SeqCst)
    }
}

impl Faults {
    fn new(fault: Fault, failure: Failure, counts_all: bool) -> Self {
        Self {
            fault,
            failure,
            counts_all,
            count: AtomicUsize::new(0),
            has_struck: AtomicBool::new(false),
            asked: Mutex::default(),
            lost: Mutex::default(),
        }
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
        let is_sync = step.operation == Operation::Sync;
        if !fails {
            let pretends = is_sync && self.is_lost(step);
            return if pretends { Verdict::Pretend } else { Verdict::Proceed };
        }
        self.has_struck.store(true, SeqCst);
        match &self.failure {
            Failure::Hang(gate) => {
                gate.pass();
                return Verdict::Proceed;
            }
            Failure::LostSync if is_sync => {
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
