//! The page with its data inside: one file that asks nobody for anything.

use crate::asset;
use crate::catalog::{Catalog, Listed, Source};
use crate::detail::Detail;
use crate::epochs::Epochs;
use crate::error::PageError;
use crate::number::millis;
use crate::picture::Wanted;
use crate::site::{RunsBody, Site, SiteSettings};
use crate::summary::{Summary, numbers};
use qstore_run::{RunPlace, RunReader};
use qstore_view::{Cache, XAxis};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What a report has.
///
/// ```
/// use qstore_page::{Report, Source};
/// use qstore_run::{Run, RunPlace, RunSettings};
///
/// # let runs = tempfile::tempdir()?;
/// let mut run = Run::create(runs.path(), RunSettings::default())?;
/// for step in 0..100 {
///     run.log_step((0, step, 1.0 / (1 + step) as f64))?; // epoch, step, loss
/// }
/// run.finish()?;
/// let html = Report::default().title("A loss").write(RunPlace::default(), Source::Runs(vec![run.path().into()]))?;
/// assert!(html.contains("<title>A loss</title>"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Report {
    /// What it is called. Default: the name of the run, or of their directory.
    pub title: Option<String>,
    /// The columns that are drawn. Default: all that hold numbers.
    pub columns: Option<Vec<String>>,
    /// How many pixel columns a curve has, which is how far one can zoom; 16 to 8 192. Default: 2 000.
    pub width: u32,
}

impl Default for Report {
    fn default() -> Self {
        Self { title: None, columns: None, width: 2_000 }
    }
}

impl Report {
    /// What it is called.
    #[must_use]
    pub fn title(self, title: impl Into<String>) -> Self {
        Self { title: Some(title.into()), ..self }
    }

    /// Only these columns are drawn.
    #[must_use]
    pub fn columns(self, columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { columns: Some(columns.into_iter().map(Into::into).collect()), ..self }
    }

    /// How many pixel columns a curve has.
    #[must_use]
    pub fn width(self, pixels: u32) -> Self {
        Self { width: pixels, ..self }
    }

    /// The whole file. Every curve is exact for its width, whatever the number of rows.
    ///
    /// # Errors
    /// If there is no run, or one cannot be read: a report must not hide a run without a word.
    pub fn write(&self, place: RunPlace, source: Source) -> Result<String, PageError> {
        let path = match &source {
            Source::Directory { path, .. } => path.clone(),
            Source::Runs(paths) => paths.first().cloned().unwrap_or_default(),
        };
        let now = place.surroundings.now();
        let site = Site::new(place, source, 0, SiteSettings::default());
        let catalog = site.catalog();
        let summaries = site.summaries()?;
        if summaries.is_empty() {
            return Err(PageError::NoRun { path });
        }
        let mut opened = Vec::new();
        for summary in &summaries {
            let run = catalog.find(summary.id).expect("it was listed");
            let reader = catalog.open(&run)?;
            opened.push((run, reader));
        }
        let title = self.title.clone().unwrap_or_else(|| catalog.title());
        let data = self.data(catalog, &title, &summaries, &opened)?;
        let json = json!({ "made": millis(now), "answers": data.0, "series": data.1 });
        Ok(asset::report(&title, &json.to_string()))
    }

    /// The answers that the page would get from a server, under what it would ask for.
    fn data(
        &self,
        catalog: &Catalog,
        title: &str,
        summaries: &[Summary],
        opened: &[(Listed, RunReader)],
    ) -> Result<(Map<String, Value>, Vec<Value>), PageError> {
        let mut answers: Map<String, Value> = Map::new();
        let runs = RunsBody { schema: "qstore.page.runs/1", title, runs: summaries };
        answers.insert("api/runs".into(), serde_json::to_value(&runs)?);
        let mut columns = BTreeSet::new();
        let mut system = BTreeSet::new();
        for (run, reader) in opened {
            let detail = Detail::read(run, reader, catalog.version(run))?;
            system.extend(detail.system.iter().cloned());
            answers.insert(format!("api/run/{}", run.id), serde_json::to_value(&detail)?);
            let epochs = Epochs::read(reader)?;
            answers.insert(format!("api/epochs/{}", run.id), serde_json::to_value(&epochs)?);
            columns.extend(numbers(reader)?);
        }
        if let Some(wanted) = &self.columns {
            columns.retain(|name| wanted.contains(name));
        }
        let mut cache = Cache::new();
        let mut series: Vec<Value> = Vec::new();
        for (is_system, columns) in [(false, columns), (true, system)] {
            for column in columns {
                series.extend(self.draw(&column, is_system, opened, &mut cache)?);
            }
        }
        Ok((answers, series))
    }

    /// A curve over the step or, if no row has one, over the epoch; of the system over the time.
    fn draw(
        &self,
        column: &str,
        is_system: bool,
        opened: &[(Listed, RunReader)],
        cache: &mut Cache,
    ) -> Result<Option<Value>, PageError> {
        let axes: &[XAxis] =
            if is_system { &[XAxis::Time] } else { &[XAxis::Step, XAxis::Epoch, XAxis::Row] };
        for x in axes {
            let wanted = Wanted {
                columns: vec![column.to_owned()],
                x: *x,
                is_log_x: false,
                from: None,
                to: None,
                width: self.width,
                with_superseded: !is_system,
                is_quick: false,
                is_system,
            };
            let drawn = wanted.draw(opened, cache)?;
            if drawn.has_curve() {
                let mut drawn = serde_json::to_value(&drawn)?;
                drawn["column"] = column.into();
                drawn["system"] = is_system.into();
                return Ok(Some(drawn));
            }
        }
        Ok(None)
    }
}
