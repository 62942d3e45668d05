//! How a logger behaves.

use qstore_buffer::{BufferSettings, DrainSettings, Overflow, RING_LINGER, StartHook};
use qstore_settings::SettingError;
use std::time::Duration;

/// Settings of a logger, checked when it is opened.
///
/// ```
/// use qstore_buffer::Overflow;
/// use qstore_logger::LoggerSettings;
///
/// // A long ring for bursts; the latest rows are the ones that matter.
/// let settings = LoggerSettings::default().buffer_size(100_000).overflow(Overflow::DropOldest);
/// assert_eq!(settings.buffer_size, 100_000);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LoggerSettings {
    /// Capacity of the ring in rows, at least 1. Default 1 000. A row takes about 320 bytes.
    pub buffer_size: usize,
    /// What happens to a row when the ring is full. Default [`Overflow::DropNewest`].
    pub overflow: Overflow,
    /// How often the sink is flushed besides calls to
    /// [`flush`](crate::AsyncMetricsLogger::flush). For a sink of your own; a Parquet file has an
    /// interval in its own settings. Default `None`: the sink decides.
    pub flush_every: Option<Duration>,
    /// Runs on the background thread before anything else, for example to set its priority. Default:
    /// nothing; a logger on a Parquet file applies the priority of the file's settings.
    pub on_start: StartHook,
}

impl LoggerSettings {
    /// The default of [`buffer_size`](Self::buffer_size), in rows.
    const BUFFER_SIZE: usize = 1_000;
}

impl Default for LoggerSettings {
    fn default() -> Self {
        Self {
            buffer_size: Self::BUFFER_SIZE,
            overflow: Overflow::DropNewest,
            flush_every: None,
            on_start: StartHook::default(),
        }
    }
}

impl LoggerSettings {
    /// Sets the capacity of the ring in rows.
    #[must_use]
    pub fn buffer_size(mut self, rows: usize) -> Self {
        self.buffer_size = rows;
        self
    }

    /// Sets what happens to a row when the ring is full.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Sets how often the sink is flushed.
    #[must_use]
    pub fn flush_every(mut self, interval: Duration) -> Self {
        self.flush_every = Some(interval);
        self
    }

    /// Sets what runs on the background thread before anything else.
    #[must_use]
    pub fn on_start(mut self, hook: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_start = StartHook::new(hook);
        self
    }

    /// Whether a logger can be opened with them. Opening one checks that as well.
    ///
    /// # Errors
    /// The setting with a value that cannot be used.
    pub fn validate(&self) -> Result<(), SettingError> {
        self.clone().split().0.validate().map_err(Self::own_error)
    }

    /// The settings of the two parts.
    pub(crate) fn split(self) -> (BufferSettings, DrainSettings) {
        let Self { buffer_size, overflow, flush_every, on_start } = self;
        let ring =
            BufferSettings::default().name("metrics").maxsize(buffer_size).overflow(overflow);
        let mut drain = DrainSettings::default().thread_name("qstore-metrics").linger(RING_LINGER);
        drain.flush_every = flush_every;
        drain.on_start = on_start;
        (ring, drain)
    }

    /// An error of the ring, under this setting's own name and default.
    pub(crate) fn own_error(mut error: SettingError) -> SettingError {
        error.setting = "buffer_size";
        error.default = Self::BUFFER_SIZE.to_string();
        error
    }
}
