//! How does the cost of a row grow with its columns?
//!
//! Rows of floats that are given by name, as a dynamic row; the limit is the `parquet` crate with the
//! same columns, written once.

use super::NAME;
use crate::harness::round_robin::{Contender, race};
use crate::harness::row::{Measure, Row};
use crate::{Result, Run};
use parquet::basic::{Compression as Codec, Encoding, GzipLevel, Repetition, Type as Physical};
use parquet::data_type::DoubleType;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use qstore_parquet::{MetricsLog, WriterSettings};
use qstore_schema::Row as Dynamic;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const COUNTS: [usize; 6] = [2, 8, 32, 64, 128, 256];
const ROUNDS: usize = 5;

/// Rows of one file.
const ROWS: usize = 2_000;

pub(super) fn run(run: &Run<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for count in COUNTS {
        let table = table(count);
        let name = |who: &str| format!("scaling_row_us_{count}_columns_{who}");
        let x = count as f64;
        let limit = name("raw_writer");
        let ours = Measure::ours(
            name("qstore"),
            "us",
            &[&limit],
            "2 000 dynamic rows of floats, appended, sealed and synced by closing the file, gzip 6; one thread",
        );
        let limit = Measure::limit(
            limit,
            "us",
            "the same table by the `parquet` crate from ready columns, gzip 6, file synced; one thread",
        );
        let (ours_path, raw_path) =
            (run.scratch.join("columns.parquet"), run.scratch.join("columns-raw.parquet"));
        let (dynamic, columns) = (&table.rows, &table);
        let contenders = vec![
            Contender::new(ours.on_curve("columns", "q-store", x), move || {
                write_ours(&ours_path, dynamic)
            }),
            Contender::new(limit.on_curve("columns", "parquet crate", x), move || {
                write_raw(&raw_path, columns)
            }),
        ];
        rows.extend(race(NAME, ROUNDS, contenders)?);
    }
    Ok(rows)
}

struct Table {
    names: Vec<String>,
    columns: Vec<Vec<f64>>,
    rows: Vec<Dynamic>,
}

fn table(count: usize) -> Table {
    let mut random = fastrand::Rng::with_seed(5);
    let names: Vec<_> = (0..count).map(|number| format!("metric_{number}")).collect();
    let columns: Vec<Vec<f64>> =
        names.iter().map(|_| (0..ROWS).map(|_| random.f64()).collect()).collect();
    let row = |index: usize| {
        let mut row = Dynamic::new();
        for (name, column) in names.iter().zip(&columns) {
            row.set(name, column[index]);
        }
        row
    };
    let rows = (0..ROWS).map(row).collect();
    Table { names, columns, rows }
}

fn write_ours(path: &Path, rows: &[Dynamic]) -> Result<f64> {
    let mut log = MetricsLog::open(path, WriterSettings::default())?;
    let started = Instant::now();
    for row in rows {
        log.append(row, started);
    }
    log.close()?;
    let took = started.elapsed();
    let written = qstore_buffer::Sink::<Dynamic>::stats(&log).rows_written;
    fs::remove_file(path)?;
    if written != rows.len() as u64 {
        return Err(format!("{written} of {} rows were written", rows.len()).into());
    }
    Ok(took.as_secs_f64() * 1e6 / rows.len() as f64)
}

fn write_raw(path: &Path, table: &Table) -> Result<f64> {
    let leaf = |name: &String| {
        let leaf = Type::primitive_type_builder(name, Physical::DOUBLE);
        Ok(Arc::new(leaf.with_repetition(Repetition::OPTIONAL).build()?))
    };
    let leaves = table.names.iter().map(leaf).collect::<Result<_>>()?;
    let schema = Arc::new(Type::group_type_builder("schema").with_fields(leaves).build()?);
    let properties = WriterProperties::builder()
        .set_compression(Codec::GZIP(GzipLevel::try_new(6)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_dictionary_enabled(false)
        .set_encoding(Encoding::BYTE_STREAM_SPLIT)
        .build();
    let levels = vec![1; ROWS];
    let started = Instant::now();
    let file = File::create(path)?;
    let mut writer = SerializedFileWriter::new(file.try_clone()?, schema, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for values in &table.columns {
        let mut column = group.next_column()?.ok_or("the schema has fewer columns")?;
        column.typed::<DoubleType>().write_batch(values, Some(&levels), None)?;
        column.close()?;
    }
    group.close()?;
    writer.close()?;
    file.sync_all()?;
    let took = started.elapsed();
    fs::remove_file(path)?;
    Ok(took.as_secs_f64() * 1e6 / ROWS as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_write_the_widest_table() {
        let dir = tempfile::tempdir().unwrap();
        let table = table(256);
        assert!(write_ours(&dir.path().join("ours"), &table.rows).unwrap() > 0.0);
        assert!(write_raw(&dir.path().join("raw"), &table).unwrap() > 0.0);
    }
}
