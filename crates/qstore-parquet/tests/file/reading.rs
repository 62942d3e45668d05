//! What was written is read back by name and by range, in pieces or at once.

use crate::{PATH, bits, open, put, row, write};
use qstore_parquet::{
    Compression, Durability, MetricsFile, MetricsLog, ReadError, Values, WriterSettings,
};
use qstore_schema::{DataType, Field, FieldVisitor, Record, Row};
use qstore_storage::MemoryFs;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn settings() -> WriterSettings {
    WriterSettings::default().row_group_rows_max(50).twin_bytes_min(0).reuse_after(Duration::ZERO)
}

#[test]
fn rows_and_columns_are_read_by_name_and_range() {
    let codecs = ["gzip:9", "zstd:3", "lz4", "snappy", "none"];
    for (codec, is_plain, close) in
        codecs.iter().flat_map(|codec| [(codec, false, true), (codec, true, false)])
    {
        let compression: Compression = codec.parse().unwrap();
        let memory = MemoryFs::new();
        let settings = settings().compression(compression).plain_encoding(is_plain);
        write(&memory, settings.clone(), 0, 333, true);
        write(&memory, settings, 333, 500, close);
        let file = MetricsFile::open_in(Arc::new(memory.clone()), PATH).unwrap();
        assert_eq!((file.rows(), file.fields().len()), (500, 4));
        for range in [0..500, 0..0, 49..51, 120..400, 499..u64::MAX, 600..700] {
            let table = file.read(&[], range.clone()).unwrap();
            let end = range.end.min(500);
            let expected: Vec<_> =
                (range.start.min(end)..end).map(|n| bits(&row(n as i64))).collect();
            let found: Vec<_> = table.iter_rows().map(|row| bits(&row)).collect();
            assert_eq!(found, expected, "{codec}, rows {range:?}");
        }
        let table = file.read(&["flag", "n"], 6..9).unwrap();
        let names: Vec<_> = table.columns.iter().map(|column| column.field.name.clone()).collect();
        assert_eq!((names, table.first_row), (vec!["flag".into(), "n".into()], 6));
        assert_eq!(table.column("flag"), Some(&Values::Bool(vec![Some(true), None, None])));

        let mut next = 40;
        for batch in file.batches(&["n"], 40..460).unwrap() {
            let batch = batch.unwrap();
            assert!(batch.first_row == next && (1..=50).contains(&batch.rows));
            next += batch.rows as u64;
        }
        assert_eq!(next, 460);
        assert!(file.validate().unwrap().is_whole());
        let error = file.read(&["N"], 0..1).unwrap_err();
        assert!(matches!(&error, ReadError::UnknownColumn { name, .. } if name == "N"), "{error}");
    }
}

/// A version that was opened does not change, whatever the writer does.
#[test]
fn an_open_file_is_a_snapshot() {
    let memory = MemoryFs::new();
    let mut log = open(&memory, settings().durability(Durability::Flush));
    let mut files = Vec::new();
    for n in 0..200_i64 {
        log.append(&row(n), Instant::now());
        log.flush().unwrap();
        if n % 9 == 0 {
            files.push((n + 1, MetricsFile::open_in(Arc::new(memory.clone()), PATH).unwrap()));
        }
    }
    log.close().unwrap();
    for (rows, file) in files {
        let numbers = file.read(&["n"], 0..u64::MAX).unwrap();
        let expected = Values::Int((0..rows).map(Some).collect());
        assert_eq!(numbers.column("n"), Some(&expected));
    }
}

/// A row type that declares its number.
struct Numbered(Row);

impl Record for Numbered {
    const DECLARED: &'static [Field] = &[Field::required("n", DataType::Int64)];

    fn visit(&self, visitor: &mut impl FieldVisitor) {
        for (name, value) in self.0.iter() {
            match name.as_str() {
                "n" => visitor.declared(0, &Self::DECLARED[0], value.as_ref()),
                _ => visitor.extra(name, value.as_ref()),
            }
        }
    }
}

#[test]
fn the_accounts_of_every_session_are_read_back() {
    let memory = MemoryFs::new();
    for session in 0..3 {
        let run = format!("run {session}");
        let settings = settings().run_id(run).resumed_epoch(session * 10);
        let mut log = MetricsLog::open_in(Arc::new(memory.clone()), PATH, settings).unwrap();
        log.append(&Numbered(row(session)), Instant::now());
        log.append(&Numbered(Row::from([("n", "a text")])), Instant::now());
        log.flush().unwrap();
        if session < 2 {
            log.close().unwrap();
        }
    }
    let file = MetricsFile::open_in(Arc::new(memory.clone()), PATH).unwrap();
    let audit = file.audit().unwrap();
    let segments: Vec<_> = audit
        .segments
        .iter()
        .map(|segment| {
            (
                &*segment.run_id,
                segment.first_row,
                segment.accepted,
                segment.rejected,
                segment.closed,
            )
        })
        .collect();
    let expected = [("run 0", 0, 2, 1, true), ("run 1", 1, 2, 1, true), ("run 2", 2, 2, 1, false)];
    assert_eq!(segments, expected);
    assert_eq!(audit.segments[2].resumed_epoch, Some(20));
    assert!(!audit.closed, "the last session has not ended");
    assert!(file.validate().unwrap().is_whole(), "{:?}", file.validate());
}

/// Plain numbers, and text in a dictionary: what old readers support.
#[test]
fn a_plain_file_has_no_newer_encoding_and_nan_is_never_a_statistic() {
    use parquet::basic::Encoding;
    use parquet::file::metadata::ColumnChunkMetaData;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    for is_plain in [true, false] {
        let memory = MemoryFs::new();
        let settings = WriterSettings::default().plain_encoding(is_plain);
        write(&memory, settings, 0, 10_000, true);
        let bytes = qstore_storage::read_all(&memory, std::path::Path::new(PATH)).unwrap();
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        let group = reader.metadata().row_group(0);
        let mut encodings: Vec<_> =
            group.columns().iter().flat_map(ColumnChunkMetaData::encodings).collect();
        encodings.retain(|encoding| {
            !matches!(
                encoding,
                Encoding::PLAIN
                    | Encoding::RLE
                    | Encoding::RLE_DICTIONARY
                    | Encoding::PLAIN_DICTIONARY
            )
        });
        assert_eq!(encodings.is_empty(), is_plain, "{encodings:?}");
        for column in group.columns() {
            // Every fifth float is NaN; the other columns have their statistics.
            let has_nan = column.column_path().string() == "float";
            assert_eq!(column.statistics().is_none(), has_nan, "{}", column.column_path());
        }
    }
}

// The Parquet library marks floats with an order that was new in 2025 and computes bounds by it; arrow2
// refuses a whole file because of it. Readers of the older order must not be misled by either.
#[test]
fn statistics_hold_in_the_order_that_every_reader_knows() {
    use parquet::basic::ColumnOrder;
    use parquet::data_type::DoubleType;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::file::statistics::Statistics;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    let memory = MemoryFs::new();
    let schema = parse_message_type("message m { required double up; required double down; }");
    let mut bytes = Vec::new();
    let mut writer =
        SerializedFileWriter::new(&mut bytes, schema.unwrap().into(), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for _ in 0..2 {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&[1.0, f64::NAN], None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    put(&memory, &bytes);

    let mut log = open(&memory, WriterSettings::default());
    for n in 0..5_000 {
        let n = f64::from(n);
        log.append(&Row::from([("up", n), ("down", -n)]), Instant::now());
    }
    log.close().unwrap();
    let bytes = qstore_storage::read_all(&memory, std::path::Path::new(PATH)).unwrap();
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
    let orders = reader.metadata().file_metadata().column_orders().unwrap().clone();
    assert!(
        orders.iter().all(|order| matches!(order, ColumnOrder::TYPE_DEFINED_ORDER(_))),
        "{orders:?}"
    );
    let bounds = |group: usize, column: usize| {
        let column = reader.metadata().row_group(group).column(column).clone();
        column.statistics().map(|statistics| match statistics {
            Statistics::Double(floats) => {
                [floats.min_opt(), floats.max_opt()].map(|bound| bound.unwrap().to_bits())
            }
            other => panic!("{other:?}"),
        })
    };
    // Both zeros are between the bounds, even for a reader that compares bits.
    assert_eq!(bounds(1, 0), Some([-0.0_f64, 4_999.0].map(f64::to_bits)));
    assert_eq!(bounds(1, 1), Some([-4_999.0, 0.0_f64].map(f64::to_bits)));
    // Bounds that were found in another order are dropped.
    assert_eq!((bounds(0, 0), bounds(0, 1)), (None, None));
}
