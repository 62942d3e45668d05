//! The ring against a model, and under races with a close.

use super::*;
use crate::buffer::settings::Overflow;
use crate::health::Loss;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Barrier, Mutex};
use std::thread;

#[test]
fn a_buffer_without_room_is_refused() {
    let error = AsyncBuffer::<u8>::new(0).unwrap_err();
    assert_eq!(error.to_string(), "maxsize is 0; choose 1 or more (default 10000)");
}

#[test]
fn a_buffer_that_does_not_fit_into_memory_is_refused() {
    for maxsize in [usize::MAX, usize::MAX / 16] {
        let error = AsyncBuffer::<[u8; 64]>::new(maxsize).unwrap_err();
        let expected = format!(
            "maxsize is {maxsize}; choose fewer items: there is not enough memory for that many \
             (default 10000)"
        );
        assert_eq!(error.to_string(), expected);
    }
}

#[derive(Debug, Clone)]
enum Call {
    Push,
    Pop,
    PopInto(usize),
    Clear,
    Close,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let call = prop_oneof![
        8 => Just(Call::Push),
        4 => Just(Call::Pop),
        2 => (0_usize..6).prop_map(Call::PopInto),
        1 => Just(Call::Clear),
        1 => Just(Call::Close),
    ];
    prop::collection::vec(call, 0..200)
}

fn policies() -> impl Strategy<Value = Overflow> {
    let at_once = Overflow::BlockFor(Duration::ZERO);
    prop_oneof![Just(Overflow::DropNewest), Just(Overflow::DropOldest), Just(at_once)]
}

/// The expected behavior: a queue, and what became of every item.
#[derive(Default)]
struct Model {
    inside: VecDeque<u64>,
    pushed: u64,
    popped: u64,
    cleared: u64,
    evicted: u64,
    dropped: u64,
    refused: u64,
    lost: Vec<(u64, Loss)>,
    is_closed: bool,
}

impl Model {
    fn push(
        &mut self,
        item: u64,
        maxsize: usize,
        overflow: Overflow,
    ) -> Result<(), PushError<u64>> {
        if self.is_closed {
            self.refused += 1;
            return Err(PushError::Closed(item));
        }
        if self.inside.len() == maxsize {
            if overflow != Overflow::DropOldest {
                self.dropped += 1;
                self.lost.push((item, Loss::Dropped));
                return Err(PushError::Full(item));
            }
            self.evicted += 1;
            self.lost.extend(self.inside.pop_front().map(|oldest| (oldest, Loss::Evicted)));
        }
        self.pushed += 1;
        self.inside.push_back(item);
        Ok(())
    }
}

proptest! {
    #[test]
    fn it_behaves_like_a_bounded_queue(
        maxsize in 1_usize..9,
        overflow in policies(),
        calls in calls(),
    ) {
        let lost = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&lost);
        let hooks = Hooks::default()
            .label(|item: &u64| Some(*item as i64))
            .on_drop(move |item, loss| seen.lock().unwrap().push((*item, loss)));
        let settings = BufferSettings::default().maxsize(maxsize).overflow(overflow);
        let buffer = AsyncBuffer::with_hooks(settings, hooks).unwrap();
        let mut model = Model::default();
        for (item, call) in (0..).zip(calls) {
            match call {
                Call::Push => {
                    let expected = model.push(item, maxsize, overflow);
                    prop_assert_eq!(buffer.push(item), expected);
                }
                Call::Pop => {
                    let expected = model.inside.pop_front();
                    model.popped += u64::from(expected.is_some());
                    prop_assert_eq!(buffer.try_pop(), expected);
                }
                Call::PopInto(max) => {
                    let expected: Vec<_> = model.inside.drain(..max.min(model.inside.len())).collect();
                    model.popped += expected.len() as u64;
                    let mut batch = Vec::new();
                    prop_assert_eq!(buffer.pop_into(&mut batch, max), expected.len());
                    prop_assert_eq!(batch, expected);
                }
                Call::Clear => {
                    prop_assert_eq!(buffer.clear(), model.inside.len());
                    model.cleared += model.inside.len() as u64;
                    model.inside.clear();
                }
                Call::Close => {
                    model.is_closed = true;
                    buffer.close();
                }
            }
            let (stats, size) = (buffer.stats(), model.inside.len());
            prop_assert_eq!((stats.size, buffer.len()), (size, size));
            prop_assert_eq!(buffer.is_empty(), size == 0);
            prop_assert_eq!(buffer.is_full(), size == maxsize);
            prop_assert_eq!(buffer.is_closed(), model.is_closed);
            prop_assert_eq!(
                (stats.pushed, stats.popped, stats.cleared, stats.evicted),
                (model.pushed, model.popped, model.cleared, model.evicted)
            );
            prop_assert_eq!((stats.dropped, stats.refused), (model.dropped, model.refused));
            prop_assert_eq!(
                stats.pushed,
                stats.popped + stats.cleared + stats.evicted + stats.size as u64
            );
            let label = |lost: Option<&(u64, Loss)>| lost.map(|(item, _)| *item as i64);
            prop_assert_eq!(stats.lost_first, label(model.lost.first()));
            prop_assert_eq!(stats.lost_last, label(model.lost.last()));
        }
        prop_assert_eq!(&*lost.lock().unwrap(), &model.lost);
    }
}

#[test]
fn rates_are_shares_and_never_nan() {
    let buffer = AsyncBuffer::with_name(4, "rates").unwrap();
    let stats = buffer.stats();
    assert_eq!((stats.name.as_str(), stats.drop_rate, stats.utilization), ("rates", 0.0, 0.0));
    for item in 0..5 {
        let _ = buffer.push(item);
    }
    let stats = buffer.stats();
    assert_eq!((stats.drop_rate, stats.utilization), (0.2, 1.0));
}

#[test]
fn an_item_is_finished_whether_it_is_stored_handed_back_or_waits() {
    let finish = |item: &mut u8| *item += 1;
    for overflow in [Overflow::DropNewest, Overflow::DropOldest, Overflow::BlockFor(Duration::ZERO)]
    {
        let settings = BufferSettings::default().maxsize(1).overflow(overflow);
        let buffer = AsyncBuffer::with_settings(settings).unwrap();
        assert_eq!(buffer.push_then(10, finish), Ok(()));
        let evicts = overflow == Overflow::DropOldest;
        let expected = if evicts { Ok(()) } else { Err(PushError::Full(21)) };
        assert_eq!(buffer.push_then(20, finish), expected);
        assert_eq!(buffer.try_pop(), Some(if evicts { 21 } else { 11 }));
        buffer.close();
        assert_eq!(buffer.push_then(30, finish), Err(PushError::Closed(31)));
    }
}

#[test]
fn a_panic_while_an_item_is_finished_stops_nothing_behind_it() {
    let buffer = AsyncBuffer::new(4).unwrap();
    let panicked = panic::catch_unwind(AssertUnwindSafe(|| {
        buffer.push_then("finished by half", |_| panic!("from the test"))
    }));
    assert!(panicked.is_err());
    buffer.push("behind it").unwrap();
    buffer.close();
    assert_eq!([(); 3].map(|()| buffer.pop()), [Some("finished by half"), Some("behind it"), None]);
    assert_eq!((buffer.stats().pushed, buffer.stats().popped), (2, 2));
}

#[test]
fn a_waiting_pop_gets_the_item_that_is_pushed_later() {
    let buffer = AsyncBuffer::new(4).unwrap();
    thread::scope(|scope| {
        let consumers: Vec<_> = (0..3).map(|_| scope.spawn(|| buffer.pop())).collect();
        for item in 0..3 {
            buffer.push(item).unwrap();
        }
        let mut got: Vec<_> = consumers.into_iter().map(|c| c.join().unwrap().unwrap()).collect();
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2]);
    });
}

#[test]
fn closing_wakes_every_waiter() {
    let buffer = AsyncBuffer::<u8>::new(4).unwrap();
    thread::scope(|scope| {
        let consumers: Vec<_> = (0..3).map(|_| scope.spawn(|| buffer.pop())).collect();
        buffer.close();
        for consumer in consumers {
            assert_eq!(consumer.join().unwrap(), None);
        }
    });
}

#[test]
fn a_pop_gives_up_at_its_deadline() {
    let buffer = AsyncBuffer::<u8>::new(4).unwrap();
    let (started, wait) = (Instant::now(), Duration::from_millis(20));
    assert_eq!(buffer.pop_timeout(wait), None);
    assert!(started.elapsed() >= wait);
}

/// Ping-pong over two rings with one slot: a lost wake-up makes it hang.
#[test]
fn no_wake_up_is_lost() {
    let (there, back) = (AsyncBuffer::new(1).unwrap(), AsyncBuffer::new(1).unwrap());
    thread::scope(|scope| {
        scope.spawn(|| {
            while let Some(item) = there.pop() {
                back.push(item).unwrap();
            }
        });
        for item in 0..20_000 {
            there.push(item).unwrap();
            assert_eq!(back.pop(), Some(item));
        }
        there.close();
    });
}

/// Producers race a close: what was accepted comes out, what was not is handed back, and the two add up.
/// With a closed flag beside the ring instead of in its tail, a push can be accepted after the last pop;
/// that happened in one of every few dozen rounds.
#[test]
fn an_accepted_item_is_never_left_behind_by_a_close() {
    const PRODUCERS: usize = 3;
    for round in 0..1_000 {
        let buffer = AsyncBuffer::new(1 + round % 7).unwrap();
        let start = Barrier::new(PRODUCERS + 2);
        let (accepted, attempts, taken) = thread::scope(|scope| {
            let producers: Vec<_> = (0..PRODUCERS)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        let (mut accepted, mut attempts) = (0_u64, 0_u64);
                        loop {
                            attempts += 1;
                            match buffer.push(()) {
                                Ok(()) => accepted += 1,
                                Err(PushError::Full(())) => {}
                                Err(PushError::Closed(()) | PushError::Forked(())) => {
                                    return (accepted, attempts);
                                }
                            }
                        }
                    })
                })
                .collect();
            let consumer = scope.spawn(|| {
                start.wait();
                let mut taken = 0_u64;
                while buffer.pop().is_some() {
                    taken += 1;
                }
                taken
            });
            start.wait();
            if round % 3 > 0 {
                thread::yield_now();
            }
            buffer.close();
            let (mut accepted, mut attempts) = (0, 0);
            for producer in producers {
                let (ok, all) = producer.join().unwrap();
                accepted += ok;
                attempts += all;
            }
            (accepted, attempts, consumer.join().unwrap())
        });
        assert_eq!(accepted, taken, "round {round}");
        assert!(buffer.is_empty());
        let stats = buffer.stats();
        assert_eq!(stats.pushed, accepted);
        assert_eq!(stats.pushed + stats.dropped + stats.refused, attempts);
    }
}

/// The same with a consumer that pops without waiting, while a batch consumer empties the ring.
#[test]
fn consumers_that_come_and_go_leave_nothing_behind_either() {
    for round in 0..300 {
        let buffer = AsyncBuffer::new(2 + round % 3).unwrap();
        let start = Barrier::new(5);
        let (accepted, taken) = thread::scope(|scope| {
            let producers: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        let mut accepted = 0_u64;
                        loop {
                            match buffer.push(()) {
                                Ok(()) => accepted += 1,
                                Err(PushError::Full(())) => {}
                                Err(PushError::Closed(()) | PushError::Forked(())) => {
                                    return accepted;
                                }
                            }
                        }
                    })
                })
                .collect();
            let passer_by = scope.spawn(|| {
                start.wait();
                let mut taken = 0;
                while !buffer.is_closed() {
                    taken += u64::from(buffer.try_pop().is_some());
                }
                taken
            });
            let drain = scope.spawn(|| {
                start.wait();
                let (mut taken, mut batch) = (0, Vec::new());
                loop {
                    let was_closed = buffer.is_closed();
                    taken += buffer.pop_into(&mut batch, usize::MAX) as u64;
                    if was_closed {
                        return taken;
                    }
                }
            });
            start.wait();
            thread::yield_now();
            buffer.close();
            let accepted: u64 = producers.into_iter().map(|p| p.join().unwrap()).sum();
            (accepted, passer_by.join().unwrap() + drain.join().unwrap())
        });
        assert_eq!((accepted, buffer.len()), (taken, 0), "round {round}");
    }
}

#[test]
fn the_count_of_pushed_items_never_decreases() {
    let buffer = AsyncBuffer::new(64).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            for item in 0..200_000 {
                let _ = buffer.push(item);
            }
            buffer.close();
        });
        scope.spawn(|| {
            let mut batch = Vec::new();
            while !buffer.is_closed() {
                buffer.pop_into(&mut batch, 64);
            }
        });
        let mut seen = 0;
        while !buffer.is_closed() {
            let pushed = buffer.stats().pushed;
            assert!(pushed >= seen, "{pushed} after {seen}");
            seen = pushed;
        }
    });
}

#[test]
fn each_producers_items_come_out_in_its_order() {
    const PRODUCERS: usize = 4;
    const ITEMS: usize = 5_000;
    let buffer = AsyncBuffer::new(64).unwrap();
    thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let buffer = buffer.clone();
            scope.spawn(move || {
                for item in 0..ITEMS {
                    while buffer.push((producer, item)).is_err() {
                        thread::yield_now();
                    }
                }
            });
        }
        let mut next = [0; PRODUCERS];
        for _ in 0..PRODUCERS * ITEMS {
            let (producer, item) = buffer.pop().unwrap();
            assert_eq!(item, next[producer]);
            next[producer] += 1;
        }
    });
}

#[test]
fn items_left_inside_are_dropped_with_the_buffer() {
    let item = Arc::new(());
    let buffer = AsyncBuffer::new(4).unwrap();
    buffer.push(Arc::clone(&item)).unwrap();
    buffer.push(Arc::clone(&item)).unwrap();
    buffer.close();
    assert!(buffer.try_pop().is_some());
    drop(buffer);
    assert_eq!(Arc::strong_count(&item), 1);
}

#[test]
fn a_push_that_may_wait_gets_the_room_that_a_consumer_makes() {
    let settings = BufferSettings::default().maxsize(1).overflow(Overflow::BlockFor(Duration::MAX));
    let buffer = AsyncBuffer::with_settings(settings).unwrap();
    thread::scope(|scope| {
        for producer in 0..3 {
            let buffer = buffer.clone();
            scope.spawn(move || (0..2_000).for_each(|item| buffer.push((producer, item)).unwrap()));
        }
        let mut next = [0; 3];
        for _ in 0..6_000 {
            let (producer, item) = buffer.pop().unwrap();
            assert_eq!(item, next[producer]);
            next[producer] += 1;
        }
    });
    let stats = buffer.stats();
    assert_eq!((stats.pushed, stats.popped, stats.dropped), (6_000, 6_000, 0));
}

#[test]
fn a_push_that_may_wait_ends_at_its_deadline_and_at_a_close() {
    let patience = Duration::from_millis(20);
    let open = |overflow| {
        let settings = BufferSettings::default().maxsize(1).overflow(overflow);
        let buffer = AsyncBuffer::with_settings(settings).unwrap();
        buffer.push(0).unwrap();
        buffer
    };
    let buffer = open(Overflow::BlockFor(patience));
    let started = Instant::now();
    assert_eq!(buffer.push(1), Err(PushError::Full(1)));
    assert!(started.elapsed() >= patience);

    let buffer = open(Overflow::BlockFor(Duration::MAX));
    thread::scope(|scope| {
        let waits = scope.spawn(|| buffer.push(1));
        buffer.close();
        assert_eq!(waits.join().unwrap(), Err(PushError::Closed(1)));
    });
    assert_eq!((buffer.stats().dropped, buffer.stats().refused), (0, 1));
}

#[test]
fn the_latest_items_stay_where_the_oldest_are_discarded_and_every_item_is_counted() {
    const ITEMS: u64 = 20_000;
    let settings = BufferSettings::default().maxsize(8).overflow(Overflow::DropOldest);
    let buffer = AsyncBuffer::with_settings(settings).unwrap();
    let mut taken = Vec::new();
    thread::scope(|scope| {
        for producer in 0..2 {
            let buffer = buffer.clone();
            scope
                .spawn(move || (0..ITEMS).map(|item| buffer.push((producer, item))).for_each(drop));
        }
        while buffer.stats().pushed + buffer.stats().dropped < 2 * ITEMS {
            buffer.pop_into(&mut taken, 3);
        }
    });
    buffer.pop_into(&mut taken, usize::MAX);
    for producer in 0..2 {
        let own = taken.iter().filter(|(by, _)| *by == producer).map(|(_, item)| item);
        assert!(own.is_sorted_by(|a, b| a < b), "each producer's items come in its order");
    }
    let stats = buffer.stats();
    assert_eq!(stats.pushed + stats.dropped, 2 * ITEMS);
    assert_eq!(stats.pushed, stats.evicted + taken.len() as u64);
}

/// Regression: behind a consumer that had claimed 32 slots and was preempted, a push discarded item after
/// item, which made no room, and was dropped itself: four times the capacity in 8 s.
#[test]
fn a_slot_that_is_being_emptied_costs_no_other_item() {
    let settings = BufferSettings::default().maxsize(4).overflow(Overflow::DropOldest);
    let buffer = AsyncBuffer::with_settings(settings).unwrap();
    (0..4).for_each(|item| buffer.push(item).unwrap());
    let _claimed = buffer.shared.ring.claim(2);
    assert_eq!(buffer.push(4), Err(PushError::Full(4)));
    let stats = buffer.stats();
    assert_eq!((stats.evicted, stats.dropped, stats.size), (0, 1, 2));
}

/// Regression: with fast producers one call never ended, and its vector grew without limit.
#[test]
fn pop_into_ends_although_items_are_pushed() {
    let (buffer, is_over) = (AsyncBuffer::new(100).unwrap(), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Relaxed) {
                    let _ = buffer.push(0);
                }
            });
        }
        for _ in 0..1_000 {
            assert!(buffer.pop_into(&mut Vec::new(), usize::MAX) <= 100);
        }
        is_over.store(true, Relaxed);
    });
}
