//! Is Q-Store as fast as what you would use instead, and how far is it from what the machine can do?
//!
//! Each set measures ours, our peers and the physical limit in turns within one run, so that a noisy
//! moment of the machine hits all alike; compare within a run, not between runs. The rivals'
//! dependencies live in this package only. Started by `cargo xtask bench`; docs/benchmarks.md says
//! what is measured and by which rules.

mod buffer;
mod checkpoint;
mod children;
mod command;
mod end_to_end;
mod harness;
mod instructions;
mod ledger;
mod live;
mod logger;
mod parquet;
mod peers;
mod python;
mod report;
mod request;
mod rivals;
mod run;
mod scaling;
mod sets;
mod view;
mod workload;

use harness::absent::Absent;
use harness::table;
use peers::Peers;
use report::{About, Report, baseline, docs};
use request::Request;
use run::Run;
use std::cell::RefCell;
use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::Instant;

/// What everything here returns: a failure ends the run, and its text says what failed.
type Result<T = (), E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

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

fn run(request: &Request) -> Result {
    if request.help {
        print!("{}", Request::help());
        return Ok(());
    }
    if let Some(words) = &request.child {
        return children::run(words);
    }
    // Read first: a wrong path must not cost minutes of measuring.
    let baseline = request.baseline.as_deref().map(Report::read).transpose()?;
    let report = match request.from.as_slice() {
        [] => measure(request)?,
        paths => Report::read_all(paths)?,
    };
    let home = target()?.join("bench");
    report.write_all(&home)?;
    println!("\nreport: {}", home.join("report.html").display());
    if let Some(path) = &request.json {
        report.write_figures(path)?;
    }
    if let Some(path) = &request.save_baseline {
        baseline::of(&report).write(path)?;
    }
    if request.write_docs {
        docs::refresh(&report)?;
    }
    match baseline {
        Some(baseline) => baseline::judge(&baseline, &report),
        None => Ok(()),
    }
}

fn measure(request: &Request) -> Result<Report> {
    let started = Instant::now();
    let scratch = scratch()?;
    let peers = Peers::from_environment(peers::PEERS)?;
    let torch = Peers::from_environment(peers::TORCH)?;
    let mut absent: Vec<_> = peers.absent().collect();
    if peers.versions().next().is_none() {
        absent.push(Absent::without_peers());
    }
    let absent = RefCell::new(absent);
    let run = Run { scratch: scratch.path(), long: request.long, peers, torch, absent };
    println!("{} cores; ours, peers and limits in turns", available_parallelism()?);
    let mut figures = Vec::new();
    for set in &request.sets {
        println!("\n{}: {}", set.name, set.question);
        let measured = (set.run)(&run)?;
        let is_matrix = set.name == end_to_end::NAME;
        let text = if is_matrix { report::end_to_end::text } else { table::of };
        print!("{}", text(&measured));
        figures.extend(measured);
    }
    let about = About::of_this_run(&run, &request.words, started.elapsed());
    let report = Report { about, figures, absent: run.absent.into_inner() };
    scratch.close()?;
    Ok(report)
}

/// A directory beside the program, which is on the file system that `target/` is on; `/tmp` often
/// is in memory, where a sync costs nothing.
fn scratch() -> Result<tempfile::TempDir> {
    let program = env::current_exe()?;
    let home = program.parent().unwrap_or(Path::new("."));
    let dir = tempfile::Builder::new().prefix("bench-").tempdir_in(home);
    dir.map_err(|error| report::cannot("make a directory in", home, &error))
}

/// The directory that cargo builds into: two above the program.
fn target() -> Result<PathBuf> {
    let program = env::current_exe()?;
    let target = program.ancestors().nth(2);
    target.map(Path::to_owned).ok_or_else(|| "the program is not in a target directory".into())
}
