//! The value of one metric: a number, a flag, a text, a list of numbers, a time, or nothing.

use crate::data_type::DataType;
use crate::timestamp::Timestamp;
use smol_str::SmolStr;
use std::time::SystemTime;

/// An owned value of a dynamic row.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub enum Value {
    /// No value; the column reads as null.
    #[default]
    Null,
    /// A flag.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float; NaN and the infinities are kept as they are.
    Float(f64),
    /// A text; up to 23 bytes take no heap memory.
    Text(SmolStr),
    /// Floats of one row, any number of them: a histogram, or a value for each parameter.
    List(Box<[f64]>),
    /// A point in time.
    Timestamp(Timestamp),
}

/// A borrowed [`Value`], whose text or list is not copied.
///
/// ```
/// use qstore_schema::{DataType, Value, ValueRef};
///
/// let value = Value::from("simulator");
/// assert_eq!(value.as_ref(), ValueRef::Text("simulator"));
/// assert_eq!(ValueRef::from(0.5).data_type(), Some(DataType::Float64));
/// assert_eq!(Value::from([0.25, 0.5]).as_ref(), ValueRef::List(&[0.25, 0.5]));
/// assert_eq!(Value::from(None::<f64>).as_ref().data_type(), None); // null fits any column
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum ValueRef<'a> {
    /// No value.
    Null,
    /// A flag.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A text.
    Text(&'a str),
    /// Floats of one row.
    List(&'a [f64]),
    /// A point in time.
    Timestamp(Timestamp),
}

impl Value {
    /// The same value, borrowed.
    #[must_use]
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Bool(v) => ValueRef::Bool(*v),
            Self::Int(v) => ValueRef::Int(*v),
            Self::Float(v) => ValueRef::Float(*v),
            Self::Text(v) => ValueRef::Text(v),
            Self::List(v) => ValueRef::List(v),
            Self::Timestamp(v) => ValueRef::Timestamp(*v),
        }
    }
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        value.as_ref()
    }
}

macro_rules! value_ref_from {
    ($($from:ty => $variant:ident;)*) => {$(
        impl<'a> From<$from> for ValueRef<'a> {
            fn from(value: $from) -> Self { Self::$variant(value) }
        }
    )*};
}

value_ref_from! {
    bool => Bool;
    i64 => Int;
    f64 => Float;
    &'a str => Text;
    &'a [f64] => List;
    Timestamp => Timestamp;
}

impl ValueRef<'_> {
    /// The type of a column for such values; `None` for null, which fits any column.
    #[must_use]
    pub fn data_type(self) -> Option<DataType> {
        match self {
            Self::Null => None,
            Self::Bool(_) => Some(DataType::Bool),
            Self::Int(_) => Some(DataType::Int64),
            Self::Float(_) => Some(DataType::Float64),
            Self::Text(_) => Some(DataType::Utf8),
            Self::List(_) => Some(DataType::FloatList),
            Self::Timestamp(time) => {
                Some(DataType::Timestamp { unit: time.unit(), is_utc: time.is_utc() })
            }
        }
    }

    /// The kind of value, in words for an error message.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Timestamp(_) => "a time",
        }
    }
}

macro_rules! value_from {
    ($($from:ty => |$value:ident| $to:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($value: $from) -> Self { $to }
        }
    )*};
}

value_from! {
    bool => |v| Self::Bool(v);
    i64 => |v| Self::Int(v);
    i32 => |v| Self::Int(v.into());
    u32 => |v| Self::Int(v.into());
    f64 => |v| Self::Float(v);
    f32 => |v| Self::Float(v.into());
    &str => |v| Self::Text(v.into());
    String => |v| Self::Text(v.into());
    SmolStr => |v| Self::Text(v);
    Vec<f64> => |v| Self::List(v.into());
    Box<[f64]> => |v| Self::List(v);
    &[f64] => |v| Self::List(v.into());
    &Vec<f64> => |v| Self::List(v.as_slice().into());
    Vec<f32> => |v| v.as_slice().into();
    &[f32] => |v| Self::List(v.iter().map(|v| f64::from(*v)).collect());
    Timestamp => |v| Self::Timestamp(v);
    SystemTime => |v| Self::Timestamp(v.into());
}

impl<const COUNT: usize> From<[f64; COUNT]> for Value {
    fn from(list: [f64; COUNT]) -> Self {
        Self::List(list.into())
    }
}

impl<const COUNT: usize> From<&[f64; COUNT]> for Value {
    fn from(list: &[f64; COUNT]) -> Self {
        Self::List(list.as_slice().into())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Rows of values are copied and compared; a list and a time fit beside a text.
    #[test]
    fn a_value_takes_no_more_memory_than_a_text() {
        assert_eq!((size_of::<Value>(), size_of::<ValueRef<'_>>()), (24, 24));
    }

    #[test]
    fn every_form_of_a_list_is_the_same_value() {
        let list = Value::List(Box::new([0.5, -2.0]));
        let (floats, singles) = (vec![0.5, -2.0], vec![0.5_f32, -2.0]);
        for same in [
            Value::from(&floats),
            Value::from(floats.as_slice()),
            Value::from(singles.as_slice()),
            Value::from(singles),
            Value::from([0.5, -2.0]),
            Value::from(&[0.5, -2.0]),
            Value::from(Some(floats.clone())),
            Value::from(floats),
        ] {
            assert_eq!(same, list);
        }
        assert_ne!(Value::from(Vec::<f64>::new()), Value::Null, "an empty list is not null");
    }
}
