//! The guard: does an earlier run show better ratios than this one, beyond the noise of both?
//!
//! Times of two runs cannot be compared, and ratios of ours to the limit can: both were measured in
//! turns within one run. Instruction counts are compared as they are, since they have no noise. A
//! baseline is a report that has only what is compared, so any `report.json` will do as one.

use super::Report;
use crate::Result;
use crate::harness::row::{Role, Row};

/// Within that share a change is never called one, whatever the samples say: two runs differ by
/// more than the samples of one show.
const FLOOR: f64 = 0.15;

/// The same where something was measured only once.
const FLOOR_ONCE: f64 = 0.30;

/// The same for instruction counts: another compiler lays code out differently.
const FLOOR_COUNTS: f64 = 0.08;

/// A ratio, and how far its samples spread.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ratio {
    value: f64,
    noise: f64,
}

/// One comparison.
#[derive(Debug, PartialEq)]
struct Change {
    row: String,
    beside: Option<String>,
    before: f64,
    now: f64,
    /// The share of change that is noise.
    noise: f64,
    is_more_better: bool,
}

impl Change {
    /// By which share it got worse; less than 0 when it got better.
    fn worse_by(&self) -> f64 {
        let change =
            if self.is_more_better { self.before / self.now } else { self.now / self.before };
        change - 1.0
    }

    fn is_worse(&self) -> bool {
        self.worse_by() > self.noise
    }
}

/// The part of a report that another one can be compared with.
pub(crate) fn of(report: &Report) -> Report {
    let is_ours = |row: &Row| row.role == Role::Ours && limit_of(row, report).is_some();
    let is_limit = |limit: &Row| {
        report.figures.iter().any(|row| limit_of(row, report).is_some_and(|l| l.name == limit.name))
    };
    let is_compared = |row: &&Row| is_ours(row) || is_limit(row) || is_count(row);
    let short = |row: &Row| Row { note: String::new(), point: None, ..row.clone() };
    let figures = report.figures.iter().filter(is_compared).map(short).collect();
    Report { about: report.about.clone(), figures, absent: Vec::new() }
}

/// Prints what changed, and fails where something got worse.
pub(crate) fn judge(before: &Report, now: &Report) -> Result {
    let changes = changes(before, now);
    println!("\nbeside the baseline of {} ({}):", before.about.date, before.about.commit);
    let mut worse: Vec<_> = changes.iter().filter(|change| change.is_worse()).collect();
    worse.sort_by(|one, other| other.worse_by().total_cmp(&one.worse_by()));
    for change in &worse {
        println!("  worse: {}", line(change));
    }
    let is_better = |change: &&Change| change.worse_by() < -change.noise;
    for change in changes.iter().filter(is_better) {
        println!("  better: {}", line(change));
    }
    println!("  {} compared, {} worse beyond the noise", changes.len(), worse.len());
    if changes.is_empty() {
        return Err("nothing could be compared: the two runs have no figure in common".into());
    }
    if worse.is_empty() { Ok(()) } else { Err("slower than the baseline, see above".into()) }
}

fn line(change: &Change) -> String {
    let Change { row, before, now, noise, .. } = change;
    let beside = change.beside.as_ref().map(|limit| format!(" / {limit}")).unwrap_or_default();
    format!("{row}{beside}: {before:.3} → {now:.3}, noise {:.0} %", noise * 100.0)
}

fn changes(before: &Report, now: &Report) -> Vec<Change> {
    let mut changes = Vec::new();
    for row in &now.figures {
        let Some(old) = before.figure(&row.name) else { continue };
        if is_count(row) && row.role == Role::Ours {
            changes.push(Change {
                row: row.name.clone(),
                beside: None,
                before: old.median,
                now: row.median,
                noise: FLOOR_COUNTS,
                is_more_better: false,
            });
        } else if let Some((limit, old_limit)) =
            limit_of(row, now).and_then(|limit| Some((limit, before.figure(&limit.name)?)))
        {
            let (now, before) = (ratio(row, limit), ratio(old, old_limit));
            let is_once = row.n == 1 || old.n == 1;
            let floor = if is_once { FLOOR_ONCE } else { FLOOR };
            changes.push(Change {
                row: row.name.clone(),
                beside: Some(limit.name.clone()),
                before: before.value,
                now: now.value,
                noise: floor.max(now.noise + before.noise),
                is_more_better: row.more_is_better(),
            });
        }
    }
    changes
}

fn ratio(row: &Row, limit: &Row) -> Ratio {
    let noise = row.spread().unwrap_or_default() + limit.spread().unwrap_or_default();
    Ratio { value: row.median / limit.median, noise }
}

/// The limit among the rivals of a row of ours.
fn limit_of<'a>(row: &Row, report: &'a Report) -> Option<&'a Row> {
    let is_timed = row.role == Role::Ours && !is_count(row);
    let mut rivals = row.rivals.iter().filter(|_| is_timed).filter_map(|name| report.figure(name));
    rivals.find(|rival| rival.role == Role::Limit && rival.median > 0.0)
}

fn is_count(row: &Row) -> bool {
    row.unit == "instructions"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::row::Measure;
    use crate::harness::statistics::Summary;
    use crate::report::example;

    #[test]
    fn a_ratio_that_grew_beyond_the_noise_is_worse() {
        let before = example();
        let mut now = example();
        assert!(judge(&before, &now).is_ok());
        // The spread of both runs together: 0.05 + 0.1 and again.
        now.figures[0].median = 12.5;
        assert!(!changes(&before, &now)[0].is_worse());
        now.figures[0].median = 14.0;
        assert!(changes(&before, &now)[0].is_worse());
        assert!(judge(&before, &now).is_err());
        // All took twice as long: the machine was slower, and the ratio is what it was.
        now.figures[0].median = 20.0;
        now.figures[1].median = 20.0;
        assert!(judge(&before, &now).is_ok());
    }

    #[test]
    fn where_more_is_better_less_is_worse() {
        let mut before = example();
        for row in &mut before.figures[..2] {
            row.unit = "rows/s".into();
        }
        let mut now = before.clone();
        now.figures[0].median = 5.0;
        assert!(judge(&before, &now).is_err());
        now.figures[0].median = 50.0;
        assert!(judge(&before, &now).is_ok());
    }

    #[test]
    fn a_count_has_little_noise() {
        let count = |instructions| {
            let measure = Measure::ours("instructions_push", "instructions", &[], "");
            let row = Row::new("instructions", measure, Summary::once(instructions));
            Report { figures: vec![row], ..example() }
        };
        assert!(judge(&count(100.0), &count(102.0)).is_ok());
        assert!(judge(&count(100.0), &count(109.0)).is_err());
    }

    #[test]
    fn a_baseline_has_what_is_compared_and_says_the_same() {
        let report = example();
        let small = of(&report);
        assert_eq!(small.figures.len(), 2);
        assert_eq!(changes(&small, &report), changes(&report, &report));
    }

    #[test]
    fn two_runs_without_a_common_figure_do_not_pass() {
        let empty = Report { figures: Vec::new(), ..example() };
        assert!(judge(&empty, &example()).is_err());
    }
}
