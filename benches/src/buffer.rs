//! What does one push cost, beside the bare ring and the channels people would use instead?
//!
//! Four situations: nobody consumes, two threads push at once, a consumer sleeps until a burst
//! comes, and a single row comes every 5 ms. Nothing here is durable. The peers' consumers wait in
//! `recv`, as people write them; the bare ring has no wake-up, so its consumer looks every 5 ms.

use crate::round_robin::{Contender, race};
use crate::row::{Measure, Row};
use crate::{Result, Run, delivery};
use crossbeam_queue::ArrayQueue;
use qstore_buffer::{AsyncBuffer, Drain, DrainSettings, Progress, Sink};
use std::convert::Infallible;
use std::hint::{black_box, spin_loop};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub(crate) const NAME: &str = "buffer";
pub(crate) const QUESTION: &str = "what one push costs, beside the bare ring and other channels";

/// A row of 200 bytes, about the size of `TrainingMetrics`.
type Row200 = [u64; 25];

/// Rows that fit, in every queue; the default of `AsyncBuffer`.
const MAXSIZE: usize = AsyncBuffer::<Row200>::DEFAULT_MAXSIZE;

/// Times a queue is filled for one sample.
const FILLS: usize = 5;

/// Rows in a burst for a sleeping consumer. Less than half the ring: ours is not woken.
const BURST: usize = 4_000;

/// How long a consumer of ours or of the bare ring sleeps before it looks again.
const LINGER: Duration = Duration::from_millis(5);

/// Between the single rows of a quiet phase; each of the four gets one every four pauses.
const SPARSE_PAUSE: Duration = Duration::from_micros(1_250);

/// Time to fall asleep after the last row of a burst.
const SETTLE: Duration = Duration::from_millis(1);

pub(crate) fn run(_: &Run<'_>) -> Result<Vec<Row>> {
    let mut rows = race(NAME, 100, filled())?;
    rows.extend(race(NAME, 60, filled_by_two())?);
    rows.extend(race(NAME, 100, bursts()?)?);
    rows.extend(race(NAME, 400, sparse()?)?);
    rows.extend(delivery::measure(NAME)?);
    Ok(rows)
}

/// A queue without anything around it.
trait Queue: Send + Sync + 'static {
    fn open() -> Self;

    /// Whether there was room.
    fn push(&self, row: Row200) -> bool;

    fn pop(&self) -> Option<Row200>;

    /// Pops, sleeping for a while if there is nothing.
    fn wait(&self) -> Option<Row200>;
}

impl Queue for AsyncBuffer<Row200> {
    fn open() -> Self {
        Self::new(MAXSIZE).expect("the size is not zero")
    }

    #[inline]
    fn push(&self, row: Row200) -> bool {
        AsyncBuffer::push(self, row).is_ok()
    }

    fn pop(&self) -> Option<Row200> {
        AsyncBuffer::pop(self, Some(Duration::ZERO))
    }

    fn wait(&self) -> Option<Row200> {
        AsyncBuffer::pop(self, Some(LINGER))
    }
}

impl Queue for ArrayQueue<Row200> {
    fn open() -> Self {
        Self::new(MAXSIZE)
    }

    #[inline]
    fn push(&self, row: Row200) -> bool {
        ArrayQueue::push(self, row).is_ok()
    }

    fn pop(&self) -> Option<Row200> {
        ArrayQueue::pop(self)
    }

    fn wait(&self) -> Option<Row200> {
        ArrayQueue::pop(self).or_else(|| {
            thread::park_timeout(LINGER);
            ArrayQueue::pop(self)
        })
    }
}

struct Crossbeam {
    sender: crossbeam_channel::Sender<Row200>,
    receiver: crossbeam_channel::Receiver<Row200>,
}

impl Queue for Crossbeam {
    fn open() -> Self {
        let (sender, receiver) = crossbeam_channel::bounded(MAXSIZE);
        Self { sender, receiver }
    }

    #[inline]
    fn push(&self, row: Row200) -> bool {
        self.sender.try_send(row).is_ok()
    }

    fn pop(&self) -> Option<Row200> {
        self.receiver.try_recv().ok()
    }

    fn wait(&self) -> Option<Row200> {
        self.receiver.recv_timeout(Duration::from_millis(100)).ok()
    }
}

struct Std {
    sender: SyncSender<Row200>,
    /// Only one thread ever asks for it at a time.
    receiver: Mutex<Receiver<Row200>>,
}

impl Queue for Std {
    fn open() -> Self {
        let (sender, receiver) = sync_channel(MAXSIZE);
        Self { sender, receiver: Mutex::new(receiver) }
    }

    #[inline]
    fn push(&self, row: Row200) -> bool {
        self.sender.try_send(row).is_ok()
    }

    fn pop(&self) -> Option<Row200> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).try_recv().ok()
    }

    fn wait(&self) -> Option<Row200> {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner);
        receiver.recv_timeout(Duration::from_millis(100)).ok()
    }
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

#[inline]
fn push_all(queue: &impl Queue, rows: usize) -> Result {
    let mut row: Row200 = [7; 25];
    for number in 0..rows {
        row[0] = number as u64;
        if !queue.push(black_box(row)) {
            return Err("a row found no room in a queue that was to be empty".into());
        }
    }
    Ok(())
}

fn nanoseconds_each(took: Duration, rows: usize) -> f64 {
    took.as_nanos() as f64 / rows as f64
}

/// A queue with a thread that takes the rows out.
trait Consumed {
    type Queue: Queue;

    fn queue(&self) -> &Self::Queue;

    /// Waits until everything is taken out and the consumer sleeps again.
    fn settle(&self) -> Result;
}

/// Ours: a buffer with its drain.
struct Drained {
    buffer: AsyncBuffer<Row200>,
    drain: Drain<Row200, Discard>,
}

impl Drained {
    fn start() -> Result<Self> {
        let buffer = AsyncBuffer::open();
        let settings = DrainSettings::default().linger(LINGER);
        Ok(Self { drain: Drain::spawn(buffer.clone(), Discard, &settings)?, buffer })
    }
}

impl Consumed for Drained {
    type Queue = AsyncBuffer<Row200>;

    fn queue(&self) -> &Self::Queue {
        &self.buffer
    }

    fn settle(&self) -> Result {
        self.drain.flush(Duration::from_secs(10))?;
        thread::sleep(SETTLE);
        Ok(())
    }
}

/// A sink that keeps nothing.
struct Discard;

impl Sink<Row200> for Discard {
    type Error = Infallible;
    type Stats = ();

    fn receive(&mut self, batch: &mut Vec<Row200>, _: Instant) -> Result<(), Infallible> {
        black_box(batch).clear();
        Ok(())
    }

    fn flush(&mut self) -> Result<Progress<Infallible>, Infallible> {
        Ok(Progress::Idle)
    }

    fn close(&mut self) -> Result<Progress<Infallible>, Infallible> {
        Ok(Progress::Idle)
    }

    fn stats(&self) {}
}

/// A rival: a queue with a thread that sleeps in its `wait`.
struct Received<Q> {
    queue: Arc<Q>,
    /// Rows taken out since the last time somebody waited for them.
    taken: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<Q: Queue> Received<Q> {
    fn start() -> Result<Self> {
        let queue = Arc::new(Q::open());
        let (taken, is_over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let consume = {
            let (queue, taken, is_over) = (queue.clone(), taken.clone(), is_over.clone());
            move || {
                while !is_over.load(Relaxed) {
                    if let Some(row) = queue.wait() {
                        black_box(row);
                        let mut count = 1;
                        while let Some(row) = queue.pop() {
                            black_box(row);
                            count += 1;
                        }
                        taken.fetch_add(count, Release);
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("rival".into()).spawn(consume)?;
        Ok(Self { queue, taken, is_over, thread: Some(thread) })
    }
}

impl<Q: Queue> Consumed for Received<Q> {
    type Queue = Q;

    fn queue(&self) -> &Q {
        &self.queue
    }

    fn settle(&self) -> Result {
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.taken.load(Acquire) < BURST as u64 {
            if Instant::now() > deadline {
                return Err("a rival's consumer did not take its rows within 10 s".into());
            }
            thread::sleep(SETTLE);
        }
        self.taken.store(0, Relaxed);
        thread::sleep(SETTLE);
        Ok(())
    }
}

impl<Q> Drop for Received<Q> {
    fn drop(&mut self) {
        self.is_over.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            // It cannot panic, and there would be nobody to tell.
            let _ = thread.join();
        }
    }
}
