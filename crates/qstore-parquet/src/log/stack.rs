//! Which row groups a flush encodes again.
//!
//! The groups whose rows are still held form a stack, and each flush pushes its rows as one group.
//! When enough groups of similar size are on top, they are merged into one, so that a row is encoded
//! only a few times and a file never has many small groups. Groups below are not touched: a flush
//! changes a suffix of the file and nothing else. The scheme is that of a log-structured merge tree.

/// The number of groups of similar size that are merged. Many groups make a large footer, which every
/// flush writes; few groups take many merges. Twelve writes the least for flushes of 100 rows and of
/// 1 000 alike (counted in docs/decisions/0020), and a row is encoded three or four times.
const FAN_OUT: usize = 12;

/// The number of groups of similar size that are merged even if it does not pay: many groups slow
/// readers down.
const GROUPS_MAX: usize = 96;

/// The bytes that a group adds to the footer, and so to every flush, and the bytes of a row in a group.
/// Both are those of a table of 18 columns; only their ratio matters, which is about the same for
/// narrower tables.
const FOOTER_BYTES: usize = 1_200;
const ROW_BYTES: usize = 66;

/// The number of rows in each group whose rows are held, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stack {
    groups: Vec<usize>,
}

/// What a flush does to the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The number of groups at the bottom that stay as they are.
    pub(crate) kept: usize,
    /// The number of rows in each group that replaces those above, from below.
    pub(crate) rows: Vec<usize>,
    /// The number of rows, from below, in groups that this plan seals.
    pub(crate) sealed: usize,
}

impl Plan {
    /// The number of rows it encodes.
    pub(crate) fn written(&self) -> usize {
        self.rows.iter().sum()
    }
}

impl Stack {
    /// How `rows` new rows are added without sealing any; at `full` rows everything will be sealed.
    pub(crate) fn plan(&self, mut rows: usize, full: usize) -> Plan {
        // Merging pays only if enough flushes of this size will follow before that.
        let flushes_left = full.saturating_sub(self.rows() + rows) / rows.max(1);
        let is_worth = |groups: usize, rows: usize| {
            let saved = (groups - 1).saturating_mul(FOOTER_BYTES).saturating_mul(flushes_left);
            saved >= rows.saturating_mul(2 * ROW_BYTES) || groups >= GROUPS_MAX
        };
        let mut kept = self.groups.len();
        loop {
            let size = size_class(rows);
            let below = self.groups[..kept].iter().rev();
            let same_size = below.take_while(|rows| size_class(**rows) <= size).count();
            let merged = rows + self.groups[kept - same_size..kept].iter().sum::<usize>();
            if same_size + 1 < FAN_OUT || !is_worth(same_size + 1, merged) {
                return Plan { kept, rows: vec![rows], sealed: 0 };
            }
            rows = merged;
            kept -= same_size;
        }
    }

    /// How everything that is held becomes full groups and perhaps one that is not full. Full groups are
    /// sealed, and so is the rest if this is the `last` plan.
    pub(crate) fn plan_seal(&self, rows: usize, full: usize, last: bool) -> Plan {
        let all = self.rows() + rows;
        let mut groups = vec![full; all / full];
        let rest = all % full;
        if rest > 0 {
            groups.push(rest);
        }
        Plan { kept: 0, rows: groups, sealed: if last { all } else { all - rest } }
    }

    /// Records that the plan was carried out; what it sealed is no longer held.
    pub(crate) fn apply(&mut self, plan: &Plan) {
        self.groups.truncate(plan.kept);
        let mut sealed = plan.sealed;
        for rows in &plan.rows {
            match sealed.checked_sub(*rows) {
                Some(left) => sealed = left,
                None => self.groups.push(*rows),
            }
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.groups.iter().sum()
    }

    /// Records that the rows of all groups were dropped.
    pub(crate) fn clear(&mut self) {
        self.groups.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.groups.len()
    }
}

fn size_class(rows: usize) -> u32 {
    rows.max(1).ilog(FAN_OUT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn groups_of_similar_size_become_one() {
        let mut stack = Stack::default();
        for flush in 1..=FAN_OUT * FAN_OUT {
            stack.apply(&stack.plan(100, usize::MAX));
            assert!(stack.len() < 2 * FAN_OUT, "flush {flush}: {stack:?}");
        }
        assert_eq!(stack.groups, [FAN_OUT * FAN_OUT * 100]);
    }

    /// Flushes of a thousand rows are not merged before the group is full: a merge would write more
    /// than it saves. Flushes of a hundred are merged.
    #[test]
    fn a_merge_that_does_not_pay_is_not_made() {
        for (flush, most) in [(1_000, 65), (100, 40), (10, 40), (1, 50)] {
            let mut stack = Stack::default();
            let (mut rows, mut written, mut longest) = (0, 0, 0);
            while rows + flush < 65_536 {
                let plan = stack.plan(flush, 65_536);
                written += plan.rows[0];
                stack.apply(&plan);
                rows += flush;
                longest = longest.max(stack.len());
            }
            assert!(longest <= most, "{longest} groups of flushes of {flush}");
            let times = written as f64 / rows as f64;
            assert!(times <= if flush == 1_000 { 1.0 } else { 5.0 }, "{flush}: {times} times");
        }
    }

    proptest! {
        #[test]
        fn no_row_is_lost_and_groups_stay_few(flushes in prop::collection::vec(1_usize..3_000, 1..300)) {
            let mut stack = Stack::default();
            let mut rows = 0;
            for flush in flushes {
                let plan = stack.plan(flush, usize::MAX);
                prop_assert!(plan.kept <= stack.len());
                stack.apply(&plan);
                rows += flush;
                prop_assert_eq!(stack.groups.iter().sum::<usize>(), rows);
                // Of each size one group less than is merged, and one more on top.
                prop_assert!(stack.len() <= (FAN_OUT - 1) * (size_class(rows) as usize + 1) + 1);
            }
            let mut all = stack.clone();
            let plan = all.plan_seal(5, 1_000, false);
            prop_assert_eq!(plan.rows.iter().sum::<usize>(), rows + 5);
            prop_assert_eq!(plan.sealed, (rows + 5) / 1_000 * 1_000);
            all.apply(&plan);
            prop_assert_eq!(all.rows(), (rows + 5) % 1_000);
            stack.apply(&stack.plan_seal(0, 1_000, true));
            prop_assert_eq!(stack.len(), 0);
        }
    }
}

#[cfg(test)]
mod space_tests;
