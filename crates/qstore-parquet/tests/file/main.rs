//! The crate from outside: what is written is read back, and damage is never a value.

mod compacting;
mod damage;
mod displaced;
mod following;
mod foreign;
mod foreign_continued;
mod leftovers;
mod lengths;
mod lists;
mod mixed_kinds;
mod numbers;
#[cfg(target_os = "linux")]
mod priority;
mod ranks;
mod reading;
mod recovery;
mod sealed;
mod sealing;
mod stale;
mod times;
mod wide;

use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_schema::{Row, Value};
use qstore_storage::{FileSystem, MemoryFs};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const PATH: &str = "/metrics.parquet";

/// A row with values of every type, some left out, and floats that other formats do not preserve.
fn row(n: i64) -> Row {
    let mut row = Row::from([("n", n)]);
    let float = match n % 5 {
        0 => f64::from_bits(0x7ff8_0000_dead_0000 + n as u64),
        1 => -0.0,
        2 => f64::NEG_INFINITY,
        _ => n as f64 / 7.0,
    };
    row.set("float", float).set("text", if n % 2 == 0 { "even" } else { "odd" });
    if n % 3 == 0 {
        row.set("flag", n % 2 == 0);
    }
    row
}

fn open(memory: &MemoryFs, settings: WriterSettings) -> MetricsLog<Row> {
    MetricsLog::open_in(Arc::new(memory.clone()), PATH, settings).unwrap()
}

/// Appends rows number `from` to `to` with a flush every seven rows; then closes or flushes the file.
fn write(memory: &MemoryFs, settings: WriterSettings, from: i64, to: i64, close: bool) {
    let mut log = open(memory, settings);
    for n in from..to {
        log.append(&row(n), Instant::now());
        if n % 7 == 6 {
            log.flush().unwrap();
        }
    }
    if close {
        log.close().unwrap();
    } else {
        log.flush().unwrap();
    }
}

fn put(memory: &MemoryFs, bytes: &[u8]) {
    memory.create_new(Path::new(PATH)).unwrap().write_at(0, bytes).unwrap();
}

/// A row as text, in which floats are shown as their bits.
fn bits(row: &Row) -> Vec<(String, String)> {
    let show = |value: &Value| match value {
        Value::Float(float) => format!("{:016x}", float.to_bits()),
        other => format!("{other:?}"),
    };
    let mut shown: Vec<_> =
        row.iter().map(|(name, value)| (name.to_string(), show(value))).collect();
    shown.sort();
    shown
}
