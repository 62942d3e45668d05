//! A closure that is called before each operation and can be replaced while the file system is in use.

use super::watched::{Step, Verdict, WatchedFs, Watcher, Written};
use crate::error::Operation;
use crate::memory::MemoryFs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::{fmt, io};

type Call = dyn Fn(usize, Operation, &Path) -> io::Result<()> + Send + Sync;

/// A file system that calls a hook before each operation.
///
/// The hook is given the number of the operation, counted from 0 since the hook was set, the operation, and
/// its path. It may record them, wait or panic. If it returns an error, the operation fails with it and has
/// no effect, except that the first half of a write is written, as on a disk that runs full.
///
/// ```
/// use qstore_storage::testing::Watched;
/// use qstore_storage::{FileSystem, MemoryFs, Operation, StagedFile};
/// use std::{io::ErrorKind, path::Path};
///
/// let watched = Watched::new(&MemoryFs::new());
/// watched.set(|_, operation, _| match operation {
///     Operation::Rename => Err(ErrorKind::PermissionDenied.into()),
///     _ => Ok(()),
/// });
/// let staged = StagedFile::create(&watched.shared(), Path::new("/.report.tmp"))?;
/// let error = staged.commit(Path::new("/report")).unwrap_err();
/// assert_eq!(error.operation, Operation::Rename);
/// # Ok::<(), qstore_storage::Error>(())
/// ```
pub type Watched = WatchedFs<Hook>;

/// The [`Watcher`] behind [`Watched`].
pub struct Hook {
    call: Mutex<Arc<Call>>,
    count: AtomicUsize,
}

impl Watched {
    /// `memory` with a hook that does nothing.
    #[must_use]
    pub fn new(memory: &MemoryFs) -> Self {
        let call = Mutex::new(Arc::new(|_: usize, _: Operation, _: &Path| Ok(())) as Arc<Call>);
        Self::over(Arc::new(memory.clone()), Hook { call, count: AtomicUsize::new(0) })
    }

    /// Replaces the hook, and counts operations from 0 again.
    pub fn set(
        &self,
        hook: impl Fn(usize, Operation, &Path) -> io::Result<()> + Send + Sync + 'static,
    ) {
        let Hook { call, count } = self.watcher();
        *call.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(hook);
        count.store(0, SeqCst);
    }

    /// The number of operations since the hook was set.
    #[must_use]
    pub fn count(&self) -> usize {
        self.watcher().count.load(SeqCst)
    }
}

impl Watcher for Hook {
    fn before(&self, step: &Step<'_>) -> Verdict {
        // Not called under the lock: a hook may wait for another operation.
        let call = Arc::clone(&self.call.lock().unwrap_or_else(PoisonError::into_inner));
        let number = self.count.fetch_add(1, SeqCst);
        match call(number, step.operation, step.path) {
            Ok(()) => Verdict::Proceed,
            Err(error) => Verdict::Fail(error, Written::Half),
        }
    }
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("count", &self.count).finish_non_exhaustive()
    }
}
