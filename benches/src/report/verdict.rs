//! What a run says about each goal: the figure, the ratio, and whether that is enough.

use super::Report;
use super::goals::{Bound, GOALS, Goal};
use crate::harness::row::Row;
use crate::harness::table::number;

/// A goal and what became of it.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) goal: &'static Goal,
    /// The figure of ours with its unit.
    pub(super) figure: Option<String>,
    /// The rival and its figure.
    pub(super) rival: Option<String>,
    /// What the bound is held against: a ratio or the figure itself.
    pub(super) value: Option<f64>,
}

/// The plain word for a goal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Met,
    FallsShort,
    Reported,
    NotMeasured,
}

impl Word {
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::FallsShort => "falls short",
            Self::Reported => "reported",
            Self::NotMeasured => "not measured",
        }
    }
}

/// All goals, in their order.
pub(super) fn all(report: &Report) -> Vec<Verdict> {
    GOALS.iter().map(|goal| Verdict::of(goal, report)).collect()
}

impl Verdict {
    fn of(goal: &'static Goal, report: &Report) -> Self {
        let ours = report.figure(goal.row);
        let rivals = goal.beside.iter().filter_map(|name| report.figure(name));
        let rival = rivals.min_by(|one, other| one.median.total_cmp(&other.median));
        let value = match (ours, rival) {
            (Some(ours), None) if goal.beside.is_empty() => Some(ours.median),
            (Some(ours), Some(rival)) => Some(ours.median / rival.median),
            _ => None,
        };
        let told = |row: &Row| format!("{} {}", number(row.median), row.unit);
        Self {
            goal,
            figure: ours.map(told),
            rival: rival.map(|rival| format!("{} {}", rival.name, told(rival))),
            value,
        }
    }

    pub(super) fn word(&self) -> Word {
        match (self.value, self.goal.bound) {
            (None, _) => Word::NotMeasured,
            (Some(_), Bound::Reported) => Word::Reported,
            (Some(value), Bound::AtMost(bound)) if value <= bound => Word::Met,
            (Some(value), Bound::AtLeast(bound)) if value >= bound => Word::Met,
            _ => Word::FallsShort,
        }
    }

    /// What was asked for, in words.
    pub(super) fn asked(&self) -> String {
        let (sign, bound) = match self.goal.bound {
            Bound::Reported => return String::new(),
            Bound::AtMost(bound) => ("≤", bound),
            Bound::AtLeast(bound) => ("≥", bound),
        };
        let times = if self.goal.beside.is_empty() { "" } else { " ×" };
        format!("{sign} {bound}{times}")
    }

    /// The ratio, where one was asked for.
    pub(super) fn ratio(&self) -> Option<String> {
        (!self.goal.beside.is_empty()).then_some(self.value?).map(|ratio| format!("{ratio:.2}"))
    }
}

/// How many goals are met, fall short and were not measured.
pub(super) fn count(verdicts: &[Verdict], word: Word) -> usize {
    verdicts.iter().filter(|verdict| verdict.word() == word).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn a_ratio_is_held_against_its_bound() {
        let mut report = example();
        let of = |report: &Report| {
            let goal = GOALS.iter().find(|goal| goal.row == "push_row200").unwrap();
            Verdict::of(goal, report)
        };
        let verdict = of(&report);
        assert_eq!(verdict.word(), Word::Met);
        assert_eq!((verdict.asked(), verdict.ratio()), ("≤ 1.15 ×".into(), Some("1.00".into())));
        report.figures[0].median = 12.0;
        assert_eq!(of(&report).word(), Word::FallsShort);
        report.figures.remove(1);
        let verdict = of(&report);
        assert_eq!((verdict.word(), verdict.ratio()), (Word::NotMeasured, None));
        assert_eq!(verdict.figure.as_deref(), Some("12.0 ns"));
    }
}
