//! A program that logs rows and ends in the requested way, for `integration/endings.rs`.
//!
//! `endings FILE ENDING` logs 150 rows, the first 100 of which it flushes.

use qstore::{AsyncMetricsLogger, LoggerSettings, MetricsRow, StopSignal, WriterSettings};
use std::error::Error;
use std::io::Write as _;
use std::time::Duration;
use std::{env, mem, process, thread};

const LONG: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [file, ending] = arguments.as_slice() else { return Err("FILE ENDING".into()) };
    let stop = if ending == "signal" { Some(StopSignal::install()?) } else { None };

    // Only the call of `flush`, and the end, publish rows.
    let writer = WriterSettings::default().flush_interval(1_000_000).flush_after(LONG);
    let mut logger = AsyncMetricsLogger::open_with(file, LoggerSettings::default(), writer)?;
    let log = |steps: std::ops::Range<i64>| {
        steps
            .map(|step| MetricsRow::step(0, step, 0.5))
            .try_for_each(|row| logger.log_step(row).map(drop))
    };
    log(0..100)?;
    logger.flush(LONG)?;
    log(100..150)?;
    println!("logged");
    std::io::stdout().flush()?;

    match ending.as_str() {
        "stop" => drop(logger.stop(LONG)?),
        "drop" => {}
        "error" => return Err("an error that ends main".into()),
        "panic" => panic!("in the training loop"),
        "exit" => process::exit(0),
        "abort" => process::abort(),
        "forget" => mem::forget(logger),
        "signal" => {
            while stop.as_ref().is_some_and(|stop| !stop.is_set()) {
                thread::yield_now();
            }
        }
        "wait" => loop {
            thread::park();
        },
        other => return Err(format!("unknown ending: {other}").into()),
    }
    Ok(())
}
