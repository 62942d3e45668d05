//! Every item ends in exactly one place: thousands of short runs, each with other producers, another
//! way to overflow, another sink and another ending.
//!
//! `QSTORE_RUNS` sets their number (default 10 000) and `QSTORE_SEED` the first seed. A run that fails
//! reports its seed, and `QSTORE_CASE` repeats it alone.

use super::*;
use crate::{BufferSettings, Overflow, PushError};
use fastrand::Rng;
use std::env;

const LONG: Duration = Duration::from_secs(60);

/// A producer and the number of its item.
type Item = (usize, u64);

#[derive(Debug, thiserror::Error)]
#[error("the disk failed")]
struct Fails;

/// What the sink did, to be checked at the end of the run.
#[derive(Debug, Default)]
struct Fate {
    kept: Vec<Item>,
    rejected: Vec<Item>,
    published: usize,
}

/// Rejects some items, sometimes has no room, sometimes fails, and does its work here or on another
/// thread.
struct Unreliable {
    fate: Arc<Mutex<Fate>>,
    random: Rng,
    room: usize,
    failures_left: u32,
    works_elsewhere: bool,
}

impl Unreliable {
    fn fails(&mut self) -> bool {
        let fails = self.failures_left > 0 && self.random.bool();
        self.failures_left -= u32::from(fails);
        fails
    }
}

impl Sink<Item> for Unreliable {
    type Error = Fails;
    type Stats = usize;

    fn capacity(&self) -> usize {
        let fate = self.fate.lock().unwrap();
        self.room - (fate.kept.len() - fate.published)
    }

    fn receive(&mut self, batch: &mut Vec<Item>, _: &mut Round<'_>) -> Result<(), Fails> {
        let mut fate = self.fate.lock().unwrap();
        for item in batch.drain(..) {
            let into = if self.random.u8(..) < 16 { &mut fate.rejected } else { &mut fate.kept };
            into.push(item);
        }
        drop(fate);
        if self.fails() { Err(Fails) } else { Ok(()) }
    }

    fn tick(&mut self, _: Instant) -> Result<Progress<Fails>, Fails> {
        if self.random.bool() { self.flush() } else { Ok(Progress::Idle) }
    }

    fn flush(&mut self) -> Result<Progress<Fails>, Fails> {
        let fails = self.fails();
        let fate = Arc::clone(&self.fate);
        let (published, upto) = {
            let fate = self.fate.lock().unwrap();
            (fate.published, fate.kept.len())
        };
        let publish = move || {
            if fails {
                return Err(Fails);
            }
            fate.lock().unwrap().published = upto;
            Ok(())
        };
        if published == upto {
            return Ok(Progress::Idle);
        }
        if self.works_elsewhere {
            return Ok(Progress::Work(Box::new(publish)));
        }
        publish().map(|()| Progress::Idle)
    }

    fn stats(&self) -> usize {
        self.fate.lock().unwrap().kept.len()
    }
}

/// The results that a producer got.
#[derive(Debug, Default)]
struct Pushed {
    accepted: Vec<Item>,
    dropped: u64,
    refused: u64,
}

fn produce(buffer: &AsyncBuffer<Item>, producer: usize, items: u64, lull: bool) -> Pushed {
    let mut pushed = Pushed::default();
    for number in 0..items {
        match buffer.push((producer, number)) {
            Ok(()) => pushed.accepted.push((producer, number)),
            Err(PushError::Full(_)) => pushed.dropped += 1,
            Err(PushError::Closed(_) | PushError::Forked(_)) => pushed.refused += 1,
        }
        if lull && number % 16 == 0 {
            thread::yield_now();
        }
    }
    pushed
}

fn run(seed: u64) {
    let mut random = Rng::with_seed(seed);
    let overflow = *random
        .choice(&[
            Overflow::DropNewest,
            Overflow::DropNewest,
            Overflow::DropOldest,
            Overflow::BlockFor(Duration::from_micros(100)),
        ])
        .unwrap();
    let settings = BufferSettings::default().maxsize(random.usize(1..40)).overflow(overflow);
    let buffer = AsyncBuffer::with_settings(settings).unwrap();
    let fate = Arc::default();
    let sink = Unreliable {
        fate: Arc::clone(&fate),
        room: random.usize(1..60),
        failures_left: if random.u8(..16) == 0 { random.u32(1..3) } else { 0 },
        works_elsewhere: random.bool(),
        random: random.fork(),
    };
    let flush_every = random.bool().then(|| Duration::from_micros(random.u64(..2_000)));
    let settings = DrainSettings { flush_every, ..DrainSettings::default() };
    let mut drain = Drain::spawn(buffer.clone(), sink, settings).unwrap();
    let ends_early = random.bool();
    let pushed: Vec<Pushed> = thread::scope(|scope| {
        let producers: Vec<_> = (0..random.usize(1..4))
            .map(|producer| {
                let (items, lull, buffer) = (random.u64(..120), random.bool(), &buffer);
                scope.spawn(move || produce(buffer, producer, items, lull))
            })
            .collect();
        if random.bool() {
            // It may fail, as the sink does; the end is what is checked.
            let _ = drain.flush(LONG);
        }
        if ends_early {
            if random.bool() { buffer.close() } else { drop(drain.stop(LONG)) }
        }
        producers.into_iter().map(|producer| producer.join().unwrap()).collect()
    });
    let summary = drain.stop(LONG).unwrap();

    let Fate { kept, rejected, published } = &*fate.lock().unwrap();
    assert_eq!(
        (*published, summary.sink),
        (kept.len(), kept.len()),
        "everything that is kept is published"
    );
    let intake = summary.intake;
    let sum = |of: fn(&Pushed) -> u64| pushed.iter().map(of).sum::<u64>();
    let accepted = sum(|pushed| pushed.accepted.len() as u64);
    assert_eq!(intake.pushed, accepted);
    assert_eq!(
        (intake.dropped, intake.refused),
        (sum(|pushed| pushed.dropped), sum(|pushed| pushed.refused))
    );
    assert_eq!((intake.size, intake.cleared), (0, 0));
    assert_eq!(intake.pushed, intake.popped + intake.evicted);
    assert_eq!(intake.popped, (kept.len() + rejected.len()) as u64);

    for (producer, pushed) in pushed.iter().enumerate() {
        let own = |items: &[Item]| -> Vec<Item> {
            items.iter().copied().filter(|(by, _)| *by == producer).collect()
        };
        let kept = own(kept);
        assert!(kept.is_sorted(), "each producer's items come in its order");
        let mut all = [kept, own(rejected)].concat();
        all.sort_unstable();
        if intake.evicted == 0 {
            assert_eq!(all, pushed.accepted, "each accepted item ends in one place");
        } else {
            assert!(all.is_sorted_by(|a, b| a < b), "no duplicate item");
            assert!(all.iter().all(|item| pushed.accepted.contains(item)));
        }
    }
}

#[test]
fn every_item_ends_in_exactly_one_place() {
    let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("QSTORE_CASE") {
        return run(seed);
    }
    let first = number("QSTORE_SEED").unwrap_or_else(|| fastrand::u64(..));
    let runs = number("QSTORE_RUNS").unwrap_or(10_000);
    for seed in (0..runs).map(|run| first.wrapping_add(run)) {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "failed with QSTORE_CASE={seed}");
    }
    println!("{runs} cases");
}
