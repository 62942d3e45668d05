//! How a metrics file is written.

use crate::format::compression::parquet_codec;
use crate::publish::disk::Policy;
use qstore_os::Priority;
use qstore_settings::{Compression, SettingError};
use std::time::Duration;

/// What a flush survives once it is acknowledged. Rows are written and published in the same way in
/// both; the file is whole after whatever happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// A crash or a kill of the process. After a power cut the last version or two may be missing.
    Flush,
    /// A power cut, too: the directory is synced before the flush is acknowledged.
    #[default]
    Sync,
}

/// Settings of a metrics file, checked once when it is opened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WriterSettings {
    /// Rows after which a flush is due. Default 100, at least 1.
    pub flush_interval: usize,
    /// Time after which a flush is due however few rows wait. Default 10 s, more than 0.
    pub flush_after: Duration,
    /// The codec. Default gzip, level 6.
    pub compression: Compression,
    /// Rows of a full row group. Default 65 536, at least 1.
    pub row_group_rows_max: usize,
    /// The most rows that wait to be published; then the ring fills. Default 196 608, at least 1: a full
    /// group that is written, one that is encoded, and one that comes in. Besides them the rows of a
    /// group that is not full yet are in memory.
    pub pending_rows_max: usize,
    /// What an acknowledged flush survives. Default [`Durability::Sync`].
    pub durability: Durability,
    /// Whether numbers are written as they are, for readers that do not know the delta and
    /// byte-stream-split encodings (arrow2, old versions of others); files become a fifth larger.
    /// Default `false`.
    pub plain_encoding: bool,
    /// Which run this is, for the file's [`Audit`](crate::Audit). Default: a random number.
    pub run_id: Option<String>,
    /// The epoch this session goes on from, for the file's [`Audit`](crate::Audit). Default none.
    pub resumed_epoch: Option<i64>,
    /// Whether every version is a copy that is renamed into place, even where the file could be kept
    /// twice. Default `false`.
    pub publish_by_copy: bool,
    /// Bytes from which on the file is kept twice; smaller ones are copied. Default 256 KiB.
    pub twin_bytes_min: u64,
    /// How long bytes that a version no longer mentions stay in their place, for readers that open
    /// the path twice for one read. Default 2 s.
    pub reuse_after: Duration,
    /// The shortest time between two flushes that were not asked for. Default 50 ms.
    ///
    /// It is stretched to 20 times what publishing takes without the encoding, so that a slow disk is
    /// busy with it no more than a twentieth of its time.
    pub publish_pause_min: Duration,
    /// How the threads of a background writer share the machine with the training. Default
    /// [`Priority::Batch`]: they never interrupt the thread that wakes them. Linux only; a
    /// [`MetricsLog`](crate::MetricsLog) that is used without a drain leaves its caller's thread alone.
    pub priority: Priority,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self {
            flush_interval: 100,
            flush_after: Duration::from_secs(10),
            compression: Compression::GZIP,
            row_group_rows_max: 65_536,
            pending_rows_max: 196_608,
            durability: Durability::default(),
            plain_encoding: false,
            run_id: None,
            resumed_epoch: None,
            publish_by_copy: false,
            twin_bytes_min: 256 * 1024,
            reuse_after: Duration::from_secs(2),
            publish_pause_min: Duration::from_millis(50),
            priority: Priority::default(),
        }
    }
}

impl WriterSettings {
    /// Rows after which a flush is due.
    #[must_use]
    pub fn flush_interval(mut self, rows: usize) -> Self {
        self.flush_interval = rows;
        self
    }

    /// Time after which a flush is due however few rows wait.
    #[must_use]
    pub fn flush_after(mut self, time: Duration) -> Self {
        self.flush_after = time;
        self
    }

    /// The codec.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Rows of a full row group.
    #[must_use]
    pub fn row_group_rows_max(mut self, rows: usize) -> Self {
        self.row_group_rows_max = rows;
        self
    }

    /// The most rows that wait to be published.
    #[must_use]
    pub fn pending_rows_max(mut self, rows: usize) -> Self {
        self.pending_rows_max = rows;
        self
    }

    /// What an acknowledged flush survives.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Whether numbers are written as they are.
    #[must_use]
    pub fn plain_encoding(mut self, is_plain: bool) -> Self {
        self.plain_encoding = is_plain;
        self
    }

    /// Which run this is.
    #[must_use]
    pub fn run_id(mut self, id: impl Into<String>) -> Self {
        self.run_id = Some(id.into());
        self
    }

    /// The epoch this session goes on from.
    #[must_use]
    pub fn resumed_epoch(mut self, epoch: i64) -> Self {
        self.resumed_epoch = Some(epoch);
        self
    }

    /// Whether every version is a copy that is renamed into place.
    #[must_use]
    pub fn publish_by_copy(mut self, by_copy: bool) -> Self {
        self.publish_by_copy = by_copy;
        self
    }

    /// Bytes from which on the file is kept twice.
    #[must_use]
    pub fn twin_bytes_min(mut self, bytes: u64) -> Self {
        self.twin_bytes_min = bytes;
        self
    }

    /// How long bytes that a version no longer mentions stay in their place.
    #[must_use]
    pub fn reuse_after(mut self, time: Duration) -> Self {
        self.reuse_after = time;
        self
    }

    /// The shortest time between two flushes that were not asked for.
    #[must_use]
    pub fn publish_pause_min(mut self, pause: Duration) -> Self {
        self.publish_pause_min = pause;
        self
    }

    /// How the threads of a background writer share the machine with the training.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    pub(crate) fn policy(&self) -> Policy {
        Policy {
            patience: self.flush_after,
            publish_by_copy: self.publish_by_copy,
            twin_bytes_min: self.twin_bytes_min,
            reuse_after: self.reuse_after,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), SettingError> {
        SettingError::check_min("flush_interval", self.flush_interval, 1, "100")?;
        if self.flush_after.is_zero() {
            let choices = "a time that is more than 0";
            return Err(SettingError::new("flush_after", "0", choices, "10 s"));
        }
        SettingError::check_min("row_group_rows_max", self.row_group_rows_max, 1, "65 536")?;
        SettingError::check_min("pending_rows_max", self.pending_rows_max, 1, "196 608")?;
        parquet_codec(self.compression).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_is_refused_by_name() {
        let default = WriterSettings::default;
        assert!(default().validate().is_ok());
        for (settings, name) in [
            (default().flush_interval(0), "flush_interval is 0"),
            (default().flush_after(Duration::ZERO), "flush_after is 0"),
            (default().row_group_rows_max(0), "row_group_rows_max is 0"),
            (default().pending_rows_max(0), "pending_rows_max is 0"),
            (default().compression(Compression::ZSTD.level(99)), "compression is zstd:99"),
        ] {
            let error = settings.validate().unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
