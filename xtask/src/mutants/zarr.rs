//! Mutants of checkpoints: the order of a save, retention, and what a load believes.

use super::edit::Edit::{Delete, InsertBefore, Replace, Rewrite};
use super::mutant::{Mutant, Tests};

/// Power cuts before every operation of some saves.
const CRASHES: &[Tests] = &[Tests::of("qstore-zarr", "checkpoints", "crash::")];
const DAMAGE: &[Tests] = &[Tests::of("qstore-zarr", "checkpoints", "damage::")];
const FIXED: &[Tests] = &[Tests::of("qstore-zarr", "checkpoints", "fixed::a_kill_or")];
/// What others put under the names of checkpoints.
const FOREIGN: &[Tests] = &[Tests::of("qstore-zarr", "checkpoints", "foreign::")];
const PLANS: &[Tests] = &[Tests::lib("qstore-checkpoint", "retention::")];

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "delete_before_save",
        edits: &[InsertBefore(
            "if let Some(old) = scan.valid.iter().find(|found| found.candidate.number == number) {
                drop(repository.remove(&[old.name.clone()])?);
            }",
        )],
        danger: "a kill while an epoch is saved again leaves neither the old nor the new one",
        tests: CRASHES,
    },
    Mutant {
        name: "retention_before_the_save_is_durable",
        edits: &[InsertBefore(
            "let early = Found {
                candidate: candidate.clone(), name: name.clone(), layout, root, stale: None,
            };
            let mut early = history_with(scan.valid.clone(), early);
            drop(retain::retain(catalog, &mut early, &settings.retention));",
        )],
        danger: "the last checkpoint is removed, and the one that replaces it is lost",
        tests: CRASHES,
    },
    Mutant {
        name: "save_without_the_directory_lock",
        edits: &[Replace(
            "repository.exclude()?",
            "qstore_checkpoint::repository::Exclusion::Held(Box::new(()))",
        )],
        danger: "two savers get one number, and retention removes what it does not know",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "neighbors::")],
    },
    Mutant {
        name: "manifest_may_list_less_than_there_is",
        edits: &[Replace("manifest.entries().count()", "usize::MAX")],
        danger: "a checkpoint whose manifest was written first counts as whole",
        tests: &[Tests::lib("qstore-zarr", "container::sealed::")],
    },
    Mutant {
        name: "manifest_may_list_more_than_there_is",
        edits: &[Replace("Damage::Missing { entry: name.into() }", "continue")],
        danger: "a checkpoint that lacks chunks is listed",
        tests: &[Tests::lib("qstore-zarr", "container::sealed::")],
    },
    Mutant {
        name: "manifest_seal_not_compared",
        edits: &[Replace("if seal", "if false && seal")],
        danger: "a bit that flipped in the list of contents goes unnoticed",
        tests: &[Tests::lib("qstore-checkpoint", "seal::")],
    },
    Mutant {
        name: "metadata_checksum_not_compared",
        edits: &[Replace("if crc32c", "if false && crc32c")],
        danger: "a bit that flipped in the metadata is another shape, or another epoch",
        tests: DAMAGE,
    },
    Mutant {
        name: "chunk_checksum_of_the_manifest_not_compared",
        edits: &[Replace("own != crc32c", "crc32c != crc32c")],
        danger: "a chunk that came to lie in another one's place is another tensor's values",
        tests: DAMAGE,
    },
    Mutant {
        name: "chunk_checksums_not_compared",
        edits: &[Replace(
            "own != crc32c || own.to_le_bytes() != *checksum",
            "false && (own != crc32c || own.to_le_bytes() != *checksum)",
        )],
        danger: "a bit that flipped on the disk is a wrong weight",
        tests: DAMAGE,
    },
    Mutant {
        name: "zip_header_not_compared",
        edits: &[Replace("if header", "if false && header")],
        danger: "an archive that other programs read otherwise counts as whole",
        tests: &[Tests::lib("qstore-zarr", "container::archive::")],
    },
    Mutant {
        name: "link_in_a_tree_followed",
        edits: &[Replace("if !self", "if false && !self")],
        danger: "a checkpoint from elsewhere makes us read any file of this machine",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "partial::a_symbolic_link")],
    },
    Mutant {
        name: "files_of_a_tree_not_synced",
        edits: &[Delete],
        danger: "after a power cut a checkpoint has empty files, where whole trees cannot be synced",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "crash::saves_survive_on")],
    },
    Mutant {
        name: "full_batch_not_synced",
        edits: &[Rewrite("drop(batch); Ok(())")],
        danger: "the same, where a checkpoint has more files than are open at a time",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "crowd::checkpoints_written")],
    },
    Mutant {
        name: "removal_goes_on_before_it_is_durable",
        edits: &[Delete],
        danger: "a power cut brings the name of a removed checkpoint back, with half of its files",
        tests: CRASHES,
    },
    Mutant {
        name: "removal_goes_on_although_its_sync_failed",
        edits: &[
            Rewrite("let synced = self.directory.sync();"),
            Rewrite("synced.map(|()| leftovers)"),
        ],
        danger: "on a disk that fails, a power cut brings a removed checkpoint back in parts",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "faults::a_removal_that_is_not")],
    },
    Mutant {
        name: "retired_tree_deleted_before_that_is_durable",
        edits: &[Delete],
        danger: "where a directory cannot be renamed, a power cut brings a removed checkpoint back in parts",
        tests: FIXED,
    },
    Mutant {
        name: "retired_tree_loses_its_mark_before_its_files",
        edits: &[Delete],
        danger: "there, a power cut leaves a directory that blocks every later save of its number",
        tests: FIXED,
    },
    Mutant {
        name: "checkpoint_replaces_whatever_is_there",
        edits: &[Delete],
        danger: "a file of somebody else with the name of a checkpoint is lost with the next save",
        tests: FOREIGN,
    },
    Mutant {
        name: "removed_by_name",
        edits: &[Replace(
            "Found::Foreign(_) => return Err(replaced())",
            "Found::Foreign(known) => known",
        )],
        danger: "retention removes a file that took the name of a checkpoint after it was listed",
        tests: FOREIGN,
    },
    Mutant {
        name: "removed_file_not_compared",
        edits: &[Replace("known.is_still(fs, &retired)?", "true || known.is_still(fs, &retired)?")],
        danger: "the same, if it took the name a moment later",
        tests: FOREIGN,
    },
    Mutant {
        name: "foreign_leftover_removed",
        edits: &[Replace(
            "drop(give_back(directory, retired, name))",
            "drop(directory.fs.remove_file(retired))",
        )],
        danger: "the same, if the process was killed in that moment",
        tests: FOREIGN,
    },
    Mutant {
        name: "tree_removed_by_name",
        edits: &[Replace("!is_due", "false && !is_due")],
        danger: "retention removes a directory that took the name of a checkpoint after it was listed",
        tests: FOREIGN,
    },
    Mutant {
        name: "removed_tree_not_compared",
        edits: &[Replace("is_due(&path)?", "true || is_due(&path)?")],
        danger: "the same, if it took the name a moment later",
        tests: FOREIGN,
    },
    Mutant {
        name: "newest_may_go",
        edits: &[Replace("0 =>", "0 if policy.best.is_none() =>")],
        danger: "the checkpoint that was just saved is removed because it is not the best",
        tests: PLANS,
    },
    Mutant {
        name: "pinned_may_go",
        edits: &[Delete],
        danger: "a checkpoint that somebody pinned is removed",
        tests: PLANS,
    },
    Mutant {
        name: "unread_metric_may_go",
        edits: &[Delete],
        danger: "the best checkpoint is removed because its metric could not be read",
        tests: PLANS,
    },
    Mutant {
        name: "retention_by_number",
        edits: &[Replace("saved.save_seq, saved.number", "saved.number, saved.save_seq")],
        danger: "a run that began again at epoch 3 loses each new checkpoint",
        tests: PLANS,
    },
    Mutant {
        name: "linked_file_not_synced",
        edits: &[Delete],
        danger: "after a power cut a joint manifest has its name and no bytes",
        tests: &[Tests::lib("qstore-checkpoint", "repository::conformance::")],
    },
    Mutant {
        name: "linked_file_name_not_synced",
        edits: &[Rewrite("{ let _ = parent_of(public); Ok(()) }")],
        danger: "after a power cut a checkpoint has lost its pin, and the next save removes it",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "pins::")],
    },
    Mutant {
        name: "live_staging_collected",
        edits: &[Replace(
            "let Ok(Some(_lock)) = directory.try_lock(&lock_of(&staging.join(unique)))",
            "!name.is_empty()",
        )],
        danger: "a save of another process is swept away as a leftover",
        tests: &[Tests::lib("qstore-checkpoint", "local::staging::")],
    },
    Mutant {
        name: "consolidated_metadata_not_compared",
        edits: &[Replace(
            "own == in_root.get().as_bytes()",
            "true || own == in_root.get().as_bytes()",
        )],
        danger: "two readers of one checkpoint see different arrays",
        tests: &[Tests::lib("qstore-zarr", "load::tests::")],
    },
    Mutant {
        name: "damage_handed_on_by_links",
        edits: &[Replace("is_whole", "(is_whole || true)")],
        danger: "a damaged chunk is linked into every later checkpoint",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "shared::")],
    },
    Mutant {
        name: "failed_save_kept_from_the_next",
        edits: &[Rewrite("drop(latched);")],
        danger: "a training run goes on for days without a checkpoint, and nothing reports it",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "background::")],
    },
    Mutant {
        name: "failed_save_kept_from_health",
        edits: &[Delete],
        danger: "health() says that all is well",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "background::")],
    },
];
