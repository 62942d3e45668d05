//! A picture as text: eight dots in each character.
//!
//! ```text
//! loss  ⣿ run_003  min 0.2187  max 2.31  last 0.2214
//!      2 ┤⡇
//!        │⢷⡀
//!      1 ┤⠈⠳⣄⡀
//!        │    ⠉⠓⠒⠤⢤⣀⣀⣀⣀⡀
//!        └───────────×─────────
//!        0          5000    step
//! ```
//!
//! A `×` on the lower rim is a NaN, `▼` an infinity below, `▲` above the picture an infinity above. The picture
//! knows nothing of terminals: the caller says how large it is and whether it has colors.

use crate::axis::{Axis, YAxis};
use crate::raster::Raster;
use crate::series::{self, Series};
use crate::ticks::{self, Tick};
use std::fmt::Write as _;

/// The characters left of the picture: labels, and the axis.
const GUTTER: usize = 10;

/// The dots in a character.
const DOTS: (usize, usize) = (2, 4);

/// The lines above and below the dots: the legend, the upper and the lower rim, and the labels of x.
const FRAME_LINES: usize = 4;

/// The colors of series, as numbers of the 256 colors of a terminal: those that people who do not see red or green can
/// tell apart (Okabe and Ito).
const COLORS: [u8; 7] = [32, 208, 35, 176, 221, 74, 166];

/// Draws series as text.
///
/// ```
/// use qstore_view::{Axis, Braille, Grid, Series};
///
/// let braille = Braille::new(40, 10);
/// let xs: Vec<f64> = (0..10_000).map(f64::from).collect();
/// let values: Vec<f64> = xs.iter().map(|x| (x / 1e3).sin()).collect();
/// let grid = Grid::covering(0.0, 9_999.0, braille.width(), Axis::Linear)?;
/// let text = braille.draw(&[Series::of_rows(&xs, &values, grid).named("run_001")]);
/// assert_eq!(text.lines().count(), 10);
/// # Ok::<(), qstore_view::ViewError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Braille {
    columns: usize,
    lines: usize,
    has_color: bool,
    y: Axis,
}

impl Braille {
    /// A picture of that many characters and lines, labels included; no smaller than 24 by 6. By default it has no
    /// colors and a linear y axis.
    #[must_use]
    pub fn new(columns: usize, lines: usize) -> Self {
        let (columns, lines) = (columns.clamp(24, 4_096), lines.clamp(6, 1_024));
        Self { columns, lines, has_color: false, y: Axis::Linear }
    }

    /// Whether each series has a color of its own, with the escape sequences of terminals.
    #[must_use]
    pub fn color(self, has_color: bool) -> Self {
        Self { has_color, ..self }
    }

    /// Whether the y axis is divided by powers. Values that are not above 0 are at the lower rim then.
    #[must_use]
    pub fn log_y(self, is_log: bool) -> Self {
        Self { y: if is_log { Axis::Log } else { Axis::Linear }, ..self }
    }

    /// The width of the picture in dots: that of a [`Request`](crate::Request) for it.
    #[must_use]
    pub fn width(&self) -> u32 {
        ((self.columns - GUTTER) * DOTS.0) as u32
    }

    /// The text, with a line break after each line. The series must be of one grid, as wide as [`width`](Self::width).
    #[must_use]
    pub fn draw(&self, series: &[Series]) -> String {
        let y = YAxis::covering(series.iter().flat_map(Series::extremes), self.y);
        let rows = (self.lines - FRAME_LINES) * DOTS.1;
        let rasters: Vec<_> = series
            .iter()
            .map(|series| {
                let mut raster = Raster::new(self.width() as usize, rows);
                raster.draw(series, &y);
                raster
            })
            .collect();
        let mut text = self.legend(series);
        self.rim(&rasters, true, &mut text);
        let labels = y_labels(&y, rows);
        for (line, label) in labels.iter().enumerate() {
            let mark = if label.is_empty() { '│' } else { '┤' };
            let _ = write!(text, "{label:>width$} {mark}", width = GUTTER - 2);
            self.cells(&rasters, line, &mut text);
        }
        self.rim(&rasters, false, &mut text);
        self.x_labels(series, &mut text);
        text
    }

    /// The names of the series and what they have come to, or the names alone if that is too long.
    fn legend(&self, series: &[Series]) -> String {
        let (title, names) = series::legend(series);
        let len = |entries: &[String]| {
            let entries = entries.iter().map(|entry| entry.chars().count() + 2);
            title.map_or(0, |title| title.chars().count() + 2) + entries.sum::<usize>()
        };
        let entries = |is_long| -> Vec<String> {
            series.iter().zip(&names).map(|(series, name)| entry(series, name, is_long)).collect()
        };
        let mut entries_shown = entries(true);
        if len(&entries_shown) > self.columns {
            entries_shown = entries(false);
        }
        let mut text = String::new();
        let mut free = self.columns;
        // Cut off where it is too long all the same.
        let mut add = |part: &str, number: Option<usize>| {
            let part: String = part.chars().take(free).collect();
            free = free.saturating_sub(part.chars().count() + 2);
            if !text.is_empty() && !part.is_empty() {
                text.push_str("  ");
            }
            match number {
                Some(number) => text.push_str(&self.painted(&part, number)),
                None => text.push_str(&part),
            }
        };
        if let Some(title) = title {
            add(title, None);
        }
        for (number, entry) in entries_shown.iter().enumerate() {
            add(entry, Some(number));
        }
        text.push('\n');
        text
    }

    /// A rim of the picture, with what is not finite.
    fn rim(&self, rasters: &[Raster], is_upper: bool, text: &mut String) {
        let start = if is_upper { ' ' } else { '└' };
        let _ = write!(text, "{:>width$}{start}", "", width = GUTTER - 1);
        let mut line = String::new();
        for cell in 0..self.columns - GUTTER {
            let rims = |raster: &Raster| [0, 1].map(|dot| raster.rim(cell * DOTS.0 + dot));
            let of = |has: fn(&crate::raster::Rim) -> bool| {
                rasters.iter().position(|raster| rims(raster).iter().any(has))
            };
            let (mark, owner) = if is_upper {
                let above = of(|rim| rim.above);
                (if above.is_some() { '▲' } else { ' ' }, above)
            } else if let Some(owner) = of(|rim| rim.nan) {
                ('×', Some(owner))
            } else if let Some(owner) = of(|rim| rim.below) {
                ('▼', Some(owner))
            } else {
                ('─', None)
            };
            match owner {
                Some(owner) => line.push_str(&self.painted(&mark.to_string(), owner)),
                None => line.push(mark),
            }
        }
        text.push_str(line.trim_end());
        if is_upper {
            let kept = text.trim_end_matches(' ').len();
            text.truncate(kept);
        }
        text.push('\n');
    }

    /// The dots of a line of text.
    fn cells(&self, rasters: &[Raster], line: usize, text: &mut String) {
        let mut cells = String::new();
        for cell in 0..self.columns - GUTTER {
            let patterns = rasters.iter().map(|raster| pattern(raster, cell, line));
            let patterns: Vec<u8> = patterns.collect();
            let all = patterns.iter().fold(0, |all, pattern| all | pattern);
            if all == 0 {
                cells.push(' ');
                continue;
            }
            // The color of the series that has most dots in it, of the first if it is more than one.
            let owner = (0..patterns.len())
                .max_by_key(|number| (patterns[*number].count_ones(), usize::MAX - number));
            let sign = char::from_u32(0x2800 + u32::from(all)).unwrap_or(' ');
            cells.push_str(&self.painted(&sign.to_string(), owner.unwrap_or(0)));
        }
        text.push_str(cells.trim_end());
        text.push('\n');
    }

    /// The labels of x, and what x is.
    fn x_labels(&self, series: &[Series], text: &mut String) {
        let Some(Series { grid, x, .. }) = series.first() else {
            text.push('\n');
            return;
        };
        let name = x.label();
        let mut line = vec![' '; self.columns];
        let end = self.columns - name.chars().count();
        for (place, sign) in name.chars().enumerate() {
            line[end + place] = sign;
        }
        let most = (self.columns - GUTTER) / 12;
        let mut free = 0;
        for Tick { value, label } in ticks::of_x(grid.from(), grid.to(), grid.axis(), *x, most) {
            let len = label.chars().count();
            let at = GUTTER + (grid.place(value) / DOTS.0 as f64).max(0.0) as usize;
            // Below its mark, unless that is the beginning of the line.
            let start = at.saturating_sub(len / 2);
            if start < free || start + len + 1 >= end {
                continue;
            }
            for (place, sign) in label.chars().enumerate() {
                line[start + place] = sign;
            }
            free = start + len + 1;
        }
        text.extend(line);
        text.push('\n');
    }

    fn painted(&self, text: &str, series: usize) -> String {
        if self.has_color {
            format!("\x1b[38;5;{}m{text}\x1b[0m", COLORS[series % COLORS.len()])
        } else {
            text.to_owned()
        }
    }
}

/// A series in the legend.
fn entry(series: &Series, name: &str, is_long: bool) -> String {
    let mut entry = format!("⣿ {name}");
    let total = series.total();
    if is_long && total.finite() > 0 {
        let [min, max, last] = [total.min, total.max, total.last].map(ticks::short);
        let _ = write!(entry, "  min {min}  max {max}  last {last}");
    }
    for (count, name) in [(total.nans, "NaN"), (total.above, "∞"), (total.below, "-∞")] {
        if is_long && count > 0 {
            let _ = write!(entry, "  {count} {name}");
        }
    }
    entry
}

/// What is written beside each line of text.
fn y_labels(y: &YAxis, rows: usize) -> Vec<String> {
    let lines = rows / DOTS.1;
    let mut labels = vec![String::new(); lines];
    for Tick { value, label } in ticks::of_numbers(y.low, y.high, y.axis, lines.div_ceil(3)) {
        let line = y.row(value, rows) / DOTS.1;
        if labels[line].is_empty() && label.chars().count() <= GUTTER - 2 {
            labels[line] = label;
        }
    }
    labels
}

/// The dots of a character, as the number of its sign.
fn pattern(raster: &Raster, cell: usize, line: usize) -> u8 {
    const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];
    let mut pattern = 0;
    for (column, bits) in BITS.iter().enumerate() {
        for (row, bit) in bits.iter().enumerate() {
            if raster.dot(cell * DOTS.0 + column, line * DOTS.1 + row) {
                pattern |= bit;
            }
        }
    }
    pattern
}
