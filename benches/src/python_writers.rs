//! Writing everything anew with pyarrow and polars, which is how a Python program gets a file that can
//! be read during the run.
//!
//! They are found in the environment that `cargo xtask test` makes; without it there are no rows.

use crate::Result;
use crate::raw_parquet;
use crate::round_robin::Contender;
use crate::row::Measure;
use parquet::basic::{Compression as Codec, GzipLevel};
use qstore_schema::TrainingMetrics;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Reads the table, then writes it once and prints the milliseconds.
const SCRIPT: &str = r#"
import os, sys, time
library, path = sys.argv[1:]
temporary = path + ".tmp"
if library == "pyarrow":
    import pyarrow.parquet
    table = pyarrow.parquet.read_table(path)
    write = lambda: pyarrow.parquet.write_table(table, temporary, compression="gzip", use_dictionary=["backend"])
else:
    import polars
    table = polars.read_parquet(path).rechunk()
    write = lambda: table.write_parquet(temporary, compression="gzip")
started = time.perf_counter()
write()
file = os.open(temporary, os.O_RDWR)
os.fsync(file)
os.close(file)
print((time.perf_counter() - started) * 1e3)
os.remove(temporary)
"#;

/// One contender for each library, with the first hundred thousand steps.
pub(crate) fn contenders(
    scratch: &Path,
    steps: &[TrainingMetrics],
) -> Result<Vec<Contender<'static>>> {
    let Some(python) = interpreter() else { return Ok(Vec::new()) };
    let path = scratch.join("python.parquet");
    let codec = Codec::GZIP(GzipLevel::try_new(6)?);
    raw_parquet::write(&path, &steps[..steps.len().min(100_000)], codec)?.sync_all()?;
    let note = "the table, ready in memory, written anew (gzip) and synced; the start of Python and \
                the reading are left out";
    let libraries =
        [("pyarrow", "pyarrow_rewrite_ms_at_1e5"), ("polars", "polars_rewrite_ms_at_1e5")];
    Ok(libraries
        .map(|(library, name)| {
            let (python, path) = (python.clone(), path.clone());
            Contender::new(Measure::peer(name, "ms", note), move || {
                let output =
                    Command::new(&python).args(["-c", SCRIPT, library]).arg(&path).output()?;
                if !output.status.success() {
                    return Err(String::from_utf8_lossy(&output.stderr).trim().into());
                }
                Ok(String::from_utf8(output.stdout)?.trim().parse()?)
            })
        })
        .into())
}

fn interpreter() -> Option<PathBuf> {
    let program = env::current_exe().ok()?;
    let made_by_xtask = program.ancestors().nth(2)?.join("readers-venv/bin/python");
    let path = env::var_os("QSTORE_READERS").map_or(made_by_xtask, PathBuf::from);
    path.exists().then_some(path)
}
