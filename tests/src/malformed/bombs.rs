//! Small inputs that decode to something huge: many rows in few bytes, one long text in many rows, unlimited
//! shapes, unlimited nesting. All of them must be handled like any other input: quickly and in little memory.
//! (Page headers that lie are tested beside the code that reads them, in qstore-parquet.)

use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::Type;
use std::sync::Arc;

/// The name of a target, a description of the input, and the input.
pub type Bomb = (&'static str, &'static str, Vec<u8>);

/// All bombs.
pub fn bombs() -> Vec<Bomb> {
    let deep = |open: &str| open.repeat(20_000).into_bytes();
    let mut bombs = vec![
        ("metrics", "two million nulls", nulls(1 << 21)),
        ("metrics", "a million empty lists", lists(1 << 20, 0)),
        ("metrics", "a list of a million equal floats", lists(1, 1 << 20)),
        ("metrics", "a text of 4 KB in 25 000 rows", long_text(false)),
        ("metrics", "the same with gzip", long_text(true)),
        ("metrics", "thousands of footers", b"\x00\xf0\x00\x00PAR1".repeat(8_000)),
        ("metrics", "nothing but magic numbers", b"PAR1".repeat(16_000)),
        (
            "safetensors",
            "a header of unlimited length",
            [&u64::MAX.to_le_bytes()[..], b"{}"].concat(),
        ),
        (
            "safetensors",
            "a shape of unlimited size",
            safetensors("[4611686018427387904,16]", "[0,0]"),
        ),
        ("safetensors", "data of unlimited length", safetensors("[1]", "[0,18446744073709551615]")),
        ("safetensors", "no data for a shape", safetensors("[1000000000000]", "[0,0]")),
    ];
    for target in ["manifest", "zarr_json"] {
        bombs.push((target, "nested arrays", deep("[")));
        bombs.push((target, "nested objects", deep("{\"a\":")));
        bombs.push((target, "a list of lists", format!("[{}[]]", "[],".repeat(20_000)).into()));
    }
    let nested = deep("[");
    bombs.push(("safetensors", "nested arrays", {
        [&(nested.len() as u64).to_le_bytes()[..], &nested].concat()
    }));
    let groups = super::checkpoint::group_bombs().into_iter();
    bombs.extend(groups.map(|(what, bytes)| ("zarr_group", what, bytes)));
    let names = format!("{}leaf", "a\n>\n".repeat(30));
    bombs.push(("names", "nested dicts", names.into()));
    bombs
}

fn safetensors(shape: &str, offsets: &str) -> Vec<u8> {
    let header =
        format!("{{\"w\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":{offsets}}}}}");
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat()
}

/// A column of nulls.
fn nulls(rows: usize) -> Vec<u8> {
    let leaf = Type::primitive_type_builder("n", Physical::DOUBLE);
    let leaf = leaf.with_repetition(Repetition::OPTIONAL).build();
    let levels = vec![0; rows];
    file::<DoubleType>(leaf, Compression::UNCOMPRESSED, &[], (Some(&levels), None))
}

/// A column of lists of that length.
fn lists(rows: usize, len: usize) -> Vec<u8> {
    let column = "message m {
        optional group n (LIST) { repeated group list { optional double element; } }
    }";
    let column = parse_message_type(column).map(|root| root.get_fields()[0].as_ref().clone());
    let (mut definition, mut repetition) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        let levels = definition.len() + len.max(1);
        definition.resize(levels, if len == 0 { 1 } else { 3 });
        repetition.push(0);
        repetition.resize(levels, 1);
    }
    let levels = (Some(&definition[..]), Some(&repetition[..]));
    file::<DoubleType>(column, Compression::UNCOMPRESSED, &vec![0.5; rows * len], levels)
}

fn long_text(is_gzip: bool) -> Vec<u8> {
    let leaf = Type::primitive_type_builder("text", Physical::BYTE_ARRAY);
    let leaf = leaf.with_repetition(Repetition::REQUIRED);
    let leaf = leaf.with_logical_type(Some(LogicalType::String)).build();
    let gzip = is_gzip.then(|| Compression::GZIP(parquet::basic::GzipLevel::default()));
    let codec = gzip.unwrap_or(Compression::UNCOMPRESSED);
    // A hundred megabytes if each row had its own copy of the text.
    let text = ByteArray::from(vec![b'x'; 4_000]);
    file::<ByteArrayType>(leaf, codec, &vec![text; 25_000], (None, None))
}

/// A file with one column, written by the Parquet library.
fn file<T: DataType>(
    leaf: parquet::errors::Result<Type>,
    codec: Compression,
    values: &[T::T],
    levels: (Option<&[i16]>, Option<&[i16]>),
) -> Vec<u8> {
    let write = || -> parquet::errors::Result<Vec<u8>> {
        let root = Type::group_type_builder("schema").with_fields(vec![Arc::new(leaf?)]).build()?;
        let properties = WriterProperties::builder()
            .set_compression(codec)
            .set_dictionary_page_size_limit(1 << 24)
            .set_statistics_enabled(parquet::file::properties::EnabledStatistics::None)
            .build();
        let (root, properties) = (Arc::new(root), Arc::new(properties));
        let mut writer = SerializedFileWriter::new(Vec::new(), root, properties)?;
        let mut group = writer.next_row_group()?;
        let mut column = group.next_column()?.expect("the group has one column");
        column.typed::<T>().write_batch(values, levels.0, levels.1)?;
        column.close()?;
        group.close()?;
        writer.into_inner()
    };
    write().expect("it can be written in memory")
}
