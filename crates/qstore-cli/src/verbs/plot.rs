//! `qstore plot`: curves in the terminal or as an SVG, exact for every number of rows: a spike of one row is always
//! on it.

use crate::console::Console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::metric::Metric;
use crate::output::escape::{shown, shown_path};
use crate::output::json::Number;
use crate::place::{Kind, Place};
use crate::runs;
use qstore_parquet::MetricsFile;
use qstore_storage::{FileSystem, LocalFs, Replacement};
use qstore_view::{Braille, Cache, Request, Series, Svg, XAxis, exact};
use serde::Serialize;
use std::iter;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Without a terminal, a picture has this size in characters.
const COLUMNS: usize = 100;
const LINES: usize = 20;
/// The size of an SVG in pixels.
const SVG: (u32, u32) = (960, 400);

/// Draw metrics as curves, in the terminal or as an SVG
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  qstore plot runs/run_003 -y train_loss --log-y
  qstore plot runs/run_003 runs/run_004 -y val_loss -x epoch --svg loss.svg")]
pub struct Plot {
    /// Runs, metrics files, or directories of runs [default: the current directory]
    paths: Vec<PathBuf>,
    /// The columns [default: the goal of the run]
    #[arg(short = 'y', value_name = "NAME", value_delimiter = ',')]
    columns: Vec<String>,
    /// What x is [default: step, or epoch if no value has a step]
    #[arg(short = 'x', value_enum, value_name = "X")]
    x: Option<X>,
    /// Divide the y axis by powers
    #[arg(long)]
    log_y: bool,
    /// Divide the x axis by powers
    #[arg(long)]
    log_x: bool,
    /// Draw an average on top of an SVG, with this weight: 0.9
    #[arg(long, value_name = "WEIGHT", default_value_t = 0.0, hide_default_value = true)]
    smooth: f64,
    /// The least x
    #[arg(long, value_name = "X", allow_hyphen_values = true)]
    from: Option<f64>,
    /// The greatest x
    #[arg(long, value_name = "X", allow_hyphen_values = true)]
    to: Option<f64>,
    /// The width: characters, or pixels of an SVG
    #[arg(long, value_name = "N")]
    width: Option<u32>,
    /// The height, likewise
    #[arg(long, value_name = "N")]
    height: Option<u32>,
    /// Write an SVG instead; an existing file is replaced
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum X {
    Step,
    Epoch,
    Time,
    Relative,
    Row,
}

#[derive(Serialize)]
struct Body<'a> {
    series: Vec<SeriesBody<'a>>,
}

#[derive(Serialize)]
struct SeriesBody<'a> {
    run: &'a str,
    column: &'a str,
    x: &'static str,
    /// x, min, max, first, last, number of rows: one for each pixel column that has rows.
    points: Vec<[Number; 6]>,
    nans: u64,
    infinite: u64,
    /// Rows without a value, in the picture or not.
    nulls: u64,
    /// Rows with a value that have no place on the axis, in the chunks that the picture needs.
    left_out: u64,
}

/// What is drawn of one run.
struct Source {
    name: String,
    file: MetricsFile,
    /// The rows that count, for each attempt.
    rows: Vec<Range<u64>>,
    columns: Vec<String>,
    cache: Cache,
}

impl Plot {
    /// Runs the verb.
    ///
    /// # Errors
    /// If a run cannot be read, or no run has the column.
    pub fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let mut sources = self.sources(console)?;
        let braille = self.braille(console);
        let (width, height) = (self.width.unwrap_or(SVG.0), self.height.unwrap_or(SVG.1));
        let svg = Svg::new(width, height).log_y(self.log_y).smooth(self.smooth);
        let is_svg = self.svg.is_some();
        let dots = if is_svg { svg.width() } else { braille.width() };
        let (x, series) = self.series(&mut sources, dots)?;
        self.talk(&sources, &series, console)?;
        if let Some(path) = &self.svg {
            let files: Arc<dyn FileSystem> = Arc::new(LocalFs::new());
            let mut file = Replacement::of(&files, path)?;
            file.append(svg.draw(&harmless(&series)).as_bytes())?;
            file.commit()?;
        }
        if console.is_json() {
            let series = series.iter().map(|series| body(series, x)).collect();
            console.document("plot", &Body { series })?;
        } else if let Some(path) = &self.svg {
            console.line(shown_path(path))?;
        } else {
            let picture = braille.draw(&harmless(&series));
            picture.lines().try_for_each(|line| console.line(line))?;
        }
        Ok(Exit::Done)
    }

    fn braille(&self, console: &Console<'_>) -> Braille {
        let width = self.width.map(|width| width as usize).or(console.width()).unwrap_or(COLUMNS);
        let height = self.height.map_or(LINES, |height| height as usize);
        Braille::new(width, height).color(console.is_colored()).log_y(self.log_y)
    }

    /// The runs, each with the columns that it has of those that are wanted.
    fn sources(&self, console: &Console<'_>) -> Result<Vec<Source>, Failure> {
        let mut sources = Vec::new();
        for path in console.paths_or_default(&self.paths) {
            let place = Place::find(&path)?;
            if place.kind == Kind::Metrics {
                let file = MetricsFile::open(&path)?;
                let rows = iter::once(0..file.rows()).collect();
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                sources.push(Source::new(name, file, rows, self.columns.clone()));
                continue;
            }
            for dir in runs::find(&[path], false, "plot")? {
                let run = runs::open_one(&dir, console)?;
                if run.metrics()?.is_none() {
                    continue;
                }
                let columns = match (&*self.columns, Metric::of_run(&run)?) {
                    ([], Some(metric)) => vec![metric.name],
                    (columns, _) => columns.to_vec(),
                };
                let rows = run.current_rows()?.into_iter().map(|part| part.rows).collect();
                let file = MetricsFile::open(dir.join(crate::place::METRICS))?;
                sources.push(Source::new(runs::name(&run), file, rows, columns));
            }
        }
        if sources.iter().all(|source| source.columns.is_empty()) {
            let wanted = match &*self.columns {
                [] => "no run has a goal or a loss; name a column with -y".to_owned(),
                columns => format!(
                    "no run has a column `{}`; `qstore show` lists them",
                    columns.join("`, `")
                ),
            };
            return Err(Failure::missing(wanted));
        }
        for name in &self.columns {
            if sources.iter().all(|source| !source.columns.contains(name)) {
                let whose = if sources.len() == 1 { "the run has no" } else { "no run has a" };
                return Err(Failure::missing(format!(
                    "{whose} column `{name}`; `qstore show` lists them"
                )));
            }
        }
        Ok(sources)
    }

    /// What is not on the picture although it was asked for.
    fn talk(
        &self,
        sources: &[Source],
        series: &[Series],
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let advice = "is on this axis; try -x epoch, or a wider --from/--to";
        let empty = |series: &&Series| series.is_empty();
        if series.iter().all(Series::is_empty) {
            let mut names: Vec<_> = series.iter().map(|series| &*series.column).collect();
            names.dedup();
            let names = names.join("`, `");
            return Err(Failure::missing(format!("nothing to draw: no row of `{names}` {advice}")));
        }
        for source in sources {
            for name in self.columns.iter().filter(|name| !source.columns.contains(name)) {
                console.note(format!("{} has no column `{name}`", source.name));
            }
        }
        for Series { run, column, .. } in series.iter().filter(empty) {
            let of = if run.is_empty() { String::new() } else { format!("{run}: ") };
            console.note(format!("{of}no row of `{column}` {advice}"));
        }
        Ok(())
    }

    /// All series, and the axis that they are on.
    fn series(&self, sources: &mut [Source], width: u32) -> Result<(X, Vec<Series>), Failure> {
        let x = self.x.unwrap_or(X::Step);
        let has = |sources: &[Source], name: &str| {
            sources.iter().all(|source| source.columns.is_empty() || source.has(name))
        };
        // A value that sums up an epoch has no step, and some files have no steps at all.
        let may_be_epochs = self.x.is_none() && has(sources, "epoch");
        if may_be_epochs && !has(sources, "step") {
            return Ok((X::Epoch, self.series_over(X::Epoch, sources, width)?));
        }
        let series = self.series_over(x, sources, width)?;
        if !may_be_epochs || !series.iter().all(Series::is_empty) {
            return Ok((x, series));
        }
        // Not because the window is where no row is.
        let has_steps = self.read(x, sources, width, None, None)?;
        if has_steps.iter().any(|series| !series.is_empty()) {
            return Ok((x, series));
        }
        Ok((X::Epoch, self.series_over(X::Epoch, sources, width)?))
    }

    /// All series, over one x axis.
    fn series_over(
        &self,
        x: X,
        sources: &mut [Source],
        width: u32,
    ) -> Result<Vec<Series>, Failure> {
        let (mut from, mut to) = (self.from, self.to);
        let is_shared = sources.len() > 1 && (from.is_none() || to.is_none());
        if is_shared {
            // Once to see how far each run goes, and once for the picture; what was read is kept.
            let mut ends: Option<(f64, f64)> = None;
            for series in
                self.read(x, sources, width, from, to)?.iter().filter(|series| !series.is_empty())
            {
                let (low, high) = (series.grid.from(), series.grid.to());
                ends = Some(ends.map_or((low, high), |(from, to)| (from.min(low), to.max(high))));
            }
            from = from.or(ends.map(|(low, _)| low));
            to = to.or(ends.map(|(_, high)| high));
        }
        self.read(x, sources, width, from, to)
    }

    fn read(
        &self,
        x: X,
        sources: &mut [Source],
        width: u32,
        from: Option<f64>,
        to: Option<f64>,
    ) -> Result<Vec<Series>, Failure> {
        let mut all = Vec::new();
        let is_named = sources.len() > 1;
        for source in sources.iter_mut().filter(|source| !source.columns.is_empty()) {
            let request = Request::new(&source.columns)
                .x(x.axis())
                .log_x(self.log_x)
                .window(from, to)
                .width(width)
                .rows(source.rows.iter().cloned());
            for series in exact(&source.file, &request, &mut source.cache)? {
                all.push(if is_named { series.named(&*source.name) } else { series });
            }
        }
        Ok(all)
    }
}

fn body(series: &Series, x: X) -> SeriesBody<'_> {
    let total = series.total();
    SeriesBody {
        run: &series.run,
        column: &series.column,
        x: x.name(),
        points: series.points().map(|point| point.map(Number)).collect(),
        nans: total.nans,
        infinite: total.odd() - total.nans,
        nulls: series.nulls,
        left_out: series.left_out,
    }
}

/// The same series, with names that can be printed.
fn harmless(series: &[Series]) -> Vec<Series> {
    let shown = series.iter().map(|series| {
        let mut series = series.clone();
        series.column = shown(&series.column).into_owned();
        series.run = shown(&series.run).into_owned();
        series
    });
    shown.collect()
}

impl Source {
    fn new(name: String, file: MetricsFile, rows: Vec<Range<u64>>, columns: Vec<String>) -> Self {
        let has = |name: &String| file.fields().iter().any(|field| field.name == name.as_str());
        let columns = columns.into_iter().filter(has).collect();
        Self { name, file, rows, columns, cache: Cache::new() }
    }

    fn has(&self, name: &str) -> bool {
        self.file.fields().iter().any(|field| field.name == name)
    }
}

impl X {
    fn axis(self) -> XAxis {
        match self {
            Self::Step => XAxis::Step,
            Self::Epoch => XAxis::Epoch,
            Self::Time => XAxis::Time,
            Self::Relative => XAxis::Relative,
            Self::Row => XAxis::Row,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Epoch => "epoch",
            Self::Time => "time",
            Self::Relative => "relative",
            Self::Row => "row",
        }
    }
}
