//! A small independent reader, for tests with too many files to start Python for each of them.

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

/// One integer column of a Parquet file, row by row.
///
/// # Panics
/// When the bytes are not a Parquet file, or the column is missing or has another type.
pub fn integers(file: &[u8], column: &str) -> Vec<i64> {
    let bytes = bytes::Bytes::copy_from_slice(file);
    let reader = SerializedFileReader::new(bytes).expect("the file can be opened");
    let rows = reader.get_row_iter(None).expect("the file has rows");
    rows.map(|row| {
        let row = row.expect("the row can be read");
        let value = row.get_column_iter().find(|(name, _)| *name == column);
        match value {
            Some((_, Field::Long(value))) => *value,
            other => panic!("column {column} holds {other:?}"),
        }
    })
    .collect()
}
