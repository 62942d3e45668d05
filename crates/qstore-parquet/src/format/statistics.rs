//! Statistics of the values in a chunk that readers old and new interpret correctly.
//!
//! The newest edition of the format has a separate order for floats, and the Parquet library writes
//! statistics and footers for it. Many readers do not support it (arrow2, which knows a fixed set of
//! orders, refuses the whole file), and the older order can express all that is needed: a minimum and a
//! maximum that are not NaN, with zeros of either sign being equal.

use crate::columns::column::{Column, HeldValues};
use crate::format::entry::Bounds;
use parquet::basic::{ColumnOrder, Type as Physical};
use parquet::file::metadata::FileMetaData;

/// The statistics of a column of floats, of which there are `rows` rows; none of another column, and none
/// where there is a NaN: a maximum of NaN, or one that ignores NaN, misleads some reader.
pub(crate) fn of(column: &Column, physical: Physical, rows: usize) -> Option<Bounds> {
    let HeldValues::Float(values) = &column.values else { return None };
    if values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let (min, max) = bounds(values);
    let bytes = |bound: f64| -> Box<[u8]> {
        match physical {
            Physical::FLOAT => (bound as f32).to_le_bytes().into(),
            _ => bound.to_le_bytes().into(),
        }
    };
    let nulls = column.field.nullable.then(|| (rows - values.len()) as u64).or(Some(0));
    Some(Bounds { nulls, distinct: None, min: min.map(bytes), max: max.map(bytes) })
}

/// Bounds between which a reader that compares bits finds both zeros.
fn bounds(values: &[f64]) -> (Option<f64>, Option<f64>) {
    // mutant: zero_has_a_sign_in_statistics
    let zero = |value: f64, zero| if value == 0.0 { zero } else { value };
    let min = values.iter().copied().reduce(f64::min);
    let max = values.iter().copied().reduce(f64::max);
    (min.map(|min| zero(min, -0.0)), max.map(|max| zero(max, 0.0)))
}

/// Whether the statistics of a column of an existing file hold in a footer of ours, which has one order.
pub(crate) fn is_known(number: usize, file: &FileMetaData) -> bool {
    match file.column_orders().and_then(|orders| orders.get(number)) {
        Some(order) => matches!(order, ColumnOrder::TYPE_DEFINED_ORDER(_)),
        // The file is older than column orders; for numbers that is the same order.
        None => true,
    }
}
