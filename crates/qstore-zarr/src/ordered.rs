//! Work shared by several threads whose results are wanted in order.
//!
//! The threads live no longer than the call. At most two results per thread exist at a time, being
//! made or waiting for their turn; that is what bounds the memory of a save.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// Makes the results `0..count` on `workers` threads and consumes them, in order, on this one.
///
/// The first error ends the work and is returned; so does a panic, which is passed on. With one
/// worker, or where no thread can be had, this thread does everything.
pub(crate) fn in_order<T: Send, E: Send>(
    workers: usize,
    count: usize,
    produce: impl Fn(usize) -> Result<T, E> + Sync,
    mut consume: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let workers = workers.min(count);
    let line = Line {
        state: Mutex::new(State { begun: 0, consumed: 0, made: BTreeMap::new(), is_over: false }),
        room: Condvar::new(),
        made: Condvar::new(),
        count,
        window: 2 * workers,
    };
    thread::scope(|scope| {
        let _over = EndOnDrop(&line);
        let has_started = workers > 1
            && (0..workers)
                .map(|_| {
                    thread::Builder::new()
                        .name("qstore-chunks".into())
                        .spawn_scoped(scope, || line.work(&produce))
                        .is_ok()
                })
                .fold(false, |any, started| any | started);
        for index in 0..count {
            if !has_started {
                consume(produce(index)?)?;
            } else if let Some(made) = line.take(index) {
                consume(made?)?;
                line.lock().consumed = index + 1;
                line.room.notify_all();
            } else {
                break; // a worker panicked, and the scope passes it on
            }
        }
        Ok(())
    })
}

struct Line<T, E> {
    state: Mutex<State<T, E>>,
    /// A result was consumed, so another may be begun.
    room: Condvar,
    made: Condvar,
    count: usize,
    /// How many results may exist at a time.
    window: usize,
}

struct State<T, E> {
    begun: usize,
    consumed: usize,
    made: BTreeMap<usize, Result<T, E>>,
    is_over: bool,
}

impl<T, E> Line<T, E> {
    fn work(&self, produce: &(impl Fn(usize) -> Result<T, E> + Sync)) {
        loop {
            let must_wait = |state: &mut State<T, E>| {
                !state.is_over && state.begun >= state.consumed + self.window
            };
            let waited = self.room.wait_while(self.lock(), must_wait);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            if state.is_over || state.begun == self.count {
                return;
            }
            let index = state.begun;
            state.begun += 1;
            drop(state);

            let over = EndOnDrop(self);
            let result = produce(index);
            std::mem::forget(over);
            self.lock().made.insert(index, result);
            self.made.notify_all();
        }
    }

    /// Waits for a result; `None` when it never comes.
    fn take(&self, index: usize) -> Option<Result<T, E>> {
        let must_wait =
            |state: &mut State<T, E>| !state.is_over && !state.made.contains_key(&index);
        let waited = self.made.wait_while(self.lock(), must_wait);
        waited.unwrap_or_else(PoisonError::into_inner).made.remove(&index)
    }

    fn lock(&self) -> MutexGuard<'_, State<T, E>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the work when it goes out of scope: at the end, after an error, and in a panic, so that
/// nobody waits for somebody who is gone.
struct EndOnDrop<'l, T, E>(&'l Line<T, E>);

impl<T, E> Drop for EndOnDrop<'_, T, E> {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.room.notify_all();
        self.0.made.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    #[test]
    fn results_come_in_order_and_few_exist_at_a_time() {
        for (workers, count) in [(1, 5), (2, 0), (2, 1), (2, 1000), (4, 1000)] {
            let (alive, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let produce = |index: usize| {
                most.fetch_max(alive.fetch_add(1, SeqCst) + 1, SeqCst);
                Ok::<_, ()>(index)
            };
            let mut results = Vec::new();
            let consume = |index| {
                results.push(index);
                alive.fetch_sub(1, SeqCst);
                Ok(())
            };
            in_order(workers, count, produce, consume).unwrap();
            assert_eq!(results, (0..count).collect::<Vec<_>>());
            assert!(most.into_inner() <= 2 * workers);
        }
    }

    #[test]
    fn the_first_error_ends_the_work_wherever_it_comes_from() {
        for workers in [1, 3] {
            let produce = |index| if index == 40 { Err("made") } else { Ok(index) };
            assert_eq!(in_order(workers, 1000, produce, |_| Ok(())), Err("made"));
            let consume = |index| if index == 30 { Err("consumed") } else { Ok(()) };
            assert_eq!(in_order(workers, 1000, produce, consume), Err("consumed"));
        }
    }

    #[test]
    fn a_panic_on_either_side_is_passed_on_and_nobody_hangs() {
        for workers in [1, 3] {
            let run = |bad_product: usize, bad_consumption: usize| {
                catch_unwind(AssertUnwindSafe(|| {
                    let produce = |index| {
                        assert_ne!(index, bad_product, "on purpose");
                        Ok::<_, ()>(index)
                    };
                    in_order(workers, 1000, produce, |index| {
                        assert_ne!(index, bad_consumption, "on purpose");
                        Ok(())
                    })
                }))
            };
            assert!(run(50, usize::MAX).is_err());
            assert!(run(usize::MAX, 50).is_err());
        }
    }
}
