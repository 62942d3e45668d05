//! Looks at the runs, as seldom and as little as will do, and tells the dashboard.

use super::chart::Chart;
use super::curves::Sheet;
use super::dashboard::{Dashboard, View, Wanted};
use super::facts::RunLine;
use super::panels;
use super::plan::Plan;
use super::reading::{self, Memory};
use crate::failure::Failure;
use crate::place::{CHECKPOINTS, METRICS, RUN_JSON};
use qstore_parquet::MetricsFile;
use qstore_run::{RunDirectory, RunPlace, RunReader, RunState};
use qstore_storage::Stamp;
use qstore_view::Cache;
use std::iter;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The measurements of a run's process.
const SYSTEM: &str = "system.parquet";

/// The pause after a look is this many times what it took: two percent of a core at most.
const PAUSE_TIMES: u32 = 50;
/// Between two looks at least, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// The cache keeps what a screen of charts needs of ten million rows; the program stays below 40 MB.
const CACHE_BYTES: usize = 12 << 20;

/// What files were when they were looked at: description, metrics, system, checkpoints.
type Stamps = [Option<Stamp>; 4];

/// What a look has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seen {
    /// Whether the screen has to be drawn.
    pub has_changed: bool,
    /// How long nothing has to be looked at, if no key asks for it. Zero: there is more to read for this screen.
    pub pause: Duration,
}

/// Reads runs for a dashboard. It takes no lock and writes nothing.
#[derive(Debug)]
pub struct Eyes {
    place: RunPlace,
    /// The directory that runs may still appear in.
    dir: Option<PathBuf>,
    paths: Vec<PathBuf>,
    until: Option<i64>,
    cache: Cache,
    memory: Memory,
    stamps: Stamps,
    /// The stamps of the lines of the list of runs.
    listed: Vec<Option<Stamps>>,
    wanted: Option<Wanted>,
    listed_at: Option<Instant>,
}

impl Eyes {
    /// Looks at these runs, or at those of a directory; `until` is the step that a run ends at, where no parameter says it.
    #[must_use]
    pub fn new(
        place: RunPlace,
        paths: Vec<PathBuf>,
        dir: Option<PathBuf>,
        until: Option<i64>,
    ) -> Self {
        Self {
            place,
            dir,
            paths,
            until,
            cache: Cache::with_bytes_max(CACHE_BYTES),
            memory: Memory::default(),
            stamps: Stamps::default(),
            listed: Vec::new(),
            wanted: None,
            listed_at: None,
        }
    }

    /// Looks at what is on the screen. With no run open yet, the one that is written is, or that changed last.
    ///
    /// # Errors
    /// If there is no run, or it cannot be read at all. What goes wrong later is shown on the screen.
    pub fn look(&mut self, dashboard: &mut Dashboard) -> Result<Seen, Failure> {
        let started = Instant::now();
        if dashboard.shown_run.is_none() {
            self.list(dashboard)?;
            let newest = self.newest().ok_or_else(|| Failure::missing("there is no run"))?;
            self.open(newest, dashboard);
            self.read(dashboard)?;
            return Ok(Seen { has_changed: true, pause: Duration::ZERO });
        }
        let (mut has_changed, mut is_more) = (false, false);
        match self.refresh(dashboard) {
            Ok((changed, more)) => (has_changed, is_more) = (changed, more),
            Err(error) => {
                let problem = error.to_string();
                if !dashboard.facts.problems.contains(&problem) {
                    dashboard.facts.problems = vec![problem];
                    has_changed = true;
                }
            }
        }
        if dashboard.view == View::Runs {
            has_changed |= self.list_on_screen(dashboard)?;
        }
        let pause = (started.elapsed() * PAUSE_TIMES).clamp(PAUSE.0, PAUSE.1);
        Ok(Seen { has_changed, pause: if is_more { Duration::ZERO } else { pause } })
    }

    /// Shows another run.
    pub fn open(&mut self, run: usize, dashboard: &mut Dashboard) {
        dashboard.begin(run);
        (self.memory, self.stamps, self.wanted) = (Memory::default(), Stamps::default(), None);
    }

    /// Reads what has changed; returns whether something has, and whether more is to be read.
    fn refresh(&mut self, dashboard: &mut Dashboard) -> Result<(bool, bool), Failure> {
        let (mut has_ticked, mut is_new) = (false, false);
        if !dashboard.is_paused {
            let stamps = self.stamps_of(self.path(dashboard));
            if stamps == self.stamps {
                // A run that was killed leaves no trace in a file, and a clock goes on.
                let before = dashboard.facts.clone();
                let run = RunReader::open_in(self.place.clone(), self.path(dashboard))?;
                let now = self.place.surroundings.now();
                reading::times(&run, now, &self.memory, &mut dashboard.facts)?;
                has_ticked = dashboard.facts != before;
            } else {
                self.read(dashboard)?;
                is_new = true;
            }
        }
        let wanted = dashboard.wanted();
        let is_current =
            |chart: &Chart, wanted: &Wanted| chart.scope == wanted.scope && !chart.is_quick;
        let is_whole = wanted.as_ref().is_none_or(|wanted| {
            wanted.columns.iter().all(|column| {
                let chart = dashboard.charts.get(&(wanted.is_system, column.clone()));
                chart.is_some_and(|chart| is_current(chart, wanted))
            })
        });
        if !is_new && is_whole && wanted == self.wanted {
            return Ok((has_ticked, false));
        }
        let is_more = match &wanted {
            Some(wanted) => self.curves(wanted, dashboard)?,
            None => false,
        };
        self.wanted = wanted;
        Ok((true, is_more))
    }

    fn path(&self, dashboard: &Dashboard) -> &Path {
        dashboard
            .shown_run
            .and_then(|run| self.paths.get(run))
            .map_or(Path::new("."), PathBuf::as_path)
    }

    fn stamps_of(&self, run: &Path) -> Stamps {
        // What cannot be seen is as if it did not exist.
        let stamp = |name| self.place.files.stamp(&run.join(name)).ok().flatten();
        [RUN_JSON, METRICS, SYSTEM, CHECKPOINTS].map(stamp)
    }

    /// Reads all facts whose files have changed.
    fn read(&mut self, dashboard: &mut Dashboard) -> Result<(), Failure> {
        let path = self.path(dashboard).to_path_buf();
        let stamps = self.stamps_of(&path);
        let now = self.place.surroundings.now();
        let run = RunReader::open_in(self.place.clone(), &path)?;
        let facts = &mut dashboard.facts;
        facts.problems.clear();
        // Each part by itself: a damaged checkpoint hides no curve.
        let mut problems = Vec::new();
        let mut note = |part: &str, done: Result<(), Failure>| {
            problems.extend(done.err().map(|error| format!("{part}: {error}")));
        };
        note("metrics", reading::facts(&run, self.until, &mut self.memory, facts));
        if stamps[2] != self.stamps[2] {
            let read = run.system_metrics().map_err(Failure::from);
            note(
                "system",
                read.and_then(|file| file.map_or(Ok(()), |file| reading::system(&file, facts))),
            );
        }
        if stamps[3] != self.stamps[3] {
            note("checkpoints", reading::kept(&run, now, facts));
        }
        note("status", reading::times(&run, now, &self.memory, facts));
        facts.problems = problems;
        self.stamps = stamps;
        Ok(())
    }

    /// Reads the curves of a screen. Returns whether some of them are bounds only, so far.
    fn curves(&mut self, wanted: &Wanted, dashboard: &mut Dashboard) -> Result<bool, Failure> {
        let run = RunReader::open_in(self.place.clone(), self.path(dashboard))?;
        let system = if wanted.is_system { run.system_metrics()? } else { None };
        let Some(sheet) = sheet(&run, system.as_ref(), dashboard.facts.state)? else {
            return Ok(false);
        };
        let key = |column: &String| (wanted.is_system, column.clone());
        // What is on the screen no longer is read again when it is.
        let is_seen =
            |key: &(bool, String)| key.0 == wanted.is_system && wanted.columns.contains(&key.1);
        dashboard.charts.retain(|key, _| is_seen(key));
        let is_known = |column: &&String, dashboard: &Dashboard| {
            dashboard.charts.get(&key(column)).is_some_and(|chart| chart.scope == wanted.scope)
        };
        let keep = |columns: Vec<String>, charts: Vec<Chart>, dashboard: &mut Dashboard| {
            dashboard.charts.extend(columns.iter().map(key).zip(charts));
        };
        let unknown = wanted.columns.iter().filter(|column| !is_known(column, dashboard));
        let unknown: Vec<_> = unknown.cloned().collect();
        if !sheet.is_small() && !unknown.is_empty() && wanted.scope.halvings == 0 {
            let quick = Wanted { columns: unknown.clone(), ..*wanted };
            let charts = sheet.quick(&quick, &mut self.cache);
            keep(unknown, charts, dashboard);
            return Ok(true);
        }
        let is_quick = |column: &&String| {
            dashboard.charts.get(&key(column)).is_some_and(|chart| chart.is_quick)
        };
        let due = wanted.columns.iter().find(is_quick).cloned();
        // One after the other, so that keys are answered in between.
        let columns = due.map_or_else(|| wanted.columns.clone(), |column| vec![column]);
        let now = Wanted { columns: columns.clone(), ..*wanted };
        let charts = sheet.exact(&now, &mut self.cache);
        keep(columns, charts, dashboard);
        Ok(dashboard.charts.values().any(|chart| chart.is_quick))
    }

    /// Finds the runs again, if some may have been created.
    fn list(&mut self, dashboard: &mut Dashboard) -> Result<(), Failure> {
        if let Some(dir) = &self.dir {
            let found = RunDirectory::new_in(self.place.clone(), dir).list()?;
            // Places in the list are not given to other runs.
            let new: Vec<_> = found.into_iter().filter(|path| !self.paths.contains(path)).collect();
            self.paths.extend(new);
        }
        self.listed.resize(self.paths.len(), None);
        self.listed_at = Some(Instant::now());
        for path in &self.paths[dashboard.runs.len()..] {
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
            let line =
                RunLine { name, state: None, rows: 0, step: None, best: None, problem: None };
            dashboard.runs.push(line);
        }
        Ok(())
    }

    /// The run that changed last.
    fn newest(&self) -> Option<usize> {
        let changed = |path: &PathBuf| {
            let stamps = self.stamps_of(path);
            stamps.iter().flatten().map(Stamp::modified).max()
        };
        (0..self.paths.len()).max_by_key(|at| changed(&self.paths[*at]))
    }

    /// Reads the lines of the list of runs that are on the screen and may have changed.
    fn list_on_screen(&mut self, dashboard: &mut Dashboard) -> Result<bool, Failure> {
        let before = dashboard.runs.clone();
        let is_due = self.listed_at.is_none_or(|at| at.elapsed() >= PAUSE.1);
        if is_due && self.dir.is_some() {
            self.list(dashboard)?;
        }
        let height = Plan::of(dashboard.size, false).map_or(0, |plan| plan.body.height);
        let (first, room) = panels::runs_on_screen(dashboard.chosen(), height);
        for at in (first..self.paths.len()).take(room) {
            let stamps = self.stamps_of(&self.paths[at]);
            let line = &mut dashboard.runs[at];
            let may_end = matches!(line.state, None | Some(RunState::Running | RunState::Unknown));
            if self.listed[at] == Some(stamps) && !may_end {
                continue;
            }
            let read = RunReader::open_in(self.place.clone(), &self.paths[at]);
            let read = read.map_err(Failure::from).and_then(|run| reading::told(&run, line));
            line.problem = read.err().map(|error| error.to_string());
            self.listed[at] = Some(stamps);
        }
        Ok(dashboard.runs != before)
    }
}

fn sheet<'a>(
    run: &'a RunReader,
    system: Option<&'a MetricsFile>,
    state: Option<RunState>,
) -> Result<Option<Sheet<'a>>, Failure> {
    // A run that is written has better things to do with the cores.
    let threads = (state == Some(RunState::Running)).then_some(1);
    if let Some(file) = system {
        return Ok(Some(Sheet { file, rows: iter::once(0..file.rows()).collect(), threads }));
    }
    let Some(file) = run.metrics()? else { return Ok(None) };
    let rows = run.current_rows()?.into_iter().map(|part| part.rows).collect();
    Ok(Some(Sheet { file, rows, threads }))
}
