//! Columns of lists: whatever was logged is read back, bit for bit, through flushes, merges, sealed groups and
//! sessions; lists of other programs are continued as they are, and other nested columns are named.

use crate::foreign::{file, refusal};
use crate::{PATH, open, put};
use parquet::data_type::{DoubleType, FloatType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::printer::print_schema;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::contextualize_config;
use qstore_parquet::{
    Appended, Compression, Follow, MetricsFile, MetricsLog, OpenError, ReadError, Values,
    WriterSettings,
};
use qstore_schema::{DataType, Field, Row, Value, record};
use qstore_storage::{MemoryFs, read_all};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

type List = Option<Vec<f64>>;

fn row(n: i64, list: &List) -> Row {
    let mut row = Row::from([("n", n)]);
    if let Some(list) = list {
        row.set("list", list);
    }
    row
}

fn opened(memory: &MemoryFs) -> MetricsFile {
    MetricsFile::open_in(Arc::new(memory.clone()), PATH).unwrap()
}

fn bits(list: &[f64]) -> Vec<u64> {
    list.iter().map(|float| float.to_bits()).collect()
}

/// The lists of a column, as bits.
fn lists(memory: &MemoryFs, column: &str) -> Vec<Option<Vec<u64>>> {
    let file = opened(memory);
    assert!(file.validate().unwrap().is_whole(), "{:?}", file.validate());
    let table = file.read(&[column], 0..u64::MAX).unwrap();
    let Some(Values::List(lists)) = table.column(column) else { panic!("{table:?}") };
    lists.iter().map(|list| list.as_deref().map(bits)).collect()
}

fn expected(lists: &[List]) -> Vec<Option<Vec<u64>>> {
    lists.iter().map(|list| list.as_deref().map(bits)).collect()
}

fn any_float() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(-0.0),
        -1.0..1.0_f64,
    ]
}

fn any_list() -> impl Strategy<Value = List> {
    prop_oneof![
        2 => Just(None),
        2 => Just(Some(Vec::new())),
        3 => vec(any_float(), 1).prop_map(Some),
        6 => vec(any_float(), 0..40).prop_map(Some),
        1 => (any_float(), 0..3_000_usize).prop_map(|(float, len)| Some(vec![float; len])),
    ]
}

fn any_settings() -> impl Strategy<Value = WriterSettings> {
    let codecs = ["gzip", "zstd:1", "lz4", "snappy", "none"];
    let codec = prop::sample::select(codecs.to_vec());
    (codec, any::<bool>(), 1..60_usize, any::<bool>()).prop_map(|(codec, plain, rows, copy)| {
        WriterSettings::default()
            .compression(codec.parse::<Compression>().unwrap())
            .plain_encoding(plain)
            .row_group_rows_max(rows)
            .publish_by_copy(copy)
            .twin_bytes_min(0)
            .reuse_after(Duration::ZERO)
    })
}

proptest! {
    #![proptest_config(contextualize_config(ProptestConfig::with_cases(150)))]

    /// Each session has settings of its own; a row is flushed where its flag says so, and a session ends with
    /// `close`, or with the process. A follower sees each list once.
    #[test]
    fn any_lists_read_back_equal_with_any_flushes_and_restarts(
        sessions in vec(
            (any_settings(), vec((any_list(), prop::bool::weighted(0.3)), 0..40), any::<bool>()),
            1..4,
        ),
    ) {
        let memory = MemoryFs::new();
        let mut all: Vec<List> = Vec::new();
        let mut followed: Vec<Value> = Vec::new();
        let mut follow = Follow::new_in(Arc::new(memory.clone()), PATH);
        for (settings, rows, closes) in sessions {
            let mut log = open(&memory, settings);
            for (list, flushes) in rows {
                let row = row(all.len() as i64, &list);
                prop_assert_eq!(log.append(&row, Instant::now()), Appended::Whole);
                all.push(list);
                if flushes {
                    log.flush().unwrap();
                    while let Some(table) = follow.poll().unwrap() {
                        let rows = table.iter_rows();
                        followed.extend(rows.map(|row| row.get("list").cloned().unwrap_or_default()));
                    }
                }
            }
            if closes { log.close().unwrap() } else { log.flush().unwrap() }
        }
        if all.iter().any(Option::is_some) {
            prop_assert_eq!(lists(&memory, "list"), expected(&all));
        }
        for (found, list) in followed.iter().zip(&all) {
            let found = match found { Value::List(list) => Some(bits(list)), _ => None };
            prop_assert_eq!(found, list.as_deref().map(bits));
        }
    }
}

/// Small groups that are merged, sealed groups, a column that comes late, and lists longer than a page.
#[test]
fn thousands_of_rows_with_lists_of_any_length_are_read_back() {
    let list = |n: usize| match n % 7 {
        0 if n.is_multiple_of(1_001) => Some((0..70_000).map(|i| (n + i) as f64).collect()),
        0 => None,
        1 => Some(vec![]),
        2 => Some(vec![f64::NAN]),
        _ => Some((0..n % 40).map(|i| i as f64 / 8.0 - n as f64).collect()),
    };
    for is_plain in [false, true] {
        let memory = MemoryFs::new();
        let settings = WriterSettings::default()
            .row_group_rows_max(5_000)
            .plain_encoding(is_plain)
            .twin_bytes_min(0)
            .reuse_after(Duration::ZERO);
        let mut all: Vec<List> = Vec::new();
        for rows in [3, 700, 9_500] {
            let mut log: MetricsLog<Row> = open(&memory, settings.clone());
            for _ in 0..rows {
                let n = all.len();
                let value = if n < 600 { None } else { list(n) };
                log.append(&row(n as i64, &value), Instant::now());
                all.push(value);
                if n.is_multiple_of(97) {
                    log.flush().unwrap();
                }
            }
            log.close().unwrap();
        }
        assert_eq!(lists(&memory, "list"), expected(&all));
        let part = opened(&memory).read(&["list"], 6_005..6_008).unwrap();
        let Some(Values::List(part)) = part.column("list") else { panic!("{part:?}") };
        let part: Vec<_> = part.iter().map(|list| list.as_deref().map(bits)).collect();
        assert_eq!(part, expected(&all[6_005..6_008]));
    }
}

/// The leaf is encoded as a column of floats is, and the groups have the names of the format's documentation.
#[test]
fn a_list_is_stored_as_the_format_documents_it_and_encoded_as_floats_are() {
    for (is_plain, encoding) in [(false, "BYTE_STREAM_SPLIT"), (true, "PLAIN")] {
        let memory = MemoryFs::new();
        let mut log = open(&memory, WriterSettings::default().plain_encoding(is_plain));
        for flushes in [true, false] {
            log.append(&row(0, &Some(vec![0.5, 0.25])), Instant::now());
            if flushes {
                log.flush().unwrap();
                let part = read_all(&memory, Path::new(PATH)).unwrap();
                assert!(encodings(&part).contains(&encoding.to_owned()), "{:?}", encodings(&part));
            }
        }
        log.close().unwrap();
        let bytes = read_all(&memory, Path::new(PATH)).unwrap();
        assert!(encodings(&bytes).contains(&encoding.to_owned()), "{:?}", encodings(&bytes));
        let schema = schema(&bytes);
        assert!(schema.contains(OURS), "{schema}");
    }
    let field = Field { name: "list".into(), data_type: DataType::FloatList, nullable: true };
    let memory = MemoryFs::new();
    let mut log = open(&memory, WriterSettings::default());
    log.append(&row(0, &Some(vec![])), Instant::now());
    log.close().unwrap();
    assert_eq!(opened(&memory).fields()[1], field);
}

const OURS: &str = "  OPTIONAL group list (LIST) {
    REPEATED group list {
      OPTIONAL DOUBLE element;
    }
  }
";

fn encodings(bytes: &[u8]) -> Vec<String> {
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes.to_vec())).unwrap();
    let chunk = reader.metadata().row_group(0).column(1);
    chunk.encodings().map(|encoding| encoding.to_string()).collect()
}

fn schema(bytes: &[u8]) -> String {
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes.to_vec())).unwrap();
    let mut shown = Vec::new();
    print_schema(&mut shown, reader.metadata().file_metadata().schema());
    let shown = String::from_utf8(shown).unwrap();
    shown.split_once('\n').unwrap().1.to_owned()
}

/// Whichever came first, also in an earlier session.
#[test]
fn a_list_in_a_column_of_numbers_and_a_number_in_one_of_lists_go_into_columns_of_their_own() {
    let memory = MemoryFs::new();
    for _ in 0..2 {
        let mut log = open(&memory, WriterSettings::default());
        for value in [Value::Float(0.5), Value::from([0.5, 1.5]), Value::from("text")] {
            let row = Row::from([("a", value.clone())]);
            assert_eq!(log.append(&row, Instant::now()), Appended::Whole);
            let row = Row::from([("b", Value::from([2.0])), ("c", value)]);
            assert_eq!(log.append(&row, Instant::now()), Appended::Whole);
            let row = Row::from([("b", 0.5)]);
            assert_eq!(log.append(&row, Instant::now()), Appended::Whole);
        }
        log.close().unwrap();
    }
    let file = opened(&memory);
    let mut names: Vec<_> = file.fields().iter().map(|field| field.name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "a__list", "a__text", "b", "b__number", "c", "c__list", "c__text"]);
    let there = |name| lists(&memory, name).into_iter().flatten().count();
    assert_eq!((there("a__list"), there("b"), there("c__list")), (2, 6, 2));
}

record! {
    /// A record of one's own with columns of lists.
    struct Layers by step {
        step: i64,
        norms: Vec<f64>,
        counts: Option<Vec<f64>>,
    }
}

#[test]
fn a_record_declares_columns_of_lists() {
    let memory = MemoryFs::new();
    let storage = Arc::new(memory.clone());
    let settings = WriterSettings::default();
    let mut log = MetricsLog::<Layers>::open_in(storage.clone(), PATH, settings.clone()).unwrap();
    for step in 0..9 {
        let counts = (step % 2 == 0).then(|| vec![step as f64; step as usize]);
        let row = Layers { step, norms: vec![0.5; 3 - step as usize % 3], counts };
        assert_eq!(log.append(&row, Instant::now()), Appended::Whole);
    }
    log.close().unwrap();
    drop(log);
    let nullable: Vec<_> = opened(&memory).fields().iter().map(|field| field.nullable).collect();
    assert_eq!(nullable, [false, false, true]);
    assert_eq!(lists(&memory, "norms")[2], Some(bits(&[0.5])));
    assert_eq!(lists(&memory, "counts")[..2], [Some(vec![]), None]);
    // Rows without them continue the file: the column of lists that had no null becomes nullable.
    let mut log = MetricsLog::<Row>::open_in(storage, PATH, settings).unwrap();
    assert_eq!(log.append(&Row::from([("step", 9)]), Instant::now()), Appended::Whole);
    log.close().unwrap();
    let norms = lists(&memory, "norms");
    assert_eq!((norms.len(), &norms[2], &norms[9]), (10, &Some(bits(&[0.5])), &None));
}

/// Lists of another program, from the levels of the format.
fn foreign(column: &str, levels: (&[i16], &[i16])) -> Vec<u8> {
    let most = *levels.0.iter().max().unwrap();
    let there = levels.0.iter().filter(|level| **level == most).count();
    let values: Vec<_> = (0..there).map(|n| n as f64 / 4.0).collect();
    let levels = (Some(levels.0), Some(levels.1));
    if column.contains("float") {
        let values: Vec<_> = values.iter().map(|value| *value as f32).collect();
        return file::<FloatType>(column, WriterProperties::default(), &values, levels);
    }
    file::<DoubleType>(column, WriterProperties::default(), &values, levels)
}

/// As pyarrow, older versions of it, polars, Spark, Hive, and programs whose lists are never null write them.
#[test]
fn lists_of_other_programs_are_read_and_continued_with_the_names_that_they_have() {
    for column in [
        "optional group c (LIST) { repeated group list { optional double element; } }",
        "optional group c (LIST) { repeated group list { optional double item; } }",
        "optional group c (LIST) { repeated group list { required double element; } }",
        "optional group c (LIST) { repeated group bag { optional double array_element; } }",
        "required group c (LIST) { repeated group list { optional double element; } }",
        "required group c (LIST) { repeated group list { required double element; } }",
        "optional group c (LIST) { repeated group list { optional float element; } }",
    ] {
        let (list, element) = (column.starts_with("optional"), column.contains("{ optional"));
        let (empty, there) = (i16::from(list), 1 + i16::from(list) + i16::from(element));
        let bytes = foreign(column, (&[there, there, empty, there], &[0, 1, 0, 0]));
        let memory = MemoryFs::new();
        put(&memory, &bytes);
        let before = schema(&bytes);
        let mut all = vec![Some(vec![0.0, 0.25]), Some(vec![]), Some(vec![0.5])];
        assert_eq!(lists(&memory, "c"), expected(&all), "{column}");
        for list in [Some(vec![f64::INFINITY, -0.0]), Some(vec![]), Some(vec![0.75; 5_000])] {
            let mut log = open(&memory, WriterSettings::default());
            let row = Row::from([("c", list.clone())]);
            assert_eq!(log.append(&row, Instant::now()), Appended::Whole, "{column}");
            log.close().unwrap();
            all.push(list);
        }
        assert_eq!(lists(&memory, "c"), expected(&all), "{column}");
        let after = schema(&read_all(&memory, Path::new(PATH)).unwrap());
        assert_eq!(after, before, "{column}");
        // A row without a list: now the column may be null.
        let mut log = open(&memory, WriterSettings::default());
        log.append(&Row::from([("new", 1.0)]), Instant::now());
        log.close().unwrap();
        all.push(None);
        assert_eq!(lists(&memory, "c"), expected(&all), "{column}");
    }
}

#[test]
fn a_list_of_32_bit_floats_takes_what_fits_into_them() {
    let column = "optional group c (LIST) { repeated group list { optional float element; } }";
    let memory = MemoryFs::new();
    put(&memory, &foreign(column, (&[3], &[0])));
    let mut log = open(&memory, WriterSettings::default());
    for list in [[0.1, f64::INFINITY], [0.1, 1e39]] {
        let row = Row::from([("c", list)]);
        assert_eq!(log.append(&row, Instant::now()), Appended::Whole);
    }
    log.close().unwrap();
    let rounded = vec![f64::from(0.1_f32), f64::INFINITY];
    assert_eq!(lists(&memory, "c"), expected(&[Some(vec![0.0]), Some(rounded), None]));
    assert_eq!(lists(&memory, "c__list"), expected(&[None, None, Some(vec![0.1, 1e39])]));
}

/// pandas makes nulls of the NaN in a list. They are not floats, and no damage either.
#[test]
fn a_null_among_the_elements_is_not_damage_and_the_rest_of_the_file_goes_on() {
    let column = "optional group c (LIST) { repeated group list { optional double element; } }";
    let memory = MemoryFs::new();
    put(&memory, &foreign(column, (&[3, 2, 3], &[0, 1, 0])));
    let error = opened(&memory).read(&["c"], 0..9).unwrap_err();
    assert!(matches!(error, ReadError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("elements that are null"), "{error}");
    let mut log = open(&memory, WriterSettings::default());
    let row = Row::from([("c", [0.5])]);
    assert_eq!(log.append(&row, Instant::now()), Appended::Whole);
    log.close().unwrap();
    let validation = opened(&memory).validate().unwrap();
    assert!(!validation.is_damaged() && validation.unchecked.len() == 1, "{validation:?}");
    // If a list may not be null, a row without one could not be stored later on.
    let column = "required group c (LIST) { repeated group list { optional double element; } }";
    let error = refusal(&foreign(column, (&[2, 1, 2], &[0, 1, 0])));
    assert!(matches!(error, OpenError::Unsupported { .. }), "{error}");
    let error = error.to_string();
    assert!(error.contains("`c`") && error.contains("elements that are null"), "{error}");
}

/// Regression: the text named a part of the column, and not what the column is.
#[test]
fn nested_columns_other_than_lists_of_floats_are_named_with_their_type_and_the_file_is_untouched() {
    let doubles = [0.5, 1.5];
    let flat = |column: &str| file::<DoubleType>(column, WriterProperties::default(), &doubles, NO);
    let within = |column: &str, definition: i16| {
        let levels = (Some(&[definition; 2][..]), Some(&[0_i16, 1][..]));
        file::<DoubleType>(column, WriterProperties::default(), &doubles, levels)
    };
    let integers = file::<Int64Type>(
        "optional group c (LIST) { repeated group list { optional int64 element; } }",
        WriterProperties::default(),
        &[1, 2],
        (Some(&[3; 2]), Some(&[0, 1])),
    );
    for (bytes, what) in [
        (integers, "a list of values of type INT64"),
        (within("optional group c (LIST) { repeated double array; }", 2), "with two levels"),
        (within("repeated double c;", 1), "repeated, a list of the oldest form"),
        (
            within("optional group c (LIST) { repeated group array { required double x; } }", 2),
            "a list of structs with the field `x`",
        ),
        (
            within("optional group c (LIST) { repeated group c_tuple { required double x; } }", 2),
            "a list of structs",
        ),
        (
            within(
                "required group c (LIST) { repeated group list { required group element (LIST) \
                 { repeated group list { required double element; } } } }",
                2,
            ),
            "a list of lists",
        ),
        (flat("required group c { required double x; }"), "a struct with the field `x`"),
        (flat("required group c { required group y { required double x; } }"), "a struct"),
    ] {
        let error = refusal(&bytes);
        assert!(matches!(error, OpenError::SchemaConflict { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains(what) && error.contains("column `c` is"), "{error}");
        assert!(error.contains("choose another path"), "{error}");
        let memory = MemoryFs::new();
        put(&memory, &bytes);
        let file = opened(&memory);
        assert!(!file.validate().unwrap().is_damaged());
        let error = file.read(&["c"], 0..1).unwrap_err();
        assert!(matches!(error, ReadError::Unsupported { .. }), "{error}");
    }
}

const NO: (Option<&[i16]>, Option<&[i16]>) = (None, None);
