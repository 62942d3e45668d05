//! Where chunks began that a version no longer refers to.
//!
//! The chunks of a wide group begin at multiples of [`STEP`] bytes, counted from the beginning of the group. So
//! ten thousand of them are remembered as one range and a remainder, and not one by one.

use crate::format::stored::{CHUNKS_MANY, STEP};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// Offsets where chunks began.
#[derive(Debug, Default)]
pub(super) struct Begun {
    /// Those of narrow groups.
    pub(super) each: BTreeSet<u64>,
    /// Those of wide groups.
    pub(super) combs: Vec<Comb>,
}

/// Offsets in a range that have one remainder when they are divided by [`STEP`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comb {
    range: RangeInclusive<u64>,
    remainder: u64,
}

impl Begun {
    /// These offsets; where many have one remainder, all others between the first and the last of them that
    /// have it as well.
    pub(super) fn of(starts: &[u64]) -> Self {
        let mut counts = [0; STEP as usize];
        for start in starts {
            counts[(start % STEP) as usize] += 1;
        }
        let is_many = |start: u64| counts[(start % STEP) as usize] > CHUNKS_MANY;
        let mut begun = Self::default();
        for &start in starts {
            if !is_many(start) {
                begun.each.insert(start);
                continue;
            }
            let remainder = start % STEP;
            match begun.combs.iter_mut().find(|comb| comb.remainder == remainder) {
                Some(Comb { range, .. }) => {
                    *range = start.min(*range.start())..=start.max(*range.end());
                }
                None => begun.combs.push(Comb { range: start..=start, remainder }),
            }
        }
        begun
    }

    pub(super) fn contains(&self, at: u64) -> bool {
        self.each.contains(&at) || self.combs.iter().any(|comb| comb.contains(at))
    }
}

impl Comb {
    pub(super) fn contains(&self, at: u64) -> bool {
        at % STEP == self.remainder && self.range.contains(&at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_beginning_is_forgotten_whatever_the_width(
            groups in prop::collection::vec((4_u64..200_000, 1_usize..1_000, 1_u64..4), 0..4),
        ) {
            let starts = groups.iter().flat_map(|(start, count, gap)| {
                (0..*count as u64).map(move |chunk| start + chunk * gap * STEP)
            });
            let starts: Vec<_> = starts.collect();
            let begun = Begun::of(&starts);
            prop_assert!(starts.iter().all(|start| begun.contains(*start)));
            // What it has beside them is as aligned as they are.
            let remainders: BTreeSet<_> = starts.iter().map(|start| start % STEP).collect();
            prop_assert!((0..STEP).all(|at| remainders.contains(&at) || !begun.contains(at + 64 * STEP)));
            prop_assert!(begun.each.len() <= 4 * CHUNKS_MANY * STEP as usize);
        }
    }

    #[test]
    fn ten_thousand_chunks_are_one_comb() {
        let starts: Vec<_> = (0..10_000).map(|chunk| 7 + chunk * STEP).collect();
        let begun = Begun::of(&starts);
        assert_eq!((begun.each.len(), begun.combs.len()), (0, 1));
        assert!(begun.contains(7) && begun.contains(7 + 9_999 * STEP));
        assert!(!begun.contains(8) && !begun.contains(7 + 10_000 * STEP));
    }
}
