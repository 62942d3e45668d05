//! Where the tables of spans are: a key in the footer.
//!
//! For each row group, separated by commas: the offset of its table, its length and its crc32c, in
//! hexadecimal digits with colons between, or `-` where a group has none.

use crate::format::spans;
use std::fmt::Write;
use std::ops::Range;

/// The metadata key of the tables.
pub(crate) const KEY: &str = "qstore.spans";

/// Where the first chunk of a file can be: after the letters at its beginning.
const DATA_START: u64 = 4;

/// Where the table of a group is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SpanTable {
    pub(crate) range: Range<u64>,
    pub(crate) checksum: u32,
}

impl SpanTable {
    /// The same table, that many bytes further on.
    pub(crate) fn moved(&self, by: u64) -> Self {
        self.moved_to(self.range.start + by)
    }

    /// The same table at that offset.
    pub(crate) fn moved_to(&self, start: u64) -> Self {
        let len = self.range.end - self.range.start;
        Self { range: start..start + len, checksum: self.checksum }
    }
}

/// The value of the key for groups with these tables; `None` if no group has one.
pub(crate) fn encode<'a>(groups: impl Iterator<Item = Option<&'a SpanTable>>) -> Option<String> {
    let (mut text, mut is_needed) = (String::new(), false);
    for (number, table) in groups.enumerate() {
        if number > 0 {
            text.push(',');
        }
        let Some(SpanTable { range, checksum }) = table else {
            text.push('-');
            continue;
        };
        is_needed = true;
        let len = range.end - range.start;
        // Writing to a string does not fail.
        let _ = write!(text, "{:x}:{len:x}:{checksum:08x}", range.start);
    }
    is_needed.then_some(text)
}

/// The tables of that many row groups in a file whose footer begins at `data_end`; `None` if the text is
/// malformed, or a table is outside the file.
pub(crate) fn decode(text: &str, groups: usize, data_end: u64) -> Option<Vec<Option<SpanTable>>> {
    // bounded: they are in the footer
    let mut tables = Vec::with_capacity(groups);
    for part in text.split(',') {
        tables.push(if part == "-" { None } else { Some(table(part, data_end)?) });
    }
    (tables.len() == groups).then_some(tables)
}

fn table(text: &str, data_end: u64) -> Option<SpanTable> {
    let mut numbers = text.split(':').map(|digits| u64::from_str_radix(digits, 16).ok());
    let (start, len, checksum) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let end = start.checked_add(len)?;
    let is_inside = start >= DATA_START && end <= data_end && len <= spans::BYTES_MAX;
    let checksum = u32::try_from(checksum).ok()?;
    (is_inside && numbers.next().is_none()).then_some(SpanTable { range: start..end, checksum })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_and_malformed_text_is_refused() {
        let table = SpanTable { range: 16..26, checksum: 0xff };
        assert_eq!(decode("-,10:a:000000ff", 2, 26), Some(vec![None, Some(table.clone())]));
        assert_eq!(table.moved(4).range, 20..30);
        for text in [
            "",
            "-",
            "-,-,-",
            "-,10:a",
            "-,10:a:ff:0",
            "-,10:b:ff",
            "-,3:4:ff",
            "-,10:a:1ffffffff",
            "-,ffffffffffffffff:a:ff",
            "-,x:a:ff",
        ] {
            assert_eq!(decode(text, 2, 26), None, "{text}");
        }
    }
}
