//! The picture of a reduced series is that of all rows, dot for dot.

use super::*;
use crate::axis::Axis;
use crate::leaf::Leaf;
use proptest::prelude::*;
use proptest::test_runner::contextualize_config;

/// Rows as a training run logs them, and worse.
#[derive(Debug, Clone)]
struct Rows {
    xs: Vec<f64>,
    values: Vec<Option<f64>>,
}

fn rows() -> impl Strategy<Value = Rows> {
    let step = prop_oneof![
        6 => Just(1.0),
        2 => 0.0..5.0_f64,
        1 => Just(0.0),
        1 => -40.0..40.0_f64,
        1 => Just(f64::NAN),
    ];
    let value = prop_oneof![
        12 => -9.0..9.0_f64,
        2 => Just(0.5),
        1 => Just(1e3),
        1 => 1e-9..1e-3_f64,
        1 => Just(f64::NAN),
        1 => Just(f64::INFINITY),
        1 => Just(f64::NEG_INFINITY),
    ];
    let row = (step, prop::option::weighted(0.9, value));
    let rows = prop_oneof![
        prop::collection::vec(row.clone(), 1..400),
        prop::collection::vec(row, 1..6),
        // Constant, and all of it sorted.
        prop::collection::vec((0.0..3.0_f64, Just(Some(2.5))), 1..100),
    ];
    (rows, -50.0..50.0_f64).prop_map(|(rows, start)| {
        let mut x = start;
        let mut all = Rows { xs: Vec::new(), values: Vec::new() };
        for (step, value) in rows {
            if step.is_finite() {
                x += step;
            }
            all.xs.push(if step.is_finite() { x } else { f64::NAN });
            all.values.push(value);
        }
        all
    })
}

impl Rows {
    fn leaf(&self, rows: std::ops::Range<usize>, grid: &Grid) -> Leaf {
        let values = &self.values[rows.clone()];
        let present: Vec<_> = values.iter().map(Option::is_some).collect();
        let packed: Vec<_> = values.iter().copied().flatten().collect();
        let has_nulls = packed.len() < values.len();
        Leaf::of(&self.xs[rows], has_nulls.then_some(&present[..]), &packed, grid.cells())
    }

    fn ends(&self, axis: Axis) -> Option<(f64, f64)> {
        let there =
            self.xs.iter().copied().filter(|x| x.is_finite() && (axis == Axis::Linear || *x > 0.0));
        there.fold(None, |ends: Option<(f64, f64)>, x| {
            let (from, to) = ends.unwrap_or((x, x));
            Some((from.min(x), to.max(x)))
        })
    }
}

proptest! {
    #![proptest_config(contextualize_config(ProptestConfig::with_cases(1_500)))]
    #[test]
    fn reduced_rows_are_drawn_as_all_rows_are(
        rows in rows(),
        (columns, height) in (1_u32..120, 1_usize..60),
        log_x: bool,
        log_y: bool,
        window in prop::option::of((0.0..1.0_f64, 0.0..1.0_f64)),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let axis = |is_log| if is_log { Axis::Log } else { Axis::Linear };
        let Some((mut from, mut to)) = rows.ends(axis(log_x)) else { return Ok(()) };
        if let Some((one, other)) = window {
            let len = to - from;
            (from, to) = (from + len * one.min(other), from + len * one.max(other));
        }
        let grid = Grid::covering(from, to, columns, axis(log_x)).unwrap();

        // In chunks, as they are in a file.
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(rows.xs.len() + 1)).collect();
        cuts.extend([0, rows.xs.len()]);
        cuts.sort_unstable();
        let leaves: Vec<_> = cuts.windows(2).map(|cut| rows.leaf(cut[0]..cut[1], &grid)).collect();
        let series = Series::of_leaves(grid, [leaves.iter().collect()]);
        let whole = rows.leaf(0..rows.xs.len(), &grid);
        let whole = Series::of_leaves(grid, [vec![&whole]]);
        let points = |series: &Series| -> Vec<_> {
            series.points().map(|point| point.map(f64::to_bits)).collect()
        };
        prop_assert_eq!(points(&series), points(&whole));

        let y = YAxis::covering(rows.values.iter().copied().flatten(), axis(log_y));
        let (mut reduced, mut all) = (Raster::new(columns as usize, height), Raster::new(columns as usize, height));
        reduced.draw(&series, &y);
        let pairs = rows.xs.iter().copied().zip(rows.values.iter().copied());
        all.draw_rows(pairs, &grid, &y);
        prop_assert!(reduced == all, "{}\n{}", show(&reduced), show(&all));
    }
}

fn show(raster: &Raster) -> String {
    let mut text = String::new();
    for row in 0..raster.rows() {
        text.extend(
            (0..raster.columns()).map(|column| if raster.dot(column, row) { '#' } else { '.' }),
        );
        text.push('\n');
    }
    text
}

fn check(values: &[f64], columns: u32, height: usize, expected: &[&str]) {
    let xs: Vec<_> = (0..values.len()).map(|x| x as f64).collect();
    let grid = Grid::covering(0.0, values.len() as f64 - 1.0, columns, Axis::Linear).unwrap();
    let series = Series::of_rows(&xs, values, grid);
    let mut raster = Raster::new(columns as usize, height);
    raster.draw(&series, &YAxis::covering(series.extremes(), Axis::Linear));
    assert_eq!(show(&raster).lines().collect::<Vec<_>>(), expected);
}

#[test]
fn lines_lead_from_column_to_column_and_not_across_a_gap() {
    let nan = f64::NAN;
    let rising = ["........##", "......###.", "...####...", ".###......", "##........"];
    check(&[0.0, 4.0], 10, 5, &rising);
    check(&[0.0, 1.0, nan, 1.0, 0.0], 5, 2, &[".#.#.", "##.##"]);
}
