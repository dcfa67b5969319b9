//! A preflight that Python makes checks for.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::governance::agent::{CheckResult, Look, Looked, Looking, PreflightReport};
use pyo3::prelude::*;
use tokio::sync::Mutex as Turns;

use crate::answer::{Answer, record, records};
use crate::hosted::{Hosted, Place};
use crate::living::Living;

type Answered<'py> = PyResult<Bound<'py, PyAny>>;

/// A preflight under way.
#[pyclass(name = "_Preflight", module = "governance._governance", frozen)]
pub struct Preflight {
    looking: Arc<Turns<Looking>>,
    // Outlives the other: the last handle on a store waits for its threads.
    own: Hosted<Living>,
}

impl Preflight {
    pub fn new(own: &Hosted<Living>, looking: Looking) -> Self {
        Self { looking: Arc::new(Turns::new(looking)), own: own.clone() }
    }
}

#[pymethods]
impl Preflight {
    /// The next check to make, or the report.
    fn next<'py>(&self, py: Python<'py>) -> Answered<'py> {
        let looking = self.looking.clone();
        self.own.call(py, |_| async move { looking.lock().await.next().await })
    }
}

/// A check that Python makes.
#[pyclass(name = "_Check", module = "governance._governance", frozen)]
pub struct Check {
    look: Mutex<Option<Look>>,
    #[pyo3(get)]
    name: String,
}

#[pymethods]
impl Check {
    /// What it found: nothing, or why it fails. Only the first word counts, and only in time.
    #[pyo3(signature = (why))]
    fn tell(&self, why: Option<String>) {
        if let Some(look) = self.look.lock().unwrap_or_else(PoisonError::into_inner).take() {
            look.tell(why);
        }
    }
}

impl Answer for Looked {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        match self {
            Self::Check(look) => {
                let name = look.name().to_owned();
                Ok(Bound::new(py, Check { look: Mutex::new(Some(look)), name })?.into_any())
            }
            Self::Done(report) => report.answer(py, place),
        }
    }
}

records!(PreflightReport => "PreflightReport" { agent_id, passed, checks, at });

impl Answer for CheckResult {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        let Self { name, passed, reason, took } = self;
        let took = Duration::from_millis(took);
        record(py, "CheckResult", [name.answer(py, place), passed.answer(py, place), reason.answer(py, place), took.answer(py, place)])
    }
}
