//! A finished run is the same picture each time: the bytes of both kinds of picture are kept.
//!
//! If a change of them is meant, copy what the test has written over what is kept.

use qstore_view::{Axis, Braille, Grid, Series, Svg, XAxis};
use std::fs;
use std::path::Path;

/// Two curves with a spike, a gap, an infinity and noise; only additions, multiplications and divisions, which are
/// the same on every machine.
fn series(columns: u32) -> Vec<Series> {
    let mut random = fastrand::Rng::with_seed(9);
    let xs: Vec<f64> = (0..20_000).map(f64::from).collect();
    let curve = |scale: f64, noise: &mut dyn FnMut() -> f64| -> Vec<f64> {
        xs.iter().map(|x| scale / (1.0 + x / 2_000.0) + noise()).collect()
    };
    let mut first = curve(2.0, &mut || random.f64() * 0.2);
    let second = curve(1.0, &mut || 0.0);
    first[12_000] = 3.0;
    first[4_000..5_000].fill(f64::NAN);
    first[16_000] = f64::NEG_INFINITY;
    first[17_000] = f64::INFINITY;
    let grid = Grid::covering(0.0, 19_999.0, columns, Axis::Linear).unwrap();
    let series = |values: &[f64], name: &str| {
        let mut series = Series::of_rows(&xs, values, grid).named(name);
        (series.column, series.x) = ("loss".into(), XAxis::Step);
        series
    };
    vec![series(&first, "run_003"), series(&second, "run_004")]
}

/// What is not the same any more.
fn check(name: &str, found: &str) -> Option<String> {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/view/golden").join(name);
    let expected = fs::read_to_string(&kept).unwrap_or_default();
    (found != expected).then(|| {
        let written = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::write(&written, found).unwrap();
        format!("{} is not {}", written.display(), kept.display())
    })
}

#[test]
fn pictures_are_the_same_bytes_each_time() {
    let braille = Braille::new(72, 16);
    let text = braille.draw(&series(braille.width()));
    assert!(text.lines().all(|line| line.chars().count() <= 72), "{text}");
    let log = braille.clone().log_y(true);
    let color = braille.clone().color(true);
    let svg =
        Svg::new(320, 200).title("loss <train>").shade(8_000.0..9_000.0, "1000 rows were dropped");
    let smooth = svg.clone().smooth(0.9).log_y(true);
    let (dots, lines) = (series(braille.width()), series(svg.width()));
    let changed = [
        check("curves.txt", &text),
        check("log.txt", &log.draw(&dots)),
        check("colors.txt", &color.draw(&dots)),
        check("curves.svg", &svg.draw(&lines)),
        check("smooth.svg", &smooth.draw(&lines)),
    ];
    assert_eq!(changed, [const { None::<String> }; 5]);
}
