//! A picture as an SVG file that needs nothing else, and is the same bytes each time.
//!
//! Each pixel column is a vertical stroke from its least to its largest value, and lines lead from column to column as
//! in the picture of dots. A smoothed line is drawn on top of it.

use crate::axis::{Axis, YAxis};
use crate::bucket::Bucket;
use crate::series::{self, Series};
use crate::ticks;
use crate::trace::Trace;
use std::fmt::Write as _;
use std::ops::Range;

/// The room around the picture, in pixels: for the labels of y, the legend, and the labels of x.
const LEFT: u32 = 72;
const RIGHT: u32 = 12;
const TOP: u32 = 40;
const BOTTOM: u32 = 44;

/// The colors of series: those that people who do not see red or green can tell apart (Okabe and Ito).
const COLORS: [&str; 7] =
    ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7a00"];

const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#333}\
    .frame{fill:none;stroke:#999}.grid{fill:none;stroke:#8883}.shade{fill:#8883}\
    .line{fill:none;stroke-linejoin:round;stroke-linecap:round}\
    .raw{opacity:.3}.rim{fill:none;stroke-width:1.5}.title{font-weight:600}\
    @media(prefers-color-scheme:dark){text{fill:#ddd}.frame{stroke:#777}}";

/// Draws series as an SVG.
///
/// ```
/// use qstore_view::{Axis, Grid, Series, Svg};
///
/// let svg = Svg::new(800, 300).title("loss").smooth(0.9);
/// let xs: Vec<f64> = (0..10_000).map(f64::from).collect();
/// let values: Vec<f64> = xs.iter().map(|x| 1.0 / (1.0 + x)).collect();
/// let grid = Grid::covering(0.0, 9_999.0, svg.width(), Axis::Linear)?;
/// let text = svg.draw(&[Series::of_rows(&xs, &values, grid).named("run_001")]);
/// assert!(text.starts_with("<svg") && text.contains("run_001"));
/// # Ok::<(), qstore_view::ViewError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Svg {
    width: u32,
    height: u32,
    title: String,
    y: Axis,
    smooth: f64,
    shades: Vec<(Range<f64>, String)>,
}

impl Svg {
    /// A picture of that size in pixels, labels included; no smaller than 160 by 120. By default it has no title, a
    /// linear y axis, and no smoothed line.
    #[must_use]
    pub fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width.clamp(160, 1 << 16), height.clamp(120, 1 << 16));
        let (title, shades) = (String::new(), Vec::new());
        Self { width, height, title, y: Axis::Linear, smooth: 0.0, shades }
    }

    /// What is written above it.
    #[must_use]
    pub fn title(self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self }
    }

    /// Whether the y axis is divided by powers. Values that are not above 0 are at the lower rim then.
    #[must_use]
    pub fn log_y(self, is_log: bool) -> Self {
        Self { y: if is_log { Axis::Log } else { Axis::Linear }, ..self }
    }

    /// The weight of the [average](crate::smooth) that is drawn on top of the values; 0 draws the values alone.
    #[must_use]
    pub fn smooth(self, weight: f64) -> Self {
        Self { smooth: weight, ..self }
    }

    /// Shades the picture from one x to another: where rows were dropped, say. The text is shown when the mouse is there.
    #[must_use]
    pub fn shade(mut self, x: Range<f64>, text: impl Into<String>) -> Self {
        self.shades.push((x, text.into()));
        self
    }

    /// The width of the picture without labels, in pixels: that of a [`Request`](crate::Request) for it.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.width - LEFT - RIGHT
    }

    /// The text of the file. The series must be of one grid, as wide as [`width`](Self::width).
    #[must_use]
    pub fn draw(&self, series: &[Series]) -> String {
        let y = YAxis::covering(series.iter().flat_map(Series::extremes), self.y);
        let plot = Plot {
            width: self.width(),
            height: self.height - TOP - BOTTOM,
            y: y.with_margin(0.03),
        };
        let mut text = String::new();
        let (width, height) = (self.width, self.height);
        let _ = writeln!(
            text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\">"
        );
        let _ = writeln!(text, "<title>{}</title>", escaped(&self.description(series)));
        let _ = writeln!(text, "<style>{STYLE}</style>");
        self.legend(series, &mut text);
        let _ = writeln!(text, "<g transform=\"translate({LEFT} {TOP})\">");
        self.shades(series, &plot, &mut text);
        frame(series, &plot, &mut text);
        for (number, series) in series.iter().enumerate() {
            self.series(series, &plot, COLORS[number % COLORS.len()], &mut text);
        }
        text.push_str("</g>\n</svg>\n");
        text
    }

    /// The picture in words, for those who cannot see it.
    fn description(&self, series: &[Series]) -> String {
        let (title, names) = self.names(series);
        let mut text = title;
        for (series, name) in series.iter().zip(&names) {
            let total = series.total();
            let [min, max, last] = [total.min, total.max, total.last].map(ticks::short);
            let space = if text.is_empty() { "" } else { "; " };
            let _ =
                write!(text, "{space}{name}: {} rows, min {min}, max {max}, last {last}", total.n);
            if total.odd() > 0 {
                let _ = write!(text, ", {} not finite", total.odd());
            }
        }
        text
    }

    /// The title, which is the column that all series have if there is none, and the name of each series.
    fn names(&self, series: &[Series]) -> (String, Vec<String>) {
        let (title, names) = series::legend(series);
        let title = if self.title.is_empty() { title.unwrap_or_default() } else { &self.title };
        (title.to_owned(), names)
    }

    fn legend(&self, series: &[Series], text: &mut String) {
        let (title, names) = self.names(series);
        if !title.is_empty() {
            let title = escaped(&title);
            let _ = writeln!(text, "<text class=\"title\" x=\"{LEFT}\" y=\"16\">{title}</text>");
        }
        let mut x = LEFT;
        for (number, name) in names.iter().enumerate() {
            let color = COLORS[number % COLORS.len()];
            // About the width of the text: the fonts are those of the reader.
            let width = 30 + 7 * name.chars().count() as u32;
            if x + width > self.width && number > 0 {
                let _ = writeln!(text, "<text x=\"{x}\" y=\"33\">…</text>");
                break;
            }
            let _ = writeln!(
                text,
                "<path d=\"M{x} 29h14\" stroke=\"{color}\" stroke-width=\"3\"/><text x=\"{}\" \
                 y=\"33\">{}</text>",
                x + 18,
                escaped(name)
            );
            x += width;
        }
    }

    fn shades(&self, series: &[Series], plot: &Plot, text: &mut String) {
        let Some(grid) = series.first().map(|series| &series.grid) else { return };
        for (x, label) in &self.shades {
            let place = |x: f64| grid.place(x).clamp(0.0, f64::from(plot.width));
            let (from, to) = (place(x.start), place(x.end));
            // One that is too narrow to be seen is shown all the same.
            let width = (to - from).max(1.0);
            if to >= from && !width.is_nan() {
                let _ = writeln!(
                    text,
                    "<rect class=\"shade\" x=\"{from:.2}\" y=\"0\" width=\"{width:.2}\" \
                     height=\"{}\"><title>{}</title></rect>",
                    plot.height,
                    escaped(label)
                );
            }
        }
    }

    fn series(&self, series: &Series, plot: &Plot, color: &str, text: &mut String) {
        let is_smooth = self.smooth > 0.0;
        let mut path = String::new();
        for trace in &series.traces {
            plot.trace(trace, &mut path);
        }
        if !path.is_empty() {
            let class = if is_smooth { "line raw" } else { "line" };
            let _ = writeln!(
                text,
                "<path class=\"{class}\" stroke=\"{color}\" stroke-width=\"1\" d=\"{path}\"/>"
            );
        }
        if is_smooth {
            let mut path = String::new();
            for trace in &series.traces {
                let mut is_joined = false;
                for (column, value) in trace.smoothed(self.smooth) {
                    if value.is_finite() {
                        let letter = if is_joined { 'L' } else { 'M' };
                        let (x, y) = (middle(column), plot.height_of(value));
                        let _ = write!(path, "{letter}{x} {y}");
                    }
                    is_joined = value.is_finite();
                }
            }
            let _ = writeln!(
                text,
                "<path class=\"line\" stroke=\"{color}\" stroke-width=\"1.5\" d=\"{path}\"/>"
            );
        }
        let mut rims = String::new();
        for (column, bucket) in series.traces.iter().flat_map(|trace| &trace.buckets) {
            let x = middle(*column);
            if bucket.nans > 0 {
                // A cross, so that it is not taken for a value.
                let _ = write!(rims, "M{x} {}m-3-3l6 6m0-6l-6 6", plot.height);
            }
            if bucket.below > 0 {
                let _ = write!(rims, "M{x} {}m-3-6l3 6l3-6", plot.height);
            }
            if bucket.above > 0 {
                let _ = write!(rims, "M{x} 0m-3 6l3-6l3 6");
            }
        }
        if !rims.is_empty() {
            let _ = writeln!(text, "<path class=\"rim\" stroke=\"{color}\" d=\"{rims}\"/>");
        }
    }
}

/// The picture inside its frame.
struct Plot {
    width: u32,
    height: u32,
    y: YAxis,
}

impl Plot {
    /// The height of a value, from the top, as it is written.
    fn height_of(&self, value: f64) -> String {
        self.height_at(self.y.place(value))
    }

    fn height_at(&self, place: f64) -> String {
        let height = f64::from(self.height);
        short(((1.0 - place) * height).clamp(0.0, height))
    }

    /// Adds the strokes of a trace to a path.
    fn trace(&self, trace: &Trace, path: &mut String) {
        let (first, last) = (trace.buckets.first(), trace.buckets.last());
        let mut is_joined = false;
        if let Some(lead) = trace.lead {
            let next = first.map(|(column, bucket)| (f64::from(*column), bucket.first));
            let next = next.or(trace.tail.map(|tail| (tail.column as f64, tail.value)));
            if let Some(next) = next {
                let at = self.between((lead.column as f64, lead.value), next, -0.5);
                let _ = write!(path, "M0 {}", self.height_at(at));
                is_joined = true;
            }
        }
        let mut before: Option<&Bucket> = None;
        for (column, bucket) in &trace.buckets {
            is_joined |=
                before.is_some_and(|before| !before.is_broken_after && !bucket.is_broken_before);
            if bucket.finite() > 0 {
                self.column(*column, bucket, is_joined, path);
            }
            (before, is_joined) = (Some(bucket), false);
        }
        if let Some(tail) = trace.tail {
            let from = last.map(|(column, bucket)| (f64::from(*column), bucket.last));
            let from = from.or(trace.lead.map(|lead| (lead.column as f64, lead.value)));
            if let Some(from) = from {
                let end = f64::from(self.width) - 0.5;
                let at = self.between(from, (tail.column as f64, tail.value), end);
                let _ = write!(path, "L{} {}", self.width, self.height_at(at));
            }
        }
    }

    /// A pixel column: from the first value over the least and the largest to the last.
    fn column(&self, column: u32, bucket: &Bucket, is_joined: bool, path: &mut String) {
        let first = self.height_of(bucket.first);
        let letter = if is_joined { 'L' } else { 'M' };
        let _ = write!(path, "{letter}{} {first}", middle(column));
        let [min, max] = [bucket.min, bucket.max].map(|value| self.height_of(value));
        let (one, other) = if bucket.argmin <= bucket.argmax { (min, max) } else { (max, min) };
        let mut at = first;
        for next in [one, other, self.height_of(bucket.last)] {
            if next != at {
                let _ = write!(path, "V{next}");
                at = next;
            }
        }
        // A path of one point is a dot if it has some length, though it is 0.
        if !is_joined {
            path.push_str("h0");
        }
    }

    /// Where a line between two columns is at a third, as a place on the y axis.
    fn between(&self, (from, before): (f64, f64), (to, after): (f64, f64), at: f64) -> f64 {
        let [before, after] = [before, after].map(|value| self.y.place(value).clamp(0.0, 1.0));
        before + (after - before) * ((at - from) / (to - from)).clamp(0.0, 1.0)
    }
}

/// The frame, and both axes.
fn frame(series: &[Series], plot: &Plot, text: &mut String) {
    let Plot { width, height, y } = plot;
    let (mut grid, mut labels) = (String::new(), String::new());
    for tick in ticks::of_numbers(y.low, y.high, y.axis, (height / 32) as usize) {
        let at = plot.height_of(tick.value);
        let _ = write!(grid, "M0 {at}h{width}");
        let label = escaped(&tick.label);
        let _ = writeln!(
            labels,
            "<text x=\"-6\" y=\"{at}\" dy=\"4\" text-anchor=\"end\">{label}</text>"
        );
    }
    if let Some(Series { grid: axis, x, .. }) = series.first() {
        let most = (width / 90) as usize;
        for tick in ticks::of_x(axis.from(), axis.to(), axis.axis(), *x, most) {
            let at = short(axis.place(tick.value).clamp(0.0, f64::from(*width)));
            let _ = write!(grid, "M{at} 0v{height}");
            let label = escaped(&tick.label);
            let _ = writeln!(
                labels,
                "<text x=\"{at}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                height + 18
            );
        }
        let _ = writeln!(
            labels,
            "<text x=\"{width}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            height + 36,
            x.label()
        );
    }
    let _ = writeln!(text, "<path class=\"grid\" d=\"{grid}\"/>");
    let _ = writeln!(
        text,
        "<rect class=\"frame\" x=\"0\" y=\"0\" width=\"{width}\" height=\"{height}\"/>"
    );
    text.push_str(&labels);
}

/// The middle of a pixel column, as it is written.
fn middle(column: u32) -> String {
    format!("{column}.5")
}

/// A number with at most two digits after the point.
fn short(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A text as it may be in XML, without the characters that XML cannot have.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => out.push(' '),
            sign if sign.is_control() || matches!(sign, '\u{fffe}' | '\u{ffff}') => {
                out.push('\u{fffd}');
            }
            sign => out.push(sign),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::Axis;
    use crate::grid::Grid;

    fn series(svg: &Svg, values: &[f64]) -> Series {
        let xs: Vec<_> = (0..values.len()).map(|x| x as f64).collect();
        let end = values.len() as f64 - 1.0;
        let grid = Grid::covering(0.0, end, svg.width(), Axis::Linear).unwrap();
        Series::of_rows(&xs, values, grid)
    }

    #[test]
    fn a_name_is_never_markup() {
        let svg = Svg::new(400, 200).title("</title><script>").shade(0.0..1.0, "<b>\u{1}");
        let evil = "<img onerror=\"alert(1)\"> & more";
        let text = svg.draw(&[series(&svg, &[1.0, 2.0]).named(evil)]);
        assert!(!text.contains("<img") && !text.contains("<script") && !text.contains("<b>"));
        assert!(text.contains("&lt;img onerror=&quot;alert(1)&quot;&gt; &amp; more"));
        assert!(text.contains("&lt;b&gt;\u{fffd}"));
    }

    #[test]
    fn every_extreme_is_in_the_path_and_gaps_break_it() {
        let svg = Svg::new(300, 200);
        let mut values = vec![0.0; 5_000];
        values[2_345] = 7.0;
        values[100] = f64::NAN;
        let text = svg.draw(&[series(&svg, &values)]);
        // The highest point is 3 % of the axis below the rim: 116 pixels have 6 % in addition.
        let top = short(116.0 * (1.0 - 1.03 / 1.06));
        assert!(text.contains(&format!("V{top}V")), "{top} {text}");
        assert!(text.contains("m-3-3l6 6m0-6l-6 6"), "the NaN is a cross");
        let gap = svg.draw(&[series(&svg, &[1.0, f64::NAN, 1.0])]);
        let path = gap.split("class=\"line\"").nth(1).unwrap();
        let path = path.split('"').nth(5).unwrap();
        assert_eq!(path.matches('M').count(), 2, "{path}");
        assert_eq!(path.matches('L').count(), 0, "{path}");
    }

    #[test]
    fn nothing_is_a_picture_too() {
        let svg = Svg::new(0, 0).smooth(0.5);
        for series in [vec![], vec![series(&svg, &[f64::NAN])]] {
            let text = svg.draw(&series);
            assert!(text.ends_with("</g>\n</svg>\n"), "{text}");
            assert_eq!(text.matches("NaN").count(), usize::from(!series.is_empty()) * 3);
        }
    }
}
