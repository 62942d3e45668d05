//! Reads one column chunk: checks it, then decodes it, and lets no damage become a value.
//!
//! The whole chunk is read into memory, so that what is decoded is what was checked; a chunk of ours
//! has at most half a megabyte, one of another writer as much as its row group allows. What its pages
//! claim is compared with its rows before any of it is allocated: see `pages.rs`.

use crate::pages::{self, Claims};
use crate::published::Published;
use crate::read_at::contain;
use crate::stored::range_of;
use crate::table::Values;
use bytes::Bytes;
use parquet::column::reader::{ColumnReader, get_column_reader, get_typed_column_reader};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType as ParquetType, DoubleType, Int64Type,
};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::ReaderProperties;
use parquet::file::serialized_reader::SerializedPageReader;
use qstore_schema::{DataType, SmolStr};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

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
            let reader = self.column_reader(group, column, &bytes)?;
            let nullable = field.nullable;
            Ok(match field.data_type {
                DataType::Bool => Values::Bool(read::<BoolType, _>(reader, rows, nullable, Ok)?),
                DataType::Int64 => Values::Int(read::<Int64Type, _>(reader, rows, nullable, Ok)?),
                DataType::Utf8 => {
                    let texts = Texts::default();
                    let text = |bytes: ByteArray| texts.get(&bytes);
                    Values::Text(read::<ByteArrayType, _>(reader, rows, nullable, text)?)
                }
                _ => Values::Float(read::<DoubleType, _>(reader, rows, nullable, Ok)?),
            })
        };
        contain(read)?.map_err(|error| error.to_string())
    }

    /// The bytes of a chunk; they agree with their checksum, if there is one.
    fn chunk_bytes(&self, group: usize, column: usize) -> std::result::Result<Vec<u8>, String> {
        let stored = &self.groups[group];
        let metadata = stored.metadata(&self.fields).map_err(|error| error.to_string())?;
        let chunk = metadata.column(column);
        let range = range_of(chunk);
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.file.read_at(range.start, &mut bytes).map_err(|error| error.to_string())?;
        let checksum = stored.checksums().nth(column).flatten();
        // mutant: chunk_checksum_not_compared
        if checksum.is_some_and(|checksum| crc32c::crc32c(&bytes) != checksum) {
            return Err("its bytes do not agree with their checksum".into());
        }
        Ok(bytes)
    }

    fn column_reader(&self, group: usize, column: usize, bytes: &[u8]) -> Result<ColumnReader> {
        let stored = &self.groups[group];
        let metadata = stored.metadata(&self.fields)?;
        let chunk = metadata.column(column);
        let claims = Claims {
            compression: chunk.compression(),
            data_type: self.fields[column].data_type,
            rows: stored.rows() as u64,
        };
        let pages = pages::check(bytes, HEAD, claims).map_err(ParquetError::General)?;
        let chunk = chunk
            .clone()
            .into_builder()
            .set_compression(pages.compression)
            .set_total_compressed_size((pages.bytes.len() - HEAD) as i64)
            .set_data_page_offset(HEAD as i64)
            .set_dictionary_page_offset(None)
            .set_index_page_offset(None)
            .build()?;
        // The library would try other forms of LZ4 than the documented one, and in one of them a few
        // bytes become any number.
        let properties = ReaderProperties::builder().set_backward_compatible_lz4(false).build();
        let pages = SerializedPageReader::new_with_properties(
            Arc::new(Bytes::from(pages.bytes)),
            &chunk,
            stored.rows(),
            None,
            Arc::new(properties),
        )?;
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

/// The texts of a chunk, each copied once: a million rows that refer to one long text of a dictionary
/// share it, as they do in the file.
#[derive(Default)]
struct Texts(RefCell<HashMap<(usize, usize), SmolStr>>);

impl Texts {
    /// Shorter ones lie in the value itself.
    const LONG: usize = 24;

    fn get(&self, bytes: &ByteArray) -> Result<SmolStr> {
        let text = || -> Result<SmolStr> { Ok(bytes.as_utf8()?.into()) };
        if bytes.len() < Self::LONG {
            return text();
        }
        // The pages are in memory as long as their values are, so a place tells a text from others.
        let place = (bytes.data().as_ptr() as usize, bytes.len());
        if let Some(known) = self.0.borrow().get(&place) {
            return Ok(known.clone());
        }
        let text = text()?;
        self.0.borrow_mut().insert(place, text.clone());
        Ok(text)
    }
}
