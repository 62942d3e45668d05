//! Everything that can be learned of a run, while it is written or later; and its tags and notes.

use crate::checkpoints::Checkpoints;
use crate::errors::of_run;
use crate::run_settings::direction;
use crate::values;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use qstore_parquet::MetricsFile;
use qstore_run::{RunDirectory, RunError, RunFile};
use std::ffi::OsString;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// How many rows are read at once, so that Ctrl-C arrives.
const ROWS: u64 = 65_536;

/// A run, open for reading. It takes no lock of the run and writes nothing.
#[pyclass(module = "qstore._native", frozen)]
pub(crate) struct RunReader {
    reader: Mutex<qstore_run::RunReader>,
}

impl RunReader {
    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        ask: impl FnOnce(&mut qstore_run::RunReader) -> Result<T, RunError> + Send,
    ) -> PyResult<T> {
        let asked =
            py.detach(|| ask(&mut self.reader.lock().unwrap_or_else(PoisonError::into_inner)));
        asked.map_err(|error| of_run(&error))
    }
}

#[pymethods]
impl RunReader {
    #[new]
    #[pyo3(signature = (path))]
    fn new(py: Python<'_>, path: PathBuf) -> PyResult<Self> {
        let opened = py.detach(|| qstore_run::RunReader::open(path));
        let reader = Mutex::new(opened.map_err(|error| of_run(&error))?);
        Ok(Self { reader })
    }

    /// What `run.json` says, as JSON.
    fn run_json(&self, py: Python<'_>) -> PyResult<String> {
        self.ask(py, |reader| Ok(json_of(reader.run_json())))
    }

    /// Reads it again, and moves on to the newest version of the metrics file. Whether anything has changed.
    fn refresh(&self, py: Python<'_>) -> PyResult<bool> {
        self.ask(py, qstore_run::RunReader::refresh)
    }

    /// What has become of the run, since how many seconds, and how that is known.
    fn status(&self, py: Python<'_>) -> PyResult<(&'static str, Option<f64>, String)> {
        let status = self.ask(py, |reader| reader.status())?;
        let age = status.age.map(|age| age.as_secs_f64());
        Ok((status.state.name(), age, status.reason.to_string()))
    }

    /// How far the run is.
    fn progress<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let progress = self.ask(py, |reader| reader.progress())?;
        let dict = PyDict::new(py);
        dict.set_item("rows", progress.rows)?;
        dict.set_item("epoch", progress.epoch)?;
        dict.set_item("step", progress.step)?;
        dict.set_item("timestamp", progress.timestamp)?;
        Ok(dict)
    }

    /// The last value of a column that is not null, with its place.
    fn last<'py>(&self, py: Python<'py>, column: &str) -> PyResult<Option<Bound<'py, PyDict>>> {
        let found = self.ask(py, |reader| reader.last(column))?;
        let of = |last: qstore_run::Last| {
            let value = values::object(py, last.value)?;
            place(value, last.row, last.step, last.epoch)
        };
        found.map(of).transpose()
    }

    /// The best finite value of a column, with its place; `goal` is `min` or `max`.
    fn best<'py>(
        &self,
        py: Python<'py>,
        column: &str,
        goal: &str,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        let direction = direction("goal", goal)?;
        let found = self.ask(py, |reader| reader.best(column, direction))?;
        let of = |best: qstore_run::Best| {
            let value = best.value.into_pyobject(py)?.into_any();
            place(value, best.row, best.step, best.epoch)
        };
        found.map(of).transpose()
    }

    /// The rows that count: the attempt that logged them, if any, the first one, and the one after the last one.
    fn current_rows(&self, py: Python<'_>) -> PyResult<Vec<(Option<u64>, u64, u64)>> {
        let current = self.ask(py, |reader| reader.current_rows())?;
        Ok(current.into_iter().map(|part| (part.attempt, part.rows.start, part.rows.end)).collect())
    }

    /// What was lost, by kind, over all attempts.
    fn losses<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let losses = self.ask(py, |reader| reader.losses())?;
        let dict = PyDict::new(py);
        dict.set_item("dropped", losses.dropped)?;
        dict.set_item("evicted", losses.evicted)?;
        dict.set_item("cleared", losses.cleared)?;
        dict.set_item("refused", losses.refused)?;
        dict.set_item("rejected", losses.rejected)?;
        dict.set_item("omitted_values", losses.omitted_values)?;
        Ok(dict)
    }

    /// The number of all rows of the file.
    fn rows(&self, py: Python<'_>) -> PyResult<u64> {
        self.ask(py, |reader| Ok(reader.metrics()?.map_or(0, MetricsFile::rows)))
    }

    /// The names of the columns, in the order of the file.
    fn columns(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let fields = self.ask(py, |reader| {
            let fields = reader.metrics()?.map_or(&[][..], |file| file.fields());
            Ok(fields.iter().map(|field| field.name.to_string()).collect())
        })?;
        Ok(fields)
    }

    /// Columns of rows of the file, as a list for each column.
    #[expect(clippy::needless_pass_by_value, reason = "what Python passes is converted")]
    fn read<'py>(
        &self,
        py: Python<'py>,
        names: Vec<String>,
        ranges: Vec<(u64, u64)>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let dict = PyDict::new(py);
        let lists: Vec<_> = names.iter().map(|_| PyList::empty(py)).collect();
        for rows in ranges.into_iter().flat_map(|(start, end)| pieces(start..end)) {
            py.check_signals()?;
            let table = self.ask(py, |reader| {
                // Without a name it would be all columns.
                let file = reader.metrics()?.filter(|_| !names.is_empty());
                Ok(file.map(|file| file.read(&names, rows)).transpose()?)
            })?;
            let Some(table) = table else { continue };
            for (list, column) in lists.iter().zip(&table.columns) {
                for at in 0..table.rows {
                    list.append(values::object(py, column.values.get(at).unwrap_or_default())?)?;
                }
            }
        }
        for (name, list) in names.iter().zip(lists) {
            dict.set_item(name, list)?;
        }
        Ok(dict)
    }

    /// The checkpoints, to be read; None if there is no directory of them.
    fn checkpoints(&self, py: Python<'_>) -> PyResult<Option<Checkpoints>> {
        Ok(self.ask(py, |reader| reader.checkpoints())?.map(Checkpoints::over))
    }

    /// The lengths of all files of the run together.
    fn size_on_disk(&self, py: Python<'_>) -> PyResult<u64> {
        self.ask(py, |reader| reader.size_on_disk())
    }
}

/// Consecutive ranges of at most [`ROWS`] rows.
fn pieces(rows: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let starts = rows.clone().step_by(ROWS as usize);
    starts.map(move |start| start..rows.end.min(start.saturating_add(ROWS)))
}

fn place(
    value: Bound<'_, PyAny>,
    row: u64,
    step: Option<i64>,
    epoch: Option<i64>,
) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(value.py());
    dict.set_item("value", value)?;
    dict.set_item("row", row)?;
    dict.set_item("step", step)?;
    dict.set_item("epoch", epoch)?;
    Ok(dict)
}

fn json_of(file: &RunFile) -> String {
    serde_json::to_string(file).expect("maps with texts as keys are JSON")
}

/// Adds and removes tags and replaces the notes, while the run goes on or not. Returns `run.json`.
#[pyfunction]
#[pyo3(signature = (path, add, remove, notes))]
pub(crate) fn edit_run(
    py: Python<'_>,
    path: PathBuf,
    add: Vec<String>,
    remove: Vec<String>,
    notes: Option<String>,
) -> PyResult<String> {
    let change = move |file: &mut RunFile| {
        file.tags.retain(|tag| !remove.contains(tag));
        for tag in add {
            if !file.tags.contains(&tag) {
                file.tags.push(tag);
            }
        }
        if let Some(notes) = notes {
            file.notes = notes;
        }
    };
    let edited = py.detach(|| qstore_run::edit_run_json(path, change));
    edited.map(|file| json_of(&file)).map_err(|error| of_run(&error))
}

/// The paths of the runs in a directory, or also in those below it.
#[pyfunction]
pub(crate) fn find_runs(py: Python<'_>, path: PathBuf, deep: bool) -> PyResult<Vec<OsString>> {
    let runs = RunDirectory::new(path);
    let found = py.detach(|| if deep { runs.list_deep() } else { runs.list() });
    let found = found.map_err(|error| of_run(&error))?;
    Ok(found.into_iter().map(PathBuf::into_os_string).collect())
}

/// The path of the run with the largest number in its name.
#[pyfunction]
pub(crate) fn latest_run(py: Python<'_>, path: PathBuf) -> PyResult<Option<OsString>> {
    let found = py.detach(|| RunDirectory::new(path).latest());
    Ok(found.map_err(|error| of_run(&error))?.map(PathBuf::into_os_string))
}
