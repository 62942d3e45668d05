//! The same table written by the `parquet` crate alone, in one pass over rows that are all there:
//! what anybody could write who needs no file before the end of the run.
//!
//! Encodings, row groups and statistics are those of our writer, so that only the way of writing
//! differs.

use crate::Result;
use parquet::basic::{Compression, Encoding, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, Type};
use qstore_schema::TrainingMetrics as Step;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Rows of a row group, as in our writer.
const GROUP_ROWS: usize = 65_536;

/// A column: where its values come from.
enum Column {
    Int(fn(&Step) -> i64),
    Float(fn(&Step) -> f64),
    OptionalInt(fn(&Step) -> Option<i64>),
    OptionalFloat(fn(&Step) -> Option<f64>),
    OptionalText(fn(&Step) -> Option<&str>),
}

const COLUMNS: [(&str, Column); 18] = [
    ("epoch", Column::Int(|step| step.epoch)),
    ("step", Column::Int(|step| step.step)),
    ("timestamp", Column::Float(|step| step.timestamp)),
    ("train_loss", Column::OptionalFloat(|step| step.train_loss)),
    ("val_loss", Column::OptionalFloat(|step| step.val_loss)),
    ("grad_norm", Column::OptionalFloat(|step| step.grad_norm)),
    ("grad_max", Column::OptionalFloat(|step| step.grad_max)),
    ("grad_min", Column::OptionalFloat(|step| step.grad_min)),
    ("circuit_execution_time_ms", Column::OptionalFloat(|step| step.circuit_execution_time_ms)),
    ("circuits_executed", Column::OptionalInt(|step| step.circuits_executed)),
    ("qubits_used", Column::OptionalInt(|step| step.qubits_used)),
    ("shots_per_circuit", Column::OptionalInt(|step| step.shots_per_circuit)),
    ("backend", Column::OptionalText(|step| step.backend.as_deref())),
    ("queue_time_ms", Column::OptionalFloat(|step| step.queue_time_ms)),
    ("cost_usd", Column::OptionalFloat(|step| step.cost_usd)),
    ("credits_used", Column::OptionalFloat(|step| step.credits_used)),
    ("batch_time_ms", Column::OptionalFloat(|step| step.batch_time_ms)),
    ("throughput_samples_per_sec", Column::OptionalFloat(|step| step.throughput_samples_per_sec)),
];

/// Writes all rows into a new file, which is not synced.
pub(crate) fn write(path: &Path, rows: &[Step], codec: Compression) -> Result<File> {
    let file = File::create(path)?;
    let mut writer = SerializedFileWriter::new(file.try_clone()?, schema()?, properties(codec))?;
    for rows in rows.chunks(GROUP_ROWS) {
        let mut group = writer.next_row_group()?;
        for (_, column) in &COLUMNS {
            write_column(&mut group, column, rows)?;
        }
        group.close()?;
    }
    writer.close()?;
    Ok(file)
}

fn schema() -> Result<Arc<Type>> {
    let leaf = |(name, column): &(&str, Column)| {
        let (physical, logical, repetition) = match column {
            Column::Int(_) => (Physical::INT64, None, Repetition::REQUIRED),
            Column::Float(_) => (Physical::DOUBLE, None, Repetition::REQUIRED),
            Column::OptionalInt(_) => (Physical::INT64, None, Repetition::OPTIONAL),
            Column::OptionalFloat(_) => (Physical::DOUBLE, None, Repetition::OPTIONAL),
            Column::OptionalText(_) => {
                (Physical::BYTE_ARRAY, Some(LogicalType::String), Repetition::OPTIONAL)
            }
        };
        let leaf = Type::primitive_type_builder(name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical);
        Ok(Arc::new(leaf.build()?))
    };
    let leaves = COLUMNS.iter().map(leaf).collect::<Result<_>>()?;
    Ok(Arc::new(Type::group_type_builder("schema").with_fields(leaves).build()?))
}

fn properties(codec: Compression) -> Arc<WriterProperties> {
    let mut builder = WriterProperties::builder()
        .set_compression(codec)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_dictionary_enabled(false);
    for (name, column) in &COLUMNS {
        let path = ColumnPath::from(*name);
        builder = match column {
            Column::Int(_) | Column::OptionalInt(_) => {
                builder.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
            }
            Column::Float(_) | Column::OptionalFloat(_) => {
                builder.set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT)
            }
            Column::OptionalText(_) => builder.set_column_dictionary_enabled(path, true),
        };
    }
    Arc::new(builder.build())
}

fn write_column(
    group: &mut SerializedRowGroupWriter<'_, File>,
    column: &Column,
    rows: &[Step],
) -> Result {
    match column {
        Column::Int(of) => {
            let values: Vec<_> = rows.iter().map(of).collect();
            write_values::<Int64Type>(group, &values, None)
        }
        Column::Float(of) => {
            let values: Vec<_> = rows.iter().map(of).collect();
            write_values::<DoubleType>(group, &values, None)
        }
        Column::OptionalInt(of) => {
            let values: Vec<_> = rows.iter().filter_map(of).collect();
            write_values::<Int64Type>(group, &values, Some(&levels(rows, of)))
        }
        Column::OptionalFloat(of) => {
            let values: Vec<_> = rows.iter().filter_map(of).collect();
            write_values::<DoubleType>(group, &values, Some(&levels(rows, of)))
        }
        Column::OptionalText(of) => {
            let mut last = ByteArray::from("");
            let share = |text: &str| {
                let text = text.as_bytes();
                if last.data() != text {
                    last = ByteArray::from(text.to_vec());
                }
                last.clone()
            };
            let values: Vec<_> = rows.iter().filter_map(of).map(share).collect();
            write_values::<ByteArrayType>(group, &values, Some(&levels(rows, of)))
        }
    }
}

fn levels<'a, T>(rows: &'a [Step], of: impl Fn(&'a Step) -> Option<T>) -> Vec<i16> {
    rows.iter().map(|row| i16::from(of(row).is_some())).collect()
}

fn write_values<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result {
    let mut column = group.next_column()?.ok_or("the schema has fewer columns than the table")?;
    column.typed::<T>().write_batch(values, levels, None)?;
    Ok(column.close()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::steps;
    use parquet::basic::GzipLevel;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use qstore_parquet::{MetricsLog, WriterSettings};
    use std::time::Instant;

    /// Schema, encodings and values of both files are the same, or the comparison would be worth
    /// nothing.
    #[test]
    fn it_is_the_table_that_our_writer_writes() {
        let dir = tempfile::tempdir().unwrap();
        let (raw, ours) = (dir.path().join("raw.parquet"), dir.path().join("ours.parquet"));
        let rows = steps::random(5_000);
        write(&raw, &rows, Compression::GZIP(GzipLevel::default())).unwrap();
        let mut log = MetricsLog::open(&ours, WriterSettings::default()).unwrap();
        for row in &rows {
            log.append(row, Instant::now());
        }
        log.close().unwrap();

        let open = |path| SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        let (raw, ours) = (open(&raw), open(&ours));
        let columns = |reader: &SerializedFileReader<File>| {
            let group = reader.metadata().row_group(0);
            let describe = |column: &parquet::file::metadata::ColumnChunkMetaData| {
                (
                    column.column_descr().self_type().clone(),
                    column.compression(),
                    column.encodings().collect::<Vec<_>>(),
                    // Levels may be in other runs, which is a matter of bytes.
                    column.compressed_size() / 64,
                )
            };
            // A column of nulls takes a few bytes, however they are encoded.
            let with_values = group.columns().iter().filter(|chunk| chunk.compressed_size() > 64);
            with_values.map(describe).collect::<Vec<_>>()
        };
        assert_eq!(columns(&raw), columns(&ours));
        let rows = |reader: &SerializedFileReader<File>| {
            reader.get_row_iter(None).unwrap().map(Result::unwrap).collect::<Vec<_>>()
        };
        assert_eq!(rows(&raw), rows(&ours));
    }
}
