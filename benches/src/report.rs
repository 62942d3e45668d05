//! The report of a run: its figures with all that is needed to judge them, and the ways to show it.
//!
//! `report.json` is the whole of it; `report.html` and `summary.md` are drawn from that and from
//! nothing else, so that an old report can be drawn again.

pub(crate) mod about;
pub(crate) mod baseline;
mod chart;
mod curves;
mod date;
pub(crate) mod docs;
pub(crate) mod end_to_end;
mod goals;
mod html;
mod machine;
mod markdown;
mod palette;
mod verdict;

pub(crate) use about::About;

use crate::Result;
use crate::harness::absent::Absent;
use crate::harness::row::Row;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// Everything that a run tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) about: About,
    pub(crate) figures: Vec<Row>,
    pub(crate) absent: Vec<Absent>,
}

impl Report {
    /// Reads a report that was written before.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|error| cannot("read", path, &error))?;
        serde_json::from_str(&text).map_err(|error| cannot("understand", path, &error))
    }

    /// Reads several reports as one: of a set that is in more than one of them, the last counts. They
    /// must be of one commit, or they would say something about no program at all.
    pub(crate) fn read_all(paths: &[PathBuf]) -> Result<Self> {
        let mut reports = paths.iter().map(|path| Self::read(path));
        let mut whole = reports.next().ok_or("no report to read")??;
        for report in reports {
            whole = whole.with(report?)?;
        }
        Ok(whole)
    }

    fn with(mut self, other: Self) -> Result<Self> {
        if self.about.commit != other.about.commit {
            let (one, two) = (&self.about.commit, &other.about.commit);
            return Err(format!("the reports are of two commits, {one} and {two}").into());
        }
        let lacks_peers = |report: &Self| report.absent.contains(&Absent::without_peers());
        let some_have_peers = !(lacks_peers(&self) && lacks_peers(&other));
        self.figures.retain(|row| other.figures.iter().all(|new| new.set != row.set));
        self.figures.extend(other.figures);
        self.absent.retain(|absent| !other.absent.contains(absent));
        self.absent.extend(other.absent);
        // It is true of the whole only if it is true of each part.
        self.absent.retain(|absent| !(some_have_peers && *absent == Absent::without_peers()));
        self.about = self.about.with(other.about);
        Ok(self)
    }

    /// Writes `report.json`, `report.html` and `summary.md` into a directory.
    pub(crate) fn write_all(&self, home: &Path) -> Result {
        fs::create_dir_all(home).map_err(|error| cannot("make", home, &error))?;
        self.write(&home.join("report.json"))?;
        put(&home.join("report.html"), &html::page(self)?)?;
        put(&home.join("summary.md"), &markdown::summary(self))
    }

    /// Writes the whole as JSON.
    pub(crate) fn write(&self, path: &Path) -> Result {
        put(path, &(serde_json::to_string_pretty(self)? + "\n"))
    }

    /// Writes the figures as JSON.
    pub(crate) fn write_figures(&self, path: &Path) -> Result {
        put(path, &(serde_json::to_string_pretty(&self.figures)? + "\n"))
    }

    /// The figure of that name.
    pub(crate) fn figure(&self, name: &str) -> Option<&Row> {
        self.figures.iter().find(|row| row.name == name)
    }
}

fn put(path: &Path, text: &str) -> Result {
    fs::write(path, text).map_err(|error| cannot("write", path, &error))
}

/// What could not be done to which path.
pub(crate) fn cannot(what: &str, path: &Path, error: &dyn Error) -> Box<dyn Error + Send + Sync> {
    format!("cannot {what} {}: {error}", path.display()).into()
}

/// A small report for the tests of its ways to be shown.
#[cfg(test)]
pub(crate) fn example() -> Report {
    use crate::harness::row::Measure;
    use crate::harness::statistics::Summary;

    let figures = vec![
        Row::new(
            "buffer",
            Measure::ours("push_row200", "ns", &["arrayqueue_push_row200"], "a <b> & c"),
            Summary { low: 9.5, high: 10.5, n: 9, ..Summary::once(10.0) },
        ),
        Row::new(
            "buffer",
            Measure::limit("arrayqueue_push_row200", "ns", "bare"),
            Summary { low: 9.0, high: 11.0, n: 9, ..Summary::once(10.0) },
        ),
        Row::new(
            "scaling",
            Measure::ours("a", "ms", &[], "").on_curve("flush", "q-store", 1e3),
            Summary::once(1.0),
        ),
        Row::new(
            "scaling",
            Measure::ours("b", "ms", &[], "").on_curve("flush", "q-store", 1e6),
            Summary::once(2.0),
        ),
    ];
    Report { about: About::example(), figures, absent: vec![Absent::without_peers()] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_reports_the_later_set_counts() {
        let (one, mut two) = (example(), example());
        two.figures.truncate(1);
        two.figures[0].median = 3.0;
        let whole = one.clone().with(two.clone()).unwrap();
        assert_eq!(whole.figures.iter().filter(|row| row.set == "buffer").count(), 1);
        assert_eq!(whole.figure("push_row200").unwrap().median.to_string(), "3");
        assert!(whole.figure("a").is_some());
        assert_eq!(whole.absent.len(), 1);
        assert_eq!(whole.about.command(), "cargo xtask bench --long; cargo xtask bench --long");
        two.about.commit = "another".into();
        assert!(one.with(two).is_err());
    }

    #[test]
    fn peers_are_missing_only_where_no_part_has_them() {
        let (one, mut two) = (example(), example());
        assert_eq!(one.clone().with(two.clone()).unwrap().absent, [Absent::without_peers()]);
        two.absent.clear();
        assert_eq!(one.clone().with(two.clone()).unwrap().absent, []);
        assert_eq!(two.with(one).unwrap().absent, []);
    }

    #[test]
    fn a_report_is_read_as_it_was_written_and_has_its_pages_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let report = example();
        report.write_all(dir.path()).unwrap();
        assert_eq!(Report::read(&dir.path().join("report.json")).unwrap(), report);
        assert!(dir.path().join("report.html").exists() && dir.path().join("summary.md").exists());
        let error = Report::read(&dir.path().join("no.json")).unwrap_err().to_string();
        assert!(error.starts_with("cannot read"), "{error}");
    }
}
