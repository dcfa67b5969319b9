//! `Step`.

use std::sync::atomic::{AtomicBool, Ordering};

use ::governance::agent::{self, Stage};
use ::governance::{Error, ErrorKind, Result};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::answer::{Answer, handle};
use crate::hosted::{Hosted, Made, Place};

type Answered<'py> = PyResult<Bound<'py, PyAny>>;

/// A step, and whether it was reported.
pub struct Doing {
    agent: ::governance::Agent,
    step: agent::Step,
    reported: AtomicBool,
}

impl Doing {
    pub fn new(agent: &::governance::Agent, step: agent::Step) -> Self {
        Self { agent: agent.clone(), step, reported: AtomicBool::new(false) }
    }

    async fn report<R>(&self, reporting: impl Future<Output = Result<R>>) -> Result<R> {
        if self.reported.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Conflict, "step_reported", "this step was reported already"));
        }
        let reported = reporting.await?;
        self.reported.store(true, Ordering::Release);
        Ok(reported)
    }
}

/// One thing to do.
#[pyclass(name = "_Step", module = "governance._governance", frozen, subclass)]
pub struct Step(Hosted<Doing>);

#[pymethods]
impl Step {
    #[new]
    fn new(made: &Made) -> PyResult<Self> {
        made.take().map(Self)
    }

    /// What kind of work it is: work, evaluate, mediate, vote or message.
    #[getter]
    fn stage<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.look(py, |doing| Ok(doing.step.stage()))?.answer(py, self.0.place())
    }

    /// Why a mediator is called, where it is to mediate.
    #[getter]
    fn reason<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.look(py, |doing| Ok(doing.step.reason()))?.answer(py, self.0.place())
    }

    /// What is voted on, where it is to vote.
    #[getter]
    fn proposal<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.look(py, |doing| Ok(doing.step.proposal().cloned()))?.answer(py, self.0.place())
    }

    /// What was said, where somebody said something.
    #[getter]
    fn message<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.look(py, |doing| Ok(doing.step.message().cloned()))?.answer(py, self.0.place())
    }

    #[getter]
    fn _reported(&self, py: Python<'_>) -> PyResult<bool> {
        self.0.look(py, |doing| Ok(doing.reported.load(Ordering::Acquire)))
    }

    /// It is done.
    fn done<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |doing| async move { doing.report(doing.agent.done(doing.step.clone())).await })
    }

    /// It failed, with an error of this code. The error that is one too many revokes the agent.
    fn failed<'py>(&self, py: Python<'py>, code: String, message: String) -> Answered<'py> {
        self.0.call(py, move |doing| async move { doing.report(doing.agent.failed(doing.step.clone(), &code, &message)).await })
    }
}

handle!(Doing => "Step");

impl Answer for Stage {
    fn answer<'py>(self, py: Python<'py>, _: &Place) -> Answered<'py> {
        self.as_str().into_bound_py_any(py)
    }
}
