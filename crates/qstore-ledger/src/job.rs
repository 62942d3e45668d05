//! A job, and the jobs of a ledger as its rows tell them.

use crate::event::JobEvent;
use crate::key::JobKey;
use crate::state::JobState;
use qstore_schema::SmolStr;
use std::collections::HashMap;

/// A job, as far as the ledger knows it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Job {
    /// Our name for it, and the token that its request carried.
    pub key: JobKey,
    /// How far it is.
    pub state: JobState,
    /// Whether its request may have arrived although no identifier is known: it was intended, and the process that
    /// wanted to send it is gone, or gave up. Look for it at the provider before anything is sent again.
    pub in_doubt: bool,
    /// When it was intended, in seconds since the Unix epoch (UTC).
    pub intended_at: f64,
    /// Its last row, which has everything that is known.
    pub known: JobEvent,
}

impl Job {
    /// The provider's identifier, once it is known.
    #[must_use]
    pub fn provider_job(&self) -> Option<&str> {
        self.known.provider_job.as_deref()
    }

    /// Whether something may still happen to it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.state.is_final()
    }
}

impl Job {
    /// What it did cost, and what it may cost beyond that, in US dollars.
    ///
    /// A job that is done and has no price yet counts with its estimate. One that failed or was cancelled costs nothing
    /// until a price says otherwise.
    #[must_use]
    pub fn committed_usd(&self) -> (f64, f64) {
        let estimate = self.known.est_usd.unwrap_or(0.0);
        match (self.known.cost_usd, self.state) {
            (Some(cost), state) if state.is_final() => (cost, 0.0),
            (Some(cost), _) => (cost, (estimate - cost).max(0.0)),
            (None, JobState::Failed | JobState::Cancelled) => (0.0, 0.0),
            (None, _) => (0.0, estimate),
        }
    }
}

/// The jobs of a ledger, in the order in which they were intended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Jobs {
    list: Vec<Job>,
    by_key: HashMap<SmolStr, usize>,
    by_batch: HashMap<SmolStr, Vec<usize>>,
    /// By provider and identifier.
    by_identifier: HashMap<(SmolStr, SmolStr), usize>,
    next_seq: i64,
}

impl Jobs {
    /// Adds what a row says. A job whose intent it is counts as in doubt until somebody holds it.
    pub(crate) fn apply(&mut self, event: JobEvent) {
        self.next_seq = self.next_seq.max(event.seq + 1);
        let index = *self.by_key.entry(event.job.clone()).or_insert(self.list.len());
        if index == self.list.len() {
            self.by_batch.entry(event.batch.clone()).or_default().push(index);
            self.list.push(Job {
                key: JobKey::known(event.job.clone()),
                state: JobState::Intended,
                in_doubt: true,
                intended_at: event.time,
                known: event.clone(),
            });
        }
        if let Some(identifier) = &event.provider_job {
            self.by_identifier.insert((event.provider.clone(), identifier.clone()), index);
        }
        let job = &mut self.list[index];
        if let Some(state) = JobState::parse(&event.event) {
            job.state = state;
            job.in_doubt &= state == JobState::Intended;
        }
        job.known = event;
    }

    /// Says whether somebody holds the intent of this job.
    pub(crate) fn hold(&mut self, key: &JobKey, is_held: bool) {
        if let Some(&index) = self.by_key.get(key.as_str()) {
            let job = &mut self.list[index];
            job.in_doubt = !is_held && job.state == JobState::Intended;
        }
    }

    pub(crate) fn next_seq(&self) -> i64 {
        self.next_seq
    }

    pub(crate) fn list(&self) -> &[Job] {
        &self.list
    }

    pub(crate) fn into_list(self) -> Vec<Job> {
        self.list
    }

    pub(crate) fn get(&self, key: &JobKey) -> Option<&Job> {
        self.by_key.get(key.as_str()).map(|&index| &self.list[index])
    }

    /// The jobs for that batch.
    pub(crate) fn of_batch(&self, batch: &str) -> impl DoubleEndedIterator<Item = &Job> {
        self.by_batch.get(batch).into_iter().flatten().map(|&index| &self.list[index])
    }

    /// The job with that identifier at that provider.
    pub(crate) fn with_identifier(&self, provider: &SmolStr, identifier: &SmolStr) -> Option<&Job> {
        let index = *self.by_identifier.get(&(provider.clone(), identifier.clone()))?;
        Some(&self.list[index])
    }
}
