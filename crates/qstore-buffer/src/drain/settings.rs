//! How a drain behaves.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The longest that a row of metrics waits in the ring of a logger or a metrics writer, unless half the
/// ring is full before.
///
/// Much shorter than the time between two flushes, and long enough that looking for rows costs next to
/// nothing (docs/benchmarks.md). docs/shutdown.md computes the loss window from it.
pub const RING_LINGER: Duration = Duration::from_millis(50);

/// Settings of a drain.
///
/// ```
/// use qstore_buffer::DrainSettings;
/// use std::time::Duration;
///
/// let settings = DrainSettings::default()
///     .thread_name("csv-writer")
///     .flush_every(Duration::from_secs(1));
/// assert_eq!(settings.linger, Duration::from_millis(5));
/// assert_eq!(settings.flush_every, Some(Duration::from_secs(1)));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DrainSettings {
    /// The thread's name. Default `qstore-drain`.
    pub thread_name: String,
    /// The longest that an item waits in a ring that is not half full. At least 1 ms; smaller values
    /// count as 1 ms. Default 5 ms; loggers and metrics writers use [`RING_LINGER`].
    pub linger: Duration,
    /// How often the sink is flushed without a call to [`flush`](crate::Drain::flush), if items were
    /// received since. `None`, the default, leaves it to the sink, to `flush` and to `stop`.
    pub flush_every: Option<Duration>,
    /// The longest that dropping a drain waits for its sink to close. Default 5 s.
    pub drop_timeout: Duration,
    /// The shortest time between two warnings about the same kind of loss. Default 10 s; the first loss
    /// of each kind is reported at once.
    pub report_losses_every: Duration,
    /// Runs on the background thread before anything else. Default: nothing.
    pub on_start: StartHook,
}

/// A function that runs once on a background thread, before anything else: for what should hold for
/// this thread and those it starts, such as a scheduling priority.
///
/// ```
/// use qstore_buffer::DrainSettings;
///
/// let settings = DrainSettings::default().on_start(|| {
///     // for example `qstore_os::Priority::Idle.apply()`
///     println!("started {:?}", std::thread::current().name());
/// });
/// # drop(settings);
/// ```
#[derive(Clone, Default)]
pub struct StartHook(Option<Arc<dyn Fn() + Send + Sync>>);

impl StartHook {
    /// A hook that calls this function.
    pub fn new(hook: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    /// Calls the function, if there is one.
    pub fn run(&self) {
        if let Some(hook) = &self.0 {
            hook();
        }
    }
}

impl fmt::Debug for StartHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "StartHook(set)" } else { "StartHook(none)" })
    }
}

impl Default for DrainSettings {
    fn default() -> Self {
        Self {
            thread_name: "qstore-drain".into(),
            linger: Duration::from_millis(5),
            flush_every: None,
            drop_timeout: Duration::from_secs(5),
            report_losses_every: Duration::from_secs(10),
            on_start: StartHook::default(),
        }
    }
}

impl DrainSettings {
    /// Sets the thread's name.
    #[must_use]
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = name.into();
        self
    }

    /// Sets the longest that an item waits in a ring that is not half full.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Sets how often the sink is flushed.
    #[must_use]
    pub fn flush_every(mut self, interval: Duration) -> Self {
        self.flush_every = Some(interval);
        self
    }

    /// Sets the longest that dropping a drain waits for its sink to close.
    #[must_use]
    pub fn drop_timeout(mut self, timeout: Duration) -> Self {
        self.drop_timeout = timeout;
        self
    }

    /// Sets the shortest time between two warnings about the same kind of loss.
    #[must_use]
    pub fn report_losses_every(mut self, interval: Duration) -> Self {
        self.report_losses_every = interval;
        self
    }

    /// Sets what runs on the background thread before anything else.
    #[must_use]
    pub fn on_start(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_start = StartHook::new(hook);
        self
    }

    /// A NUL cannot be part of a thread's name.
    pub(crate) fn valid_thread_name(&self) -> String {
        self.thread_name.replace('\0', "")
    }
}
