//! Reads what a metrics file records about its sessions, and checks every byte of it.
//!
//! ```sh
//! cargo run -p qstore-parquet --example audit -- metrics.parquet
//! ```
//!
//! Without a path it writes a small file first.

use qstore_parquet::{MetricsFile, MetricsLog, WriterSettings};
use qstore_schema::Row;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let path = match std::env::args_os().nth(1) {
        Some(path) => PathBuf::from(path),
        None => write(dir.path())?,
    };
    let file = MetricsFile::open(&path)?;
    println!("{} rows in {} row groups, {} bytes", file.rows(), file.row_groups(), file.len());
    if let Some(audit) = file.audit() {
        println!("closed: {}", audit.closed);
        for segment in &audit.segments {
            println!("  run {} from row {}", segment.run_id, segment.first_row);
            println!(
                "    {} accepted, {} written, {} rejected, {} values omitted; {} dropped, {} refused",
                segment.accepted,
                segment.written,
                segment.rejected,
                segment.omitted_values,
                segment.dropped,
                segment.refused
            );
        }
    }
    let validation = file.validate()?;
    for damage in &validation.damage {
        let rows = &damage.rows;
        println!("{}, rows {} to {}: {}", damage.column, rows.start, rows.end, damage.reason);
    }
    for unchecked in &validation.unchecked {
        println!("{} was not checked: {}", unchecked.column, unchecked.reason);
    }
    println!("whole: {}, damaged: {}", validation.is_whole(), validation.is_damaged());
    Ok(())
}

/// A file of two sessions.
fn write(dir: &Path) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let path = dir.join("audit.parquet");
    for session in ["first", "second"] {
        let settings = WriterSettings::default().run_id(session);
        let mut log = MetricsLog::<Row>::open(&path, settings)?;
        for step in 0..100_i64 {
            log.append(&Row::from([("step", step)]), Instant::now());
        }
        log.append(&Row::from([("", 0_i64)]), Instant::now());
        log.close()?;
    }
    Ok(path)
}
