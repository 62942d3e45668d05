//! The interface between a row type and whatever stores it.
//!
//! A sink never sees the fields of a struct: it reads the declared columns of the type once, then lets each
//! record visit its values. Nothing is boxed, and for a declared column no name is compared.

use crate::data_type::DataType;
use crate::field::Field;
use crate::timestamp::{Timestamp, TimestampUnit};
use crate::value::ValueRef;
use smol_str::SmolStr;

/// A row that can be stored column by column.
///
/// A sink of your own reads a record through a [`FieldVisitor`]; a row type of your own is best defined with
/// [`record!`](crate::record!), which keeps declaration and visit in agreement.
///
/// Implemented by [`TrainingMetrics`](crate::TrainingMetrics),
/// [`QuantumMetrics`](crate::QuantumMetrics) and [`Row`](crate::Row).
pub trait Record {
    /// The columns that every row of this type has, in file order. Their types never change.
    const DECLARED: &'static [Field];

    /// Passes each value to `visitor`, at most one per column. A declared column that is not passed is null,
    /// which is an error unless it is nullable.
    fn visit(&self, visitor: &mut impl FieldVisitor);

    /// A number that identifies this row in reports of lost rows, such as its step.
    fn label(&self) -> Option<i64> {
        None
    }
}

/// Defines a struct whose fields are its columns, so that the two can never drift apart.
///
/// A field is an `i64`, `f64`, `bool`, [`SmolStr`](crate::SmolStr), `Vec<f64>` or
/// [`Timestamp`](crate::Timestamp), or an `Option` of one, which makes the column nullable. A column of
/// timestamps holds microseconds in UTC. `by` and the name of an `i64` field after the struct's name make
/// that field the row's [`label`](crate::Record::label).
///
/// ```
/// use qstore_schema::{Record, record};
///
/// record! {
///     /// The result of one shot.
///     #[derive(Debug, Clone)]
///     pub struct Shot by number {
///         /// Counted from 0.
///         pub number: i64,
///         /// The fidelity of the prepared state.
///         pub fidelity: f64,
///         /// When a heralding photon arrived, if one did.
///         pub herald_ns: Option<f64>,
///     }
/// }
///
/// let columns: Vec<_> = Shot::DECLARED.iter().map(|field| field.name.as_str()).collect();
/// assert_eq!(columns, ["number", "fidelity", "herald_ns"]);
/// let shot = Shot { number: 7, fidelity: 0.98, herald_ns: None };
/// assert_eq!(shot.label(), Some(7));
/// ```
#[macro_export]
macro_rules! record {
    ($(#[$meta:meta])* $vis:vis struct $name:ident $(by $label:ident)? {
        $($(#[$doc:meta])* $field_vis:vis $field:ident: $type:ty),* $(,)?
    }) => {
        $(#[$meta])*
        $vis struct $name {
            $($(#[$doc])* $field_vis $field: $type,)*
        }

        impl $crate::Record for $name {
            const DECLARED: &'static [$crate::Field] = &[$($crate::Field {
                name: $crate::SmolStr::new_static(stringify!($field)),
                data_type: <$type as $crate::Cell>::DATA_TYPE,
                nullable: <$type as $crate::Cell>::NULLABLE,
            },)*];

            fn visit(&self, visitor: &mut impl $crate::FieldVisitor) {
                let mut columns = <Self as $crate::Record>::DECLARED.iter().enumerate();
                $(if let Some((index, field)) = columns.next() {
                    visitor.declared(index, field, $crate::Cell::value(&self.$field));
                })*
            }

            $(fn label(&self) -> Option<i64> {
                Some(self.$label)
            })?
        }
    };
}

/// Receives the values of a [`Record`].
///
/// ```
/// use qstore_schema::{Field, FieldVisitor, Record, SmolStr, TrainingMetrics, ValueRef};
///
/// /// Sums up all floats of a row, and remembers the names.
/// #[derive(Default)]
/// struct Sum {
///     total: f64,
///     names: Vec<SmolStr>,
/// }
///
/// impl FieldVisitor for Sum {
///     fn declared(&mut self, _: usize, field: &'static Field, value: ValueRef<'_>) {
///         self.extra(&field.name, value);
///     }
///
///     fn extra(&mut self, name: &SmolStr, value: ValueRef<'_>) {
///         if let ValueRef::Float(value) = value {
///             self.total += value;
///             self.names.push(name.clone());
///         }
///     }
/// }
///
/// let mut sum = Sum::default();
/// let row =
///     TrainingMetrics { train_loss: Some(0.5), grad_norm: Some(0.25), ..TrainingMetrics::default() };
/// row.visit(&mut sum);
/// assert_eq!(sum.total, 0.75);
/// assert!(sum.names.contains(&"grad_norm".into()));
/// ```
pub trait FieldVisitor {
    /// Called with the value of a declared column: its index in [`Record::DECLARED`], and the column itself.
    fn declared(&mut self, index: usize, field: &'static Field, value: ValueRef<'_>);

    /// Called with the value of a column that the record type does not declare.
    fn extra(&mut self, name: &SmolStr, value: ValueRef<'_>);
}

/// A Rust type that can be a field of a [`record!`](crate::record!).
pub trait Cell {
    /// The type of the column.
    const DATA_TYPE: DataType;
    /// Whether the column may be null.
    const NULLABLE: bool = false;
    /// The value, borrowed.
    fn value(&self) -> ValueRef<'_>;
}

macro_rules! cell {
    ($($rust:ty, $data_type:ident, |$v:ident| $value:expr;)*) => {$(
        impl Cell for $rust {
            const DATA_TYPE: DataType = DataType::$data_type;
            fn value(&self) -> ValueRef<'_> { let $v = self; $value }
        }
    )*};
}

cell! {
    bool, Bool, |v| ValueRef::Bool(*v);
    i64, Int64, |v| ValueRef::Int(*v);
    f64, Float64, |v| ValueRef::Float(*v);
    SmolStr, Utf8, |v| ValueRef::Text(v);
    Vec<f64>, FloatList, |v| ValueRef::List(v);
    Box<[f64]>, FloatList, |v| ValueRef::List(v);
}

impl Cell for Timestamp {
    const DATA_TYPE: DataType = DataType::Timestamp { unit: TimestampUnit::Micros, is_utc: true };
    fn value(&self) -> ValueRef<'_> {
        ValueRef::Timestamp(*self)
    }
}

impl<T: Cell> Cell for Option<T> {
    const DATA_TYPE: DataType = T::DATA_TYPE;
    const NULLABLE: bool = true;
    fn value(&self) -> ValueRef<'_> {
        self.as_ref().map_or(ValueRef::Null, Cell::value)
    }
}
