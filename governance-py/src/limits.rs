//! `Limits`.

use ::governance::guard::Unit;
use ::governance::guard::limits::{Scope, ScopeUsage};
use pyo3::prelude::*;

use crate::answer::{Answer, handle, record};
use crate::given::{Named, Shaped, Whole};
use crate::governance::OPERATOR;
use crate::hosted::{Hosted, Made, Place};
use crate::json;

type Answered<'py> = PyResult<Bound<'py, PyAny>>;

/// Where limits are set: by its operator.
pub struct Set(pub ::governance::Governance);

/// The limits of agents, pipelines and everything.
#[pyclass(name = "_Limits", module = "governance._governance", frozen, subclass)]
pub struct Limits(Hosted<Set>);

#[pymethods]
impl Limits {
    #[new]
    fn new(made: &Made) -> PyResult<Self> {
        made.take().map(Self)
    }

    /// Sets a limit, what is used already included; opens one that an overrun closed.
    fn set<'py>(&self, py: Python<'py>, scope: Shaped<Scope>, unit: Named<Unit>, limit: Whole<u64>) -> Answered<'py> {
        self.0.call(py, move |own| async move { own.0.limits().set(&own.0.actor(OPERATOR).await?, &scope.0, unit.0, limit.0).await })
    }

    /// Takes a limit away.
    fn unset<'py>(&self, py: Python<'py>, scope: Shaped<Scope>, unit: Named<Unit>) -> Answered<'py> {
        self.0.call(py, move |own| async move { own.0.limits().unset(&own.0.actor(OPERATOR).await?, &scope.0, unit.0).await })
    }

    /// How the limits stand that were set.
    fn usage<'py>(&self, py: Python<'py>, scopes: Shaped<Vec<Scope>>) -> Answered<'py> {
        self.0.call(py, move |own| async move { own.0.limits().usage(&scopes.0).await })
    }
}

handle!(Set => "Limits");

impl Answer for ScopeUsage {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        let Self { scope, usage } = self;
        let used =
            [usage.unit.answer(py, place), usage.limit.answer(py, place), usage.used.answer(py, place), usage.closed.answer(py, place)];
        record(py, "ScopeUsage", [json::shaped(py, &scope)].into_iter().chain(used))
    }
}
