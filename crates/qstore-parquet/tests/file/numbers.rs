//! Plain numbers are the values that are read otherwise, and a chunk is known by its bytes wherever they are.

use crate::{PATH, open, put, row, write};
use qstore_parquet::{Chunk, MetricsFile, MetricsLog, ReadError, RowGroup, Values, WriterSettings};
use qstore_schema::Row;
use qstore_storage::MemoryFs;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn settings() -> WriterSettings {
    WriterSettings::default().row_group_rows_max(50).twin_bytes_min(0).reuse_after(Duration::ZERO)
}

fn opened(memory: &MemoryFs) -> MetricsFile {
    MetricsFile::open_in(Arc::new(memory.clone()), PATH).unwrap()
}

/// The values as numbers, bit for bit; `None` if the column has no numbers.
fn expected(values: &Values) -> Option<Vec<Option<u64>>> {
    let bits = |value: f64| value.to_bits();
    match values {
        Values::Bool(all) => {
            Some(all.iter().map(|value| value.map(|flag| bits(flag.into()))).collect())
        }
        Values::Int(all) => {
            Some(all.iter().map(|value| value.map(|int| bits(int as f64))).collect())
        }
        Values::Float(all) => Some(all.iter().map(|value| value.map(bits)).collect()),
        _ => None,
    }
}

/// Every column of a file, by any range of rows and by chunk.
fn check(file: &MetricsFile, what: &str) {
    for field in file.fields() {
        let name = field.name.as_str();
        for rows in [0..file.rows(), 3..7, 40..161, file.rows() - 1..u64::MAX, 5..5, 900..999] {
            let found = file.numbers(name, rows.clone());
            let table = file.read(&[name], rows.clone()).unwrap();
            let Some(expected) = expected(table.column(name).unwrap()) else {
                assert!(matches!(found, Err(ReadError::Unsupported { .. })), "{what}, {name}");
                continue;
            };
            let found = found.unwrap();
            assert_eq!(found.rows.end - found.rows.start, table.rows as u64, "{what}, {name}");
            let found: Vec<_> = found.iter().map(|value| value.map(f64::to_bits)).collect();
            assert_eq!(found, expected, "{what}, {name}, {rows:?}");
        }
        let mut next = 0;
        for group in file.groups() {
            assert_eq!(group.rows.start, next);
            for chunk in file.chunks(name, &group).unwrap() {
                assert_eq!(chunk.rows.start, next, "{what}, {name}");
                next = chunk.rows.end;
                if let Some(bounds) = &chunk.bounds {
                    assert_eq!(
                        *bounds,
                        file.bounds(name, chunk.rows.clone()).unwrap()[0],
                        "{what}"
                    );
                }
            }
            assert_eq!(next, group.rows.end);
        }
        assert_eq!(next, file.rows());
    }
}

#[test]
fn numbers_are_the_values() {
    for close in [false, true] {
        let memory = MemoryFs::new();
        write(&memory, settings(), 0, 1_200, true);
        write(&memory, settings(), 1_200, 1_333, close);
        check(&opened(&memory), if close { "closed" } else { "open" });
    }
}

/// Encodings and types that only other programs use.
#[test]
fn numbers_in_files_of_other_programs() {
    let golden =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/foreign");
    let mut count = 0;
    for entry in std::fs::read_dir(golden).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "parquet") {
            continue;
        }
        let memory = MemoryFs::new();
        put(&memory, &std::fs::read(&path).unwrap());
        let Ok(file) = MetricsFile::open_in(Arc::new(memory), PATH) else { continue };
        if file.rows() > 0 && file.validate().is_ok_and(|found| found.is_whole()) {
            check(&file, &path.display().to_string());
            count += 1;
        }
    }
    assert!(count > 0, "no file was read");
}

/// A merge of sealed groups moves chunks; what they are known by stays.
#[test]
fn a_chunk_keeps_its_checksum_when_groups_are_merged() {
    let memory = MemoryFs::new();
    let mut log = open(&memory, settings());
    let mut seen = HashMap::<(String, u64, u64), Chunk>::new();
    let (mut moved, mut sealed) = (0, 0);
    for n in 0..2_500 {
        log.append(&row(n), Instant::now());
        if n % 50 != 49 {
            continue;
        }
        log.flush().unwrap();
        let file = opened(&memory);
        for group in file.groups() {
            for name in ["n", "float"] {
                // Without a table a group may still be encoded again.
                for chunk in
                    file.chunks(name, &group).unwrap().into_iter().filter(|_| group.table.is_some())
                {
                    let key = (name.to_owned(), chunk.rows.start, chunk.rows.end);
                    sealed += 1;
                    if let Some(known) = seen.get(&key) {
                        let content = |chunk: &Chunk| (chunk.extent.len, chunk.extent.checksum);
                        assert_eq!(content(known), content(&chunk), "{key:?} after {n}");
                        moved += usize::from(known.extent.offset != chunk.extent.offset);
                    }
                    assert!(chunk.extent.checksum.is_some() && chunk.bounds.is_some());
                    seen.insert(key, chunk);
                }
            }
        }
    }
    log.close().unwrap();
    assert!(moved > 20 && sealed > 100, "{moved} of {sealed} were moved");
}

#[test]
fn a_column_that_came_later_is_null_before() {
    let memory = MemoryFs::new();
    let mut log = open(&memory, settings());
    for n in 0..300_i64 {
        let mut row = Row::from([("n", n)]);
        if n >= 200 {
            row.set("late", 0.5);
        }
        log.append(&row, Instant::now());
        if n % 20 == 19 {
            log.flush().unwrap();
        }
    }
    log.close().unwrap();
    let file = opened(&memory);
    let late = file.numbers("late", 0..u64::MAX).unwrap();
    assert_eq!((late.rows.clone(), late.values.len()), (0..300, 100));
    assert_eq!(late.present.map(|present| present.iter().filter(|has| !**has).count()), Some(200));
    check(&file, "late");
    assert!(matches!(file.numbers("Late", 0..1), Err(ReadError::UnknownColumn { .. })));
}

/// Small groups on top of the file are merged by later flushes.
#[test]
fn a_group_of_an_earlier_version_has_no_chunks_in_a_later_one() {
    let memory = MemoryFs::new();
    let storage = Arc::new(memory.clone());
    let mut log = MetricsLog::<Row>::open_in(storage, PATH, settings()).unwrap();
    let mut append = |steps: std::ops::Range<i64>| {
        for step in steps {
            log.append(&Row::from([("step", step)]), Instant::now());
        }
        log.flush().unwrap();
    };
    append(0..60);
    let mut file = opened(&memory);
    let before = file.groups();
    for step in 60..99 {
        append(step..step + 1);
    }
    assert!(file.refresh().unwrap().is_some());
    let after = file.groups();
    let is_same = |group: &&RowGroup| after.iter().any(|now| now.rows == group.rows);
    assert!(before.iter().any(|group| !is_same(&group)), "a group was merged: {after:?}");
    for group in &before {
        let chunks = file.chunks("step", group).unwrap();
        assert_eq!(chunks.is_empty(), !is_same(&group), "{group:?}");
    }
    let chunks = after.iter().flat_map(|group| file.chunks("step", group).unwrap());
    assert_eq!(chunks.map(|chunk| chunk.rows.end - chunk.rows.start).sum::<u64>(), 99);
}
