//! What a run of the tests tells at its end: a row per step, what went wrong, and the sum.

use std::fmt;
use std::time::{Duration, Instant};

use super::tally::Tally;
use crate::error::{Error, Result};

/// The steps so far.
#[derive(Default)]
pub(super) struct Report {
    steps: Vec<Step>,
}

struct Step {
    name: &'static str,
    took: Duration,
    tally: Tally,
    trouble: Option<String>,
}

impl Report {
    /// Runs one step, keeps what came of it, and says whether it did its work.
    ///
    /// A step that breaks counts as one failure, so that no broken run ends in `0 failed`.
    pub(super) fn step(
        &mut self,
        name: &'static str,
        work: impl FnOnce() -> Result<Tally>,
    ) -> bool {
        eprintln!("==> {name}");
        let start = Instant::now();
        let (tally, trouble) = match work() {
            Ok(tally) => (tally, None),
            Err(error) => {
                let tally = Tally { failed: 1, ..Tally::default() };
                (tally, Some(error.message().unwrap_or_else(|| "see above".to_owned())))
            }
        };
        if let Some(trouble) = &trouble {
            eprintln!("error: {trouble}");
        }
        let worked = trouble.is_none();
        self.steps.push(Step { name, took: start.elapsed(), tally, trouble });
        worked
    }

    /// Prints the closing lines, and fails if anything did.
    pub(super) fn close(&self) -> Result {
        print!("{self}");
        if self.sum().failed == 0 { Ok(()) } else { Err(Error::Reported(1)) }
    }

    fn sum(&self) -> Tally {
        self.steps.iter().fold(Tally::default(), |sum, step| sum + step.tally)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nstep          seconds   passed   failed  ignored")?;
        for Step { name, took, tally, .. } in &self.steps {
            let [passed, failed, ignored] = [tally.passed, tally.failed, tally.ignored]
                .map(|count| if count == 0 { "-".to_owned() } else { count.to_string() });
            let seconds = took.as_secs_f64();
            writeln!(f, "{name:<12}{seconds:>9.1}{passed:>9}{failed:>9}{ignored:>9}")?;
        }
        for Step { name, trouble, .. } in &self.steps {
            if let Some(trouble) = trouble {
                writeln!(f, "\n{name}: {trouble}")?;
            }
        }
        let Tally { passed, failed, .. } = self.sum();
        writeln!(f, "\n{passed} passed, {failed} failed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_line(report: &Report) -> String {
        report.to_string().lines().last().unwrap_or_default().to_owned()
    }

    #[test]
    fn the_last_line_adds_up_the_steps() {
        let mut report = Report::default();
        assert!(report.step("tests", || Ok(Tally { passed: 7, failed: 2, ignored: 1 })));
        assert!(report.step("doctests", || Ok(Tally { passed: 3, ..Tally::default() })));
        assert_eq!(last_line(&report), "10 passed, 2 failed");
        assert_eq!(report.close().unwrap_err().message(), None);
    }

    #[test]
    fn a_broken_step_counts_as_a_failure_and_is_explained_again_at_the_end() {
        let mut report = Report::default();
        assert!(!report.step("readers", || Err(Error::Failed("no Python".to_owned()))));
        assert!(report.to_string().contains("\nreaders: no Python\n"));
        assert_eq!(last_line(&report), "0 passed, 1 failed");
    }

    #[test]
    fn a_clean_run_succeeds() {
        let mut report = Report::default();
        report.step("tests", || Ok(Tally { passed: 1, ..Tally::default() }));
        assert!(report.close().is_ok());
    }
}
