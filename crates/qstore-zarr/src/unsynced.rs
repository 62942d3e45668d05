//! Files that are written and wait for their sync, where a tree cannot be synced as a whole.
//!
//! They are synced in batches: the first sync then carries the others with it, where one sync behind
//! every file would cost a turn of the disk each. Whoever fills a batch takes it and syncs it, while the
//! others go on with the next one; so nobody waits for anybody.

use crate::Error;
use crate::spread::spread;
use qstore_storage::FileHandle;
use std::sync::{Mutex, PoisonError};

/// How many files are open at a time, those of all workers: well below what a process may open.
const OPEN_MAX: usize = 128;

#[derive(Debug)]
pub(crate) struct Unsynced {
    files: Mutex<Vec<Box<dyn FileHandle>>>,
    /// How many files are synced in a row. Each worker may be doing that at the same time.
    batch: usize,
}

impl Unsynced {
    /// For files that so many threads write.
    pub(crate) fn new(workers: usize) -> Self {
        Self { files: Mutex::default(), batch: (OPEN_MAX / workers).max(1) }
    }

    /// Takes a file that has all its bytes; syncs a batch, this file or others, when there is one.
    pub(crate) fn push(&self, file: Box<dyn FileHandle>) -> Result<(), Error> {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.push(file);
        if files.len() < self.batch {
            return Ok(());
        }
        let batch = std::mem::take(&mut *files);
        drop(files);
        // mutant: full_batch_not_synced
        batch.iter().try_for_each(|file| Ok(file.sync()?))
    }

    /// Syncs what is left.
    pub(crate) fn finish(self, workers: usize) -> Result<(), Error> {
        let files = self.files.into_inner().unwrap_or_else(PoisonError::into_inner);
        spread(workers, files.len(), |index| Ok(files[index].sync()?)).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_storage::Operation;
    use std::io;
    use std::path::Path;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;
    use std::thread;
    use std::time::Duration;

    #[derive(Debug, Default)]
    struct Counts {
        open: AtomicUsize,
        most: AtomicUsize,
        synced: AtomicUsize,
    }

    /// A file that is open as long as it lives.
    #[derive(Debug)]
    struct Counted {
        counts: Arc<Counts>,
        fails: bool,
    }

    impl Counted {
        fn open(counts: &Arc<Counts>, fails: bool) -> Box<dyn FileHandle> {
            let open = counts.open.fetch_add(1, SeqCst) + 1;
            counts.most.fetch_max(open, SeqCst);
            Box::new(Self { counts: Arc::clone(counts), fails })
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.counts.open.fetch_sub(1, SeqCst);
        }
    }

    impl FileHandle for Counted {
        fn write_at(&self, _: u64, _: &[u8]) -> qstore_storage::Result<()> {
            unreachable!("it has all its bytes")
        }

        fn read_at(&self, _: u64, _: &mut [u8]) -> qstore_storage::Result<()> {
            unreachable!("nobody reads it")
        }

        fn len(&self) -> qstore_storage::Result<u64> {
            Ok(1)
        }

        fn set_len(&self, _: u64) -> qstore_storage::Result<()> {
            unreachable!("it has its length")
        }

        fn stamp(&self) -> qstore_storage::Result<qstore_storage::Stamp> {
            unreachable!("nothing asks which file it is")
        }

        fn sync(&self) -> qstore_storage::Result<()> {
            // sleep: as a disk would, so that the others fill their batches meanwhile.
            thread::sleep(Duration::from_micros(50));
            if self.fails {
                let error = io::ErrorKind::StorageFull.into();
                return Err(qstore_storage::Error::new(Operation::Sync, Path::new("/c"), error));
            }
            self.counts.synced.fetch_add(1, SeqCst);
            Ok(())
        }
    }

    #[test]
    fn every_file_is_synced_and_few_are_open_at_a_time() {
        const EACH: usize = 300;
        for workers in [1, 2, 3, 5, 100, 200] {
            let counts = Arc::new(Counts::default());
            let unsynced = Unsynced::new(workers);
            thread::scope(|scope| {
                for _ in 0..workers {
                    scope.spawn(|| {
                        for _ in 0..EACH {
                            unsynced.push(Counted::open(&counts, false)).unwrap();
                        }
                    });
                }
            });
            unsynced.finish(workers).unwrap();
            assert_eq!(counts.synced.load(SeqCst), workers * EACH);
            assert_eq!(counts.open.load(SeqCst), 0);
            let most = counts.most.load(SeqCst);
            assert!(most <= OPEN_MAX.max(workers), "{workers} workers: {most} open files");
        }
    }

    #[test]
    fn a_sync_that_fails_is_told_whoever_does_it() {
        for (at, is_at_the_end) in [(100, false), (130, true)] {
            let counts = Arc::new(Counts::default());
            let unsynced = Unsynced::new(1);
            let push = |number| unsynced.push(Counted::open(&counts, number == at));
            assert_eq!((0..150).all(|number| push(number).is_ok()), is_at_the_end);
            assert_eq!(unsynced.finish(1).is_err(), is_at_the_end);
        }
    }
}
