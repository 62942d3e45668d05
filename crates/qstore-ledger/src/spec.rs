//! What is asked for, before it is sent.

use crate::batch::Batch;
use qstore_schema::SmolStr;

/// A job to be: who shall run which batch, where the training is, and what it may cost.
///
/// ```
/// use qstore_ledger::{Batch, JobSpec};
///
/// let batch = Batch::new("ibm_torino", 1024).circuits(["OPENQASM 3.0; …"]);
/// let spec = JobSpec::new("ibm", batch).at(3, 1_500).estimate_usd(0.67);
/// ```
#[derive(Debug, Clone)]
pub struct JobSpec {
    pub(crate) provider: SmolStr,
    pub(crate) batch: Batch,
    pub(crate) session: Option<SmolStr>,
    pub(crate) attempt: i64,
    pub(crate) epoch: Option<i64>,
    pub(crate) step: Option<i64>,
    pub(crate) est_usd: Option<f64>,
    pub(crate) est_seconds: Option<f64>,
    pub(crate) extra: Option<SmolStr>,
    pub(crate) is_repeated: bool,
}

impl JobSpec {
    /// A job for this provider.
    #[must_use]
    pub fn new(provider: &str, batch: Batch) -> Self {
        Self {
            provider: provider.into(),
            batch,
            session: None,
            attempt: 0,
            epoch: None,
            step: None,
            est_usd: None,
            est_seconds: None,
            extra: None,
            is_repeated: false,
        }
    }

    /// Where the training is.
    #[must_use]
    pub fn at(mut self, epoch: i64, step: i64) -> Self {
        (self.epoch, self.step) = (Some(epoch), Some(step));
        self
    }

    /// The attempt of the run, counted from 1.
    #[must_use]
    pub fn attempt(mut self, attempt: i64) -> Self {
        self.attempt = attempt;
        self
    }

    /// What it may cost, in US dollars. A ledger with a limit asks for it.
    #[must_use]
    pub fn estimate_usd(mut self, usd: f64) -> Self {
        self.est_usd = Some(usd);
        self
    }

    /// How long it may run, in seconds.
    #[must_use]
    pub fn estimate_seconds(mut self, seconds: f64) -> Self {
        self.est_seconds = Some(seconds);
        self
    }

    /// The provider's session that it belongs to.
    #[must_use]
    pub fn session(mut self, session: &str) -> Self {
        self.session = Some(session.into());
        self
    }

    /// Anything else, as JSON.
    #[must_use]
    pub fn extra(mut self, json: &str) -> Self {
        self.extra = Some(json.into());
        self
    }

    /// Pays for this batch although a job for it is done or under way.
    #[must_use]
    pub fn repeated(mut self) -> Self {
        self.is_repeated = true;
        self
    }
}
