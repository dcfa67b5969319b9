//! `Agent`.

use std::path::PathBuf;

use ::governance::agent::{self, AgentEvent, KnownCheck, Proposed};
use ::governance::coordination;
use ::governance::llm::{Analysis, Idea};
use ::governance::vocabulary::{AgentId, AgentPhase, GammaReason, ProposalId};
use futures_util::stream::unfold;
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::answer::{Answer, handle, record, records};
use crate::budget::Budget;
use crate::given::{Json, Named, Shaped, Span};
use crate::hosted::{Hosted, Made, Mode, Place};
use crate::json;
use crate::living::Living;
use crate::preflight::Preflight;
use crate::step::Doing;
use crate::tool::{Call, Tool};

type Answered<'py> = PyResult<Bound<'py, PyAny>>;

/// A governed agent that lives in this process.
#[pyclass(name = "_Agent", module = "governance._governance", frozen, subclass)]
pub struct Agent(Hosted<Living>);

#[pymethods]
impl Agent {
    #[new]
    fn new(made: &Made) -> PyResult<Self> {
        made.take().map(Self)
    }

    /// Sits down on the seat that a supervisor hands over on standard input. When that input closes, this process ends.
    #[classmethod]
    #[pyo3(signature = (*, root=None))]
    fn seated<'py>(class: &Bound<'py, PyType>, py: Python<'py>, root: Option<PathBuf>) -> Answered<'py> {
        Place::new(py, Mode::of(class)?)?.open(py, Living::seated(root))
    }

    /// Begins a tool's call without a round trip; none where that cannot be.
    fn _try_begin<'py>(
        &self,
        py: Python<'py>,
        tool: &Tool,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Option<Call>> {
        Living::begin_now(&self.0, py, tool, args, kwargs)
    }

    /// Begins a tool's call: waits where the store has to be asked.
    fn _begin<'py>(&self, py: Python<'py>, tool: &Tool, args: &Bound<'py, PyTuple>, kwargs: Option<&Bound<'py, PyDict>>) -> Answered<'py> {
        Living::begin(&self.0, &self.0.place().waited(), py, tool, args, kwargs)
    }

    /// The same, awaited.
    fn _ask_begin<'py>(
        &self,
        py: Python<'py>,
        tool: &Tool,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> Answered<'py> {
        Living::begin(&self.0, &self.0.place().awaited(), py, tool, args, kwargs)
    }

    /// Who it is.
    #[getter]
    fn id<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.look(py, |own| Ok(own.agent.desk().actor().id.clone()))?.answer(py, self.0.place())
    }

    /// What it is for.
    #[getter]
    fn role<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.look(py, |own| Ok(own.agent.desk().role()))?.answer(py, self.0.place())
    }

    /// Its pipeline.
    #[getter]
    fn pipeline<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.look(py, |own| Ok(own.agent.desk().pipeline().clone()))?.answer(py, self.0.place())
    }

    /// How far it is trusted.
    #[getter]
    fn tier<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.look(py, |own| Ok(own.tier))?.answer(py, self.0.place())
    }

    /// What is asked.
    #[getter]
    fn objective(&self, py: Python<'_>) -> PyResult<String> {
        self.0.look(py, |own| Ok(own.agent.desk().objective().to_owned()))
    }

    /// Which try of the run this is, from 1.
    #[getter]
    fn tries(&self, py: Python<'_>) -> PyResult<usize> {
        self.0.look(py, |own| Ok(own.agent.desk().tries()))
    }

    /// The pipeline's blackboard, as this agent writes it.
    #[getter]
    fn blackboard<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.look(py, |own| Ok(own.agent.desk().board().clone()))?.answer(py, self.0.place())
    }

    /// The pipeline's bus, as this agent uses it.
    #[getter]
    fn bus<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.look(py, |own| Ok(own.agent.desk().bus()))?.answer(py, self.0.place())
    }

    /// The pipeline's votes, as this agent takes part in them.
    #[getter]
    fn consensus<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.look(py, |own| Ok(own.agent.desk().consensus().clone()))?.answer(py, self.0.place())
    }

    /// Its own budget.
    #[getter]
    fn budget<'py>(&self, py: Python<'py>) -> Answered<'py> {
        let budget = |own: &Living| Ok(Budget { budget: own.agent.desk().budget().clone(), by: own.agent.desk().actor().clone() });
        self.0.look(py, budget)?.answer(py, self.0.place())
    }

    /// What thinks for it, governed.
    #[getter]
    fn model<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.place().host(py, "Model", self.0.look(py, |own| Ok(own.agent.clone()))?)
    }

    /// A `RevokedError` at once when this process already knows that the agent's admission has ended.
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        self.0.look(py, |own| own.agent.check())
    }

    /// Where it is in its life.
    fn phase<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |own| async move { own.agent.phase().await })
    }

    /// Enters the next phase of its life; stays where it is if it was there already.
    fn enter<'py>(&self, py: Python<'py>, phase: Named<AgentPhase>) -> Answered<'py> {
        self.0.call(py, move |own| async move { own.agent.desk().enter(phase.0).await })
    }

    /// Puts something out, as its phase classes it.
    fn output<'py>(&self, py: Python<'py>, content: Json) -> Answered<'py> {
        self.0.call(py, move |own| async move { own.agent.output(content.0).await })
    }

    /// What it put out, oldest first.
    fn outputs<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |own| async move { own.agent.outputs().await })
    }

    /// What it was told to do, and under which constraints.
    fn packet<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |own| async move { own.agent.packet().await })
    }

    /// Begins a preflight with these checks, by name: what each looks at, or none where Python makes it.
    #[pyo3(signature = (checks, within))]
    fn _preflight(&self, py: Python<'_>, checks: Shaped<Vec<(String, Option<KnownCheck>)>>, within: Option<Span>) -> PyResult<Preflight> {
        let looking = self.0.look(py, |own| Ok(own.agent.looking(checks.0, within.map(|within| within.0))))?;
        Ok(Preflight::new(&self.0, looking))
    }

    /// Bundles evidence for what it put out, in PACKAGE.
    fn package<'py>(&self, py: Python<'py>, exhibits: Shaped<Vec<agent::Exhibit>>) -> Answered<'py> {
        self.0.call_apart(py, move |own| async move { own.agent.package(&exhibits.0).await })
    }

    /// What the objective is about.
    fn analyse<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |own| async move { own.agent.desk().analyse().await })
    }

    /// Proposes its own solution, and the rivals that it cannot rule out.
    fn propose<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |own| async move { own.agent.desk().propose_own().await })
    }

    /// Puts a solution on the blackboard, on the record. One of that name that is there already stays.
    fn offer<'py>(&self, py: Python<'py>, name: String, idea: Shaped<Idea>) -> Answered<'py> {
        self.0.call(py, move |own| async move { own.agent.desk().offer(&name, &idea.0).await })
    }

    /// Every solution on the blackboard, by name.
    fn proposals<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |own| async move { own.agent.desk().proposals().await })
    }

    /// Judges every solution on the blackboard.
    fn evaluate<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |own| async move { own.agent.evaluate().await })
    }

    /// Builds one solution out of all, and puts it on the blackboard. Answers its name; none where there are not two.
    fn combine<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |own| async move { own.agent.desk().combine_all().await })
    }

    /// Reconciles what the others proposed into a solution of its own, as a mediator.
    fn mediate<'py>(&self, py: Python<'py>, reason: Named<GammaReason>) -> Answered<'py> {
        self.0.call(py, move |own| async move { own.agent.mediate(reason.0).await })
    }

    /// Verifies its own proposal, bundles it as its output, and reports.
    fn hand_in<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |own| async move { own.agent.desk().hand_in().await })
    }

    /// Asks people to approve a plan before it is carried out, as many and as long as its profile says.
    fn request_plan<'py>(&self, py: Python<'py>, plan: Json) -> Answered<'py> {
        self.0.call(py, move |own| async move {
            let (desk, guard) = (own.agent.desk(), own.agent.desk().guard());
            let rules = guard.policy().profile().governance.approval;
            guard.approvals().request_plan(desk.actor(), plan.0, rules).await
        })
    }

    /// Lets a profile fall by one tier, as an agent that reviews those of its tier.
    fn demote<'py>(&self, py: Python<'py>, profile: Named<AgentId>, reason: String) -> Answered<'py> {
        self.0.call_apart(py, move |own| async move { own.agent.desk().demote(&profile.0, &reason).await })
    }

    /// Casts its ballot, on the record.
    fn vote<'py>(&self, py: Python<'py>, proposal: Named<ProposalId>, choice: Shaped<coordination::Choice>) -> Answered<'py> {
        self.0.call(py, move |own| async move { own.agent.desk().vote(&proposal.0, choice.0).await })
    }

    /// Judges every solution again, and votes for the best; abstains when it can tell none apart.
    fn vote_best<'py>(&self, py: Python<'py>, proposal: Named<ProposalId>) -> Answered<'py> {
        self.0.call(py, move |own| async move { own.agent.desk().vote_best(&proposal.0).await })
    }

    /// The next thing to do; none when it was told to leave, and has left. A `RevokedError` when its admission has ended.
    fn next_step<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |own| async move { own.agent.next_step().await.map(|step| step.map(|step| Doing::new(&own.agent, step))) })
    }

    /// Step after step, until it is told to leave.
    fn steps<'py>(&self, py: Python<'py>) -> Answered<'py> {
        let agent = self.0.look(py, |own| Ok(own.agent.clone()))?;
        self.0.place().stream(
            py,
            unfold(agent, |agent| async move {
                let step = agent.next_step().await.transpose()?;
                Some((step.map(|step| Doing::new(&agent, step)), agent))
            }),
        )
    }

    /// The next thing it should know of itself; none when nothing more can come.
    fn next_event<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |own| async move { Ok(own.agent.next_event().await) })
    }

    /// What it should know of itself, as it comes.
    fn events<'py>(&self, py: Python<'py>) -> Answered<'py> {
        let agent = self.0.look(py, |own| Ok(own.agent.clone()))?;
        self.0.place().stream(py, unfold(agent, |agent| async move { Some((Ok(agent.next_event().await?), agent)) }))
    }

    /// Leaves: gives back its lock, what it reserved, and its place on the bus.
    fn leave<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |own| async move { own.leave().await })
    }
}

handle!(Living => "Agent");

records!(Proposed => "Proposed" { name, author, idea });

impl Answer for Idea {
    fn answer<'py>(self, py: Python<'py>, _: &Place) -> Answered<'py> {
        json::shaped(py, &self)
    }
}

impl Answer for Analysis {
    fn answer<'py>(self, py: Python<'py>, _: &Place) -> Answered<'py> {
        json::shaped(py, &self)
    }
}

impl Answer for AgentEvent {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        let (event, reason, low) = match self {
            Self::Revoked { reason } => ("revoked", Some(reason), None),
            Self::BudgetLow { unit, scope, used, limit } => ("budget_low", None, Some((unit, scope, used, limit))),
        };
        // Its own is not said, as in the core's JSON.
        let scope = low.as_ref().map(|(_, scope, ..)| scope).filter(|scope| !scope.is_agent());
        let scope = scope.map_or_else(|| ().answer(py, place), |scope| json::shaped(py, scope));
        let (unit, used, limit) = low.map_or((None, None, None), |(unit, _, used, limit)| (Some(unit), Some(used), Some(limit)));
        let what = [event.into_bound_py_any(py), reason.answer(py, place)];
        record(py, "AgentEvent", what.into_iter().chain([unit.answer(py, place), used.answer(py, place), limit.answer(py, place), scope]))
    }
}
