//! What a column with parts looks like in the schema of a file, and which of them are lists.
//!
//! The format writes a list as three levels: a group with the annotation LIST, a repeated group with any
//! name, and the element. Of that form lists of floats are read and continued. The older forms, in which
//! the repeated field may or may not be the element itself, structs and maps are named and left alone.

use crate::format::thrift::structure;
use parquet::basic::{ConvertedType, LogicalType, Repetition};
use parquet::errors::Result as ParquetResult;
use parquet::schema::types::Type;
use qstore_schema::{Field, SmolStr};
use std::sync::Arc;

/// The names inside of a list, which differ from writer to writer and are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListNames {
    /// The repeated group.
    pub(crate) group: SmolStr,
    pub(crate) element: SmolStr,
    /// Whether an element may be null.
    pub(crate) element_nullable: bool,
}

/// How a column is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Nesting {
    Flat,
    /// Lists of primitive values.
    List(ListNames),
    /// In words for an error message.
    Other(String),
}

/// How the column below this part of the root is built.
pub(crate) fn of(column: &Type) -> Nesting {
    if column.get_basic_info().repetition() == Repetition::REPEATED {
        return Nesting::Other("repeated, a list of the oldest form".into());
    }
    if column.is_primitive() {
        return Nesting::Flat;
    }
    match (is_list(column), column.get_fields()) {
        (true, [repeated]) => list(column, repeated),
        (true, _) => Nesting::Other("a list without elements".into()),
        (false, fields) => Nesting::Other(match column.get_basic_info().converted_type() {
            ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE => "a map".into(),
            _ => format!("a struct with {}", named(fields)),
        }),
    }
}

fn is_list(column: &Type) -> bool {
    let info = column.get_basic_info();
    info.converted_type() == ConvertedType::LIST
        || info.logical_type_ref() == Some(&LogicalType::List)
}

fn list(column: &Type, repeated: &Type) -> Nesting {
    if repeated.get_basic_info().repetition() != Repetition::REPEATED {
        return Nesting::Other("a list whose elements are not repeated".into());
    }
    if repeated.is_primitive() {
        return Nesting::Other("a list of the older form, with two levels".into());
    }
    // The rules of the format for files of older writers: this group is the element.
    let name = repeated.name();
    let is_element = name == "array" || name.strip_suffix("_tuple") == Some(column.name());
    match repeated.get_fields() {
        [element] if element.is_primitive() && !is_element => {
            match element.get_basic_info().repetition() {
                Repetition::REPEATED => Nesting::Other("a list of repeated values".into()),
                repetition => Nesting::List(ListNames {
                    group: name.into(),
                    element: element.name().into(),
                    element_nullable: repetition == Repetition::OPTIONAL,
                }),
            }
        }
        [element] if !is_element => Nesting::Other(
            if is_list(element) { "a list of lists" } else { "a list of structs" }.into(),
        ),
        fields => Nesting::Other(format!("a list of structs with {}", named(fields))),
    }
}

/// The parts of a struct.
fn named(fields: &[Arc<Type>]) -> String {
    match fields {
        [] => "no fields".into(),
        [only] => format!("the field `{}`", only.name()),
        [first, ..] => format!("{} fields, `{}` first", fields.len(), first.name()),
    }
}

pub(crate) fn repetition(nullable: bool) -> Repetition {
    if nullable { Repetition::OPTIONAL } else { Repetition::REQUIRED }
}

impl ListNames {
    /// Those of our own lists, as the documentation of the format has them.
    pub(crate) fn ours() -> Self {
        let (group, element) = (SmolStr::new_static("list"), SmolStr::new_static("element"));
        Self { group, element, element_nullable: true }
    }

    /// Parquet's description of a column of lists.
    pub(crate) fn describe(&self, field: &Field, element: Type) -> ParquetResult<Type> {
        let group = Type::group_type_builder(&self.group)
            .with_repetition(Repetition::REPEATED)
            .with_fields(vec![Arc::new(element)])
            .build()?;
        Type::group_type_builder(&field.name)
            .with_repetition(repetition(field.nullable))
            .with_converted_type(ConvertedType::LIST)
            .with_logical_type(Some(LogicalType::List))
            .with_fields(vec![Arc::new(group)])
            .build()
    }

    /// The entries in a footer before that of the element.
    pub(crate) fn entries(&self, field: &Field) -> [Vec<u8>; 2] {
        let (mut outer, mut inner) = (Vec::new(), Vec::new());
        structure(&mut outer, |entry| {
            entry.int(3, i32::from(field.nullable));
            entry.bytes(4, &field.name);
            entry.int(5, 1);
            entry.int(6, ConvertedType::LIST as i32);
            entry.structure(10, |entry| entry.structure(3, |_| ()));
        });
        structure(&mut inner, |entry| {
            entry.int(3, Repetition::REPEATED as i32);
            entry.bytes(4, &self.group);
            entry.int(5, 1);
        });
        [outer, inner]
    }
}
