//! One chart: the dots of `qstore-view`, which leave out no extreme of any row, with labels around them.
//!
//! ```text
//! val_loss  0.2187  (1 NaN)
//!      2 ┤⡇
//!        │⢷⡀
//!      1 ┤⠈⠳⣄⡀
//!        └─────×─────
//!        0    5 000
//! ```
//!
//! A `×` on the axis is a NaN, `▼` an infinity below; `▲` in the line of the title is one above.

use super::plan::{DOTS, FRAME, GUTTER};
use super::scope::Scope;
use crate::output::escape::shown;
use qstore_view::{Axis, Bucket, Raster, Series, YAxis, short, ticks_of_numbers, ticks_of_x};
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::style::{Color, Modifier, Style};
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// A curve that was read.
#[derive(Debug)]
pub struct Chart {
    /// How it was read.
    pub(super) scope: Scope,
    /// What there is to draw, or why there is nothing.
    pub(super) series: Result<Series, String>,
    /// Whether it is made of the bounds in the footer, until its rows are read.
    pub(super) is_quick: bool,
}

/// How a chart is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) is_log_y: bool,
    /// The weight of the smoother line; 0 has none.
    pub(super) weight: f64,
    pub(super) is_chosen: bool,
}

/// The curve, and the smoother line on top of it: two colors that people who do not see red or green can tell apart.
const CURVE: Color = Color::Indexed(32);
const FAINT: Color = Color::Indexed(24);
const SMOOTH: Color = Color::Indexed(208);
const AXIS: Color = Color::Indexed(244);
const ODD: Color = Color::Indexed(166);

/// Draws the chart of a column.
pub(super) fn draw(
    column: &str,
    chart: Option<&Chart>,
    look: Look,
    area: Rect,
    buffer: &mut Buffer,
) {
    if area.width <= GUTTER || area.height <= FRAME {
        return;
    }
    let series = chart.and_then(|chart| chart.series.as_ref().ok());
    title(column, chart, look, area, buffer);
    let dots = Rect::new(area.x + GUTTER, area.y + 1, area.width - GUTTER, area.height - FRAME);
    axes(dots, buffer);
    match (chart, series) {
        (None, _) => note("reading …", dots, buffer),
        (Some(Chart { series: Err(problem), .. }), _) => note(&shown(problem), dots, buffer),
        (_, Some(series)) if series.is_empty() => {
            note(&format!("no value over {}", series.x.label()), dots, buffer);
        }
        (_, Some(series)) => curve(series, look, dots, buffer),
        (Some(_), None) => {}
    }
}

fn title(column: &str, chart: Option<&Chart>, look: Look, area: Rect, buffer: &mut Buffer) {
    let mut style = Style::new().add_modifier(Modifier::BOLD);
    if look.is_chosen {
        style = style.add_modifier(Modifier::REVERSED);
    }
    let total = chart.and_then(|chart| chart.series.as_ref().ok()).map(Series::total);
    let value = total.map_or(String::new(), |total| last_value(&total));
    let mut notes = value.clone();
    if let Some(total) = total {
        for (count, name) in [(total.nans, "NaN"), (total.above, "∞"), (total.below, "-∞")] {
            if count > 0 {
                let _ = write!(notes, "  {count} {name}");
            }
        }
    }
    if chart.is_some_and(|chart| chart.is_quick) {
        notes += "  bounds";
    }
    let name = shown(column);
    let room = usize::from(area.width);
    // The value is worth more than the end of a long name.
    let of_notes = notes.width().min(room / 2) + 2;
    let (x, y) = (area.x, area.y);
    let (end, _) = buffer.set_stringn(x, y, &*name, room.saturating_sub(of_notes), style);
    let left = usize::from(area.right().saturating_sub(end + 2));
    buffer.set_stringn(end + 2, y, notes, left, Style::new());
}

fn last_value(total: &Bucket) -> String {
    if total.finite() > 0 { short(total.last) } else { String::new() }
}

fn axes(dots: Rect, buffer: &mut Buffer) {
    let style = Style::new().fg(AXIS);
    for y in dots.top()..dots.bottom() {
        buffer.set_string(dots.x - 1, y, "│", style);
    }
    buffer.set_string(dots.x - 1, dots.bottom(), "└", style);
    buffer.set_string(dots.x, dots.bottom(), "─".repeat(dots.width.into()), style);
}

fn note(text: &str, dots: Rect, buffer: &mut Buffer) {
    let style = Style::new().fg(AXIS);
    let room = usize::from(dots.width.saturating_sub(1));
    let y = dots.y + dots.height.saturating_sub(1) / 2;
    buffer.set_stringn(dots.x + 1, y, text, room, style);
}

fn curve(series: &Series, look: Look, dots: Rect, buffer: &mut Buffer) {
    let axis = if look.is_log_y { Axis::Log } else { Axis::Linear };
    let y = YAxis::covering(series.extremes(), axis);
    let (columns, rows) = (usize::from(dots.width) * DOTS.0, usize::from(dots.height) * DOTS.1);
    let mut raster = Raster::new(columns, rows);
    raster.draw(series, &y);
    let mut smoother = Raster::new(columns, rows);
    if look.weight > 0.0 {
        smoother.draw(&smoothed(series, look.weight), &y);
    }
    let curve = if look.weight > 0.0 { FAINT } else { CURVE };
    for row in 0..dots.height {
        for column in 0..dots.width {
            let (cell, line) = (usize::from(column), usize::from(row));
            // Dots of both in one character cannot have two colors.
            let (pattern, color) = match pattern(&smoother, cell, line) {
                0 => (pattern(&raster, cell, line), curve),
                pattern => (pattern, SMOOTH),
            };
            if let Some(sign) = char::from_u32(0x2800 + u32::from(pattern)).filter(|_| pattern > 0)
            {
                mark(dots.x + column, dots.y + row, sign, color, buffer);
            }
        }
    }
    for column in 0..dots.width {
        let rims = [0, 1].map(|dot| raster.rim(usize::from(column) * DOTS.0 + dot));
        let x = dots.x + column;
        if rims.iter().any(|rim| rim.above) {
            mark(x, dots.y - 1, '▲', ODD, buffer);
        }
        if rims.iter().any(|rim| rim.nan) {
            mark(x, dots.bottom(), '×', ODD, buffer);
        } else if rims.iter().any(|rim| rim.below) {
            mark(x, dots.bottom(), '▼', ODD, buffer);
        }
    }
    y_labels(&y, rows, dots, buffer);
    x_labels(series, dots, buffer);
}

fn mark(x: u16, y: u16, sign: char, color: Color, buffer: &mut Buffer) {
    if let Some(cell) = buffer.cell_mut((x, y)) {
        cell.set_char(sign).set_fg(color);
    }
}

/// The line through the averages, as a series of one value for each pixel column.
fn smoothed(series: &Series, weight: f64) -> Series {
    let mut smooth = series.clone();
    for trace in &mut smooth.traces {
        let line = trace.smoothed(weight);
        (trace.lead, trace.tail) = (None, None);
        for ((_, bucket), (_, value)) in trace.buckets.iter_mut().zip(line) {
            *bucket = Bucket::of_row(bucket.x0, Some(value));
        }
    }
    smooth
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

fn y_labels(y: &YAxis, rows: usize, dots: Rect, buffer: &mut Buffer) {
    let style = Style::new().fg(AXIS);
    let most = usize::from(dots.height).div_ceil(3);
    let mut taken = Vec::new();
    for tick in ticks_of_numbers(y.low, y.high, y.axis, most) {
        let line = (y.row(tick.value, rows) / DOTS.1) as u16;
        let (width, room) = (tick.label.width(), usize::from(GUTTER - 2));
        if width <= room && !taken.contains(&line) {
            taken.push(line);
            let x = dots.x - 2 - width as u16;
            buffer.set_string(x, dots.y + line, &tick.label, style);
            buffer.set_string(dots.x - 1, dots.y + line, "┤", style);
        }
    }
}

fn x_labels(series: &Series, dots: Rect, buffer: &mut Buffer) {
    let style = Style::new().fg(AXIS);
    let y = dots.bottom() + 1;
    let name = series.x.label();
    let end = dots.right().saturating_sub(name.width() as u16);
    buffer.set_string(end.max(dots.x), y, name, style);
    let grid = series.grid;
    let most = usize::from(dots.width / 12).max(1);
    let mut free = dots.x.saturating_sub(GUTTER / 2);
    for tick in ticks_of_x(grid.from(), grid.to(), grid.axis(), series.x, most) {
        let width = tick.label.width() as u16;
        let at = dots.x + (grid.place(tick.value) / DOTS.0 as f64).max(0.0) as u16;
        let start = at.saturating_sub(width / 2);
        if start >= free && start + width < end {
            buffer.set_string(start, y, &tick.label, style);
            free = start + width + 1;
        }
    }
}
