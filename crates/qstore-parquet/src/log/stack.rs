//! Which row groups a flush writes anew.
//!
//! The groups whose rows are still held form a stack; each flush lays its rows on top as one group.
//! When enough groups of about one size lie on top they are merged into one, so that a row is
//! encoded only a handful of times and a file never has many small groups. What is below is not
//! touched: a flush changes a suffix of the file and nothing else.

/// How many groups of one size are merged. Many groups make a large footer, which every flush writes;
/// few make many merges. Twelve writes least for flushes of 100 rows and of 1 000 alike (counted in
/// docs/decisions/0020), and a row is encoded three or four times.
const FAN_OUT: usize = 12;

/// Groups of one size that are merged whether it pays or not: readers do not like many.
const GROUPS_MAX: usize = 96;

/// What a group adds to the footer, and with it to every flush, in bytes; what a row is in a group, in
/// bytes. Both of a table of 18 columns; only their ratio matters, and that is much the same for
/// narrower ones.
const FOOTER_BYTES: usize = 1_200;
const ROW_BYTES: usize = 66;

/// Rows of each group whose rows are held, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stack {
    groups: Vec<usize>,
}

/// What a flush does to the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// How many groups at the bottom stay as they are.
    pub(crate) kept: usize,
    /// Rows of the groups that take the place of all above, from below.
    pub(crate) rows: Vec<usize>,
    /// How many of the rows, from below, are in groups that are sealed by it.
    pub(crate) sealed: usize,
}

impl Plan {
    /// How many rows it writes anew.
    pub(crate) fn written(&self) -> usize {
        self.rows.iter().sum()
    }
}

impl Stack {
    /// How `rows` new rows are to be added, not to be sealed; at `full` rows everything will be.
    pub(crate) fn plan(&self, mut rows: usize, full: usize) -> Plan {
        // Merging pays only if enough flushes of this size will come before that.
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

    /// How everything that is held becomes full groups and, maybe, one that is not; the full ones are
    /// sealed, and so is the rest if it is the `last`.
    pub(crate) fn plan_seal(&self, rows: usize, full: usize, last: bool) -> Plan {
        let all = self.rows() + rows;
        let mut groups = vec![full; all / full];
        let rest = all % full;
        if rest > 0 {
            groups.push(rest);
        }
        Plan { kept: 0, rows: groups, sealed: if last { all } else { all - rest } }
    }

    /// The plan was carried out, and what it sealed is no longer held.
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

    /// The rows of all groups were forgotten.
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
    fn groups_of_a_size_become_one() {
        let mut stack = Stack::default();
        for flush in 1..=FAN_OUT * FAN_OUT {
            stack.apply(&stack.plan(100, usize::MAX));
            assert!(stack.len() < 2 * FAN_OUT, "flush {flush}: {stack:?}");
        }
        assert_eq!(stack.groups, [FAN_OUT * FAN_OUT * 100]);
    }

    /// Flushes of a thousand rows are not merged before the group is full: that would write more than
    /// it saves. Flushes of a hundred are.
    #[test]
    fn what_does_not_pay_is_not_merged() {
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
                // One less than are merged of each size, and one more on top.
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
