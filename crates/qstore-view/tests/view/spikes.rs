//! One odd row among many is in every picture, wherever it is and however narrow the picture is.

use qstore_view::{Axis, Braille, Grid, Raster, Series, YAxis};

const ROWS: usize = 40_000;

#[test]
fn a_spike_is_always_shown() {
    let mut random = fastrand::Rng::with_seed(20);
    let xs: Vec<f64> = (0..ROWS).map(|row| row as f64).collect();
    let mut values: Vec<f64> = (0..ROWS).map(|_| random.f64()).collect();
    for _ in 0..10_000 {
        let (row, columns) = (random.usize(..ROWS), random.u32(200..4_000));
        let spike = if random.bool() { 1_000.0 } else { -1_000.0 };
        let before = std::mem::replace(&mut values[row], spike);
        let grid = Grid::covering(0.0, (ROWS - 1) as f64, columns, Axis::Linear).unwrap();
        // The chunk that it is in, as a file of a hundred of them would be reduced.
        let chunk = row / 400 * 400..(row / 400 + 1) * 400;
        let series = Series::of_rows(&xs[chunk.clone()], &values[chunk], grid);
        let y = YAxis::covering([-1_000.0, 1_000.0], Axis::Linear);
        let mut raster = Raster::new(columns as usize, 100);
        raster.draw(&series, &y);
        let column = usize::try_from(grid.column(row as f64).unwrap()).unwrap();
        assert!(raster.dot(column, if spike > 0.0 { 0 } else { 99 }), "row {row}, {columns} wide");
        values[row] = before;
    }
}

#[test]
fn one_row_that_is_not_finite_is_on_the_rim() {
    let xs: Vec<f64> = (0..ROWS).map(|row| row as f64).collect();
    let braille = Braille::new(80, 10);
    let grid = Grid::covering(0.0, (ROWS - 1) as f64, braille.width(), Axis::Linear).unwrap();
    for (odd, sign) in [(f64::NAN, '×'), (f64::INFINITY, '▲'), (f64::NEG_INFINITY, '▼')] {
        for row in [0, 12_345, ROWS - 1] {
            let mut values = vec![0.5; ROWS];
            values[row] = odd;
            let text = braille.draw(&[Series::of_rows(&xs, &values, grid)]);
            let rim = text.lines().skip(1).filter(|line| line.contains(sign)).count();
            assert_eq!(rim, 1, "{odd} in row {row}:\n{text}");
        }
    }
}
