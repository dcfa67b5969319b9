//! `Policies`.

use ::governance::guard::policies::{self, Applied, PolicyVersion, Text, Wish};
use ::governance::vocabulary::AgentId;
use pyo3::prelude::*;

use crate::answer::{Answer, handle, records};
use crate::given::{Named, Whole};
use crate::hosted::{Hosted, Made, Place};
use crate::json;

type Answered<'py> = PyResult<Bound<'py, PyAny>>;

/// The profiles in force.
#[pyclass(name = "_Policies", module = "governance._governance", frozen, subclass)]
pub struct Policies(Hosted<policies::Policies>);

fn wish(by: String, note: Option<String>, over: Option<Whole<u64>>) -> Wish {
    Wish { note, over: over.map(|over| over.0), ..Wish::of(by) }
}

#[pymethods]
impl Policies {
    #[new]
    fn new(made: &Made) -> PyResult<Self> {
        made.take().map(Self)
    }

    /// What is in force, by name.
    fn list<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call_apart(py, |policies| async move { policies.list().await })
    }

    /// A profile's version in force, or another that is kept.
    #[pyo3(signature = (name, *, version=None))]
    fn version<'py>(&self, py: Python<'py>, name: Named<AgentId>, version: Option<Whole<u64>>) -> Answered<'py> {
        self.0.call(py, move |policies| async move { policies.version(&name.0, version.map(|version| version.0)).await })
    }

    /// A profile's versions that are kept, oldest first.
    fn history<'py>(&self, py: Python<'py>, name: Named<AgentId>) -> Answered<'py> {
        self.0.call_apart(py, move |policies| async move { policies.history(&name.0).await })
    }

    /// Checks a profile and puts it in force.
    #[pyo3(signature = (text, by, *, note=None, over=None))]
    fn apply<'py>(&self, py: Python<'py>, text: String, by: String, note: Option<String>, over: Option<Whole<u64>>) -> Answered<'py> {
        let wish = wish(by, note, over);
        self.0.call_apart(py, move |policies| async move { policies.apply(&Text::new(text), &wish).await })
    }

    /// Puts an earlier version in force again, as a new one.
    #[pyo3(signature = (name, by, *, to=None, note=None, over=None))]
    fn rollback<'py>(
        &self,
        py: Python<'py>,
        name: Named<AgentId>,
        by: String,
        to: Option<Whole<u64>>,
        note: Option<String>,
        over: Option<Whole<u64>>,
    ) -> Answered<'py> {
        let wish = wish(by, note, over);
        self.0.call_apart(py, move |policies| async move { policies.rollback(&name.0, to.map(|to| to.0), &wish).await })
    }

    /// Takes a profile out of force.
    #[pyo3(signature = (name, by, *, note=None, over=None))]
    fn withdraw<'py>(
        &self,
        py: Python<'py>,
        name: Named<AgentId>,
        by: String,
        note: Option<String>,
        over: Option<Whole<u64>>,
    ) -> Answered<'py> {
        let wish = wish(by, note, over);
        self.0.call(py, move |policies| async move { policies.withdraw(&name.0, &wish).await })
    }
}

handle!(policies::Policies => "Policies");

records! {
    PolicyVersion => "PolicyVersion" { name, version, tier, hash, text, by, at, note, of }
    Applied => "Applied" { version, changed }
}

impl Answer for Text {
    fn answer<'py>(self, py: Python<'py>, _: &Place) -> Answered<'py> {
        json::shaped(py, &self)
    }
}
