//! Reads one column chunk: checks it, then decodes it. Damage never becomes a value.
//!
//! The whole chunk is read into memory, so that the bytes that are decoded are those that were checked.
//! What its pages claim is compared with its rows before anything is allocated: see `pages.rs`.

use crate::columns::numbers::Numbers;
use crate::columns::table::Values;
use crate::format::decompress::room;
use crate::format::leaves::{Leaf, Reading};
use crate::format::list_levels::{self, Levels};
use crate::format::pages::{self, Claims};
use crate::format::published::Published;
use crate::format::read_failure::{ReadFailure, contain};
use bytes::Bytes;
use parquet::basic::Compression;
use parquet::column::reader::{ColumnReader, get_column_reader, get_typed_column_reader};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType as ParquetType, DoubleType, FixedLenByteArray,
    FixedLenByteArrayType, FloatType, Int32Type, Int64Type,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::serialized_reader::SerializedPageReader;
use qstore_schema::SmolStr;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// The offset of a chunk in memory: an offset of 0 has another meaning to the library.
const HEAD: usize = 4;

/// The decompressed bytes of a chunk that a reader takes by default: twice those of a
/// full row group of ours with 16 KiB of text in each row.
pub(crate) const CHUNK_BYTES_MAX: u64 = 1 << 31;

impl Published {
    /// All values of one column of one row group, which agree with their checksum, if there is one, and
    /// take at most `bytes_max` bytes when they are decompressed.
    pub(crate) fn values(
        &self,
        group: usize,
        column: usize,
        bytes_max: u64,
    ) -> Result<Values, ReadFailure> {
        self.whole(group, column, bytes_max)
    }

    /// The same as any form of values.
    fn whole<V: Decoded>(
        &self,
        group: usize,
        column: usize,
        bytes_max: u64,
    ) -> Result<V, ReadFailure> {
        let stored = &self.groups[group];
        let rows = stored.rows();
        let missing = || ReadFailure::damaged("its row group has fewer columns than the file");
        let range = stored.range(column).ok_or_else(missing)?;
        self.decoded((group, column), rows, bytes_max, || {
            self.checked_bytes(&range, stored.checksum(column), bytes_max)
        })
    }

    /// The values of one span of a group, as [`values`](Self::values).
    pub(crate) fn span_values(
        &self,
        group: usize,
        span: usize,
        column: usize,
        bytes_max: u64,
    ) -> Result<Values, ReadFailure> {
        self.part(group, span, column, bytes_max)
    }

    /// The same as numbers.
    pub(crate) fn span_numbers(
        &self,
        group: usize,
        span: usize,
        column: usize,
        bytes_max: u64,
    ) -> Result<Numbers, ReadFailure> {
        self.part(group, span, column, bytes_max)
    }

    fn part<V: Decoded>(
        &self,
        group: usize,
        span: usize,
        column: usize,
        bytes_max: u64,
    ) -> Result<V, ReadFailure> {
        let spans = match self.spans(group) {
            Ok(spans) => spans.unwrap_or_default(),
            Err(failure @ ReadFailure::Storage(_)) => return Err(failure),
            // Pieces of such a group are whole.
            Err(ReadFailure::Damaged(_) | ReadFailure::Unsupported(_)) => Arc::default(),
        };
        let (chunk, found) = (self.groups[group].range(column), spans.columns.get(column));
        let found = found.filter(|found| found.is_split() && spans.rows.len() > 1);
        let Some((chunk, found)) = chunk.zip(found) else {
            let mut values: V = self.whole(group, column, bytes_max)?;
            if spans.rows.len() > 1 {
                let start = spans.rows[..span].iter().map(|rows| *rows as usize).sum();
                values.cut(&(start..start + spans.rows[span] as usize));
            }
            return Ok(values);
        };
        let dictionary = chunk.start..chunk.start + found.dictionary.len;
        let pages = found.range(span);
        let pages = chunk.start + pages.start..chunk.start + pages.end;
        self.decoded((group, column), spans.rows[span] as usize, bytes_max, || {
            let mut bytes = Vec::new();
            if found.dictionary.len > 0 {
                let checksum = Some(found.dictionary.checksum);
                bytes = self.checked_bytes(&dictionary, checksum, bytes_max)?;
            }
            let checksum = Some(found.spans[span].part.checksum);
            bytes.extend(self.checked_bytes(&pages, checksum, bytes_max)?);
            Ok(bytes)
        })
    }

    /// The values of `rows` rows of a chunk, from its bytes.
    fn decoded<V: Decoded>(
        &self,
        (group, column): (usize, usize),
        rows: usize,
        bytes_max: u64,
        bytes: impl FnOnce() -> Result<Vec<u8>, ReadFailure>,
    ) -> Result<V, ReadFailure> {
        let Leaf { field, reading, .. } = &self.shape.leaves[column];
        let reading = reading.clone().map_err(ReadFailure::Unsupported)?;
        if reading == Reading::Nulls {
            return Ok(V::nulls(rows));
        }
        let bytes = bytes()?;
        let (nullable, levels) = (field.nullable, self.shape.leaves[column].levels());
        contain(|| {
            let (reader, claimed) = self.column_reader((group, column), rows, &bytes, bytes_max)?;
            Ok(V::read(reader, &Expected { reading, rows, nullable, levels, claimed })?)
        })
    }

    /// All integers stored in one column of one row group, and a level per row if it is nullable.
    pub(crate) fn integers(
        &self,
        group: usize,
        column: usize,
    ) -> Result<(Vec<i64>, Vec<i16>), ReadFailure> {
        let Values::Int(all) = self.values(group, column, CHUNK_BYTES_MAX)? else {
            return Err(ReadFailure::damaged("it does not hold integers"));
        };
        let levels = if self.shape.fields[column].nullable {
            all.iter().map(|value| i16::from(value.is_some())).collect()
        } else {
            Vec::new()
        };
        Ok((all.into_iter().flatten().collect(), levels))
    }

    /// Some bytes of the file; they agree with their checksum, if there is one.
    fn checked_bytes(
        &self,
        range: &Range<u64>,
        checksum: Option<u32>,
        bytes_max: u64,
    ) -> Result<Vec<u8>, ReadFailure> {
        let len = range.end - range.start;
        // Inside the file, which was checked when the footer was read; but a file of holes has any length.
        if len > bytes_max {
            return Err(ReadFailure::Unsupported(format!(
                "it has {len} bytes, more than the {bytes_max} that this reader takes, see \
                 MetricsFile::chunk_bytes_max"
            )));
        }
        let (mut bytes, len) = (Vec::new(), len as usize);
        room(&mut bytes, len)?;
        bytes.resize(len, 0); // bounded: it was reserved
        self.file.read_at(range.start, &mut bytes)?;
        // mutant: chunk_checksum_not_compared
        if checksum.is_some_and(|checksum| crc32c::crc32c(&bytes) != checksum) {
            return Err(ReadFailure::damaged("its bytes do not agree with their checksum"));
        }
        Ok(bytes)
    }

    /// A reader of the pages of a chunk, and the number of values in them: one for each row, or for each
    /// element of a list.
    fn column_reader(
        &self,
        (group, column): (usize, usize),
        rows: usize,
        bytes: &[u8],
        bytes_max: u64,
    ) -> Result<(ColumnReader, usize), ReadFailure> {
        let metadata = self.group(group)?;
        let chunk = metadata.column(column);
        let Leaf { field, reading, .. } = &self.shape.leaves[column];
        let reading = reading.clone().map_err(ReadFailure::Unsupported)?;
        let claimed = if reading.is_list() {
            let is_whole = rows == self.groups[group].rows();
            elements(bytes, is_whole.then(|| chunk.num_values()))?
        } else {
            rows
        };
        let claims = Claims {
            compression: chunk.compression(),
            reading,
            nullable: field.nullable || reading.is_list(),
            values: claimed as u64,
            bytes_max,
        };
        let pages = pages::check(bytes, HEAD, claims)?;
        let chunk = chunk
            .clone()
            .into_builder()
            .set_compression(Compression::UNCOMPRESSED)
            .set_num_values(claimed as i64)
            .set_total_compressed_size((pages.len() - HEAD) as i64)
            .set_data_page_offset(HEAD as i64)
            .set_dictionary_page_offset(None)
            .set_index_page_offset(None)
            .build()?;
        let pages = SerializedPageReader::new(Arc::new(Bytes::from(pages)), &chunk, rows, None)?;
        Ok((get_column_reader(chunk.column_descr_ptr(), Box::new(pages)), claimed))
    }
}

/// A stored unsigned integer, if it is one of ours.
fn unsigned(value: i64) -> ParquetResult<i64> {
    if value >= 0 {
        return Ok(value);
    }
    let value = value as u64;
    Err(ParquetError::NYI(format!("it holds {value}, more than a signed integer of 64 bits can")))
}

/// A float of 16 bits, which is exact with 64.
fn half(bytes: &[u8]) -> ParquetResult<f64> {
    let bits = <[u8; 2]>::try_from(bytes).map(u16::from_le_bytes);
    let bits = bits.map_err(|_| ParquetError::General("a float does not have 16 bits".into()))?;
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let size = match exponent {
        0 => fraction * 2_f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (fraction + 1_024.0) * 2_f64.powi(exponent - 25),
    };
    Ok(if bits >> 15 == 1 { -size } else { size })
}

/// What the footer says about the values of a chunk.
struct Expected {
    reading: Reading,
    rows: usize,
    nullable: bool,
    levels: Levels,
    /// The number of elements, if they are lists.
    claimed: usize,
}

/// A form that the values of a chunk are decoded to.
trait Decoded: Sized {
    /// Null in all rows.
    fn nulls(rows: usize) -> Self;
    fn read(reader: ColumnReader, expected: &Expected) -> ParquetResult<Self>;
    /// Keeps only these rows.
    fn cut(&mut self, rows: &Range<usize>);
}

impl Decoded for Values {
    fn nulls(rows: usize) -> Self {
        // bounded: a row group has at most `GROUP_ROWS_MAX` rows
        Self::Int(vec![None; rows])
    }

    fn read(reader: ColumnReader, expected: &Expected) -> ParquetResult<Self> {
        let &Expected { reading, rows, nullable, levels, claimed } = expected;
        Ok(match reading {
            Reading::Bool => Self::Bool(read::<BoolType, _>(reader, rows, nullable, Ok)?),
            Reading::Int64 | Reading::Nulls => {
                Self::Int(read::<Int64Type, _>(reader, rows, nullable, Ok)?)
            }
            Reading::UInt64 => Self::Int(read::<Int64Type, _>(reader, rows, nullable, unsigned)?),
            Reading::Int32 => {
                let widen = |value: i32| Ok(value.into());
                Self::Int(read::<Int32Type, _>(reader, rows, nullable, widen)?)
            }
            Reading::UInt32 => {
                let widen = |value: i32| Ok((value as u32).into());
                Self::Int(read::<Int32Type, _>(reader, rows, nullable, widen)?)
            }
            Reading::Float64 => Self::Float(read::<DoubleType, _>(reader, rows, nullable, Ok)?),
            Reading::Float32 => {
                let widen = |value: f32| Ok(value.into());
                Self::Float(read::<FloatType, _>(reader, rows, nullable, widen)?)
            }
            Reading::Float16 => {
                let widen = |value: FixedLenByteArray| half(value.data());
                Self::Float(read::<FixedLenByteArrayType, _>(reader, rows, nullable, widen)?)
            }
            Reading::Lists64 => {
                Self::List(lists::<DoubleType>(reader, levels, (rows, claimed), |all| all)?)
            }
            Reading::Lists32 => {
                let widen = |all: Vec<f32>| all.into_iter().map(f64::from).collect();
                Self::List(lists::<FloatType>(reader, levels, (rows, claimed), widen)?)
            }
            Reading::Text => {
                let texts = Texts::default();
                let text = |bytes: ByteArray| texts.get(&bytes);
                Self::Text(read::<ByteArrayType, _>(reader, rows, nullable, text)?)
            }
        })
    }

    fn cut(&mut self, rows: &Range<usize>) {
        Self::cut(self, rows);
    }
}

impl Decoded for Numbers {
    fn nulls(rows: usize) -> Self {
        Self::nulls(rows)
    }

    fn read(reader: ColumnReader, expected: &Expected) -> ParquetResult<Self> {
        match expected.reading {
            Reading::Bool => numbers::<BoolType>(reader, expected, |flag| Ok(flag.into())),
            Reading::Int64 | Reading::Nulls => {
                numbers::<Int64Type>(reader, expected, |value| Ok(value as f64))
            }
            Reading::UInt64 => {
                numbers::<Int64Type>(reader, expected, |value| Ok(unsigned(value)? as f64))
            }
            Reading::Int32 => numbers::<Int32Type>(reader, expected, |value| Ok(value.into())),
            Reading::UInt32 => {
                numbers::<Int32Type>(reader, expected, |value| Ok((value as u32).into()))
            }
            Reading::Float64 => numbers::<DoubleType>(reader, expected, Ok),
            Reading::Float32 => numbers::<FloatType>(reader, expected, |value| Ok(value.into())),
            Reading::Float16 => {
                numbers::<FixedLenByteArrayType>(reader, expected, |value| half(value.data()))
            }
            Reading::Text | Reading::Lists32 | Reading::Lists64 => {
                Err(ParquetError::NYI("its values are not numbers".into()))
            }
        }
    }

    fn cut(&mut self, rows: &Range<usize>) {
        Self::cut(self, rows);
    }
}

/// All numbers of a chunk.
fn numbers<T: ParquetType>(
    reader: ColumnReader,
    expected: &Expected,
    convert: impl Fn(T::T) -> ParquetResult<f64>,
) -> ParquetResult<Numbers> {
    let &Expected { rows, nullable, .. } = expected;
    let (values, levels) = stored::<T>(reader, rows, nullable)?;
    // Where nothing is converted, this is the same memory.
    let values: Vec<f64> = values.into_iter().map(convert).collect::<ParquetResult<_>>()?;
    let present = (values.len() < rows).then(|| levels.iter().map(|level| *level == 1).collect());
    Ok(Numbers { rows: 0..rows as u64, values, present })
}

/// The values that a chunk has, and a level for each row if they are nullable.
fn stored<T: ParquetType>(
    reader: ColumnReader,
    rows: usize,
    nullable: bool,
) -> ParquetResult<(Vec<T::T>, Vec<i16>)> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    let levels_read = nullable.then_some(&mut levels);
    get_typed_column_reader::<T>(reader).read_records(rows, levels_read, None, &mut values)?;
    let there = levels.iter().filter(|level| **level == 1).count();
    let is_whole =
        if nullable { levels.len() == rows && values.len() == there } else { values.len() == rows };
    if !is_whole {
        return Err(ParquetError::General("it has fewer rows than it claims".into()));
    }
    Ok((values, levels))
}

/// All values of a chunk, one per row.
fn read<T: ParquetType, V>(
    reader: ColumnReader,
    rows: usize,
    nullable: bool,
    convert: impl Fn(T::T) -> ParquetResult<V>,
) -> ParquetResult<Vec<Option<V>>> {
    let (values, levels) = stored::<T>(reader, rows, nullable)?;
    let mut values = values.into_iter();
    if !nullable {
        return values.map(|value| convert(value).map(Some)).collect();
    }
    let levels = levels.into_iter();
    levels
        .map(|level| if level == 1 { values.next().map(&convert).transpose() } else { Ok(None) })
        .collect()
}

/// All lists of a chunk, one per row.
fn lists<T: ParquetType>(
    reader: ColumnReader,
    levels: Levels,
    (rows, claimed): (usize, usize),
    widen: impl Fn(Vec<T::T>) -> Vec<f64>,
) -> ParquetResult<Vec<Option<Box<[f64]>>>> {
    let (mut values, mut definition, mut repetition) = (Vec::new(), Vec::new(), Vec::new());
    let mut reader = get_typed_column_reader::<T>(reader);
    let into = (Some(&mut definition), Some(&mut repetition));
    reader.read_records(rows, into.0, into.1, &mut values)?;
    list_levels::lists((&definition, &repetition), &widen(values), levels, (rows, claimed))
}

/// The texts of a chunk, each copied once: a million rows that refer to the same long text of a
/// dictionary share it, as they do in the file.
#[derive(Default)]
struct Texts(RefCell<HashMap<(usize, usize), SmolStr>>);

impl Texts {
    /// The length from which a text is not stored inside the value itself.
    const LONG: usize = 24;

    fn get(&self, bytes: &ByteArray) -> ParquetResult<SmolStr> {
        let text = || match bytes.as_utf8() {
            Ok(text) => Ok(SmolStr::from(text)),
            // Other writers do not check it.
            Err(_) => Err(ParquetError::NYI("a text in it is not valid UTF-8".into())),
        };
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

/// The number of elements, empty and null lists included, that the pages of a list column claim; those of a
/// whole chunk must claim what its footer does.
fn elements(pages: &[u8], footer: Option<i64>) -> Result<usize, ReadFailure> {
    let found = pages::values_of(pages)?;
    let agrees = footer.is_none_or(|claimed| u64::try_from(claimed) == Ok(found));
    usize::try_from(found)
        .ok()
        .filter(|_| agrees)
        .ok_or_else(|| ReadFailure::damaged("its pages have more or fewer elements than it claims"))
}
