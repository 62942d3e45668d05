//! Reads one column chunk: checks it, then decodes it, and lets no damage become a value.
//!
//! The whole chunk is read into memory, so that what is decoded is what was checked; a chunk of ours
//! has at most half a megabyte, one of another writer as much as its row group allows.

use crate::published::Published;
use crate::read_at::contain;
use crate::row_group;
use crate::stored::range_of;
use crate::table::Values;
use bytes::Bytes;
use parquet::column::reader::{ColumnReader, get_column_reader, get_typed_column_reader};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType as ParquetType, DoubleType, Int64Type,
};
use parquet::errors::{ParquetError, Result};
use parquet::file::serialized_reader::SerializedPageReader;
use qstore_schema::{DataType, SmolStr};
use std::sync::Arc;

/// More bytes than any chunk of metrics decodes to: 2^24 rows of 64 bytes.
const DECODED_MAX: i64 = 1 << 30;

/// Where a chunk is put in memory: an offset of 0 means something else to the library.
const HEAD: usize = 4;

impl Published {
    /// All values of one column of one row group; the error says what is wrong with them.
    pub(crate) fn values(
        &self,
        group: usize,
        column: usize,
    ) -> std::result::Result<Values, String> {
        let bytes = self.chunk_bytes(group, column)?;
        let (rows, field) = (self.groups[group].rows(), &self.fields[column]);
        let read = || -> Result<Values> {
            let reader = self.column_reader(group, column, bytes)?;
            let nullable = field.nullable;
            Ok(match field.data_type {
                DataType::Bool => Values::Bool(read::<BoolType, _>(reader, rows, nullable, Ok)?),
                DataType::Int64 => Values::Int(read::<Int64Type, _>(reader, rows, nullable, Ok)?),
                DataType::Utf8 => {
                    Values::Text(read::<ByteArrayType, _>(reader, rows, nullable, |bytes| {
                        text(&bytes)
                    })?)
                }
                _ => Values::Float(read::<DoubleType, _>(reader, rows, nullable, Ok)?),
            })
        };
        contain(read)?.map_err(|error| error.to_string())
    }

    /// The bytes of a chunk, behind four others; they agree with their checksum, if there is one.
    fn chunk_bytes(&self, group: usize, column: usize) -> std::result::Result<Bytes, String> {
        let stored = &self.groups[group];
        let metadata = stored.metadata(&self.fields).map_err(|error| error.to_string())?;
        let chunk = metadata.column(column);
        let range = range_of(chunk);
        if chunk.uncompressed_size() > DECODED_MAX {
            return Err(format!("it claims to be {} bytes", chunk.uncompressed_size()));
        }
        let mut bytes = vec![0; HEAD + (range.end - range.start) as usize];
        self.file.read_at(range.start, &mut bytes[HEAD..]).map_err(|error| error.to_string())?;
        let checksum = stored.checksums().nth(column).flatten();
        if checksum.is_some_and(|checksum| crc32c::crc32c(&bytes[HEAD..]) != checksum) {
            return Err("its bytes do not agree with their checksum".into());
        }
        Ok(bytes.into())
    }

    fn column_reader(&self, group: usize, column: usize, bytes: Bytes) -> Result<ColumnReader> {
        let stored = &self.groups[group];
        let metadata = stored.metadata(&self.fields)?;
        let chunk = metadata.column(column);
        let shift = HEAD as i64 - range_of(chunk).start as i64;
        let chunk = row_group::shifted(chunk, shift)?;
        let pages = SerializedPageReader::new(Arc::new(bytes), &chunk, stored.rows(), None)?;
        Ok(get_column_reader(chunk.column_descr_ptr(), Box::new(pages)))
    }
}

/// All values of a chunk, one for each row.
fn read<T: ParquetType, V>(
    reader: ColumnReader,
    rows: usize,
    nullable: bool,
    convert: impl Fn(T::T) -> Result<V>,
) -> Result<Vec<Option<V>>> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let levels_read = nullable.then_some(&mut levels);
    get_typed_column_reader::<T>(reader).read_records(rows, levels_read, None, &mut values)?;
    let there = levels.iter().filter(|level| **level == 1).count();
    let is_whole =
        if nullable { levels.len() == rows && values.len() == there } else { values.len() == rows };
    if !is_whole {
        return Err(ParquetError::General("it has fewer rows than it claims".into()));
    }
    let mut values = values.into_iter();
    if !nullable {
        return values.map(|value| convert(value).map(Some)).collect();
    }
    let row = |level| if level == 1 { values.next().map(&convert).transpose() } else { Ok(None) };
    levels.into_iter().map(row).collect()
}

fn text(bytes: &ByteArray) -> Result<SmolStr> {
    Ok(bytes.as_utf8()?.into())
}
