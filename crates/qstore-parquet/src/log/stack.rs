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

/// From this length of the footer's entry of a group on, a table is wide: groups are as few as pays. Writing
/// less than that takes no longer than the syncs of a flush.
const WIDE_BYTES: usize = 32 << 10;

/// What merging costs and what it saves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Costs {
    /// The number of rows in a full group, which is sealed.
    pub(crate) full: usize,
    /// The bytes of a row in a group.
    pub(crate) row_bytes: usize,
    /// The bytes that a group adds to the footer, and so to every flush.
    pub(crate) footer_bytes: usize,
}

/// Those of a table of 18 columns; only the ratio of bytes matters, which is about the same for narrower
/// tables.
impl Default for Costs {
    fn default() -> Self {
        Self { full: usize::MAX, row_bytes: 66, footer_bytes: 1_200 }
    }
}

impl Costs {
    /// Those of a table whose rows take that much memory, with a footer of that many bytes for each group.
    pub(crate) fn of(full: usize, row_bytes: usize, footer_bytes: usize) -> Self {
        if footer_bytes < WIDE_BYTES {
            return Self { full, ..Self::default() };
        }
        Self { full, row_bytes, footer_bytes }
    }

    fn is_wide(&self) -> bool {
        self.footer_bytes >= WIDE_BYTES
    }

    fn bytes(&self, rows: usize) -> usize {
        rows.saturating_mul(self.row_bytes)
    }

    /// The number of groups of similar size that are merged in flushes of `rows` rows. With n of them, a
    /// flush writes the footer's entries of n ÷ 2 groups of each size, and rows are written twice for each
    /// size; there are log(all) ÷ log(n) sizes.
    fn fan_out(&self, rows: usize) -> usize {
        if !self.is_wide() {
            return FAN_OUT;
        }
        let merged = 4.0 * self.bytes(rows) as f64 / self.footer_bytes as f64;
        let cost = |n: &usize| (*n as f64 + merged) / (*n as f64).ln();
        (2..=FAN_OUT).min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or(FAN_OUT)
    }

    /// The size of a group, on a scale of which each step is `fan_out` times the one before. In a wide table
    /// all groups are of one size that take less than their entries.
    fn size_class(&self, rows: usize, fan_out: usize) -> u32 {
        let size = if self.is_wide() { self.bytes(rows) / self.footer_bytes } else { rows };
        size.max(1).ilog(fan_out)
    }

    /// Whether merging that many groups pays, which have `rows` rows together.
    fn is_worth(&self, groups: usize, rows: usize, flushes_left: usize) -> bool {
        let saved = (groups - 1).saturating_mul(self.footer_bytes).saturating_mul(flushes_left);
        saved >= self.bytes(rows).saturating_mul(2) || groups >= GROUPS_MAX
    }

    /// The least number of groups that are merged, which have `rows` rows together.
    fn merged_min(&self, rows: usize, fan_out: usize) -> usize {
        let is_tiny = self.is_wide() && self.bytes(rows) < self.footer_bytes / 2;
        if is_tiny { 2 } else { fan_out }
    }
}

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
    /// How `rows` new rows are added without sealing any; at `costs.full` rows everything will be sealed.
    pub(crate) fn plan(&self, mut rows: usize, costs: &Costs) -> Plan {
        // Merging pays only if enough flushes of this size will follow before that.
        let flushes_left = costs.full.saturating_sub(self.rows() + rows) / rows.max(1);
        let fan_out = costs.fan_out(rows);
        let mut kept = self.groups.len();
        loop {
            let size = costs.size_class(rows, fan_out);
            let below = self.groups[..kept].iter().rev();
            let is_similar = |rows: &&usize| costs.size_class(**rows, fan_out) <= size;
            let same_size = below.take_while(is_similar).count();
            let merged = rows + self.groups[kept - same_size..kept].iter().sum::<usize>();
            let groups = same_size + 1;
            if groups < costs.merged_min(merged, fan_out)
                || groups == 1
                || !costs.is_worth(groups, merged, flushes_left)
            {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn groups_of_similar_size_become_one() {
        let mut stack = Stack::default();
        for flush in 1..=FAN_OUT * FAN_OUT {
            stack.apply(&stack.plan(100, &Costs::default()));
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
                let plan = stack.plan(flush, &Costs::of(65_536, 144, 1_000));
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

    /// Ten thousand columns, of which a row sets twenty: an entry of a group takes more than all that is in
    /// it. Groups are few, and yet a row is not written often.
    #[test]
    fn the_groups_of_a_wide_table_are_few() {
        // Bytes of a row, rows of a flush; the most groups, and the most times that a row is encoded.
        for (row_bytes, flush, most, times) in [
            (160, 100, 6, 30.0),
            (160, 1, 6, 2_700.0),
            (8_000, 100, 9, 2.0),
            (80_000, 100, 16, 1.1),
        ] {
            let costs = Costs::of(65_536.min((16 << 20) / row_bytes), row_bytes, 550_000);
            let mut stack = Stack::default();
            let (mut rows, mut written, mut longest) = (0, 0, 0);
            while rows + flush < costs.full {
                let plan = stack.plan(flush, &costs);
                written += plan.rows[0];
                stack.apply(&plan);
                rows += flush;
                longest = longest.max(stack.len());
            }
            assert!(longest <= most, "{longest} groups of flushes of {flush} × {row_bytes}");
            let encoded = written as f64 / rows as f64;
            assert!(encoded <= times, "{flush} × {row_bytes}: {encoded} times");
        }
    }

    proptest! {
        #[test]
        fn no_row_is_lost_and_groups_stay_few(flushes in prop::collection::vec(1_usize..3_000, 1..300)) {
            let mut stack = Stack::default();
            let mut rows = 0;
            for flush in flushes {
                let plan = stack.plan(flush, &Costs::default());
                prop_assert!(plan.kept <= stack.len());
                stack.apply(&plan);
                rows += flush;
                prop_assert_eq!(stack.groups.iter().sum::<usize>(), rows);
                // Of each size one group less than is merged, and one more on top.
                prop_assert!(stack.len() <= (FAN_OUT - 1) * (rows.ilog(FAN_OUT) as usize + 1) + 1);
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
