//! Counting tests by listening to the runner.
//!
//! Both runners end with a sentence for people, and cargo-nextest's machine-readable output would
//! take its progress away from the screen. So we read the sentence; what we cannot read counts as
//! nothing, and a run that fails without a counted failure is reported as such by the caller.

use std::ops::Add;

/// How many tests passed, failed, and were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) ignored: usize,
}

impl Tally {
    /// Listens to `cargo test`, which says `test result: …` once per program and doctest.
    pub(super) fn hear_libtest(&mut self, line: &str) {
        let line = without_escapes(line);
        let said = line.strip_prefix("test result: ").and_then(|said| said.split_once(". "));
        if let Some((_, counts)) = said {
            *self = *self + Self::read(counts);
        }
    }

    /// Listens to cargo-nextest, which says `Summary [ … ] … tests run: …` once, at the end. It
    /// also shows what failed tests printed, `test result: …` included, and sometimes twice: so
    /// nothing else is believed, and the last summary replaces any before it.
    pub(super) fn hear_nextest(&mut self, line: &str) {
        let line = without_escapes(line);
        let said = line.trim_start().strip_prefix("Summary [");
        if let Some((_, counts)) = said.and_then(|said| said.split_once(" run: ")) {
            *self = Self::read(counts);
        }
    }

    /// Listens to pytest, which ends with `2 failed, 9 passed, 1 skipped in 3.21s`.
    pub(super) fn hear_pytest(&mut self, line: &str) {
        let line = without_escapes(line);
        let line = line.trim_matches(['=', ' ', '\n', '\r']);
        let said =
            line.rsplit_once(" in ").filter(|(_, time)| time.trim_end().ends_with(['s', ')']));
        let Some((counts, _)) = said else { return };
        if counts.starts_with(|first: char| first.is_ascii_digit()) {
            *self = Self::read(counts);
        }
    }

    /// Reads `2 passed (1 slow), 1 failed` and `2 passed; 1 failed`.
    fn read(counts: &str) -> Self {
        let mut tally = Self::default();
        for phrase in counts.split([',', ';']) {
            // What stands in brackets says how tests passed, not that there were more.
            let phrase = phrase.split('(').next().unwrap_or(phrase).trim();
            let Some((number, verdict)) = phrase.split_once(' ') else { continue };
            let Ok(number) = number.parse::<usize>() else { continue };
            match verdict {
                "passed" => tally.passed += number,
                "failed" | "exec failed" | "timed out" | "error" | "errors" => {
                    tally.failed += number;
                }
                "ignored" | "skipped" => tally.ignored += number,
                _ => {}
            }
        }
        tally
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }
}

/// The line without the escape sequences that color it.
fn without_escapes(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            characters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Listens to some lines and compares (passed, failed, ignored).
    fn check(hear: fn(&mut Tally, &str), lines: &[&str], expected: (usize, usize, usize)) {
        let mut tally = Tally::default();
        for line in lines {
            hear(&mut tally, line);
        }
        assert_eq!((tally.passed, tally.failed, tally.ignored), expected, "{lines:?}");
    }

    #[test]
    fn libtest_is_added_up() {
        let ok = "test result: ok. 12 passed; 0 failed; 3 ignored; 0 measured; 7 filtered out\n";
        let failed = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured\n";
        check(Tally::hear_libtest, &[ok, "running 3 tests\n", failed], (13, 2, 3));
        let colored = "test result: \u{1b}[32mok\u{1b}[0m. 4 passed; 0 failed\n";
        check(Tally::hear_libtest, &[colored], (4, 0, 0));
    }

    #[test]
    fn nextest_is_read_once() {
        let plain = "     Summary [   0.123s] 9 tests run: 9 passed, 0 skipped\n";
        check(Tally::hear_nextest, &[plain], (9, 0, 0));
        let colored = "\u{1b}[31;1m     Summary\u{1b}[0m [   1.0s] \u{1b}[1m8\u{1b}[0m tests run: \
            5 passed (2 slow, 1 flaky), 1 failed, 1 exec failed, 1 timed out, 2 skipped\n";
        check(Tally::hear_nextest, &[colored], (5, 3, 2));
    }

    #[test]
    fn pytest_is_read_once() {
        check(Tally::hear_pytest, &["....F. [100%]\n", "9 passed in 3.21s\n"], (9, 0, 0));
        let all =
            "==== 2 failed, 9 passed, 1 skipped, 3 warnings, 1 error in 62.00s (0:01:02) ====\n";
        check(Tally::hear_pytest, &[all], (9, 3, 1));
        check(
            Tally::hear_pytest,
            &["no tests ran in 0.01s\n", "see line 7 in errors\n"],
            (0, 0, 0),
        );
    }

    #[test]
    fn what_a_failed_test_printed_is_not_counted_again() {
        let shown = "    test result: FAILED. 0 passed; 1 failed; 0 ignored\n";
        let summary = "     Summary [   0.1s] 2 tests run: 1 passed, 1 failed, 0 skipped\n";
        check(Tally::hear_nextest, &[shown, summary, shown], (1, 1, 0));
        check(Tally::hear_libtest, &[shown, "3 passed, 1 failed\n"], (0, 0, 0));
    }
}
