//! `governance.blocking.Governance`.

use std::path::PathBuf;

use ::governance::Config;
use ::governance::config::Flags;
use ::governance::vocabulary::TaskId;
use pyo3::prelude::*;

use crate::blackboard::Blackboard;
use crate::error::raise;
use crate::runtime::Hosted;

/// Governed state: a store, its ledger, and everything that stands on them.
#[pyclass(module = "governance.blocking", frozen)]
pub struct Governance(Hosted<::governance::Governance>);

#[pymethods]
impl Governance {
    /// Opens what the arguments, the environment and the home directory's `config.toml` say, and makes what is not there yet.
    #[staticmethod]
    #[pyo3(signature = (*, home=None, store=None))]
    fn open(py: Python<'_>, home: Option<PathBuf>, store: Option<String>) -> PyResult<Self> {
        let flags = Flags { home, store, ..Flags::default() };
        let config = Config::load(flags, |name| std::env::var(name).ok()).map_err(|error| raise(py, &error))?;
        Hosted::make(py, ::governance::Governance::open(config)).map(Self)
    }

    /// A task's blackboard, as one author sees and writes it.
    fn blackboard(&self, py: Python<'_>, task: &str, author: &str) -> PyResult<Blackboard> {
        let board = self.0.call(py, |governance| async move {
            let task = TaskId::new(task)?;
            Ok(governance.blackboard(&task, &governance.actor(author).await?))
        })?;
        Ok(Blackboard(self.0.beside(board)))
    }

    /// The store's URL, without a password.
    #[getter]
    fn store_url(&self) -> &str {
        self.0.value().store_url()
    }

    /// Lets the next process keep house, and closes the ledger.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.0.call(py, ::governance::Governance::close)
    }

    fn __enter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    #[pyo3(signature = (kind, value, traceback, /))]
    fn __exit__(&self, py: Python<'_>, kind: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>, traceback: &Bound<'_, PyAny>) -> PyResult<()> {
        let _ = (kind, value, traceback);
        self.close(py)
    }

    fn __repr__(&self) -> String {
        format!("<Governance at {}>", self.store_url())
    }
}
