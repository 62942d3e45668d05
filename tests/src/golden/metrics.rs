//! Golden metrics files: every codec, nullable and late columns, continued sessions, versions that were copied
//! while they were being written, and damage of every kind.

use super::{check_refusal, damaged, put};
use crate::plain;
use qstore::parquet::{Compression, MetricsLog, Table};
use qstore::schema::Row;
use qstore::storage::{FileSystem, LocalFs, MemoryFs, read_all};
use qstore::{MetricsFile, WriterSettings};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PATH: &str = "/metrics.parquet";

/// Row number `n`: each type, some missing values, and floats that many formats do not preserve.
fn row(n: i64) -> Row {
    let mut row = Row::from([("step", n)]);
    row.set(
        "loss",
        match n % 5 {
            0 => f64::from_bits(0x7ff8_0000_dead_0000 + n as u64),
            1 => -0.0,
            2 => f64::NEG_INFINITY,
            _ => n as f64 / 7.0,
        },
    );
    row.set("backend", if n % 2 == 0 { "simulator" } else { "a device with a long name" });
    if n % 3 == 0 {
        row.set("is_best", n % 2 == 0);
    }
    row
}

/// As [`row`], with a column that appears late and another that is no longer an integer.
fn late_row(n: i64) -> Row {
    let mut row = row(n);
    row.set("accuracy", n as f64 / 100.0);
    row
}

/// The expected values of a file, by column.
fn columns(rows: &[Row]) -> Value {
    let rows: Vec<Value> = rows.iter().map(plain::row).collect();
    let names = rows.iter().filter_map(Value::as_object).flat_map(Map::keys);
    let mut columns = Map::new();
    for name in names {
        let values = || rows.iter().map(|row| row.get(name).cloned().unwrap_or_default());
        columns.entry(name.clone()).or_insert_with(|| values().collect());
    }
    Value::Object(columns)
}

fn columns_of(table: &Table) -> Value {
    columns(&table.iter_rows().collect::<Vec<_>>())
}

/// A log in memory that has not been closed.
struct Run {
    memory: MemoryFs,
    rows: Vec<Row>,
}

impl Run {
    fn new() -> Self {
        Self { memory: MemoryFs::new(), rows: Vec::new() }
    }

    /// One session; a flush after every `flush` rows.
    fn session(&mut self, settings: WriterSettings, rows: Vec<Row>, flush: usize, close: bool) {
        let storage: Arc<dyn FileSystem> = Arc::new(self.memory.clone());
        let settings = settings.run_id(format!("run-{}", self.rows.len()));
        let log = MetricsLog::<Row>::open_in(storage, PATH, settings);
        let mut log = log.expect("the file can be written");
        for (number, row) in rows.into_iter().enumerate() {
            log.append(&row, Instant::now());
            self.rows.push(row);
            if number % flush == flush - 1 {
                log.flush().expect("it can be flushed");
            }
        }
        if close { log.close() } else { log.flush() }.expect("it can be written");
    }

    fn bytes(&self) -> Vec<u8> {
        read_all(&self.memory, Path::new(PATH)).expect("it is there")
    }

    fn expected(&self, closed: bool, written: &[u64]) -> Value {
        json!({"columns": columns(&self.rows), "closed": closed, "written": written})
    }
}

/// Writes the golden metrics files below `root`. Returns their expected contents by name.
pub fn make_metrics(root: &Path) -> Map<String, Value> {
    let mut all = Map::new();
    let mut add = |name: &str, bytes: &[u8], expected: Value| {
        put(root, name, bytes);
        all.insert(name.into(), expected);
    };
    let settings = || WriterSettings::default().reuse_after(Duration::from_secs(1_000));
    let codecs = [
        ("none", Compression::NONE),
        ("gzip", Compression::GZIP),
        ("zstd", Compression::ZSTD),
        ("lz4", Compression::LZ4),
        ("snappy", Compression::SNAPPY),
    ];
    for (name, compression) in codecs {
        let mut run = Run::new();
        let rows = (0..40).map(row).collect();
        run.session(settings().compression(compression), rows, 15, true);
        add(&format!("metrics/{name}.parquet"), &run.bytes(), run.expected(true, &[40]));
    }
    let mut plain = Run::new();
    plain.session(settings().plain_encoding(true), (0..40).map(row).collect(), 15, true);
    add("metrics/plain_encoding.parquet", &plain.bytes(), plain.expected(true, &[40]));

    let mut empty = Run::new();
    empty.session(settings(), vec![Row::from([("step", 0_i64)])], 1, true);
    let gone = Row::from([("step", 0_i64), ("late", 1_i64)]);
    empty.session(settings(), vec![gone], 1, true);
    add("metrics/a_row_and_a_late_column.parquet", &empty.bytes(), empty.expected(true, &[1, 1]));

    // Copied while it is being written: groups with gaps between them, not closed.
    let mut unclosed = Run::new();
    let twin = settings().twin_bytes_min(0).reuse_after(Duration::ZERO);
    unclosed.session(twin.clone(), (0..60).map(row).collect(), 4, false);
    add("metrics/unclosed.parquet", &unclosed.bytes(), unclosed.expected(false, &[60]));
    // Continued by other sessions, with one more column; first closed, then not.
    unclosed.session(twin.clone(), (60..75).map(late_row).collect(), 4, true);
    let expected = unclosed.expected(true, &[60, 15]);
    add("metrics/continued_and_closed.parquet", &unclosed.bytes(), expected);
    unclosed.session(twin, (75..80).map(late_row).collect(), 2, false);
    let expected = unclosed.expected(false, &[60, 15, 5]);
    add("metrics/continued_and_unclosed.parquet", &unclosed.bytes(), expected);

    let whole = plain.bytes();
    let footer = whole.len() - 8 - length_at(&whole, whole.len() - 8);
    let mut refuse =
        |name: &str, bytes: Vec<u8>, error: &str, says: &str, recovered: Option<u64>| {
            let expected = json!({"error": error, "says": says, "recovered_rows": recovered});
            add(&format!("metrics/damaged/{name}.parquet"), &bytes, expected);
        };
    // Detected when it is read, not when it is opened; a writer that continues the file copies it as it is.
    let flipped = damaged(&whole, |bytes| bytes[100] ^= 1);
    refuse("bit_in_a_chunk", flipped, "Damaged", "do not agree with their checksum", Some(40));
    let flipped = damaged(&whole, |bytes| bytes[footer + 40] ^= 1);
    refuse("bit_in_the_footer", flipped, "Damaged", "does not agree with its checksum", None);
    let flipped = damaged(&whole, |bytes| bytes[footer - 8] ^= 1);
    refuse("bit_in_the_seal", flipped, "Damaged", "its checksum is gone", None);
    let cut = damaged(&whole, |bytes| bytes.truncate(footer + 40));
    refuse("cut_in_the_footer", cut, "Damaged", "does not begin and end with the letters", None);
    let cut = damaged(&whole, |bytes| bytes.truncate(7));
    refuse("cut_to_seven_bytes", cut, "Damaged", "it has only 7 bytes", None);
    let longer = damaged(&whole, |bytes| bytes.extend_from_slice(b"appended by mistake\n"));
    refuse("appended_to", longer, "Damaged", "does not begin and end with the letters", Some(40));
    let other = b"step,loss\n1,0.5\n2,0.25\n".to_vec();
    refuse("no_parquet_at_all", other, "Damaged", "does not begin and end with the letters", None);
    all
}

fn length_at(bytes: &[u8], at: usize) -> usize {
    let length: [u8; 4] = bytes[at..at + 4].try_into().expect("four bytes");
    u32::from_le_bytes(length) as usize
}

/// Opens a golden metrics file as a reader, and as a writer that continues it.
pub fn check_metrics(root: &Path, name: &str, expected: &Value) {
    let path = root.join(name);
    let read = || {
        let file = MetricsFile::open(&path)?;
        let validation = file.validate()?;
        let table = file.read(&[], 0..u64::MAX);
        assert_eq!(table.is_ok(), validation.is_whole(), "{name}: {validation:?}");
        Ok((table?, validation))
    };
    let recovered = match read() {
        Err(error) => {
            let error: qstore::parquet::ReadError = error;
            check_refusal(name, &error, expected);
            expected["recovered_rows"].as_u64()
        }
        Ok((table, validation)) => {
            assert_eq!(columns_of(&table), expected["columns"], "{name}");
            let audit = validation.audit.expect("a file of ours");
            assert_eq!(
                (audit.format_version.as_str(), audit.closed),
                ("1", expected["closed"] == true)
            );
            let written: Vec<u64> = audit.segments.iter().map(|segment| segment.written).collect();
            assert_eq!(json!(written), expected["written"], "{name}");
            assert_eq!(validation.unguarded_chunks, 0, "{name}");
            Some(table.rows as u64)
        }
    };
    // On a copy: the golden file is never written.
    let memory = MemoryFs::new();
    let bytes = read_all(&LocalFs::new(), &path).expect("it is there");
    let file = memory.create_new(Path::new(PATH)).expect("the memory is empty");
    file.write_at(0, &bytes).expect("the memory has room");
    let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let log = MetricsLog::<Row>::open_in(storage, PATH, WriterSettings::default());
    match (log, recovered) {
        (Err(error), None) => {
            assert!(
                matches!(error, qstore::parquet::OpenError::NotParquet { .. }),
                "{name}: {error}"
            );
        }
        (Ok(mut log), Some(rows)) => {
            log.append(&Row::from([("step", 1_000_i64)]), Instant::now());
            log.close().expect("it can be continued");
            let file =
                MetricsFile::open_in(Arc::new(memory.clone()), PATH).expect("it can be read again");
            assert_eq!(file.rows(), rows + 1, "{name}");
        }
        (log, recovered) => panic!("{name}: {log:?}, not {recovered:?} rows"),
    }
}
