//! The table: every row of the scorecard and what it is made of.
//!
//! To plug something in, add a [`Part`] to its row:
//!
//! * `Program("name")` runs the module of that name in `tests/torture/`, which counts its own cases;
//! * `Tests(…)` runs tests of the workspace. A test that prints `N cases` counts as `N`, and any other
//!   as one. `QSTORE_SEED` and `PROPTEST_RNG_SEED` hold the seed, `QSTORE_CASE` the one case that is to
//!   be repeated, and a test that fails prints `QSTORE_CASE=…`, if it can be repeated alone;
//! * `Xtask(…)` runs another command of xtask, which prints `N cases` and ends with 1 if one failed.

/// A row of the scorecard.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) parts: &'static [Part],
}

/// What a row is made of.
#[derive(Debug)]
pub(super) enum Part {
    /// A module of the program `torture`.
    Program(&'static str),
    /// Tests of a crate.
    Tests(Tests),
    /// The same, given a small file system of their own in `QSTORE_SMALL_DISK`.
    OnSmallDisk(Tests),
    /// The same, in a process with little address space, so that an allocation which is too large ends it.
    InLittleMemory(Tests),
    /// The models of the ring under both checkers, with these knobs.
    Models(Knobs),
    /// Another command of xtask; only in the full run, because it builds much again.
    XtaskIfFull(&'static [&'static str]),
}

/// Tests of a crate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tests {
    /// The name of a crate, for the tests in it, or of a test target.
    pub(super) target: &'static str,
    /// What is in the names of the tests.
    pub(super) filter: &'static str,
    pub(super) knobs: Knobs,
}

/// Environment variables for the quick and for the full run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Knobs {
    pub(super) quick: &'static [(&'static str, &'static str)],
    pub(super) full: &'static [(&'static str, &'static str)],
}

const NONE: Knobs = Knobs { quick: &[], full: &[] };

const fn tests(target: &'static str, filter: &'static str) -> Tests {
    Tests { target, filter, knobs: NONE }
}

const fn with(tests: Tests, knobs: Knobs) -> Part {
    Part::Tests(Tests { knobs, ..tests })
}

/// How many kills; the tests make twice as many for checkpoints, one of each layout.
const KILLS: Knobs = Knobs { quick: &[("QSTORE_KILLS", "10")], full: &[("QSTORE_KILLS", "100")] };

/// Every row, in the order of the scorecard.
pub(super) const ROWS: &[Row] = &[
    Row {
        id: "T1",
        title: "a fault at every storage operation",
        parts: &[
            Part::Program("faults"),
            Part::Tests(tests("integration", "faults::a_burst")),
            Part::Tests(tests("checkpoints", "faults::")),
            Part::Tests(tests("checkpoints", "full::")),
            Part::Tests(tests("qstore_checkpoint", "conformance::")),
            Part::OnSmallDisk(tests("integration", "full_disk::")),
        ],
    },
    Row {
        id: "T2",
        title: "a power cut after every operation",
        parts: &[Part::Program("power_cuts"), Part::Tests(tests("checkpoints", "crash::"))],
    },
    Row {
        id: "T3",
        title: "kill -9, at random and at every operation",
        parts: &[
            Part::Program("kills"),
            with(tests("integration", "kill_log::a_writer"), KILLS),
            with(tests("integration", "checkpoint_kill::kills"), KILLS),
            Part::Tests(tests("integration", "kill::ten_random_kills")),
        ],
    },
    Row {
        id: "T4",
        title: "every bit flipped, every length cut",
        parts: &[
            Part::Tests(tests("checkpoints", "damage::")),
            Part::Tests(tests("file", "damage::")),
        ],
    },
    Row {
        id: "T5",
        title: "malformed input",
        parts: &[
            with(
                tests("integration", "malformed_input::"),
                Knobs {
                    quick: &[("QSTORE_MALFORMED", "400")],
                    full: &[("QSTORE_MALFORMED", "10000")],
                },
            ),
            Part::Tests(tests("qstore_parquet", "a_footer_that_lies")),
        ],
    },
    Row {
        id: "T6",
        title: "hostile names and trees",
        parts: &[Part::Program("trees"), Part::Tests(tests("checkpoints", "names::"))],
    },
    Row {
        id: "T7",
        title: "every item ends in one place",
        parts: &[with(
            tests("qstore_buffer", "accounting::"),
            Knobs { quick: &[("QSTORE_RUNS", "10000")], full: &[("QSTORE_RUNS", "50000")] },
        )],
    },
    Row {
        id: "T8",
        title: "retention against a model",
        parts: &[
            with(
                tests("qstore_checkpoint", "retention::tests::a_checkpoint_is_kept"),
                Knobs {
                    quick: &[("PROPTEST_CASES", "20000")],
                    full: &[("PROPTEST_CASES", "100000")],
                },
            ),
            with(
                tests("checkpoints", "histories::"),
                Knobs { quick: &[("PROPTEST_CASES", "64")], full: &[("PROPTEST_CASES", "2000")] },
            ),
        ],
    },
    Row {
        id: "T9",
        title: "the ring and its wake-up under loom and shuttle",
        parts: &[Part::Models(Knobs {
            quick: &[("QSTORE_SCHEDULES", "20000")],
            full: &[("QSTORE_SCHEDULES", "200000")],
        })],
    },
    Row {
        id: "T10",
        title: "the hot path while the disk hangs",
        parts: &[Part::Program("hung_disk"), Part::Tests(tests("integration", "hot_path::"))],
    },
    Row {
        id: "T11",
        title: "every step that safety rests on, taken away",
        parts: &[Part::XtaskIfFull(&["mutants"])],
    },
    Row {
        id: "T12",
        title: "how a process can end",
        parts: &[
            Part::Tests(tests("integration", "endings::")),
            Part::Tests(tests("integration", "stop::")),
            Part::Tests(tests("integration", "forks::")),
        ],
    },
    Row {
        id: "T13",
        title: "a soak: memory and files stay level",
        parts: &[Part::Program("soak")],
    },
    Row {
        id: "T14",
        title: "a writer's names taken away at every operation",
        parts: &[
            Part::Program("taken_names"),
            Part::Tests(tests("file", "displaced::")),
            Part::Tests(tests("checkpoints", "displaced::")),
            Part::Tests(tests("checkpoints", "foreign::")),
        ],
    },
    Row {
        id: "T15",
        title: "checkpoints of a lower layer of overlayfs",
        parts: &[
            Part::Program("lower_layers"),
            Part::Tests(tests("integration", "checkpoint_overlay::")),
            Part::Tests(tests("checkpoints", "fixed::")),
        ],
    },
    Row {
        id: "T16",
        title: "lengths that claim more than there is",
        parts: &[
            Part::Program("claimed_lengths"),
            Part::InLittleMemory(tests("integration", "sparse_files::")),
            Part::Tests(tests("integration", "sparse_files::")),
            Part::Tests(tests("qstore_parquet", "a_footer_that_lies")),
        ],
    },
    Row {
        id: "T17",
        title: "a live dataset of ranks, read by five engines",
        parts: &[
            Part::Program("live"),
            Part::Tests(tests("file", "sealing::")),
            Part::Tests(tests("file", "compacting::")),
            Part::Tests(tests("file", "lengths::")),
        ],
    },
    Row {
        id: "T18",
        title: "jobs on a quantum computer: none lost, none paid twice",
        parts: &[Part::Program("ledger"), Part::Tests(tests("ledger", ""))],
    },
    Row {
        id: "T19",
        title: "checkpoints in a bucket, and a mirror: a fault at every request",
        parts: &[
            with(
                tests("bucket", "sweep::"),
                Knobs {
                    quick: &[("QSTORE_BUCKET_STEP", "23")],
                    full: &[("QSTORE_BUCKET_STEP", "1")],
                },
            ),
            Part::Tests(tests("bucket", "everyday::")),
            Part::Tests(tests("bucket", "mirroring::")),
            Part::Tests(tests("bucket", "trouble::")),
            Part::Tests(tests("qstore_objects", "store::tests::")),
        ],
    },
    Row {
        id: "gate",
        title: "other people's readers, to the last bit",
        parts: &[
            Part::Tests(tests("integration", "golden::every_golden_metrics")),
            Part::Tests(tests("integration", "golden::every_golden_checkpoint")),
            Part::Tests(tests("integration", "readers::")),
            Part::Tests(tests("integration", "datasets::")),
            Part::Tests(tests("integration", "arrow2::")),
            Part::Tests(tests("integration", "checkpoint_dtypes::")),
            Part::Tests(tests("integration", "checkpoint_foreign::")),
            Part::Tests(tests("integration", "checkpoint_parts::")),
            Part::Tests(tests("integration", "follow::a_")),
            Part::Tests(tests("integration", "second_process::a_second")),
            Part::Tests(tests("integration", "demo_run::")),
        ],
    },
    Row {
        id: "files",
        title: "other file systems: mapped files, exchanges, locks",
        parts: &[
            Part::Tests(tests("integration", "file_systems::")),
            Part::Tests(tests("refused_syncs", "")),
            Part::Tests(tests("qstore_storage", "attributes::")),
        ],
    },
    Row {
        id: "own",
        title: "an attack of our own: limits of the system",
        parts: &[Part::Program("limits")],
    },
];

/// The whole test suites of what touches files.
pub(super) static SUITES: Row = Row {
    id: "suites",
    title: "the tests of storage, Parquet, Zarr, across crates",
    parts: &[
        Part::Tests(tests("qstore_storage", "")),
        Part::Tests(tests("order_of_a_commit", "")),
        Part::Tests(tests("refused_syncs", "")),
        Part::Tests(tests("qstore_parquet", "")),
        Part::Tests(tests("file", "")),
        Part::Tests(tests("qstore_checkpoint", "")),
        Part::Tests(tests("qstore_zarr", "")),
        Part::Tests(tests("checkpoints", "")),
        Part::Tests(tests("integration", "")),
    ],
};

/// What is run on each other file system: the suites, and the rows that touch files beyond them.
pub(super) fn elsewhere() -> impl Iterator<Item = &'static Row> {
    const ELSEWHERE: &[&str] = &["T1", "T3", "T4", "T5", "T6", "T8", "T12", "T13", "own"];
    let rows = ROWS.iter().filter(|row| ELSEWHERE.contains(&row.id));
    std::iter::once(&SUITES).chain(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::known_tests::KnownTests;
    use crate::workspace::Workspace;

    #[test]
    fn every_row_runs_tests_that_exist() {
        let known = KnownTests::read(&Workspace::locate());
        for Row { id, parts, .. } in ROWS {
            for part in *parts {
                if let Part::Tests(tests) | Part::OnSmallDisk(tests) | Part::InLittleMemory(tests) =
                    part
                {
                    assert_eq!(known.missing(tests.filter), None, "{id}: {}", tests.filter);
                }
            }
        }
    }
}
