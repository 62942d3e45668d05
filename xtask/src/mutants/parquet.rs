//! Mutants of the metrics file: what is published and when, what is read and believed.

use super::mutant::{Mutant, Tests};

const DISK: &str = "crates/qstore-parquet/src/publish/disk.rs";
const LOG: &str = "crates/qstore-parquet/src/log/metrics_log.rs";
const SPACE: &str = "crates/qstore-parquet/src/publish/space.rs";
const RECOVERY: &str = "crates/qstore-parquet/src/publish/recovery.rs";

/// Random runs with power cuts; then, where they notice nothing, every storage operation of a run fails,
/// or is the last one before a power cut.
const FAULTS: &[Tests] = &[
    Tests::lib("qstore-parquet", "log::metrics_log::tests::every_flushed_row"),
    Tests::of("qstore-tests", "integration", "faults::"),
];
const AHEAD: &[Tests] = &[Tests::lib("qstore-parquet", "log::metrics_log::ahead")];
const DAMAGE: &[Tests] = &[Tests::of("qstore-parquet", "file", "damage::")];
const STALE: &[Tests] = &[Tests::of("qstore-parquet", "file", "stale::")];
const RECOVERIES: &[Tests] = &[Tests::of("qstore-parquet", "file", "recovery::")];

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "version_not_synced",
        file: DISK,
        edits: &[("file.sync().and_then(|()| self.show(wants_twin))", "self.show(wants_twin)")],
        danger: "after a power cut the metrics file has its name and not its bytes",
        tests: FAULTS,
    },
    Mutant {
        name: "version_shown_before_its_sync",
        file: DISK,
        edits: &[(
            "file.sync().and_then(|()| self.show(wants_twin))",
            "self.show(wants_twin).and_then(|()| file.sync())",
        )],
        danger: "a power cut between the two leaves a file without its bytes",
        tests: FAULTS,
    },
    Mutant {
        name: "version_deletes_then_renames",
        file: DISK,
        edits: &[(
            "match self.storage.exchange(hidden, public) {",
            "match self.storage.remove_file(public).and_then(|()| self.storage.rename(hidden, public)) {",
        )],
        danger: "a kill between the two leaves no metrics file at all",
        tests: FAULTS,
    },
    Mutant {
        name: "version_name_never_synced",
        file: DISK,
        edits: &[(
            "let synced = self.storage.sync_dir(parent_of(&self.names.public));",
            "let synced = qstore_storage::Result::Ok(());\n        let _ = parent_of;",
        )],
        danger: "rows that were acknowledged are gone after a power cut",
        tests: FAULTS,
    },
    Mutant {
        name: "retired_before_the_exchange_is_durable",
        file: DISK,
        edits: &[("        self.sync_name()?;\n        let space", "        let space")],
        danger: "a power cut brings the name of a file back that is being written",
        tests: FAULTS,
    },
    Mutant {
        name: "acknowledged_before_the_name_is_durable",
        file: LOG,
        edits: &[
            ("Durability::Sync => disk.sync_name(),", "Durability::Sync => Ok(()),"),
            (
                "if self.settings.durability == Durability::Sync && !self.disk().is_durable() {",
                "if false {",
            ),
            (
                "let is_durable = self.settings.durability == Durability::Flush || self.disk().is_durable();",
                "let is_durable = true;",
            ),
        ],
        danger: "rows that were acknowledged are gone after a power cut",
        tests: FAULTS,
    },
    Mutant {
        name: "failed_directory_sync_forgotten",
        file: DISK,
        edits: &[(
            "            self.discard_twin();\n        }\n        synced?;",
            "        }\n        let _ = synced;",
        )],
        danger: "rows are acknowledged whose name the disk refused to keep",
        tests: FAULTS,
    },
    Mutant {
        name: "failed_sync_forgotten",
        file: DISK,
        edits: &[(
            "file.sync().and_then(|()| self.show(wants_twin))",
            "file.sync().or(Ok(())).and_then(|()| self.show(wants_twin))",
        )],
        danger: "rows are acknowledged that the disk refused to take",
        tests: FAULTS,
    },
    Mutant {
        name: "claim_not_asked_for",
        file: DISK,
        edits: &[
            (
                "                Exclusive::Busy if started.elapsed() >= patience => return Ok(None),\n",
                "",
            ),
            (
                "                Exclusive::Busy => thread::sleep(Duration::from_millis(1)),\n",
                "                Exclusive::Busy => {\n                    #[derive(Debug)]\n                    \
                 struct Nobody(#[allow(dead_code)] Duration, #[allow(dead_code)] Instant);\n                    \
                 impl Claim for Nobody {}\n                    \
                 let _ = thread::sleep;\n                    \
                 break Box::new(Nobody(patience, started));\n                }\n",
            ),
        ],
        danger: "a reader that holds the file sees it change under its hands",
        tests: FAULTS,
    },
    Mutant {
        name: "stamp_not_compared",
        file: DISK,
        edits: &[(
            "twin.file.stamp()? == twin.stamp\n            && self.storage.stamp(hidden)? == Some(twin.stamp)\n            && twin.stamp.names() == 1;",
            "true || (twin.file.stamp()? == twin.stamp\n            && self.storage.stamp(hidden)? == Some(twin.stamp)\n            && twin.stamp.names() == 1);",
        )],
        danger: "what somebody else wrote into the retired file, or linked to, becomes the metrics file",
        tests: FAULTS,
    },
    Mutant {
        name: "file_not_cut_behind_the_footer",
        file: DISK,
        edits: &[("        if file.len()? != len {\n", "        if file.len()? < len {\n")],
        danger: "an old footer stands behind the new one, and readers find old rows",
        tests: FAULTS,
    },
    Mutant {
        name: "failed_write_forgets_what_is_missing",
        file: DISK,
        edits: &[(
            "                    if self.keep_or_discard(&mut twin, kept) {\n",
            "                    if self.keep_or_discard(&mut twin, kept) {\n                        \
             twin.missing.clear();\n",
        )],
        danger: "after a full disk a version is published with holes in it",
        tests: FAULTS,
    },
    Mutant {
        name: "groups_encoded_ahead_of_a_failure_are_kept",
        file: LOG,
        edits: &[(
            "            drop(prepared);\n",
            "            self.turn = prepared.map_or(Turn::Resting, Turn::Ready);\n",
        )],
        danger: "rows behind a version that failed are published before it, and again with it",
        tests: AHEAD,
    },
    Mutant {
        name: "groups_encoded_ahead_begin_too_early",
        file: LOG,
        edits: &[(
            "self.encode_job(&plan, sealed + plan.written(), false)",
            "self.encode_job(&plan, sealed.min(0) + plan.written(), false)",
        )],
        danger: "rows are written twice and others not at all",
        tests: AHEAD,
    },
    Mutant {
        name: "zero_has_a_sign_in_statistics",
        file: "crates/qstore-parquet/src/format/statistics.rs",
        edits: &[("if *value == 0.0 { zero } else { *value }", "{ let _: f64 = zero; *value }")],
        danger: "a reader that compares bits skips a group that holds the zero it looks for",
        tests: &[Tests::of("qstore-parquet", "file", "reading::statistics_hold")],
    },
    Mutant {
        name: "grace_ignored",
        file: SPACE,
        edits: &[("*since + self.grace > now", "false && *since + self.grace > now")],
        danger: "a reader that opens the path twice finds other rows, or fails",
        tests: &[STALE[0], Tests::lib("qstore-parquet", "space")],
    },
    Mutant {
        name: "place_used_again_as_it_was",
        file: SPACE,
        edits: &[(
            "(offset..offset + SHIFT_MAX).find(is_unused)",
            "(offset..offset + SHIFT_MAX).find(|place| is_unused(place) || true)",
        )],
        danger: "a query that was planned long ago finds other rows without an error",
        tests: &[STALE[0], Tests::lib("qstore-parquet", "space")],
    },
    Mutant {
        name: "beginnings_of_the_dying_forgotten",
        file: SPACE,
        edits: &[(" || self.buried.contains(&at)", "")],
        danger: "without a grace, a reader of the version before finds other rows without an error",
        tests: &[Tests::lib("qstore-parquet", "space")],
    },
    Mutant {
        name: "nulls_of_small_groups_shifted",
        file: "crates/qstore-parquet/src/format/small_group.rs",
        edits: &[(
            "levels.iter().map(|level| *level == 1)",
            "levels.iter().rev().map(|level| *level == 1)",
        )],
        danger: "values stand in other rows than they were logged in",
        tests: &[Tests::lib("qstore-parquet", "small_group_tests::")],
    },
    Mutant {
        name: "rejected_row_not_counted",
        file: LOG,
        edits: &[("                self.accounts.rejected(record.label());\n", "")],
        danger: "the file does not say which rows it refused",
        tests: &[Tests::of("qstore-parquet", "file", "reading::the_accounts")],
    },
    Mutant {
        name: "chunk_checksum_not_compared",
        file: "crates/qstore-parquet/src/format/chunk.rs",
        edits: &[(
            "checksum.is_some_and(|checksum| crc32c::crc32c(&bytes) != checksum)",
            "checksum.is_some_and(|checksum| false && crc32c::crc32c(&bytes) != checksum)",
        )],
        danger: "a bit that flipped on the disk is a wrong value",
        tests: DAMAGE,
    },
    Mutant {
        name: "footer_seal_not_compared",
        file: "crates/qstore-parquet/src/format/checksums.rs",
        edits: &[("Some(_) => Seal::Broken,", "Some(_) => Seal::Whole,")],
        danger: "a bit that flipped in the footer is another column, or another row",
        tests: DAMAGE,
    },
    Mutant {
        name: "footer_seal_may_be_gone",
        file: "crates/qstore-parquet/src/format/footer.rs",
        edits: &[(
            "if seal == Seal::None && checksums.is_some() {",
            "if false && checksums.is_some() {",
        )],
        danger: "a bit that flipped in the seal switches it off",
        tests: DAMAGE,
    },
    Mutant {
        name: "recovery_without_checksums",
        file: RECOVERY,
        edits: &[(
            "if crc32c::crc32c(&bytes) != sum {",
            "if false && crc32c::crc32c(&bytes) != sum {",
        )],
        danger: "a damaged file is continued from a version that is damaged, too",
        tests: RECOVERIES,
    },
    Mutant {
        name: "recovery_aside_not_synced",
        file: RECOVERY,
        edits: &[(
            "        storage.sync_dir(parent_of(&aside))?;\n",
            "        let _ = parent_of;\n",
        )],
        danger: "after a power cut the damaged file is gone, and with it what a person could save of it",
        tests: &[Tests::of("qstore-tests", "integration", "faults::a_damaged_file")],
    },
    Mutant {
        name: "second_writer_let_in",
        file: "crates/qstore-parquet/src/publish/open.rs",
        edits: &[(
            "storage.try_lock(&names.lock)? else {",
            "storage.try_lock(&names.lock.with_extension(std::time::Instant::now().elapsed().as_nanos().to_string()))? else {",
        )],
        danger: "two writers write into one file",
        tests: &[Tests::lib("qstore-parquet", "log::metrics_log::tests::a_second_writer")],
    },
    Mutant {
        name: "page_may_claim_anything",
        file: "crates/qstore-parquet/src/format/pages.rs",
        edits: &[("        left.take(&header)?;\n", "        let _ = left.take(&header);\n")],
        danger: "a file of a hundred bytes ends the process that reads it",
        tests: &[Tests::lib("qstore-parquet", "format::pages::")],
    },
];
