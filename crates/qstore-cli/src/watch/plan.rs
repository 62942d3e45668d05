//! Where things are on a screen of some size. The eyes ask it, too: they read what fits, as wide as it is drawn.

use ratatui_core::layout::Rect;

/// Less than this shows nothing useful.
pub(super) const LEAST: (u16, u16) = (40, 12);

/// The characters left of a curve: the labels, and the axis.
pub(super) const GUTTER: u16 = 9;
/// The lines of a chart that have no dots: its title, the axis, the labels.
pub(super) const FRAME: u16 = 3;
/// Dots in a character.
pub(super) const DOTS: (usize, usize) = (2, 4);

/// A chart is at least so large, if there are several.
const CHART: (u16, u16) = (38, 9);
/// From this width on there is a panel beside the charts.
const WITH_SIDE: u16 = 110;
const SIDE: u16 = 38;

/// The parts of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// What the run is, and how far.
    pub(super) head: Rect,
    /// The views.
    pub(super) tabs: Rect,
    /// What is looked at.
    pub(super) body: Rect,
    /// Checkpoints, losses and the system, beside the charts.
    pub(super) side: Option<Rect>,
    /// The keys, or what is typed.
    pub(super) foot: Rect,
}

impl Plan {
    /// The parts of a screen of that size; none if it is too small.
    pub(super) fn of((columns, lines): (u16, u16), has_charts: bool) -> Option<Self> {
        if columns < LEAST.0 || lines < LEAST.1 {
            return None;
        }
        let line = |y, height| Rect::new(0, y, columns, height);
        let mut body = line(4, lines - 5);
        let has_side = has_charts && columns >= WITH_SIDE;
        let side = has_side.then(|| Rect::new(columns - SIDE, body.y, SIDE, body.height));
        if has_side {
            body.width -= SIDE + 1;
        }
        let (head, tabs, foot) = (line(0, 3), line(3, 1), line(lines - 1, 1));
        Some(Self { head, tabs, body, side, foot })
    }
}

/// Charts of one size in rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cells {
    body: Rect,
    across: u16,
    down: u16,
}

impl Cells {
    /// As many charts as there are, or as fit; one if one is looked at.
    pub(super) fn of(body: Rect, count: usize, is_large: bool) -> Self {
        if is_large || count <= 1 {
            return Self { body, across: 1, down: 1 };
        }
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        let most = ((body.width / CHART.0).max(1), (body.height / CHART.1).max(1));
        // As square as the charts allow: two are one above the other, if there is room.
        let down = most.1.min(count);
        let across = count.div_ceil(down).min(most.0);
        Self { body, across, down: count.div_ceil(across).min(down) }
    }

    /// How many there are.
    pub(super) fn count(self) -> usize {
        usize::from(self.across) * usize::from(self.down)
    }

    /// How many are beside each other.
    pub(super) fn across(self) -> usize {
        self.across.into()
    }

    /// The width of a curve in dots.
    pub(super) fn dots(self) -> u32 {
        let chars = self.each().0.saturating_sub(GUTTER).max(1);
        u32::from(chars) * DOTS.0 as u32
    }

    fn each(self) -> (u16, u16) {
        // A column stays free between two charts.
        ((self.body.width + 1) / self.across - 1, self.body.height / self.down)
    }

    /// Where a chart is.
    pub(super) fn area(self, number: usize) -> Rect {
        let (width, height) = self.each();
        let across = usize::from(self.across);
        let (column, row) = ((number % across) as u16, (number / across) as u16);
        Rect::new(self.body.x + column * (width + 1), self.body.y + row * height, width, height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn charts_are_inside_the_body_and_apart(
            size in (1_u16..300, 1_u16..120), count in 0_usize..40, is_large: bool, has_charts: bool,
        ) {
            let Some(plan) = Plan::of(size, has_charts) else {
                prop_assert!(size.0 < LEAST.0 || size.1 < LEAST.1);
                return Ok(());
            };
            let cells = Cells::of(plan.body, count, is_large);
            let areas: Vec<_> = (0..cells.count()).map(|number| cells.area(number)).collect();
            for (number, area) in areas.iter().enumerate() {
                prop_assert_eq!(plan.body.intersection(*area), *area);
                prop_assert!(area.width > GUTTER && area.height > FRAME, "{:?}", area);
                prop_assert_eq!(u32::from(area.width - GUTTER) * 2, cells.dots());
                for other in &areas[..number] {
                    prop_assert!(!other.intersects(*area));
                }
            }
            if let Some(side) = plan.side {
                prop_assert!(!side.intersects(plan.body));
            }
        }
    }

    #[test]
    fn as_many_charts_as_fit() {
        let count =
            |size, charts| Cells::of(Plan::of(size, true).unwrap().body, charts, false).count();
        assert_eq!(count((80, 24), 20), 4);
        assert_eq!(count((80, 24), 2), 2);
        assert_eq!(count((120, 40), 20), 6);
        assert_eq!(count((40, 12), 20), 1);
    }
}
