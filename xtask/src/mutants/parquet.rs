//! Mutants of the metrics file: what is published and when, what is read and believed.

use super::edit::Edit::{Delete, Replace, Rewrite};
use super::mutant::{Mutant, Tests};

/// Random runs with power cuts; then, where they notice nothing, every storage operation of a run fails,
/// or is the last one before a power cut.
const FAULTS: &[Tests] = &[
    Tests::lib("qstore-parquet", "log::metrics_log::tests::every_flushed_row"),
    Tests::of("qstore-tests", "integration", "faults::"),
];
const SEALED: Tests = Tests::of("qstore-parquet", "file", "sealed::");
const AHEAD: &[Tests] = &[Tests::lib("qstore-parquet", "log::metrics_log::ahead")];
const DAMAGE: &[Tests] = &[Tests::of("qstore-parquet", "file", "damage::")];
const STALE: &[Tests] = &[Tests::of("qstore-parquet", "file", "stale::")];
const DISPLACED: &[Tests] = &[Tests::of("qstore-parquet", "file", "displaced::")];
const FOLLOWING: &[Tests] = &[Tests::of("qstore-parquet", "file", "following::")];
const RECOVERIES: &[Tests] = &[Tests::of("qstore-parquet", "file", "recovery::")];

const SEALING: &[Tests] = &[Tests::of("qstore-parquet", "file", "sealing::")];
const NAMES: &[Tests] = &[Tests::lib("qstore-parquet", "columns::rows::dataset::")];

pub(super) const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "foreign_leftover_of_a_log_removed",
        edits: &[Replace("is_ours(dir, names)?", "(true || is_ours(dir, names)?)")],
        danger: "what a killed writer had taken the name away from is lost with the next start",
        tests: &[Tests::of("qstore-parquet", "file", "leftovers::")],
    },
    Mutant {
        name: "leftover_of_a_later_version_removed",
        edits: &[Replace("!is_sealed(&file) && names_us(&file)", "names_us(&file)")],
        danger: "a downgrade loses what a later version was writing",
        tests: &[Tests::of("qstore-parquet", "file", "leftovers::")],
    },
    Mutant {
        name: "name_of_an_earlier_session_believed",
        edits: &[Replace("published.is_none()", "true || published.is_none()")],
        danger: "a flush is acknowledged for rows of a killed writer, and a power cut takes them",
        tests: &[Tests::of("qstore-ledger", "ledger", "cuts::")],
    },
    Mutant {
        name: "followed_rows_yielded_again",
        edits: &[Rewrite("let _ = rows;")],
        danger: "a program that follows a run counts its rows twice",
        tests: FOLLOWING,
    },
    Mutant {
        name: "follow_goes_on_with_another_file",
        edits: &[Replace("!seen.is_continued_by(&history)", "false")],
        danger: "a program that follows a run gets the rows of another one from the middle",
        tests: FOLLOWING,
    },
    Mutant {
        name: "version_not_synced",
        edits: &[Replace(
            "file.sync().map_err(WriteError::from).and_then(|()| self.show(&file))",
            "self.show(&file)",
        )],
        danger: "after a power cut the metrics file has its name and not its bytes",
        tests: FAULTS,
    },
    Mutant {
        name: "version_shown_before_its_sync",
        edits: &[Replace(
            "file.sync().map_err(WriteError::from).and_then(|()| self.show(&file))",
            "self.show(&file).and_then(|shown| Ok(file.sync().map(|()| shown)?))",
        )],
        danger: "a power cut between the two leaves a file without its bytes",
        tests: FAULTS,
    },
    Mutant {
        name: "version_deletes_then_renames",
        edits: &[Replace(
            "self.storage.exchange(hidden, public)",
            "self.storage.remove_file(public).and_then(|()| self.storage.rename(hidden, public))",
        )],
        danger: "a kill between the two leaves no metrics file at all",
        tests: FAULTS,
    },
    Mutant {
        name: "version_name_never_synced",
        edits: &[Rewrite("let synced = qstore_storage::Result::Ok(()); let _ = parent_of;")],
        danger: "rows that were acknowledged are gone after a power cut",
        tests: FAULTS,
    },
    Mutant {
        name: "retired_before_the_exchange_is_durable",
        edits: &[Delete],
        danger: "a power cut brings the name of a file back that is being written",
        tests: FAULTS,
    },
    Mutant {
        name: "acknowledged_before_the_name_is_durable",
        edits: &[
            Replace("disk.sync_name()", "Ok(())"),
            Replace(
                "self.settings.durability == Durability::Sync && !self.disk().is_durable()",
                "false",
            ),
            Replace(
                "self.settings.durability == Durability::Flush || self.disk().is_durable()",
                "true",
            ),
        ],
        danger: "rows that were acknowledged are gone after a power cut",
        tests: FAULTS,
    },
    Mutant {
        name: "failed_directory_sync_forgotten",
        edits: &[Replace(
            "sync_dir(parent_of(&self.names.public))",
            "sync_dir(parent_of(&self.names.public))
                .or_else(|_| qstore_storage::Result::Ok(()))",
        )],
        danger: "rows are acknowledged whose name the disk refused to keep",
        tests: FAULTS,
    },
    Mutant {
        name: "failed_sync_forgotten",
        edits: &[Replace("file.sync()", "file.sync().or(Ok(()))")],
        danger: "rows are acknowledged that the disk refused to take",
        tests: FAULTS,
    },
    Mutant {
        name: "claim_not_asked_for",
        edits: &[
            Delete,
            Rewrite(
                "Exclusive::Busy => {
                    #[derive(Debug)]
                    struct Nobody(#[allow(dead_code)] Duration, #[allow(dead_code)] Instant);
                    impl Claim for Nobody {}
                    let _ = thread::sleep;
                    break Box::new(Nobody(patience, started));
                }",
            ),
        ],
        danger: "a reader that holds the file sees it change under its hands",
        tests: FAULTS,
    },
    Mutant {
        name: "stamp_not_compared",
        edits: &[Replace("twin.file.stamp()?", "true || twin.file.stamp()?")],
        danger: "what somebody else wrote into the retired file, or linked to, becomes the metrics file",
        tests: FAULTS,
    },
    Mutant {
        name: "public_name_not_proved",
        edits: &[Replace(
            "Some(known) if found.is_unchanged_since(&known)",
            "Some(known) if found.is_unchanged_since(&known) || found.is_same_file(&known)",
        )],
        danger: "what another program wrote into the file is replaced without a word",
        tests: DISPLACED,
    },
    Mutant {
        name: "retired_file_not_identified",
        edits: &[Replace("if matches!", "if true || matches!")],
        danger: "a file that appeared at the last moment is taken for the old version and removed",
        tests: DISPLACED,
    },
    Mutant {
        name: "what_was_not_ours_stays_hidden",
        edits: &[Rewrite("let _ = hidden;")],
        danger: "a file of someone else has lost its name to a version that nobody announced",
        tests: DISPLACED,
    },
    Mutant {
        name: "hidden_name_removed_whatever_it_is",
        edits: &[Replace("if is_own", "if is_own || true")],
        danger: "a file of someone else that could not get its name back at once is removed",
        tests: DISPLACED,
    },
    Mutant {
        name: "lost_lock_not_noticed",
        edits: &[Replace("self.lock.as_ref().map_or(Ok(false), |lock| lock.is_named())?", "true")],
        danger: "two writers publish to one name",
        tests: DISPLACED,
    },
    Mutant {
        name: "saved_rows_not_checked",
        edits: &[Replace("!validation.is_damaged()", "true")],
        danger: "rows that another program has written over pass for rescued ones",
        tests: DISPLACED,
    },
    Mutant {
        name: "file_not_cut_behind_the_footer",
        edits: &[Replace("file.len()? != len", "file.len()? < len")],
        danger: "an old footer stands behind the new one, and readers find old rows",
        tests: FAULTS,
    },
    Mutant {
        name: "failed_write_forgets_what_is_missing",
        edits: &[Replace("self.twin = Some(twin)", "twin.missing.clear(); self.twin = Some(twin)")],
        danger: "after a full disk a version is published with holes in it",
        tests: FAULTS,
    },
    Mutant {
        name: "groups_encoded_ahead_of_a_failure_are_kept",
        edits: &[Rewrite("self.turn = prepared.map_or(Turn::Resting, Turn::Ready);")],
        danger: "rows behind a version that failed are published before it, and again with it",
        tests: AHEAD,
    },
    Mutant {
        name: "groups_encoded_ahead_begin_too_early",
        edits: &[Replace("sealed + plan", "sealed.min(0) + plan")],
        danger: "rows are written twice and others not at all",
        tests: AHEAD,
    },
    Mutant {
        name: "last_footer_overwritten",
        edits: &[Delete],
        danger: "an engine that planned on the length of an open part finds no footer there",
        tests: &[Tests::of("qstore-parquet", "file", "lengths::")],
    },
    Mutant {
        name: "sealed_without_proof",
        edits: &[Replace("self.place.prove(self.published.as_deref())?", "Present::Ours")],
        danger: "what another program wrote into a part is sealed as the writer's own",
        tests: SEALING,
    },
    Mutant {
        name: "sealing_replaces",
        edits: &[Replace("storage.rename_new(from, to)", "storage.rename(from, to)")],
        danger: "a file of someone else is replaced by a part that gets its name",
        tests: SEALING,
    },
    Mutant {
        name: "foreign_file_sealed",
        edits: &[Delete],
        danger: "a file of someone else has lost its name and passes for a part",
        tests: SEALING,
    },
    Mutant {
        name: "sealed_without_a_rest",
        edits: &[Replace("rested >= rest", "rested >= rest || true")],
        danger: "what readers of earlier versions need stays in a sealed part forever",
        tests: SEALING,
    },
    Mutant {
        name: "plan_removed_before_the_parts_are_gone",
        edits: &[Delete],
        danger: "after a power cut every engine counts the rows of compacted parts twice",
        tests: &[Tests::of("qstore-parquet", "file", "compacting::")],
    },
    Mutant {
        name: "other_spelling_gets_a_column",
        edits: &[Replace("is_some_and(is_taken)", "is_some_and(|names| false && is_taken(names))")],
        danger: "Spark cannot read the dataset at all",
        tests: NAMES,
    },
    Mutant {
        name: "partition_column_written",
        edits: &[Replace("folded(name) == PARTITION", "folded(name) == PARTITION && false")],
        danger: "engines fail on the dataset, or show the directory's number instead of the value",
        tests: NAMES,
    },
    Mutant {
        name: "zero_has_a_sign_in_statistics",
        edits: &[Replace(
            "if value == 0.0 { zero } else { value }",
            "{ let _: f64 = zero; value }",
        )],
        danger: "a reader that compares bits skips a group that holds the zero it looks for",
        tests: &[Tests::of("qstore-parquet", "file", "reading::statistics_hold")],
    },
    Mutant {
        name: "grace_ignored",
        edits: &[Replace("*since + self.grace > now", "false && *since + self.grace > now")],
        danger: "a reader that opens the path twice finds other rows, or fails",
        tests: &[STALE[0], Tests::lib("qstore-parquet", "space")],
    },
    Mutant {
        name: "place_used_again_as_it_was",
        edits: &[Replace("is_unused", "|place| is_unused(place) || true")],
        danger: "a query that was planned long ago finds other rows without an error",
        tests: &[STALE[0], Tests::lib("qstore-parquet", "space")],
    },
    Mutant {
        name: "beginnings_of_the_dying_forgotten",
        edits: &[Replace("|| self.buried.contains(at)", "")],
        danger: "without a grace, a reader of the version before finds other rows without an error",
        tests: &[Tests::lib("qstore-parquet", "space")],
    },
    Mutant {
        name: "nulls_of_small_groups_shifted",
        edits: &[Rewrite(
            "set_bits(&mut page[bits_at..], run.start.saturating_sub(1)..run.end - 1);",
        )],
        danger: "values stand in other rows than they were logged in",
        tests: &[Tests::lib("qstore-parquet", "page_writer_tests::")],
    },
    Mutant {
        name: "wide_groups_begin_where_others_began",
        edits: &[Replace("self.space.turn % STEP", "self.space.turn % STEP * 0")],
        danger: "a reader that planned its query earlier finds the values of another column",
        tests: &[Tests::lib("qstore-parquet", "space")],
    },
    Mutant {
        name: "span_table_checksum_not_compared",
        edits: &[Replace("crc32c::crc32c(&table) != *checksum", "false")],
        danger: "a flipped bit in a table becomes a bound",
        tests: &[SEALED],
    },
    Mutant {
        name: "joined_dictionaries_not_compared",
        edits: &[Replace("bytes == dictionary.bytes", "bytes == dictionary.bytes || true")],
        danger: "texts become those of another group",
        tests: &[SEALED],
    },
    Mutant {
        name: "joined_bytes_missing_from_the_twin",
        edits: &[Replace("one.from.start != one.to", "false && one.from.start != one.to")],
        danger: "the version after a merge lacks the bytes of the merged group",
        tests: &[SEALED],
    },
    Mutant {
        name: "failed_write_forgets_what_it_overwrote",
        edits: &[Rewrite("twin.missing = merged(mem::take(&mut twin.missing));")],
        danger: "after a full disk the next version has bytes of one that never was",
        tests: &[SEALED],
    },
    Mutant {
        name: "bounds_not_verified",
        edits: &[Replace("!is_same", "false && !is_same")],
        danger: "bounds that are wrong are not found",
        tests: &[SEALED],
    },
    Mutant {
        name: "rejected_row_not_counted",
        edits: &[Delete],
        danger: "the file does not say which rows it refused",
        tests: &[Tests::of("qstore-parquet", "file", "reading::the_accounts")],
    },
    Mutant {
        name: "omitted_value_not_counted",
        edits: &[Delete],
        danger: "the file does not say which values it left out",
        tests: &[Tests::of("qstore-parquet", "file", "mixed_kinds::what_a_row_lost")],
    },
    Mutant {
        name: "chunk_checksum_not_compared",
        edits: &[Replace(
            "crc32c::crc32c(&bytes) != checksum",
            "false && crc32c::crc32c(&bytes) != checksum",
        )],
        danger: "a bit that flipped on the disk is a wrong value",
        tests: DAMAGE,
    },
    Mutant {
        name: "footer_seal_not_compared",
        edits: &[Replace("Seal::Broken", "Seal::Whole")],
        danger: "a bit that flipped in the footer is another column, or another row",
        tests: DAMAGE,
    },
    Mutant {
        name: "footer_seal_may_be_gone",
        edits: &[Replace("seal == Seal::None", "false")],
        danger: "a bit that flipped in the seal switches it off",
        tests: DAMAGE,
    },
    Mutant {
        name: "recovery_without_checksums",
        edits: &[Replace("if crc32c", "if false && crc32c")],
        danger: "a damaged file is continued from a version that is damaged, too",
        tests: RECOVERIES,
    },
    Mutant {
        name: "recovery_aside_not_synced",
        edits: &[Rewrite("let _ = parent_of;")],
        danger: "after a power cut the damaged file is gone, and with it what a person could save of it",
        tests: &[Tests::of("qstore-tests", "integration", "faults::a_damaged_file")],
    },
    Mutant {
        name: "second_writer_let_in",
        edits: &[Replace(
            "&names.lock",
            "&names.lock.with_extension(
                std::time::Instant::now().elapsed().as_nanos().to_string())",
        )],
        danger: "two writers write into one file",
        tests: &[Tests::lib("qstore-parquet", "log::metrics_log::tests::a_second_writer")],
    },
    Mutant {
        name: "page_may_claim_anything",
        edits: &[Rewrite("let _ = self.left.take(&header);")],
        danger: "a file of a hundred bytes ends the process that reads it",
        tests: &[Tests::lib("qstore-parquet", "format::pages::")],
    },
    Mutant {
        name: "delta_texts_of_any_length",
        edits: &[Delete],
        danger: "a few kilobytes of deltas ask for a terabyte of texts",
        tests: &[Tests::lib("qstore-parquet", "format::delta_texts::")],
    },
    Mutant {
        name: "narrow_column_takes_any_integer",
        edits: &[Delete],
        danger: "an integer of 64 bits is cut to the 32 of another program's column",
        tests: &[Tests::of("qstore-parquet", "file", "foreign_continued::")],
    },
    Mutant {
        name: "local_time_stored_as_utc",
        edits: &[Rewrite("let count = time.count_in(unit); let _ = is_utc;")],
        danger: "the time on a wall is taken for one in UTC, hours away",
        tests: &[Tests::lib("qstore-parquet", "columns::rows::tests::a_time_that")],
    },
    Mutant {
        name: "list_of_a_null_row_is_empty",
        edits: &[Rewrite("None => self.definition.push(levels.empty),")],
        danger: "a list that was never logged is read as an empty one",
        tests: &[
            Tests::lib("qstore-parquet", "format::list_levels::"),
            Tests::of("qstore-parquet", "file", "lists::"),
        ],
    },
    Mutant {
        name: "lists_of_any_length",
        edits: &[Rewrite("let _ = (needed, too_long);")],
        danger: "a few bytes of levels become gigabytes of elements",
        tests: &[Tests::lib("qstore-parquet", "format::pages::")],
    },
    Mutant {
        name: "page_of_another_length",
        edits: &[Rewrite("if out.len() <= end { Ok(()) } else { Err(other_length()) }")],
        danger: "a page that lost its end is read as if it were whole",
        tests: &[Tests::lib("qstore-parquet", "format::decompress::")],
    },
    Mutant {
        name: "later_version_read_as_this_one",
        edits: &[Delete],
        danger: "a file of a later version is continued by rules that it does not follow",
        tests: &[Tests::of("qstore-parquet", "file", "foreign::")],
    },
    Mutant {
        name: "later_version_recovered_to_an_earlier_one",
        edits: &[Replace("if is_guarded", "if false")],
        danger: "rows of a later version are set aside for an earlier footer in the same file",
        tests: &[Tests::of("qstore-parquet", "file", "foreign::")],
    },
];
