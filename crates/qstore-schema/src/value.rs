//! The value of one metric: a number, a flag, a text, or nothing.

use crate::data_type::DataType;
use smol_str::SmolStr;

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
}

/// A borrowed [`Value`], whose text is not copied.
///
/// ```
/// use qstore_schema::{DataType, Value, ValueRef};
///
/// let value = Value::from("simulator");
/// assert_eq!(value.as_ref(), ValueRef::Text("simulator"));
/// assert_eq!(ValueRef::from(0.5).data_type(), Some(DataType::Float64));
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
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
