//! Python values as the values of a row.

use crate::arrays::Array;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyNone, PyString, PyTuple};
use qstore_schema::{Dtype, Name, Row, Value};

/// A number, a flag, a text, a list of numbers or None; scalars and arrays of numpy, torch and others by what they convert
/// to.
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
    if let Some(list) = of_list(name, object)? {
        return Ok(Value::List(list));
    }
    of_scalar(object).ok_or_else(|| {
        let found = object.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string());
        PyTypeError::new_err(format!(
            "metric `{name}` is of type {found}, which cannot be logged; pass a number, a flag, a text, a list of numbers \
             or None"
        ))
    })
}

/// The floats of a list, a tuple, or an array of one dimension; `None` for anything else.
///
/// # Errors
/// `TypeError`, naming the metric, for an element that is not a number.
fn of_list(name: &str, object: &Bound<'_, PyAny>) -> PyResult<Option<Box<[f64]>>> {
    if let Ok(list) = object.cast::<PyList>() {
        return list
            .iter()
            .map(|element| of_element(name, &element))
            .collect::<PyResult<_>>()
            .map(Some);
    }
    if let Ok(tuple) = object.cast::<PyTuple>() {
        return tuple
            .iter()
            .map(|element| of_element(name, &element))
            .collect::<PyResult<_>>()
            .map(Some);
    }
    if !has_one_dimension(object)? {
        return Ok(None);
    }
    if let Some(floats) = Array::of(object)?.and_then(|array| floats_of(&array)) {
        return Ok(Some(floats));
    }
    // Another element type: by what the library makes of it.
    let list = object.call_method0(intern!(object.py(), "tolist"))?;
    match list.cast::<PyList>() {
        Ok(_) => of_list(name, &list),
        Err(_) => Ok(None),
    }
}

fn has_one_dimension(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    let py = object.py();
    if let Some(dimensions) = object.getattr_opt(intern!(py, "ndim"))? {
        return Ok(dimensions.extract::<usize>().is_ok_and(|count| count == 1));
    }
    // It is one, and does not say so.
    Ok(object.get_type().fully_qualified_name()? == "array.array")
}

/// An element of a list. What is not known is NaN, because a list has no nulls.
fn of_element(name: &str, object: &Bound<'_, PyAny>) -> PyResult<f64> {
    if let Ok(float) = object.cast::<PyFloat>() {
        return Ok(float.value());
    }
    if object.is_none() {
        return Ok(f64::NAN);
    }
    let is_text = object.is_instance_of::<PyString>();
    let number = if is_text { None } else { object.extract::<f64>().ok() };
    number.ok_or_else(|| {
        let found = object.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string());
        PyTypeError::new_err(format!(
            "metric `{name}` is a list with an element of type {found}; pass numbers only"
        ))
    })
}

/// The elements, if they are of a type that is read without its library.
fn floats_of(array: &Array) -> Option<Box<[f64]>> {
    let mut bytes = vec![0; usize::try_from(array.len()).ok()?];
    array.source().copy_to(&mut bytes);
    Some(match array.dtype {
        Dtype::Float64 => {
            bytes.as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
        }
        Dtype::Float32 => {
            bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes).into()).collect()
        }
        Dtype::Int64 => {
            bytes.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as f64).collect()
        }
        _ => return None,
    })
}

/// A value as an object.
pub(crate) fn object(py: Python<'_>, value: Value) -> PyResult<Bound<'_, PyAny>> {
    Ok(match value {
        Value::Bool(flag) => flag.into_pyobject(py)?.to_owned().into_any(),
        Value::Int(number) => number.into_pyobject(py)?.into_any(),
        Value::Float(number) => number.into_pyobject(py)?.into_any(),
        Value::Text(text) => text.as_str().into_pyobject(py)?.into_any(),
        Value::List(floats) => PyList::new(py, floats)?.into_any(),
        _ => PyNone::get(py).to_owned().into_any(),
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
