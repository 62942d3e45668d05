//! Reads the curves that are on the screen, and only what is new of them.

use super::chart::Chart;
use super::dashboard::Wanted;
use super::scope::Scope;
use qstore_parquet::MetricsFile;
use qstore_view::{Axis, Cache, Envelope, Grid, Request, Series, ViewError, XAxis, exact};
use std::ops::Range;
use std::slice;

/// A file with more rows than this is first drawn from the bounds in its footer.
const QUICK_ROWS: u64 = 300_000;

/// What curves are read from.
pub(super) struct Sheet<'a> {
    pub(super) file: &'a MetricsFile,
    /// The rows that count, for each attempt.
    pub(super) rows: Vec<Range<u64>>,
    /// How many threads may read.
    pub(super) threads: Option<usize>,
}

impl Sheet<'_> {
    /// Whether all curves are read at once, or one after the other with the bounds before them.
    pub(super) fn is_small(&self) -> bool {
        self.file.rows() <= QUICK_ROWS
    }

    /// Curves of the bounds in the footer, at once.
    pub(super) fn quick(&self, wanted: &Wanted, cache: &mut Cache) -> Vec<Chart> {
        let read = |column: &String| {
            let request = self.request(slice::from_ref(column), wanted.scope, wanted.scope.x);
            let envelopes = Envelope::of(self.file, &request, cache).map_err(|e| e.to_string());
            let series = envelopes.and_then(|envelopes| {
                envelopes.first().map(Envelope::to_series).ok_or_else(String::new)
            });
            Chart { scope: wanted.scope, series, is_quick: true }
        };
        wanted.columns.iter().map(read).collect()
    }

    /// Curves of all rows. A value that only sums up epochs, and has no step, is drawn over the epochs.
    pub(super) fn exact(&self, wanted: &Wanted, cache: &mut Cache) -> Vec<Chart> {
        let scope = wanted.scope;
        let chart = |series| Chart { scope, series, is_quick: false };
        // Together, so that x is read once; each by itself where one of them cannot be read.
        match self.read(&wanted.columns, scope, scope.x, cache) {
            Ok(series) => {
                let of_epochs = |series: Series, cache: &mut Cache| {
                    if !series.is_empty() || !self.may_be_epochs(scope.x) {
                        return Ok(series);
                    }
                    let names = [series.column.clone()];
                    let found = self.read(&names, scope, XAxis::Epoch, cache);
                    found.map(|found| found.into_iter().next().unwrap_or(series))
                };
                let each = series.into_iter().map(|series| of_epochs(series, cache));
                each.map(|series| chart(series.map_err(|error| error.to_string()))).collect()
            }
            Err(error) if wanted.columns.len() <= 1 => {
                wanted.columns.iter().map(|_| chart(Err(error.to_string()))).collect()
            }
            Err(_) => {
                let one = |column: &String| Wanted { columns: vec![column.clone()], ..*wanted };
                let each: Vec<_> = wanted.columns.iter().map(one).collect();
                each.iter().flat_map(|wanted| self.exact(wanted, cache)).collect()
            }
        }
    }

    fn may_be_epochs(&self, x: XAxis) -> bool {
        x == XAxis::Step && self.file.fields().iter().any(|field| field.name == "epoch")
    }

    fn read(
        &self,
        columns: &[String],
        scope: Scope,
        x: XAxis,
        cache: &mut Cache,
    ) -> Result<Vec<Series>, ViewError> {
        let request = self.request(columns, scope, x);
        let series = exact(self.file, &request, cache)?;
        if scope.halvings == 0 {
            return Ok(series);
        }
        // The last part of what there is now, so that it moves on with the run.
        let Some(grid) = series.iter().find(|series| !series.is_empty()).map(|one| one.grid) else {
            return Ok(series);
        };
        let (from, to) = last_part(&grid, scope.halvings);
        exact(self.file, &request.window(Some(from), Some(to)), cache)
    }

    fn request(&self, columns: &[String], scope: Scope, x: XAxis) -> Request {
        let request = Request::new(columns).x(x).log_x(scope.is_log_x).width(scope.dots);
        let request = request.rows(self.rows.iter().cloned());
        match self.threads {
            Some(threads) => request.threads(threads),
            None => request,
        }
    }
}

/// The last half of an axis, a quarter, an eighth …
fn last_part(grid: &Grid, halvings: u8) -> (f64, f64) {
    let (from, to) = (grid.from(), grid.to());
    let part = 0.5_f64.powi(halvings.into());
    let start = match grid.axis() {
        Axis::Log if from > 0.0 => to * (from / to).powf(part),
        _ => to - (to - from) * part,
    };
    (start, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_is_that_of_the_axis() {
        let grid = |from, axis| Grid::covering(from, 10_000.0, 100, axis).unwrap();
        let check = |(from, to): (f64, f64), expected: f64, grid: &Grid| {
            assert!((from - expected).abs() < 1e-6 * expected && to <= grid.to(), "{from} {to}");
        };
        let linear = grid(0.0, Axis::Linear);
        check(last_part(&linear, 2), linear.to() * 0.75, &linear);
        let log = grid(1.0, Axis::Log);
        check(last_part(&log, 1), (log.from() * log.to()).sqrt(), &log);
    }
}
