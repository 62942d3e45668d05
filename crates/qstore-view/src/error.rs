//! What can go wrong on the way to a picture.

use qstore_parquet::ReadError;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// The file could not be read, or has no such column of numbers.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The request shows nothing.
    #[error("a picture from x = {from} to x = {to} shows nothing; `from` must be less than `to`")]
    EmptyWindow {
        /// Where it would begin.
        from: f64,
        /// Where it would end.
        to: f64,
    },
    /// The request has no pixels, or more than a picture can have.
    #[error("a picture cannot be {width} pixels wide; it can have 1 to {max}")]
    Width {
        /// The width that was asked for.
        width: u32,
        /// The maximum.
        max: u32,
    },
}
