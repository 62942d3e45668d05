//! A background writer: rows of any shape are pushed into a ring, and the file they are written to can
//! be read at any moment.
//!
//! Run it with `cargo run -p qstore-parquet --example background_writer`.

use qstore_buffer::AsyncBuffer;
use qstore_parquet::{AsyncMetricsWriter, Compression, WriterSettings};
use qstore_schema::Row;
use std::error::Error;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::temp_dir().join("qstore_background_writer.parquet");
    let settings = WriterSettings::default().flush_interval(500).compression(Compression::ZSTD);
    let buffer = AsyncBuffer::new(10_000)?;
    let mut writer = AsyncMetricsWriter::start(buffer.clone(), &path, settings)?;

    let mut in_pushes = Duration::ZERO;
    for step in 0..5_000_i64 {
        let mut row = Row::from([("loss", 1.0 / (1.0 + step as f64))]);
        row.set("step", step);
        if step % 1_000 == 999 {
            // A new name becomes a column; earlier rows are null there.
            row.set("accuracy", 0.5 + step as f64 / 10_000.0);
        }
        let started = Instant::now();
        buffer.push(row)?;
        in_pushes += started.elapsed();
        if step == 2_499 {
            writer.flush(PATIENCE)?;
            println!("half-way:  {} rows can be read now", writer.stats().file_rows);
        }
    }

    let summary = writer.stop(PATIENCE)?;
    println!("stopped:   {} rows written in {} flushes", summary.rows_written, summary.flushes);
    println!("pushing:   {:?} a row, whatever the disk does", in_pushes / 5_000);
    println!("the file:  {} ({} rows so far)", path.display(), summary.file_rows);
    println!(
        "read it:   python3 -c 'import pandas; print(pandas.read_parquet(\"{}\"))'",
        path.display()
    );
    Ok(())
}
