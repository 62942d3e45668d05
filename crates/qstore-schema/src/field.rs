//! Columns: a name, a type, and whether a value may be missing.
//!
//! Only the types that a metric needs; the only nested value is a list of floats.

use crate::column_error::ColumnError;
use crate::data_type::DataType;
use smol_str::SmolStr;
use std::collections::HashSet;

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    /// The column's name in the file.
    pub name: SmolStr,
    /// Its type.
    pub data_type: DataType,
    /// Whether rows may omit it.
    pub nullable: bool,
}

impl Field {
    /// A column that every row must have a value for.
    #[must_use]
    pub const fn required(name: &'static str, data_type: DataType) -> Self {
        Self { name: SmolStr::new_static(name), data_type, nullable: false }
    }

    /// A column that rows may omit.
    #[must_use]
    pub const fn nullable(name: &'static str, data_type: DataType) -> Self {
        Self { name: SmolStr::new_static(name), data_type, nullable: true }
    }
}

/// Columns in file order, with unique names.
///
/// ```
/// use qstore_schema::{DataType, Field, Schema};
///
/// let mut schema = Schema::new(vec![Field::required("step", DataType::Int64)])?;
/// schema.push(Field::nullable("loss", DataType::Float64))?;
/// assert_eq!(schema.index_of("loss"), Some(1));
/// assert!(schema.push(Field::nullable("loss", DataType::Utf8)).is_err(), "the name is taken");
/// # Ok::<(), qstore_schema::ColumnError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema {
    fields: Vec<Field>,
}

impl Schema {
    /// A schema of these columns, in this order.
    ///
    /// # Errors
    /// [`ColumnError::Duplicate`] when a name occurs twice.
    pub fn new(fields: Vec<Field>) -> Result<Self, ColumnError> {
        let mut names = HashSet::with_capacity(fields.len());
        if let Some(field) = fields.iter().find(|field| !names.insert(&field.name)) {
            return Err(ColumnError::Duplicate { name: field.name.clone() });
        }
        Ok(Self { fields })
    }

    /// Adds a column at the end.
    ///
    /// # Errors
    /// [`ColumnError::Duplicate`] when the name is taken.
    pub fn push(&mut self, field: Field) -> Result<(), ColumnError> {
        if self.index_of(&field.name).is_some() {
            return Err(ColumnError::Duplicate { name: field.name });
        }
        self.fields.push(field);
        Ok(())
    }

    /// The columns in file order.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The index of the column with this name.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    /// The number of columns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are no columns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_refuses_a_duplicate_name() {
        let loss = Field::required("loss", DataType::Float64);
        let again = Field::nullable("loss", DataType::Int64);
        let expected = ColumnError::Duplicate { name: "loss".into() };
        assert_eq!(Schema::new(vec![loss.clone(), again.clone()]), Err(expected.clone()));
        let mut schema = Schema::new(vec![loss]).unwrap();
        assert_eq!(schema.push(again), Err(expected));
        assert_eq!(schema.index_of("loss"), Some(0));
        assert_eq!(schema.index_of("other"), None);
    }
}
