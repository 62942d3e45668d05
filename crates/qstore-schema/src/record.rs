//! The seam between a row type and whatever stores it.
//!
//! A sink never sees a struct's fields: it asks the type for its declared columns once, then lets
//! each record visit its values. Nothing is boxed and no name is compared for a declared column.

use crate::data_type::DataType;
use crate::field::Field;
use crate::value::ValueRef;
use smol_str::SmolStr;

/// A row that can be stored column by column.
///
/// Implemented by [`TrainingMetrics`](crate::TrainingMetrics),
/// [`QuantumMetrics`](crate::QuantumMetrics) and [`Row`](crate::Row). The macro
/// [`record!`](crate::record!) implements it for a struct of your own.
pub trait Record {
    /// The columns every row of this type has, in file order. Their types never change.
    const DECLARED: &'static [Field];

    /// Shows each value to `visitor`, at most one per column. A declared column that is not shown
    /// is null, which only a nullable one may be.
    fn visit(&self, visitor: &mut impl FieldVisitor);

    /// The number that reports of lost rows call this one by, such as its step.
    fn label(&self) -> Option<i64> {
        None
    }
}

/// Defines a struct whose fields are its columns, so that the two can never drift apart.
///
/// A field is an `i64`, `f64`, `bool` or [`SmolStr`](crate::SmolStr), or an `Option` of one, which
/// makes the column nullable. `by` and a field of type `i64` behind the name make that field the
/// row's [`label`](crate::Record::label).
///
/// ```
/// use qstore_schema::{Record, record};
///
/// record! {
///     /// What one shot measured.
///     #[derive(Debug, Clone)]
///     pub struct Shot by number {
///         /// Counted from 0.
///         pub number: i64,
///         /// How close the state came.
///         pub fidelity: f64,
///         /// Where a heralding photon arrived, if one did.
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

/// What a sink lends to a record so that it can show its values.
pub trait FieldVisitor {
    /// Called with the value of a declared column: its index in [`Record::DECLARED`], and the column itself.
    fn declared(&mut self, index: usize, field: &'static Field, value: ValueRef<'_>);

    /// Called with the value of a column that the record type does not declare.
    fn extra(&mut self, name: &SmolStr, value: ValueRef<'_>);
}

/// A Rust type that can stand as a field of a metrics struct.
pub trait Cell {
    /// The type of its column.
    const DATA_TYPE: DataType;
    /// Whether its column may be null.
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
}

impl<T: Cell> Cell for Option<T> {
    const DATA_TYPE: DataType = T::DATA_TYPE;
    const NULLABLE: bool = true;
    fn value(&self) -> ValueRef<'_> {
        self.as_ref().map_or(ValueRef::Null, Cell::value)
    }
}
