//! Work on several threads whose results are needed once all of it is done: a Rayon pool that lives as
//! long as the call.
//!
//! Each call has its own pool instead of Rayon's global one, so that the number of threads is what the user
//! chose, and the threads inherit the priority of the thread that starts them.

use rayon::ThreadPoolBuilder;
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

/// Runs `task` for each item on `workers` threads and returns the results in order. `scratch` creates
/// memory that is reused from one task to the next.
///
/// An error ends the work, and the error of the first item that fails is returned; a panic also ends it,
/// and is propagated. With one worker, or if no threads can be started, this thread does everything.
pub(crate) fn spread<I: Send, S, T: Send, E: Send>(
    workers: usize,
    items: Vec<I>,
    scratch: impl Fn() -> S + Sync + Send,
    task: impl Fn(&mut S, I) -> Result<T, E> + Sync + Send,
) -> Result<Vec<T>, E> {
    let threads = workers.min(items.len());
    let name = |_| "qstore-chunks".to_owned();
    let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(name);
    match pool.build() {
        Ok(pool) if threads > 1 => pool.install(|| in_parallel(items, scratch, task)),
        _ => {
            let mut scratch = scratch();
            items.into_iter().map(|item| task(&mut scratch, item)).collect()
        }
    }
}

fn in_parallel<I: Send, S, T: Send, E: Send>(
    items: Vec<I>,
    scratch: impl Fn() -> S + Sync + Send,
    task: impl Fn(&mut S, I) -> Result<T, E> + Sync + Send,
) -> Result<Vec<T>, E> {
    // The error of the first item that fails is returned, whichever thread is faster, so that the same
    // damage is always reported in the same way. Items after it are skipped, items before it are not.
    let first_failed = AtomicUsize::new(usize::MAX);
    let failure: Mutex<Option<(usize, E)>> = Mutex::new(None);
    let run = |scratch: &mut S, (index, item)| {
        if index > first_failed.load(Relaxed) {
            return None;
        }
        let _guard = SkipTheRestOnPanic(&first_failed);
        match task(scratch, item) {
            Ok(result) => Some(result),
            Err(error) => {
                first_failed.fetch_min(index, Relaxed);
                let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
                if failure.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
                    *failure = Some((index, error));
                }
                None
            }
        }
    };
    // One item at a time: they differ in size, and each is worth a steal.
    let items = items.into_par_iter().enumerate().with_max_len(1);
    let results: Vec<Option<T>> = items.map_init(scratch, run).collect();
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(results.into_iter().flatten().collect()),
    }
}

struct SkipTheRestOnPanic<'a>(&'a AtomicUsize);

impl Drop for SkipTheRestOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;
    use std::time::Duration;

    #[test]
    fn every_task_runs_once_and_results_are_in_order() {
        for (workers, count) in [(1, 5), (2, 0), (2, 1), (2, 1000), (4, 1000), (9, 3)] {
            let calls = AtomicUsize::new(0);
            let items: Vec<usize> = (0..count).collect();
            let run = |(): &mut (), index: usize| {
                calls.fetch_add(1, Relaxed);
                Ok::<_, ()>(index)
            };
            assert_eq!(spread(workers, items.clone(), || (), run).unwrap(), items);
            assert_eq!(calls.into_inner(), count);
        }
    }

    #[test]
    fn the_requested_number_of_threads_work_at_a_time() {
        let all_are_here = Barrier::new(3);
        let run = |(): &mut (), ()| {
            all_are_here.wait();
            Ok::<_, ()>(())
        };
        assert_eq!(spread(3, vec![(); 3], || (), run).unwrap().len(), 3);
    }

    #[test]
    fn the_error_of_the_first_failing_item_is_returned() {
        for _ in 0..200 {
            let run = |(): &mut (), index: usize| if index >= 30 { Err(index) } else { Ok(()) };
            assert_eq!(spread(3, (0..100).collect(), || (), run), Err(30));
        }
    }

    #[test]
    fn an_error_or_a_panic_ends_the_work() {
        for workers in [1, 3] {
            for panics in [false, true] {
                let calls = AtomicUsize::new(0);
                let run = |(): &mut (), index: usize| {
                    calls.fetch_add(1, Relaxed);
                    assert!(!(panics && index == 40), "on purpose");
                    if index == 40 {
                        return Err("bad");
                    }
                    if index > 40 {
                        // sleep: a task that takes a while, so that what is skipped is seen.
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    Ok(())
                };
                let items: Vec<usize> = (0..100_000).collect();
                let outcome = catch_unwind(AssertUnwindSafe(|| spread(workers, items, || (), run)));
                assert_eq!(outcome.is_err(), panics);
                assert!(outcome.is_err() || outcome.is_ok_and(|made| made == Err("bad")));
                assert!(calls.into_inner() < 100_000, "the work continued");
            }
        }
    }
}
