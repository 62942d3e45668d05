//! A screen as SVG, which looks the same everywhere: the dots of Braille are circles, and text is set cell by cell.

use ratatui_core::buffer::{Buffer, Cell};
use ratatui_core::style::{Color, Modifier};
use std::fmt::Write as _;
use unicode_width::UnicodeWidthStr;

/// A cell in pixels.
const CELL: (usize, usize) = (8, 17);
const MARGIN: usize = 10;
const PAPER: &str = "#14161a";
const INK: &str = "#d8dbe0";

/// The colors of the 256 that are used, as terminals show them.
fn color(color: Color) -> &'static str {
    match color {
        Color::Indexed(24) => "#005f87",
        Color::Indexed(32) => "#0087d7",
        Color::Indexed(35) => "#00af5f",
        Color::Indexed(74) => "#5fafd7",
        Color::Indexed(166) => "#d75f00",
        Color::Indexed(208) => "#ff8700",
        Color::Indexed(244) => "#808080",
        _ => INK,
    }
}

/// The picture of a screen.
pub(crate) fn svg(buffer: &Buffer) -> String {
    let (columns, lines) = (usize::from(buffer.area.width), usize::from(buffer.area.height));
    let (width, height) = (columns * CELL.0 + 2 * MARGIN, lines * CELL.1 + 2 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"{PAPER}\"/>\n"
    );
    for (line, cells) in buffer.content.chunks(columns).enumerate() {
        let y = MARGIN + line * CELL.1;
        dots(cells, y, &mut svg);
        let mut at = 0;
        while at < cells.len() {
            let run = cells[at..].iter().take_while(|cell| is_alike(cell, &cells[at])).count();
            text(&cells[at..at + run], (MARGIN + at * CELL.0, y), &mut svg);
            at += run;
        }
    }
    svg + "</svg>\n"
}

fn is_alike(one: &Cell, other: &Cell) -> bool {
    (one.fg, one.modifier, pattern(one) > 0) == (other.fg, other.modifier, pattern(other) > 0)
}

fn pattern(cell: &Cell) -> u32 {
    let sign = cell.symbol().chars().next().map_or(0, u32::from);
    if (0x2800..0x2900).contains(&sign) { sign - 0x2800 } else { 0 }
}

/// The dots of a line, in one path for each color.
fn dots(cells: &[Cell], y: usize, svg: &mut String) {
    const PLACES: [(usize, usize); 8] =
        [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (0, 3), (1, 3)];
    let mut colors: Vec<Color> = Vec::new();
    for cell in cells.iter().filter(|cell| pattern(cell) > 0) {
        if !colors.contains(&cell.fg) {
            colors.push(cell.fg);
        }
    }
    for fg in colors {
        let mut path = String::new();
        for (at, cell) in cells.iter().enumerate().filter(|(_, cell)| cell.fg == fg) {
            for (bit, (column, row)) in PLACES.iter().enumerate() {
                if pattern(cell) & (1 << bit) > 0 {
                    let x = MARGIN + at * CELL.0 + column * 4;
                    // A line is not a multiple of four dots: the lowest has the pixel that is left.
                    let _ = write!(path, "M{x} {}h3v3h-3z", y + row * 4 + row / 3);
                }
            }
        }
        let _ = writeln!(svg, "<path fill=\"{}\" d=\"{path}\"/>", color(fg));
    }
}

/// Cells of one style.
fn text(cells: &[Cell], (x, y): (usize, usize), svg: &mut String) {
    let mut content = String::new();
    let mut hidden = 0;
    for cell in cells {
        if hidden == 0 {
            content.push_str(cell.symbol());
            hidden = cell.symbol().width();
        }
        hidden = hidden.saturating_sub(1);
    }
    if pattern(&cells[0]) > 0 || content.trim().is_empty() && !is_reversed(&cells[0]) {
        return;
    }
    let (mut ink, width) = (color(cells[0].fg), cells.len() * CELL.0);
    if is_reversed(&cells[0]) {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{}\" fill=\"{ink}\"/>",
            CELL.1
        );
        ink = PAPER;
    }
    let mut more = String::new();
    for (modifier, attribute) in [
        (Modifier::BOLD, " font-weight=\"bold\""),
        (Modifier::UNDERLINED, " text-decoration=\"underline\""),
    ] {
        more += if cells[0].modifier.contains(modifier) { attribute } else { "" };
    }
    let content = content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{}\" textLength=\"{width}\" fill=\"{ink}\"{more} xml:space=\"preserve\">{content}</text>",
        y + 13
    );
}

fn is_reversed(cell: &Cell) -> bool {
    cell.modifier.contains(Modifier::REVERSED)
}
