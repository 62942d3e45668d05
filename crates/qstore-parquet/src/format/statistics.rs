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
    let floats = match (chunk.statistics(), &column.values) {
        (Some(Statistics::Double(floats)), HeldValues::Float(values)) => {
            // A maximum of NaN, or one that ignores NaN, misleads some reader.
            if values.iter().any(|value| value.is_nan()) {
                return builder.clear_statistics().build();
            }
            floats
        }
        _ => return builder.build(),
    };
    // A reader that compares bits must find both zeros between the bounds.
    // mutant: zero_has_a_sign_in_statistics
    let zero = |value: &f64, zero| if *value == 0.0 { zero } else { *value };
    let min = floats.min_opt().map(|min| zero(min, -0.0));
    let max = floats.max_opt().map(|max| zero(max, 0.0));
    let nulls = floats.null_count_opt();
    let floats = ValueStatistics::new(min, max, None, nulls, false);
    builder.set_statistics(Statistics::Double(floats)).build()
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
