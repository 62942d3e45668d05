//! Which sealed row groups become one.
//!
//! A sealed group of 65 536 rows adds an entry to every footer to come: 30 days at 100 rows a second would be
//! 4 000 of them. Sixteen of similar size become one, up to about a million rows, without being decoded. So
//! a row is written twice more, and once more again for each further size that the groups have, as those of
//! wide tables and of short sessions.

use std::ops::Range;

/// The number of groups of similar size that become one.
const FAN_OUT: usize = 16;

/// The most rows and bytes of a group that was made of others. A merge is part of a flush, which takes as long
/// as copying that much.
const ROWS_MAX: u64 = 1 << 20;
const BYTES_MAX: u64 = 512 << 20;

/// A sealed group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl Sealed {
    /// Whether it will not become part of a larger one.
    fn is_done(self) -> bool {
        self.rows > ROWS_MAX / 2 || self.bytes > BYTES_MAX / 2
    }

    fn size_class(self) -> u32 {
        self.rows.max(1).ilog(FAN_OUT as u64)
    }
}

/// The groups at the end that become one now, of all sealed ones, the oldest first.
pub(crate) fn joined(groups: &[Sealed]) -> Option<Range<usize>> {
    let size = groups.last()?.size_class();
    let similar = groups.iter().rev();
    let similar =
        similar.take_while(|group| !group.is_done() && group.size_class() <= size).count();
    if similar < FAN_OUT {
        return None;
    }
    let start = groups.len() - similar;
    let (mut rows, mut bytes, mut end) = (0, 0, start);
    for group in &groups[start..] {
        (rows, bytes) = (rows + group.rows, bytes + group.bytes);
        if rows > ROWS_MAX || bytes > BYTES_MAX {
            break;
        }
        end += 1;
    }
    (end - start > 1).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Adds a group, and joins as long as there is something to join; returns the rows that were copied.
    fn add(groups: &mut Vec<Sealed>, group: Sealed) -> u64 {
        groups.push(group);
        let mut copied = 0;
        while let Some(range) = joined(groups) {
            let parts = groups[range.clone()].iter();
            let rows = parts.clone().map(|part| part.rows).sum();
            let bytes = parts.map(|part| part.bytes).sum();
            copied += rows;
            groups.splice(range, [Sealed { rows, bytes }]);
        }
        copied
    }

    #[test]
    fn thirty_days_of_a_hundred_rows_a_second_are_a_few_hundred_groups() {
        let (mut groups, mut copied) = (Vec::new(), 0);
        for _ in 0..259_200_000 / 65_536 {
            copied += add(&mut groups, Sealed { rows: 65_536, bytes: 4_300_000 });
        }
        assert!(groups.len() < 263, "{}", groups.len());
        assert!(copied <= 259_200_000, "each row once");
    }

    #[test]
    fn groups_of_a_wide_table_become_one_up_to_a_limit_of_bytes() {
        let mut groups = Vec::new();
        for _ in 0..500 {
            add(&mut groups, Sealed { rows: 209, bytes: 17_000_000 });
        }
        assert!(groups.len() < 48, "{}", groups.len());
        assert!(groups.iter().all(|group| group.bytes <= BYTES_MAX));
    }

    proptest! {
        #[test]
        fn groups_stay_few_and_no_row_is_lost(
            all in prop::collection::vec((1_u64..300_000, 1_u64..70), 1..300),
        ) {
            let mut groups = Vec::new();
            let mut rows = 0;
            for (count, row_bytes) in all {
                add(&mut groups, Sealed { rows: count, bytes: count * row_bytes });
                rows += count;
                prop_assert_eq!(groups.iter().map(|group| group.rows).sum::<u64>(), rows);
            }
            let done = groups.iter().filter(|group| group.is_done()).count() as u64;
            prop_assert!(done <= 2 * rows / ROWS_MAX + 40);
            prop_assert!(groups.iter().all(|group| group.rows <= ROWS_MAX));
        }
    }
}
