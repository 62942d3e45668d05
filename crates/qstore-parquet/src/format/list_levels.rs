//! The levels of a list column: how lists, null and empty ones included, become one sequence of elements
//! and back.
//!
//! Each element has a repetition level, 0 at the beginning of a row, and a definition level, which says
//! whether there is an element at all. A row without elements has one pair of levels and no element.

use parquet::errors::{ParquetError, Result};
use parquet::schema::types::ColumnDescriptor;
use std::sync::Arc;

/// The definition levels of a list column; they follow from what in it may be null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Levels {
    /// That of an empty list. One less is a null list, if the column has such.
    empty: i16,
    /// That of an element. One less is a null element, if the column has such.
    element: i16,
}

impl Levels {
    /// Those of a column that `leaves.rs` reads as lists.
    pub(crate) fn of(column: &ColumnDescriptor, nullable: bool) -> Self {
        Self { empty: i16::from(nullable), element: column.max_def_level() }
    }

    /// Those of a column whose lists, and whose elements, may be null.
    pub(crate) fn new(nullable: bool, element_nullable: bool) -> Self {
        let empty = i16::from(nullable);
        Self { empty, element: empty + 1 + i16::from(element_nullable) }
    }
}

/// Lists that are being written, as elements with their levels.
#[derive(Debug, Default)]
pub(crate) struct Flat {
    pub(crate) elements: Vec<f64>,
    pub(crate) definition: Vec<i16>,
    pub(crate) repetition: Vec<i16>,
}

impl Flat {
    /// Adds a row.
    pub(crate) fn push(&mut self, list: Option<&Arc<[f64]>>, levels: Levels) {
        self.repetition.push(0);
        match list.map(|list| &**list) {
            // mutant: list_of_a_null_row_is_empty
            None => self.definition.push(levels.empty - 1),
            Some([]) => self.definition.push(levels.empty),
            Some(list) => {
                self.elements.extend_from_slice(list);
                let len = self.definition.len() + list.len();
                self.definition.resize(len, levels.element);
                self.repetition.resize(len, 1);
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.elements.clear();
        self.definition.clear();
        self.repetition.clear();
    }
}

/// One list for each row, of lists that are not null and the levels of all rows, which are empty if no
/// row is null.
pub(crate) fn by_row<'a>(
    lists: &'a [Arc<[f64]>],
    levels: &'a [i16],
) -> impl Iterator<Item = Option<&'a Arc<[f64]>>> {
    let (mut lists, mut levels) = (lists.iter(), levels.iter());
    let has_levels = levels.len() > 0;
    std::iter::from_fn(move || {
        if !has_levels {
            return lists.next().map(Some);
        }
        Some(if *levels.next()? == 1 { lists.next() } else { None })
    })
}

/// The lists of `rows` rows that were read as elements with their levels; `claimed` is the number of
/// levels that the chunk claims.
pub(crate) fn lists(
    (definition, repetition): (&[i16], &[i16]),
    elements: &[f64],
    levels: Levels,
    (rows, claimed): (usize, usize),
) -> Result<Vec<Option<Box<[f64]>>>> {
    let starts = repetition.iter().filter(|level| **level == 0).count();
    let is_whole = definition.len() == repetition.len()
        && definition.len() == claimed
        && starts == rows
        && definition.iter().all(|level| (0..=levels.element).contains(level))
        && repetition.first().is_none_or(|first| *first == 0);
    if !is_whole {
        return Err(damaged("it has more or fewer rows or elements than it claims"));
    }
    let mut elements = elements;
    let mut lists = Vec::with_capacity(rows); // bounded: each has a level, which is in memory
    for row in rows_of(definition, repetition) {
        lists.push(match *row {
            [level] if level == levels.empty => Some(Box::default()),
            [level] if level < levels.empty => None,
            _ if row.iter().all(|level| *level == levels.element) => {
                let list = elements.split_off(..row.len());
                Some(list.ok_or_else(|| damaged("it lacks elements"))?.into())
            }
            _ if row.iter().all(|level| *level > levels.empty) => {
                let reason =
                    "a list in it has elements that are null, which this reader does not take";
                return Err(ParquetError::NYI(reason.into()));
            }
            _ => return Err(damaged("a list in it is both empty and not")),
        });
    }
    if elements.is_empty() { Ok(lists) } else { Err(damaged("it has elements of no row")) }
}

fn damaged(reason: &str) -> ParquetError {
    ParquetError::General(reason.into())
}

/// The definition levels of each row.
fn rows_of<'a>(
    mut definition: &'a [i16],
    mut repetition: &'a [i16],
) -> impl Iterator<Item = &'a [i16]> {
    std::iter::from_fn(move || {
        let more = repetition.get(1..)?.iter().take_while(|level| **level != 0).count();
        repetition = &repetition[1 + more..];
        definition.split_off(..=more)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    const NULLABLE: Levels = Levels { empty: 1, element: 3 };

    fn flat(rows: &[Option<Vec<f64>>], levels: Levels) -> Flat {
        let mut flat = Flat::default();
        for row in rows {
            flat.push(row.clone().map(Arc::from).as_ref(), levels);
        }
        flat
    }

    fn back(flat: &Flat, levels: Levels, rows: usize) -> Result<Vec<Option<Box<[f64]>>>> {
        let sequences = (&flat.definition[..], &flat.repetition[..]);
        lists(sequences, &flat.elements, levels, (rows, flat.definition.len()))
    }

    #[test]
    fn the_levels_are_those_of_the_format() {
        let rows = [None, Some(vec![]), Some(vec![1.0]), Some(vec![2.0, 3.0])];
        let Flat { elements, definition, repetition } = flat(&rows, NULLABLE);
        assert_eq!(elements, [1.0, 2.0, 3.0]);
        assert_eq!(
            (&definition[..], &repetition[..]),
            (&[0, 1, 3, 3, 3][..], &[0, 0, 0, 0, 1][..])
        );
        let (definition, repetition) = (vec![0, 1, 1], vec![0, 0, 1]);
        let required = Levels { empty: 0, element: 1 };
        let read = Flat { elements: vec![1.0, 2.0], definition, repetition };
        let expected = [Some(Box::default()), Some([1.0, 2.0].into())];
        assert_eq!(back(&read, required, 2).unwrap(), expected);
    }

    #[test]
    fn levels_that_contradict_each_other_are_damage_and_a_null_element_is_not() {
        let read = |definition: &[i16], repetition: &[i16], elements: usize, rows| {
            let (definition, repetition) = (definition.into(), repetition.into());
            let read = Flat { elements: vec![0.5; elements], definition, repetition };
            back(&read, NULLABLE, rows).unwrap_err()
        };
        for (definition, repetition, elements, rows) in [
            (&[3][..], &[1][..], 1, 0),
            (&[3, 3], &[0, 0], 2, 1),
            (&[3, 3], &[0, 1], 2, 2),
            (&[3, 3], &[0, 1], 1, 1),
            (&[3, 3], &[0, 1], 3, 1),
            (&[3, 1], &[0, 1], 1, 1),
            (&[0, 3], &[0, 1], 1, 1),
            (&[3, 3], &[0], 1, 1),
            (&[4], &[0], 1, 1),
        ] {
            let error = read(definition, repetition, elements, rows);
            assert!(matches!(error, ParquetError::General(_)), "{definition:?} {error}");
        }
        for (definition, repetition) in [(&[2][..], &[0][..]), (&[3, 2], &[0, 1])] {
            let error = read(definition, repetition, definition.len() - 1, 1);
            assert!(matches!(error, ParquetError::NYI(_)), "{error}");
        }
    }

    proptest! {
        #[test]
        fn lists_are_the_same_after_their_levels(
            rows in vec(option::of(vec(-1.0..1.0_f64, 0..5)), 0..40),
            element_nullable: bool,
        ) {
            let levels = Levels { empty: 1, element: 2 + i16::from(element_nullable) };
            let read = back(&flat(&rows, levels), levels, rows.len()).unwrap();
            prop_assert!(read.iter().map(Option::as_deref).eq(rows.iter().map(Option::as_deref)));
            let lists: Vec<Arc<[f64]>> = rows.iter().flatten().cloned().map(Arc::from).collect();
            let nulls: Vec<_> = rows.iter().map(|row| i16::from(row.is_some())).collect();
            let by_row: Vec<_> = by_row(&lists, &nulls).map(|list| list.map(|list| &list[..])).collect();
            prop_assert!(by_row.into_iter().eq(rows.iter().map(Option::as_deref)));
        }
    }
}
