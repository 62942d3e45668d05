//! One run of the suite: the sets, and what they are given.

use crate::Result;
use crate::harness::absent::Absent;
use crate::harness::row::Row;
use crate::peers::Peers;
use std::cell::RefCell;
use std::path::Path;

/// A group of measurements with a question of its own.
#[derive(Debug)]
pub(crate) struct Set {
    pub(crate) name: &'static str,
    pub(crate) question: &'static str,
    pub(crate) run: fn(&Run<'_>) -> Result<Vec<Row>>,
}

/// How a set is to measure.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    /// Where files may be put.
    pub(crate) scratch: &'a Path,
    /// Whether figures that take minutes are wanted, too.
    pub(crate) long: bool,
    /// The peers in Python, but for torch.
    pub(crate) peers: Peers,
    /// torch, which has an environment of its own.
    pub(crate) torch: Peers,
    /// Contenders that did not run, and why.
    pub(crate) absent: RefCell<Vec<Absent>>,
}

impl Run<'_> {
    /// Reports that something was not measured: now, and in the report.
    pub(crate) fn skip(&self, who: &str, why: impl Into<String>) {
        let absent = Absent { who: who.to_owned(), why: why.into() };
        let mut all = self.absent.borrow_mut();
        if !all.contains(&absent) {
            println!("  {who}: not measured; {}", absent.why);
            all.push(absent);
        }
    }
}
