//! `Promotions`.

use std::collections::VecDeque;

use ::governance::agent::{self, ProfileStanding, StandingChange};
use ::governance::vocabulary::{AgentId, Eligibility, Millis, ProfileHistory, PromotionTerms, Requirement, Tier};
use pyo3::prelude::*;

use crate::answer::{Answer, handle, record, records};
use crate::given::{Named, Shaped};
use crate::hosted::{Hosted, Made, Place};
use crate::json;

type Answered<'py> = PyResult<Bound<'py, PyAny>>;

/// How far profiles are trusted.
#[pyclass(name = "_Promotions", module = "governance._governance", frozen, subclass)]
pub struct Promotions(Hosted<agent::Promotions>);

#[pymethods]
impl Promotions {
    #[new]
    fn new(made: &Made) -> PyResult<Self> {
        made.take().map(Self)
    }

    /// Every profile that something is known of, with everything counted.
    fn standings<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call_apart(py, |promotions| async move { promotions.standings().await })
    }

    /// How a profile stands, with everything counted.
    fn standing<'py>(&self, py: Python<'py>, profile: Named<AgentId>) -> Answered<'py> {
        self.0.call_apart(py, move |promotions| async move { promotions.standing(&profile.0).await })
    }

    /// What a profile lacks to rise.
    fn eligibility<'py>(&self, py: Python<'py>, profile: Named<AgentId>) -> Answered<'py> {
        self.0.call_apart(py, move |promotions| async move { promotions.eligibility(&profile.0).await })
    }

    /// Gives a profile the standing that its operator answers for.
    #[pyo3(signature = (profile, tier, by, reason, *, terms=None))]
    fn register<'py>(
        &self,
        py: Python<'py>,
        profile: Named<AgentId>,
        tier: Named<Tier>,
        by: String,
        reason: String,
        terms: Option<Shaped<PromotionTerms>>,
    ) -> Answered<'py> {
        let terms = terms.map(|terms| terms.0);
        self.0.call_apart(py, move |promotions| async move { promotions.register(&profile.0, tier.0, terms.as_ref(), &by, &reason).await })
    }

    /// Lets a profile rise by one tier.
    #[pyo3(signature = (profile, by, reason, *, to=None))]
    fn promote<'py>(&self, py: Python<'py>, profile: Named<AgentId>, by: String, reason: String, to: Option<Named<Tier>>) -> Answered<'py> {
        let to = to.map(|to| to.0);
        self.0.call_apart(py, move |promotions| async move { promotions.promote(&profile.0, to, &by, &reason).await })
    }

    /// Lets a profile fall.
    #[pyo3(signature = (profile, by, reason, *, to=None))]
    fn demote<'py>(&self, py: Python<'py>, profile: Named<AgentId>, by: String, reason: String, to: Option<Named<Tier>>) -> Answered<'py> {
        let to = to.map(|to| to.0);
        self.0.call_apart(py, move |promotions| async move { promotions.demote(&profile.0, to, &by, &reason).await })
    }
}

handle!(agent::Promotions => "Promotions");

records! {
    StandingChange => "StandingChange" { from, to, status, by, reason, at }
    ProfileHistory => "ProfileHistory" { compliant, consecutive, not_compliant, actions, modifications, violations }
    Eligibility => "Eligibility" { status, target, requirements, review, administrator }
    Requirement => "Requirement" { name, have, need, met }
}

impl Answer for ProfileStanding {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        let Self { profile, tier, status, history, terms, review, changes, .. } = self;
        let known = [profile.answer(py, place), tier.answer(py, place), status.answer(py, place), history.answer(py, place)];
        let asked = [json::shaped(py, &terms), json::shaped(py, &review), changes.answer(py, place)];
        record(py, "ProfileStanding", known.into_iter().chain(asked))
    }
}

impl Answer for VecDeque<Millis> {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        Vec::from(self).answer(py, place)
    }
}
