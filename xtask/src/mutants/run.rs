//! Mutants of runs, and of the lock that tells whether their writers live.

use super::edit::Edit::{Delete, Replace, Rewrite};
use super::mutant::{Mutant, Tests};

const OF_THE_LOCK: &[Tests] = &[Tests::lib("qstore-storage", "noted_lock::")];
const OF_THE_STATUS: &[Tests] = &[Tests::lib("qstore-run", "session::")];
const RECORDS: &[Tests] = &[Tests::of("qstore-run", "runs", "record::")];
const OF_THE_LINEAGE: &[Tests] = &[Tests::lib("qstore-run", "lineage::")];
const RESUMED: &[Tests] = &[Tests::of("qstore-run", "runs", "resuming::")];

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "noted_lock_released_in_a_forked_child",
        edits: &[Replace("!self.home.is_forked()", "true")],
        danger: "a data loader that ends makes a running run look crashed",
        tests: OF_THE_LOCK,
    },
    Mutant {
        name: "noted_lock_taken_unseen",
        edits: &[Rewrite("let is_held = false;")],
        danger: "no probe sees that a run is running",
        tests: OF_THE_LOCK,
    },
    Mutant {
        name: "probe_believes_that_every_lock_is_free",
        edits: &[Replace("!=", "==")],
        danger: "a running run looks crashed",
        tests: OF_THE_LOCK,
    },
    Mutant {
        name: "another_host_reported_as_crashed",
        edits: &[Replace("last.host != here.host", "false")],
        danger: "a run that goes on elsewhere is reported as crashed, and perhaps started again",
        tests: OF_THE_STATUS,
    },
    Mutant {
        name: "a_forked_child_keeps_a_run_alive",
        edits: &[Rewrite("Some(false) => Sight::Held,")],
        danger: "a run whose writer was killed is reported as running while a data loader lives",
        tests: OF_THE_STATUS,
    },
    Mutant {
        name: "status_without_a_second_look",
        edits: &[Rewrite("let again = run.clone();")],
        danger: "a run that ends well while it is looked at is reported as crashed",
        tests: OF_THE_STATUS,
    },
    Mutant {
        name: "run_json_changed_without_its_lock",
        edits: &[Delete],
        danger: "a tag that is added while the run ends removes its outcome",
        tests: RECORDS,
    },
    Mutant {
        name: "checkpoint_before_its_rows",
        edits: &[Rewrite("let _ = &logger;")],
        danger: "the curve of a resumed run has a hole before its checkpoint",
        tests: RESUMED,
    },
    Mutant {
        name: "given_up_by_rows_alone",
        edits: &[Replace("origin.save_seq <= seq_max", "true")],
        danger: "a kill right after a rewind undoes the rewind, if no row is between the two saves",
        tests: OF_THE_LINEAGE,
    },
    Mutant {
        name: "session_of_a_killed_process_taken_for_its_own",
        edits: &[Replace("rfind", "find")],
        danger: "after a kill while a run is opened, its rows are superseded at the next resume but one",
        tests: RESUMED,
    },
];
