//! Mutants of checkpoints: the order of a save, retention, and what a load believes.

use super::mutant::{Mutant, Tests};

const SAVE: &str = "crates/qstore-zarr/src/save.rs";
const MANIFEST: &str = "crates/qstore-zarr/src/manifest.rs";
const CODEC: &str = "crates/qstore-zarr/src/codec.rs";
const TREE: &str = "crates/qstore-zarr/src/tree.rs";
const REMOVAL: &str = "crates/qstore-zarr/src/removal.rs";
const RETENTION: &str = "crates/qstore-zarr/src/retention.rs";

/// Power cuts before every operation of some saves.
const CRASHES: &[Tests] = &[Tests::of("qstore-zarr", "checkpoints", "crash::")];
const DAMAGE: &[Tests] = &[Tests::of("qstore-zarr", "checkpoints", "damage::")];
const PLANS: &[Tests] = &[Tests::lib("qstore-zarr", "retention::")];

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "delete_before_save",
        file: SAVE,
        edits: &[(
            "    match complete {\n",
            "    if let Some(old) = scan.valid.iter().find(|found| found.candidate.epoch == epoch) {\n        \
             let _ = dir.storage.remove_file(&old.place.path);\n    }\n    match complete {\n",
        )],
        danger: "a kill while an epoch is saved again leaves neither the old nor the new one",
        tests: CRASHES,
    },
    Mutant {
        name: "retention_before_the_save_is_durable",
        file: SAVE,
        edits: &[(
            "    match complete {\n",
            "    let mut early = scan.valid.clone();\n    \
             early.push(Found {\n        \
             candidate: Candidate { save_seq, ..candidate.clone() },\n        \
             place: place.clone(),\n        stale: None,\n    });\n    \
             let _ = removal::retain(dir, &early, &settings.retention, &mut leftovers)?;\n    \
             match complete {\n",
        )],
        danger: "the last checkpoint is removed, and the one that replaces it is lost",
        tests: CRASHES,
    },
    Mutant {
        name: "save_without_the_directory_lock",
        file: SAVE,
        edits: &[("    let lock = dir.lock()?;\n", ""), ("    drop(lock);\n", "")],
        danger: "two savers get one number, and retention removes what it does not know",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "neighbours::")],
    },
    Mutant {
        name: "manifest_may_list_less_than_there_is",
        file: MANIFEST,
        edits: &[(
            "    match listed.get(manifest.entries.len()) {\n        Some(entry) =>",
            "    match listed.get(usize::MAX) {\n        Some(entry) =>",
        )],
        danger: "a checkpoint whose manifest was written first counts as whole",
        tests: &[Tests::lib("qstore-zarr", "manifest::")],
    },
    Mutant {
        name: "manifest_may_list_more_than_there_is",
        file: MANIFEST,
        edits: &[(
            "            _ => Damage::Missing { entry: name.clone() },\n        };\n        return",
            "            _ => continue,\n        };\n        return",
        )],
        danger: "a checkpoint that lacks chunks is listed",
        tests: &[Tests::lib("qstore-zarr", "manifest::")],
    },
    Mutant {
        name: "manifest_seal_not_compared",
        file: MANIFEST,
        edits: &[(
            "    if seal != format!(\"{checksum:08x}\\\"}}\").as_bytes() {",
            "    if false && seal != format!(\"{checksum:08x}\\\"}}\").as_bytes() {",
        )],
        danger: "a bit that flipped in the list of contents goes unnoticed",
        tests: &[Tests::lib("qstore-zarr", "manifest::")],
    },
    Mutant {
        name: "metadata_checksum_not_compared",
        file: MANIFEST,
        edits: &[(
            "if crc32c::crc32c(&bytes) != self.crc32c(index) {",
            "if false && crc32c::crc32c(&bytes) != self.crc32c(index) {",
        )],
        danger: "a bit that flipped in the metadata is another shape, or another epoch",
        tests: DAMAGE,
    },
    Mutant {
        name: "chunk_checksum_of_the_manifest_not_compared",
        file: CODEC,
        edits: &[(
            "if own != crc32c || own.to_le_bytes() != *checksum {",
            "if own.to_le_bytes() != *checksum {\n            let _ = crc32c;",
        )],
        danger: "a chunk that came to lie in another one's place is another tensor's values",
        tests: DAMAGE,
    },
    Mutant {
        name: "chunk_checksums_not_compared",
        file: CODEC,
        edits: &[(
            "if own != crc32c || own.to_le_bytes() != *checksum {",
            "if false && (own != crc32c || own.to_le_bytes() != *checksum) {",
        )],
        danger: "a bit that flipped on the disk is a wrong weight",
        tests: DAMAGE,
    },
    Mutant {
        name: "zip_header_not_compared",
        file: "crates/qstore-zarr/src/archive.rs",
        edits: &[(
            "        if header != buffer[..header_len] {",
            "        if false && header != buffer[..header_len] {",
        )],
        danger: "an archive that other programs read otherwise counts as whole",
        tests: &[Tests::lib("qstore-zarr", "archive::")],
    },
    Mutant {
        name: "link_in_a_tree_followed",
        file: TREE,
        edits: &[(
            "if resolved == path { self.storage.open(&path).map(Some) } else { Ok(None) }",
            "if resolved == path || true { self.storage.open(&path).map(Some) } else { Ok(None) }",
        )],
        danger: "a checkpoint from elsewhere makes us read any file of this machine",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "partial::a_link")],
    },
    Mutant {
        name: "files_of_a_tree_not_synced",
        file: TREE,
        edits: &[(
            "        self.unsynced.finish(self.workers)?;\n        Ok(self.staged)",
            "        Ok(self.staged)",
        )],
        danger: "after a power cut a checkpoint has empty files, where whole trees cannot be synced",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "crash::a_system_without")],
    },
    Mutant {
        name: "full_batch_not_synced",
        file: "crates/qstore-zarr/src/unsynced.rs",
        edits: &[(
            "        batch.iter().try_for_each(|file| Ok(file.sync()?))\n",
            "        drop(batch);\n        Ok(())\n",
        )],
        danger: "the same, where a checkpoint has more files than are open at a time",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "crowd::what_many")],
    },
    Mutant {
        name: "removal_goes_on_before_it_is_durable",
        file: REMOVAL,
        edits: &[(
            "    dir.storage.sync_dir(&dir.dir).map_err(Error::from).map_err(failed(*last))?;\n",
            "    let _ = (last, failed(0));\n",
        )],
        danger: "a power cut brings the name of a removed checkpoint back, with half of its files",
        tests: CRASHES,
    },
    Mutant {
        name: "removal_goes_on_although_its_sync_failed",
        file: REMOVAL,
        edits: &[
            (
                "    dir.storage.sync_dir(&dir.dir).map_err(Error::from).map_err(failed(*last))?;\n",
                "    let synced =\n        dir.storage.sync_dir(&dir.dir).map_err(Error::from).map_err(failed(*last));\n",
            ),
            (
                "        _lock: lock,\n    }));\n    Ok(())\n",
                "        _lock: lock,\n    }));\n    synced\n",
            ),
        ],
        danger: "on a disk that fails, a power cut brings a removed checkpoint back in parts",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "faults::what_retention_could_not")],
    },
    Mutant {
        name: "newest_may_go",
        file: RETENTION,
        edits: &[(
            "            0 => Reason::Newest,\n",
            "            0 if policy.best.is_none() => Reason::Newest,\n",
        )],
        danger: "the checkpoint that was just saved is removed because it is not the best",
        tests: PLANS,
    },
    Mutant {
        name: "pinned_may_go",
        file: RETENTION,
        edits: &[("            _ if saved.is_pinned => Reason::Pinned,\n", "")],
        danger: "a checkpoint that somebody pinned is removed",
        tests: PLANS,
    },
    Mutant {
        name: "retention_by_epoch",
        file: RETENTION,
        edits: &[(
            "Reverse((saved.save_seq, saved.epoch))",
            "Reverse((saved.epoch, saved.save_seq))",
        )],
        danger: "a run that began again at epoch 3 loses each new checkpoint",
        tests: PLANS,
    },
    Mutant {
        name: "pin_not_synced",
        file: "crates/qstore-zarr/src/pin.rs",
        edits: &[(
            "        // An empty file has no bytes to sync.\n        _ => {}\n    }\n    Ok(dir.storage.sync_dir(&dir.dir)?)\n",
            "        // An empty file has no bytes to sync.\n        _ => {}\n    }\n    Ok(())\n",
        )],
        danger: "after a power cut a pinned checkpoint is pinned no more, and the next save removes it",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "pins::")],
    },
    Mutant {
        name: "live_staging_collected",
        file: "crates/qstore-zarr/src/staging.rs",
        edits: &[(
            "        if let Ok(Some(_lock)) = dir.storage.try_lock(&lock_of(&temporary)) {",
            "        if !name.is_empty() {",
        )],
        danger: "a save of another process is swept away as a leftover",
        tests: &[Tests::lib("qstore-zarr", "staging::")],
    },
    Mutant {
        name: "damage_handed_on_by_links",
        file: "crates/qstore-zarr/src/dedup.rs",
        edits: &[("        is_whole.then(||", "        (is_whole || true).then(||")],
        danger: "a damaged chunk is linked into every later checkpoint",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "shared::")],
    },
    Mutant {
        name: "failed_save_kept_from_the_next",
        file: "crates/qstore-zarr/src/intake.rs",
        edits: &[(
            "                    failures.unreported = Some((latched, failure.clone()));\n",
            "                    drop(latched);\n",
        )],
        danger: "a training run goes on for days without a checkpoint and is not told",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "background::")],
    },
    Mutant {
        name: "failed_save_kept_from_health",
        file: "crates/qstore-zarr/src/intake.rs",
        edits: &[(
            "                failures.first.get_or_insert_with(|| Arc::clone(&latched));\n",
            "",
        )],
        danger: "health() says that all is well",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "background::")],
    },
];
