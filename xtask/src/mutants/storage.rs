//! Mutants of the durable helpers and of the local file system.

use super::mutant::{Mutant, Tests};

const FILE: &str = "crates/qstore-storage/src/staged_file.rs";
const DIR: &str = "crates/qstore-storage/src/staged_dir.rs";
const LOCAL: &str = "crates/qstore-storage/src/local.rs";

/// Power cuts before every operation of some saves.
const CRASHES: &[Tests] = &[Tests::of("qstore-zarr", "checkpoints", "crash::")];
const OF_THE_LOCAL_FILES: &[Tests] = &[Tests::lib("qstore-storage", "local::")];
/// The steps of a commit as they are written down.
const STEPS: &[Tests] = &[Tests::of("qstore-storage", "order_of_a_commit", "")];
/// On Linux: syncs that the system refuses.
const REFUSALS: &[Tests] = &[Tests::of("qstore-storage", "refused_syncs", "")];

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "staged_file_not_synced",
        file: FILE,
        edits: &[("        self.file().sync()?;\n", "")],
        danger: "after a power cut a checkpoint has its name and no bytes",
        tests: &[Tests::lib("qstore-storage", "staged_file::")],
    },
    Mutant {
        name: "staged_file_name_not_synced",
        file: FILE,
        edits: &[(
            "        self.storage.sync_dir(parent_of(public))?;\n",
            "        let _ = parent_of;\n",
        )],
        danger: "a checkpoint that was acknowledged is gone after a power cut",
        tests: &[Tests::lib("qstore-storage", "staged_file::")],
    },
    Mutant {
        name: "staged_file_renamed_before_its_sync",
        file: FILE,
        edits: &[(
            "        self.file().sync()?;\n        self.storage.rename(&self.temporary, public)?;\n",
            "        self.storage.rename(&self.temporary, public)?;\n        self.file().sync()?;\n",
        )],
        danger: "after a power cut the only checkpoint of an epoch is an empty file",
        tests: CRASHES,
    },
    Mutant {
        name: "staged_file_deletes_then_renames",
        file: FILE,
        edits: &[(
            "        self.storage.rename(&self.temporary, public)?;\n",
            "        let _ = self.storage.remove_file(public);\n        \
             self.storage.rename(&self.temporary, public)?;\n",
        )],
        danger: "a kill between the two leaves neither the old checkpoint nor the new one",
        tests: CRASHES,
    },
    Mutant {
        name: "staged_tree_not_synced",
        file: DIR,
        edits: &[("            Some(tree) => tree.sync()?,\n", "            Some(_) => {}\n")],
        danger: "after a power cut a checkpoint has its name and empty files",
        tests: CRASHES,
    },
    Mutant {
        name: "staged_directories_not_synced",
        file: DIR,
        edits: &[(
            "                    self.storage.sync_dir(dir)?;\n",
            "                    let _ = dir;\n",
        )],
        danger: "after a power cut a checkpoint lacks files, where whole trees cannot be synced",
        tests: &[Tests::of("qstore-zarr", "checkpoints", "crash::a_system_without")],
    },
    Mutant {
        name: "staged_tree_name_not_synced",
        file: DIR,
        edits: &[(
            "        self.is_committed = true;\n        self.storage.sync_dir(parent_of(public))?;\n",
            "        self.is_committed = true;\n",
        )],
        danger: "a checkpoint that was acknowledged is gone after a power cut",
        tests: CRASHES,
    },
    Mutant {
        name: "staged_tree_deletes_then_renames",
        file: DIR,
        edits: &[(
            "match self.storage.exchange(&self.temporary, public) {",
            "match remove_dir_all(&*self.storage, public)\n                \
             .and_then(|()| self.storage.rename(&self.temporary, public))\n            {",
        )],
        danger: "a kill between the two leaves neither the old checkpoint nor the new one",
        tests: CRASHES,
    },
    Mutant {
        name: "replaced_tree_removed_before_the_name_is_durable",
        file: DIR,
        edits: &[(
            "        self.storage.sync_dir(parent_of(public))?;\n        let Some(old)",
            "        let Some(old)",
        )],
        danger: "a power cut brings the old name back, with half of the old files",
        tests: STEPS,
    },
    Mutant {
        name: "replaced_tree_removed_while_its_new_place_is_not_durable",
        file: DIR,
        edits: &[("        self.storage.sync_dir(parent_of(old))?;\n", "")],
        danger: "a power cut leaves the new tree under the name that leftovers are removed from",
        tests: STEPS,
    },
    Mutant {
        name: "tombstone_not_synced",
        file: DIR,
        edits: &[("        self.storage.sync_dir(parent_of(tombstone))?;\n", "")],
        danger: "a checkpoint that is being replaced is lost between two names",
        tests: STEPS,
    },
    Mutant {
        name: "directory_of_the_tombstone_not_synced",
        file: DIR,
        edits: &[("        self.storage.sync_dir(parent_of(parent_of(tombstone)))?;\n", "")],
        danger: "a checkpoint that is being replaced is lost with the directory it stepped aside to",
        tests: STEPS,
    },
    Mutant {
        name: "new_directory_not_synced",
        file: "crates/qstore-storage/src/tree.rs",
        edits: &[("        storage.sync_dir(parent_of(dir))?;\n", "")],
        danger: "all checkpoints are gone with the directory they were saved into",
        tests: CRASHES,
    },
    Mutant {
        name: "local_file_sync_does_nothing",
        file: LOCAL,
        edits: &[(
            "self.file.sync_data().context(Operation::Sync, &self.path)",
            "Ok(()).context(Operation::Sync, &self.path)",
        )],
        danger: "nothing survives a power cut, and every test in memory passes",
        tests: REFUSALS,
    },
    Mutant {
        name: "local_directory_sync_does_nothing",
        file: LOCAL,
        edits: &[("and_then(|dir| dir.sync_all())", "map(drop)")],
        danger: "no name survives a power cut, and every test in memory passes",
        tests: REFUSALS,
    },
    Mutant {
        name: "local_tree_sync_does_nothing",
        file: "crates/qstore-storage/src/sync_tree.rs",
        edits: &[(
            "let synced = rustix::fs::syncfs(&self.file).map_err(io::Error::from);",
            "let synced: io::Result<()> = Ok(());\n            let _ = &self.file;",
        )],
        danger: "no checkpoint in the directory layout survives a power cut",
        tests: REFUSALS,
    },
    Mutant {
        name: "lock_of_a_name_that_is_gone",
        file: LOCAL,
        edits: &[(
            "        if is_named(path, &file)? {",
            "        if is_named(path, &file)? || true {",
        )],
        danger: "two writers hold one lock",
        tests: OF_THE_LOCAL_FILES,
    },
    Mutant {
        name: "lock_of_somebody_else_removed",
        file: LOCAL,
        edits: &[(
            "        if is_ours && is_named(&self.path, &self.file).unwrap_or(false) {",
            "        if is_ours {",
        )],
        danger: "two writers hold one lock",
        tests: OF_THE_LOCAL_FILES,
    },
];
