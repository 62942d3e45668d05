//! How much may be spent: reserved before a job is sent, settled when its price is known.

use crate::error::LedgerError;
use crate::job::Job;
use crate::rules;
use std::fmt;
use std::sync::Arc;

/// A limit in US dollars, and where to raise an alarm. The default has neither.
///
/// `reserved + settled ≤ limit` holds whenever a job is intended. The one way past it is an estimate that was too low,
/// by at most the error of the jobs under way; that raises an alarm.
///
/// ```
/// use qstore_ledger::Budget;
///
/// let budget = Budget::usd(50.0)
///     .alarm_at([0.5, 0.8])
///     .on_alarm(|alarm| eprintln!("{:.0} % of the budget is spent or reserved", alarm.share * 100.0));
/// # let _ = budget;
/// ```
#[derive(Clone, Default)]
pub struct Budget {
    limit_usd: Option<f64>,
    /// Ascending shares of the limit; the last one is 1.
    alarms: Vec<f64>,
    on_alarm: Option<Arc<OnAlarm>>,
}

type OnAlarm = dyn Fn(&Alarm) + Send + Sync;

/// A share of the limit was passed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alarm {
    /// The share that was passed; 1 is the limit.
    pub share: f64,
    /// What is spent and reserved now.
    pub spending: Spending,
}

/// What is spent, and what may be.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spending {
    /// The limit, if there is one.
    pub limit_usd: Option<f64>,
    /// What jobs did cost.
    pub settled_usd: f64,
    /// What jobs may cost whose price is not known yet.
    pub reserved_usd: f64,
}

impl Spending {
    /// Spent and reserved.
    #[must_use]
    pub fn total_usd(&self) -> f64 {
        self.settled_usd + self.reserved_usd
    }
}

impl Budget {
    /// At most this sum.
    #[must_use]
    pub fn usd(limit: f64) -> Self {
        Self { limit_usd: Some(limit), alarms: vec![1.0], on_alarm: None }
    }

    /// No limit.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::default()
    }

    /// Raises an alarm at these shares of the limit, too; at the limit itself there always is one.
    #[must_use]
    pub fn alarm_at(mut self, shares: impl IntoIterator<Item = f64>) -> Self {
        self.alarms.extend(shares.into_iter().filter(|share| *share > 0.0 && *share < 1.0));
        self.alarms.sort_by(f64::total_cmp);
        self
    }

    /// What to do with an alarm. It is called once for each share that is passed, by the thread that passed it.
    #[must_use]
    pub fn on_alarm(mut self, alarm: impl Fn(&Alarm) + Send + Sync + 'static) -> Self {
        self.on_alarm = Some(Arc::new(alarm));
        self
    }

    /// Whether the limit is a possible one.
    pub(crate) fn validate(&self) -> Result<(), LedgerError> {
        rules::check("the limit in USD", self.limit_usd)
    }

    /// What these jobs cost and may cost.
    pub(crate) fn spending<'j>(&self, jobs: impl IntoIterator<Item = &'j Job>) -> Spending {
        let mut spending = Spending { limit_usd: self.limit_usd, ..Spending::default() };
        for job in jobs {
            let (settled, reserved) = job.committed_usd();
            spending.settled_usd += settled;
            spending.reserved_usd += reserved;
        }
        spending
    }

    /// Whether a job with this estimate may be sent.
    pub(crate) fn admit(
        &self,
        spending: Spending,
        estimate: Option<f64>,
    ) -> Result<(), LedgerError> {
        let Some(limit_usd) = self.limit_usd else { return Ok(()) };
        let estimate_usd = estimate.ok_or(LedgerError::NoEstimate)?;
        let Spending { settled_usd, reserved_usd, .. } = spending;
        if settled_usd + reserved_usd + estimate_usd <= limit_usd {
            return Ok(());
        }
        Err(LedgerError::OverBudget { estimate_usd, limit_usd, settled_usd, reserved_usd })
    }

    /// The alarms that this change raises. At the limit it is for more than the limit, below it for reaching the share.
    pub(crate) fn raise(&self, before: Spending, after: Spending) {
        let (Some(limit), Some(on_alarm)) = (self.limit_usd, &self.on_alarm) else { return };
        for &share in &self.alarms {
            let is_passed = |spending: &Spending| match spending.total_usd() {
                total if share < 1.0 => total >= share * limit,
                total => total > limit,
            };
            if is_passed(&after) && !is_passed(&before) {
                on_alarm(&Alarm { share, spending: after });
            }
        }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("limit_usd", &self.limit_usd)
            .field("alarms", &self.alarms)
            .finish_non_exhaustive()
    }
}
