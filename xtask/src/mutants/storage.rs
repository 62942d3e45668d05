//! Mutants of the durable helpers and of the local file system.

use super::edit::Edit::{Delete, InsertBefore, Replace, Rewrite, SwapWithNext};
use super::mutant::{Mutant, Tests};

/// Power cuts before every operation of some saves.
const CRASHES: &[Tests] = &[Tests::of("qstore-zarr", "checkpoints", "crash::")];
const OF_THE_LOCAL_FILES: &[Tests] = &[Tests::lib("qstore-storage", "local::")];
const STAGED_FILES: &[Tests] = &[Tests::lib("qstore-storage", "staged_file::")];
/// The steps of a commit as they are written down.
const STEPS: &[Tests] = &[Tests::of("qstore-storage", "order_of_a_commit", "")];
/// On Linux: syncs that the system refuses.
const REFUSALS: &[Tests] = &[Tests::of("qstore-storage", "refused_syncs", "")];
/// On Linux, as root: file systems that the tests mount.
const EVERY_FILE_SYSTEM: &[Tests] = &[Tests::of("qstore-tests", "integration", "file_systems::")];
const RIGHTS: &[Tests] = &[Tests::lib("qstore-storage", "attributes::")];

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "staged_file_not_synced",
        edits: &[Delete],
        danger: "after a power cut a checkpoint has its name and no bytes",
        tests: &[Tests::lib("qstore-storage", "staged_file::")],
    },
    Mutant {
        name: "staged_file_name_not_synced",
        edits: &[Rewrite("let _ = parent_of;")],
        danger: "a checkpoint that was acknowledged is gone after a power cut",
        tests: &[Tests::lib("qstore-storage", "staged_file::")],
    },
    Mutant {
        name: "staged_file_renamed_before_its_sync",
        edits: &[SwapWithNext],
        danger: "after a power cut the only copy of an export is an empty file",
        tests: STEPS,
    },
    Mutant {
        name: "staged_file_deletes_then_renames",
        edits: &[InsertBefore("let _ = self.storage.remove_file(public);")],
        danger: "a kill between the two leaves neither the old file nor the new one",
        tests: STEPS,
    },
    Mutant {
        name: "exchanged_file_not_synced",
        edits: &[Delete],
        danger: "after a power cut a checkpoint that was saved again has its name and no bytes",
        tests: STAGED_FILES,
    },
    Mutant {
        name: "exchanged_file_shown_before_its_sync",
        edits: &[SwapWithNext],
        danger: "after a power cut the only checkpoint of an epoch is an empty file",
        tests: STEPS,
    },
    Mutant {
        name: "exchanged_file_not_identified",
        edits: &[Replace("!matches!(answer, Ok(true))", "false")],
        danger: "what somebody puts under the name of a checkpoint at the last moment is lost",
        tests: STAGED_FILES,
    },
    Mutant {
        name: "what_may_not_go_stays_hidden",
        edits: &[Rewrite("let mut given = Ok::<(), Error>(());")],
        danger: "the same file is not where it was, and the next manager finds it among leftovers",
        tests: STAGED_FILES,
    },
    Mutant {
        name: "exchanged_file_name_not_synced",
        edits: &[Delete],
        danger: "a checkpoint that was acknowledged is the old one again after a power cut",
        tests: STAGED_FILES,
    },
    Mutant {
        name: "staged_tree_not_synced",
        edits: &[Replace("Some(tree) => tree.sync()?", "Some(_) => {}")],
        danger: "after a power cut a checkpoint has its name and empty files",
        tests: CRASHES,
    },
    Mutant {
        name: "staged_directories_not_synced",
        edits: &[Rewrite("let _ = dir;")],
        danger: "after a power cut a checkpoint lacks files, where whole trees cannot be synced",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "crash::saves_survive_on")],
    },
    Mutant {
        name: "staged_tree_name_not_synced",
        edits: &[Delete],
        danger: "a checkpoint that was acknowledged is gone after a power cut",
        tests: CRASHES,
    },
    Mutant {
        name: "live_replacement_collected",
        edits: &[Replace(
            "let Ok(Some(_lock)) = storage.try_lock(&lock_of(&path))",
            "!name.is_empty()",
        )],
        danger: "an export of another process is swept away as a leftover",
        tests: &[Tests::lib("qstore-storage", "replacement::")],
    },
    Mutant {
        name: "staged_tree_deletes_then_renames",
        edits: &[Replace(
            "self.storage.exchange(&self.temporary, public)",
            "remove_dir_all(&*self.storage, public)
                .and_then(|()| self.storage.rename(&self.temporary, public))",
        )],
        danger: "a kill between the two leaves neither the old checkpoint nor the new one",
        tests: CRASHES,
    },
    Mutant {
        name: "replaced_tree_removed_before_the_name_is_durable",
        edits: &[Delete],
        danger: "a power cut brings the old name back, with half of the old files",
        tests: STEPS,
    },
    Mutant {
        name: "replaced_tree_removed_while_its_new_place_is_not_durable",
        edits: &[Delete],
        danger: "a power cut leaves the new tree under the name that leftovers are removed from",
        tests: STEPS,
    },
    Mutant {
        name: "tombstone_not_synced",
        edits: &[Delete],
        danger: "a checkpoint that is being replaced is lost between two names",
        tests: STEPS,
    },
    Mutant {
        name: "directory_of_the_tombstone_not_synced",
        edits: &[Delete],
        danger: "a checkpoint that is being replaced is lost with the directory it stepped aside to",
        tests: STEPS,
    },
    Mutant {
        name: "new_directory_not_synced",
        edits: &[Delete],
        danger: "all checkpoints are gone with the directory they were saved into",
        tests: CRASHES,
    },
    Mutant {
        name: "local_file_sync_does_nothing",
        edits: &[Replace("self.file.sync_data()", "Ok(())")],
        danger: "nothing survives a power cut, and every test in memory passes",
        tests: REFUSALS,
    },
    Mutant {
        name: "local_directory_sync_does_nothing",
        edits: &[Replace(
            "dir.sync_all().or_else(|error| sync_all_instead(dir, error))",
            "io::Result::<()>::Ok(())",
        )],
        danger: "no name survives a power cut, and every test in memory passes",
        tests: REFUSALS,
    },
    Mutant {
        name: "local_tree_sync_does_nothing",
        edits: &[Rewrite("let synced: io::Result<()> = Ok(()); let _ = &self.file;")],
        danger: "no checkpoint in the directory layout survives a power cut",
        tests: REFUSALS,
    },
    Mutant {
        name: "lock_of_a_name_that_is_gone",
        edits: &[Replace("is_named(dir, path, &file)", "Ok::<_, io::Error>(true)")],
        danger: "two writers hold one lock",
        tests: OF_THE_LOCAL_FILES,
    },
    Mutant {
        name: "lock_of_somebody_else_removed",
        edits: &[Replace("&& is_named(&self.dir, &self.path, &self.file).unwrap_or(false)", "")],
        danger: "two writers hold one lock",
        tests: OF_THE_LOCAL_FILES,
    },
    Mutant {
        name: "lock_file_left_where_there_are_no_locks",
        edits: &[Replace("is_new && cannot(Operation::Lock, &error)", "false")],
        danger: "every refused start leaves a file that looks like a lock",
        tests: REFUSALS,
    },
    Mutant {
        name: "unproven_lease_believed",
        edits: &[Replace("if is_proven", "if is_proven || true")],
        danger: "in a container and on FUSE, a reader's bytes change under its mapping",
        tests: EVERY_FILE_SYSTEM,
    },
    Mutant {
        name: "readers_below_forgotten",
        edits: &[Replace("!kind::is_of_this_kernel(file)", "false")],
        danger: "who reads the directory that FUSE shows gets bytes of two versions",
        tests: EVERY_FILE_SYSTEM,
    },
    Mutant {
        name: "mapping_does_not_count",
        edits: &[Replace("!matches!(asked, Exclusive::Busy)", "false")],
        danger: "a file system that does not see mappings is trusted",
        tests: &[Tests::lib("qstore-storage", "lease::")],
    },
    Mutant {
        name: "tree_synced_where_nothing_is_reported",
        edits: &[Replace("!kind::is_of_this_kernel(&file)", "false")],
        danger: "in a container and on FUSE, a sync that failed or did nothing is taken for one",
        tests: EVERY_FILE_SYSTEM,
    },
    Mutant {
        name: "permissions_not_taken_over",
        edits: &[Rewrite("let _ = take_over;")],
        danger: "an export over a private file is public",
        tests: RIGHTS,
    },
    Mutant {
        name: "private_file_open_at_first",
        edits: &[Replace("0o600", "0o666")],
        danger: "a private file can be opened while it is being replaced",
        tests: RIGHTS,
    },
    Mutant {
        name: "rights_not_narrowed",
        edits: &[Replace("wanted.narrowed(is_owner, is_group)", "wanted")],
        danger: "the members of another group can write a file that was not theirs",
        tests: RIGHTS,
    },
];
