//! Prints the rows of a metrics file as they are published, until its session has ended: `tail -f` for
//! a run in another process.
//!
//! ```sh
//! cargo run -p qstore-parquet --example follow -- metrics.parquet
//! ```
//!
//! Without a path it follows a small run of its own, on another thread.

use qstore_parquet::{Follow, MetricsLog, WriterSettings};
use qstore_schema::Row;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The time between two looks; a look at a file that has not changed takes some microseconds.
const PAUSE: Duration = Duration::from_millis(20);

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(path) = std::env::args_os().nth(1) {
        return follow(Path::new(&path));
    }
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("follow.parquet");
    let run = thread::spawn({
        let path = path.clone();
        move || write(path).map_err(|error| error.to_string())
    });
    follow(&path)?;
    run.join().expect("the run does not panic")?;
    Ok(())
}

fn follow(path: &Path) -> Result<(), Box<dyn Error>> {
    let mut follow = Follow::new(path);
    while !follow.is_closed() {
        while let Some(table) = follow.poll()? {
            for (number, row) in (table.first_row..).zip(table.iter_rows()) {
                println!("row {number}: {row:?}");
            }
        }
        thread::sleep(PAUSE);
    }
    println!("the session has ended after {} rows", follow.next_row());
    Ok(())
}

/// Ten flushes of two rows.
fn write(path: PathBuf) -> Result<(), Box<dyn Error>> {
    let mut log = MetricsLog::<Row>::open(path, WriterSettings::default())?;
    for step in 0..20_i64 {
        log.append(&Row::from([("loss", 1.0 / (1 + step) as f64)]), Instant::now());
        if step % 2 == 1 {
            log.flush()?;
        }
    }
    Ok(log.close()?)
}
