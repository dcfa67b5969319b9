//! `Ledger`.

use std::path::PathBuf;

use ::governance::ledger::{self, Action, AgentAction, Filter, Finding, Listing, Problem, Report};
use ::governance::vocabulary::{AgentId, PipelineId};
use pyo3::prelude::*;
use serde_json::Value;

use crate::answer::{Answer, handle, record, records};
use crate::error::raise;
use crate::given::{Json, Named, Whole};
use crate::hosted::{Hosted, Made, Place};
use crate::json;

type Answered<'py> = PyResult<Bound<'py, PyAny>>;

/// The tamper-evident record of what was done.
#[pyclass(name = "_Ledger", module = "governance._governance", frozen, subclass)]
pub struct Ledger(Hosted<ledger::Ledger>);

#[pymethods]
impl Ledger {
    #[new]
    fn new(made: &Made) -> PyResult<Self> {
        made.take().map(Self)
    }

    /// Its id, given once and for all when it was made.
    #[getter]
    fn id(&self, py: Python<'_>) -> PyResult<String> {
        self.0.look(py, |ledger| Ok(ledger.id().to_string()))
    }

    /// Its directory.
    #[getter]
    fn home(&self, py: Python<'_>) -> PyResult<PathBuf> {
        self.0.look(py, |ledger| Ok(ledger.home().to_owned()))
    }

    /// Lists a part of the record, with how much is not in it yet.
    #[pyo3(signature = (*, pipeline=None, agent=None, action=None, after=None, limit=None, newest_first=false))]
    #[expect(clippy::too_many_arguments, reason = "each narrows the list down")]
    fn list<'py>(
        &self,
        py: Python<'py>,
        pipeline: Option<Named<PipelineId>>,
        agent: Option<Named<AgentId>>,
        action: Option<Named<Action>>,
        after: Option<Whole<u64>>,
        limit: Option<Whole<u32>>,
        newest_first: bool,
    ) -> Answered<'py> {
        let (pipeline, agent, action) = (pipeline.map(|id| id.0), agent.map(|id| id.0), action.map(|action| action.0));
        let (after, limit) = (after.map_or(0, |after| after.0), limit.map_or(0, |limit| limit.0));
        let filter = Filter { pipeline, agent, action, after, limit, newest_first };
        self.0.call_apart(py, move |ledger| async move { ledger.list(&filter).await })
    }

    /// The last signed head; none while nothing is in the record.
    fn head<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |ledger| async move { ledger.head().await })
    }

    /// Checks everything, up to a head that was kept elsewhere too. Changes nothing.
    #[pyo3(signature = (head=None))]
    fn verify<'py>(&self, py: Python<'py>, head: Option<Kept>) -> Answered<'py> {
        self.0.call_apart(py, move |ledger| async move { ledger.verify(head.map(|head| head.0)).await })
    }
}

/// What the ledger was at some size, signed. Whoever keeps one elsewhere can prove that nothing before it was changed.
#[pyclass(module = "governance", frozen, eq)]
pub struct Head(ledger::Head, Place);

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

#[pymethods]
impl Head {
    /// The ledger.
    #[getter]
    fn ledger(&self) -> &str {
        self.0.ledger.as_str()
    }

    /// How many entries.
    #[getter]
    fn size(&self) -> u64 {
        self.0.size
    }

    /// The root of the RFC 9162 tree over them, in hex.
    #[getter]
    fn root(&self) -> &str {
        &self.0.root
    }

    /// When it was signed, in UTC.
    #[getter]
    fn at<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.at.answer(py, &self.1)
    }

    /// The id of the key.
    #[getter]
    fn key(&self) -> &str {
        &self.0.key
    }

    /// The Ed25519 signature, in hex.
    #[getter]
    fn signature(&self) -> &str {
        &self.0.signature
    }

    /// One line of JSON, as `governance ledger head` prints it: what to keep elsewhere.
    fn line(&self, py: Python<'_>) -> PyResult<String> {
        self.0.to_line().map_err(|error| raise(py, &error))
    }

    fn __repr__(&self) -> String {
        format!("<Head of {} at {}>", self.0.ledger, self.0.size)
    }
}

/// A head that was kept: as it was answered, or as a line, or as the object that the line is.
struct Kept(ledger::Head);

impl<'py> FromPyObject<'_, 'py> for Kept {
    type Error = PyErr;

    fn extract(given: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(head) = given.cast::<Head>() {
            return Ok(Self(head.get().0.clone()));
        }
        let line = match Json::extract(given)?.0 {
            Value::String(line) => line,
            object => object.to_string(),
        };
        ledger::Head::parse(&line).map(Self).map_err(|error| raise(given.py(), &error))
    }
}

impl Answer for ledger::Head {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        Ok(Bound::new(py, Head(self, place.clone()))?.into_any())
    }
}

impl Answer for Finding {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        record(py, "Finding", [self.seq.answer(py, place), self.fault.to_string().answer(py, place), json::shaped(py, &self.fault)])
    }
}

handle!(ledger::Ledger => "Ledger");

records! {
    Listing => "Listing" { actions, unsequenced }
    AgentAction => "AgentAction" { seq, segment, number, at, kind, action, agent_id, pipeline_id, intent, result, payload }
    Report => "Report" { ledger, entries, heads, root, first, segments, unreadable_heads, unsequenced, vanished, damaged }
    Problem => "Problem" { segment, number, offset, why }
}
