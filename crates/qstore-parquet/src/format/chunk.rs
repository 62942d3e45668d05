//! Reads one column chunk: checks it, then decodes it. Damage never becomes a value.
//!
//! The whole chunk is read into memory, so that the bytes that are decoded are those that were checked.
//! A chunk of ours has at most half a megabyte; one of another program as much as its row group allows.
//! What its pages claim is compared with its rows before anything is allocated: see `pages.rs`.

use crate::columns::table::Values;
use crate::format::entry::range_of;
use crate::format::pages::{self, Claims};
use crate::format::published::Published;
use crate::format::read_failure::{ReadFailure, contain};
use bytes::Bytes;
use parquet::column::reader::{ColumnReader, get_column_reader, get_typed_column_reader};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType as ParquetType, DoubleType, Int64Type,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::properties::ReaderProperties;
use parquet::file::serialized_reader::SerializedPageReader;
use qstore_schema::{DataType, SmolStr};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

/// The offset of a chunk in memory: an offset of 0 has another meaning to the library.
const HEAD: usize = 4;

impl Published {
    /// All values of one column of one row group, which agree with their checksum, if there is one.
    pub(crate) fn values(&self, group: usize, column: usize) -> Result<Values, ReadFailure> {
        let bytes = self.chunk_bytes(group, column)?;
        let (rows, field) = (self.groups[group].rows(), &self.fields[column]);
        contain(|| {
            let reader = self.column_reader(group, column, &bytes)?;
            let nullable = field.nullable;
            Ok(match field.data_type {
                DataType::Bool => Values::Bool(read::<BoolType, _>(reader, rows, nullable, Ok)?),
                DataType::Int64 => Values::Int(read::<Int64Type, _>(reader, rows, nullable, Ok)?),
                DataType::Utf8 => {
                    let texts = Texts::default();
                    Values::Text(read::<ByteArrayType, _>(reader, rows, nullable, |bytes| {
                        texts.get(&bytes)
                    })?)
                }
                _ => Values::Float(read::<DoubleType, _>(reader, rows, nullable, Ok)?),
            })
        })
    }

    /// All integers stored in one column of one row group, and a level per row if it is nullable.
    pub(crate) fn integers(
        &self,
        group: usize,
        column: usize,
    ) -> Result<(Vec<i64>, Vec<i16>), ReadFailure> {
        let Values::Int(all) = self.values(group, column)? else {
            return Err(ReadFailure::damaged("it does not hold integers"));
        };
        let levels = if self.fields[column].nullable {
            all.iter().map(|value| i16::from(value.is_some())).collect()
        } else {
            Vec::new()
        };
        Ok((all.into_iter().flatten().collect(), levels))
    }

    /// The bytes of a chunk; they agree with their checksum, if there is one.
    fn chunk_bytes(&self, group: usize, column: usize) -> Result<Vec<u8>, ReadFailure> {
        let stored = &self.groups[group];
        let metadata = stored.metadata(&self.fields)?;
        let range = range_of(metadata.column(column));
        let mut bytes = vec![0; (range.end - range.start) as usize];
        self.file.read_at(range.start, &mut bytes)?;
        let checksum = stored.checksums().nth(column).flatten();
        // mutant: chunk_checksum_not_compared
        if checksum.is_some_and(|checksum| crc32c::crc32c(&bytes) != checksum) {
            return Err(ReadFailure::damaged("its bytes do not agree with their checksum"));
        }
        Ok(bytes)
    }

    fn column_reader(
        &self,
        group: usize,
        column: usize,
        bytes: &[u8],
    ) -> Result<ColumnReader, ReadFailure> {
        let stored = &self.groups[group];
        let metadata = stored.metadata(&self.fields)?;
        let chunk = metadata.column(column);
        let claims = Claims {
            compression: chunk.compression(),
            data_type: self.fields[column].data_type,
            rows: stored.rows() as u64,
        };
        let pages = pages::check(bytes, HEAD, claims).map_err(ReadFailure::Damaged)?;
        let chunk = chunk
            .clone()
            .into_builder()
            .set_compression(pages.compression)
            .set_total_compressed_size((pages.bytes.len() - HEAD) as i64)
            .set_data_page_offset(HEAD as i64)
            .set_dictionary_page_offset(None)
            .set_index_page_offset(None)
            .build()?;
        // The library would try undocumented forms of LZ4, too, and in one of them a few bytes expand to
        // any length.
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

/// All values of a chunk, one per row.
fn read<T: ParquetType, V>(
    reader: ColumnReader,
    rows: usize,
    nullable: bool,
    convert: impl Fn(T::T) -> ParquetResult<V>,
) -> ParquetResult<Vec<Option<V>>> {
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
    let levels = levels.into_iter();
    levels
        .map(|level| if level == 1 { values.next().map(&convert).transpose() } else { Ok(None) })
        .collect()
}

/// The texts of a chunk, each copied once: a million rows that refer to the same long text of a
/// dictionary share it, as they do in the file.
#[derive(Default)]
struct Texts(RefCell<HashMap<(usize, usize), SmolStr>>);

impl Texts {
    /// The length from which a text is not stored inside the value itself.
    const LONG: usize = 24;

    fn get(&self, bytes: &ByteArray) -> ParquetResult<SmolStr> {
        let text = || -> ParquetResult<SmolStr> { Ok(bytes.as_utf8()?.into()) };
        if bytes.len() < Self::LONG {
            return text();
        }
        // The pages are in memory as long as their values are, so the address identifies a text.
        let place = (bytes.data().as_ptr() as usize, bytes.len());
        if let Some(known) = self.0.borrow().get(&place) {
            return Ok(known.clone());
        }
        let text = text()?;
        self.0.borrow_mut().insert(place, text.clone());
        Ok(text)
    }
}
