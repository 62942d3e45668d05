//! Curves as the page draws them: the pixel columns of `qstore-view`, exact, in little text.

use crate::catalog::Listed;
use crate::error::PageError;
use crate::number::Number;
use crate::packed::{Packed, floats, fractions};
use qstore_parquet::MetricsFile;
use qstore_run::RunReader;
use qstore_schema::DataType;
use qstore_view::{Bucket, Cache, Envelope, Grid, Request, Series, Trace, XAxis, exact};
use serde::Serialize;
use std::ops::Range;

/// More pixel columns than this are not drawn.
pub(crate) const WIDTH_MAX: u32 = 8_192;
/// The least that is worth a request.
const WIDTH_MIN: u32 = 16;

/// What is drawn.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of a request, whatever the others are"
)]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) columns: Vec<String>,
    pub(crate) x: XAxis,
    pub(crate) is_log_x: bool,
    pub(crate) from: Option<f64>,
    pub(crate) to: Option<f64>,
    pub(crate) width: u32,
    /// Whether rows that were superseded are wanted, too.
    pub(crate) with_superseded: bool,
    /// Whether the bounds of the footer will do.
    pub(crate) is_quick: bool,
    /// Whether the metrics of the system are meant.
    pub(crate) is_system: bool,
}

/// The curves of some runs on one x axis.
#[derive(Debug, Serialize)]
pub(crate) struct Pictures {
    schema: &'static str,
    x: &'static str,
    log: bool,
    series: Vec<Picture>,
}

impl Pictures {
    /// Whether there is anything to see.
    pub(crate) fn has_curve(&self) -> bool {
        self.series.iter().any(|picture| !picture.traces.is_empty())
    }
}

/// A curve of one run.
#[derive(Debug, Serialize)]
struct Picture {
    run: usize,
    column: String,
    grid: Option<GridBody>,
    traces: Vec<TraceBody>,
    /// The least x, the largest, the least value and the largest, of up to 65 536 rows each: a picture at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    bands: Option<Vec<[Number; 4]>>,
    nulls: u64,
    left_out: u64,
}

/// The x axis in pixel columns.
#[derive(Debug, Clone, Copy, Serialize)]
struct GridBody {
    from: f64,
    to: f64,
    columns: u32,
}

/// A line: one entry of each list for each pixel column that has rows.
#[derive(Debug, Serialize)]
struct TraceBody {
    /// The attempt of the run that logged the rows; nothing if they were logged without a run.
    attempt: Option<u64>,
    superseded: bool,
    /// Where the line comes from: a pixel column left of the picture, and a value.
    lead: Option<(i64, Number)>,
    /// Where it leads to.
    tail: Option<(i64, Number)>,
    /// Consecutive pixel columns: the first, and how many.
    columns: Vec<(u32, u32)>,
    min: Packed,
    /// Nothing where `min` is all there is, as of columns with one row each.
    #[serde(skip_serializing_if = "Option::is_none")]
    rest: Option<Rest>,
    /// Places in the lists, and how many values are NaN, +∞ and −∞.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    odd: Vec<(usize, u64, u64, u64)>,
    /// Places in the lists where no line leads there, or away: 1, 2, or 3 for both.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    broken: Vec<(usize, u8)>,
    rows: u64,
}

#[derive(Debug, Serialize)]
struct Rest {
    max: Packed,
    first: Packed,
    last: Packed,
    /// How far the mean is from the least to the largest value.
    mean: Packed,
}

/// The rows that are drawn: of which attempt, and which.
struct Part {
    attempt: Option<u64>,
    rows: Range<u64>,
}

/// A file of a run, and what is drawn of it.
struct Sheet<'a> {
    run: usize,
    file: &'a MetricsFile,
    current: Vec<Part>,
    superseded: Vec<Part>,
    columns: Vec<String>,
}

impl Wanted {
    /// The series of these runs, all on one axis. A run without a column has no series of it.
    pub(crate) fn draw(
        &self,
        runs: &[(Listed, RunReader)],
        cache: &mut Cache,
    ) -> Result<Pictures, PageError> {
        let system = |(_, reader): &(Listed, RunReader)| {
            if self.is_system { reader.system_metrics() } else { Ok(None) }
        };
        let systems = runs.iter().map(system).collect::<Result<Vec<_>, _>>()?;
        let mut sheets = Vec::new();
        for ((run, reader), system) in runs.iter().zip(&systems) {
            sheets.extend(self.sheet(run.id, reader, system.as_ref())?);
        }
        let (from, to) = self.ends(&sheets, cache)?;
        let mut series = Vec::new();
        for sheet in &sheets {
            let request = self.request(sheet, &sheet.current, from, to);
            if self.is_quick {
                let envelopes = Envelope::of(sheet.file, &request, cache)?;
                series.extend(envelopes.iter().map(|one| Picture::of_envelope(sheet.run, one)));
                continue;
            }
            let mut pictures: Vec<_> = exact(sheet.file, &request, cache)?
                .iter()
                .map(|one| Picture::of_series(sheet.run, one, &sheet.current))
                .collect();
            if !sheet.superseded.is_empty() {
                let request = self.request(sheet, &sheet.superseded, from, to);
                let gone = exact(sheet.file, &request, cache)?;
                for (picture, gone) in pictures.iter_mut().zip(&gone) {
                    picture.add(gone, &sheet.superseded, true);
                }
            }
            series.extend(pictures);
        }
        let (x, log) = (name_of(self.x), self.is_log_x);
        Ok(Pictures { schema: "qstore.page.series/1", x, log, series })
    }

    /// What is drawn of a run; nothing if it has none of the columns, or not this x.
    fn sheet<'a>(
        &self,
        run: usize,
        reader: &'a RunReader,
        system: Option<&'a MetricsFile>,
    ) -> Result<Option<Sheet<'a>>, PageError> {
        let file = if self.is_system { system } else { reader.metrics()? };
        let Some(file) = file else { return Ok(None) };
        let find = |name: &str| file.fields().iter().find(|field| field.name == name);
        let is_number = |data_type| matches!(data_type, DataType::Int64 | DataType::Float64);
        let has = |name: &&String| find(name).is_some_and(|field| is_number(field.data_type));
        let columns: Vec<_> = self.columns.iter().filter(has).cloned().collect();
        if columns.is_empty() || self.x.column().is_some_and(|x| find(x).is_none()) {
            return Ok(None);
        }
        let (mut current, mut superseded) = (Vec::new(), Vec::new());
        if self.is_system {
            current.push(Part { attempt: None, rows: 0..file.rows() });
        } else {
            let parts = reader.current_rows()?.into_iter();
            current.extend(parts.map(|part| Part { attempt: part.attempt, rows: part.rows }));
            if self.with_superseded {
                for rows in reader.superseded()? {
                    superseded.extend(parts_of(file, rows));
                }
            }
        }
        Ok(Some(Sheet { run, file, current, superseded, columns }))
    }

    /// The ends of the x axis, if several pictures must have the same.
    fn ends(
        &self,
        sheets: &[Sheet<'_>],
        cache: &mut Cache,
    ) -> Result<(Option<f64>, Option<f64>), PageError> {
        let has_more = sheets.len() > 1 || sheets.iter().any(|sheet| !sheet.superseded.is_empty());
        if !has_more || self.from.is_some() && self.to.is_some() {
            return Ok((self.from, self.to));
        }
        // What was read for this is kept for the pictures.
        let mut ends: Option<(f64, f64)> = None;
        for sheet in sheets {
            for parts in [&sheet.current, &sheet.superseded] {
                let request = self.request(sheet, parts, self.from, self.to);
                let reached = if self.is_quick {
                    let envelopes = Envelope::of(sheet.file, &request, cache)?;
                    let shown = envelopes.iter().filter(|one| !one.bands.is_empty());
                    shown.map(|one| one.grid).next()
                } else {
                    let series = exact(sheet.file, &request, cache)?;
                    let shown = series.iter().filter(|one| !one.is_empty());
                    shown.map(|one| one.grid).next()
                };
                if let Some(grid) = reached {
                    let (low, high) = ends.unwrap_or((grid.from(), grid.to()));
                    ends = Some((low.min(grid.from()), high.max(grid.to())));
                }
            }
        }
        Ok((self.from.or(ends.map(|(low, _)| low)), self.to.or(ends.map(|(_, high)| high))))
    }

    fn request(
        &self,
        sheet: &Sheet<'_>,
        parts: &[Part],
        from: Option<f64>,
        to: Option<f64>,
    ) -> Request {
        Request::new(&sheet.columns)
            .x(self.x)
            .log_x(self.is_log_x)
            .window(from, to)
            .width(self.width.clamp(WIDTH_MIN, WIDTH_MAX))
            .rows(parts.iter().map(|part| part.rows.clone()))
    }
}

/// Consecutive rows, divided by the attempts that logged them.
fn parts_of(file: &MetricsFile, rows: Range<u64>) -> Vec<Part> {
    let segments = file.audit().map_or(&[][..], |audit| &audit.segments);
    let mut parts = Vec::new();
    let mut start = rows.start;
    while start < rows.end {
        let owner = segments.iter().rfind(|segment| segment.first_row <= start);
        let next = segments.iter().map(|segment| segment.first_row);
        let end = next.filter(|first| *first > start).min().unwrap_or(u64::MAX).min(rows.end);
        parts.push(Part { attempt: owner.and_then(|owner| owner.attempt), rows: start..end });
        start = end;
    }
    parts
}

impl Picture {
    fn of_series(run: usize, series: &Series, parts: &[Part]) -> Self {
        let mut picture = Self {
            run,
            column: series.column.clone(),
            grid: Some(GridBody::of(series.grid)),
            traces: Vec::new(),
            bands: None,
            nulls: series.nulls,
            left_out: series.left_out,
        };
        picture.add(series, parts, false);
        picture
    }

    fn add(&mut self, series: &Series, parts: &[Part], superseded: bool) {
        let traces = series.traces.iter().filter(|trace| !trace.buckets.is_empty());
        self.traces.extend(traces.map(|trace| {
            let attempt = parts.get(trace.attempt).and_then(|part| part.attempt);
            TraceBody::of(trace, attempt, superseded)
        }));
    }

    fn of_envelope(run: usize, envelope: &Envelope) -> Self {
        let shown = envelope.bands.iter().filter(|band| !band.min.is_nan());
        let bands = shown.map(|band| [band.x0, band.x1, band.min, band.max].map(Number)).collect();
        Self {
            run,
            column: envelope.column.clone(),
            grid: Some(GridBody::of(envelope.grid)),
            traces: Vec::new(),
            bands: Some(bands),
            nulls: envelope.bands.iter().map(|band| band.nulls).sum(),
            left_out: 0,
        }
    }
}

impl GridBody {
    fn of(grid: Grid) -> Self {
        Self { from: grid.from(), to: grid.to(), columns: grid.columns() }
    }
}

impl TraceBody {
    fn of(trace: &Trace, attempt: Option<u64>, superseded: bool) -> Self {
        let buckets: Vec<&Bucket> = trace.buckets.iter().map(|(_, bucket)| bucket).collect();
        let mut columns: Vec<(u32, u32)> = Vec::new();
        for (column, _) in &trace.buckets {
            match columns.last_mut() {
                Some((start, count)) if *start + *count == *column => *count += 1,
                _ => columns.push((*column, 1)),
            }
        }
        let is_one = |bucket: &&Bucket| {
            let Bucket { min, max, first, last, .. } = bucket;
            bucket.finite() == 0 || min >= max && first >= max && last >= max
        };
        let list = |of: fn(&Bucket) -> f64| buckets.iter().map(|one| of(one)).collect::<Vec<_>>();
        let rest = (!buckets.iter().all(is_one)).then(|| {
            let place = |one: &Bucket| {
                let place = (one.mean() * 0.5 - one.min * 0.5) / (one.max * 0.5 - one.min * 0.5);
                place.clamp(0.0, 1.0)
            };
            Rest {
                max: floats(&list(|one| one.max)),
                first: floats(&list(|one| one.first)),
                last: floats(&list(|one| one.last)),
                mean: fractions(&buckets.iter().map(|one| place(one)).collect::<Vec<_>>()),
            }
        });
        let odd = buckets.iter().enumerate().filter(|(_, one)| one.odd() > 0);
        let broken = buckets.iter().enumerate().map(|(at, one)| {
            (at, u8::from(one.is_broken_before) | u8::from(one.is_broken_after) << 1)
        });
        let end = |point: Option<qstore_view::Point>| {
            point.map(|point| (point.column, Number(point.value)))
        };
        Self {
            attempt,
            superseded,
            lead: end(trace.lead),
            tail: end(trace.tail),
            columns,
            min: floats(&list(|one| one.min)),
            rest,
            odd: odd.map(|(at, one)| (at, one.nans, one.above, one.below)).collect(),
            broken: broken.filter(|(_, sides)| *sides > 0).collect(),
            rows: buckets.iter().map(|one| one.n).sum(),
        }
    }
}

/// The word for an x in a request.
pub(crate) fn x_of(name: &str) -> Option<XAxis> {
    [XAxis::Step, XAxis::Epoch, XAxis::Time, XAxis::Relative, XAxis::Row]
        .into_iter()
        .find(|x| name_of(*x) == name)
}

fn name_of(x: XAxis) -> &'static str {
    match x {
        XAxis::Step => "step",
        XAxis::Epoch => "epoch",
        XAxis::Time => "time",
        XAxis::Relative => "relative",
        _ => "row",
    }
}
