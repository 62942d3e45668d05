//! Rows that were read, column by column.

use qstore_schema::{DataType, Field, Row, SmolStr, Timestamp, Value};
use std::ops::Range;

/// Some columns of consecutive rows.
///
/// ```
/// use qstore_parquet::{MetricsFile, MetricsLog, Values, WriterSettings};
/// use qstore_schema::{Row, Value};
/// use std::time::Instant;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("metrics.parquet");
/// let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default())?;
/// log.append(&Row::from([("step", 0_i64)]), Instant::now());
/// log.append(&Row::from([("note", "warm-up done")]), Instant::now());
/// log.close()?;
///
/// let table = MetricsFile::open(&path)?.read(&[], 0..u64::MAX)?;
/// // By column: one value per row, `None` for null.
/// assert_eq!(table.column("step"), Some(&Values::Int(vec![Some(0), None])));
/// // By row: nulls are left out.
/// let rows: Vec<Row> = table.iter_rows().collect();
/// assert_eq!(rows[1].get("note"), Some(&Value::from("warm-up done")));
/// assert_eq!(rows[1].get("step"), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Table {
    /// The number of the first row in the file, counted from 0.
    pub first_row: u64,
    /// The number of rows.
    pub rows: usize,
    /// The columns, in the order of the request.
    pub columns: Vec<TableColumn>,
}

/// One column.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TableColumn {
    /// Its name and type.
    pub field: Field,
    /// One value per row.
    pub values: Values,
}

/// The values of a column, one per row; `None` is null.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Values {
    /// Flags.
    Bool(Vec<Option<bool>>),
    /// Integers, and times as counts of the unit that their column has.
    Int(Vec<Option<i64>>),
    /// Floats, bit for bit as they were logged.
    Float(Vec<Option<f64>>),
    /// Texts.
    Text(Vec<Option<SmolStr>>),
    /// Lists of floats, which are bit for bit as they were logged; an empty list is not null.
    List(Vec<Option<Box<[f64]>>>),
}

impl Table {
    /// The values of the column with that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Values> {
        self.columns.iter().find(|column| column.field.name == name).map(|column| &column.values)
    }

    /// The rows, one at a time; nulls are left out.
    pub fn iter_rows(&self) -> impl Iterator<Item = Row> {
        (0..self.rows).map(|index| {
            let values =
                self.columns.iter().map(|column| (column.field.name.clone(), column.value(index)));
            values.filter(|(_, value)| *value != Value::Null).collect()
        })
    }

    /// Appends the rows of a table with the same columns.
    pub(crate) fn append(&mut self, other: Self) {
        self.rows += other.rows;
        for (column, more) in self.columns.iter_mut().zip(other.columns) {
            column.values.append(more.values);
        }
    }
}

impl TableColumn {
    /// The value of one row of the table; null after the last.
    fn value(&self, index: usize) -> Value {
        match (self.values.get(index).unwrap_or_default(), self.field.data_type) {
            (Value::Int(count), DataType::Timestamp { unit, is_utc }) => {
                let time = Timestamp::new(count, unit);
                Value::from(if is_utc { time } else { time.local() })
            }
            (value, _) => value,
        }
    }
}

impl Values {
    /// No values, of that type.
    pub(crate) fn empty(data_type: DataType) -> Self {
        match data_type {
            DataType::Bool => Self::Bool(Vec::new()),
            DataType::Int64 | DataType::Timestamp { .. } => Self::Int(Vec::new()),
            DataType::FloatList => Self::List(Vec::new()),
            DataType::Utf8 => Self::Text(Vec::new()),
            _ => Self::Float(Vec::new()),
        }
    }

    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        each!(Values, self, list => list.len())
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of one row of the table; `None` after the last.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Value> {
        match self {
            Self::Bool(list) => list.get(index).copied().map(Value::from),
            Self::Int(list) => list.get(index).copied().map(Value::from),
            Self::Float(list) => list.get(index).copied().map(Value::from),
            Self::Text(list) => list.get(index).cloned().map(Value::from),
            Self::List(list) => list.get(index).cloned().map(Value::from),
        }
    }

    /// Keeps only these rows.
    pub(crate) fn cut(&mut self, rows: &Range<usize>) {
        each!(Values, self, list => {
            list.truncate(rows.end);
            list.drain(..rows.start.min(list.len()));
        });
    }

    fn append(&mut self, other: Self) {
        match (self, other) {
            (Self::Bool(list), Self::Bool(mut more)) => list.append(&mut more),
            (Self::Int(list), Self::Int(mut more)) => list.append(&mut more),
            (Self::Float(list), Self::Float(mut more)) => list.append(&mut more),
            (Self::Text(list), Self::Text(mut more)) => list.append(&mut more),
            (Self::List(list), Self::List(mut more)) => list.append(&mut more),
            // A column of a file has one type.
            _ => {}
        }
    }
}
