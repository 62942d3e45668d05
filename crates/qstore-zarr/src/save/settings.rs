//! The settings of a checkpoint manager, checked once when it opens.
//!
//! Settings are data: nothing here touches a file or starts a thread.

use crate::format::chunking::CHUNK_BYTES_MAX;
use crate::format::codec::LEVEL_DEFAULT;
use crate::workers;
use qstore_checkpoint::retention::{Goal, Policy};
use qstore_checkpoint::{Counter, Layout};
use qstore_os::Priority;
use qstore_settings::{Codec, Compression, SettingError};
use qstore_storage::Locking;
use std::time::Duration;

/// How checkpoints are compressed, split and kept, and what happens when saves come too fast.
///
/// Compression depends on the data. Each cell: compression ratio, MB/s until durable, and MB/s of a
/// verified load, for 33.6 MB (`cargo xtask bench checkpoint`, two cores; compare within the table):
///
/// | preset | random f32 | bf16 in f32 | Adam's second moments | 90 % zeros |
/// |---|---|---|---|---|
/// | [`fastest`](Self::fastest): lz4 | 1.14, 880, 1 180 | 2.63, 1 560, 1 390 | 1.14, 940, 1 340 | 4.58, 1 480, 1 590 |
/// | the default: zstd:3 | 1.14, 790, 1 170 | 2.64, 820, 1 140 | 1.15, 530, 1 130 | 7.10, 340, 1 210 |
/// | [`smallest`](Self::smallest): zstd:9 | 1.15, 11, 1 060 | 2.71, 27, 1 140 | 1.16, 11, 1 170 | 8.19, 5, 1 240 |
/// | none | 1.00, 1 350, 1 980 | 1.00, 1 410, 1 930 | 1.00, 1 080, 1 840 | 1.00, 1 280, 1 860 |
///
/// So on dense weights lz4 and zstd give the same size; level 9 costs thirty to seventy times the work for
/// one to three percent; when most numbers are zero, zstd is well ahead.
///
/// ```
/// use qstore_zarr::{CheckpointSettings, Compression};
///
/// let settings = CheckpointSettings::default().keep_last(3).compression(Compression::LZ4);
/// assert_eq!(settings.compression.to_string(), "lz4");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointSettings {
    /// Whether checkpoints are numbered by epochs or by steps. Default `None`: as recorded in the
    /// directory, and epochs for a new one. A counter that differs from the directory's is refused.
    pub counter: Option<Counter>,
    /// Whether a checkpoint is one file or a directory. Default [`Layout::SingleFile`]. A directory may
    /// contain checkpoints of both layouts; all of them are listed, loaded and subject to retention.
    pub layout: Layout,
    /// Whether tensors that have not changed since the previous checkpoint are linked instead of written
    /// again: a frozen backbone costs a hash, and a read of the linked chunks. Only with
    /// [`Layout::Directory`]. Default `false`.
    ///
    /// Checkpoints then share files: damage on the disk can affect several of them at once.
    pub deduplicate: bool,
    /// Which checkpoints are kept besides the newest and the pinned. Default: the last 5.
    pub retention: Policy,
    /// How chunks are compressed: `zstd`, `lz4` or `gzip` at levels 1 (fast) to 9 (small), or `none`.
    /// Default `zstd`; without a level, level 3. All but `none` go through Blosc, with bit shuffling
    /// unless a sample of the tensor is mostly zero; a tensor whose sample does not shrink is stored
    /// raw.
    pub compression: Compression,
    /// How many threads compress during a save and decompress during a load, 1 to 256. Default: the
    /// number of cores, at most 2. They live as long as the save or load.
    pub workers: usize,
    /// How the threads of a save share the machine with training. Default [`Priority::Batch`]: they
    /// never preempt the thread that calls `save`. Linux only.
    pub priority: Priority,
    /// The most uncompressed bytes in one chunk, 64 B to 1 GiB. Default 1 MiB. Beyond the snapshot a
    /// save holds at most two chunks per worker, and about 3 KB of metadata per tensor.
    pub chunk_bytes: usize,
    /// What a save does when earlier ones are not done. Default [`Busy::Wait`].
    pub busy: Busy,
    /// How long a manager dropped without `close` waits for its saves. Default 30 s.
    pub drop_timeout: Duration,
    /// Whether to go on where the file system has no locks. Default [`Locking::Required`]: opening is an
    /// error there. With [`Locking::IfSupported`] you guarantee that no other process writes to the
    /// directory meanwhile.
    pub locking: Locking,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self {
            counter: None,
            layout: Layout::SingleFile,
            deduplicate: false,
            retention: Policy::keep_last(5),
            compression: Compression::ZSTD,
            workers: workers::default_count(),
            priority: Priority::Batch,
            chunk_bytes: 1 << 20,
            busy: Busy::Wait,
            drop_timeout: Duration::from_secs(30),
            locking: Locking::Required,
        }
    }
}

impl CheckpointSettings {
    /// The default, but with lz4: about the same size on dense weights, in less time.
    #[must_use]
    pub fn fastest() -> Self {
        Self::default().compression(Compression::LZ4)
    }

    /// The default, but with zstd at level 9: a little smaller, for many times the work. For checkpoints
    /// that are kept for years.
    #[must_use]
    pub fn smallest() -> Self {
        Self::default().compression(Compression::ZSTD.level(9))
    }

    /// Whether checkpoints are numbered by epochs or by steps.
    #[must_use]
    pub fn counter(mut self, counter: Counter) -> Self {
        self.counter = Some(counter);
        self
    }

    /// How many of the newest saves are kept, whatever their number; 0 keeps all.
    #[must_use]
    pub fn keep_last(mut self, keep_last: usize) -> Self {
        self.retention.keep_last = keep_last;
        self
    }

    /// Also keeps the best `count` checkpoints by a number in their metadata, which `metric` names by its
    /// key or its path: `val_loss`, `metrics/val_loss`, `folds/0/loss`; [`metric_of`] has the details.
    ///
    /// A checkpoint whose metric is missing, NaN or not a number is never among the best. That is reported:
    /// by the ticket of its save, in [`Saved::unranked`](crate::Saved::unranked), once by `tracing`, and by
    /// [`explain`](crate::Checkpoints::explain).
    ///
    /// [`metric_of`]: crate::retention::metric_of
    #[must_use]
    pub fn keep_best(mut self, count: usize, metric: impl Into<String>, goal: Goal) -> Self {
        self.retention = self.retention.best(count, metric, goal);
        self
    }

    /// Also keeps every checkpoint whose number is a multiple of `numbers`, at least 1.
    #[must_use]
    pub fn keep_every(mut self, numbers: u64) -> Self {
        self.retention = self.retention.every(numbers);
        self
    }

    /// The whole retention policy at once.
    #[must_use]
    pub fn retention(mut self, policy: Policy) -> Self {
        self.retention = policy;
        self
    }

    /// Whether a checkpoint is one file or a directory.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// How chunks are compressed.
    #[must_use]
    pub fn compression(mut self, compression: impl Into<Compression>) -> Self {
        self.compression = compression.into();
        self
    }

    /// How many threads compress and decompress.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How the threads of a save share the machine with training.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// The most uncompressed bytes in one chunk.
    #[must_use]
    pub fn chunk_bytes(mut self, bytes: usize) -> Self {
        self.chunk_bytes = bytes;
        self
    }

    /// What a save does when earlier ones are not done.
    #[must_use]
    pub fn busy(mut self, busy: Busy) -> Self {
        self.busy = busy;
        self
    }

    /// How long a manager dropped without `close` waits for its saves.
    #[must_use]
    pub fn drop_timeout(mut self, timeout: Duration) -> Self {
        self.drop_timeout = timeout;
        self
    }

    /// Whether tensors that have not changed are linked instead of written again.
    #[must_use]
    pub fn deduplicate(mut self, deduplicate: bool) -> Self {
        self.deduplicate = deduplicate;
        self
    }

    /// Whether to go on where the file system has no locks.
    #[must_use]
    pub fn locking(mut self, locking: Locking) -> Self {
        self.locking = locking;
        self
    }

    /// Whether a manager can be opened with them. Opening one checks that as well.
    ///
    /// # Errors
    /// The first setting with a value that cannot be used.
    pub fn validate(&self) -> Result<(), SettingError> {
        let default = Self::default();
        if self.deduplicate && self.layout != Layout::Directory {
            let choices = "false, or set layout to Directory";
            return Err(SettingError::new("deduplicate", true, choices, false));
        }
        let level = self.compression.level.unwrap_or(LEVEL_DEFAULT);
        let is_known = match self.compression.codec {
            Codec::Zstd | Codec::Lz4 | Codec::Gzip => (1..=9).contains(&level),
            Codec::None => true,
            _ => false,
        };
        if !is_known {
            let choices = "zstd, lz4 or gzip with a level from 1 to 9, or none";
            let default = default.compression.level(LEVEL_DEFAULT);
            return Err(SettingError::new("compression", self.compression, choices, default));
        }
        SettingError::check("workers", self.workers, 1..=256, default.workers)?;
        SettingError::check_min("keep_every", self.retention.every.unwrap_or(1), 1, "none")?;
        SettingError::check(
            "chunk_bytes",
            self.chunk_bytes,
            64..=CHUNK_BYTES_MAX,
            default.chunk_bytes,
        )
    }
}

/// What [`save`](crate::CheckpointManager::save) does when earlier saves are not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Busy {
    /// One save may run and one may wait; a third blocks its caller until there is room. Every snapshot is
    /// saved, and at most two are held in memory.
    #[default]
    Wait,
    /// A save is skipped while another runs; its outcome is `Skipped`. The caller never waits.
    Skip,
    /// One save may run and one may wait; a newer one replaces the waiting one, whose outcome is
    /// `Superseded`. The caller never waits, and the latest snapshot is always saved.
    CoalesceLatest,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_out_of_range_is_reported_with_its_range_and_default() {
        let check = |settings: CheckpointSettings, message: &str| {
            assert_eq!(settings.validate().unwrap_err().to_string(), message);
        };
        let settings = CheckpointSettings::default();
        assert!(settings.validate().is_ok());
        check(
            settings.clone().compression(Compression::ZSTD.level(10)),
            "compression is zstd:10; choose zstd, lz4 or gzip with a level from 1 to 9, or none (default zstd:3)",
        );
        check(
            settings.clone().compression(Compression::SNAPPY),
            "compression is snappy; choose zstd, lz4 or gzip with a level from 1 to 9, or none (default zstd:3)",
        );
        let workers = CheckpointSettings::default().workers;
        check(
            settings.clone().workers(0),
            &format!("workers is 0; choose a value from 1 to 256 (default {workers})"),
        );
        check(
            settings.clone().chunk_bytes(1),
            "chunk_bytes is 1; choose a value from 64 to 1073741824 (default 1048576)",
        );
        check(settings.clone().keep_every(0), "keep_every is 0; choose 1 or more (default none)");
        check(
            settings.deduplicate(true),
            "deduplicate is true; choose false, or set layout to Directory (default false)",
        );
    }
}
