//! The stack and the space together: whatever is flushed and merged, bytes in use are never
//! overwritten, and the file stays small.

use super::*;
use crate::publish::space::Space;
use crate::publish::space::tests::{ranges, stored};
use proptest::prelude::*;
use std::ops::Range;
use std::time::{Duration, Instant};

proptest! {
    /// No byte is reused within its grace period, whatever the sizes of flushes and merges.
    #[test]
    fn nothing_is_overwritten_within_its_grace_period(
        flushes in prop::collection::vec((1_usize..400, 1_u64..2_000), 1..200),
        grace in prop_oneof![1 => Just(0), 7 => 1_u64..3_000],
    ) {
        let start = Instant::now();
        let grace = Duration::from_millis(grace);
        let mut space = Space::new(grace, &[], 4, start);
        let mut stack = Stack::default();
        let mut live: Vec<Range<u64>> = Vec::new();
        let mut graves: Vec<(Range<u64>, Instant)> = Vec::new();
        let mut now = start;
        for (rows, pause) in flushes {
            now += Duration::from_millis(pause);
            let plan = stack.plan(rows, &Costs::default());
            let len = plan.rows[0] as u64 * 66;
            let buried: Vec<_> = live.split_off(plan.kept);
            let kept: Vec<_> = live.iter().map(stored).collect();
            let dead: Vec<_> = buried.iter().map(stored).collect();
            let mut free = space.free(&kept, &dead, now);
            let place = free.take(len, &[0]);
            let new = place..place + len;
            prop_assert!(free.end() >= new.end);
            graves.extend(buried.into_iter().map(|range| (range, now)));
            let untouchable = graves.iter().filter(|(_, since)| *since + grace > now);
            for range in live.iter().chain(untouchable.map(|(range, _)| range)) {
                prop_assert!(new.end <= range.start || range.end <= new.start, "{new:?} on {range:?}");
            }
            for (range, _) in &graves {
                prop_assert!(range.start != new.start, "a chunk began there before");
            }
            space.bury(ranges(&dead), now);
            live.push(new);
            stack.apply(&plan);
        }
    }

    /// With a grace that is over by the next flush the file never grows far beyond what lives in it.
    #[test]
    fn the_file_stays_within_a_few_groups_of_what_lives(rows in 1_usize..500) {
        const SEALED: usize = 8_192;
        let start = Instant::now();
        let mut space = Space::new(Duration::from_millis(1), &[], 4, start);
        let (mut stack, mut live, mut held) = (Stack::default(), Vec::<Range<u64>>::new(), 0);
        let mut sealed = 0;
        for flush in 0..500 {
            let now = start + Duration::from_millis(2 * flush);
            held += rows;
            let is_full = held >= SEALED;
            let plan = if is_full { stack.plan_seal(rows, usize::MAX, true) } else { stack.plan(rows, &Costs::default()) };
            let len = plan.rows[0] as u64 * 66;
            let dead: Vec<_> = live.split_off(sealed + plan.kept).iter().map(stored).collect();
            let kept: Vec<_> = live.iter().map(stored).collect();
            let mut free = space.free(&kept, &dead, now);
            let place = free.take(len, &[0]);
            live.push(place..place + len);
            let end = free.end();
            space.bury(ranges(&dead), now);
            stack.apply(&plan);
            if is_full {
                stack.clear();
                held = 0;
                sealed = live.len();
            }
            let living: u64 = live.iter().map(|range| range.end - range.start).sum();
            prop_assert!(end <= living + 4 * 66 * SEALED as u64, "{end} for {living}");
        }
    }
}
