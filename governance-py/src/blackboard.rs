//! `governance.blocking.Blackboard`.

use ::governance::coordination;
use ::governance::vocabulary::Section;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDateTime, PyTzInfo};

use crate::error::raise;
use crate::runtime::Hosted;
use crate::{json, vocabulary};

/// What the agents of a task know together.
#[pyclass(module = "governance.blocking", frozen)]
pub struct Blackboard(pub Hosted<coordination::Blackboard>);

fn section(py: Python<'_>, name: &str) -> PyResult<Section> {
    name.parse().map_err(|error| raise(py, &error))
}

#[pymethods]
impl Blackboard {
    /// Writes a new entry. Answers its version, 1. A `ConflictError` if the name is taken.
    #[pyo3(signature = (section, name, content))]
    fn post(&self, py: Python<'_>, section: &str, name: &str, content: &Bound<'_, PyAny>) -> PyResult<u64> {
        let (section, content) = (self::section(py, section)?, json::from_python(content)?);
        self.0.call(py, |board| async move { board.post(section, name, &content).await })
    }

    /// Replaces a version of an entry; 0 for an entry that is not there yet.
    fn put_if(&self, py: Python<'_>, section: &str, name: &str, content: &Bound<'_, PyAny>, version: u64) -> PyResult<Written> {
        let (section, content) = (self::section(py, section)?, json::from_python(content)?);
        self.0.call(py, |board| async move { board.put_if(section, name, &content, version).await }).map(Written)
    }

    /// One entry, also when it was removed; none if it never was.
    fn entry(&self, py: Python<'_>, section: &str, name: &str) -> PyResult<Option<BoardEntry>> {
        let section = self::section(py, section)?;
        Ok(self.0.call(py, |board| board.entry(section, name))?.map(BoardEntry::new))
    }

    /// The entries of a section that were not removed, by name.
    fn entries(&self, py: Python<'_>, section: &str) -> PyResult<Vec<BoardEntry>> {
        let section = self::section(py, section)?;
        Ok(self.0.call(py, |board| board.entries(section))?.into_iter().map(BoardEntry::new).collect())
    }
}

/// What became of a compare-and-set: true if it was written.
#[pyclass(module = "governance.blocking", frozen, eq)]
#[derive(PartialEq)]
pub struct Written(coordination::Written);

#[pymethods]
impl Written {
    /// The new version, if it was written.
    #[getter]
    fn accepted(&self) -> Option<u64> {
        self.0.version()
    }

    /// The version that is there now, if somebody was first.
    #[getter]
    fn conflict(&self) -> Option<u64> {
        match self.0 {
            coordination::Written::Conflict(found) => Some(found),
            coordination::Written::Accepted(_) => None,
        }
    }

    fn __bool__(&self) -> bool {
        self.0.version().is_some()
    }

    fn __repr__(&self) -> String {
        format!("<{:?}>", self.0)
    }
}

/// One entry of a section.
#[pyclass(module = "governance.blocking", frozen, eq)]
pub struct BoardEntry {
    entry: coordination::BoardEntry,
    // As Python's own value, once somebody looked.
    content: PyOnceLock<Py<PyAny>>,
}

impl BoardEntry {
    fn new(entry: coordination::BoardEntry) -> Self {
        Self { entry, content: PyOnceLock::new() }
    }
}

impl PartialEq for BoardEntry {
    fn eq(&self, other: &Self) -> bool {
        self.entry == other.entry
    }
}

#[pymethods]
impl BoardEntry {
    /// Where.
    #[getter]
    fn section<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        vocabulary::value(py, "Section", self.entry.section.as_str())
    }

    /// Its name.
    #[getter]
    fn name(&self) -> &str {
        self.entry.name.as_str()
    }

    /// How often it was written.
    #[getter]
    fn version(&self) -> u64 {
        self.entry.version
    }

    /// Who wrote it last.
    #[getter]
    fn author(&self) -> &str {
        self.entry.author.as_str()
    }

    /// When, on the author's clock, in UTC.
    #[getter]
    fn at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDateTime>> {
        let utc = PyTzInfo::utc(py)?;
        PyDateTime::from_timestamp(py, self.entry.at.0 as f64 / 1000.0, Some(&utc))
    }

    /// What it says; none once removed.
    #[getter]
    fn content(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let made = self.content.get_or_try_init(py, || json::to_python(py, &self.entry.content).map(Bound::unbind))?;
        Ok(made.clone_ref(py))
    }

    /// Whether it was removed.
    #[getter]
    fn removed(&self) -> bool {
        self.entry.removed
    }

    fn __repr__(&self) -> String {
        let coordination::BoardEntry { section, name, version, author, .. } = &self.entry;
        format!("<BoardEntry {section}/{name} v{version} by {author}>")
    }
}
