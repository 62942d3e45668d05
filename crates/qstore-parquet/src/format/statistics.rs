//! What the footer says of the values in a chunk, so that readers of every age take it right.
//!
//! Floats have an order of their own in the newest edition of the format, and the Parquet library
//! writes statistics and footers for that. Readers that do not know it (arrow2, which has a fixed set
//! of orders, refuses the whole file) are still many, and the older order can say all that is needed:
//! a smallest and a largest value that are no NaN, with zeros of either sign being equal.

use crate::columns::rows::{Column, HeldValues};
use parquet::basic::ColumnOrder;
use parquet::errors::Result;
use parquet::file::metadata::{ColumnChunkMetaData, FileMetaData};
use parquet::file::statistics::{Statistics, ValueStatistics};

/// The chunk we encoded from this column, with statistics that hold in the older order.
pub(crate) fn settled(chunk: &ColumnChunkMetaData, column: &Column) -> Result<ColumnChunkMetaData> {
    let builder = chunk.clone().into_builder();
    let floats = match (chunk.statistics(), &column.values) {
        (Some(Statistics::Double(floats)), HeldValues::Float(values)) => {
            // A maximum of NaN, or one that leaves NaN out, misleads one reader or the other.
            if values.iter().any(|value| value.is_nan()) {
                return builder.clear_statistics().build();
            }
            floats
        }
        _ => return builder.build(),
    };
    // Readers that compare bits must find both zeros between the bounds.
    // mutant: zero_has_a_sign_in_statistics
    let zero = |value: &f64, zero| if *value == 0.0 { zero } else { *value };
    let min = floats.min_opt().map(|min| zero(min, -0.0));
    let max = floats.max_opt().map(|max| zero(max, 0.0));
    let nulls = floats.null_count_opt();
    let floats = ValueStatistics::new(min, max, None, nulls, false);
    builder.set_statistics(Statistics::Double(floats)).build()
}

/// A chunk of a file that was found, which will stand in a footer of ours: what was said of it in
/// another order is let go.
pub(crate) fn of_found(
    chunk: ColumnChunkMetaData,
    number: usize,
    file: &FileMetaData,
) -> Result<ColumnChunkMetaData> {
    let is_known = match file.column_orders().and_then(|orders| orders.get(number)) {
        Some(order) => matches!(order, ColumnOrder::TYPE_DEFINED_ORDER(_)),
        // As it was before there were orders; for numbers that is the same.
        None => true,
    };
    if is_known { Ok(chunk) } else { chunk.into_builder().clear_statistics().build() }
}
