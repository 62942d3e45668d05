//! Reads structures. Nothing is allocated for a length that was read, and constructs that readers
//! interpret differently (maps, lists of flags) are refused.

use super::{BINARY, BYTE, DOUBLE, FALSE, I16, I32, I64, LIST, SET, STRUCT, TRUE};

/// The maximum nesting of structures. A page header needs four levels.
const DEPTH_MAX: usize = 8;

/// The maximum nesting in a whole file's footer, in which lists count as well.
const WALK_DEPTH_MAX: usize = 24;

/// A structure that is read field by field.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// The value of a field, as far as it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value {
    Flag(bool),
    Int(i64),
    /// A structure begins here; it has not been read.
    Struct,
    /// Another type, which was skipped.
    Other,
}

/// What a walk through a structure comes across.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// An integer, by itself or in a list.
    Int(i64),
    /// A structure, a text, or any other value.
    Other,
}

/// What begins a field of a structure.
enum Field {
    /// Nothing: the structure ends.
    End,
    Of {
        number: i64,
        kind: u8,
    },
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The number of bytes that were read.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Reads one structure to its end and hands each field's number and value to `field`, which reads
    /// a [`Value::Struct`] by calling this again. `None` if the bytes are not a structure, or if `field`
    /// returns `None`.
    pub(crate) fn structure(
        &mut self,
        mut field: impl FnMut(&mut Self, i64, Value) -> Option<()>,
    ) -> Option<()> {
        let mut last = 0;
        while let Field::Of { number, kind } = self.field(last)? {
            let value = self.value(kind)?;
            field(self, number, value)?;
            last = number;
        }
        Some(())
    }

    /// The number and the kind of the next field, of which only the difference to the last number may be
    /// stored.
    fn field(&mut self, last: i64) -> Option<Field> {
        let head = self.byte()?;
        let kind = head & 0x0f;
        if kind == 0 {
            return Some(Field::End);
        }
        let number = match head >> 4 {
            0 => self.integer()?,
            step => last.checked_add(step.into())?,
        };
        Some(Field::Of { number, kind })
    }

    /// Skips a structure.
    pub(crate) fn skip_structure(&mut self) -> Option<()> {
        self.skip(STRUCT, DEPTH_MAX)
    }

    /// Reads one structure to its end and hands every value in it to `visit`, however deep, with the
    /// numbers of the fields that lead to it. Lists are not numbered: their elements have the path of the
    /// list. `None` if the bytes are not a structure.
    pub(crate) fn walk(&mut self, visit: &mut dyn FnMut(&[i64], Step)) -> Option<()> {
        self.walk_structure(&mut Vec::new(), visit)
    }

    fn walk_structure(
        &mut self,
        path: &mut Vec<i64>,
        visit: &mut dyn FnMut(&[i64], Step),
    ) -> Option<()> {
        let mut last = 0;
        while let Field::Of { number, kind } = self.field(last)? {
            path.push(number);
            self.walk_value(kind, path, visit, WALK_DEPTH_MAX)?;
            path.pop();
            last = number;
        }
        Some(())
    }

    fn walk_value(
        &mut self,
        kind: u8,
        path: &mut Vec<i64>,
        visit: &mut dyn FnMut(&[i64], Step),
        lists: usize,
    ) -> Option<()> {
        match kind {
            I16 | I32 | I64 => {
                let number = self.integer()?;
                visit(path, Step::Int(number));
            }
            LIST | SET => {
                let lists = lists.checked_sub(1)?;
                let head = self.byte()?;
                let (kind, count) = (head & 0x0f, u64::from(head >> 4));
                let count = if count == 15 { self.varint()? } else { count };
                for _ in 0..count {
                    match kind {
                        // In a list a flag has a byte of its own, so this ends with the bytes, too.
                        TRUE | FALSE => drop(self.byte()?),
                        _ => self.walk_value(kind, path, visit, lists)?,
                    }
                }
            }
            STRUCT => {
                visit(path, Step::Other);
                if path.len() >= WALK_DEPTH_MAX {
                    return None;
                }
                self.walk_structure(path, visit)?;
            }
            other => {
                self.skip(other, DEPTH_MAX)?;
                visit(path, Step::Other);
            }
        }
        Some(())
    }

    fn value(&mut self, kind: u8) -> Option<Value> {
        Some(match kind {
            TRUE => Value::Flag(true),
            FALSE => Value::Flag(false),
            I16 | I32 | I64 => Value::Int(self.integer()?),
            STRUCT => Value::Struct,
            other => {
                self.skip(other, DEPTH_MAX)?;
                Value::Other
            }
        })
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            TRUE | FALSE => {}
            BYTE => drop(self.byte()?),
            I16 | I32 | I64 => drop(self.varint()?),
            DOUBLE => self.pass(8)?,
            BINARY => {
                let len = self.varint()?;
                self.pass(len)?;
            }
            LIST | SET => {
                let head = self.byte()?;
                let (kind, count) = (head & 0x0f, u64::from(head >> 4));
                let count = if count == 15 { self.varint()? } else { count };
                // Every accepted element takes at least a byte, so this ends with the bytes.
                if matches!(kind, TRUE | FALSE) && count > 0 {
                    return None;
                }
                for _ in 0..count {
                    self.skip(kind, depth)?;
                }
            }
            STRUCT => loop {
                let head = self.byte()?;
                let (kind, step) = (head & 0x0f, head >> 4);
                if kind == 0 {
                    break;
                }
                if step == 0 {
                    self.varint()?;
                }
                self.skip(kind, depth)?;
            },
            _ => return None,
        }
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn pass(&mut self, len: u64) -> Option<()> {
        let end = self.at.checked_add(usize::try_from(len).ok()?)?;
        self.at = Some(end).filter(|end| *end <= self.bytes.len())?;
        Some(())
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn integer(&mut self) -> Option<i64> {
        let number = self.varint()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::super::structure;
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut bytes = Vec::new();
        structure(&mut bytes, |fields| {
            fields.int(1, i32::MAX);
            fields.structure(5, |inner| {
                inner.int(2, -7);
                inner.flag(3, false);
            });
            fields.int(8, 0);
        });
        let (mut found, mut reader) = (Vec::new(), Reader::new(&bytes));
        let read = reader.structure(|reader, number, value| {
            found.push((number, value));
            if value == Value::Struct {
                reader.structure(|_, number, value| {
                    found.push((number, value));
                    Some(())
                })?;
            }
            Some(())
        });
        assert_eq!((read, reader.position()), (Some(()), bytes.len()));
        let expected = [
            (1, Value::Int(i32::MAX.into())),
            (5, Value::Struct),
            (2, Value::Int(-7)),
            (3, Value::Flag(false)),
            (8, Value::Int(0)),
        ];
        assert_eq!(found, expected);
        for len in 0..bytes.len() {
            assert_eq!(Reader::new(&bytes[..len]).skip_structure(), None, "cut to {len}");
        }
        assert_eq!(Reader::new(&bytes).skip_structure(), Some(()));
    }

    #[test]
    fn a_walk_comes_across_every_value_with_its_path() {
        let mut bytes = Vec::new();
        structure(&mut bytes, |fields| {
            fields.int(1, 7);
            fields.structures(2, &[1, 2], |number, item| item.int(3, *number));
            fields.ints(4, &[8, 9]);
            fields.structure(5, |inner| inner.bytes(1, "text"));
            fields.flag(6, true);
        });
        let mut found = Vec::new();
        let mut reader = Reader::new(&bytes);
        reader.walk(&mut |path, step| found.push((path.to_vec(), step))).unwrap();
        let expected = [
            (vec![1], Step::Int(7)),
            (vec![2], Step::Other),
            (vec![2, 3], Step::Int(1)),
            (vec![2], Step::Other),
            (vec![2, 3], Step::Int(2)),
            (vec![4], Step::Int(8)),
            (vec![4], Step::Int(9)),
            (vec![5], Step::Other),
            (vec![5, 1], Step::Other),
            (vec![6], Step::Other),
        ];
        assert_eq!((found, reader.position()), (expected.into(), bytes.len()));
        for deep in [vec![0x1c; 100_000], vec![0x19; 100_000], [0x19, 0x1c].repeat(50_000)] {
            assert_eq!(Reader::new(&deep).walk(&mut |_, _| ()), None);
        }
    }

    // Six bytes can claim a list of two billion flags.
    #[test]
    fn claims_beyond_the_bytes_are_refused_at_once() {
        let huge = [0xff, 0xff, 0xff, 0xff, 0x07];
        let list = |kind: u8| [&[0x19, 0xf0 | kind][..], &huge, &[0]].concat();
        for kind in 0..=15 {
            assert_eq!(Reader::new(&list(kind)).skip_structure(), None, "a list of kind {kind}");
        }
        assert_eq!(Reader::new(&[&[0x18][..], &huge, &[0]].concat()).skip_structure(), None);
        assert_eq!(Reader::new(&[0x1c; 100]).skip_structure(), None, "too deep");
        assert_eq!(Reader::new(&[0x15, 0xff]).skip_structure(), None, "half a number");
        assert_eq!(Reader::new(&[&[0x15][..], &[0xff; 20]].concat()).skip_structure(), None);
    }
}
