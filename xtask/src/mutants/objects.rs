//! qstore-objects and qstore-bucket: what a failed request may have done, and whose object it is.

use super::edit::Edit::{Delete, Replace};
use super::mutant::{Mutant, Tests};

/// Every fault at every request, and what happens to a store that promises too little.
const CALLS: &[Tests] = &[Tests::lib("qstore-objects", "store::")];
const BUCKET: &[Tests] = &[Tests::of("qstore-bucket", "bucket", "")];

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "metadata_is_not_probed",
        edits: &[Delete],
        danger: "a store that loses metadata: our own success is reported as another writer's",
        tests: CALLS,
    },
    Mutant {
        name: "conditions_are_not_probed",
        edits: &[Delete],
        danger: "a store that ignores conditions: two writers both believe that they have won",
        tests: CALLS,
    },
    Mutant {
        name: "a_conflict_is_believed",
        edits: &[Replace(
            "Failure::NotSent | Failure::Denied",
            "Failure::NotSent | Failure::Denied | Failure::ConditionFailed",
        )],
        danger: "a retry meets its own object, and a save that is there is reported as failed",
        tests: CALLS,
    },
    Mutant {
        name: "a_lost_response_is_a_refusal",
        edits: &[Replace(
            "Failure::NotSent | Failure::Denied",
            "Failure::NotSent | Failure::Denied | Failure::Unclear",
        )],
        danger: "a save that was refused appears later",
        tests: CALLS,
    },
    Mutant {
        name: "our_own_object_is_a_conflict",
        edits: &[Replace("head.token.as_ref() == Some(token)", "false && head.token.is_some()")],
        danger: "our own success is reported as another writer's",
        tests: CALLS,
    },
    Mutant {
        name: "ranges_of_two_versions_are_joined",
        edits: &[Delete],
        danger: "a checkpoint is put together from two, if the store ignores the condition of a read",
        tests: &[CALLS[0], BUCKET[0]],
    },
    Mutant {
        name: "an_older_upload_completes_later",
        edits: &[Delete],
        danger: "what an earlier attempt has sent replaces a newer object long after it",
        tests: CALLS,
    },
    Mutant {
        name: "a_lost_completion_is_a_refusal",
        edits: &[Replace(
            "Failure::NotSent | Failure::Denied",
            "Failure::NotSent | Failure::Denied | Failure::Unclear",
        )],
        danger: "an upload that was refused appears",
        tests: CALLS,
    },
    Mutant {
        name: "length_of_an_upload_not_compared",
        edits: &[Delete],
        danger: "a part is missing, and the save is reported as done",
        tests: &[CALLS[0], BUCKET[0]],
    },
    Mutant {
        name: "bucket_replaces_what_is_foreign",
        edits: &[Delete],
        danger: "an object that is not a checkpoint is gone",
        tests: BUCKET,
    },
    Mutant {
        name: "bucket_removes_what_is_not_due",
        edits: &[Delete],
        danger: "a checkpoint that was saved again after the plan is removed by it",
        tests: BUCKET,
    },
    Mutant {
        name: "a_new_directory_counts_from_one",
        edits: &[Delete],
        danger: "after a node was lost, what is new in the bucket counts as old and is removed",
        tests: BUCKET,
    },
    Mutant {
        name: "mirror_begins_before_its_journal",
        edits: &[Replace(
            "journal.write(self.local).map_err(MirrorFailure::from)",
            "Ok::<(), MirrorFailure>(())",
        )],
        danger: "an upload whose response is lost with the process has no name, and is paid forever",
        tests: BUCKET,
    },
    Mutant {
        name: "a_mirror_hides_a_failed_save",
        edits: &[Replace("job.save.is_saved()", "job.save.wait(Duration::ZERO).is_ok()")],
        danger: "a save fails, its ticket was dropped, and nobody knows",
        tests: BUCKET,
    },
];
