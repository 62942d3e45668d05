//! The ring and its wake-up under model checkers.
//!
//! `cargo xtask test` builds the crate two more times, with `--cfg loom` and with `--cfg shuttle`. loom
//! runs a test under every interleaving, and with every value that a weakly ordered load may return, up
//! to a number of forced switches between threads. shuttle runs larger tests under very many random
//! interleavings, without weak memory. Both report a lost wake-up as a deadlock.
//!
//! The last tests remove one memory ordering at a time and expect the same models to fail: a model that
//! nothing can break proves nothing.

use crate::ring::{Ring, Taken};
use crate::tests::executor::block_on;
use crate::wait::wake::Wakeup;
use crate::{AsyncBuffer, BufferSettings, Overflow, PushError};
use std::sync::Arc;
use std::time::Duration;

#[cfg(loom)]
use loom::thread;
#[cfg(shuttle)]
use shuttle::thread;

/// Runs a model under as many interleavings as its checker can.
#[cfg(loom)]
fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // Three find every bug known so far in seconds; five take a minute, no limit takes hours.
    let forced_switches =
        std::env::var("QSTORE_SWITCHES").ok().and_then(|count| count.parse().ok());
    builder.preemption_bound = Some(forced_switches.unwrap_or(3));
    builder.check(model);
}

#[cfg(shuttle)]
fn check(model: impl Fn() + Sync + Send + 'static) {
    let schedules = std::env::var("QSTORE_SCHEDULES").ok().and_then(|count| count.parse().ok());
    shuttle::check_random(model, schedules.unwrap_or(100_000));
}

fn buffer(maxsize: usize, overflow: Overflow) -> AsyncBuffer<u64> {
    let settings = BufferSettings::default().maxsize(maxsize).overflow(overflow);
    AsyncBuffer::with_settings(settings).unwrap()
}

/// Each of `producers` threads pushes one item; one consumer sleeps until it has them all.
///
/// The threads are not joined, because loom cannot join in a thread that may still be woken; the checker
/// itself runs them to their end.
fn wakes_for_one(producers: u64) {
    let buffer = buffer(2, Overflow::DropNewest);
    for item in 0..producers {
        let buffer = buffer.clone();
        thread::spawn(move || buffer.push(item).unwrap());
    }
    let mut taken: Vec<_> = (0..producers).map(|_| buffer.pop().unwrap()).collect();
    taken.sort_unstable();
    assert!(taken.into_iter().eq(0..producers));
}

#[test]
fn a_consumer_that_waits_for_one_is_woken() {
    check(|| wakes_for_one(1));
}

#[test]
fn a_consumer_that_waits_for_one_is_woken_by_either_of_two_producers() {
    check(|| wakes_for_one(2));
}

/// The consumer sleeps until two items are inside, as a drain sleeps until half the ring is full.
fn wakes_for_two() {
    let shared = Arc::new((Ring::new(4).unwrap(), Wakeup::new()));
    for item in 0..2 {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let (ring, wake) = &*shared;
            assert!(ring.push(item).is_ok());
            wake.pushed(|| ring.len());
        });
    }
    let (ring, wake) = &*shared;
    while ring.len() < 2 {
        wake.wait(2, None, || ring.len() >= 2);
    }
    let mut batch = Vec::new();
    assert_eq!(ring.pop_into(&mut batch, 2), 2);
    batch.sort_unstable();
    assert_eq!(batch, [0, 1]);
}

#[test]
fn a_consumer_that_waits_for_two_is_woken_by_the_second_of_two_producers() {
    check(wakes_for_two);
}

/// A push races the close. Its item is accepted and taken out, or refused.
fn closes(producers: u64) {
    let buffer = buffer(1, Overflow::DropNewest);
    let threads: Vec<_> = (0..producers)
        .map(|item| {
            let buffer = buffer.clone();
            thread::spawn(move || buffer.push(item).is_ok())
        })
        .collect();
    let closer = {
        let buffer = buffer.clone();
        thread::spawn(move || buffer.close())
    };
    let consumer = {
        let buffer = buffer.clone();
        thread::spawn(move || std::iter::from_fn(|| buffer.pop()).count())
    };
    closer.join().unwrap();
    let accepted = threads.into_iter().filter_map(|thread| thread.join().unwrap().then_some(()));
    let (accepted, taken) = (accepted.count(), consumer.join().unwrap());
    assert_eq!(accepted, taken);
    assert!(matches!(buffer.push(9), Err(PushError::Closed(9))));
    let stats = buffer.stats();
    assert_eq!((stats.pushed, stats.popped, stats.size), (taken as u64, taken as u64, 0));
}

#[test]
fn a_close_wakes_the_consumer_and_leaves_nothing_behind() {
    check(|| closes(1));
}

#[test]
fn a_task_that_waits_is_woken() {
    check(|| {
        let buffer = buffer(1, Overflow::DropNewest);
        let producer = {
            let buffer = buffer.clone();
            thread::spawn(move || {
                buffer.push(7).unwrap();
                buffer.close();
            })
        };
        let taken = block_on(async { (buffer.pop_async().await, buffer.pop_async().await) });
        assert_eq!(taken, (Some(7), None));
        producer.join().unwrap();
    });
}

/// A producer waits for the room that a consumer makes.
fn makes_room() {
    let buffer = buffer(1, Overflow::BlockFor(Duration::MAX));
    buffer.push(1).unwrap();
    let producer = {
        let buffer = buffer.clone();
        thread::spawn(move || buffer.push(2).unwrap())
    };
    assert_eq!(buffer.try_pop(), Some(1));
    producer.join().unwrap();
    assert_eq!(buffer.try_pop(), Some(2));
}

#[test]
fn a_push_that_waits_for_room_is_woken() {
    check(makes_room);
}

/// Two producers and a consumer reuse the slots of a small ring several times.
fn wraps_around(capacity: usize, laps: u64) {
    let ring = Arc::new(Ring::new(capacity).unwrap());
    let threads: Vec<_> = (0..2)
        .map(|producer| {
            let ring = Arc::clone(&ring);
            thread::spawn(move || {
                let pushed = (0..laps).filter(|&item| ring.push((producer, item)).is_ok());
                pushed.collect::<Vec<_>>()
            })
        })
        .collect();
    let mut taken = [const { Vec::new() }; 2];
    let mut take = || match ring.pop() {
        Taken::One((producer, item)) => {
            taken[producer as usize].push(item);
            true
        }
        Taken::Empty | Taken::Ended => false,
    };
    for _ in 0..laps {
        take();
    }
    let pushed: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    while take() {}
    assert_eq!(taken.as_slice(), pushed, "each producer's items, in its order, once");
}

#[cfg(loom)]
mod loom_only {
    use super::*;
    use crate::order::{Place, weakened};
    use std::panic::catch_unwind;

    #[test]
    fn a_small_ring_wraps_around() {
        check(|| wraps_around(1, 1));
        check(|| wraps_around(2, 1));
    }

    /// Whether the model fails without this ordering.
    fn fails_without(place: Place, model: fn()) -> bool {
        catch_unwind(|| check(move || weakened::at(place, model))).is_err()
    }

    #[test]
    fn without_the_order_of_a_push_a_wake_up_is_lost() {
        assert!(fails_without(Place::Push, || wakes_for_one(1)));
        assert!(fails_without(Place::Push, wakes_for_two));
    }

    #[test]
    fn without_the_order_of_a_wait_a_wake_up_is_lost() {
        assert!(fails_without(Place::Wait, || wakes_for_one(1)));
        assert!(fails_without(Place::Wait, wakes_for_two));
    }

    #[test]
    fn without_the_release_of_a_stamp_two_threads_are_in_one_slot() {
        assert!(fails_without(Place::Stamp, || wakes_for_one(1)));
    }

    #[test]
    fn without_the_fence_of_either_side_a_producer_misses_the_room() {
        assert!(fails_without(Place::MadeRoom, makes_room));
        assert!(fails_without(Place::WantRoom, makes_room));
    }

    /// A push has its own ordering; a close, or a request for a flush, has only this one.
    #[test]
    fn without_the_read_modify_write_a_close_wakes_nobody() {
        assert!(fails_without(Place::Change, || closes(0)));
    }
}

#[cfg(shuttle)]
mod shuttle_only {
    use super::*;
    use std::task::{Context, Waker};

    #[test]
    fn rings_of_small_sizes_wrap_around() {
        check(|| wraps_around(1, 3));
        check(|| wraps_around(3, 5));
    }

    /// One item for each, pushed one after the other; the active waiter may be replaced at any moment.
    #[test]
    fn consumers_share_the_slot_of_the_active_waiter() {
        check(|| {
            let buffer = buffer(4, Overflow::DropNewest);
            let consumers: Vec<_> = (0..4)
                .map(|_| {
                    let buffer = buffer.clone();
                    thread::spawn(move || buffer.pop().unwrap())
                })
                .collect();
            for item in 0..4 {
                buffer.push(item).unwrap();
                thread::yield_now();
            }
            let mut taken: Vec<_> = consumers.into_iter().map(|c| c.join().unwrap()).collect();
            taken.sort_unstable();
            assert_eq!(taken, [0, 1, 2, 3]);
        });
    }

    /// One future is polled once and then only kept; the other consumers get the items and the end.
    #[test]
    fn a_future_that_is_kept_does_not_keep_others_waiting() {
        check(|| {
            let buffer = buffer(2, Overflow::DropNewest);
            let mut kept = Box::pin(buffer.pop_async());
            let early = kept.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(early.is_pending());
            let consumers: Vec<_> = (0..2)
                .map(|_| {
                    let buffer = buffer.clone();
                    thread::spawn(move || std::iter::from_fn(|| buffer.pop()).count())
                })
                .collect();
            for item in 0..2 {
                buffer.push(item).unwrap();
            }
            buffer.close();
            let taken = consumers.into_iter().map(|consumer| consumer.join().unwrap());
            assert_eq!(taken.sum::<usize>(), 2);
        });
    }

    #[test]
    fn three_producers_race_a_close() {
        check(|| closes(3));
    }

    #[test]
    fn tasks_and_threads_share_the_items() {
        check(|| {
            let buffer = buffer(2, Overflow::DropNewest);
            let task = {
                let buffer = buffer.clone();
                thread::spawn(move || block_on(async { buffer.pop_async().await }))
            };
            let thread = {
                let buffer = buffer.clone();
                thread::spawn(move || buffer.pop())
            };
            let producer = {
                let buffer = buffer.clone();
                thread::spawn(move || {
                    let accepted = (0..2).filter(|&item| buffer.push(item).is_ok()).count();
                    buffer.close();
                    accepted
                })
            };
            let taken = [task.join().unwrap(), thread.join().unwrap()];
            assert_eq!(taken.iter().flatten().count(), producer.join().unwrap());
        });
    }

    #[test]
    fn pushes_over_the_oldest_lose_nothing_uncounted() {
        check(|| {
            let buffer = buffer(1, Overflow::DropOldest);
            let producers: Vec<_> = (0..2)
                .map(|item| {
                    let buffer = buffer.clone();
                    thread::spawn(move || (0..2).filter(|_| buffer.push(item).is_ok()).count())
                })
                .collect();
            let taken = (0..2).filter(|_| buffer.try_pop().is_some()).count() as u64;
            for producer in producers {
                producer.join().unwrap();
            }
            let stats = buffer.stats();
            assert_eq!(stats.pushed + stats.dropped, 4);
            assert_eq!(stats.pushed, taken + stats.evicted + stats.size as u64);
        });
    }
}
