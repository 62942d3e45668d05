//! What was seen of a job at its provider.

use crate::event::JobEvent;
use crate::state::JobState;
use qstore_schema::SmolStr;

/// A look at a job. What is not set stays as it was known.
///
/// ```
/// use qstore_ledger::Seen;
///
/// let waits = Seen::queued(17);
/// let ended = Seen::done().usd(0.65).exec_ms(840.0).result("results/0007.json", 0x1234_5678);
/// # let _ = (waits, ended);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Seen {
    pub(crate) state: Option<JobState>,
    pub(crate) provider_job: Option<SmolStr>,
    session: Option<SmolStr>,
    cost_usd: Option<f64>,
    billed_seconds: Option<f64>,
    credits: Option<f64>,
    queue_position: Option<i64>,
    queue_ms: Option<f64>,
    exec_ms: Option<f64>,
    result: Option<(SmolStr, u32)>,
    error: Option<SmolStr>,
    extra: Option<SmolStr>,
}

impl Seen {
    /// It is in this state.
    #[must_use]
    pub fn state(state: JobState) -> Self {
        Self { state: Some(state), ..Self::default() }
    }

    /// It waits at this position.
    #[must_use]
    pub fn queued(position: i64) -> Self {
        Self { queue_position: Some(position), ..Self::state(JobState::Queued) }
    }

    /// It runs.
    #[must_use]
    pub fn running() -> Self {
        Self::state(JobState::Running)
    }

    /// It has a result.
    #[must_use]
    pub fn done() -> Self {
        Self::state(JobState::Done)
    }

    /// It failed, in the provider's words.
    #[must_use]
    pub fn failed(error: &str) -> Self {
        Self::state(JobState::Failed).error(error)
    }

    /// It was cancelled.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::state(JobState::Cancelled)
    }

    /// Only its price became known, in US dollars.
    #[must_use]
    pub fn priced(usd: f64) -> Self {
        Self::default().usd(usd)
    }

    /// What went wrong, in the provider's words.
    #[must_use]
    pub fn error(mut self, error: &str) -> Self {
        self.error = Some(error.into());
        self
    }

    /// The provider's identifier of it.
    #[must_use]
    pub fn id(mut self, provider_job: &str) -> Self {
        self.provider_job = Some(provider_job.into());
        self
    }

    /// The provider's session that it belongs to.
    #[must_use]
    pub fn session(mut self, session: &str) -> Self {
        self.session = Some(session.into());
        self
    }

    /// What it did cost, in US dollars.
    #[must_use]
    pub fn usd(mut self, usd: f64) -> Self {
        self.cost_usd = Some(usd);
        self
    }

    /// What is billed, in seconds.
    #[must_use]
    pub fn billed_seconds(mut self, seconds: f64) -> Self {
        self.billed_seconds = Some(seconds);
        self
    }

    /// What is billed, in credits of the provider.
    #[must_use]
    pub fn credits(mut self, credits: f64) -> Self {
        self.credits = Some(credits);
        self
    }

    /// How long it waited, in milliseconds.
    #[must_use]
    pub fn queue_ms(mut self, ms: f64) -> Self {
        self.queue_ms = Some(ms);
        self
    }

    /// How long it ran, in milliseconds.
    #[must_use]
    pub fn exec_ms(mut self, ms: f64) -> Self {
        self.exec_ms = Some(ms);
        self
    }

    /// Where the caller stored its result, relative to the ledger's directory, and the crc32c of that file.
    #[must_use]
    pub fn result(mut self, file: &str, crc32c: u32) -> Self {
        self.result = Some((file.into(), crc32c));
        self
    }

    /// Anything else, as JSON.
    #[must_use]
    pub fn extra(mut self, json: &str) -> Self {
        self.extra = Some(json.into());
        self
    }

    /// The numbers that must be finite and not negative, with their names.
    pub(crate) fn amounts(&self) -> [(&'static str, Option<f64>); 5] {
        [
            ("cost_usd", self.cost_usd),
            ("billed_seconds", self.billed_seconds),
            ("credits", self.credits),
            ("queue_ms", self.queue_ms),
            ("exec_ms", self.exec_ms),
        ]
    }

    /// Sets in `known` what was seen, other than state and identifier.
    pub(crate) fn apply(&self, known: &mut JobEvent) {
        fn set<T: Clone>(known: &mut Option<T>, seen: Option<&T>) {
            if let Some(seen) = seen {
                *known = Some(seen.clone());
            }
        }
        set(&mut known.session, self.session.as_ref());
        set(&mut known.cost_usd, self.cost_usd.as_ref());
        set(&mut known.billed_seconds, self.billed_seconds.as_ref());
        set(&mut known.credits, self.credits.as_ref());
        set(&mut known.queue_position, self.queue_position.as_ref());
        set(&mut known.queue_ms, self.queue_ms.as_ref());
        set(&mut known.exec_ms, self.exec_ms.as_ref());
        set(&mut known.error, self.error.as_ref());
        set(&mut known.extra, self.extra.as_ref());
        if let Some((file, sum)) = &self.result {
            known.result = Some(file.clone());
            known.result_crc32c = Some(i64::from(*sum));
        }
    }
}
