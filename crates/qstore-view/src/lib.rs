//! Exact pictures of metrics, in a terminal or as SVG, whatever the number of rows.
//!
//! A picture of a thousand pixels cannot show ten million rows, so every viewer leaves rows out. Most leave them
//! out at random, and the one row in ten million that explains the run is gone. Here nothing is left out that a pixel
//! could show: of each pixel column the least, the largest, the first and the last value are kept, and NaN and infinities are
//! counted and drawn. The picture is the same, dot for dot, as if every row had been drawn
//! (Jugel et al., "M4: A Visualization-Oriented Time Series Data Aggregation", PVLDB 2014). Only an attempt
//! in which x goes back 256 times or more is drawn without lines: the extremes of each pixel column are.
//!
//! | to | use |
//! |---|---|
//! | say what to draw | [`Request`] |
//! | get the series of a file | [`exact`] |
//! | get bounds at once, from the footer | [`Envelope`] |
//! | look again, or follow a run, and read only what is new | [`Cache`] |
//! | draw in a terminal, or as a file | [`Braille`], [`Svg`] |
//! | draw a smoother line on top | [`Trace::smoothed`], [`smooth`] |
//! | have the points | [`Series::points`] |
//! | reduce rows in memory | [`Series::of_rows`] |
//!
//! What it is **not**: it knows no runs and no terminals, writes no files, and reads no clock. A run that was resumed
//! has rows that another attempt has replaced; which rows count is in the request. Depend on it alone when you
//! have a metrics file and want a picture of it.
//!
//! ```
//! use qstore_parquet::{MetricsFile, MetricsLog, WriterSettings};
//! use qstore_schema::Row;
//! use qstore_view::{Braille, Cache, Request, exact};
//! use std::time::Instant;
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("metrics.parquet");
//! let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default())?;
//! for step in 0..5_000_i64 {
//!     let loss = if step == 1_234 { 8.0 } else { 1.0 / (1.0 + step as f64 / 500.0) };
//!     log.append(&Row::from([("step", step as f64), ("loss", loss)]), Instant::now());
//! }
//! log.close()?;
//!
//! let braille = Braille::new(60, 12);
//! let request = Request::new(["loss"]).width(braille.width());
//! let series = exact(&MetricsFile::open(&path)?, &request, &mut Cache::new())?;
//! print!("{}", braille.draw(&series));
//! assert_eq!(series[0].total().max, 8.0, "the spike is in it");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

/// The example of the README compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod axis;
mod braille;
mod bucket;
mod cache;
mod envelope;
mod error;
mod exact;
mod fold;
mod grid;
mod leaf;
mod raster;
mod request;
mod series;
mod smooth;
mod source;
mod svg;
mod threads;
mod ticks;
mod trace;

pub use axis::{Axis, XAxis, YAxis};
pub use braille::Braille;
pub use bucket::Bucket;
pub use cache::Cache;
pub use envelope::{Band, Envelope};
pub use error::ViewError;
pub use exact::exact;
pub use grid::Grid;
pub use raster::{Raster, Rim};
pub use request::Request;
pub use series::Series;
pub use smooth::smooth;
pub use svg::Svg;
pub use ticks::{Tick, of_numbers as ticks_of_numbers, of_x as ticks_of_x, short};
pub use trace::{Point, Trace};
