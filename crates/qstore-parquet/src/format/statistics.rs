//! Statistics of the values in a chunk that readers old and new interpret correctly.
//!
//! The newest edition of the format has a separate order for floats, and the Parquet library writes
//! statistics and footers for it. Many readers do not support it (arrow2, which knows a fixed set of
//! orders, refuses the whole file), and the older order can express all that is needed: a minimum and a
//! maximum that are not NaN, with zeros of either sign being equal.

use crate::columns::column::{Column, HeldValues};
use parquet::basic::ColumnOrder;
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, FileMetaData};
use parquet::file::statistics::{Statistics, ValueStatistics};

/// A chunk that was encoded from this column, with statistics that hold in the older order.
pub(crate) fn settled(chunk: &ColumnChunkMetaData, column: &Column) -> Result<ColumnChunkMetaData> {
    let builder = chunk.clone().into_builder();
    // Readers disagree on what a null among the elements of lists is.
    if let HeldValues::List(_) = &column.values {
        return builder.clear_statistics().build();
    }
    let (Some(statistics), HeldValues::Float(values)) = (chunk.statistics(), &column.values) else {
        return builder.build();
    };
    // A maximum of NaN, or one that ignores NaN, misleads some reader.
    if values.iter().any(|value| value.is_nan()) {
        return builder.clear_statistics().build();
    }
    let nulls = statistics.null_count_opt();
    let settled = match statistics {
        Statistics::Double(floats) => {
            let (min, max) = bounds(floats.min_opt().copied(), floats.max_opt().copied());
            Statistics::Double(ValueStatistics::new(min, max, None, nulls, false))
        }
        Statistics::Float(floats) => {
            let wide = |bound: Option<&f32>| bound.copied().map(f64::from);
            let (min, max) = bounds(wide(floats.min_opt()), wide(floats.max_opt()));
            let narrow = |bound: Option<f64>| bound.map(|bound| bound as f32);
            Statistics::Float(ValueStatistics::new(narrow(min), narrow(max), None, nulls, false))
        }
        _ => return builder.build(),
    };
    builder.set_statistics(settled).build()
}

/// Bounds between which a reader that compares bits finds both zeros.
fn bounds(min: Option<f64>, max: Option<f64>) -> (Option<f64>, Option<f64>) {
    // mutant: zero_has_a_sign_in_statistics
    let zero = |value: f64, zero| if value == 0.0 { zero } else { value };
    (min.map(|min| zero(min, -0.0)), max.map(|max| zero(max, 0.0)))
}

/// A chunk of an existing file, which will be in a footer of ours: statistics in another order are
/// dropped.
pub(crate) fn of_found(
    chunk: ColumnChunkMetaData,
    number: usize,
    file: &FileMetaData,
) -> Result<ColumnChunkMetaData> {
    let is_known = match file.column_orders().and_then(|orders| orders.get(number)) {
        Some(order) => matches!(order, ColumnOrder::TYPE_DEFINED_ORDER(_)),
        // The file is older than column orders; for numbers that is the same order.
        None => true,
    };
    if is_known { Ok(chunk) } else { chunk.into_builder().clear_statistics().build() }
}
