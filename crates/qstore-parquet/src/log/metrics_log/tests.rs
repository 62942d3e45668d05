//! The log against a model, across flushes, new columns, reopening, kills and power cuts.

use super::*;
use crate::columns::table::Values;
use crate::format::checksums::SEAL_LEN;
use crate::format::footer;
use crate::read::reader::MetricsFile;
use parquet::column::reader::{ColumnReader, get_typed_column_reader};
use parquet::data_type::{BoolType, ByteArrayType, DataType as ParquetType, DoubleType, Int64Type};
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use proptest::prelude::*;
use proptest::test_runner::contextualize_config;
use qstore_schema::{Row, TrainingMetrics, Value};
use qstore_settings::Compression;
use qstore_storage::{MemoryFs, StagedFile, read_all};
use std::collections::BTreeMap;
use std::time::Duration;

const PATH: &str = "/metrics.parquet";

/// A row as a reader sees it: nulls are left out, floats compare by their bits.
type Seen = BTreeMap<String, Bits>;

#[derive(Debug, Clone, PartialEq)]
enum Bits {
    Bool(bool),
    Int(i64),
    Float(u64),
    Text(String),
}

fn seen(row: &Row) -> Seen {
    row.iter().filter_map(|(name, value)| Some((name.to_string(), bits(value)?))).collect()
}

fn bits(value: &Value) -> Option<Bits> {
    Some(match value {
        Value::Bool(v) => Bits::Bool(*v),
        Value::Int(v) => Bits::Int(*v),
        Value::Float(v) => Bits::Float(v.to_bits()),
        Value::Text(v) => Bits::Text(v.to_string()),
        _ => return None,
    })
}

/// Reads a published file row by row, with nothing but the Parquet library.
fn read(storage: &dyn FileSystem) -> Vec<Seen> {
    let Ok(bytes) = read_all(storage, Path::new(PATH)) else { return Vec::new() };
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
    let mut rows = Vec::new();
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).unwrap();
        let first = rows.len();
        rows.resize(first + group.metadata().num_rows() as usize, Seen::new());
        for index in 0..group.num_columns() {
            let name = group.metadata().column(index).column_path().string();
            for (row, value) in
                column(group.get_column_reader(index).unwrap()).into_iter().enumerate()
            {
                if let Some(value) = value {
                    rows[first + row].insert(name.clone(), value);
                }
            }
        }
    }
    rows
}

fn column(reader: ColumnReader) -> Vec<Option<Bits>> {
    fn values<T: ParquetType>(
        reader: ColumnReader,
        bits: impl Fn(T::T) -> Bits,
    ) -> Vec<Option<Bits>> {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let mut reader = get_typed_column_reader::<T>(reader);
        let (rows, ..) =
            reader.read_records(usize::MAX, Some(&mut levels), None, &mut values).unwrap();
        let mut values = values.into_iter().map(bits);
        if levels.is_empty() {
            return values.by_ref().take(rows).map(Some).collect();
        }
        levels.into_iter().map(|level| (level == 1).then(|| values.next().unwrap())).collect()
    }
    match reader {
        ColumnReader::BoolColumnReader(_) => values::<BoolType>(reader, Bits::Bool),
        ColumnReader::Int64ColumnReader(_) => values::<Int64Type>(reader, Bits::Int),
        ColumnReader::DoubleColumnReader(_) => {
            values::<DoubleType>(reader, |value| Bits::Float(value.to_bits()))
        }
        ColumnReader::ByteArrayColumnReader(_) => {
            values::<ByteArrayType>(reader, |value| Bits::Text(value.as_utf8().unwrap().to_owned()))
        }
        _ => panic!("a metrics file has no such column"),
    }
}

fn open(memory: &MemoryFs, settings: WriterSettings) -> MetricsLog<Row> {
    MetricsLog::open_in(Arc::new(memory.clone()), PATH, settings).unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Append(Row),
    Flush,
    Reopen,
    Kill,
    PowerCut,
    TornPowerCut,
}

/// Each name has one type, so that no row is rejected; `late` widens from integers to floats.
fn rows() -> impl Strategy<Value = Row> {
    let float = prop_oneof![
        any::<f64>(),
        any::<u64>().prop_map(f64::from_bits),
        Just(-0.0),
        Just(f64::from_bits(0x7ff8_0000_dead_beef)),
    ];
    (
        prop::option::of(float),
        prop::option::of(any::<i64>()),
        prop::option::of("[a-c]{0,30}"),
        prop::option::of(any::<bool>()),
        prop::option::of((-5_i64..5, any::<bool>())),
    )
        .prop_map(|(float, int, text, flag, late)| {
            let mut row = Row::new();
            row.set("float", float).set("int", int).set("text", text).set("flag", flag);
            if let Some((number, true)) = late {
                row.set("late", number);
            } else if let Some((number, false)) = late {
                row.set("late", number as f64 + 0.5);
            }
            row
        })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => rows().prop_map(Step::Append),
        4 => Just(Step::Flush),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
        1 => Just(Step::PowerCut),
        1 => Just(Step::TornPowerCut),
    ];
    prop::collection::vec(step, 1..120)
}

/// A column that has become one of floats shows its earlier integers as floats.
fn widen(model: &mut [Seen]) {
    let is_float = |row: &Seen| matches!(row.get("late"), Some(Bits::Float(_)));
    if model.iter().any(is_float) {
        for row in model {
            if let Some(Bits::Int(number)) = row.get("late") {
                let float = Bits::Float((*number as f64).to_bits());
                row.insert("late".into(), float);
            }
        }
    }
}

proptest! {
    #![proptest_config(contextualize_config(ProptestConfig::with_cases(200)))]
    #[test]
    fn every_flushed_row_comes_back_bit_for_bit(
        steps in steps(),
        compression in prop::sample::select(vec![
            Compression::GZIP, Compression::ZSTD, Compression::LZ4, Compression::SNAPPY,
            Compression::NONE,
        ]),
        row_group_rows_max in 1_usize..40,
        is_twin in any::<bool>(),
        is_plain in any::<bool>(),
        reuse_after_us in prop::sample::select(vec![0, 100, 1_000_000]),
    ) {
        let settings = WriterSettings::default()
            .compression(compression)
            .plain_encoding(is_plain)
            .twin_bytes_min(if is_twin { 0 } else { u64::MAX })
            .reuse_after(Duration::from_micros(reuse_after_us))
            .row_group_rows_max(row_group_rows_max);
        let mut memory = MemoryFs::new();
        let mut log = open(&memory, settings.clone());
        let (mut flushed, mut pending) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Append(row) => {
                    if log.capacity() == 0 {
                        log.flush().unwrap();
                        flushed.append(&mut pending);
                    }
                    // Only an empty row in a file without columns is rejected.
                    let is_nothing = log.fields().is_empty() && seen(&row).is_empty();
                    let rejected = log.stats.rejected_rows + u64::from(is_nothing);
                    log.append(&row, Instant::now());
                    prop_assert_eq!(log.stats.rejected_rows, rejected);
                    if !is_nothing {
                        pending.push(seen(&row));
                    }
                }
                Step::Flush => {
                    log.flush().unwrap();
                    flushed.append(&mut pending);
                }
                Step::Reopen => {
                    log.close().unwrap();
                    flushed.append(&mut pending);
                    drop(log);
                    log = open(&memory, settings.clone());
                }
                // Pending rows are lost with the process, flushed ones are not: a flush is durable
                // before it is acknowledged.
                Step::Kill | Step::PowerCut | Step::TornPowerCut => {
                    pending.clear();
                    memory = match step {
                        Step::Kill => memory.process_kill(),
                        Step::TornPowerCut => memory.power_cut_torn(),
                        _ => memory.power_cut(),
                    };
                    log = open(&memory, settings.clone());
                }
            }
            widen(&mut flushed);
            prop_assert_eq!(&read(&memory), &flushed);
        }
        log.close().unwrap();
        flushed.append(&mut pending);
        widen(&mut flushed);
        prop_assert_eq!(read(&memory), flushed);
    }
}

#[test]
fn a_file_of_declared_columns_is_a_table_from_the_start() {
    let memory = MemoryFs::new();
    let settings = WriterSettings::default();
    let storage = Arc::new(memory.clone());
    let log = MetricsLog::<TrainingMetrics>::open_in(storage, PATH, settings).unwrap();
    assert_eq!(log.fields(), TrainingMetrics::DECLARED);
    let bytes = read_all(&memory, Path::new(PATH)).unwrap();
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
    let info = reader.metadata().file_metadata();
    assert_eq!((info.num_rows(), info.schema_descr().num_columns()), (0, 18));
}

#[test]
fn columns_that_are_given_are_there_before_a_row_has_a_value() {
    let memory = MemoryFs::new();
    let settings = WriterSettings::default()
        .column("val_loss", DataType::Float64)
        .column("note", DataType::Utf8);
    let mut log = open(&memory, settings.clone());
    for row in [Row::new(), Row::from([("step", Value::from(1_i64))]), Row::new()] {
        assert_eq!(log.append(&row, Instant::now()), Appended::Whole);
    }
    log.close().unwrap();
    drop(log);
    // A file has them once, although they are given again.
    let mut log = open(&memory, settings);
    log.append(&Row::from([("val_loss", Value::from(0.5))]), Instant::now());
    log.close().unwrap();
    let file = MetricsFile::open_in(Arc::new(memory), PATH).unwrap();
    let names: Vec<_> = file.fields().iter().map(|field| field.name.as_str()).collect();
    assert_eq!(names, ["val_loss", "note", "step"]);
    let table = file.read(&["val_loss", "note"], 0..9).unwrap();
    assert_eq!(table.column("val_loss"), Some(&Values::Float(vec![None, None, None, Some(0.5)])));
    assert_eq!(table.column("note"), Some(&Values::Text(vec![None; 4])));
}

#[test]
fn a_file_is_not_given_more_columns_than_rows_may_add() {
    let names = 0..=COLUMNS_MAX;
    let settings = names.fold(WriterSettings::default(), |settings, number| {
        settings.column(number.to_string(), DataType::Float64)
    });
    let files: Arc<dyn FileSystem> = Arc::new(MemoryFs::new());
    let error = MetricsLog::<Row>::open_in(files, PATH, settings).unwrap_err().to_string();
    assert!(error.starts_with("columns is 10001 names; choose at most 10000 names"), "{error}");
}

#[test]
fn a_second_writer_is_refused_until_the_first_is_gone() {
    let memory = MemoryFs::new();
    let first = open(&memory, WriterSettings::default());
    let second =
        MetricsLog::<Row>::open_in(Arc::new(memory.clone()), PATH, WriterSettings::default());
    assert!(matches!(second, Err(OpenError::AlreadyOpen { path }) if path == Path::new(PATH)));
    drop(first);
    open(&memory, WriterSettings::default());
}

#[test]
fn full_row_groups_are_sealed_and_dropped_from_memory() {
    let memory = MemoryFs::new();
    let settings = WriterSettings::default().row_group_rows_max(10).pending_rows_max(25);
    let mut log = open(&memory, settings);
    let mut batch: Vec<_> = (0..25_i64).map(|n| Row::from([("n", n)])).collect();
    log.receive(&mut batch, &mut Round::new(Instant::now())).unwrap();
    assert_eq!((batch.len(), log.capacity()), (0, 0));
    log.tick(Instant::now()).unwrap().run().unwrap();
    log.settle();
    assert_eq!((log.capacity(), log.stored_groups, log.stack.len()), (25, 2, 1));
    assert_eq!(log.rows.len(), 5, "the other rows are in full groups");
}

/// Rows that arrive while a version is written are in the next one, whatever columns they add.
#[test]
fn rows_are_received_while_a_version_is_written() {
    let memory = MemoryFs::new();
    let mut log = open(&memory, WriterSettings::default().twin_bytes_min(0));
    let mut expected = Vec::new();
    let mut append = |log: &mut MetricsLog<Row>, row: Row| {
        log.append(&row, Instant::now());
        expected.push(seen(&row));
    };
    append(&mut log, Row::from([("late", Value::Int(1))]));
    for round in 0..30_i64 {
        let Progress::Work(work) = Sink::flush(&mut log).unwrap() else { panic!("rows wait") };
        // Meanwhile a column is added, and another one becomes one of floats.
        append(&mut log, Row::from([(format!("c{}", round / 4), Value::Int(round))]));
        if round == 7 {
            append(&mut log, Row::from([("late", 0.5)]));
        }
        work().unwrap();
        log.settle();
        assert_eq!(log.pending, 1 + usize::from(round == 7));
        log.flushing = None;
    }
    log.close().unwrap();
    widen(&mut expected);
    assert_eq!(read(&memory), expected);
}

/// A flush covers the rows that were pending when it began, and ends however fast rows arrive.
#[test]
fn a_flush_ends_although_rows_keep_arriving() {
    let memory = MemoryFs::new();
    let mut log = open(&memory, WriterSettings::default());
    log.append(&Row::from([("n", 0_i64)]), Instant::now());
    let mut rounds = 0;
    while let Progress::Work(work) = Sink::flush(&mut log).unwrap() {
        log.append(&Row::from([("n", 1_i64)]), Instant::now());
        work().unwrap();
        rounds += 1;
    }
    assert_eq!((rounds, log.pending), (1, 1));
}

#[test]
fn closing_leaves_one_group_per_session_and_is_recorded_in_the_footer() {
    let memory = MemoryFs::new();
    for session in 1..=3 {
        let mut log = open(&memory, WriterSettings::default());
        for n in 0..20_i64 {
            log.append(&Row::from([("n", n)]), Instant::now());
            log.flush().unwrap();
        }
        log.close().unwrap();
        let published = log.published.as_ref().unwrap();
        assert_eq!((published.groups.len(), published.rows()), (session, session as u64 * 20));
        let is_closed =
            |key: &KeyValue| key.key == "qstore.closed" && key.value.as_deref() == Some("true");
        assert!(published.keys.iter().any(is_closed));
        assert_eq!(published.keys.len(), 4, "the keys of earlier sessions are replaced");
    }
}

#[test]
fn opening_and_closing_without_rows_changes_nothing() {
    let memory = MemoryFs::new();
    let mut log = open(&memory, WriterSettings::default());
    log.append(&Row::from([("n", 1_i64)]), Instant::now());
    log.close().unwrap();
    drop(log);
    let before = read_all(&memory, Path::new(PATH)).unwrap();
    open(&memory, WriterSettings::default()).close().unwrap();
    assert_eq!(read_all(&memory, Path::new(PATH)).unwrap(), before);
}

#[test]
fn a_file_with_other_columns_is_refused_and_left_untouched() {
    struct Other;
    impl Record for Other {
        const DECLARED: &'static [Field] = &[Field::required("epoch", DataType::Utf8)];
        fn visit(&self, _: &mut impl qstore_schema::FieldVisitor) {}
    }
    let memory = MemoryFs::new();
    let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
    let settings = WriterSettings::default;
    drop(MetricsLog::<TrainingMetrics>::open_in(Arc::clone(&storage), PATH, settings()).unwrap());
    let before = read_all(&memory, Path::new(PATH)).unwrap();
    let error = MetricsLog::<Other>::open_in(Arc::clone(&storage), PATH, settings()).unwrap_err();
    let message = "column `epoch` holds 64-bit integers in the file and text in these rows";
    assert!(error.to_string().contains(message), "{error}");
    let error = MetricsLog::<qstore_schema::QuantumMetrics>::open_in(storage, PATH, settings());
    assert!(error.is_ok(), "the 18 columns are all among the 29");
    drop(error);
    assert_eq!(read_all(&memory, Path::new(PATH)).unwrap(), before);
}

#[test]
fn a_file_that_is_not_parquet_is_refused_and_left_untouched() {
    let whole = {
        let memory = MemoryFs::new();
        let mut log = open(&memory, WriterSettings::default());
        log.append(&Row::from([("n", 1_i64)]), Instant::now());
        log.close().unwrap();
        read_all(&memory, Path::new(PATH)).unwrap()
    };
    let mut wrong_length = whole.clone();
    let end = wrong_length.len();
    wrong_length[end - 6] = 0xff;
    let mut damaged = whole.clone();
    damaged[end - 20..end - 8].fill(0xff);
    let texts: [&[u8]; 5] =
        [b"epoch,loss\n1,2\n", b"PAR1PAR1", &whole[..end - 1], &wrong_length, &damaged];
    for bytes in texts {
        let memory = MemoryFs::new();
        let storage: Arc<dyn FileSystem> = Arc::new(memory.clone());
        let mut staged = StagedFile::create(&storage, Path::new("/staged")).unwrap();
        staged.append(bytes).unwrap();
        staged.commit(Path::new(PATH)).unwrap();
        let error = MetricsLog::<Row>::open_in(storage, PATH, WriterSettings::default());
        assert!(matches!(error, Err(OpenError::NotParquet { .. })), "{error:?}");
        assert_eq!(read_all(&memory, Path::new(PATH)).unwrap(), bytes);
    }
}

/// A file whose footer makes false claims is refused, or continued, or fails later with an error. In no
/// case does anything panic or the writer's memory grow without limit. Regression: 15 of 6 000 such
/// files caused a panic.
#[test]
fn a_footer_that_lies_is_an_error_at_the_latest_when_it_matters() {
    let memory = MemoryFs::new();
    let mut log = open(&memory, WriterSettings::default());
    for n in 0..30_i64 {
        log.append(&Row::from([("n", Value::Int(n)), ("t", "x".into())]), Instant::now());
        log.flush().unwrap();
    }
    log.close().unwrap();
    let whole = read_all(&memory, Path::new(PATH)).unwrap();
    let footer = log.published.as_ref().unwrap().data_end as usize + SEAL_LEN as usize;
    let mut refused = 0;
    for position in footer..whole.len() {
        for change in [0x01, 0x08, 0x40, 0x80, 0xff] {
            let mut lie = whole.clone();
            lie[position] ^= change;
            // With a matching seal, as if this crate had written it.
            let seal = crate::format::checksums::seal(&lie[footer..whole.len() - 8]);
            lie[footer - SEAL_LEN as usize..footer].copy_from_slice(&seal);
            let memory = MemoryFs::new();
            memory.create_new(Path::new(PATH)).unwrap().write_at(0, &lie).unwrap();
            let settings = WriterSettings::default().compression(Compression::NONE);
            let storage = Arc::new(memory.clone());
            let Ok(mut log) = MetricsLog::<Row>::open_in(storage, PATH, settings) else {
                refused += 1;
                continue;
            };
            // Widens one column and adds another: both make the writer read or copy stored chunks.
            let row = Row::from([("n", 0.5), ("new", 1.0)]);
            log.append(&row, Instant::now());
            let _ = log.close();
        }
    }
    assert!(refused > 100, "{refused} refused");
    println!("{} cases", (whole.len() - footer) * 5);
}

#[test]
fn two_columns_of_one_name_are_refused() {
    let fields = [Field::nullable("a", DataType::Int64), Field::nullable("a", DataType::Int64)];
    let memory = MemoryFs::new();
    let mut bytes = footer::MAGIC.to_vec();
    bytes.extend(footer::encode(&[], &Shape::continued(fields.to_vec(), None), &[]));
    memory.create_new(Path::new(PATH)).unwrap().write_at(0, &bytes).unwrap();
    let storage = Arc::new(memory);
    let error = MetricsLog::<Row>::open_in(storage, PATH, WriterSettings::default()).unwrap_err();
    assert!(error.to_string().contains("column `a` is declared twice"), "{error}");
}

#[test]
fn a_path_that_cannot_be_a_file_is_refused_with_a_reason() {
    let memory = MemoryFs::new();
    memory.create_dir(Path::new("/dir")).unwrap();
    for (path, message) in [
        ("/dir", "/dir cannot be a metrics file: it is a directory; name a file in it"),
        ("/no/metrics.parquet", "its directory does not exist; create it first"),
        ("/", "it does not name a file"),
    ] {
        let storage = Arc::new(memory.clone());
        let error = MetricsLog::<Row>::open_in(storage, path, WriterSettings::default());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
    assert_eq!(memory.list(Path::new("/")).unwrap().len(), 1);
}

#[test]
fn a_leftover_of_a_killed_writer_is_removed() {
    let memory = MemoryFs::new();
    memory.create_new(Path::new("/.metrics.parquet.twin")).unwrap();
    open(&memory, WriterSettings::default()).close().unwrap();
    assert!(memory.list(Path::new("/")).unwrap().is_empty());
}
