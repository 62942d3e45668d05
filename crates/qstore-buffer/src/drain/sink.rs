//! The seam between the drain and whatever keeps the items.

use crate::buffer::stats::BufferStats;
use crate::health::{Loss, Losses};
use std::error::Error;
use std::fmt;
use std::time::Instant;

/// Slow work that a sink wants done. It runs on another thread, while more items are received.
pub type Work<E> = Box<dyn FnOnce() -> Result<(), E> + Send>;

/// What is left to do after a call.
///
/// ```
/// use qstore_buffer::Progress;
///
/// // A sink that is used without a drain runs the work on its own thread.
/// let mut left = vec![Progress::Idle, Progress::Work(Box::new(|| Ok::<(), String>(())))];
/// while left.pop().unwrap().run()? {}
/// # Ok::<(), String>(())
/// ```
pub enum Progress<E> {
    /// Nothing.
    Idle,
    /// Work to run on another thread. Until it completes, only [`capacity`](Sink::capacity),
    /// [`receive`](Sink::receive), [`observe`](Sink::observe) and [`stats`](Sink::stats) are called, so
    /// that slow encoding or a slow disk does not let the ring overflow.
    Work(Work<E>),
}

/// What the drain passes to [`Sink::receive`]: the time, a place to report losses, and the chance to
/// work ahead.
///
/// A sink that falls behind can use a further thread for what comes next. While its
/// [`Work`](Progress::Work) is under way and nothing runs beside it,
/// [`lookahead`](Self::lookahead) offers a place for one piece of work, for example encoding the rows
/// just received while the disk is busy with earlier ones. A sink that keeps up ignores it.
#[derive(Debug)]
pub struct Round<'a> {
    now: Instant,
    losses: Option<&'a mut Losses>,
    slot: Option<&'a mut Option<Ahead>>,
}

/// A place for one piece of work beside the one that is under way.
#[derive(Debug)]
pub struct Lookahead<'a>(&'a mut Option<Ahead>);

/// Work whose result is the sink's own business.
pub(crate) struct Ahead(pub(crate) Box<dyn FnOnce() + Send>);

/// Takes items in order and keeps them. All methods are called by one thread, the drain's.
///
/// Two methods are required. [`receive`](Self::receive) takes the items, and [`flush`](Self::flush)
/// makes what was received safe; the drain calls it when [`Drain::flush`](crate::Drain::flush) or
/// [`Drain::stop`](crate::Drain::stop) is called, and at the interval
/// [`flush_every`](crate::DrainSettings::flush_every), if one is set. Every other method has a default.
///
/// What happens in each case:
///
/// * *The sink fails.* It returns its error. The drain keeps the first error, counts it, reports it as
///   a `tracing` warning once, pauses (10 ms, doubled up to 1 s) and goes on. Nothing is discarded by
///   the drain: the items of a failed `receive` are the sink's.
/// * *The sink panics.* The drain ends, the buffer is closed so that further pushes are refused, and
///   what was in the ring is lost. `stop` reports the panic.
/// * *The sink is slow.* Items wait in the ring, and the buffer's [`Overflow`](crate::Overflow) policy
///   decides what happens when it is full. A sink avoids that by handing out slow work as
///   [`Progress::Work`], which runs on another thread while items are received.
/// * *The sink cannot take more*, for example because the disk is full. It returns 0 from
///   [`capacity`](Self::capacity), and items stay in the ring.
///
/// A sink starts no thread and reads no clock: it is given the time.
///
/// ```
/// use qstore_buffer::{AsyncBuffer, Drain, DrainSettings, Progress, Round, Sink};
/// use std::io::{self, Write as _};
/// use std::time::Duration;
///
/// /// Latencies as lines of a CSV file.
/// struct Csv(io::BufWriter<std::fs::File>);
///
/// impl Sink<f64> for Csv {
///     type Error = io::Error;
///     type Stats = ();
///
///     fn receive(&mut self, batch: &mut Vec<f64>, _: &mut Round<'_>) -> io::Result<()> {
///         batch.drain(..).try_for_each(|latency| writeln!(self.0, "{latency}"))
///     }
///
///     fn flush(&mut self) -> io::Result<Progress<io::Error>> {
///         self.0.flush()?;
///         Ok(Progress::Idle)
///     }
/// }
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("latencies.csv");
/// let buffer = AsyncBuffer::new(1_000)?;
/// let csv = Csv(io::BufWriter::new(std::fs::File::create(&path)?));
/// // Flushed once a second, and when it is stopped.
/// let settings = DrainSettings::default().flush_every(Duration::from_secs(1));
/// let mut drain = Drain::spawn(buffer.clone(), csv, settings)?;
/// for latency in [0.5, 0.25, 0.75] {
///     buffer.push(latency)?;
/// }
/// drain.stop(Duration::from_secs(10))?;
/// assert_eq!(std::fs::read_to_string(&path)?, "0.5\n0.25\n0.75\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Sink<T>: Send + 'static {
    /// What can go wrong.
    type Error: Error + Send + Sync + 'static;

    /// What the sink counts; `()` if nothing.
    type Stats: Clone + Default + Send + 'static;

    /// Takes all items out of `batch`, which holds no more than [`capacity`](Self::capacity), except before a
    /// call by [`Drain::with_sink`](crate::Drain::with_sink), which takes what is in the ring. The batch
    /// is empty afterwards, after `Ok` and after `Err` alike: the sink holds each item, has stored it,
    /// or has reported it as [lost](Round::lose).
    ///
    /// # Errors
    /// When an item could not be taken. The drain keeps the error and continues.
    fn receive(&mut self, batch: &mut Vec<T>, round: &mut Round<'_>) -> Result<(), Self::Error>;

    /// Called until it returns [`Progress::Idle`]. Then everything received before the first of these
    /// calls is published: readable, and safe from a crash of the process.
    ///
    /// # Errors
    /// When it could not be published, here or in the work. It is still held and can be flushed later.
    fn flush(&mut self) -> Result<Progress<Self::Error>, Self::Error>;

    /// Flushes and seals. Called until it returns [`Progress::Idle`]; after that nothing is added and
    /// no method is called again. The default is [`flush`](Self::flush).
    ///
    /// # Errors
    /// When it could not be published. The drain retries within the time limit of
    /// [`Drain::stop`](crate::Drain::stop).
    fn close(&mut self) -> Result<Progress<Self::Error>, Self::Error> {
        self.flush()
    }

    /// Number of items the sink accepts now; 0 leaves them in the ring, for example while the disk is
    /// full. Must be more than 0 after a successful flush. The default has no limit.
    fn capacity(&self) -> usize {
        usize::MAX
    }

    /// Does what has become due, such as a flush. Called at least once per
    /// [linger](crate::DrainSettings::linger) while no work is under way, and after an error only after
    /// a pause. The default does nothing.
    ///
    /// # Errors
    /// When what was due failed, here or in the work. Nothing is lost by that: it stays due.
    fn tick(&mut self, _now: Instant) -> Result<Progress<Self::Error>, Self::Error> {
        Ok(Progress::Idle)
    }

    /// Whether trying again cannot help, so that [`Drain::stop`](crate::Drain::stop) need not wait for it.
    /// The default is `false`.
    fn is_final(&self, _error: &Self::Error) -> bool {
        false
    }

    /// Called when the drain ends without having closed the sink. The sink keeps what it holds, for
    /// [`Drain::with_sink`](crate::Drain::with_sink), and releases what others may wait for, such as locks.
    /// The default does nothing.
    fn release(&mut self) {}

    /// Receives the buffer's statistics: what it took and what it lost. Called before `tick`, `flush`
    /// and `close`. The default ignores them.
    fn observe(&mut self, _intake: &BufferStats) {}

    /// The sink's counters now, which [`Drain::stats`](crate::Drain::stats) reports. Called after every
    /// round. The default is `Stats::default()`; implement it if `Stats` is not `()`.
    fn stats(&self) -> Self::Stats {
        Self::Stats::default()
    }
}

impl<'a> Round<'a> {
    /// A round without a lookahead, for a sink that is used without a drain. Losses are discarded.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { now, losses: None, slot: None }
    }

    /// A round that collects losses, and perhaps has an empty place for work ahead.
    pub(crate) fn of_drain(
        now: Instant,
        losses: &'a mut Losses,
        slot: Option<&'a mut Option<Ahead>>,
    ) -> Self {
        Self { now, losses: Some(losses), slot }
    }

    /// The time at which the drain took the batch out of the ring.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Reports that an item, or a part of it, could not be stored. The first loss of each kind shows in
    /// [`Drain::health`](crate::Drain::health) with its label and reason, and is a `tracing` warning.
    pub fn lose(&mut self, loss: Loss, label: Option<i64>, reason: &dyn fmt::Display) {
        if let Some(losses) = &mut self.losses {
            losses.add(loss, label, reason);
        }
    }

    /// A place for work beside the work that is under way; `None` when none is under way, or when
    /// something runs beside it already.
    pub fn lookahead(&mut self) -> Option<Lookahead<'_>> {
        self.slot.as_deref_mut().filter(|slot| slot.is_none()).map(Lookahead)
    }
}

impl Lookahead<'_> {
    /// Runs `work` on another thread, beside the work that is under way. What becomes of it is the
    /// sink's own business: the drain does not wait for it, except when the sink is dropped.
    pub fn run(self, work: impl FnOnce() + Send + 'static) {
        *self.0 = Some(Ahead(Box::new(work)));
    }
}

impl<E> Progress<E> {
    /// Runs the work on this thread; `false` if there was none. For a sink that is used without a
    /// drain: `while sink.flush()?.run()? {}`.
    ///
    /// # Errors
    /// Those of the work.
    pub fn run(self) -> Result<bool, E> {
        match self {
            Self::Idle => Ok(false),
            Self::Work(work) => work().map(|()| true),
        }
    }
}

impl<E> fmt::Debug for Progress<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "Idle",
            Self::Work(_) => "Work",
        })
    }
}

impl fmt::Debug for Ahead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ahead")
    }
}
