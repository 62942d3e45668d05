//! Draws a column of a metrics file in the terminal: `plot FILE COLUMN`. Without arguments it draws a file of its
//! own, with one odd row in a million.

use qstore_parquet::{MetricsFile, MetricsLog, WriterSettings};
use qstore_schema::Row;
use qstore_view::{Braille, Cache, Request, exact};
use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args_os().skip(1);
    let dir = tempfile::tempdir()?;
    let path = match arguments.next() {
        Some(path) => PathBuf::from(path),
        None => write(dir.path())?,
    };
    let column =
        arguments.next().map_or_else(|| "loss".into(), |name| name.to_string_lossy().into_owned());
    let file = MetricsFile::open(&path)?;
    let braille = Braille::new(100, 24);
    let request = Request::new([column]).width(braille.width());
    let series = exact(&file, &request, &mut Cache::new())?;
    print!("{}", braille.draw(&series));
    Ok(())
}

fn write(dir: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let path = dir.join("metrics.parquet");
    let mut log = MetricsLog::<Row>::open(&path, WriterSettings::default())?;
    let mut random = fastrand::Rng::with_seed(7);
    for step in 0..1_000_000_u32 {
        let x = f64::from(step) / 1e5;
        let loss = match step {
            654_321 => 4.0,
            300_000 => f64::NAN,
            _ => 2.0 / (1.0 + x) + 0.2 * random.f64(),
        };
        log.append(&Row::from([("step", f64::from(step)), ("loss", loss)]), Instant::now());
    }
    log.close()?;
    Ok(path)
}
