//! Files of other programs, and of later versions: what cannot be decoded is an error of its own, never
//! damage; everything else is read as it is.

use crate::{PATH, put, write};
use parquet::basic::{Compression as ParquetCodec, Encoding};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type,
};
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use qstore_parquet::{
    Compression, MetricsFile, MetricsLog, OpenError, ReadError, TimeOf, TimeType, TimeUnit, Values,
    WriterSettings,
};
use qstore_schema::{Row, SmolStr};
use qstore_storage::{MemoryFs, read_all};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// A file of one column in one group, as the Parquet library writes it.
pub(crate) fn file<T: DataType>(
    column: &str,
    properties: WriterProperties,
    values: &[T::T],
    levels: (Option<&[i16]>, Option<&[i16]>),
) -> Vec<u8> {
    let schema = parse_message_type(&format!("message m {{ {column} }}")).unwrap();
    let mut writer =
        SerializedFileWriter::new(Vec::new(), schema.into(), properties.into()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(values, levels.0, levels.1).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.into_inner().unwrap()
}

pub(crate) fn one<T: DataType>(column: &str, values: &[T::T]) -> Vec<u8> {
    file::<T>(column, WriterProperties::default(), values, (None, None))
}

fn opened(bytes: &[u8]) -> Result<MetricsFile, ReadError> {
    let memory = MemoryFs::new();
    put(&memory, bytes);
    MetricsFile::open_in(Arc::new(memory), PATH)
}

/// Why the file cannot be continued; it must be untouched then.
pub(crate) fn refusal(bytes: &[u8]) -> OpenError {
    let memory = MemoryFs::new();
    put(&memory, bytes);
    let log = MetricsLog::<Row>::open_in(Arc::new(memory.clone()), PATH, WriterSettings::default());
    let Err(error) = log else { panic!("it is refused") };
    assert_eq!(read_all(&memory, Path::new(PATH)).unwrap(), bytes, "{error}");
    error
}

fn read(bytes: &[u8]) -> Values {
    let file = opened(bytes).unwrap();
    assert!(file.validate().unwrap().is_whole(), "{:?}", file.validate());
    file.read(&["c"], 0..u64::MAX).unwrap().columns.remove(0).values
}

/// Every encoding that the library has for a type, in pages of both versions, with nulls and without.
fn every_encoding<T: DataType>(
    kind: &str,
    encodings: &[Encoding],
    values: &[T::T],
    expected: impl Fn(&[Option<T::T>]) -> Values,
) {
    let levels: Vec<i16> = (0..values.len() * 3 / 2).map(|n| i16::from(n % 3 != 1)).collect();
    let mut there = values.iter().cloned();
    let with_nulls: Vec<_> =
        levels.iter().map(|level| if *level == 1 { there.next() } else { None }).collect();
    let whole: Vec<_> = values.iter().cloned().map(Some).collect();
    for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
        for (encoding, codec) in encodings.iter().flat_map(|encoding| {
            [ParquetCodec::UNCOMPRESSED, ParquetCodec::LZ4, ParquetCodec::SNAPPY]
                .map(|codec| (*encoding, codec))
        }) {
            let builder = WriterProperties::builder()
                .set_writer_version(version)
                .set_compression(codec)
                .set_data_page_row_count_limit(70)
                .set_write_batch_size(50);
            let properties = match encoding {
                Encoding::RLE_DICTIONARY => builder.set_dictionary_enabled(true).build(),
                other => builder.set_dictionary_enabled(false).set_encoding(other).build(),
            };
            let what = format!("{kind} as {encoding} with {codec:?} in pages {version:?}");
            let required = format!("required {kind};");
            let bytes = file::<T>(&required, properties.clone(), values, (None, None));
            assert_eq!(read(&bytes), expected(&whole), "{what}");
            let optional = format!("optional {kind};");
            let bytes = file::<T>(&optional, properties, values, (Some(&levels), None));
            assert_eq!(read(&bytes), expected(&with_nulls), "{what}, with nulls");
        }
    }
}

#[test]
fn every_encoding_of_every_type_is_read() {
    use Encoding::{
        ALP, BYTE_STREAM_SPLIT, DELTA_BINARY_PACKED, DELTA_BYTE_ARRAY, DELTA_LENGTH_BYTE_ARRAY,
        PLAIN, RLE, RLE_DICTIONARY,
    };
    let flags: Vec<_> = (0..200).map(|n| n % 7 < 3).collect();
    every_encoding::<BoolType>("boolean c", &[PLAIN, RLE], &flags, |all| Values::Bool(all.into()));
    let floats: Vec<_> = (0..200).map(|n| f64::from(n % 50) / 8.0).collect();
    let encodings = [PLAIN, RLE_DICTIONARY, BYTE_STREAM_SPLIT, ALP];
    every_encoding::<DoubleType>("double c", &encodings, &floats, |all| Values::Float(all.into()));
    let floats: Vec<_> = floats.iter().map(|float| *float as f32).collect();
    every_encoding::<FloatType>("float c", &encodings, &floats, |all| {
        Values::Float(all.iter().map(|float| float.map(f64::from)).collect())
    });
    let encodings = [PLAIN, RLE_DICTIONARY, BYTE_STREAM_SPLIT, DELTA_BINARY_PACKED];
    let integers: Vec<_> = (0..200_i64).map(|n| (n % 50).pow(9) - 7).collect();
    every_encoding::<Int64Type>("int64 c", &encodings, &integers, |all| Values::Int(all.into()));
    let integers: Vec<_> = integers.iter().map(|integer| *integer as i32).collect();
    every_encoding::<Int32Type>("int32 c", &encodings, &integers, |all| {
        Values::Int(all.iter().map(|integer| integer.map(i64::from)).collect())
    });
    every_encoding::<Int32Type>("int32 c (INTEGER(32, false))", &encodings, &integers, |all| {
        Values::Int(all.iter().map(|integer| integer.map(|i| i64::from(i as u32))).collect())
    });
    let encodings = [PLAIN, RLE_DICTIONARY, DELTA_BYTE_ARRAY, DELTA_LENGTH_BYTE_ARRAY];
    let texts: Vec<_> = (0..200).map(|n| format!("/run_{}/a path to {n}", n / 40)).collect();
    let texts: Vec<_> = texts.iter().map(|text| ByteArray::from(text.as_str())).collect();
    every_encoding::<ByteArrayType>("binary c (UTF8)", &encodings, &texts, |all| {
        let text = |text: &ByteArray| SmolStr::from(text.as_utf8().unwrap());
        Values::Text(all.iter().map(|value| value.as_ref().map(text)).collect())
    });
}

#[test]
fn dates_and_times_are_read_as_the_integers_they_are_with_their_unit() {
    for (column, of, unit, is_utc) in [
        ("int32 c (DATE)", TimeOf::Date, TimeUnit::Days, false),
        ("int32 c (TIME(MILLIS, true))", TimeOf::Midnight, TimeUnit::Milliseconds, true),
        ("int32 c (TIME_MILLIS)", TimeOf::Midnight, TimeUnit::Milliseconds, true),
    ] {
        let file = opened(&one::<Int32Type>(&format!("required {column};"), &[-3, 5])).unwrap();
        assert_eq!(file.time_type("c"), Some(TimeType { of, unit, is_utc }), "{column}");
        let table = file.read(&["c"], 0..2).unwrap();
        assert_eq!(table.column("c"), Some(&Values::Int(vec![Some(-3), Some(5)])));
    }
    for (column, unit, is_utc) in [
        ("int64 c (TIMESTAMP(MILLIS, true))", TimeUnit::Milliseconds, true),
        ("int64 c (TIMESTAMP(MICROS, false))", TimeUnit::Microseconds, false),
        ("int64 c (TIMESTAMP(NANOS, true))", TimeUnit::Nanoseconds, true),
        ("int64 c (TIMESTAMP_MICROS)", TimeUnit::Microseconds, true),
    ] {
        let file = opened(&one::<Int64Type>(&format!("required {column};"), &[-3, 5])).unwrap();
        assert_eq!(file.time_type("c"), Some(TimeType { of: TimeOf::Epoch, unit, is_utc }));
        let table = file.read(&["c"], 0..2).unwrap();
        assert_eq!(table.column("c"), Some(&Values::Int(vec![Some(-3), Some(5)])), "{column}");
    }
    let plain = opened(&one::<Int64Type>("required int64 c;", &[1])).unwrap();
    assert_eq!((plain.time_type("c"), plain.time_type("other")), (None, None));
}

// Regression: a list was "column c has 4 values in 2 rows", and the advice was to move the file away.
#[test]
fn a_column_without_a_type_of_ours_is_named_and_the_file_is_not_called_damaged() {
    let lists = file::<Int64Type>(
        "required group c (LIST) { repeated group list { required int64 element; } }",
        WriterProperties::default(),
        &[1, 2, 3, 4],
        (Some(&[1; 4]), Some(&[0, 1, 0, 1])),
    );
    let repeated = file::<DoubleType>(
        "repeated double c;",
        WriterProperties::default(),
        &[1.0, 2.0, 3.0],
        (Some(&[1; 3]), Some(&[0, 1, 1])),
    );
    let nested = one::<Int64Type>("required group c { required int64 part; }", &[1, 2]);
    let decimal = one::<Int64Type>("required int64 c (DECIMAL(10, 2));", &[1, 2]);
    let bytes = one::<ByteArrayType>("required binary c;", &[ByteArray::from(vec![0xff])]);
    for (bytes, what) in [
        (lists, "`c` is a list of values of type INT64"),
        (repeated, "`c` is repeated"),
        (nested, "`c` is a struct with the field `part`"),
        (decimal, "`c` is of type INT64 (Decimal"),
        (bytes, "`c` is of type BYTE_ARRAY,"),
    ] {
        let file = opened(&bytes).unwrap();
        assert!(file.fields().is_empty());
        let (_, reason) = file.unreadable().next().unwrap();
        assert!(reason.contains(what), "{reason}");
        for names in [&["c"][..], &[]] {
            let error = file.read(names, 0..1).unwrap_err();
            assert!(matches!(error, ReadError::Unsupported { .. }), "{error}");
            assert!(error.to_string().contains(what), "{error}");
        }
        let unknown = file.read(&["d"], 0..1);
        assert!(matches!(unknown, Err(ReadError::UnknownColumn { .. })));
        let validation = file.validate().unwrap();
        assert!(!validation.is_damaged() && !validation.is_whole(), "{validation:?}");
        assert!(validation.unchecked[0].reason.contains(what));
        let error = refusal(&bytes);
        assert!(matches!(error, OpenError::SchemaConflict { .. }), "{error}");
    }
}

// Regression: DuckDB's and fastparquet's were "of type INT64, which metrics files do not support".
#[test]
fn unsigned_integers_are_read_up_to_what_a_signed_one_holds() {
    for column in ["required int64 c (UINT_64);", "required int64 c (INTEGER(64, false));"] {
        let fit = one::<Int64Type>(column, &[0, i64::MAX]);
        assert_eq!(read(&fit), Values::Int(vec![Some(0), Some(i64::MAX)]));
        let beyond = opened(&one::<Int64Type>(column, &[1, -1])).unwrap();
        let error = beyond.read(&["c"], 0..1).unwrap_err();
        assert!(matches!(error, ReadError::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains("18446744073709551615"), "{error}");
        assert!(!beyond.validate().unwrap().is_damaged());
    }
}

#[test]
fn a_text_that_is_not_utf8_is_not_damage() {
    let bytes = one::<ByteArrayType>("required binary c (UTF8);", &[vec![0xff, 0xfe].into()]);
    let file = opened(&bytes).unwrap();
    let error = file.read(&["c"], 0..1).unwrap_err();
    assert!(matches!(error, ReadError::Unsupported { .. }), "{error}");
    let validation = file.validate().unwrap();
    assert_eq!((validation.damage.len(), validation.unchecked.len()), (0, 1));
}

#[test]
fn an_encrypted_file_and_one_of_another_edition_are_neither_damaged_nor_set_aside() {
    let memory = MemoryFs::new();
    write(&memory, WriterSettings::default(), 0, 20, true);
    let whole = read_all(&memory, Path::new(PATH)).unwrap();
    for (letters, what) in [(b"PARE", "encrypted"), (b"PAR2", "PAR2"), (b"PAR9", "PAR9")] {
        let mut other = whole.clone();
        let end = other.len() - 4;
        other[..4].copy_from_slice(letters);
        other[end..].copy_from_slice(letters);
        let error = opened(&other).unwrap_err();
        assert!(matches!(error, ReadError::Unsupported { .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
        assert!(matches!(refusal(&other), OpenError::Unsupported { .. }));
        // At one end only it is damage.
        let mut damaged = whole.clone();
        damaged[..4].copy_from_slice(letters);
        assert!(matches!(opened(&damaged), Err(ReadError::Damaged { .. })));
    }
}

/// One of our files whose footer names a later version of our part of the format, under a new checksum.
pub(crate) fn of_a_later_version() -> Vec<u8> {
    let memory = MemoryFs::new();
    // Two sessions, so that an earlier version is in the file.
    write(&memory, WriterSettings::default(), 0, 20, false);
    let mut bytes = read_all(&memory, Path::new(PATH)).unwrap();
    let tail = bytes.len() - 8;
    let len = u32::from_le_bytes(bytes[tail..tail + 4].try_into().unwrap()) as usize;
    let footer = tail - len;
    let key = b"qstore.format_version";
    let at = bytes[footer..].windows(key.len()).position(|window| window == key).unwrap();
    // After the key come the head of the value, its length and its only digit.
    let digit = footer + at + key.len() + 2;
    assert_eq!(bytes[digit], b'1');
    bytes[digit] = b'9';
    let sum = crc32c::crc32c(&bytes[footer..tail]).to_le_bytes();
    bytes[footer - 4..footer].copy_from_slice(&sum);
    bytes
}

#[test]
fn a_file_of_a_later_version_is_not_read_as_an_earlier_one() {
    let bytes = of_a_later_version();
    let error = opened(&bytes).unwrap_err();
    assert!(matches!(error, ReadError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("version 9 of the metrics format"), "{error}");
    assert!(matches!(refusal(&bytes), OpenError::Unsupported { .. }));
    // Something was appended to it: the last whole version is not one that this crate can continue, and an
    // earlier one must not replace it.
    let appended = [&bytes[..], b"junk"].concat();
    assert!(matches!(refusal(&appended), OpenError::Unsupported { .. }));
}

// Regression: a chunk of ours whose texts zstd had made a thousandth of was called damaged.
#[test]
fn our_own_texts_are_read_however_well_they_were_compressed() {
    for codec in ["zstd:1", "zstd:19", "gzip:9", "lz4", "snappy", "none"] {
        let memory = MemoryFs::new();
        let settings = WriterSettings::default().compression(codec.parse::<Compression>().unwrap());
        let storage = Arc::new(memory.clone());
        let mut log = MetricsLog::<Row>::open_in(storage.clone(), PATH, settings).unwrap();
        // A text of 40 MiB, a thousand that hardly differ, and none.
        let text = |n: i64| match n {
            0 => " ".repeat(40 << 20),
            1_001.. => String::new(),
            _ => format!("{}{n}{}", "weights: 0 ".repeat(700), " 0.0".repeat(700)),
        };
        for n in 0..1_200 {
            log.append(&Row::from([("text", text(n))]), Instant::now());
        }
        log.close().unwrap();
        let file = MetricsFile::open_in(storage, PATH).unwrap();
        let validation = file.validate().unwrap();
        assert!(
            validation.is_whole(),
            "{codec}: {:?} {:?}",
            validation.damage,
            validation.unchecked
        );
        let table = file.read(&["text"], 0..u64::MAX).unwrap();
        let Some(Values::Text(texts)) = table.column("text") else { panic!("it holds texts") };
        for (n, found) in texts.iter().enumerate() {
            assert!(found.as_deref() == Some(&*text(n as i64)), "{codec}, row {n}");
        }
        let less = file.chunk_bytes_max(40 << 20);
        let error = less.read(&["text"], 0..1).unwrap_err();
        assert!(matches!(error, ReadError::Unsupported { .. }), "{codec}: {error}");
        assert!(error.to_string().contains("MetricsFile::chunk_bytes_max"), "{error}");
        assert!(!less.validate().unwrap().is_damaged());
    }
}

// Regression: a group of more than 2^20 rows that are all alike was called damaged, by its own writer.
#[test]
fn our_own_rows_are_read_however_few_bytes_they_take() {
    let memory = MemoryFs::new();
    let settings = WriterSettings::default().row_group_rows_max(1 << 22);
    let storage = Arc::new(memory.clone());
    let mut log = MetricsLog::<Row>::open_in(storage.clone(), PATH, settings.clone()).unwrap();
    let row = Row::from([("c", 7_i64)]);
    let rows = (1 << 20) + 5;
    for n in 1..=rows {
        log.append(&row, Instant::now());
        if n % 150_000 == 0 {
            log.flush().unwrap();
        }
    }
    log.close().unwrap();
    drop(log);
    let file = MetricsFile::open_in(storage.clone(), PATH).unwrap();
    assert_eq!((file.rows(), file.row_groups()), (rows, 1));
    assert!(file.len() < rows / 8, "{} bytes", file.len());
    assert!(file.validate().unwrap().is_whole());
    let again = MetricsLog::<Row>::open_in(storage, PATH, settings);
    assert!(again.is_ok(), "{:?}", again.err());
}

#[test]
fn one_column_that_cannot_be_read_does_not_hide_the_others() {
    let schema = "message m { required int64 n; repeated double many; }";
    let schema = parse_message_type(schema).unwrap();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema.into(), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&[1, 2], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let levels: (&[i16], &[i16]) = (&[1, 1, 1, 0], &[0, 1, 1, 0]);
    column
        .typed::<DoubleType>()
        .write_batch(&[0.1, 0.2, 0.3], Some(levels.0), Some(levels.1))
        .unwrap();
    column.close().unwrap();
    group.close().unwrap();
    let file = opened(&writer.into_inner().unwrap()).unwrap();
    assert_eq!((file.rows(), file.fields().len()), (2, 1));
    let table = file.read(&["n"], 0..2).unwrap();
    assert_eq!(table.column("n"), Some(&Values::Int(vec![Some(1), Some(2)])));
    let follow = file.follow().columns(["n", "many"]);
    assert_eq!(follow.since(0).poll().unwrap().map(|table| table.rows), Some(2));
    let validation = file.validate().unwrap();
    assert_eq!((validation.chunks, validation.unchecked.len()), (2, 1));
    assert_eq!(validation.unchecked[0].rows, 0..2);
    let all = file.rows_since(0).next().unwrap();
    assert!(matches!(all, Err(ReadError::Unsupported { .. })));
}
