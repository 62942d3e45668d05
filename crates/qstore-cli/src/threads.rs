//! Does the same with many things on some threads. A panic of one of them is a panic of the caller: no result is
//! missing without a word.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;

/// The results, in the order of the items. `done` is called in this thread, with the number of results so far.
pub(crate) fn map<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
    mut done: impl FnMut(usize),
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut results: Vec<(usize, R)> = Vec::with_capacity(items.len());
    thread::scope(|scope| {
        let (next, work) = (&next, &work);
        let workers = (0..threads.clamp(1, items.len().max(1))).map(|_| {
            let sender = sender.clone();
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Relaxed);
                    let Some(item) = items.get(at) else { break };
                    if sender.send((at, work(item))).is_err() {
                        break;
                    }
                }
            })
        });
        let workers: Vec<_> = workers.collect();
        drop(sender);
        for result in receiver {
            results.push(result);
            done(results.len());
        }
        for worker in workers {
            worker.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
    results.sort_unstable_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

/// The number of cores.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_items() {
        let items: Vec<_> = (0..500).collect();
        for threads in [0, 1, 4] {
            let mut counts = Vec::new();
            let twice = map(&items, threads, |item| item * 2, |count| counts.push(count));
            assert!(twice.iter().zip(&items).all(|(twice, item)| *twice == item * 2));
            assert_eq!((twice.len(), counts.last()), (500, Some(&500)));
        }
        assert!(map(&[], 4, |(): &()| (), |_| {}).is_empty());
    }

    #[test]
    #[should_panic(expected = "run 7 cannot be read")]
    fn a_worker_that_panics_loses_nothing_silently() {
        let items: Vec<_> = (0..20).collect();
        map(&items, 2, |item| assert!(*item != 7, "run {item} cannot be read"), |_| {});
    }
}
