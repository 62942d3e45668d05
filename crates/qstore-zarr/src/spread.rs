//! Work spread over several threads whose results are wanted when all of it is done.
//!
//! Nobody hands anything to anybody on the way, so no thread waits for another's turn. That is for results
//! that are small; where they are the chunks themselves, they are made [in order](crate::ordered).

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Makes the results `0..count` on `workers` threads, of which this is one, and returns them in order.
///
/// The first error ends the work and is returned; so does a panic, which is passed on. Where no thread
/// can be had, those that run do its share; alone, this thread makes one result after the other.
pub(crate) fn spread<T: Send, E: Send>(
    workers: usize,
    count: usize,
    produce: impl Fn(usize) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E> {
    let next = AtomicUsize::new(0);
    let first_error = Mutex::new(None);
    let work = || {
        let _end = EndOnDrop { next: &next, count };
        let mut made = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return made;
            }
            match produce(index) {
                Ok(result) => made.push((index, result)),
                Err(error) => {
                    first_error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    return made;
                }
            }
        }
    };
    let mut made = thread::scope(|scope| {
        let start = |_| {
            let thread = thread::Builder::new().name("qstore-chunks".into());
            thread.spawn_scoped(scope, work).ok()
        };
        let others: Vec<_> = (1..workers.min(count)).filter_map(start).collect();
        let mut made = work();
        for other in others {
            made.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        made
    });
    if let Some(error) = first_error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(error);
    }
    made.sort_unstable_by_key(|(index, _)| *index);
    Ok(made.into_iter().map(|(_, result)| result).collect())
}

/// Leaves nothing to be done: after an error, and in a panic.
struct EndOnDrop<'n> {
    next: &'n AtomicUsize,
    count: usize,
}

impl Drop for EndOnDrop<'_> {
    fn drop(&mut self) {
        self.next.store(self.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;

    #[test]
    fn every_result_is_made_once_and_they_come_in_order() {
        for (workers, count) in [(1, 5), (2, 0), (2, 1), (2, 1000), (4, 1000), (9, 3)] {
            let calls = AtomicUsize::new(0);
            let make = |index: usize| {
                calls.fetch_add(1, Ordering::Relaxed);
                Ok::<_, ()>(index)
            };
            assert_eq!(spread(workers, count, make).unwrap(), (0..count).collect::<Vec<_>>());
            assert_eq!(calls.into_inner(), count);
        }
    }

    #[test]
    fn so_many_threads_work_at_a_time() {
        let all_are_here = Barrier::new(3);
        let make = |_| {
            all_are_here.wait();
            Ok::<_, ()>(())
        };
        assert_eq!(spread(3, 3, make).unwrap().len(), 3);
    }

    #[test]
    fn an_error_or_a_panic_ends_the_work() {
        for workers in [1, 3] {
            for panics in [false, true] {
                let calls = AtomicUsize::new(0);
                let make = |index: usize| {
                    calls.fetch_add(1, Ordering::Relaxed);
                    assert!(!(panics && index == 40), "on purpose");
                    if index < 40 {
                        return Ok(());
                    }
                    if index == 40 {
                        return Err("bad");
                    }
                    // sleep: whoever came behind it must not be done before the end is told.
                    thread::sleep(std::time::Duration::from_millis(20));
                    Ok(())
                };
                let outcome = catch_unwind(AssertUnwindSafe(|| spread(workers, 1_000_000, make)));
                assert_eq!(outcome.is_err(), panics);
                assert!(outcome.is_err() || outcome.is_ok_and(|made| made == Err("bad")));
                assert!(calls.into_inner() < 1000, "it went on");
            }
        }
    }
}
