//! Work on several threads whose results are consumed in order, with bounded memory.
//!
//! Worker `w` of `n` produces the results `w`, `w + n`, `w + 2n`, … and sends each through its own
//! channel, which holds one. So the consumer always knows where the next result comes from, no worker waits for
//! another worker's result, and at most two results per worker exist at a time: one in the channel and
//! one being produced. That bounds the memory of a save. Rayon, which does the rest of the parallel work,
//! has no ordered and bounded map.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

/// Produces the results `0..count` on `workers` threads and consumes them, in order, on this one.
///
/// The first error ends the work and is returned; a panic also ends it, and is propagated. With one worker,
/// or if no threads can be started, this thread does everything.
pub(crate) fn in_order<T: Send, E: Send>(
    workers: usize,
    count: usize,
    produce: impl Fn(usize) -> Result<T, E> + Sync,
    mut consume: impl FnMut(T) -> Result<(), E>,
) -> Result<(), E> {
    let workers = workers.min(count);
    if workers <= 1 {
        return (0..count).try_for_each(|index| consume(produce(index)?));
    }
    thread::scope(|scope| {
        let mut results: Vec<Receiver<Result<T, E>>> = Vec::with_capacity(workers);
        for worker in 0..workers {
            let (sender, receiver) = sync_channel(1);
            let produce = &produce;
            let work = move || {
                for index in (worker..count).step_by(workers) {
                    let made = produce(index);
                    let is_last = made.is_err();
                    // The receiver is gone once the consumer has ended.
                    if sender.send(made).is_err() || is_last {
                        break;
                    }
                }
            };
            match thread::Builder::new().name("qstore-chunks".into()).spawn_scoped(scope, work) {
                Ok(_) => results.push(receiver),
                Err(_) => break,
            }
        }
        if results.len() < workers {
            // No thread could be started for some of the workers: this thread does their share, in order.
            drop(results);
            return (0..count).try_for_each(|index| consume(produce(index)?));
        }
        for index in 0..count {
            match results[index % workers].recv() {
                Ok(made) => consume(made?)?,
                Err(_) => break, // the worker panicked; the scope propagates it
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    #[test]
    fn results_arrive_in_order_and_few_exist_at_a_time() {
        for (workers, count) in [(1, 5), (2, 0), (2, 1), (2, 1000), (4, 1000)] {
            let (alive, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let mut results = Vec::new();
            in_order(
                workers,
                count,
                |index: usize| {
                    most.fetch_max(alive.fetch_add(1, SeqCst) + 1, SeqCst);
                    Ok::<_, ()>(index)
                },
                |index| {
                    results.push(index);
                    alive.fetch_sub(1, SeqCst);
                    Ok(())
                },
            )
            .unwrap();
            assert_eq!(results, (0..count).collect::<Vec<_>>());
            // Two per worker, and the one being consumed.
            assert!(most.into_inner() <= 2 * workers + 1);
        }
    }

    #[test]
    fn the_first_error_ends_the_work_whichever_side_it_comes_from() {
        for workers in [1, 3] {
            let made = AtomicUsize::new(0);
            let produce = |index| {
                made.fetch_add(1, SeqCst);
                if index == 40 { Err("made") } else { Ok(index) }
            };
            assert_eq!(in_order(workers, 1000, produce, |_| Ok(())), Err("made"));
            let consume = |index| if index == 30 { Err("consumed") } else { Ok(()) };
            assert_eq!(in_order(workers, 1000, produce, consume), Err("consumed"));
            assert!(made.into_inner() < 200, "the work continued");
        }
    }

    #[test]
    fn a_panic_on_either_side_is_propagated_and_nothing_hangs() {
        for workers in [1, 3] {
            for (bad_product, bad_consumption) in [(50, usize::MAX), (usize::MAX, 50)] {
                let run = catch_unwind(AssertUnwindSafe(|| {
                    in_order(
                        workers,
                        1000,
                        |index| {
                            assert_ne!(index, bad_product, "on purpose");
                            Ok::<_, ()>(index)
                        },
                        |index| {
                            assert_ne!(index, bad_consumption, "on purpose");
                            Ok(())
                        },
                    )
                }));
                assert!(run.is_err());
            }
        }
    }
}
