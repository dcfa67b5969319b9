//! Python's plain values as JSON and back. A walker of our own: half the time of a general one.

use std::cell::RefCell;
use std::ffi::c_char;

use ::governance::Error;
use pyo3::ffi::{Py_ssize_t, PyObject};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};
use serde::ser::{Error as _, SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use crate::error::raise;
use crate::gate;

// As deep as serde_json reads; a value that holds itself ends here.
const MAX_DEPTH: usize = 128;

pub fn from_python(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    said(value, |said| serde_json::to_value(said))
}

/// The same as JSON's text, for what only passes through.
pub fn text_of(value: &Bound<'_, PyAny>) -> PyResult<Box<RawValue>> {
    said(value, |said| to_raw_value(said))
}

fn said<T>(value: &Bound<'_, PyAny>, write: impl FnOnce(&Said<'_, '_>) -> serde_json::Result<T>) -> PyResult<T> {
    let refused = RefCell::new(None);
    write(&Said { value, depth: MAX_DEPTH, refused: &refused })
        .map_err(|error| refused.take().unwrap_or_else(|| raise(value.py(), &Error::internal("a value is not JSON").because(error))))
}

/// A value of Python's, on its way into whatever is written.
struct Said<'a, 'py> {
    value: &'a Bound<'py, PyAny>,
    depth: usize,
    // Why it is none: a writer takes errors of its own only.
    refused: &'a RefCell<Option<PyErr>>,
}

impl<'py> Said<'_, 'py> {
    fn inner<'b>(&'b self, value: &'b Bound<'py, PyAny>) -> Said<'b, 'py> {
        Said { value, depth: self.depth - 1, refused: self.refused }
    }

    fn write<S: Serializer>(&self, to: S) -> PyResult<Result<S::Ok, S::Error>> {
        let (value, py) = (self.value, self.value.py());
        if self.depth == 0 {
            return Err(refuse(py, "is nested too deeply"));
        }
        if value.is_none() {
            return Ok(to.serialize_unit());
        }
        if let Ok(text) = value.cast::<PyString>() {
            return Ok(to.serialize_str(utf8(text)?));
        }
        if let Ok(truth) = value.cast::<PyBool>() {
            return Ok(to.serialize_bool(truth.is_true()));
        }
        if value.is_instance_of::<PyInt>() {
            return match value.extract::<i64>() {
                Ok(whole) => Ok(to.serialize_i64(whole)),
                Err(_) => Ok(to.serialize_u64(value.extract().map_err(|_| too_long(py))?)),
            };
        }
        if let Ok(number) = value.cast::<PyFloat>() {
            let number = number.value();
            return if number.is_finite() { Ok(to.serialize_f64(number)) } else { Err(refuse(py, "holds a number that JSON lacks")) };
        }
        if let Ok(dict) = value.cast::<PyDict>() {
            return self.fields(dict, to);
        }
        if let Ok(list) = value.cast::<PyList>() {
            return Ok(self.items(list.iter(), to));
        }
        if let Ok(tuple) = value.cast::<PyTuple>() {
            return Ok(self.items(tuple.iter(), to));
        }
        match self::plain(value)? {
            Some(plain) => self.inner(&plain).write(to),
            None => Err(refuse(py, &format!("holds a `{}`, which JSON lacks", value.get_type().name()?))),
        }
    }

    fn fields<S: Serializer>(&self, dict: &Bound<'py, PyDict>, to: S) -> PyResult<Result<S::Ok, S::Error>> {
        let mut map = match to.serialize_map(Some(dict.len())) {
            Ok(map) => map,
            Err(error) => return Ok(Err(error)),
        };
        for (key, value) in dict {
            let key = key.cast::<PyString>().map_err(|_| refuse(dict.py(), "has a key that is not a text"))?;
            if let Err(error) = map.serialize_entry(utf8(key)?, &self.inner(&value)) {
                return Ok(Err(error));
            }
        }
        Ok(map.end())
    }

    fn items<S: Serializer>(&self, items: impl ExactSizeIterator<Item = Bound<'py, PyAny>>, to: S) -> Result<S::Ok, S::Error> {
        let mut list = to.serialize_seq(Some(items.len()))?;
        for item in items {
            list.serialize_element(&self.inner(&item))?;
        }
        list.end()
    }
}

impl Serialize for Said<'_, '_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.write(to).unwrap_or_else(|why| {
            *self.refused.borrow_mut() = Some(why);
            Err(S::Error::custom("refused"))
        })
    }
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

// Part of the stable interface since 3.10 only, but in every interpreter since 3.3: without it each text is copied twice.
#[allow(unsafe_code, reason = "declared as the interpreter's own headers do")]
unsafe extern "C" {
    fn PyUnicode_AsUTF8AndSize(text: *mut PyObject, size: *mut Py_ssize_t) -> *const c_char;
}

/// A text's own bytes, where it lies.
pub fn utf8<'a>(text: &'a Bound<'_, PyString>) -> PyResult<&'a str> {
    let mut size = 0;
    // SAFETY: a text of the interpreter's, which is attached; what is answered is UTF-8 of that size, and lives as long as the text, which never changes.
    #[allow(unsafe_code, reason = "as above")]
    unsafe {
        let at = PyUnicode_AsUTF8AndSize(text.as_ptr(), &raw mut size);
        if at.is_null() {
            drop(PyErr::take(text.py()));
            return Err(half(text.py()));
        }
        Ok(std::str::from_utf8_unchecked(std::slice::from_raw_parts(at.cast(), usize::try_from(size).unwrap_or_default())))
    }
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
