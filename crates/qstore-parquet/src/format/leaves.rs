//! The columns of a file as any writer may have stored them, and how each is read and continued.
//!
//! The files of this crate have four forms. Here are those of other writers whose values fit
//! into the same four types exactly: smaller numbers, unsigned ones, dates and times as the integers that
//! they are. Whatever does not fit is left to other readers, with the reason; it never makes the file
//! damaged.

use crate::columns::fit::Fit;
use crate::columns::time_type::{TimeOf, TimeType, TimeUnit};
use crate::format::thrift::{Fields, structure};
use parquet::basic::{
    ConvertedType, LogicalType, Repetition, TimeUnit as ParquetUnit, Type as Physical,
};
use parquet::errors::Result as ParquetResult;
use parquet::schema::types::{ColumnDescriptor, SchemaDescPtr, SchemaDescriptor, Type};
use qstore_schema::{DataType, Field, SmolStr};
use std::sync::Arc;

/// The name of the root, as in the documentation of the format.
pub(crate) const ROOT: &str = "schema";

/// A column of a file, at the end of its path in the schema.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Leaf {
    /// What it is to a reader. A nested column has its whole path as a name.
    pub(crate) field: Field,
    pub(crate) physical: Physical,
    /// The bytes of a value of a fixed length.
    len: i32,
    /// What the values mean to other programs, in the older words of the format and in the newer ones.
    converted: ConvertedType,
    logical: Option<LogicalType>,
    /// How its values are read; if they are not, why.
    pub(crate) reading: Result<Reading, String>,
    /// What its integers count, if that is a time.
    pub(crate) time: Option<TimeType>,
}

/// What the library has as the length of a value that can have any.
const NO_LENGTH: i32 = -1;

/// How stored values become ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    Bool,
    Int32,
    UInt32,
    Int64,
    UInt64,
    Float16,
    Float32,
    Float64,
    Text,
    /// A column that has no type because every value is null.
    Nulls,
}

impl Reading {
    fn data_type(self) -> DataType {
        match self {
            Self::Bool => DataType::Bool,
            Self::Int32 | Self::UInt32 | Self::Int64 | Self::UInt64 | Self::Nulls => {
                DataType::Int64
            }
            Self::Float16 | Self::Float32 | Self::Float64 => DataType::Float64,
            Self::Text => DataType::Utf8,
        }
    }
}

/// The columns of a file of ours.
pub(crate) fn of_ours(fields: &[Field]) -> Vec<Leaf> {
    let leaf = |field: &Field| Leaf {
        field: field.clone(),
        physical: physical(field),
        len: NO_LENGTH,
        converted: match field.data_type {
            DataType::Utf8 => ConvertedType::UTF8,
            _ => ConvertedType::NONE,
        },
        logical: (field.data_type == DataType::Utf8).then_some(LogicalType::String),
        reading: Ok(match field.data_type {
            DataType::Bool => Reading::Bool,
            DataType::Int64 => Reading::Int64,
            DataType::Utf8 => Reading::Text,
            _ => Reading::Float64,
        }),
        time: None,
    };
    fields.iter().map(leaf).collect()
}

/// The columns of any file.
pub(crate) fn read(schema: &SchemaDescriptor) -> Vec<Leaf> {
    schema.columns().iter().map(|column| leaf(column)).collect()
}

fn leaf(column: &ColumnDescriptor) -> Leaf {
    let name = SmolStr::new(column.path().string());
    let is_flat = column.path().parts().len() == 1;
    let is_repeated = column.self_type().get_basic_info().repetition() == Repetition::REPEATED;
    let (reading, time) = match meaning(column) {
        _ if !is_flat => (Err("nested".to_owned()), None),
        _ if is_repeated => (Err("repeated".to_owned()), None),
        Ok((reading, time)) => (Ok(reading), time),
        Err(what) => (Err(what), None),
    };
    let reading = reading
        .map_err(|what| format!("column `{name}` is {what}, which metrics files do not support"));
    // A type is needed where there is none; no value of it is ever returned.
    let data_type = reading.as_ref().map_or(DataType::Float64, |reading| reading.data_type());
    let nullable = column.max_def_level() > 0;
    Leaf {
        field: Field { name, data_type, nullable },
        physical: column.physical_type(),
        len: column.type_length(),
        converted: column.converted_type(),
        logical: column.logical_type_ref().cloned(),
        reading,
        time,
    }
}

/// How values of ours are stored.
fn physical(field: &Field) -> Physical {
    match field.data_type {
        DataType::Bool => Physical::BOOLEAN,
        DataType::Int64 => Physical::INT64,
        DataType::Utf8 => Physical::BYTE_ARRAY,
        // Float64; the enum is open, and any later type will need its arm.
        _ => Physical::DOUBLE,
    }
}

/// The columns of the next version of a file that has these so far: stored ones stay as they are, unless
/// their type has changed; new ones are ours.
pub(crate) fn continued(fields: &[Field], stored: &[Leaf]) -> Vec<Leaf> {
    let mut leaves = of_ours(fields);
    for (leaf, stored) in leaves.iter_mut().zip(stored) {
        if leaf.field.data_type == stored.field.data_type {
            // It may have become nullable.
            let field = leaf.field.clone();
            *leaf = Leaf { field, ..stored.clone() };
        }
    }
    leaves
}

impl Leaf {
    /// The values that the column takes when the file is continued; if it takes none, why.
    pub(crate) fn fit(&self) -> Result<Fit, String> {
        let is_time = self.time.is_some();
        let integers = |least, most| Fit::Integers { least, most, is_time };
        match self.reading.clone()? {
            Reading::Int32 => {
                let bits = self.bits().min(32);
                Ok(integers(-(1 << (bits - 1)), (1 << (bits - 1)) - 1))
            }
            Reading::UInt32 => Ok(integers(0, (1 << self.bits().min(32)) - 1)),
            Reading::UInt64 => Ok(integers(0, i64::MAX)),
            Reading::Int64 if is_time => Ok(integers(i64::MIN, i64::MAX)),
            Reading::Float32 => Ok(Fit::Float32),
            Reading::Bool | Reading::Int64 | Reading::Float64 | Reading::Text => Ok(Fit::Any),
            Reading::Float16 => Err(self.refused("of type Float16")),
            Reading::Nulls => Err(self.refused("of no type, since all of its values are null")),
        }
    }

    fn refused(&self, what: &str) -> String {
        format!("column `{}` is {what}, which this crate reads but does not write", self.field.name)
    }

    /// The bits of an integer by its annotation; without one those of its storage.
    fn bits(&self) -> u32 {
        match (&self.logical, self.converted) {
            (Some(LogicalType::Integer(kind)), _) => (kind.bit_width as u32).clamp(1, 64),
            (None, ConvertedType::INT_8 | ConvertedType::UINT_8) => 8,
            (None, ConvertedType::INT_16 | ConvertedType::UINT_16) => 16,
            _ => 32,
        }
    }

    /// Parquet's description of the column.
    fn describe(&self) -> ParquetResult<Type> {
        let repetition =
            if self.field.nullable { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        Type::primitive_type_builder(&self.field.name, self.physical)
            .with_repetition(repetition)
            .with_length(self.len)
            .with_converted_type(self.converted)
            .with_logical_type(self.logical.clone())
            .build()
    }
}

/// Parquet's description of these columns, none of which is nested.
pub(crate) fn describe<'a>(
    leaves: impl IntoIterator<Item = &'a Leaf>,
) -> ParquetResult<SchemaDescPtr> {
    let leaves = leaves.into_iter().map(|leaf| leaf.describe().map(Arc::new));
    let root = Type::group_type_builder(ROOT).with_fields(leaves.collect::<ParquetResult<_>>()?);
    Ok(Arc::new(SchemaDescriptor::new(Arc::new(root.build()?))))
}

type Meaning = (Reading, Option<TimeType>);

/// How the values of a flat column are read.
fn meaning(column: &ColumnDescriptor) -> Result<Meaning, String> {
    let (physical, converted) = (column.physical_type(), column.converted_type());
    let logical = column.logical_type_ref();
    let plain = |reading| Ok((reading, None));
    let time = |reading, of, unit, is_utc| Ok((reading, Some(TimeType { of, unit, is_utc })));
    match (physical, logical, converted) {
        (Physical::BOOLEAN, None, ConvertedType::NONE) => plain(Reading::Bool),
        (Physical::FLOAT, None, ConvertedType::NONE) => plain(Reading::Float32),
        (Physical::DOUBLE, None, ConvertedType::NONE) => plain(Reading::Float64),
        (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16), _)
            if column.type_length() == 2 =>
        {
            plain(Reading::Float16)
        }
        (
            Physical::BYTE_ARRAY,
            None | Some(LogicalType::String | LogicalType::Enum | LogicalType::Json),
            ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON,
        ) => plain(Reading::Text),
        (_, Some(LogicalType::Unknown), _) => plain(Reading::Nulls),
        (Physical::INT32, Some(LogicalType::Integer(kind)), _) if kind.bit_width <= 32 => {
            plain(if kind.is_signed { Reading::Int32 } else { Reading::UInt32 })
        }
        (Physical::INT64, Some(LogicalType::Integer(kind)), _) => {
            plain(if kind.is_signed { Reading::Int64 } else { Reading::UInt64 })
        }
        (Physical::INT32, Some(LogicalType::Date), _)
        | (Physical::INT32, None, ConvertedType::DATE) => {
            time(Reading::Int32, TimeOf::Date, TimeUnit::Days, false)
        }
        (Physical::INT64, Some(LogicalType::Timestamp(kind)), _) => {
            time(Reading::Int64, TimeOf::Epoch, unit(kind.unit), kind.is_adjusted_to_u_t_c)
        }
        (Physical::INT32 | Physical::INT64, Some(LogicalType::Time(kind)), _) => {
            let reading = if physical == Physical::INT32 { Reading::Int32 } else { Reading::Int64 };
            time(reading, TimeOf::Midnight, unit(kind.unit), kind.is_adjusted_to_u_t_c)
        }
        (Physical::INT32, None, converted) => match converted {
            ConvertedType::NONE
            | ConvertedType::INT_8
            | ConvertedType::INT_16
            | ConvertedType::INT_32 => plain(Reading::Int32),
            ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 => {
                plain(Reading::UInt32)
            }
            ConvertedType::TIME_MILLIS => {
                time(Reading::Int32, TimeOf::Midnight, TimeUnit::Milliseconds, true)
            }
            _ => Err(kind_of(column)),
        },
        (Physical::INT64, None, converted) => match converted {
            ConvertedType::NONE | ConvertedType::INT_64 => plain(Reading::Int64),
            ConvertedType::UINT_64 => plain(Reading::UInt64),
            ConvertedType::TIMESTAMP_MILLIS => {
                time(Reading::Int64, TimeOf::Epoch, TimeUnit::Milliseconds, true)
            }
            ConvertedType::TIMESTAMP_MICROS => {
                time(Reading::Int64, TimeOf::Epoch, TimeUnit::Microseconds, true)
            }
            ConvertedType::TIME_MICROS => {
                time(Reading::Int64, TimeOf::Midnight, TimeUnit::Microseconds, true)
            }
            _ => Err(kind_of(column)),
        },
        _ => Err(kind_of(column)),
    }
}

fn unit(unit: ParquetUnit) -> TimeUnit {
    match unit {
        ParquetUnit::MILLIS => TimeUnit::Milliseconds,
        ParquetUnit::MICROS => TimeUnit::Microseconds,
        ParquetUnit::NANOS => TimeUnit::Nanoseconds,
    }
}

/// The type of a column in the words of the format: with its annotation, new or old, if it has one.
fn kind_of(column: &ColumnDescriptor) -> String {
    let physical = column.physical_type();
    match (column.logical_type_ref(), column.converted_type()) {
        (Some(logical), _) => format!("of type {physical} ({logical:?})"),
        (None, ConvertedType::NONE) => format!("of type {physical}"),
        (None, converted) => format!("of type {physical} ({converted})"),
    }
}

/// The columns as they are encoded in a footer: the root, then a leaf for each column, back to back.
pub(crate) fn entries(leaves: &[Leaf]) -> Vec<u8> {
    // bounded: the columns are in memory
    let mut entries = Vec::with_capacity(32 * leaves.len());
    structure(&mut entries, |root| {
        root.bytes(4, ROOT);
        root.int(5, leaves.len() as i32);
    });
    for leaf in leaves {
        structure(&mut entries, |entry| {
            entry.int(1, leaf.physical as i32);
            if leaf.physical == Physical::FIXED_LEN_BYTE_ARRAY {
                entry.int(2, leaf.len);
            }
            entry.int(3, i32::from(leaf.field.nullable));
            entry.bytes(4, &leaf.field.name);
            // A column that is not read is only passed over, and what it means does not matter for that.
            if leaf.reading.is_ok() {
                if leaf.converted != ConvertedType::NONE {
                    entry.int(6, leaf.converted as i32);
                }
                if let Some(logical) = &leaf.logical {
                    entry.structure(10, |entry| annotate(logical, entry));
                }
            }
        });
    }
    entries
}

/// The logical types of the columns that are read.
fn annotate(logical: &LogicalType, entry: &mut Fields<'_>) {
    let time = |entry: &mut Fields<'_>, is_utc, unit: ParquetUnit| {
        entry.flag(1, is_utc);
        let unit = match unit {
            ParquetUnit::MILLIS => 1,
            ParquetUnit::MICROS => 2,
            ParquetUnit::NANOS => 3,
        };
        entry.structure(2, |entry| entry.structure(unit, |_| ()));
    };
    match logical {
        LogicalType::String => entry.structure(1, |_| ()),
        LogicalType::Enum => entry.structure(4, |_| ()),
        LogicalType::Date => entry.structure(6, |_| ()),
        LogicalType::Time(kind) => {
            entry.structure(7, |entry| time(entry, kind.is_adjusted_to_u_t_c, kind.unit));
        }
        LogicalType::Timestamp(kind) => {
            entry.structure(8, |entry| time(entry, kind.is_adjusted_to_u_t_c, kind.unit));
        }
        LogicalType::Integer(kind) => entry.structure(10, |entry| {
            entry.byte(1, kind.bit_width as u8);
            entry.flag(2, kind.is_signed);
        }),
        LogicalType::Json => entry.structure(12, |_| ()),
        LogicalType::Float16 => entry.structure(15, |_| ()),
        // No column of another type is read, except one of nulls, which has no other.
        _ => entry.structure(11, |_| ()),
    }
}
