//! What does one push cost, beside the bare ring and the channels people would use instead?
//!
//! Four situations: nobody consumes, two threads push at once, a consumer sleeps until a burst
//! comes, and a single row comes every 5 ms. Nothing here is durable. The peers' consumers wait in
//! `recv`, as people write them; the bare ring has no wake-up, so its consumer looks every 5 ms.

mod consumed;
mod delivery;

use crate::harness::round_robin::{Contender, race};
use crate::harness::row::{Measure, Row};
use crate::rivals::queue::{Crossbeam, MAXSIZE, Queue, Row200, Std, push_all};
use crate::{Result, Run};
use consumed::{BURST, Consumed, Drained, Received};
use crossbeam_queue::ArrayQueue;
use qstore_buffer::AsyncBuffer;
use std::hint::spin_loop;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::thread;
use std::time::{Duration, Instant};

pub(crate) const NAME: &str = "buffer";
pub(crate) const QUESTION: &str = "what one push costs, beside the bare ring and other channels";

/// Times a queue is filled for one sample.
const FILLS: usize = 5;

/// Between the single rows of a quiet phase; each of the four gets one every four pauses.
const SPARSE_PAUSE: Duration = Duration::from_micros(1_250);

pub(crate) fn run(_: &Run<'_>) -> Result<Vec<Row>> {
    let mut rows = race(NAME, 100, filled())?;
    rows.extend(race(NAME, 60, filled_by_two())?);
    rows.extend(race(NAME, 100, bursts()?)?);
    rows.extend(race(NAME, 400, sparse()?)?);
    rows.extend(delivery::measure(NAME)?);
    Ok(rows)
}

/// Nobody consumes; one thread pushes.
fn filled() -> Vec<Contender<'static>> {
    let note = "one thread fills a ring of 10 000, nobody consumes; mean of 50 000 pushes a sample";
    let ours = Measure::ours(
        "push_row200",
        "ns",
        &["arrayqueue_push_row200", "crossbeam_channel_push_row200"],
        format!("{note}; in memory"),
    );
    let limit = Measure::limit("arrayqueue_push_row200", "ns", format!("{note}; no wake-up"));
    vec![
        filling::<AsyncBuffer<Row200>>(ours),
        filling::<ArrayQueue<Row200>>(limit),
        filling::<Crossbeam>(Measure::peer("crossbeam_channel_push_row200", "ns", note)),
        filling::<Std>(Measure::peer("std_sync_channel_push_row200", "ns", note)),
    ]
}

fn filling<Q: Queue>(measure: Measure) -> Contender<'static> {
    let queue = Q::open();
    Contender::new(measure, move || {
        let mut took = Duration::ZERO;
        for _ in 0..FILLS {
            let started = Instant::now();
            push_all(&queue, MAXSIZE)?;
            took += started.elapsed();
            while queue.pop().is_some() {}
        }
        Ok(nanoseconds_each(took, FILLS * MAXSIZE))
    })
}

/// Nobody consumes; two threads push.
fn filled_by_two() -> Vec<Contender<'static>> {
    let note = "two threads fill a ring of 10 000, nobody consumes; wall time by rows of both";
    let ours = Measure::ours(
        "push_row200_two_producers",
        "ns",
        &["arrayqueue_push_row200_two_producers", "crossbeam_channel_push_row200_two_producers"],
        format!("{note}; in memory"),
    );
    let limit = Measure::limit("arrayqueue_push_row200_two_producers", "ns", note);
    let crossbeam = Measure::peer("crossbeam_channel_push_row200_two_producers", "ns", note);
    let std = Measure::peer("std_sync_channel_push_row200_two_producers", "ns", note);
    vec![
        filling_by_two::<AsyncBuffer<Row200>>(ours),
        filling_by_two::<ArrayQueue<Row200>>(limit),
        filling_by_two::<Crossbeam>(crossbeam),
        filling_by_two::<Std>(std),
    ]
}

fn filling_by_two<Q: Queue>(measure: Measure) -> Contender<'static> {
    let queue = Q::open();
    Contender::new(measure, move || {
        let mut took = Duration::ZERO;
        for _ in 0..FILLS {
            took += fill_by_two(&queue)?;
            while queue.pop().is_some() {}
        }
        Ok(nanoseconds_each(took, FILLS * MAXSIZE))
    })
}

fn fill_by_two<Q: Queue>(queue: &Q) -> Result<Duration> {
    // Both spin until the other is there: a sleeping barrier would let one start much later.
    let (is_there, may_start) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            is_there.store(true, Release);
            while !may_start.load(Acquire) {
                spin_loop();
            }
            push_all(queue, MAXSIZE / 2).map(|()| Instant::now())
        });
        while !is_there.load(Acquire) {
            spin_loop();
        }
        let started = Instant::now();
        may_start.store(true, Release);
        push_all(queue, MAXSIZE / 2)?;
        let ended = Instant::now();
        let other_ended = other.join().map_err(|_| "the second producer panicked")??;
        Ok(ended.max(other_ended) - started)
    })
}

/// A burst meets a consumer that sleeps.
fn bursts() -> Result<Vec<Contender<'static>>> {
    let note = "bursts of 4 000 rows, the consumer asleep at first; mean of a burst a sample";
    let ours = Measure::ours(
        "push_row200_parked_consumer",
        "ns",
        &[
            "arrayqueue_push_row200_parked_consumer",
            "crossbeam_channel_push_row200_parked_consumer",
        ],
        format!("{note}; a Drain that throws the rows away, linger 5 ms"),
    );
    let limit = Measure::limit(
        "arrayqueue_push_row200_parked_consumer",
        "ns",
        format!("{note}; looks every 5 ms"),
    );
    let crossbeam = Measure::peer("crossbeam_channel_push_row200_parked_consumer", "ns", note);
    let std = Measure::peer("std_sync_channel_push_row200_parked_consumer", "ns", note);
    Ok(vec![
        bursting(ours, Drained::start()?),
        bursting(limit, Received::<ArrayQueue<Row200>>::start()?),
        bursting(crossbeam, Received::<Crossbeam>::start()?),
        bursting(std, Received::<Std>::start()?),
    ])
}

fn bursting(measure: Measure, consumed: impl Consumed + 'static) -> Contender<'static> {
    Contender::new(measure, move || {
        let started = Instant::now();
        push_all(consumed.queue(), BURST)?;
        let took = started.elapsed();
        consumed.settle()?;
        Ok(nanoseconds_each(took, BURST))
    })
}

/// Single rows meet a consumer that sleeps.
fn sparse() -> Result<Vec<Contender<'static>>> {
    let note = "one push per 5 ms, the consumer asleep; one push and two clock readings a sample";
    let ours = Measure::ours(
        "push_sparse",
        "ns",
        &["arrayqueue_push_sparse", "std_sync_channel_push_sparse"],
        format!("{note}; a Drain that throws the rows away, linger 5 ms"),
    );
    let limit = Measure::limit("arrayqueue_push_sparse", "ns", format!("{note}; looks every 5 ms"));
    let wakes = format!("{note}; the push wakes the receiver");
    let crossbeam = Measure::peer("crossbeam_channel_push_sparse", "ns", wakes.clone());
    let std = Measure::peer("std_sync_channel_push_sparse", "ns", wakes);
    Ok(vec![
        trickling(ours, Drained::start()?),
        trickling(limit, Received::<ArrayQueue<Row200>>::start()?),
        trickling(crossbeam, Received::<Crossbeam>::start()?),
        trickling(std, Received::<Std>::start()?),
    ])
}

fn trickling(measure: Measure, consumed: impl Consumed + 'static) -> Contender<'static> {
    Contender::new(measure, move || {
        thread::sleep(SPARSE_PAUSE);
        let started = Instant::now();
        push_all(consumed.queue(), 1)?;
        Ok(nanoseconds_each(started.elapsed(), 1))
    })
}

fn nanoseconds_each(took: Duration, rows: usize) -> f64 {
    took.as_nanos() as f64 / rows as f64
}
