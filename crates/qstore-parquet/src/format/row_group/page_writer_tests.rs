//! The library reads what is encoded here as it reads what it has encoded itself.

use crate::columns::buffers::Buffers;
use crate::columns::column::{Column, HeldValues};
use crate::format::encoded_group::{Coding, EncodedGroup};
use crate::format::footer::MAGIC;
use crate::format::page_header::PageHeader;
use crate::format::page_writer::{
    PACKED_BYTES_MIN, PAGE_ROWS_MAX, SMALL_ROWS_MAX, SMALL_VALUES_MAX, TEXT_BYTES_MAX, suits,
    suits_small,
};
use crate::format::row_group;
use crate::format::shape::Shape;
use bytes::Bytes;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::column::reader::{get_column_reader, get_typed_column_reader};
use parquet::data_type::{BoolType, ByteArrayType, DataType as ParquetType, DoubleType, Int64Type};
use parquet::file::serialized_reader::SerializedPageReader;
use proptest::prelude::*;
use qstore_schema::{DataType, Field, SmolStr};
use std::sync::Arc;

/// A chunk's levels, of both kinds, and its values.
fn read<T: ParquetType>(
    (group, shape): (&EncodedGroup, &Shape),
    number: usize,
    rows: usize,
) -> (Vec<i16>, Vec<T::T>) {
    // As in a file of its own: four bytes, then the group.
    let bytes = Bytes::from([MAGIC.as_slice(), &group.bytes()].concat());
    let metadata = group.place(MAGIC.len() as u64, &shape.leaves).metadata(shape).unwrap();
    let chunk = metadata.column(number);
    let pages = SerializedPageReader::new(Arc::new(bytes), chunk, rows, None).unwrap();
    let reader = get_column_reader(chunk.column_descr_ptr(), Box::new(pages));
    let (mut levels, mut repetition, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut reader = get_typed_column_reader::<T>(reader);
    let is_nullable = chunk.column_descr().max_def_level() > 0;
    let wanted = is_nullable.then_some(&mut levels);
    let (records, ..) =
        reader.read_records(rows, wanted, Some(&mut repetition), &mut values).unwrap();
    assert_eq!(records, rows);
    levels.append(&mut repetition);
    (levels, values)
}

/// What is in the groups, with floats as their bits.
fn contents(
    group: (&EncodedGroup, &Shape),
    columns: &[Column],
    rows: usize,
) -> Vec<(Vec<i16>, HeldValues)> {
    let content = |(number, column): (usize, &Column)| match column.values {
        HeldValues::Bool(_) => {
            let (levels, values) = read::<BoolType>(group, number, rows);
            (levels, HeldValues::Bool(values))
        }
        HeldValues::Int(_) => {
            let (levels, values) = read::<Int64Type>(group, number, rows);
            (levels, HeldValues::Int(values))
        }
        HeldValues::Float(_) | HeldValues::List(_) => {
            let (levels, values) = read::<DoubleType>(group, number, rows);
            let bits = values.into_iter().map(|float| float.to_bits() as i64);
            (levels, HeldValues::Int(bits.collect()))
        }
        HeldValues::Text(_) => {
            let (levels, values) = read::<ByteArrayType>(group, number, rows);
            let texts = values.iter().map(|text| SmolStr::new(text.as_utf8().unwrap()));
            (levels, HeldValues::Text(texts.collect()))
        }
    };
    columns.iter().enumerate().map(content).collect()
}

fn filled(data_type: DataType, rows: usize) -> impl Strategy<Value = HeldValues> {
    match data_type {
        DataType::Bool => {
            prop::collection::vec(any::<bool>(), rows).prop_map(HeldValues::Bool).boxed()
        }
        DataType::Int64 => {
            prop::collection::vec(any::<i64>(), rows).prop_map(HeldValues::Int).boxed()
        }
        DataType::Utf8 => {
            let text = prop_oneof!["[a-z]{0,3}", ".{0,40}"].prop_map(SmolStr::from);
            prop::collection::vec(text, rows).prop_map(HeldValues::Text).boxed()
        }
        DataType::FloatList => {
            let floats = prop::collection::vec(any::<u64>().prop_map(f64::from_bits), 0..9);
            let lists = prop::collection::vec(floats.prop_map(Arc::from), rows);
            lists.prop_map(HeldValues::List).boxed()
        }
        _ => {
            let floats = any::<u64>().prop_map(f64::from_bits);
            prop::collection::vec(floats, rows).prop_map(HeldValues::Float).boxed()
        }
    }
}

/// A column of `rows` rows: without nulls, with nulls only, or with some.
fn column(rows: usize) -> impl Strategy<Value = Column> {
    let types =
        [DataType::Bool, DataType::Int64, DataType::Float64, DataType::Utf8, DataType::FloatList];
    let some = prop::collection::vec(0_i16..=1, rows);
    let levels = prop_oneof![
        Just(None),
        some.prop_map(Some),
        (0_i16..=1).prop_map(move |level| Some(vec![level; rows])),
    ];
    (prop::sample::select(types.to_vec()), levels).prop_flat_map(move |(data_type, levels)| {
        let full = |levels: &Vec<i16>| levels.iter().filter(|level| **level == 1).count();
        let present = levels.as_ref().map_or(rows, full);
        filled(data_type, present).prop_map(move |values| {
            let field = Field { name: "c".into(), data_type, nullable: levels.is_some() };
            let mut column = Column::new(field, false);
            column.values = values;
            let levels = levels.iter().flatten().enumerate();
            levels.filter(|(_, level)| **level == 1).for_each(|(row, _)| column.present.push(row));
            column
        })
    })
}

proptest! {
    #[test]
    fn the_library_reads_the_same_as_from_a_group_of_its_own(
        (rows, columns) in (1_usize..300).prop_flat_map(|rows| {
            (Just(rows), prop::collection::vec(column(rows), 1..4))
        }),
        is_plain: bool,
        is_compressed: bool,
    ) {
        let mut columns = columns;
        for (number, column) in columns.iter_mut().enumerate() {
            column.field.name = format!("c{number}").into();
        }
        let fields: Vec<_> = columns.iter().map(|column| column.field.clone()).collect();
        let shape = Shape::continued(fields, None);
        let compression =
            if is_compressed { Compression::GZIP(GzipLevel::default()) } else { Compression::UNCOMPRESSED };
        let coding = Coding { compression, is_plain, is_passing: false, has_spans: true };
        let encode =
            |coding| row_group::encode(&columns, rows, (&shape, 0), coding, &Buffers::default()).unwrap();
        let (own, theirs) = (encode(coding.passing()), encode(coding));
        let is_list = |column: &Column| matches!(column.values, HeldValues::List(_));
        for (chunk, _) in own.chunks.iter().zip(&columns).filter(|(_, column)| !is_list(column)) {
            let (page, _) = PageHeader::read(&own.bytes()[chunk.data_at as usize..]).unwrap();
            let is_packed = is_compressed && page.full_len as usize >= PACKED_BYTES_MIN;
            let codec = if is_packed { Compression::SNAPPY } else { Compression::UNCOMPRESSED };
            prop_assert_eq!(chunk.codec, codec);
        }
        let (own, theirs) = ((&own, &shape), (&theirs, &shape));
        prop_assert_eq!(contents(own, &columns, rows), contents(theirs, &columns, rows));
    }
}

/// A codec that is set up for each of ten thousand columns takes longer than everything else, and bounds of each
/// of them are most of a footer.
#[test]
fn many_rows_of_few_values_are_a_small_group_until_it_is_sealed() {
    let rows = SMALL_ROWS_MAX + 1;
    let check = |values: usize, is_passing: bool, is_small: bool| {
        let mut column = Column::new(Field::nullable("c", DataType::Float64), false);
        (0..values).for_each(|row| column.present.push(2 * row));
        column.values = HeldValues::Float((0..values).map(|n| n as f64).collect());
        let columns = [column];
        let shape = Shape::continued(vec![columns[0].field.clone()], None);
        let compression = Compression::GZIP(GzipLevel::default());
        let coding = Coding { compression, is_plain: true, is_passing: false, has_spans: true };
        let coding = if is_passing { coding.passing() } else { coding };
        let group =
            row_group::encode(&columns, rows, (&shape, 0), coding, &Buffers::default()).unwrap();
        let chunk = &group.chunks[0];
        let is_gzip = matches!(chunk.codec, Compression::GZIP(_));
        assert_eq!((is_gzip, chunk.bounds.is_some()), (!is_small, !is_small), "{values} values");
        let found = contents((&group, &shape), &columns, rows).remove(0).1;
        let bits = (0..values).map(|n| (n as f64).to_bits() as i64).collect();
        assert_eq!(found, HeldValues::Int(bits));
    };
    check(0, true, true);
    check(7, true, true);
    check(SMALL_VALUES_MAX - 1, true, true);
    check(SMALL_VALUES_MAX, true, false);
    check(7, false, false);
}

/// Every codec, with pages that shrink and pages that do not, and more rows than a page has.
#[test]
fn floats_of_every_codec_are_read_by_the_library() {
    let rows = PAGE_ROWS_MAX + 1_000;
    let column =
        |name: &'static str, is_set: &dyn Fn(usize) -> bool, value: &dyn Fn(usize) -> f64| {
            let mut column = Column::new(Field::nullable(name, DataType::Float64), false);
            let present: Vec<_> = (0..rows).filter(|row| is_set(*row)).collect();
            for row in &present {
                column.present.push(*row);
            }
            column.values = HeldValues::Float(present.into_iter().map(value).collect());
            column
        };
    let noise = |row: usize| f64::from_bits((row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 2);
    let columns = [
        column("noise", &|_| true, &noise),
        column("same", &|_| true, &|_| 0.5),
        column("sparse", &|row| row % 999 == 7, &noise),
        column("half", &|row| row % 2 == 0, &noise),
        column("late", &|row| row > PAGE_ROWS_MAX, &noise),
        column("early", &|row| row < 5, &noise),
        column("never", &|_| false, &noise),
    ];
    let fields = columns.iter().map(|column| column.field.clone()).collect();
    let shape = Shape::continued(fields, None);
    for compression in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::GZIP(GzipLevel::try_new(0).unwrap()),
        Compression::ZSTD(ZstdLevel::default()),
        Compression::LZ4_RAW,
    ] {
        let coding = Coding { compression, is_plain: false, is_passing: false, has_spans: true };
        let group =
            row_group::encode(&columns, rows, (&shape, 0), coding, &Buffers::default()).unwrap();
        for (number, column) in columns.iter().enumerate() {
            let (levels, values) = read::<DoubleType>((&group, &shape), number, rows);
            assert_eq!(levels, column.present.levels(rows), "{compression:?}");
            assert_eq!(HeldValues::Float(values), column.values, "{compression:?}");
        }
    }
}

/// Regression: the levels of a column of nulls took a bit for each row, and its chunk a compressor.
#[test]
fn a_column_of_nulls_takes_a_few_bytes_however_many_rows_there_are() {
    let shape = Shape::continued(vec![Field::nullable("n", DataType::Utf8)], None);
    let columns = [Column::new(shape.fields[0].clone(), false)];
    let coding = Coding {
        compression: Compression::SNAPPY,
        is_plain: false,
        is_passing: false,
        has_spans: false,
    };
    for rows in [1, 100, PAGE_ROWS_MAX] {
        let group =
            row_group::encode(&columns, rows, (&shape, 0), coding, &Buffers::default()).unwrap();
        assert!(group.bytes().len() < 40, "{} bytes for {rows} rows", group.bytes().len());
        let (levels, values) = read::<ByteArrayType>((&group, &shape), 0, rows);
        assert_eq!((levels, values.len()), (vec![0; rows], 0));
    }
}

#[test]
fn long_texts_and_lists_and_many_rows_are_left_to_the_library() {
    let texts = |len: usize, rows: usize| {
        let mut column = Column::new(Field::required("text", DataType::Utf8), false);
        column.values = HeldValues::Text(vec![SmolStr::new("x".repeat(len)); rows]);
        column
    };
    assert!(suits_small(&texts(TEXT_BYTES_MAX / 2, 2), 2));
    assert!(!suits_small(&texts(TEXT_BYTES_MAX / 2 + 1, 2), 2));
    let mut lists = Column::new(Field::nullable("list", DataType::FloatList), false);
    assert!(!suits_small(&lists, 2) && !suits(&lists));
    lists.values = HeldValues::List(vec![vec![0.5; 2].into(); 2]);
    assert!(!suits_small(&lists, 2) && !suits(&lists));
    assert!(suits_small(&texts(1, 1), SMALL_ROWS_MAX - 1));
    assert!(!suits_small(&texts(1, 1), SMALL_ROWS_MAX));
}
