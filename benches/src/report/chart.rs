//! The two kinds of charts: bars that stand beside each other, and curves on logarithmic axes.
//!
//! Both are as wide as a phone, so that their text can be read there; on a desk several stand in a row.

use super::palette::{self, GRID, INK, LIMIT, OURS, PEER};
use crate::Result;
use crate::harness::row::Role;
use crate::harness::table::number;
use plotters::coord::combinators::IntoLogRange;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::fmt::Display;

/// Of every chart, in points.
const WIDTH: u32 = 420;
const CURVE_HEIGHT: u32 = 280;

/// Of one bar with the line of text above it.
const BAR_STEP: i32 = 36;
const BAR: i32 = 11;

/// A bar.
#[derive(Debug)]
pub(super) struct Bar<'a> {
    pub(super) role: Role,
    pub(super) name: &'a str,
    pub(super) value: f64,
    pub(super) unit: &'a str,
}

/// A line, from left to right.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// Bars below each other, each with its name and figure above it. They begin at zero, so that their
/// lengths can be compared.
pub(super) fn bars(bars: &[Bar<'_>]) -> Result<String> {
    let longest = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let height = bars.len() as i32 * BAR_STEP + 4;
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height as u32)).into_drawing_area();
        let (left, right) = (2, WIDTH as i32 - 2);
        for (index, bar) in bars.iter().enumerate() {
            let top = index as i32 * BAR_STEP + 4;
            let style = text(17).pos(Pos::new(HPos::Left, VPos::Top));
            area.draw(&Text::new(bar.name.to_owned(), (left, top), style)).map_err(failed)?;
            let figure = format!("{} {}", number(bar.value), bar.unit);
            let style = text(17).pos(Pos::new(HPos::Right, VPos::Top));
            area.draw(&Text::new(figure, (right, top), style)).map_err(failed)?;
            let share = if longest > 0.0 { bar.value / longest } else { 0.0 };
            let end = left + (share * f64::from(right - left)).round().max(1.0) as i32;
            let color = match bar.role {
                Role::Ours => OURS,
                Role::Peer => PEER,
                Role::Limit => LIMIT,
            };
            let (top, bottom) = (top + 17, top + 17 + BAR);
            let bar = Rectangle::new([(left, top), (end, bottom)], color.filled());
            area.draw(&bar).map_err(failed)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(palette::themed(&svg))
}

/// Lines on logarithmic axes; points without a positive value are left out.
pub(super) fn curves(lines: &[Line], x_label: &str, y_label: &str) -> Result<String> {
    let points = || lines.iter().flat_map(|line| &line.points).filter(|(_, y)| *y > 0.0);
    let bounds = |of: fn(&(f64, f64)) -> f64| {
        points().map(of).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)))
    };
    let (x_low, x_high) = bounds(|point| point.0);
    let (y_low, y_high) = bounds(|point| point.1);
    if x_low > x_high {
        return Ok(String::new());
    }
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, CURVE_HEIGHT)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(6)
            .margin_right(16)
            .x_label_area_size(46)
            .y_label_area_size(64)
            .build_cartesian_2d(
                (x_low..x_high * 1.001).log_scale(),
                (y_low / 1.4..y_high * 1.4).log_scale(),
            )
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc(x_label)
            .y_desc(y_label)
            .axis_desc_style(text(17))
            .label_style(text(16))
            .axis_style(INK)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .x_labels(5)
            .y_labels(5)
            .x_label_formatter(&|x| short(*x))
            .y_label_formatter(&|y| short(*y))
            .draw()
            .map_err(failed)?;
        // The first line is ours: it is drawn last, over the others, and thicker.
        for (index, line) in lines.iter().enumerate().rev() {
            let color = palette::series(index);
            let width = if index == 0 { 4 } else { 2 };
            let points: Vec<_> = line.points.iter().copied().filter(|(_, y)| *y > 0.0).collect();
            let series = LineSeries::new(points, color.stroke_width(width)).point_size(3);
            chart.draw_series(series).map_err(failed)?;
        }
        area.present().map_err(failed)?;
    }
    Ok(palette::themed(&svg))
}

fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

/// A number on an axis: 0.05, 12, 3k, 10M.
fn short(value: f64) -> String {
    let trimmed = |value: f64, unit: &str| {
        let text = format!("{value:.3}");
        format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match value {
        value if value >= 1e6 => trimmed(value / 1e6, "M"),
        value if value >= 1e3 => trimmed(value / 1e3, "k"),
        value => trimmed(value, ""),
    }
}

/// The library's errors borrow from the drawing.
fn failed(error: impl Display) -> Box<dyn std::error::Error + Send + Sync> {
    format!("a chart cannot be drawn: {error}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_the_width_and_the_others_their_share() {
        let bar = |role, value| Bar { role, name: "a <b>", value, unit: "ns" };
        let svg = bars(&[bar(Role::Ours, 10.0), bar(Role::Peer, 20.0)]).unwrap();
        assert!(svg.contains("var(--ours)") && svg.contains("var(--peer)"), "{svg}");
        assert!(svg.contains("width=\"208\"") && svg.contains("width=\"416\""), "{svg}");
        assert!(svg.contains("a &lt;b&gt;") && svg.contains("10.0 ns"), "{svg}");
    }

    #[test]
    fn lines_have_colors_of_their_own_and_nothing_is_drawn_of_nothing() {
        let line =
            |name: &str, y| Line { name: name.into(), points: vec![(1.0, y), (1e6, 2.0 * y)] };
        let svg = curves(&[line("a", 1.0), line("b", 3.0)], "rows", "ms").unwrap();
        assert!(svg.contains("var(--s0)") && svg.contains("var(--s1)"), "{svg}");
        let empty = Line { name: "c".into(), points: vec![(1.0, 0.0)] };
        assert_eq!(curves(&[empty], "rows", "ms").unwrap(), "");
    }

    #[test]
    fn numbers_on_axes_are_short() {
        for (value, text) in [(0.05, "0.05"), (12.0, "12"), (1e4, "10k"), (2.5e6, "2.5M")] {
            assert_eq!(short(value), text);
        }
    }
}
