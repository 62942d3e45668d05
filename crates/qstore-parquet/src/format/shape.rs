//! The columns of one version of a file, and what is derived from them: made once, however many versions
//! and row groups have the same columns.

use crate::format::leaves::{self, Columns, Leaf};
use parquet::errors::Result;
use parquet::schema::types::SchemaDescPtr;
use qstore_schema::{Field, SmolStr};
use std::collections::HashMap;
use std::sync::OnceLock;

/// The columns of a version.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    pub(crate) fields: Vec<Field>,
    /// How each column is stored.
    pub(crate) leaves: Vec<Leaf>,
    columns: OnceLock<Columns>,
    by_name: OnceLock<HashMap<SmolStr, usize>>,
}

impl Shape {
    /// The columns of an existing file.
    pub(crate) fn of(leaves: Vec<Leaf>) -> Self {
        let fields = leaves.iter().map(|leaf| leaf.field.clone()).collect();
        Self { fields, leaves, ..Self::default() }
    }

    /// The columns of the next version of a file that has those of `stored` so far.
    pub(crate) fn continued(fields: Vec<Field>, stored: Option<&Self>) -> Self {
        let leaves = leaves::continued(&fields, stored.map_or(&[], |stored| &stored.leaves));
        Self { fields, leaves, ..Self::default() }
    }

    /// The columns as a footer has them.
    pub(crate) fn columns(&self) -> &Columns {
        self.columns.get_or_init(|| leaves::entries(&self.leaves))
    }

    /// Parquet's description of some of the columns.
    pub(crate) fn describe(
        &self,
        columns: impl IntoIterator<Item = usize>,
    ) -> Result<SchemaDescPtr> {
        leaves::describe(columns.into_iter().map(|column| &self.leaves[column]))
    }

    /// The number of the column of that name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        let by_name = self.by_name.get_or_init(|| {
            // Of columns that another program gave one name, the first.
            let names = self.fields.iter().enumerate().rev();
            names.map(|(number, field)| (field.name.clone(), number)).collect()
        });
        by_name.get(name).copied()
    }
}
