//! Where the tables of spans are: a key in the footer.
//!
//! For each row group, separated by commas: the offset of its table, its length and its crc32c, in
//! hexadecimal digits with colons between, or `-` where a group has none.

use crate::format::footer::MAGIC;
use crate::format::spans;
use crate::format::stored::Stored;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;

/// The metadata key of the tables.
pub(crate) const KEY: &str = "qstore.spans";

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

/// The value of the key for these groups; `None` if no group has a table.
pub(crate) fn encode(groups: &[Arc<Stored>]) -> Option<String> {
    if groups.iter().all(|group| group.table().is_none()) {
        return None;
    }
    let mut text = String::new();
    for (number, group) in groups.iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        match group.table() {
            Some(SpanTable { range, checksum }) => {
                let len = range.end - range.start;
                // Writing to a string does not fail.
                let _ = write!(text, "{:x}:{len:x}:{checksum:08x}", range.start);
            }
            None => text.push('-'),
        }
    }
    Some(text)
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
    let is_inside = start >= MAGIC.len() as u64 && end <= data_end && len <= spans::BYTES_MAX;
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
