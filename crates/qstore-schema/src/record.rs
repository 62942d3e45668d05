//! The seam between a row type and whatever stores it.
//!
//! A sink never sees a struct's fields: it asks the type for its declared columns once, then lets
//! each record visit its values. Nothing is boxed and no name is compared for a declared column.

use crate::{DataType, Field, ValueRef};
use smol_str::SmolStr;

/// A row that can be stored column by column.
///
/// Implemented by [`TrainingMetrics`](crate::TrainingMetrics),
/// [`QuantumMetrics`](crate::QuantumMetrics) and [`Row`](crate::Row); implement it for a struct of
/// your own to log that instead.
///
/// ```
/// use qstore_schema::{DataType, Field, FieldVisitor, Record, ValueRef};
///
/// struct Shot { bits: i64, fidelity: f64 }
///
/// impl Record for Shot {
///     const DECLARED: &'static [Field] = &[
///         Field::required("bits", DataType::Int64),
///         Field::required("fidelity", DataType::Float64),
///     ];
///     fn visit(&self, visitor: &mut impl FieldVisitor) {
///         visitor.declared(0, ValueRef::Int(self.bits));
///         visitor.declared(1, ValueRef::Float(self.fidelity));
///     }
/// }
/// ```
pub trait Record {
    /// The columns every row of this type has, in file order. Their types never change.
    const DECLARED: &'static [Field];

    /// Shows each value to `visitor`, at most one per column. A declared column that is not shown
    /// is null, which only a nullable one may be.
    fn visit(&self, visitor: &mut impl FieldVisitor);
}

/// What a sink lends to a record so that it can show its values.
pub trait FieldVisitor {
    /// The value of the declared column number `index`.
    fn declared(&mut self, index: usize, value: ValueRef<'_>);

    /// The value of a column the type did not declare.
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
