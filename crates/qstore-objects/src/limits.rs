//! How long requests and calls may take, and how often a request is repeated.

use qstore_settings::SettingError;
use std::time::Duration;

/// The time limits of a [`Store`](crate::Store).
///
/// ```
/// use qstore_objects::Limits;
/// use std::time::Duration;
///
/// let limits = Limits::default().call(Duration::from_secs(600));
/// assert_eq!(limits.request, Duration::from_secs(60));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest time that one request may take.
    pub request: Duration,
    /// The longest time that one call may take, with all its requests and pauses.
    pub call: Duration,
    /// The pause before a request is repeated; each further pause is twice as long.
    pub pause: Duration,
    /// The longest pause.
    pub pause_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(60),
            call: Duration::from_secs(300),
            pause: Duration::from_millis(100),
            pause_max: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// The longest time that one request may take: 1 ms to 1 hour. Default: 60 s.
    #[must_use]
    pub const fn request(mut self, limit: Duration) -> Self {
        self.request = limit;
        self
    }

    /// The longest time that one call may take: from the limit of a request to 1 day. Default: 300 s.
    #[must_use]
    pub const fn call(mut self, limit: Duration) -> Self {
        self.call = limit;
        self
    }

    /// The pause before a request is repeated: 1 ms to 1 minute. Default: 100 ms. It doubles up to 10 s.
    #[must_use]
    pub const fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    pub(crate) fn check(&self) -> Result<(), SettingError> {
        let millis = |limit: Duration| limit.as_millis();
        SettingError::check("request (in ms)", millis(self.request), 1..=3_600_000, 60_000)?;
        let least = millis(self.request);
        SettingError::check("call (in ms)", millis(self.call), least..=86_400_000, 300_000)?;
        SettingError::check("pause (in ms)", millis(self.pause), 1..=60_000, 100)
    }
}
