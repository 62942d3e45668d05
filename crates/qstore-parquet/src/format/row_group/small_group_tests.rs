//! The library reads small groups as it reads groups of its own.

use crate::columns::buffers::Buffers;
use crate::columns::column::{Column, HeldValues};
use crate::format::encoded_group::{Coding, EncodedGroup};
use crate::format::footer::MAGIC;
use crate::format::small_group::{ROWS_MAX, TEXT_BYTES_MAX, suits};
use crate::format::{leaves, row_group};
use bytes::Bytes;
use parquet::basic::{Compression, GzipLevel};
use parquet::column::reader::{get_column_reader, get_typed_column_reader};
use parquet::data_type::{BoolType, ByteArrayType, DataType as ParquetType, DoubleType, Int64Type};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;
use proptest::prelude::*;
use qstore_schema::{DataType, Field, SmolStr};
use std::sync::Arc;

/// A chunk's levels, of both kinds, and its values.
fn read<T: ParquetType>(group: &EncodedGroup, number: usize, rows: usize) -> (Vec<i16>, Vec<T::T>) {
    // As in a file of its own: four bytes, then the group.
    let bytes = Bytes::from([MAGIC.as_slice(), &group.bytes()].concat());
    let chunk = &group.columns[number];
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
fn contents(group: &EncodedGroup, columns: &[Column], rows: usize) -> Vec<(Vec<i16>, HeldValues)> {
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
            let mut column = Column::nulls(field, 0);
            (column.values, column.levels) = (values, levels.clone().unwrap_or_default());
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
        let schema = leaves::describe(&leaves::of_ours(&fields)).unwrap();
        let compression =
            if is_compressed { Compression::GZIP(GzipLevel::default()) } else { Compression::UNCOMPRESSED };
        let coding = Coding { compression, is_plain, is_passing: false };
        let encode =
            |coding| row_group::encode(&columns, rows, &schema, coding, &Buffers::default()).unwrap();
        let (own, theirs) = (encode(coding.passing()), encode(coding));
        let is_own = |chunk: &ColumnChunkMetaData| {
            let known = [Compression::SNAPPY, Compression::UNCOMPRESSED];
            chunk.compression() == known[usize::from(!is_compressed)]
        };
        prop_assert!(own.columns.iter().all(is_own));
        prop_assert_eq!(contents(&own, &columns, rows), contents(&theirs, &columns, rows));
    }
}

#[test]
fn long_texts_and_lists_and_many_rows_are_left_to_the_library() {
    let texts = |len: usize, rows: usize| {
        let mut column = Column::nulls(Field::required("text", DataType::Utf8), 0);
        column.values = HeldValues::Text(vec![SmolStr::new("x".repeat(len)); rows]);
        column
    };
    assert!(suits(&[texts(TEXT_BYTES_MAX / 2, 2)], 2));
    assert!(!suits(&[texts(3, 1), texts(TEXT_BYTES_MAX / 2 + 1, 2)], 2));
    let lists = |len: usize| {
        let mut column = Column::nulls(Field::required("list", DataType::FloatList), 0);
        column.values = HeldValues::List(vec![vec![0.5; len / 16].into(); 2]);
        column
    };
    assert!(suits(&[lists(TEXT_BYTES_MAX)], 2));
    assert!(!suits(&[texts(3, 1), lists(TEXT_BYTES_MAX + 16)], 2));
    assert!(suits(&[texts(1, 1)], ROWS_MAX - 1));
    assert!(!suits(&[texts(1, 1)], ROWS_MAX));
}
