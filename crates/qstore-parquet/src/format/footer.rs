//! The end of a Parquet file: encoded for its row groups, read back and checked.
//!
//! Reading never trusts the file: lengths and offsets are checked against its size, and a panic of the
//! library on malformed input becomes an error.

use crate::format::audit::{FORMAT_VERSION, FORMAT_VERSION_KEY};
use crate::format::checksums::{self, SEAL_LEN, Seal};
use crate::format::odd_bounds;
use crate::format::read_at::ReadAt;
use crate::format::read_failure::{ReadFailure, contain};
use crate::format::shape::Shape;
use crate::format::span_table::{self, SpanTable};
use crate::format::stored::Stored;
use crate::format::thrift::structure;
use parquet::file::metadata::{KeyValue, ParquetMetaData, ParquetMetaDataReader};
use std::sync::Arc;

mod newer;

/// The first and the last four bytes of every Parquet file.
pub(crate) const MAGIC: &[u8; 4] = b"PAR1";
/// Those of a file whose footer is encrypted.
const ENCRYPTED: &[u8; 4] = b"PARE";
/// What those of any file of a later edition will begin with.
const ANY_EDITION: &[u8; 3] = b"PAR";
const CREATED_BY: &str = concat!("qstore-parquet version ", env!("CARGO_PKG_VERSION"));
/// The footer's length and the magic bytes.
const TAIL: u64 = 8;

/// A footer of a hundred row groups with a hundred thousand columns is shorter than that.
const FOOTER_BYTES_MAX: u64 = 1 << 30;

/// More rows than any writer puts into one group. It bounds what is read, and what is filled with nulls.
pub(crate) const GROUP_ROWS_MAX: i64 = 1 << 24;

/// Up to this number of rows a group is accepted whatever its length, since a column of nulls takes no
/// more bytes for more rows. It is what pyarrow puts into one group.
const GROUP_ROWS_FREE: u64 = 1 << 20;

/// Beyond that number, a byte is required for each of this many rows: some column is not constant.
const ROWS_PER_BYTE_MAX: u64 = 8;

/// Up to this number of values a file is accepted whatever its length: two full groups of ours with the
/// maximum number of columns.
const VALUES_FREE: u64 = 1 << 25;

/// Beyond that number, a byte is required for each of this many values: 65 536 nulls of ours take 140
/// bytes, with their part of the footer.
const VALUES_PER_BYTE_MAX: u64 = 512;

/// The bytes at the end of a file with these columns and row groups: the seal, and the footer that it
/// guards.
pub(crate) fn encode(groups: &[Arc<Stored>], shape: &Shape, keys: &[KeyValue]) -> Vec<u8> {
    let rows = groups.iter().map(|group| group.rows() as i64).sum();
    let entries = groups.iter().map(|group| group.entry().entries.len()).sum::<usize>();
    let sums = KeyValue::new(
        checksums::KEY.into(),
        checksums::encode(groups.iter().map(|group| group.sums())),
    );
    let tables = span_table::encode(groups.iter().map(|group| group.table()));
    let tables = tables.map(|tables| KeyValue::new(span_table::KEY.into(), tables));
    let odd = odd_bounds::encode(groups).map(|odd| KeyValue::new(odd_bounds::KEY.into(), odd));
    let columns = shape.columns();
    let around = columns.entries.len() + 2 * shape.leaves.len() + 64 * groups.len();
    let mut end =
        Vec::with_capacity(entries + around + sums.value.as_ref().map_or(0, String::len) + 4_096);
    end.extend([0; SEAL_LEN as usize]);
    structure(&mut end, |footer| {
        footer.int(1, 2);
        footer.joined(2, columns.count, &columns.entries);
        footer.long(3, rows);
        footer.structures(4, groups, |group, fields| group.entry().describe(fields));
        let keys: Vec<_> = keys.iter().chain([&sums]).chain(&tables).chain(&odd).collect();
        footer.structures(5, &keys, |KeyValue { key, value }, pair| {
            pair.bytes(1, key);
            if let Some(value) = value {
                pair.bytes(2, value);
            }
        });
        footer.bytes(6, CREATED_BY);
        // Each column is ordered as its type defines.
        footer.structures(7, &shape.leaves, |_, order| order.structure(1, |_| ()));
    });
    let (seal, footer) = end.split_at_mut(SEAL_LEN as usize);
    seal.copy_from_slice(&checksums::seal(footer));
    let len = footer.len() as u32;
    end.extend(len.to_le_bytes());
    end.extend(MAGIC);
    end
}

/// A footer that was read, checked and decoded.
pub(crate) struct Footer {
    pub(crate) metadata: ParquetMetaData,
    /// The checksums of each chunk of each row group; empty if there are none.
    pub(crate) checksums: Vec<Vec<Option<u32>>>,
    /// Where the table of the spans of each row group is; empty if there are none.
    pub(crate) tables: Vec<Option<SpanTable>>,
    /// The list of chunks of each row group that are not finite; empty if there are none.
    pub(crate) odd: Vec<String>,
    /// Where the row groups end and the footer, with its seal, begins.
    pub(crate) start: u64,
}

/// A footer that was read and compared with its seal, but not decoded.
pub(crate) struct Sealed {
    bytes: Vec<u8>,
    start: u64,
    seal: Seal,
    file_len: u64,
}

/// What tells one version of a file from another. The footer holds the checksum of every chunk, so
/// files of the same length with the same footer hold the same rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fingerprint {
    file_len: u64,
    footer_sum: u32,
}

/// Reads and checks the footer.
pub(crate) fn read(file: &ReadAt) -> Result<Footer, ReadFailure> {
    Sealed::read(file)?.decode()
}

/// The length that the footer of a file that ended at `end` claims; `None` if the file is too short
/// for it.
pub(crate) fn claimed_len(file: &ReadAt, end: u64) -> Result<Option<u64>, ReadFailure> {
    let Some(tail) = end.checked_sub(TAIL) else { return Ok(None) };
    let length = file.bytes(tail, 4)?;
    let length = u32::from_le_bytes([length[0], length[1], length[2], length[3]]).into();
    Ok(Some(length).filter(|length| *length <= end))
}

impl Sealed {
    /// Reads the footer and compares it with its seal.
    pub(crate) fn read(file: &ReadAt) -> Result<Self, ReadFailure> {
        if file.len() < MAGIC.len() as u64 + TAIL {
            return Err(ReadFailure::Damaged(format!("it has only {} bytes", file.len())));
        }
        let head = file.bytes(0, MAGIC.len())?;
        let tail = file.bytes(file.len() - TAIL, TAIL as usize)?;
        let (length, end) = tail.split_at(4);
        if head != MAGIC.as_slice() || end != MAGIC {
            return Err(other_magic(&head, end));
        }
        let length: u64 = u32::from_le_bytes([length[0], length[1], length[2], length[3]]).into();
        let start = (file.len() - TAIL)
            .checked_sub(length)
            .filter(|start| *start >= MAGIC.len() as u64)
            .ok_or_else(|| format!("its footer claims {length} bytes, more than the file has"))
            .map_err(ReadFailure::Damaged)?;
        if length > FOOTER_BYTES_MAX {
            return Err(ReadFailure::Unsupported(format!(
                "its footer has {length} bytes, and this crate takes {FOOTER_BYTES_MAX}"
            )));
        }
        let before = start.saturating_sub(SEAL_LEN).max(MAGIC.len() as u64);
        let mut bytes = file.bytes(before, (file.len() - TAIL - before) as usize)?;
        let footer = bytes.split_off((start - before) as usize);
        let seal = checksums::check_seal(&bytes, &footer);
        if seal == Seal::Broken {
            return Err(damaged("it does not agree with its checksum"));
        }
        let start = if seal == Seal::Whole { before } else { start };
        Ok(Self { bytes: footer, start, seal, file_len: file.len() })
    }

    /// Which version it ends.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        Fingerprint { file_len: self.file_len, footer_sum: crc32c::crc32c(&self.bytes) }
    }

    /// Whether it has a checksum, which agrees with it: a writer of ours put it there.
    pub(crate) fn is_guarded(&self) -> bool {
        self.seal == Seal::Whole
    }

    /// Decodes it, and checks that what it claims is possible.
    pub(crate) fn decode(self) -> Result<Footer, ReadFailure> {
        let Self { bytes, start, seal, .. } = self;
        if let Some(failure) = newer::beyond_us(&bytes) {
            return Err(match failure {
                ReadFailure::Damaged(reason) => damaged(&reason),
                failure => failure,
            });
        }
        let metadata =
            contain(|| Ok(ParquetMetaDataReader::decode_metadata(&bytes)?)).map_err(|failure| {
                match failure {
                    ReadFailure::Damaged(reason) => damaged(&reason),
                    failure => failure,
                }
            })?;
        // Other writers may have copied our keys together with the rows; only ours are about these
        // chunks.
        let by = metadata.file_metadata().created_by().unwrap_or_default();
        let is_ours = by.starts_with(env!("CARGO_PKG_NAME"));
        // mutant: later_version_read_as_this_one
        if is_ours {
            check_format(&metadata)?;
        }
        let is_trusted = is_ours && seal == Seal::Whole;
        contain(|| check(&metadata, start, is_trusted))?;
        let checksums = if is_ours { read_checksums(&metadata)? } else { None };
        // mutant: footer_seal_may_be_gone
        if seal == Seal::None && checksums.is_some() {
            return Err(damaged("its checksum is gone"));
        }
        let tables = if is_ours { read_tables(&metadata, start)? } else { None };
        let (checksums, tables) = (checksums.unwrap_or_default(), tables.unwrap_or_default());
        let odd = key(&metadata, odd_bounds::KEY).filter(|_| is_ours).map(odd_bounds::decode);
        Ok(Footer { checksums, tables, odd: odd.unwrap_or_default(), start, metadata })
    }
}

/// Why a file that does not have the usual letters at both ends cannot be read.
fn other_magic(head: &[u8], end: &[u8]) -> ReadFailure {
    if head != end || !end.starts_with(ANY_EDITION) {
        return ReadFailure::damaged("it does not begin and end with the letters PAR1");
    }
    if end == ENCRYPTED {
        return ReadFailure::unsupported("it is encrypted, which this crate does not support");
    }
    let letters = end.escape_ascii();
    ReadFailure::Unsupported(format!(
        "it begins and ends with the letters {letters}: an edition of Parquet that this crate does not know"
    ))
}

/// Checks that our own part of the footer is not of a later version than this one.
fn check_format(metadata: &ParquetMetaData) -> Result<(), ReadFailure> {
    let keys = metadata.file_metadata().key_value_metadata().into_iter().flatten();
    let version = keys.filter(|key| key.key == FORMAT_VERSION_KEY).find_map(|key| {
        let version = key.value.as_deref()?;
        Some((version, version.parse::<u64>().ok()?))
    });
    let ours = FORMAT_VERSION.parse::<u64>().unwrap_or_default();
    match version {
        Some((text, version)) if version > ours => Err(ReadFailure::Unsupported(format!(
            "it has version {text} of the metrics format and this crate knows {FORMAT_VERSION}: \
             update qstore-parquet"
        ))),
        _ => Ok(()),
    }
}

fn damaged(reason: &str) -> ReadFailure {
    ReadFailure::Damaged(format!("its footer is damaged: {reason}"))
}

type Checksums = Vec<Vec<Option<u32>>>;

fn read_checksums(metadata: &ParquetMetaData) -> Result<Option<Checksums>, ReadFailure> {
    let Some(text) = key(metadata, checksums::KEY) else { return Ok(None) };
    let columns = metadata.file_metadata().schema_descr().num_columns();
    let groups = metadata.num_row_groups();
    checksums::decode(text, groups, columns)
        .map(Some)
        .ok_or_else(|| ReadFailure::damaged("its checksums are malformed"))
}

fn read_tables(
    metadata: &ParquetMetaData,
    start: u64,
) -> Result<Option<Vec<Option<SpanTable>>>, ReadFailure> {
    let Some(text) = key(metadata, span_table::KEY) else { return Ok(None) };
    span_table::decode(text, metadata.num_row_groups(), start)
        .map(Some)
        .ok_or_else(|| ReadFailure::damaged("the places of its spans are malformed"))
}

/// The value of a key.
fn key<'a>(metadata: &'a ParquetMetaData, name: &str) -> Option<&'a str> {
    let keys = metadata.file_metadata().key_value_metadata().into_iter().flatten();
    keys.filter(|key| key.key == name).find_map(|key| key.value.as_deref())
}

/// Checks that what a footer claims is possible, before any of it is used, and no more than this crate
/// takes. A footer of ours may claim as many rows as there are: columns of ours that hold nothing in most
/// rows take next to no bytes.
fn check(metadata: &ParquetMetaData, footer_start: u64, is_ours: bool) -> Result<(), ReadFailure> {
    let data = MAGIC.len() as u64..footer_start;
    let (mut rows, mut bytes, mut values) = (0, 0_u64, 0_u64);
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let group_rows = group.num_rows();
        if group_rows < 0 {
            return Err(ReadFailure::Damaged(format!(
                "row group {number} claims {group_rows} rows"
            )));
        }
        if group_rows > GROUP_ROWS_MAX {
            return Err(ReadFailure::Unsupported(format!(
                "row group {number} has {group_rows} rows, and this crate takes {GROUP_ROWS_MAX} \
                 in a group"
            )));
        }
        rows += group_rows;
        let bytes_before = bytes;
        let mut group_values = 0_u64;
        for chunk in group.columns() {
            let column = chunk.column_path();
            // A row of a list has any number of values.
            let is_list = chunk.column_descr().max_rep_level() > 0;
            if chunk.num_values() != group_rows && !is_list {
                let values = chunk.num_values();
                return Err(ReadFailure::Damaged(format!(
                    "column {column} has {values} values in {group_rows} rows"
                )));
            }
            let chunk_values = chunk.num_values().max(group_rows) as u64;
            group_values = group_values.saturating_add(chunk_values);
            // Some writers give no offsets for a group without rows; it is ignored anyway.
            if group_rows == 0 {
                continue;
            }
            let (start, len) = chunk.byte_range();
            bytes = bytes.saturating_add(len);
            let is_inside = data.contains(&start)
                && start.checked_add(len).is_some_and(|end| end <= data.end)
                && bytes <= data.end - data.start;
            if !is_inside {
                return Err(ReadFailure::Damaged(format!(
                    "column {column} of row group {number} is outside the file"
                )));
            }
        }
        let possible =
            GROUP_ROWS_FREE.max((bytes - bytes_before).saturating_mul(ROWS_PER_BYTE_MAX));
        if group_rows as u64 > possible && !is_ours {
            return Err(ReadFailure::Unsupported(format!(
                "row group {number} has {group_rows} rows in {} bytes, and beyond {GROUP_ROWS_FREE} \
                 rows this crate takes {ROWS_PER_BYTE_MAX} for each byte",
                bytes - bytes_before
            )));
        }
        values = values.saturating_add(group_values);
    }
    let possible = VALUES_FREE.saturating_add(footer_start.saturating_mul(VALUES_PER_BYTE_MAX));
    if values > possible && !is_ours {
        return Err(ReadFailure::Unsupported(format!(
            "it has {values} values in {footer_start} bytes, and beyond {VALUES_FREE} values this \
             crate takes {VALUES_PER_BYTE_MAX} for each byte"
        )));
    }
    let claimed = metadata.file_metadata().num_rows();
    if rows == claimed {
        return Ok(());
    }
    Err(ReadFailure::Damaged(format!("it claims {claimed} rows and has {rows}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::leaves;
    use parquet::file::metadata::{ColumnChunkMetaData, FileMetaData, RowGroupMetaData};
    use qstore_schema::{DataType, Field};

    /// A footer that claims `groups` groups of `rows` rows and `bytes` bytes each.
    fn claim(groups: u64, rows: u64, bytes: u64, is_ours: bool) -> Result<(), ReadFailure> {
        let schema =
            leaves::describe(&leaves::of_ours(&[Field::nullable("n", DataType::Float64)])).unwrap();
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
        check(&metadata, MAGIC.len() as u64 + groups * bytes, is_ours)
    }

    #[test]
    fn many_rows_need_bytes_and_few_do_not() {
        let check = |groups, rows, bytes, reason: &str| match claim(groups, rows, bytes, false) {
            Ok(()) => assert_eq!(reason, "", "{groups} groups of {rows} rows, {bytes} bytes"),
            Err(ReadFailure::Unsupported(error)) => {
                assert!(!reason.is_empty() && error.contains(reason), "{error}");
            }
            Err(other) => panic!("{other}"),
        };
        check(1, 65_536, 40, "");
        check(1, 1 << 20, 40, "");
        check(1, (1 << 20) + 1, 40, "rows in 40 bytes");
        check(1, 1 << 24, 2 << 20, "");
        check(1, (1 << 24) + 1, 1 << 30, "has 16777217 rows");
        // A thousand groups of a million nulls each; of ours, with 65 536, as many as there are.
        check(1_000, 1 << 20, 40, "it has 1048576000 values in 40004 bytes");
        check(10_000, 65_536, 140, "");
        // Regression: our own columns of hardly any values were refused from the fifth full group on.
        for (groups, rows, bytes) in [(1, 1 << 24, 40), (10_000, 65_536, 40)] {
            assert!(claim(groups, rows, bytes, true).is_ok());
            assert!(claim(groups, rows, bytes, false).is_err());
        }
        assert!(claim(1, (1 << 24) + 1, 1 << 30, true).is_err());
    }
}
