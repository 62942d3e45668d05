//! Queues with a thread that takes the rows out: ours with its drain, the others as people write it.

use crate::Result;
use crate::rivals::queue::{LINGER, Queue, Row200};
use qstore_buffer::{AsyncBuffer, Drain, DrainSettings, Progress, Round, Sink};
use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Rows in a burst for a sleeping consumer. Less than half the ring: ours is not woken.
pub(super) const BURST: usize = 4_000;

/// Time to fall asleep after the last row of a burst.
const SETTLE: Duration = Duration::from_millis(1);

/// A queue with a thread that takes the rows out.
pub(super) trait Consumed {
    type Queue: Queue;

    fn queue(&self) -> &Self::Queue;

    /// Waits until everything is taken out and the consumer sleeps again.
    fn settle(&self) -> Result;
}

/// Ours: a buffer with its drain.
pub(super) struct Drained {
    buffer: AsyncBuffer<Row200>,
    drain: Drain<Row200, Discard>,
}

impl Drained {
    pub(super) fn start() -> Result<Self> {
        let buffer = AsyncBuffer::open();
        let settings = DrainSettings::default().linger(LINGER);
        Ok(Self { drain: Drain::spawn(buffer.clone(), Discard, settings)?, buffer })
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
pub(super) struct Discard;

impl Sink<Row200> for Discard {
    type Error = Infallible;
    type Stats = ();

    fn receive(&mut self, batch: &mut Vec<Row200>, _: &mut Round<'_>) -> Result<(), Infallible> {
        black_box(batch).clear();
        Ok(())
    }

    fn flush(&mut self) -> Result<Progress<Infallible>, Infallible> {
        Ok(Progress::Idle)
    }
}

/// A rival: a queue with a thread that sleeps in its `wait`.
pub(super) struct Received<Q> {
    queue: Arc<Q>,
    /// Rows taken out since the last time somebody waited for them.
    taken: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<Q: Queue> Received<Q> {
    pub(super) fn start() -> Result<Self> {
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
