//! The end of a Parquet file: written for the row groups there are, read back and checked.
//!
//! Reading never trusts the file: lengths and offsets are checked against its size, and a panic of
//! the library on malformed input becomes an error.

use crate::read_at::{ReadAt, contain};
use parquet::basic::ColumnOrder;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{
    FileMetaData, KeyValue, ParquetMetaData, ParquetMetaDataReader, ParquetMetaDataWriter,
    RowGroupMetaData,
};
use parquet::file::reader::{ChunkReader, Length};
use parquet::schema::types::SchemaDescPtr;
use std::sync::Arc;

/// The first and the last four bytes of every Parquet file.
pub(crate) const MAGIC: &[u8; 4] = b"PAR1";
const CREATED_BY: &str = concat!("qstore-parquet version ", env!("CARGO_PKG_VERSION"));
/// The footer's length and the magic bytes.
const TAIL: u64 = 8;

/// More rows than any writer puts into one group; what is read or filled up is bounded by it.
const GROUP_ROWS_MAX: i64 = 1 << 24;

/// The version of what `qstore.*` says in a footer.
pub(crate) const FORMAT_VERSION: &str = "1";
pub(crate) const FORMAT_VERSION_KEY: &str = "qstore.format_version";

/// The bytes of a footer for these row groups.
pub(crate) fn encode(
    groups: Vec<RowGroupMetaData>,
    schema: &SchemaDescPtr,
    keys: Vec<KeyValue>,
) -> Result<Vec<u8>> {
    let orders = schema.columns().iter().map(|column| {
        ColumnOrder::column_order_for_type(
            column.logical_type_ref(),
            column.converted_type(),
            column.physical_type(),
        )
    });
    let file = FileMetaData::new(
        2,
        groups.iter().map(RowGroupMetaData::num_rows).sum(),
        Some(CREATED_BY.into()),
        Some(keys),
        Arc::clone(schema),
        Some(orders.collect()),
    );
    let metadata = ParquetMetaData::new(file, groups);
    let mut bytes = Vec::new();
    ParquetMetaDataWriter::new(&mut bytes, &metadata)
        .with_preserve_page_index_locations(true)
        .finish()?;
    Ok(bytes)
}

/// A footer that was found whole.
pub(crate) struct Footer {
    pub(crate) metadata: ParquetMetaData,
    /// Where the row groups end and the footer begins.
    pub(crate) start: u64,
}

/// Reads and checks the footer; the error says in words what is wrong with the file.
pub(crate) fn read(file: &ReadAt) -> std::result::Result<Footer, String> {
    let describe = |error: ParquetError| error.to_string();
    if file.len() < MAGIC.len() as u64 + TAIL {
        return Err(format!("it has only {} bytes", file.len()));
    }
    let head = file.get_bytes(0, MAGIC.len()).map_err(describe)?;
    let tail = file.get_bytes(file.len() - TAIL, TAIL as usize).map_err(describe)?;
    let (length, end) = tail.split_at(4);
    if head != MAGIC.as_slice() || end != MAGIC {
        return Err("it does not begin and end with the letters PAR1".into());
    }
    let length: u64 = u32::from_le_bytes([length[0], length[1], length[2], length[3]]).into();
    let start = (file.len() - TAIL)
        .checked_sub(length)
        .filter(|start| *start >= MAGIC.len() as u64)
        .ok_or_else(|| format!("its footer claims {length} bytes, more than the file has"))?;
    let parse = || ParquetMetaDataReader::new().parse_and_finish(file);
    let metadata = contain(parse)?.map_err(|error| format!("its footer is damaged: {error}"))?;
    contain(|| check(&metadata, start))??;
    Ok(Footer { metadata, start })
}

/// What a footer says must be possible before any of it is believed.
fn check(metadata: &ParquetMetaData, footer_start: u64) -> std::result::Result<(), String> {
    let data = MAGIC.len() as u64..footer_start;
    let (mut rows, mut bytes) = (0, 0_u64);
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let group_rows = group.num_rows();
        if !(0..=GROUP_ROWS_MAX).contains(&group_rows) {
            return Err(format!("row group {number} claims {group_rows} rows"));
        }
        rows += group_rows;
        for chunk in group.columns() {
            let column = chunk.column_path();
            if chunk.num_values() != group_rows {
                let values = chunk.num_values();
                return Err(format!("column {column} has {values} values in {group_rows} rows"));
            }
            // Of a group without rows some writers give no offsets; it is left out anyway.
            if group_rows == 0 {
                continue;
            }
            let (start, len) = chunk.byte_range();
            bytes = bytes.saturating_add(len);
            let is_inside = data.contains(&start)
                && start.checked_add(len).is_some_and(|end| end <= data.end)
                && bytes <= data.end - data.start;
            if !is_inside {
                return Err(format!("column {column} of row group {number} lies outside the file"));
            }
        }
    }
    let claimed = metadata.file_metadata().num_rows();
    if rows == claimed { Ok(()) } else { Err(format!("it claims {claimed} rows and has {rows}")) }
}
