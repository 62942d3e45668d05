//! The end of a Parquet file: written for the row groups there are, read back and checked.
//!
//! Reading never trusts the file: lengths and offsets are checked against its size, and a panic of
//! the library on malformed input becomes an error.

use crate::checksums::{self, SEAL_LEN, Seal};
use crate::columns;
use crate::read_at::{ReadAt, contain};
use crate::stored::Stored;
use crate::thrift::structure;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{KeyValue, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use qstore_schema::Field;
use std::sync::Arc;

/// The first and the last four bytes of every Parquet file.
pub(crate) const MAGIC: &[u8; 4] = b"PAR1";
const CREATED_BY: &str = concat!("qstore-parquet version ", env!("CARGO_PKG_VERSION"));
/// The footer's length and the magic bytes.
const TAIL: u64 = 8;

/// More rows than any writer puts into one group; what is read or filled up is bounded by it.
const GROUP_ROWS_MAX: i64 = 1 << 24;

/// So many rows of a group are believed whatever its length, since a column that is all null takes no
/// more bytes for more rows; it is what pyarrow puts into one.
const GROUP_ROWS_FREE: u64 = 1 << 20;

/// Rows beyond that take at least a byte for so many: some column of them is not constant.
const ROWS_PER_BYTE_MAX: u64 = 8;

/// So many values of a file are believed whatever its length: two full groups of ours with the most
/// columns there can be.
const VALUES_FREE: u64 = 1 << 25;

/// Values beyond that take at least a byte for so many: 65 536 nulls of ours take 140, with their
/// part of the footer.
const VALUES_PER_BYTE_MAX: u64 = 512;

/// The bytes that end a file with these columns and row groups: the footer, behind the seal that
/// guards it.
pub(crate) fn encode(groups: &[Arc<Stored>], fields: &[Field], keys: &[KeyValue]) -> Vec<u8> {
    let rows = groups.iter().map(|group| group.rows() as i64).sum();
    let entries = groups.iter().map(|group| group.entry().len()).sum::<usize>();
    let sums = KeyValue::new(checksums::KEY.into(), checksums::encode(groups));
    let mut end = Vec::with_capacity(entries + entries / 4 + 4_096);
    end.extend([0; SEAL_LEN as usize]);
    structure(&mut end, |footer| {
        footer.int(1, 2);
        footer.written(2, columns::entries(fields).into_iter());
        footer.long(3, rows);
        footer.written(4, groups.iter().map(|group| group.entry()));
        let keys: Vec<_> = keys.iter().chain([&sums]).collect();
        footer.structures(5, &keys, |KeyValue { key, value }, pair| {
            pair.bytes(1, key);
            if let Some(value) = value {
                pair.bytes(2, value);
            }
        });
        footer.bytes(6, CREATED_BY);
        // The order that its type gives to each column.
        footer.structures(7, fields, |_, order| order.structure(1, |_| ()));
    });
    let (seal, footer) = end.split_at_mut(SEAL_LEN as usize);
    seal.copy_from_slice(&checksums::seal(footer));
    let len = footer.len() as u32;
    end.extend(len.to_le_bytes());
    end.extend(MAGIC);
    end
}

/// What the entry of a row group says, in a file with these columns.
pub(crate) fn decode_entry(entry: &[u8], fields: &[Field]) -> ParquetResult<RowGroupMetaData> {
    let mut footer = Vec::with_capacity(entry.len() + 64 * fields.len());
    structure(&mut footer, |footer| {
        footer.int(1, 2);
        footer.written(2, columns::entries(fields).into_iter());
        footer.long(3, 0);
        footer.written(4, [entry].into_iter());
    });
    let metadata = ParquetMetaDataReader::decode_metadata(&footer)?;
    let group = metadata.into_builder().take_row_groups().pop();
    group.ok_or_else(|| ParquetError::General("the entry of a row group is none".into()))
}

/// A footer that was found whole.
pub(crate) struct Footer {
    pub(crate) metadata: ParquetMetaData,
    /// The checksums of each chunk of each row group; empty if there are none.
    pub(crate) checksums: Vec<Vec<Option<u32>>>,
    /// Where the row groups end and the footer, with its seal, begins.
    pub(crate) start: u64,
}

/// Reads and checks the footer; the error says in words what is wrong with the file.
pub(crate) fn read(file: &ReadAt) -> Result<Footer, String> {
    read_ending_at(file, file.len())
}

/// How long the footer of a file that ended at `end` claims to be, if it can be read at all.
pub(crate) fn claimed_len(file: &ReadAt, end: u64) -> Option<u64> {
    let tail = file.get_bytes(end.checked_sub(TAIL)?, 4).ok()?;
    let length = u32::from_le_bytes(*tail.first_chunk()?).into();
    Some(length).filter(|length| *length <= end)
}

/// As [`read`], of a file that ended at `end`, whatever comes behind it now.
pub(crate) fn read_ending_at(file: &ReadAt, end: u64) -> Result<Footer, String> {
    let file = &file.up_to(end);
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
    let bytes = file.get_bytes(start, length as usize).map_err(describe)?;
    let before = start.saturating_sub(SEAL_LEN).max(MAGIC.len() as u64);
    let seal = file.get_bytes(before, (start - before) as usize).map_err(describe)?;
    let seal = checksums::check_seal(&seal, &bytes);
    if seal == Seal::Broken {
        return Err("its footer is damaged: it does not agree with its checksum".into());
    }
    let parse = || ParquetMetaDataReader::decode_metadata(&bytes);
    let metadata = contain(parse)?.map_err(|error| format!("its footer is damaged: {error}"))?;
    let start = if seal == Seal::Whole { before } else { start };
    contain(|| check(&metadata, start))??;
    // Other writers may have taken our keys along with the rows; only ours mean these very chunks.
    let by = metadata.file_metadata().created_by().unwrap_or_default();
    let is_ours = by.starts_with(env!("CARGO_PKG_NAME"));
    let checksums = if is_ours { read_checksums(&metadata)? } else { None };
    // mutant: footer_seal_may_be_gone
    if seal == Seal::None && checksums.is_some() {
        return Err("its footer is damaged: its checksum is gone".into());
    }
    Ok(Footer { metadata, checksums: checksums.unwrap_or_default(), start })
}

type Checksums = Vec<Vec<Option<u32>>>;

fn read_checksums(metadata: &ParquetMetaData) -> Result<Option<Checksums>, String> {
    let info = metadata.file_metadata();
    let keys = info.key_value_metadata().into_iter().flatten();
    let text = keys.filter(|key| key.key == checksums::KEY).find_map(|key| key.value.as_deref());
    let Some(text) = text else { return Ok(None) };
    let (groups, columns) = (metadata.num_row_groups(), info.schema_descr().num_columns());
    checksums::decode(text, groups, columns)
        .map(Some)
        .ok_or_else(|| "its checksums are damaged".into())
}

/// What a footer says must be possible before any of it is believed.
fn check(metadata: &ParquetMetaData, footer_start: u64) -> Result<(), String> {
    let data = MAGIC.len() as u64..footer_start;
    let (mut rows, mut bytes, mut values) = (0, 0_u64, 0_u64);
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let group_rows = group.num_rows();
        if !(0..=GROUP_ROWS_MAX).contains(&group_rows) {
            return Err(format!("row group {number} claims {group_rows} rows"));
        }
        rows += group_rows;
        let bytes_before = bytes;
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
        let believed =
            GROUP_ROWS_FREE.max((bytes - bytes_before).saturating_mul(ROWS_PER_BYTE_MAX));
        if group_rows as u64 > believed {
            return Err(format!("row group {number} claims {group_rows} rows in too few bytes"));
        }
        values = values.saturating_add(group_rows as u64 * group.num_columns() as u64);
    }
    if values > VALUES_FREE.saturating_add(footer_start.saturating_mul(VALUES_PER_BYTE_MAX)) {
        return Err(format!("it claims {values} values in {footer_start} bytes"));
    }
    let claimed = metadata.file_metadata().num_rows();
    if rows == claimed { Ok(()) } else { Err(format!("it claims {claimed} rows and has {rows}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns;
    use parquet::file::metadata::{ColumnChunkMetaData, FileMetaData};
    use qstore_schema::DataType;

    /// So many groups of so many rows, each of which takes so many bytes.
    fn claim(groups: u64, rows: u64, bytes: u64) -> Result<(), String> {
        let schema = columns::describe(&[Field::nullable("n", DataType::Float64)]).unwrap();
        let group = |number| {
            let chunk = ColumnChunkMetaData::builder(schema.column(0))
                .set_num_values(rows as i64)
                .set_data_page_offset((MAGIC.len() as u64 + number * bytes) as i64)
                .set_total_compressed_size(bytes as i64);
            let group = RowGroupMetaData::builder(Arc::clone(&schema)).set_num_rows(rows as i64);
            group.set_column_metadata(vec![chunk.build().unwrap()]).build().unwrap()
        };
        let all = (groups * rows) as i64;
        let file = FileMetaData::new(2, all, None, None, Arc::clone(&schema), None);
        let metadata = ParquetMetaData::new(file, (0..groups).map(group).collect());
        check(&metadata, MAGIC.len() as u64 + groups * bytes)
    }

    #[test]
    fn rows_need_bytes_beyond_a_number_that_any_writer_could_reach_with_none() {
        let check = |groups, rows, bytes, reason: &str| match claim(groups, rows, bytes) {
            Ok(()) => assert_eq!(reason, "", "{groups} groups of {rows} rows, {bytes} bytes"),
            Err(error) => assert!(!reason.is_empty() && error.contains(reason), "{error}"),
        };
        check(1, 65_536, 40, "");
        check(1, 1 << 20, 40, "");
        check(1, (1 << 20) + 1, 40, "in too few bytes");
        check(1, 1 << 24, 2 << 20, "");
        check(1, (1 << 24) + 1, 1 << 30, "claims 16777217 rows");
        // A thousand groups of a million nulls each; of ours, with 65 536, as many as there are.
        check(1_000, 1 << 20, 40, "it claims 1048576000 values in 40004 bytes");
        check(10_000, 65_536, 140, "");
    }
}
