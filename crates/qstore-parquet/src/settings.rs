//! How a metrics file is written.

use crate::{Compression, Error};
use std::time::Duration;

/// Settings of a metrics file, checked once when it is opened.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct WriterSettings {
    /// Rows after which a flush is due. Default 100, at least 1.
    pub flush_interval: usize,
    /// Time after which a flush is due however few rows wait. Default 10 s, more than 0.
    pub flush_every: Duration,
    /// The codec. Default gzip, level 6.
    pub compression: Compression,
    /// Rows of a full row group, and the most rows held in memory. Default 65 536, at least 1.
    pub row_group_rows_max: usize,
    /// The shortest time between two flushes that were not asked for. Default 50 ms.
    ///
    /// It is stretched to 20 times what publishing takes, so that a large file costs the disk no
    /// more than a twentieth of its time.
    pub publish_pause_min: Duration,
}

impl Default for WriterSettings {
    fn default() -> Self {
        Self {
            flush_interval: 100,
            flush_every: Duration::from_secs(10),
            compression: Compression::default(),
            row_group_rows_max: 65_536,
            publish_pause_min: Duration::from_millis(50),
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
    pub fn flush_every(mut self, time: Duration) -> Self {
        self.flush_every = time;
        self
    }

    /// The codec.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Rows of a full row group, and the most rows held in memory.
    #[must_use]
    pub fn row_group_rows_max(mut self, rows: usize) -> Self {
        self.row_group_rows_max = rows;
        self
    }

    /// The shortest time between two flushes that were not asked for.
    #[must_use]
    pub fn publish_pause_min(mut self, pause: Duration) -> Self {
        self.publish_pause_min = pause;
        self
    }

    pub(crate) fn validate(&self) -> Result<(), Error> {
        let refuse = |setting, advice| Err(Error::Setting { setting, value: "0".into(), advice });
        if self.flush_interval == 0 {
            return refuse(
                "flush_interval",
                "it counts rows and must be at least 1; the default is 100",
            );
        }
        if self.flush_every.is_zero() {
            return refuse("flush_every", "it must be more than nothing; the default is 10 s");
        }
        if self.row_group_rows_max == 0 {
            return refuse("row_group_rows_max", "it must be at least 1; the default is 65 536");
        }
        self.compression.codec().map(drop)
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
            (default().flush_every(Duration::ZERO), "flush_every is 0"),
            (default().row_group_rows_max(0), "row_group_rows_max is 0"),
            (default().compression(Compression::Zstd { level: 99 }), "compression level is 99"),
        ] {
            let error = settings.validate().unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
    }
}
