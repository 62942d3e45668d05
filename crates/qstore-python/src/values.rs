//! Python values as the values of a row.

use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyString};
use qstore_schema::{Name, Row, Value};

/// A number, a flag, a text or None; scalars of numpy, torch and others by what they convert to.
///
/// # Errors
/// `TypeError`, naming the metric, for anything else.
pub(crate) fn value(name: &str, object: &Bound<'_, PyAny>) -> PyResult<Value> {
    if let Ok(float) = object.cast::<PyFloat>() {
        return Ok(Value::Float(float.value()));
    }
    // Before `PyInt`: a flag is an integer, too.
    if let Ok(flag) = object.cast::<PyBool>() {
        return Ok(Value::Bool(flag.is_true()));
    }
    if let Ok(integer) = object.cast::<PyInt>() {
        return of_integer(integer);
    }
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Value::from(&*text.to_cow()?));
    }
    if object.is_none() {
        return Ok(Value::Null);
    }
    of_scalar(object).ok_or_else(|| {
        let found = object.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string());
        PyTypeError::new_err(format!(
            "metric `{name}` is of type {found}, which cannot be logged; pass a number, a flag, a text or None"
        ))
    })
}

/// Beyond 64 bits the digits are kept, as a text.
fn of_integer(integer: &Bound<'_, PyInt>) -> PyResult<Value> {
    match integer.extract::<i64>() {
        Ok(integer) => Ok(Value::Int(integer)),
        Err(error) if error.is_instance_of::<PyOverflowError>(integer.py()) => {
            Ok(Value::from(&*integer.str()?.to_cow()?))
        }
        Err(error) => Err(error),
    }
}

/// A scalar of a library: its own type of flag, of integer or of float.
fn of_scalar(object: &Bound<'_, PyAny>) -> Option<Value> {
    let py = object.py();
    let kind = object.get_type();
    let kind_name = kind.name().ok()?;
    if matches!(&*kind_name.to_cow().ok()?, "bool" | "bool_") {
        return object.is_truthy().ok().map(Value::Bool);
    }
    if kind.hasattr(intern!(py, "__index__")).ok()?
        && let Ok(integer) = object.call_method0(intern!(py, "__index__"))
        && let Ok(integer) = integer.cast::<PyInt>()
    {
        return of_integer(integer).ok();
    }
    if kind.hasattr(intern!(py, "__float__")).ok()? {
        return object.extract::<f64>().ok().map(Value::Float);
    }
    None
}

/// The names and values of a dict.
///
/// # Errors
/// `TypeError` for a key that is not a text, and as [`value`].
pub(crate) fn row(dict: &Bound<'_, PyDict>) -> PyResult<Row> {
    let mut row = Row::new();
    for (key, object) in dict {
        let key = key.cast::<PyString>().map_err(|_| {
            PyTypeError::new_err(format!("the name of a metric must be a text; one is {key:?}"))
        })?;
        let key = key.to_cow()?;
        row.set(&*key, value(&key, &object)?);
    }
    Ok(row)
}

/// Calls `set` for each name and value of a dict.
pub(crate) fn each(dict: &Bound<'_, PyDict>, mut set: impl FnMut(Name, Value)) -> PyResult<()> {
    for (key, object) in dict {
        let key = key.cast::<PyString>()?.to_cow()?;
        set(Name::new(&key), value(&key, &object)?);
    }
    Ok(())
}
