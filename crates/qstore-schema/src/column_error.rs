//! What can be wrong with a column or a value in it.

use crate::data_type::DataType;
use smol_str::SmolStr;

/// A schema or a row that cannot be used. Nothing was changed.
///
/// ```
/// use qstore_schema::{ColumnError, TrainingMetrics};
///
/// let mut row = TrainingMetrics::default();
/// let error = row.set("qubits_used", "four").unwrap_err();
/// assert!(matches!(error, ColumnError::TypeMismatch { .. }));
/// assert_eq!(
///     error.to_string(),
///     "column `qubits_used` holds 64-bit integers, but the value is a text; convert the value or log it \
///      under another name"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ColumnError {
    /// Two columns of one schema have the same name.
    #[error("column `{name}` is declared twice; give each column its own name")]
    Duplicate {
        /// The duplicate name.
        name: SmolStr,
    },
    /// A value does not fit its column.
    #[error(
        "column `{name}` holds {expected}, but the value is {found}; convert the value or log it under \
         another name"
    )]
    TypeMismatch {
        /// The column.
        name: SmolStr,
        /// What the column holds.
        expected: DataType,
        /// What was given, in words.
        found: &'static str,
    },
}
