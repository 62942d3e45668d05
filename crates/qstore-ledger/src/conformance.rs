//! What a ledger relies on in any [`Provider`]; for tests.

use crate::job::Job;
use crate::key::JobKey;
use crate::provider::{Found, Provider};
use crate::spec::JobSpec;
use crate::{Batch, Budget, Ledger};
use std::path::Path;

/// How often the status of a job is asked for until it must have ended.
const LOOKS: usize = 1_000;

/// Checks a provider against a service that answers every request and whose jobs end while they are looked at, as a
/// simulator's do. It sends three jobs.
///
/// ```
/// use qstore_ledger::conformance;
/// use qstore_ledger::simulated::{Simulation, SimulatedProvider};
///
/// # let dir = tempfile::tempdir()?;
/// let provider = SimulatedProvider::new(Simulation::default());
/// conformance::check(dir.path(), &provider, true, &());
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// If the provider does not do what its trait documents, or what `honors_tokens` says of it.
pub fn check<P: Provider>(dir: &Path, provider: &P, honors_tokens: bool, circuits: &P::Circuits) {
    let ledger = Ledger::open(dir.join("conformance.parquet"), Budget::unlimited())
        .expect("a ledger can be opened in this directory");
    let spec =
        |salt: &str| JobSpec::new("checked", Batch::new("device", 16).circuits(["c"]).salt(salt));
    let send = |salt: &str| -> Job {
        let sent = ledger.send(provider, &spec(salt), circuits);
        sent.unwrap_or_else(|error| panic!("a job is accepted: {error}"))
    };

    let job = send("one");
    let id = job.provider_job().expect("a job that was sent has an identifier").to_owned();
    assert_ne!(send("two").provider_job(), Some(&*id), "two jobs have two identifiers");

    match found(provider, &job.key) {
        Found::Job(seen) => {
            assert_eq!(seen.provider_job.as_deref(), Some(&*id), "a job is found by its token");
            let never = JobKey::at(0.0);
            assert_eq!(
                found(provider, &never),
                Found::Nothing,
                "no job has a token that was never sent"
            );
        }
        Found::CannotSearch => {}
        Found::Nothing => panic!("a job that was accepted is not found by its token"),
    }

    let again = provider.submit(&job.key, &spec("one"), circuits);
    let again = again.unwrap_or_else(|error| panic!("the same token is accepted again: {error}"));
    assert_eq!(again == id, honors_tokens, "the same token gets the same job, or it does not");

    assert!(provider.status("no such job").is_err(), "an unknown job is an error");
    let ended = (0..LOOKS).find_map(|_| {
        let seen = provider.status(&id).unwrap_or_else(|error| panic!("it has a status: {error}"));
        let job = ledger.observe(&job.key, &seen).expect("what it says can be recorded");
        (!job.is_open()).then_some(job)
    });
    let ended = ended.unwrap_or_else(|| panic!("it has not ended after {LOOKS} looks"));
    let other = ledger.jobs().into_iter().find(|other| other.key != job.key);
    let other = other.expect("two jobs were sent");
    let cancelled = ledger.cancel(provider, &other).expect("a job can be cancelled");
    assert!(!cancelled.is_open(), "a job that was cancelled has ended");
    let later = provider.status(&id).unwrap_or_else(|error| panic!("it has a status: {error}"));
    let later = ledger.observe(&job.key, &later).expect("what it says can be recorded");
    assert_eq!(later.state, ended.state, "a job that has ended does not begin again");
}

fn found<P: Provider>(provider: &P, token: &JobKey) -> Found {
    provider.find(token).unwrap_or_else(|error| panic!("a search has an answer: {error}"))
}
