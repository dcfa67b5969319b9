//! `ErrorBudget` and `Allowance`.

use ::governance::guard::{self, Exceeded, Fault, FaultCount, Faults, Settled, Spend, Unit, Usage};
use ::governance::store::Actor;
use pyo3::prelude::*;

use crate::answer::{Answer, handle, records, variants};
use crate::given::{Named, Span, Whole};
use crate::hosted::{Hosted, Made, Place};

type Answered<'py> = PyResult<Bound<'py, PyAny>>;

/// A budget, with who grants.
pub struct Budget {
    pub budget: guard::ErrorBudget,
    pub by: Actor,
}

/// What an agent may still spend, and how many faults it may still make.
#[pyclass(name = "_ErrorBudget", module = "governance._governance", frozen, subclass)]
pub struct ErrorBudget(Hosted<Budget>);

#[pymethods]
impl ErrorBudget {
    #[new]
    fn new(made: &Made) -> PyResult<Self> {
        made.take().map(Self)
    }

    /// Says how much may be spent in all, what is spent already included; opens a budget that an overrun closed.
    fn grant<'py>(&self, py: Python<'py>, unit: Named<Unit>, limit: Whole<u64>) -> Answered<'py> {
        self.0.call(py, move |own| async move { own.budget.grant(&own.by, unit.0, limit.0).await })
    }

    /// What is used of a unit; none if nothing was ever granted.
    fn usage<'py>(&self, py: Python<'py>, unit: Named<Unit>) -> Answered<'py> {
        self.0.call(py, move |own| async move { own.budget.usage(unit.0).await })
    }

    /// What is left of a unit; 0 if nothing was ever granted.
    fn remaining<'py>(&self, py: Python<'py>, unit: Named<Unit>) -> Answered<'py> {
        self.0.call(py, move |own| async move { own.budget.remaining(unit.0).await })
    }

    /// Spends at once, in one round trip.
    fn spend<'py>(&self, py: Python<'py>, unit: Named<Unit>, amount: Whole<u64>) -> Answered<'py> {
        self.0.call(py, move |own| async move { own.budget.spend(unit.0, amount.0).await })
    }

    /// Sets an amount aside for a while. If it lapses all of it counts as spent.
    fn reserve<'py>(&self, py: Python<'py>, unit: Named<Unit>, amount: Whole<u64>, ttl: Span) -> Answered<'py> {
        self.0.call(py, move |own| async move { own.budget.reserve(unit.0, amount.0, ttl.0).await })
    }

    /// Says what was really used of a reservation; the rest comes back. Settling it again answers the same.
    fn settle<'py>(&self, py: Python<'py>, reservation: &Reservation, used: Whole<u64>) -> Answered<'py> {
        let reservation = reservation.0.clone();
        self.0.call(py, move |own| async move { own.budget.settle(&reservation, used.0).await })
    }

    /// A local allowance: amounts are reserved in pieces and drawn without a round trip.
    fn allowance<'py>(&self, py: Python<'py>, unit: Named<Unit>, piece: Whole<u64>, ttl: Span) -> Answered<'py> {
        self.0.open(py, move |own| async move { Ok(own.budget.allowance(unit.0, piece.0, ttl.0)) })
    }

    /// Counts an error. The one that exceeds a limit revokes the agent in the same step.
    fn error<'py>(&self, py: Python<'py>, kind: String, message: String) -> Answered<'py> {
        self.0.call(py, move |own| async move { own.budget.fault(&Fault::Error { kind, message }).await })
    }

    /// Counts a violation of the procedure. The one that exceeds the limit revokes the agent in the same step.
    fn procedure_violation<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |own| async move { own.budget.fault(&Fault::ProcedureViolation).await })
    }

    /// The faults so far.
    fn faults<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |own| async move { own.budget.faults().await })
    }
}

/// A local share of a budget.
#[pyclass(name = "_Allowance", module = "governance._governance", frozen, subclass)]
pub struct Allowance(Hosted<guard::Allowance>);

#[pymethods]
impl Allowance {
    #[new]
    fn new(made: &Made) -> PyResult<Self> {
        made.take().map(Self)
    }

    /// Draws an amount: once this says so it may be spent, and is, whatever happens to this process.
    fn draw<'py>(&self, py: Python<'py>, amount: Whole<u64>) -> Answered<'py> {
        self.0.call(py, move |allowance| async move { allowance.draw(amount.0).await })
    }

    /// Draws an amount from the share that is held, without waiting. False where `draw` must be asked.
    fn try_draw(&self, py: Python<'_>, amount: Whole<u64>) -> PyResult<bool> {
        self.0.look(py, |allowance| allowance.try_draw(amount.0))
    }

    /// How much of the share that is held is left, as far as this process knows.
    fn left(&self, py: Python<'_>) -> PyResult<u64> {
        self.0.look(py, |allowance| Ok(allowance.left()))
    }

    /// Gives the rest back.
    fn close<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |allowance| async move { allowance.close().await })
    }
}

/// An amount that was set aside. Settle it; what is not settled in time lapses.
#[pyclass(module = "governance", frozen, eq)]
#[derive(PartialEq)]
pub struct Reservation(guard::Reservation);

#[pymethods]
impl Reservation {
    /// Its id.
    #[getter]
    fn id(&self) -> &str {
        self.0.id.as_str()
    }

    /// Of what: calls, tokens, cost or concurrency.
    #[getter]
    fn unit(&self) -> &str {
        self.0.unit.as_str()
    }

    /// How much.
    #[getter]
    fn amount(&self) -> u64 {
        self.0.amount
    }

    /// Whether 80 % of the limit are used or reserved.
    #[getter]
    fn low(&self) -> bool {
        self.0.low
    }

    fn __repr__(&self) -> String {
        format!("<Reservation {} of {} {}>", self.0.id, self.0.amount, self.0.unit)
    }
}

impl Answer for guard::Reservation {
    fn answer<'py>(self, py: Python<'py>, _: &Place) -> Answered<'py> {
        Ok(Bound::new(py, Reservation(self))?.into_any())
    }
}

impl Answer for Budget {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        place.host(py, "ErrorBudget", self)
    }
}

handle!(guard::Allowance => "Allowance");

records! {
    Usage => "Usage" { unit, limit, used, closed }
    Faults => "Faults" { total_errors, by_fingerprint, procedure_violations }
}

variants! {
    Spend => "Spend" { Admitted { low } as "Admitted" => "admitted", Exhausted { remaining, closed } as "Exhausted" => "exhausted", }
    Settled => "Settled" { Within => "within", Overrun(by) => "overrun", Lapsed => "lapsed", }
    FaultCount => "FaultCount" { Counted => "counted", Low => "low", Exceeded(limit) => "exceeded", }
    Exceeded => "Exceeded" {
        TotalErrors => "total_errors",
        SameError(print) => "same_error",
        ProcedureViolations => "procedure_violations",
    }
}
