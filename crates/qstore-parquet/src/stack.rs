//! Which row groups a flush writes anew.
//!
//! The groups whose rows are still held form a stack; each flush lays its rows on top as one group.
//! When enough groups of about one size lie on top they are merged into one, so that a row is
//! encoded only a handful of times and a file never has many small groups. What is below is not
//! touched: a flush changes a suffix of the file and nothing else.

/// How many groups of one size are merged. Eight keeps both the groups per file and the times a row
/// is encoded at about `log8(65 536 / 100)`, three to four.
const FAN_OUT: usize = 8;

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
    /// Rows of the one group that takes the place of all above.
    pub(crate) rows: usize,
}

impl Stack {
    /// How `rows` new rows are to be added.
    pub(crate) fn plan(&self, rows: usize) -> Plan {
        let mut plan = Plan { kept: self.groups.len(), rows };
        loop {
            let size = size_class(plan.rows);
            let below = self.groups[..plan.kept].iter().rev();
            let same_size = below.take_while(|rows| size_class(**rows) <= size).count();
            if same_size + 1 < FAN_OUT {
                return plan;
            }
            plan = self.merge(&plan, plan.kept - same_size);
        }
    }

    /// How everything that is held becomes one group.
    pub(crate) fn plan_seal(&self, rows: usize) -> Plan {
        self.merge(&Plan { kept: self.groups.len(), rows }, 0)
    }

    fn merge(&self, plan: &Plan, kept: usize) -> Plan {
        Plan { kept, rows: plan.rows + self.groups[kept..plan.kept].iter().sum::<usize>() }
    }

    /// The plan was carried out.
    pub(crate) fn apply(&mut self, plan: &Plan) {
        self.groups.truncate(plan.kept);
        if plan.rows > 0 {
            self.groups.push(plan.rows);
        }
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
    fn eight_groups_of_a_size_become_one() {
        let mut stack = Stack::default();
        for flush in 1..=64 {
            stack.apply(&stack.plan(100));
            assert!(stack.len() < 2 * FAN_OUT, "flush {flush}: {stack:?}");
        }
        assert_eq!(stack.groups, [6_400]);
    }

    proptest! {
        #[test]
        fn no_row_is_lost_and_groups_stay_few(flushes in prop::collection::vec(1_usize..3_000, 1..300)) {
            let mut stack = Stack::default();
            let mut rows = 0;
            for flush in flushes {
                let plan = stack.plan(flush);
                prop_assert!(plan.kept <= stack.len());
                stack.apply(&plan);
                rows += flush;
                prop_assert_eq!(stack.groups.iter().sum::<usize>(), rows);
                // Seven of each size at most, and one more on top.
                prop_assert!(stack.len() <= (FAN_OUT - 1) * (size_class(rows) as usize + 1) + 1);
            }
            let plan = stack.plan_seal(5);
            prop_assert_eq!(plan, Plan { kept: 0, rows: rows + 5 });
        }
    }
}
