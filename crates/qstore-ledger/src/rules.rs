//! What may be recorded: decisions that look at nothing but what is known.

use crate::batch::BatchDigest;
use crate::error::LedgerError;
use crate::event::{JobEvent, NOTE, PRICED};
use crate::job::{Job, Jobs};
use crate::seen::Seen;
use crate::state::JobState;
use qstore_schema::SmolStr;

/// A batch is not paid for twice without a word.
pub(crate) fn refuse_twice(jobs: &Jobs, batch: &BatchDigest) -> Result<(), LedgerError> {
    let of_batch = || jobs.of_batch(batch.as_str());
    // mutant: batch_under_way_sent_again
    if let Some(job) = of_batch().rfind(|job| job.is_open()) {
        return Err(LedgerError::UnderWay {
            batch: batch.to_string(),
            job: job.key.to_string(),
            state: job.state,
            in_doubt: job.in_doubt,
        });
    }
    if let Some(job) = of_batch().rfind(|job| job.state == JobState::Done) {
        let (batch, job) = (batch.to_string(), job.key.to_string());
        return Err(LedgerError::AlreadyDone { batch, job });
    }
    Ok(())
}

/// The event for what was seen; `None` if it is all known. Its number and time are those of the last one.
pub(crate) fn next(jobs: &Jobs, known: &Job, seen: &Seen) -> Result<Option<JobEvent>, LedgerError> {
    let mut event = known.known.clone();
    seen.apply(&mut event);
    if let Some(identifier) = &seen.provider_job {
        check_identifier(jobs, known, identifier)?;
        event.provider_job = Some(identifier.clone());
    }
    let mut state = match seen.state.unwrap_or(known.state) {
        // An identifier means that the provider has it.
        JobState::Intended if event.provider_job.is_some() => JobState::Submitted,
        state => state,
    };
    // An end without an identifier is what we concluded, and not what the provider says.
    let is_revived = known.provider_job().is_none() && event.provider_job.is_some();
    if known.state.is_final() && state != known.state && !is_revived {
        // mutant: ended_job_begins_again
        if seen.state.is_some_and(|seen| seen != JobState::Intended) {
            event.error =
                Some(format!("the provider says {state} of a job that is {}", known.state).into());
        }
        state = known.state;
    }
    if !matches!(state, JobState::Intended | JobState::Failed | JobState::Cancelled)
        && event.provider_job.is_none()
    {
        return Err(LedgerError::NoIdentifier { job: known.key.to_string(), state });
    }
    if state == known.state && event == known.known {
        return Ok(None);
    }
    event.event = match () {
        () if state != known.state || !state.is_final() => state.as_str(),
        () if event.cost_usd != known.known.cost_usd => PRICED,
        () => NOTE,
    }
    .into();
    Ok(Some(event))
}

/// A job has one identifier, and an identifier one job.
fn check_identifier(jobs: &Jobs, known: &Job, identifier: &SmolStr) -> Result<(), LedgerError> {
    if identifier.is_empty() {
        let value = "empty".to_owned();
        let (name, expected) = ("the identifier of a job", "the provider's own");
        return Err(LedgerError::BadValue { name, value, expected });
    }
    let job = known.key.to_string();
    match known.provider_job() {
        Some(has) if has != identifier.as_str() => Err(LedgerError::OtherIdentifier {
            job,
            known: has.to_owned(),
            seen: identifier.to_string(),
        }),
        Some(_) => Ok(()),
        // mutant: identifier_of_another_job_taken
        None => match jobs.with_identifier(&known.known.provider, identifier) {
            Some(owner) => Err(LedgerError::IdentifierTaken {
                job,
                provider_job: identifier.to_string(),
                owner: owner.key.to_string(),
            }),
            None => Ok(()),
        },
    }
}

/// An amount is finite and not negative.
pub(crate) fn check(name: &'static str, amount: Option<f64>) -> Result<(), LedgerError> {
    match amount {
        Some(amount) if !(amount >= 0.0 && amount.is_finite()) => {
            let expected = "finite and not negative";
            Err(LedgerError::BadValue { name, value: amount.to_string(), expected })
        }
        _ => Ok(()),
    }
}
