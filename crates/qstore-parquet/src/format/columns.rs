//! The columns of a file, and their description in Parquet.
//!
//! A Q-Store file is flat: every column is a leaf directly below the root. How other programs store
//! columns is in `leaves.rs`.

use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::errors::Result;
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, Type};
use qstore_schema::{DataType, Field};
use std::sync::Arc;

/// The name of the root, as in the documentation of the format.
pub(crate) const ROOT: &str = "schema";

/// Parquet's description of these columns.
pub(crate) fn describe(fields: &[Field]) -> Result<SchemaDescPtr> {
    let leaves = fields.iter().map(|field| leaf(field).map(Arc::new)).collect::<Result<_>>()?;
    let root = Type::group_type_builder(ROOT).with_fields(leaves).build()?;
    Ok(Arc::new(SchemaDescriptor::new(Arc::new(root))))
}

fn leaf(field: &Field) -> Result<Type> {
    let logical = (field.data_type == DataType::Utf8).then_some(LogicalType::String);
    Type::primitive_type_builder(&field.name, physical(field))
        .with_repetition(repetition(field))
        .with_logical_type(logical)
        .build()
}

pub(crate) fn physical(field: &Field) -> Physical {
    match field.data_type {
        DataType::Bool => Physical::BOOLEAN,
        DataType::Int64 => Physical::INT64,
        DataType::Utf8 => Physical::BYTE_ARRAY,
        // Float64; the enum is open, and any later type will need its arm.
        _ => Physical::DOUBLE,
    }
}

fn repetition(field: &Field) -> Repetition {
    if field.nullable { Repetition::OPTIONAL } else { Repetition::REQUIRED }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::leaves;
    use qstore_schema::{Record, TrainingMetrics};

    #[test]
    fn described_columns_are_read_back() {
        let mut fields = TrainingMetrics::DECLARED.to_vec();
        fields.push(Field::nullable("is_best", DataType::Bool));
        assert_eq!(leaves::read(&describe(&fields).unwrap()), leaves::of_ours(&fields));
    }
}
