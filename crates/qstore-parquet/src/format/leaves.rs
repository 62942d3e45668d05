//! The columns of a file as any writer may have stored them, and how each is read and continued.
//!
//! Here are the forms of this crate, and those of other writers whose values fit into the same types
//! exactly: smaller numbers, unsigned ones, dates and times as the integers that they are, lists of
//! floats. Whatever does not fit is left to other readers, with the reason; it never makes the file
//! damaged. What nested columns look like is in `nested.rs`.

use crate::columns::fit::Fit;
use crate::columns::time_type::{TimeOf, TimeType, TimeUnit};
use crate::format::list_levels::Levels;
use crate::format::nested::{self, ListNames, Nesting};
use crate::format::thrift::{Fields, structure};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit as ParquetUnit, Type as Physical};
use parquet::errors::Result as ParquetResult;
use parquet::schema::types::{ColumnDescriptor, SchemaDescPtr, SchemaDescriptor, Type};
use qstore_schema::{DataType, Field, SmolStr, TimestampUnit};
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
    /// The groups around it, if it holds the elements of lists.
    list: Option<ListNames>,
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
    /// Lists of floats of 32 bits, and of 64.
    Lists32,
    Lists64,
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
            Self::Lists32 | Self::Lists64 => DataType::FloatList,
        }
    }

    pub(crate) fn is_list(self) -> bool {
        matches!(self, Self::Lists32 | Self::Lists64)
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
            // The format wants the older words for local times as well; they have none for nanoseconds.
            DataType::Timestamp { unit: TimestampUnit::Millis, .. } => {
                ConvertedType::TIMESTAMP_MILLIS
            }
            DataType::Timestamp { unit: TimestampUnit::Micros, .. } => {
                ConvertedType::TIMESTAMP_MICROS
            }
            _ => ConvertedType::NONE,
        },
        logical: match field.data_type {
            DataType::Utf8 => Some(LogicalType::String),
            DataType::Timestamp { unit, is_utc } => {
                Some(LogicalType::timestamp(is_utc, stored(unit)))
            }
            _ => None,
        },
        reading: Ok(match field.data_type {
            DataType::Bool => Reading::Bool,
            DataType::Int64 | DataType::Timestamp { .. } => Reading::Int64,
            DataType::Utf8 => Reading::Text,
            DataType::FloatList => Reading::Lists64,
            _ => Reading::Float64,
        }),
        time: time_of(field.data_type),
        list: (field.data_type == DataType::FloatList).then(ListNames::ours),
    };
    fields.iter().map(leaf).collect()
}

/// The columns of any file.
pub(crate) fn read(schema: &SchemaDescriptor) -> Vec<Leaf> {
    let columns = schema.columns().iter().enumerate();
    columns.map(|(number, column)| leaf(column, schema.get_column_root(number))).collect()
}

fn leaf(column: &ColumnDescriptor, root: &Type) -> Leaf {
    let (mut time, mut list) = (None, None);
    let found = match nested::of(root) {
        Nesting::Flat => meaning(column).map(|(reading, counted)| {
            time = counted;
            reading
        }),
        Nesting::List(names) => list_of(column).inspect(|_| list = Some(names)),
        Nesting::Other(what) => Err(what),
    };
    // A nested column that is not read has one name for each of its parts.
    let name = match &list {
        Some(_) => SmolStr::new(root.name()),
        None => SmolStr::new(column.path().string()),
    };
    let reading = found.map_err(|what| {
        let name = root.name();
        format!("column `{name}` is {what}, which metrics files do not support")
    });
    // A type is needed where there is none; no value of it is ever returned.
    let data_type = reading.as_ref().map_or(DataType::Float64, |reading| reading.data_type());
    let data_type = time.and_then(timestamp).unwrap_or(data_type);
    let nullable = if list.is_some() { root.is_optional() } else { column.max_def_level() > 0 };
    Leaf {
        field: Field { name, data_type, nullable },
        physical: column.physical_type(),
        len: column.type_length(),
        converted: column.converted_type(),
        logical: column.logical_type_ref().cloned(),
        reading,
        time,
        list,
    }
}

/// How values of ours are stored.
fn physical(field: &Field) -> Physical {
    match field.data_type {
        DataType::Bool => Physical::BOOLEAN,
        DataType::Int64 | DataType::Timestamp { .. } => Physical::INT64,
        DataType::Utf8 => Physical::BYTE_ARRAY,
        // Float64 and the elements of a list; the enum is open, and any later type will need its arm.
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
            Reading::Float32 | Reading::Lists32 => Ok(Fit::Float32),
            Reading::Bool
            | Reading::Int64
            | Reading::Float64
            | Reading::Text
            | Reading::Lists64 => Ok(Fit::Any),
            Reading::Float16 => Err(self.refused("of type Float16")),
            Reading::Nulls => Err(self.refused("of no type, since all of its values are null")),
        }
    }

    /// Whether it holds lists that are never null and that may have null elements.
    pub(crate) fn may_lack_elements(&self) -> bool {
        let element_nullable = self.list.as_ref().is_some_and(|list| list.element_nullable);
        element_nullable && !self.field.nullable && self.reading.is_ok()
    }

    /// The levels of its lists.
    pub(crate) fn levels(&self) -> Levels {
        let element_nullable = self.list.as_ref().is_some_and(|list| list.element_nullable);
        Levels::new(self.field.nullable, element_nullable)
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
        let Some(list) = &self.list else {
            return self.primitive(&self.field.name, self.field.nullable);
        };
        list.describe(&self.field, self.primitive(&list.element, list.element_nullable)?)
    }

    fn primitive(&self, name: &str, nullable: bool) -> ParquetResult<Type> {
        Type::primitive_type_builder(name, self.physical)
            .with_repetition(nested::repetition(nullable))
            .with_length(self.len)
            .with_converted_type(self.converted)
            .with_logical_type(self.logical.clone())
            .build()
    }
}

/// Parquet's description of these columns, none of which is nested, except that it may hold lists.
pub(crate) fn describe<'a>(
    leaves: impl IntoIterator<Item = &'a Leaf>,
) -> ParquetResult<SchemaDescPtr> {
    let leaves = leaves.into_iter().map(|leaf| leaf.describe().map(Arc::new));
    let root = Type::group_type_builder(ROOT).with_fields(leaves.collect::<ParquetResult<_>>()?);
    Ok(Arc::new(SchemaDescriptor::new(Arc::new(root.build()?))))
}

/// How the elements of a list are read.
fn list_of(column: &ColumnDescriptor) -> Result<Reading, String> {
    match meaning(column) {
        Ok((Reading::Float64, None)) => Ok(Reading::Lists64),
        Ok((Reading::Float32, None)) => Ok(Reading::Lists32),
        _ => Err(format!("a list of values {}, not of floats", kind_of(column))),
    }
}

/// The type of a column of such times, if they are points in time.
fn timestamp(time: TimeType) -> Option<DataType> {
    let unit = match (time.of, time.unit) {
        (TimeOf::Epoch, TimeUnit::Milliseconds) => TimestampUnit::Millis,
        (TimeOf::Epoch, TimeUnit::Microseconds) => TimestampUnit::Micros,
        (TimeOf::Epoch, TimeUnit::Nanoseconds) => TimestampUnit::Nanos,
        _ => return None,
    };
    Some(DataType::Timestamp { unit, is_utc: time.is_utc })
}

/// What a column of that type counts.
fn time_of(data_type: DataType) -> Option<TimeType> {
    let DataType::Timestamp { unit: counted, is_utc } = data_type else { return None };
    Some(TimeType { of: TimeOf::Epoch, unit: unit(stored(counted)), is_utc })
}

fn stored(unit: TimestampUnit) -> ParquetUnit {
    match unit {
        TimestampUnit::Millis => ParquetUnit::MILLIS,
        TimestampUnit::Micros => ParquetUnit::MICROS,
        TimestampUnit::Nanos => ParquetUnit::NANOS,
    }
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

/// The names from a column of the root down to its values.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Path<'a> {
    Flat(&'a str),
    List([&'a str; 3]),
}

impl<'a> Path<'a> {
    pub(crate) fn parts(&self) -> &[&'a str] {
        match self {
            Self::Flat(name) => std::slice::from_ref(name),
            Self::List(names) => names,
        }
    }
}

/// The columns as they are encoded in a footer, back to back.
#[derive(Debug, Default)]
pub(crate) struct Columns {
    /// The root, each leaf, and before those that hold lists their groups.
    pub(crate) count: usize,
    pub(crate) entries: Vec<u8>,
}

/// The columns as a footer has them.
pub(crate) fn entries(leaves: &[Leaf]) -> Columns {
    // bounded: the columns are in memory
    let (mut count, mut entries) = (1, Vec::with_capacity(32 * leaves.len()));
    structure(&mut entries, |root| {
        root.bytes(4, ROOT);
        root.int(5, leaves.len() as i32);
    });
    for leaf in leaves {
        if let Some(list) = &leaf.list {
            for group in list.entries(&leaf.field) {
                entries.extend(group);
                count += 1;
            }
        }
        leaf.append(&mut entries);
        count += 1;
    }
    Columns { count, entries }
}

impl Leaf {
    /// Where its values are below the root.
    pub(crate) fn path(&self) -> Path<'_> {
        match &self.list {
            Some(list) => Path::List([&self.field.name, &list.group, &list.element]),
            None => Path::Flat(&self.field.name),
        }
    }

    /// Appends its own entry in a footer.
    fn append(&self, entries: &mut Vec<u8>) {
        let (name, nullable) = match &self.list {
            Some(list) => (&list.element, list.element_nullable),
            None => (&self.field.name, self.field.nullable),
        };
        structure(entries, |entry| {
            entry.int(1, self.physical as i32);
            if self.physical == Physical::FIXED_LEN_BYTE_ARRAY {
                entry.int(2, self.len);
            }
            entry.int(3, i32::from(nullable));
            entry.bytes(4, name);
            // A column that is not read is only passed over, and what it means does not matter for that.
            if self.reading.is_ok() {
                if self.converted != ConvertedType::NONE {
                    entry.int(6, self.converted as i32);
                }
                if let Some(logical) = &self.logical {
                    entry.structure(10, |entry| annotate(logical, entry));
                }
            }
        });
    }
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
