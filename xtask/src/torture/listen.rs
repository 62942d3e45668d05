//! What the parts say about themselves while they run, and what came of it.
//!
//! The program `torture` prints JSON, a line for each event; tests print what their runner prints, and
//! `N cases` where they know better than one a test, or `skipped: WHAT: WHY` where they cannot run.

use serde_json::Value;

/// What one part, or all parts of a row, did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) cases: u64,
    pub(super) failures: Vec<Failure>,
    /// What was not run, with the reason.
    pub(super) skipped: Vec<String>,
    /// Measurements, for the reader.
    pub(super) notes: Vec<String>,
}

/// One case that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// What repeats it alone, where something does.
    pub(super) case: Option<String>,
    pub(super) message: String,
}

impl Outcome {
    pub(super) fn failed(message: impl Into<String>) -> Self {
        let failures = vec![Failure { case: None, message: message.into() }];
        Self { failures, ..Self::default() }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.cases += other.cases;
        self.failures.extend(other.failures);
        self.skipped.extend(other.skipped);
        self.notes.extend(other.notes);
    }
}

/// Listens to the program `torture`.
#[derive(Debug, Default)]
pub(super) struct Program {
    pub(super) outcome: Outcome,
    /// How many cases there will be, once that is known.
    pub(super) planned: Option<u64>,
    /// Whether it came to its end.
    pub(super) has_ended: bool,
}

impl Program {
    pub(super) fn hear(&mut self, line: &str) {
        let Ok(event) = serde_json::from_str::<Value>(line) else { return };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if let Some(planned) = event["planned"].as_u64() {
            self.planned = Some(planned);
        } else if let Some(cases) = event["done"].as_u64() {
            self.outcome.cases = cases;
        } else if event["failure"].is_object() {
            let failure = &event["failure"];
            let case = failure["case"].as_str().map(str::to_owned);
            self.outcome.failures.push(Failure { case, message: text(&failure["message"]) });
        } else if event["skipped"].is_string() {
            self.outcome.skipped.push(text(&event["skipped"]));
        } else if event["note"].is_string() {
            self.outcome.notes.push(text(&event["note"]));
        } else if let Some(cases) = event["end"].as_u64() {
            self.outcome.cases = cases;
            self.has_ended = true;
        }
    }
}

/// Listens to `cargo test … -- --nocapture`, or to a command that talks like it.
#[derive(Debug, Default)]
pub(super) struct Runner {
    /// Cases that tests have counted themselves.
    counted: u64,
    passed: u64,
    failed: Vec<String>,
    case: Option<String>,
    /// The line after `panicked at`.
    message: Option<String>,
    panics_next: bool,
    /// What tests say they did not try, each with the reason.
    skipped: Vec<String>,
}

impl Runner {
    pub(super) fn hear(&mut self, line: &str) {
        let line = line.trim_end();
        if self.panics_next {
            self.message.get_or_insert_with(|| line.to_owned());
        }
        self.panics_next = line.contains("panicked at ");
        if let Some((_, case)) = line.split_once("QSTORE_CASE=") {
            let case: String = case.chars().take_while(|c| !c.is_whitespace()).collect();
            self.case.get_or_insert(case);
        }
        if let Some(at) = line.find("not tested") {
            self.skipped.push(line[at..].to_owned());
        }
        if let Some(what) = line.strip_prefix("skipped: ") {
            self.skipped.push(what.to_owned());
            return;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.windows(2) {
            if let (Ok(number), "cases" | "cases:" | "cases," | "caught,") =
                (pair[0].parse::<u64>(), pair[1])
            {
                self.counted += number;
            }
        }
        if let Some(rest) = line.strip_prefix("test result: ") {
            let passed = rest.split_once(". ").and_then(|(_, counts)| counts.split_once(" passed"));
            self.passed += passed.and_then(|(count, _)| count.parse::<u64>().ok()).unwrap_or(0);
        } else if let Some(name) = line.strip_prefix("test ").filter(|_| line.ends_with("FAILED")) {
            self.failed.push(name.split(' ').next().unwrap_or(name).to_owned());
        } else if line.starts_with("survived: ") || line.starts_with("broken: ") {
            // A mutant.
            self.failed.push(line.to_owned());
        }
    }

    /// What came of it; `success` is what the runner itself said by its exit code.
    pub(super) fn outcome(self, success: bool) -> Outcome {
        let mut outcome = Outcome { skipped: self.skipped, ..Outcome::default() };
        let ran = self.passed + self.failed.len() as u64;
        outcome.cases = if self.counted > 0 { self.counted } else { ran };
        let said = self.message.map(|message| format!(": {message}")).unwrap_or_default();
        for name in &self.failed {
            let message = format!("{name}{said}");
            outcome.failures.push(Failure { case: self.case.clone(), message });
        }
        if !success && self.failed.is_empty() {
            let message = format!("it broke without naming a failed test{said}");
            outcome.failures.push(Failure { case: self.case, message });
        } else if ran + self.counted == 0 {
            outcome.failures.push(Failure { case: None, message: "nothing was run".into() });
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(lines: &[&str], success: bool) -> Outcome {
        let mut runner = Runner::default();
        for line in lines {
            runner.hear(line);
        }
        runner.outcome(success)
    }

    #[test]
    fn tests_that_count_their_cases_are_believed_and_others_count_as_one() {
        let end = "test result: ok. 2 passed; 0 failed; 0 ignored";
        assert_eq!(heard(&["test a ... ok", "test b ... ok", end], true).cases, 2);
        let outcome = heard(&["120 cases: kills", "test a ... 5 cases", end], true);
        assert_eq!((outcome.cases, outcome.failures.len()), (125, 0));
    }

    #[test]
    fn a_failed_test_is_named_with_what_it_said_and_the_case_that_repeats_it() {
        let lines =
            ["thread 'a' panicked at a.rs:1:", "lost with QSTORE_CASE=12", "test a ... FAILED"];
        let outcome = heard(&lines, false);
        let [failure] = outcome.failures.as_slice() else { panic!("{outcome:?}") };
        assert_eq!(failure.case.as_deref(), Some("12"));
        assert_eq!(failure.message, "a: lost with QSTORE_CASE=12");
    }

    #[test]
    fn what_a_test_does_not_try_is_listed() {
        let lines = ["test a ... not tested on xfs: no root", "ok", "test result: ok. 1 passed; 0"];
        assert_eq!(heard(&lines, true).skipped, ["not tested on xfs: no root"]);
    }

    #[test]
    fn a_test_that_cannot_run_here_is_named() {
        let lines = ["skipped: overlayfs: 3 cases cannot be mounted", "test a ... ok"];
        let outcome = heard(&lines, true);
        assert_eq!(outcome.skipped, ["overlayfs: 3 cases cannot be mounted"]);
    }

    #[test]
    fn mutants_are_cases_and_survivors_are_failures() {
        let lines = ["caught    a (3 s)", "7 caught, 1 survived, 0 broken", "survived: b, c.rs"];
        let outcome = heard(&lines, false);
        assert_eq!((outcome.cases, outcome.failures.len()), (7, 1));
    }

    #[test]
    fn nothing_run_and_a_silent_end_are_failures() {
        let none = "test result: ok. 0 passed; 0 failed; 0 ignored";
        assert_eq!(heard(&[none], true).failures.len(), 1);
        assert_eq!(heard(&["error: could not compile"], false).failures.len(), 1);
    }

    #[test]
    fn the_program_is_heard_event_by_event() {
        let mut program = Program::default();
        for line in [
            "{\"planned\":9}",
            "{\"done\":4}",
            "{\"failure\":{\"case\":\"a/1\",\"message\":\"lost\"}}",
            "not JSON",
            "{\"skipped\":\"b: there is none\"}",
            "{\"end\":9}",
        ] {
            program.hear(line);
        }
        assert_eq!((program.planned, program.has_ended), (Some(9), true));
        let Outcome { cases, failures, skipped, .. } = program.outcome;
        assert_eq!((cases, failures.len(), skipped.len()), (9, 1, 1));
    }
}
