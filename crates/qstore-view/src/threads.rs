//! Does the same with many things on all cores, and waits until all are done.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// More threads than this do not make reading faster, and take memory.
const THREADS_MAX: usize = 16;

/// The number of threads for a request.
pub(crate) fn count(asked: Option<usize>) -> usize {
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    asked.unwrap_or_else(cores).clamp(1, THREADS_MAX)
}

/// The results, in the order of the jobs; jobs are begun in that order. After an error no further job is begun,
/// and the error of the first job that failed is returned.
pub(crate) fn run<J: Sync, T: Send, E: Send>(
    jobs: &[J],
    threads: usize,
    work: impl Fn(&J) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let worker = || {
        while let Some((number, job)) = {
            let number = next.fetch_add(1, Ordering::Relaxed);
            jobs.get(number).map(|job| (number, job))
        } {
            let result = work(job);
            if result.is_err() {
                // Nothing is left for the others.
                next.store(jobs.len(), Ordering::Relaxed);
            }
            done.lock().unwrap_or_else(PoisonError::into_inner).push((number, result));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(jobs.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_jobs() {
        let jobs: Vec<_> = (0..1_000).collect();
        for threads in [1, 4] {
            let twice = run(&jobs, threads, |job| Ok::<_, ()>(job * 2));
            assert_eq!(twice, Ok((0..1_000).map(|job| job * 2).collect()));
            let failed = run(&jobs, threads, |job| if *job == 500 { Err(*job) } else { Ok(()) });
            assert_eq!(failed, Err(500));
        }
        assert_eq!(run(&[], 4, |(): &()| Ok::<_, ()>(())), Ok(vec![]));
    }
}
