//! Who runs jobs, and how a ledger is brought up to date with what they say.

use crate::error::LedgerError;
use crate::job::Job;
use crate::key::JobKey;
use crate::ledger::Ledger;
use crate::seen::Seen;
use crate::spec::JobSpec;
use crate::state::JobState;

/// A client of somebody who runs jobs.
///
/// | | the token travels as | a job is found by | the same token twice |
/// |---|---|---|---|
/// | Amazon Braket | `clientToken` and a tag | the tag | the first task |
/// | IBM Runtime | a job tag | the tag | two jobs |
/// | `IonQ` | `name`, or a value of `metadata` | neither: [`Found::CannotSearch`] | two jobs |
///
/// An implementation of your own is checked by `conformance::check` (feature `testing`).
pub trait Provider {
    /// What is sent.
    type Circuits: ?Sized;
    /// What can go wrong.
    type Error: std::error::Error;

    /// Sends a job that carries this token, and returns its identifier.
    ///
    /// # Errors
    /// [`SubmitError::Refused`] only if it was certainly not accepted.
    fn submit(
        &self,
        token: &JobKey,
        spec: &JobSpec,
        circuits: &Self::Circuits,
    ) -> Result<String, SubmitError<Self::Error>>;

    /// Looks for the job with this token.
    ///
    /// # Errors
    /// If the provider did not answer.
    fn find(&self, token: &JobKey) -> Result<Found, Self::Error>;

    /// What is known of a job.
    ///
    /// # Errors
    /// If the provider did not answer, or does not know it.
    fn status(&self, provider_job: &str) -> Result<Seen, Self::Error>;

    /// Cancels a job, if it has not ended, and returns what is known of it.
    ///
    /// # Errors
    /// If the provider did not answer, or does not know it.
    fn cancel(&self, provider_job: &str) -> Result<Seen, Self::Error>;
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError<E> {
    /// The provider said no, or the request never left: nothing was accepted.
    #[error("the provider refused the job: {0}")]
    Refused(E),
    /// The job may have been accepted.
    #[error("whether the provider has the job is unknown: {0}")]
    Unknown(E),
}

/// What a search for a token found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Found {
    /// The job, with its identifier.
    Job(Box<Seen>),
    /// There is certainly none. A provider whose search lags must say [`CannotSearch`](Self::CannotSearch) until
    /// [`JobKey::made_at`] is longer ago than that.
    Nothing,
    /// The provider has no such search.
    CannotSearch,
}

/// What became of the jobs that were not finished.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Reconciled {
    /// What is known of them now.
    pub seen: Vec<Job>,
    /// The provider does not know them.
    pub given_up: Vec<Job>,
    /// They stay in doubt, because the provider has no search.
    pub in_doubt: Vec<Job>,
    /// The provider did not answer, for this reason. They are as they were.
    pub unanswered: Vec<(Job, String)>,
}

/// Why a job was not sent or cancelled, or has no identifier.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError<E> {
    /// The ledger refused it, or could not record it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The provider did not accept it, or did not answer.
    #[error(transparent)]
    Provider(SubmitError<E>),
    /// The provider did not answer, or does not know the job.
    #[error("the provider did not cancel the job: {0}")]
    NotCancelled(E),
}

impl Ledger {
    /// Intends a job, sends it, and records its identifier. If the answer is lost the job is in doubt.
    ///
    /// # Errors
    /// If the ledger refuses it, if the provider does, or if there is no answer.
    pub fn send<P: Provider>(
        &self,
        provider: &P,
        spec: &JobSpec,
        circuits: &P::Circuits,
    ) -> Result<Job, SendError<P::Error>> {
        let intent = self.intend(spec.clone())?;
        match provider.submit(intent.token(), spec, circuits) {
            Ok(identifier) => Ok(intent.submitted(&identifier)?),
            Err(SubmitError::Refused(error)) => {
                intent.refused(&error.to_string())?;
                Err(SendError::Provider(SubmitError::Refused(error)))
            }
            Err(error) => Err(SendError::Provider(error)),
        }
    }

    /// Cancels a job at its provider, if it has not ended, and records what the provider says.
    ///
    /// # Errors
    /// If the job has no identifier, if the provider does not answer, or if it could not be recorded.
    pub fn cancel<P: Provider>(&self, provider: &P, job: &Job) -> Result<Job, SendError<P::Error>> {
        let Some(identifier) = job.provider_job() else {
            let (job, state) = (job.key.to_string(), JobState::Cancelled);
            return Err(LedgerError::NoIdentifier { job, state }.into());
        };
        let seen = provider.cancel(identifier).map_err(SendError::NotCancelled)?;
        Ok(self.observe(&job.key, &seen)?)
    }

    /// Asks the provider for every job of its name that is not finished. Call it after opening, before anything is
    /// sent. One job without an answer does not hide the others. A job in doubt that the provider does not know is
    /// [given up](Self::give_up).
    ///
    /// # Errors
    /// If something that was seen could not be recorded.
    pub fn reconcile<P: Provider>(
        &self,
        name: &str,
        provider: &P,
    ) -> Result<Reconciled, LedgerError> {
        let mut outcome = Reconciled::default();
        for job in self.unfinished().into_iter().filter(|job| job.known.provider == name) {
            let answer = match job.provider_job() {
                Some(identifier) => {
                    provider.status(identifier).map(|seen| Found::Job(Box::new(seen)))
                }
                None if job.in_doubt => provider.find(&job.key),
                None => continue,
            };
            match answer {
                Ok(Found::Job(seen)) => outcome.seen.push(self.observe(&job.key, &seen)?),
                Ok(Found::Nothing) => match self.give_up(&job.key) {
                    Ok(job) => outcome.given_up.push(job),
                    // Another thread has learned more of it meanwhile.
                    Err(LedgerError::NotInDoubt { .. }) => {}
                    Err(error) => return Err(error),
                },
                Ok(Found::CannotSearch) => outcome.in_doubt.push(job),
                Err(error) => outcome.unanswered.push((job, error.to_string())),
            }
        }
        Ok(outcome)
    }
}
