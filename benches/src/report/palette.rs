//! Colors of the charts: plotters draws with fixed ones, the page has two themes.
//!
//! So the charts are drawn with colors that stand for something, and each of those becomes a variable
//! of the page's style sheet afterwards.

use plotters::style::RGBColor;

/// How many lines of a chart have a color of their own.
pub(super) const SERIES: u8 = 14;

/// Text and axes.
pub(super) const INK: RGBColor = RGBColor(2, 0, 0);
/// Lines of the grid.
pub(super) const GRID: RGBColor = RGBColor(2, 0, 1);
/// Bars of ours, of peers, of limits.
pub(super) const OURS: RGBColor = RGBColor(2, 0, 2);
pub(super) const PEER: RGBColor = RGBColor(2, 0, 3);
pub(super) const LIMIT: RGBColor = RGBColor(2, 0, 4);

const NAMED: [(RGBColor, &str); 5] =
    [(INK, "ink"), (GRID, "grid"), (OURS, "ours"), (PEER, "peer"), (LIMIT, "limit")];

/// The color of a line; ours is the first.
pub(super) fn series(index: usize) -> RGBColor {
    RGBColor(1, 0, index as u8 % SERIES)
}

/// The variable of the page that gives a line its color.
pub(super) fn variable(index: usize) -> String {
    format!("var(--s{})", index as u8 % SERIES)
}

/// The drawing with variables in place of the colors.
pub(super) fn themed(svg: &str) -> String {
    let hex = |RGBColor(red, green, blue): RGBColor| format!("#{red:02X}{green:02X}{blue:02X}");
    let mut themed = svg.to_owned();
    for (color, name) in NAMED {
        themed = themed.replace(&hex(color), &format!("var(--{name})"));
    }
    for index in 0..usize::from(SERIES) {
        themed = themed.replace(&hex(series(index)), &variable(index));
    }
    themed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_color_becomes_a_variable() {
        let svg = "<a fill=\"#020000\"/><b stroke=\"#010003\"/>";
        assert_eq!(themed(svg), "<a fill=\"var(--ink)\"/><b stroke=\"var(--s3)\"/>");
        assert_eq!(series(SERIES.into()), series(0));
    }
}
