//! Python's plain values as JSON and back. A walker of our own: half the time of a general one.

use ::governance::Error;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};
use serde::Serialize;
use serde_json::{Map, Number, Value};

use crate::error::raise;
use crate::gate;

// As deep as serde_json reads; a value that holds itself ends here.
const MAX_DEPTH: usize = 128;

pub fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    walk(value, MAX_DEPTH)
}

fn walk(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    let depth = depth.checked_sub(1).ok_or_else(|| refuse(value.py(), "is nested too deeply"))?;
    if value.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(text) = value.cast::<PyString>() {
        return self::text(text).map(Value::String);
    }
    if let Ok(truth) = value.cast::<PyBool>() {
        return Ok(Value::Bool(truth.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        let whole = value.extract::<i64>().map(Number::from).or_else(|_| value.extract::<u64>().map(Number::from));
        return whole.map(Value::Number).map_err(|_| too_long(value.py()));
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Number::from_f64(number.value()).map(Value::Number).ok_or_else(|| refuse(value.py(), "holds a number that JSON lacks"));
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        let field = |(key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>)| {
            let key = key.cast::<PyString>().map_err(|_| refuse(value.py(), "has a key that is not a text"))?;
            Ok((text(key)?, walk(&value, depth)?))
        };
        return dict.iter().map(field).collect::<PyResult<Map<_, _>>>().map(Value::Object);
    }
    if let Ok(list) = value.cast::<PyList>() {
        return list.iter().map(|item| walk(&item, depth)).collect::<PyResult<_>>().map(Value::Array);
    }
    if let Ok(tuple) = value.cast::<PyTuple>() {
        return tuple.iter().map(|item| walk(&item, depth)).collect::<PyResult<_>>().map(Value::Array);
    }
    if let Some(plain) = self::plain(value)? {
        return walk(&plain, depth);
    }
    Err(refuse(value.py(), &format!("holds a `{}`, which JSON lacks", value.get_type().name()?)))
}

/// What a dataclass or a pydantic model says, one level deep.
pub fn plain<'py>(value: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = value.py();
    if value.is_instance_of::<PyType>() {
        return Ok(None);
    }
    let _inside = gate::enter(py).map_err(|error| raise(py, &error))?;
    if let Some(dump) = value.getattr_opt(intern!(py, "model_dump"))? {
        let json = PyDict::new(py);
        json.set_item(intern!(py, "mode"), intern!(py, "json"))?;
        return dump.call((), Some(&json)).map(Some);
    }
    let Some(fields) = value.getattr_opt(intern!(py, "__dataclass_fields__"))? else { return Ok(None) };
    let dict = PyDict::new(py);
    for name in fields.try_iter()? {
        let name = name?;
        dict.set_item(&name, value.getattr(name.cast::<PyString>()?)?)?;
    }
    Ok(Some(dict.into_any()))
}

pub fn text(text: &Bound<'_, PyString>) -> PyResult<String> {
    text.to_cow().map(Into::into).map_err(|_| half(text.py()))
}

pub fn half(py: Python<'_>) -> PyErr {
    refuse(py, "holds half of a surrogate pair, which UTF-8 lacks")
}

pub fn too_long(py: Python<'_>) -> PyErr {
    refuse(py, "holds a whole number of more than 64 bits")
}

pub fn refuse(py: Python<'_>, why: &str) -> PyErr {
    raise(py, &Error::invalid("not_json", format!("the value {why}")))
}

pub fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(truth) => truth.into_pyobject(py)?.to_owned().into_any(),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(whole), _) => whole.into_pyobject(py)?.into_any(),
            (None, Some(whole)) => whole.into_pyobject(py)?.into_any(),
            (None, None) => number.as_f64().into_pyobject(py)?.into_any(),
        },
        Value::String(text) => text.into_pyobject(py)?.into_any(),
        Value::Array(items) => PyList::new(py, items.iter().map(|item| to_python(py, item)).collect::<PyResult<Vec<_>>>()?)?.into_any(),
        Value::Object(map) => map_to_python(py, map)?.into_any(),
    })
}

pub fn map_to_python<'py>(py: Python<'py>, map: &Map<String, Value>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (key, value) in map {
        dict.set_item(key, to_python(py, value)?)?;
    }
    Ok(dict)
}

/// Something small of the core, as JSON says it.
pub fn shaped<'py>(py: Python<'py>, value: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    let value = serde_json::to_value(value).map_err(|e| raise(py, &Error::internal("an answer is not JSON").because(e)))?;
    to_python(py, &value)
}
