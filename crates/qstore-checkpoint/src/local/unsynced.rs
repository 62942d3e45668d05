//! Written files that are not synced yet, for systems that cannot sync a whole tree.
//!
//! They are synced in batches, because the first sync of a batch also writes most of the others; a sync
//! after every file would cost a disk flush each. The thread that fills a batch syncs it while the others
//! continue with the next one, so no thread waits for another.

use crate::repository::Result;
use qstore_storage::FileHandle;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// The most files open at a time, over all threads: well below the limit of a process.
const OPEN_MAX: usize = 128;

#[derive(Debug)]
pub(super) struct Unsynced {
    files: Mutex<Vec<Box<dyn FileHandle>>>,
    /// How many files make up a batch. Every thread may be syncing one at the same time.
    batch: usize,
}

impl Unsynced {
    /// For files that `writers` threads write.
    pub(super) fn new(writers: usize) -> Self {
        Self { files: Mutex::default(), batch: (OPEN_MAX / writers.max(1)).max(1) }
    }

    /// Takes a file whose bytes are complete. Syncs a batch when it is full.
    pub(super) fn push(&self, file: Box<dyn FileHandle>) -> Result<()> {
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

    /// Syncs the rest on `writers` threads, including this one.
    pub(super) fn finish(self, writers: usize) -> Result<()> {
        let files = self.files.into_inner().unwrap_or_else(PoisonError::into_inner);
        let sync = |files: &[Box<dyn FileHandle>]| -> Result<()> {
            files.iter().try_for_each(|file| Ok(file.sync()?))
        };
        let share = files.len().div_ceil(writers.max(1)).max(1);
        let (own, rest) = files.split_at(share.min(files.len()));
        thread::scope(|scope| {
            let others: Vec<_> = rest
                .chunks(share)
                .map(|files| {
                    thread::Builder::new()
                        .spawn_scoped(scope, move || sync(files))
                        .map_err(|_| files)
                })
                .collect();
            others.into_iter().fold(sync(own), |done, other| {
                let synced = match other {
                    Ok(thread) => thread.join().expect("syncing does not panic"),
                    Err(files) => sync(files), // no thread could be started
                };
                done.and(synced)
            })
        })
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
    use std::time::Duration;

    #[derive(Debug, Default)]
    struct Counts {
        open: AtomicUsize,
        most: AtomicUsize,
        synced: AtomicUsize,
    }

    /// A file that counts as open until it is dropped.
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
            unreachable!("it is not read")
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
            // sleep: as a disk would, so that other threads fill their batches meanwhile.
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
    fn a_failed_sync_is_reported_from_any_thread() {
        for (at, is_at_the_end) in [(100, false), (130, true)] {
            let counts = Arc::new(Counts::default());
            let unsynced = Unsynced::new(1);
            let push = |number| unsynced.push(Counted::open(&counts, number == at));
            assert_eq!((0..150).all(|number| push(number).is_ok()), is_at_the_end);
            assert_eq!(unsynced.finish(1).is_err(), is_at_the_end);
        }
    }
}
