//! The columns of a file, and their description in Parquet.
//!
//! A Q-Store file is flat: every column is a leaf directly below the root.

use crate::format::thrift::{Fields, structure};
use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::errors::Result;
use parquet::schema::types::{SchemaDescPtr, SchemaDescriptor, Type};
use qstore_schema::{DataType, Field, SmolStr};
use std::sync::Arc;

/// The name of the root, as in the documentation of the format.
const ROOT: &str = "schema";

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

/// The columns as they are encoded in a footer: the root, then a leaf for each column.
pub(crate) fn entries(fields: &[Field]) -> Vec<Vec<u8>> {
    let entry = |fill: &dyn Fn(&mut Fields<'_>)| {
        let mut entry = Vec::new();
        structure(&mut entry, fill);
        entry
    };
    let root = entry(&|root| {
        root.bytes(4, ROOT);
        root.int(5, fields.len() as i32);
    });
    let leaf = |field: &Field| {
        entry(&|leaf| {
            leaf.int(1, physical(field) as i32);
            leaf.int(3, repetition(field) as i32);
            leaf.bytes(4, &field.name);
            if field.data_type == DataType::Utf8 {
                // `UTF8`, for readers from before there were logical types, and `STRING`.
                leaf.int(6, 0);
                leaf.structure(10, |logical| logical.structure(1, |_| ()));
            }
        })
    };
    [root].into_iter().chain(fields.iter().map(leaf)).collect()
}

/// The columns of a stored file; the error names the one that this crate does not support.
pub(crate) fn read(schema: &SchemaDescriptor) -> std::result::Result<Vec<Field>, String> {
    schema.root_schema().get_fields().iter().map(|leaf| field(leaf)).collect()
}

fn field(leaf: &Type) -> std::result::Result<Field, String> {
    let name = SmolStr::new(leaf.name());
    let refuse =
        |what: &str| Err(format!("column `{name}` is {what}, which metrics files do not support"));
    if !leaf.is_primitive() {
        return refuse("nested");
    }
    let info = leaf.get_basic_info();
    // Older writers give only the converted type, newer ones the logical type as well.
    let (physical, converted) = (leaf.get_physical_type(), info.converted_type());
    let is_number = matches!(info.logical_type_ref(), None | Some(LogicalType::Integer(_)));
    let data_type = match (physical, converted) {
        (Physical::BOOLEAN, ConvertedType::NONE) => DataType::Bool,
        (Physical::INT64, ConvertedType::NONE | ConvertedType::INT_64) if is_number => {
            DataType::Int64
        }
        (Physical::DOUBLE, ConvertedType::NONE) => DataType::Float64,
        (Physical::BYTE_ARRAY, ConvertedType::UTF8) => DataType::Utf8,
        _ => match (info.logical_type_ref(), converted) {
            (Some(logical), _) => return refuse(&format!("of type {physical} ({logical:?})")),
            (None, ConvertedType::NONE) => return refuse(&format!("of type {physical}")),
            (None, converted) => return refuse(&format!("of type {physical} ({converted})")),
        },
    };
    match info.repetition() {
        Repetition::REPEATED => refuse("repeated"),
        repetition => {
            let nullable = repetition == Repetition::OPTIONAL;
            Ok(Field { name, data_type, nullable })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qstore_schema::{Record, TrainingMetrics};

    #[test]
    fn described_columns_are_read_back() {
        let mut fields = TrainingMetrics::DECLARED.to_vec();
        fields.push(Field::nullable("is_best", DataType::Bool));
        assert_eq!(read(&describe(&fields).unwrap()).unwrap(), fields);
    }

    #[test]
    fn an_unsupported_column_is_reported_by_name() {
        let int32 = Type::primitive_type_builder("rank", Physical::INT32).build().unwrap();
        let leaf = Type::primitive_type_builder("name", Physical::DOUBLE).build().unwrap();
        let list = Type::group_type_builder("layers").with_fields(vec![Arc::new(leaf)]);
        let list = list.with_repetition(Repetition::REQUIRED).build().unwrap();
        for (leaf, message) in [(int32, "`rank` is of type INT32"), (list, "`layers` is nested")] {
            let root = Type::group_type_builder(ROOT).with_fields(vec![Arc::new(leaf)]);
            let schema = SchemaDescriptor::new(Arc::new(root.build().unwrap()));
            let error = read(&schema).unwrap_err();
            assert!(error.contains(message), "{error}");
        }
    }
}
