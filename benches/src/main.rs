//! Is Q-Store as fast as what you would use instead, and how far is it from what the machine can do?
//!
//! Each set measures ours, our peers and the physical limit in turns within one run, so that a noisy
//! moment of the machine hits all alike; compare within a run, not between runs. The rivals'
//! dependencies live in this package only. Started by `cargo xtask bench`.

mod buffer;
mod checkpoint;
mod checkpoint_costs;
mod delivery;
mod drops;
mod durable;
mod flushes;
mod hot_path;
mod load;
mod logger;
mod long_runs;
mod model;
mod pace;
mod parquet;
mod python_writers;
mod raw_parquet;
mod round_robin;
mod row;
mod statistics;
mod step_rivals;
mod steps;
#[cfg(feature = "peers")]
mod stock_zarrs;
mod table;
mod zarr_python;

use row::Row;
use std::error::Error;
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::{env, fmt};

/// What everything here returns: a failure ends the run, and its text says what failed.
type Result<T = (), E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// A group of measurements with a question of its own.
#[derive(Debug)]
struct Set {
    name: &'static str,
    question: &'static str,
    run: fn(&Run<'_>) -> Result<Vec<Row>>,
}

/// How a set is to measure.
#[derive(Debug)]
struct Run<'a> {
    /// Where files may be put.
    scratch: &'a Path,
    /// Whether figures that take minutes are wanted, too.
    long: bool,
}

const SETS: [Set; 4] = [
    Set { name: buffer::NAME, question: buffer::QUESTION, run: buffer::run },
    Set { name: logger::NAME, question: logger::QUESTION, run: logger::run },
    Set { name: parquet::NAME, question: parquet::QUESTION, run: parquet::run },
    Set { name: checkpoint::NAME, question: checkpoint::QUESTION, run: checkpoint::run },
];

const USAGE: &str = "usage: qstore-bench [SET…] [--long] [--json FILE]";

fn main() -> ExitCode {
    let request = match Request::parse(lexopt::Parser::from_env()) {
        Ok(request) => request,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(2);
        }
    };
    match run(&request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What was asked for on the command line.
#[derive(Debug)]
struct Request {
    sets: Vec<&'static Set>,
    json: Option<PathBuf>,
    long: bool,
    help: bool,
    /// One run and nothing else, as the parquet set asks of its new processes.
    grow: Option<(OsString, PathBuf)>,
    /// One load and nothing else, as the checkpoint set asks of its new processes.
    load: Option<(OsString, PathBuf)>,
}

impl Request {
    fn parse(mut arguments: lexopt::Parser) -> Result<Self> {
        use lexopt::Arg::{Long, Short, Value};

        let mut request =
            Self { sets: Vec::new(), json: None, long: false, help: false, grow: None, load: None };
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("json") => request.json = Some(arguments.value()?.into()),
                Long(load::OPTION) => {
                    request.load = Some((arguments.value()?, arguments.value()?.into()));
                }
                Long(long_runs::OPTION) => {
                    request.grow = Some((arguments.value()?, arguments.value()?.into()));
                }
                Long("long") => request.long = true,
                Long("help") | Short('h') => request.help = true,
                Value(name) => request.sets.push(set_of(&name)?),
                option => return Err(option.unexpected().into()),
            }
        }
        if request.sets.is_empty() {
            request.sets.extend(&SETS);
        }
        Ok(request)
    }
}

fn set_of(name: &OsString) -> Result<&'static Set> {
    SETS.iter().find(|set| name == set.name).ok_or_else(|| {
        let known: Vec<_> = SETS.iter().map(|set| set.name).collect();
        let name = name.to_string_lossy();
        format!("there is no set `{name}`; there are: {}", known.join(", ")).into()
    })
}

fn run(request: &Request) -> Result {
    if request.help {
        println!(
            "{USAGE}\n\n--long: figures that take minutes, too\nsets (all when none is named):"
        );
        for set in &SETS {
            println!("  {:<11} {}", set.name, set.question);
        }
        return Ok(());
    }
    if let Some((name, path)) = &request.load {
        println!("{}", load::here(&name.to_string_lossy(), path)?);
        return Ok(());
    }
    if let Some((rows, path)) = &request.grow {
        println!("{}", long_runs::here(&rows.to_string_lossy(), path)?);
        return Ok(());
    }
    // Opened first: a wrong path must not cost minutes of measuring.
    let json = request.json.as_deref().map(create).transpose()?;
    let scratch = scratch()?;
    println!("{} cores; ours, peers and limits in turns", available_parallelism()?);
    let mut rows = Vec::new();
    for set in &request.sets {
        println!("\n{}: {}", set.name, set.question);
        let measured = (set.run)(&Run { scratch: scratch.path(), long: request.long })?;
        print!("{}", table::of(&measured));
        rows.extend(measured);
    }
    if let Some((file, path)) = json {
        write_json(file, &rows).map_err(|error| Failed::new("write", path, &*error))?;
    }
    Ok(scratch.close()?)
}

/// A directory beside the program, which is on the file system that `target/` is on; `/tmp` often
/// is in memory, where a sync costs nothing.
fn scratch() -> Result<tempfile::TempDir> {
    let program = env::current_exe()?;
    let home = program.parent().unwrap_or(Path::new("."));
    let dir = tempfile::Builder::new().prefix("bench-").tempdir_in(home);
    dir.map_err(|error| Failed::new("make a directory in", home, &error).into())
}

fn create(path: &Path) -> Result<(File, &Path)> {
    match File::create(path) {
        Ok(file) => Ok((file, path)),
        Err(error) => Err(Failed::new("create", path, &error).into()),
    }
}

fn write_json(file: File, rows: &[Row]) -> Result {
    let mut writer = BufWriter::new(file);
    serde_json::to_writer_pretty(&mut writer, rows)?;
    writeln!(writer)?;
    Ok(writer.flush()?)
}

/// What could not be done to which path.
#[derive(Debug)]
struct Failed(String);

impl Failed {
    fn new(what: &str, path: &Path, error: &dyn Error) -> Self {
        Self(format!("cannot {what} {}: {error}", path.display()))
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Failed {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Request> {
        Request::parse(lexopt::Parser::from_args(arguments))
    }

    fn names(request: &Request) -> Vec<&str> {
        request.sets.iter().map(|set| set.name).collect()
    }

    #[test]
    fn no_set_means_all_of_them() {
        assert_eq!(names(&parse(&[]).unwrap()), ["buffer", "logger", "parquet", "checkpoint"]);
        let request = parse(&["logger", "--json", "rows.json", "--long", "buffer"]).unwrap();
        assert!(request.long);
        assert_eq!(names(&request), ["logger", "buffer"]);
        assert_eq!(request.json.as_deref(), Some(Path::new("rows.json")));
    }

    #[test]
    fn an_unknown_set_names_the_known_ones() {
        let error = parse(&["bufer"]).unwrap_err().to_string();
        assert_eq!(
            error,
            "there is no set `bufer`; there are: buffer, logger, parquet, checkpoint"
        );
        assert!(parse(&["--jsn"]).is_err());
    }
}
