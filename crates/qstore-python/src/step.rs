//! `Logger.log_step`: which argument is which column.
//!
//! A name is looked up by its address: the interpreter keeps one object for each name in a program. Its text is compared
//! only the first time.

use crate::addresses::ByAddress;
use crate::logged::Logged;
use crate::logging::LogsSteps;
use crate::memory::{Arguments, FastMethod};
use crate::values;
use pyo3::Borrowed;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use qstore_logger::MetricsRow;
use qstore_schema::{Name, SmolStr, TrainingMetrics};
use std::cell::RefCell;
use std::fmt::Write as _;
use std::marker::PhantomData;

/// Where the value of a column is in a row.
#[derive(Clone, Copy)]
enum Place {
    /// Must be passed.
    Index(fn(&mut TrainingMetrics) -> &mut i64),
    Float(fn(&mut TrainingMetrics) -> &mut Option<f64>),
    Int(fn(&mut TrainingMetrics) -> &mut Option<i64>),
    Text(fn(&mut TrainingMetrics) -> &mut Option<SmolStr>),
}

struct Column {
    name: &'static str,
    place: Place,
}

macro_rules! columns {
    ($($place:ident $name:ident)*) => {
        [$(Column { name: stringify!($name), place: Place::$place(|row| &mut row.$name) }),*]
    };
}

/// The parameters, in their order.
static COLUMNS: [Column; 17] = columns! {
    Index epoch
    Index step
    Float train_loss
    Float grad_norm
    Float val_loss
    Float grad_max
    Float grad_min
    Float circuit_execution_time_ms
    Int circuits_executed
    Int qubits_used
    Int shots_per_circuit
    Text backend
    Float queue_time_ms
    Float cost_usd
    Float credits_used
    Float batch_time_ms
    Float throughput_samples_per_sec
};

/// How many of them may be passed without their name.
const POSITIONAL: usize = 4;

/// How many of them must be passed.
const REQUIRED: usize = 2;

/// What the name of an argument means.
#[derive(Clone, Copy)]
enum Meaning {
    /// A parameter, by its number.
    Column(usize),
    /// A metric of its own.
    Extra(Name),
}

thread_local! {
    /// By the addresses of names that are interned, which are kept forever, as `Name` keeps their texts.
    static MEANINGS: RefCell<ByAddress<Meaning>> = RefCell::default();
}

#[inline]
fn known(address: usize) -> Option<Meaning> {
    MEANINGS.with_borrow(|meanings| meanings.get(&address).copied())
}

#[inline]
fn meaning_of(name: Borrowed<'_, '_, PyAny>) -> PyResult<Meaning> {
    known(name.as_ptr() as usize).map_or_else(|| learn(name), Ok)
}

/// The meaning of a name that was not seen before, or that a program has put together.
#[cold]
fn learn(name: Borrowed<'_, '_, PyAny>) -> PyResult<Meaning> {
    let text = name.cast::<PyString>()?;
    let text = text.to_cow()?;
    let interned = PyString::intern(name.py(), &text);
    let address = interned.as_ptr() as usize;
    if let Some(meaning) = known(address) {
        return Ok(meaning);
    }
    let column = COLUMNS.iter().position(|column| column.name == text);
    let meaning = column.map_or_else(|| Meaning::Extra(Name::new(&text)), Meaning::Column);
    // Never freed, so that its address does not become another name's.
    let _kept = interned.into_ptr();
    MEANINGS.with_borrow_mut(|meanings| meanings.insert(address, meaning));
    Ok(meaning)
}

/// A row that is being put together from arguments.
#[derive(Default)]
struct Step {
    metrics: TrainingMetrics,
    /// A bit for each parameter that was passed.
    passed: u32,
}

impl Step {
    #[inline]
    fn set(&mut self, number: usize, value: Borrowed<'_, '_, PyAny>) -> PyResult<()> {
        let column = &COLUMNS[number];
        if self.passed & (1 << number) != 0 {
            return Err(raised(&format!("got multiple values for argument '{}'", column.name)));
        }
        self.passed |= 1 << number;
        let row = &mut self.metrics;
        let set = match column.place {
            Place::Index(place) => value.extract().map(|value| *place(row) = value),
            _ if value.is_none() => Ok(()),
            Place::Float(place) => value.extract().map(|value| *place(row) = Some(value)),
            Place::Int(place) => value.extract().map(|value| *place(row) = Some(value)),
            Place::Text(place) => text(value).map(|value| *place(row) = Some(value)),
        };
        set.map_err(|error| named(value.py(), column.name, error))
    }

    fn check(&self) -> PyResult<()> {
        let missing = COLUMNS[..REQUIRED].iter().enumerate();
        let mut missing = missing.filter(|(number, _)| self.passed & (1 << number) == 0);
        missing.next().map_or(Ok(()), |(_, column)| {
            Err(raised(&format!("missing required argument: '{}'", column.name)))
        })
    }
}

fn text(value: Borrowed<'_, '_, PyAny>) -> PyResult<SmolStr> {
    Ok(SmolStr::new(value.cast::<PyString>()?.to_cow()?))
}

fn raised(what: &str) -> PyErr {
    PyTypeError::new_err(format!("log_step() {what}"))
}

/// The same error, with the name of the argument.
#[cold]
fn named(py: Python<'_>, name: &str, error: PyErr) -> PyErr {
    if !error.get_type(py).is(py.get_type::<PyTypeError>()) {
        return error;
    }
    let with_name = PyTypeError::new_err(format!("argument '{name}': {}", error.value(py)));
    with_name.set_cause(py, error.cause(py));
    with_name
}

/// The method of a class.
pub(crate) struct LogStep<C>(PhantomData<C>);

impl<C: LogsSteps> FastMethod for LogStep<C> {
    type Class = C;

    const NAME: &'static str = "log_step";

    fn doc() -> String {
        let mut doc = "log_step($self".to_owned();
        for (number, column) in COLUMNS.iter().enumerate() {
            if number == POSITIONAL {
                doc.push_str(", *");
            }
            let default = if number < REQUIRED { "" } else { "=None" };
            let _ = write!(doc, ", {}{default}", column.name);
        }
        doc.push_str(
            ", **extra)\n--\n\nLogs one step, stamped with the time of this call. What was not measured is null.",
        );
        doc
    }

    #[inline]
    fn call<'py>(
        this: Borrowed<'_, 'py, C>,
        arguments: &Arguments<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut step = Step::default();
        let positional = arguments.positional();
        if positional.len() > POSITIONAL {
            let count = positional.len();
            return Err(raised(&format!(
                "takes at most {POSITIONAL} positional arguments ({count} given); pass the others by name"
            )));
        }
        for (number, value) in positional.enumerate() {
            step.set(number, value)?;
        }
        let mut extra = Vec::new();
        for (name, value) in arguments.keywords() {
            match meaning_of(name)? {
                Meaning::Column(number) => step.set(number, value)?,
                Meaning::Extra(name) => {
                    if extra.is_empty() {
                        extra.reserve(arguments.keyword_count());
                    }
                    extra.push((name, values::value(&name, &value)?));
                }
            }
        }
        step.check()?;
        let number = step.metrics.step;
        let mut row = MetricsRow::from(step.metrics);
        for (name, value) in extra {
            row.set(name, value);
        }
        let logged: Py<Logged> = C::log_step(&this, number, row)?;
        Ok(logged.into_bound(arguments.py()).into_any())
    }
}
