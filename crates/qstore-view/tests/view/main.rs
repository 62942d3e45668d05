//! The crate from outside: the pictures of files are those of their rows, and what was read is not read again.

mod cached;
mod golden;
mod spikes;
mod written;

use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_schema::Row;
use qstore_storage::FileSystem;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATH: &str = "/metrics.parquet";

/// Small row groups, each with a few chunks, so that a short file has many of them.
fn settings() -> WriterSettings {
    WriterSettings::default()
        .row_group_rows_max(50)
        .twin_bytes_min(0)
        .reuse_after(Duration::ZERO)
        .flush_interval(usize::MAX >> 1)
}

fn open(files: &Arc<dyn FileSystem>) -> MetricsLog<Row> {
    MetricsLog::open_in(Arc::clone(files), PATH, settings()).unwrap()
}

fn append(log: &mut MetricsLog<Row>, rows: impl IntoIterator<Item = Row>) {
    for row in rows {
        log.append(&row, Instant::now());
    }
}
