//! qstore-ledger: what is durable before anybody relies on it, and what is never sent twice.

use super::edit::Edit::{Delete, Replace};
use super::mutant::{Mutant, Tests};

const CUTS: &[Tests] = &[Tests::of("qstore-ledger", "ledger", "cuts::")];
const EVERYDAY: &[Tests] = &[Tests::of("qstore-ledger", "ledger", "everyday::")];

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "ledger_not_durable",
        edits: &[Replace("Durability::Sync", "Durability::Flush")],
        danger: "after a power cut a job that is paid for has neither an intent nor an identifier",
        tests: CUTS,
    },
    Mutant {
        name: "intent_not_durable",
        edits: &[Replace("self.flush()", "Ok::<(), WriteError>(())")],
        danger: "the request has left, and after a kill nobody knows of it",
        tests: CUTS,
    },
    Mutant {
        name: "identifier_not_durable",
        edits: &[Replace("self.catch_up()", "Ok::<(), WriteError>(())")],
        danger: "after a kill a job that was waited for is in doubt, and one that was paid for is asked for again",
        tests: &[Tests::of("qstore-ledger", "ledger", "")],
    },
    Mutant {
        name: "intent_not_withdrawn",
        edits: &[Delete],
        danger: "an intent that was refused to the caller becomes durable later, and reserves money forever",
        tests: &[Tests::of("qstore-ledger", "ledger", "faults::")],
    },
    Mutant {
        name: "ledger_of_a_killed_process_relied_on",
        edits: &[Replace("log.flush()", "Ok::<(), qstore_parquet::WriteError>(())")],
        danger: "a power cut takes an intent away after its request was sent again",
        tests: CUTS,
    },
    Mutant {
        name: "refused_retry_ends_the_job",
        edits: &[Replace("self.is_retry", "self.is_retry && false")],
        danger: "the first request has arrived, and the batch is paid for again",
        tests: &[Tests::of("qstore-ledger", "ledger", "")],
    },
    Mutant {
        name: "ledger_in_a_forked_child",
        edits: &[Replace("self.shared.home.is_forked()", "false")],
        danger: "a child waits for a thread that it does not have, or sends its parent's job",
        tests: &[Tests::of("qstore-ledger", "ledger", "forks::")],
    },
    Mutant {
        name: "budget_not_asked",
        edits: &[Delete],
        danger: "a loop spends more than it may",
        tests: &[Tests::of("qstore-ledger", "ledger", "budget::")],
    },
    Mutant {
        name: "batch_under_way_sent_again",
        edits: &[Replace("job.is_open()", "false && job.is_open()")],
        danger: "a batch whose answer was lost is paid for twice",
        tests: EVERYDAY,
    },
    Mutant {
        name: "ended_job_begins_again",
        edits: &[Replace("seen != JobState::Intended", "false && seen != JobState::Intended")],
        danger: "a late answer contradicts the end of a job, and nobody sees it",
        tests: EVERYDAY,
    },
    Mutant {
        name: "identifier_of_another_job_taken",
        edits: &[Replace(
            "jobs.with_identifier(&known.known.provider, identifier)",
            "jobs.with_identifier(&known.known.provider, identifier).filter(|_| false)",
        )],
        danger: "one job at the provider counts as two here",
        tests: EVERYDAY,
    },
];
