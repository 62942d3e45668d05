//! Rewriting everything with pyarrow and polars, which is how a Python program gets a file that can
//! be read during the run.
//!
//! Only with `--peers`.

use crate::harness::round_robin::Contender;
use crate::harness::row::Measure;
use crate::harness::this_program;
use crate::rivals::raw_parquet;
use crate::{Result, Run};
use parquet::basic::{Compression as Codec, GzipLevel};
use qstore_schema::TrainingMetrics;
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
    run: &Run<'_>,
    steps: &[TrainingMetrics],
) -> Result<Vec<Contender<'static>>> {
    let Some(python) = run.peers.python_with(&["pyarrow", "polars"]) else {
        return Ok(Vec::new());
    };
    let path = run.scratch.join("python.parquet");
    let codec = Codec::GZIP(GzipLevel::try_new(6)?);
    raw_parquet::write(&path, &steps[..steps.len().min(100_000)], codec)?.sync_all()?;
    let note = "the table, ready in memory, rewritten (gzip) and synced; the start of Python and \
                the reading are left out";
    let libraries =
        [("pyarrow", "pyarrow_rewrite_ms_at_1e5"), ("polars", "polars_rewrite_ms_at_1e5")];
    Ok(libraries
        .map(|(library, name)| {
            let (python, path) = (python.to_owned(), path.clone());
            Contender::new(Measure::peer(name, "ms", note), move || {
                let mut command = Command::new(&python);
                let command = command.args(["-c", SCRIPT, library]).arg(&path);
                Ok(this_program::answer_of(command, library)?.parse()?)
            })
        })
        .into())
}
