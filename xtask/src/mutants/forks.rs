//! Mutants of what a forked child must not do.

use super::edit::Edit::Replace;
use super::mutant::{Mutant, Tests};

const OF_THE_DRAIN: &[Tests] = &[Tests::lib("qstore-buffer", "drain::tests::forks")];
const OF_THE_STORAGE: &[Tests] = &[Tests::lib("qstore-storage", "forked_child")];
const ACROSS_CRATES: &[Tests] = &[Tests::of("qstore-tests", "integration", "forks::")];

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "push_in_a_forked_child",
        edits: &[Replace("shared.is_orphan()", "false")],
        danger: "the rows of a child vanish although each call says that they were accepted",
        tests: OF_THE_DRAIN,
    },
    Mutant {
        name: "flush_in_a_forked_child",
        edits: &[Replace("self.control.is_forked()", "false")],
        danger: "a child waits for a thread or a lock that only its parent has",
        tests: OF_THE_DRAIN,
    },
    Mutant {
        name: "stop_in_a_forked_child",
        edits: &[Replace("self.control.is_forked()", "false")],
        danger: "a child waits for a thread or a lock that only its parent has",
        tests: OF_THE_DRAIN,
    },
    Mutant {
        name: "drop_in_a_forked_child",
        edits: &[Replace("self.control.is_forked()", "false")],
        danger: "a child waits for a thread or a lock that only its parent has",
        tests: OF_THE_DRAIN,
    },
    Mutant {
        name: "lock_removed_in_a_forked_child",
        edits: &[Replace("!self.home.is_forked()", "true")],
        danger: "two writers hold one lock, because a child has removed its file",
        tests: OF_THE_STORAGE,
    },
    Mutant {
        name: "lease_ended_in_a_forked_child",
        edits: &[Replace("!self.home.is_forked()", "true")],
        danger: "a reader opens the retired file while it is being written",
        tests: OF_THE_STORAGE,
    },
    Mutant {
        name: "staged_file_removed_in_a_forked_child",
        edits: &[Replace(" && !self.home.is_forked()", "")],
        danger: "a child removes the checkpoint that its parent is writing",
        tests: OF_THE_STORAGE,
    },
    Mutant {
        name: "staged_tree_removed_in_a_forked_child",
        edits: &[Replace(" && !self.home.is_forked()", "")],
        danger: "a child removes the checkpoint that its parent is writing",
        tests: OF_THE_STORAGE,
    },
    Mutant {
        name: "replaced_tree_removed_in_a_forked_child",
        edits: &[Replace("!self.home.is_forked()", "true")],
        danger: "a child removes a tree while its parent has yet to decide when",
        tests: OF_THE_STORAGE,
    },
    Mutant {
        name: "publish_in_a_forked_child",
        edits: &[Replace("self.home.is_forked()", "false")],
        danger: "a child and its parent publish versions of one file in turn",
        tests: ACROSS_CRATES,
    },
    Mutant {
        name: "twin_removed_in_a_forked_child",
        edits: &[Replace("!self.home.is_forked()", "true")],
        danger: "a child removes the second copy of its parent's file",
        tests: ACROSS_CRATES,
    },
    Mutant {
        name: "save_in_a_forked_child",
        edits: &[Replace("self.gate.home.is_forked()", "false")],
        danger: "a child waits for a lock that a thread of its parent holds",
        tests: ACROSS_CRATES,
    },
];
