//! One exception class per kind of error, made from the core's own list.

use std::ffi::CString;

use ::governance::Error;
use ::governance::vocabulary::table::error_classes;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

use crate::json;

// In the order of `ErrorKind::ALL`.
static CLASSES: PyOnceLock<Vec<Py<PyType>>> = PyOnceLock::new();

pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let base = class(py, "GovernanceError", "Something failed; its subclass says what the caller can do.", &py.get_type::<PyException>())?;
    base.setattr("kind", py.None())?;
    base.setattr("code", py.None())?;
    base.setattr("details", PyDict::new(py))?;
    module.add("GovernanceError", &base)?;
    let classes = error_classes().into_iter().map(|of| {
        let class = class(py, &of.class, &format!("An error of the kind `{}`.", of.kind), &base)?;
        class.setattr("kind", of.kind)?;
        module.add(of.class.as_str(), &class)?;
        Ok(class.unbind())
    });
    let classes = classes.collect::<PyResult<_>>()?;
    let _ = CLASSES.set(py, classes);
    Ok(())
}

fn class<'py>(py: Python<'py>, name: &str, doc: &str, base: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyType>> {
    let (name, doc) = (CString::new(format!("governance.{name}"))?, CString::new(doc)?);
    Ok(PyErr::new_type(py, &name, Some(&doc), Some(base), None)?.into_bound(py))
}

/// The exception that an error of the core is in Python.
pub fn raise(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, error).unwrap_or_else(|failed| failed)
}

fn exception(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let classes = CLASSES.get(py).ok_or_else(|| PyException::new_err(error.to_string()))?;
    let value = classes[error.kind() as usize].bind(py).call1((error.to_string(),))?;
    value.setattr("code", error.code())?;
    value.setattr("details", json::map_to_python(py, error.details())?)?;
    Ok(PyErr::from_value(value))
}
