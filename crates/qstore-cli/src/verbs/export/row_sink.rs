//! Where rows go: the seam between reading a run and each format.

use crate::console::Console;
use crate::failure::Failure;
use qstore_schema::{Field, Value};

/// Takes rows, one after another, and makes a file of them. Nothing has the file's name before
/// [`finish`](Self::finish); a sink that is dropped earlier leaves nothing.
pub(super) trait RowSink {
    /// Learns the columns, before the first row.
    fn begin(&mut self, fields: &[Field], console: &mut Console<'_>) -> Result<(), Failure>;

    /// Takes a row: one value for each column.
    fn row(&mut self, row: &[Value], console: &mut Console<'_>) -> Result<(), Failure>;

    /// Publishes the file, and returns its length in bytes.
    fn finish(self: Box<Self>, console: &mut Console<'_>) -> Result<u64, Failure>;
}
