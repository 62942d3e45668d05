//! What a picture is of.

use crate::axis::{Axis, XAxis};
use std::ops::Range;

/// Which columns over which x, from where to where, and how wide in pixels.
///
/// Columns that are asked for together share the reading of x.
///
/// ```
/// use qstore_view::{Axis, Request, XAxis};
///
/// let request = Request::new(["train_loss", "lr"]).x(XAxis::Relative).width(1_600).log_x(true);
/// assert_eq!((request.width, request.log_x), (1_600, Axis::Log));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Request {
    /// The columns, each of which becomes a series.
    pub columns: Vec<String>,
    /// What x is. Default: [`XAxis::Step`].
    pub x: XAxis,
    /// How the x axis is divided. Default: evenly.
    pub log_x: Axis,
    /// The least x to be shown. Default: that of the rows.
    pub from: Option<f64>,
    /// The largest x to be shown. Default: that of the rows.
    pub to: Option<f64>,
    /// The width of the picture in pixels, at most 65 536. Default: 1 200.
    pub width: u32,
    /// The rows that count, for each attempt, in order; the others are left out. Default: all rows as one attempt.
    pub rows: Option<Vec<Range<u64>>>,
    /// The number of threads that read. Default: one for each core, at most 16.
    pub threads: Option<usize>,
}

impl Request {
    /// All rows of these columns, over the step.
    #[must_use]
    pub fn new(columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            columns: columns.into_iter().map(Into::into).collect(),
            x: XAxis::Step,
            log_x: Axis::Linear,
            from: None,
            to: None,
            width: 1_200,
            rows: None,
            threads: None,
        }
    }

    /// What x is.
    #[must_use]
    pub fn x(self, x: XAxis) -> Self {
        Self { x, ..self }
    }

    /// Whether the x axis is divided by powers; what is not above 0 is left out then.
    #[must_use]
    pub fn log_x(self, is_log: bool) -> Self {
        Self { log_x: if is_log { Axis::Log } else { Axis::Linear }, ..self }
    }

    /// From which x to which the picture is; `None` is as far as there are rows.
    #[must_use]
    pub fn window(self, from: Option<f64>, to: Option<f64>) -> Self {
        Self { from, to, ..self }
    }

    /// The width of the picture in pixels.
    #[must_use]
    pub fn width(self, pixels: u32) -> Self {
        Self { width: pixels, ..self }
    }

    /// The rows that count, for each attempt.
    #[must_use]
    pub fn rows(self, attempts: impl IntoIterator<Item = Range<u64>>) -> Self {
        Self { rows: Some(attempts.into_iter().collect()), ..self }
    }

    /// The number of threads that read.
    #[must_use]
    pub fn threads(self, threads: usize) -> Self {
        Self { threads: Some(threads), ..self }
    }
}
