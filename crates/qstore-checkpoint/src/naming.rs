//! The names of checkpoints and of the documents next to them, the same in every repository.
//!
//! | | epochs | steps |
//! |---|---|---|
//! | one file | `epoch_0042.zarr.zip` | `step_00000042.zarr.zip` |
//! | a tree of entries | `epoch_0042` | `step_00000042` |
//! | its pin | `epoch_0042.pin` | `step_00000042.pin` |
//! | of N ranks: the joint manifest | `epoch_0042.ranks.json` | `step_00000042.ranks.json` |
//! | of N ranks: one part | `epoch_0042.parts/ATTEMPT/rank_00017-of-01000.zarr.zip` | … |
//!
//! A name is a checkpoint's only if it is exactly what Q-Store would write for that number: of `epoch_42`,
//! `epoch_0042` and `epoch_+042`, only the second is one. Anything else is left alone.

use crate::id::{CheckpointId, Counter, Part};

const FILE_SUFFIX: &str = ".zarr.zip";
const PIN_SUFFIX: &str = ".pin";

/// Whether a checkpoint is one file or a tree of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Layout {
    /// One file, `epoch_0042.zarr.zip`: one sync and one rename make it durable, and it is easy to copy
    /// and upload. The default.
    #[default]
    SingleFile,
    /// A tree, `epoch_0042/`, with one entry per chunk: `zarr.open_group` on the directory of
    /// checkpoints lists exactly the committed ones, and single chunks can be fetched or shared.
    Directory,
}

impl Counter {
    /// The name under which a checkpoint, or a part of one, is stored.
    #[must_use]
    pub fn name_of(self, id: &CheckpointId, layout: Layout) -> String {
        let base = self.base(id.number);
        let base = match &id.part {
            None => base,
            Some(Part { attempt, rank }) => {
                let (index, count) = (rank.index(), rank.count());
                format!("{base}.parts/{attempt}/rank_{index:05}-of-{count:05}")
            }
        };
        match layout {
            Layout::SingleFile => base + FILE_SUFFIX,
            Layout::Directory => base,
        }
    }

    /// The name of the empty document that pins a checkpoint.
    #[must_use]
    pub fn pin_of(self, number: u64) -> String {
        self.base(number) + PIN_SUFFIX
    }

    /// The name of the joint manifest of a checkpoint that N ranks saved together.
    #[must_use]
    pub fn joint_manifest_of(self, number: u64) -> String {
        self.base(number) + ".ranks.json"
    }

    /// The number of the checkpoint with this name. `None` for parts, which are not checkpoints.
    #[must_use]
    pub fn checkpoint_named(self, name: &str, layout: Layout) -> Option<u64> {
        let number = match layout {
            Layout::SingleFile => name.strip_suffix(FILE_SUFFIX)?,
            Layout::Directory => name,
        };
        let number = number.strip_prefix(self.name())?.strip_prefix('_')?.parse().ok()?;
        (name == self.name_of(&CheckpointId::new(number), layout)).then_some(number)
    }

    /// The number of the checkpoint that a document with this name pins.
    #[must_use]
    pub fn pinned_by(self, name: &str) -> Option<u64> {
        self.checkpoint_named(name.strip_suffix(PIN_SUFFIX)?, Layout::Directory)
    }

    fn base(self, number: u64) -> String {
        format!("{}_{number:0digits$}", self.name(), digits = self.digits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Attempt, Rank};

    #[test]
    fn only_names_that_q_store_would_write_are_recognized() {
        let check = |name: &str, number: Option<u64>| {
            let found = Counter::Epoch.checkpoint_named(name, Layout::SingleFile);
            assert_eq!(found, number, "{name}");
            let name = name.trim_end_matches(FILE_SUFFIX);
            assert_eq!(Counter::Epoch.checkpoint_named(name, Layout::Directory), number, "{name}");
            assert_eq!(Counter::Epoch.pinned_by(&format!("{name}.pin")), number, "{name}");
            assert_eq!(Counter::Step.checkpoint_named(name, Layout::Directory), None, "{name}");
        };
        check("epoch_0000.zarr.zip", Some(0));
        check("epoch_0042.zarr.zip", Some(42));
        check("epoch_123456.zarr.zip", Some(123_456));
        check("epoch_18446744073709551615.zarr.zip", Some(u64::MAX));
        for foreign in [
            "epoch_best",
            "epoch_42.zarr.zip",
            "epoch_00042.zarr.zip",
            "epoch_+042.zarr.zip",
            "epoch_0042.zarr",
            "epoch_18446744073709551616.zarr.zip",
            "Epoch_0042.zarr.zip",
        ] {
            check(foreign, None);
        }
    }

    #[test]
    fn every_counter_reads_what_it_writes() {
        for counter in Counter::ALL {
            for number in [0, 1, 9_999, 10_000, 99_999_999, 100_000_000, u64::MAX] {
                for layout in [Layout::SingleFile, Layout::Directory] {
                    let name = counter.name_of(&CheckpointId::new(number), layout);
                    assert_eq!(counter.checkpoint_named(&name, layout), Some(number), "{name}");
                }
                assert_eq!(counter.pinned_by(&counter.pin_of(number)), Some(number));
            }
        }
        assert_eq!(Counter::Step.pin_of(42), "step_00000042.pin");
    }

    #[test]
    fn a_part_has_a_name_and_is_not_a_checkpoint() {
        let id = CheckpointId::part(42, Attempt::new("a1").unwrap(), Rank::new(17, 1000).unwrap());
        let name = Counter::Epoch.name_of(&id, Layout::SingleFile);
        assert_eq!(name, "epoch_0042.parts/a1/rank_00017-of-01000.zarr.zip");
        assert_eq!(Counter::Epoch.checkpoint_named(&name, Layout::SingleFile), None);
        assert_eq!(Counter::Epoch.joint_manifest_of(42), "epoch_0042.ranks.json");
    }
}
