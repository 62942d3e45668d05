//! The ring against a model, and under the races that closing invites.

use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Barrier;

const NOW: Option<Duration> = Some(Duration::ZERO);

#[test]
fn a_buffer_without_room_is_refused() {
    let error = AsyncBuffer::<u8>::new(0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "maxsize is 0: a buffer must hold at least one item; the default is 10 000"
    );
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

proptest! {
    #[test]
    fn it_behaves_like_a_bounded_queue(maxsize in 1_usize..9, calls in calls()) {
        let buffer = AsyncBuffer::with_name(maxsize, "model").unwrap();
        let mut model = VecDeque::new();
        let (mut attempts, mut pushed, mut popped, mut cleared) = (0_u64, 0_u64, 0_u64, 0_u64);
        let (mut dropped, mut refused, mut is_closed) = (0_u64, 0_u64, false);
        for call in calls {
            match call {
                Call::Push => {
                    let item = attempts;
                    attempts += 1;
                    let expected = if is_closed {
                        refused += 1;
                        Err(PushError::Closed(item))
                    } else if model.len() == maxsize {
                        dropped += 1;
                        Err(PushError::Full(item))
                    } else {
                        pushed += 1;
                        model.push_back(item);
                        Ok(())
                    };
                    prop_assert_eq!(buffer.push(item), expected);
                }
                Call::Pop => {
                    let expected = model.pop_front();
                    popped += u64::from(expected.is_some());
                    prop_assert_eq!(buffer.pop(NOW), expected);
                }
                Call::PopInto(max) => {
                    let expected: Vec<_> = model.drain(..max.min(model.len())).collect();
                    popped += expected.len() as u64;
                    let mut batch = Vec::new();
                    prop_assert_eq!(buffer.pop_into(&mut batch, max), expected.len());
                    prop_assert_eq!(batch, expected);
                }
                Call::Clear => {
                    prop_assert_eq!(buffer.clear(), model.len());
                    cleared += model.len() as u64;
                    model.clear();
                }
                Call::Close => {
                    is_closed = true;
                    buffer.close();
                }
            }
            let stats = buffer.stats();
            prop_assert_eq!((stats.size, buffer.len()), (model.len(), model.len()));
            prop_assert_eq!(buffer.is_empty(), model.is_empty());
            prop_assert_eq!(buffer.is_full(), model.len() == maxsize);
            prop_assert_eq!(
                (stats.pushed, stats.popped, stats.cleared, stats.dropped, stats.refused),
                (pushed, popped, cleared, dropped, refused)
            );
        }
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
fn a_waiting_pop_gets_the_item_that_is_pushed_later() {
    let buffer = AsyncBuffer::new(4).unwrap();
    thread::scope(|scope| {
        let consumers: Vec<_> = (0..3).map(|_| scope.spawn(|| buffer.pop(None))).collect();
        for item in 0..3 {
            buffer.push(item).unwrap();
        }
        let mut got: Vec<_> = consumers.into_iter().map(|c| c.join().unwrap().unwrap()).collect();
        got.sort_unstable();
        assert_eq!(got, [0, 1, 2]);
    });
}

#[test]
fn closing_wakes_everybody_who_waits() {
    let buffer = AsyncBuffer::<u8>::new(4).unwrap();
    thread::scope(|scope| {
        let consumers: Vec<_> = (0..3).map(|_| scope.spawn(|| buffer.pop(None))).collect();
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
    assert_eq!(buffer.pop(Some(wait)), None);
    assert!(started.elapsed() >= wait);
}

/// Ping-pong over two one-slot rings: one lost wake-up and it hangs for ever.
#[test]
fn no_wake_up_is_lost() {
    let (there, back) = (AsyncBuffer::new(1).unwrap(), AsyncBuffer::new(1).unwrap());
    thread::scope(|scope| {
        scope.spawn(|| {
            while let Some(item) = there.pop(None) {
                back.push(item).unwrap();
            }
        });
        for item in 0..20_000 {
            there.push(item).unwrap();
            assert_eq!(back.pop(None), Some(item));
        }
        there.close();
    });
}

/// Producers race a close: whatever was accepted comes out, whatever was not is handed back, and the
/// two add up. This is the race the seals are there for: without them a push can be accepted after
/// the last pop, in one of every few dozen rounds.
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
                                Err(PushError::Closed(())) => return (accepted, attempts),
                            }
                        }
                    })
                })
                .collect();
            let consumer = scope.spawn(|| {
                start.wait();
                let mut taken = 0_u64;
                while buffer.pop(None).is_some() {
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

/// The same with consumers that pop once and leave, while a batch consumer empties the ring.
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
                                Err(PushError::Closed(())) => return accepted,
                            }
                        }
                    })
                })
                .collect();
            let passer_by = scope.spawn(|| {
                start.wait();
                let mut taken = 0;
                while !buffer.is_closed() {
                    taken += u64::from(buffer.pop(NOW).is_some());
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
fn what_was_pushed_never_becomes_less() {
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
            let (producer, item) = buffer.pop(None).unwrap();
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
    assert!(buffer.pop(NOW).is_some());
    drop(buffer);
    assert_eq!(Arc::strong_count(&item), 1);
}

#[test]
fn a_seal_takes_no_room_where_items_have_a_bit_pattern_to_spare() {
    assert_eq!(size_of::<Slot<String>>(), size_of::<String>());
}
