//! `Governance`.

use std::path::PathBuf;

use ::governance::agent::{AgentFilter, AgentHealth, Instructions};
use ::governance::config::Flags;
use ::governance::guard::{Alert, NewAlerts};
use ::governance::vocabulary::{AgentId, AgentRole, AgentStatus, PipelineId, TaskId, Tier};
use ::governance::{Config, Joining};
use futures_util::stream::{once, unfold};
use futures_util::{TryFutureExt, TryStreamExt};
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::answer::{Answer, handle, records};
use crate::approval::Queue;
use crate::budget::Budget;
use crate::given::{Moment, Named, Span, Whole};
use crate::hosted::{Hosted, Made, Mode, Place};
use crate::limits;
use crate::living::Living;

type Answered<'py> = PyResult<Bound<'py, PyAny>>;

/// Who grants what is granted here, as on the command line.
pub const OPERATOR: &str = "operator";

/// Governed state: a store, its ledger, and everything that stands on them.
#[pyclass(name = "_Governance", module = "governance._governance", frozen, subclass)]
pub struct Governance(Hosted<::governance::Governance>);

#[pymethods]
impl Governance {
    #[new]
    fn new(made: &Made) -> PyResult<Self> {
        made.take().map(Self)
    }

    /// Opens what the arguments, the environment and the home directory's `config.toml` say, and makes what is not there yet.
    #[classmethod]
    #[pyo3(signature = (*, home=None, store=None))]
    fn open<'py>(class: &Bound<'py, PyType>, py: Python<'py>, home: Option<PathBuf>, store: Option<String>) -> Answered<'py> {
        Place::new(py, Mode::of(class)?)?.open(py, async move {
            let flags = Flags { home, store, ..Flags::default() };
            ::governance::Governance::open(Config::load(flags, |name| std::env::var(name).ok())?).await
        })
    }

    /// A task's blackboard, as one author sees and writes it.
    fn blackboard<'py>(&self, py: Python<'py>, task: Named<TaskId>, author: String) -> Answered<'py> {
        self.0.call(py, move |governance| async move { Ok(governance.blackboard(&task.0, &governance.actor(&author).await?)) })
    }

    /// A task's bus, as one member hears and uses it.
    fn bus<'py>(&self, py: Python<'py>, task: Named<TaskId>, member: String) -> Answered<'py> {
        self.0.call(py, move |governance| async move { Ok(governance.bus(&task.0, &governance.actor(&member).await?)) })
    }

    /// A task's votes, as one member sees them and takes part.
    fn consensus<'py>(&self, py: Python<'py>, task: Named<TaskId>, member: String) -> Answered<'py> {
        self.0.call(py, move |governance| async move { Ok(governance.consensus(&task.0, &governance.actor(&member).await?)) })
    }

    /// The budget of its owner.
    fn budget<'py>(&self, py: Python<'py>, owner: String) -> Answered<'py> {
        self.0.call(py, move |governance| async move {
            Ok(Budget { budget: governance.budget(&governance.actor(&owner).await?), by: governance.actor(OPERATOR).await? })
        })
    }

    /// Begins a pipeline whose agents join by themselves, with `agent`. Answers its id. A `DeniedError` while a stop is in force.
    fn begin<'py>(&self, py: Python<'py>, objective: String) -> Answered<'py> {
        self.0.call(py, move |governance| async move { governance.begin(&objective).await })
    }

    /// Ends a pipeline of agents that joined by themselves.
    fn end<'py>(&self, py: Python<'py>, pipeline: Named<PipelineId>) -> Answered<'py> {
        self.0.call(py, move |governance| async move { governance.end(&pipeline.0).await })
    }

    /// Joins a pipeline as a fresh instance of a profile: `alpha` becomes `alpha-7f3k2q`.
    #[pyo3(signature = (profile, pipeline, *, role=None, tier=None, root=None))]
    fn agent<'py>(
        &self,
        py: Python<'py>,
        profile: PathBuf,
        pipeline: Named<PipelineId>,
        role: Option<Named<AgentRole>>,
        tier: Option<Named<Tier>>,
        root: Option<PathBuf>,
    ) -> Answered<'py> {
        let joining = Joining { role: role.map(|role| role.0), tier: tier.map(|tier| tier.0), root };
        let profile = profile.to_string_lossy().into_owned();
        self.0.open(py, move |governance| async move {
            Living::joined(&governance, governance.agent(&profile, &pipeline.0, joining).await?).await
        })
    }

    /// Tells an agent anew what to do: its packet is written, and it reads it.
    #[allow(clippy::too_many_arguments, reason = "as Python calls it")]
    #[pyo3(signature = (agent, *, objective=None, constraints=None, deadline=None, evidence_required=None))]
    fn instruct<'py>(
        &self,
        py: Python<'py>,
        agent: Named<AgentId>,
        objective: Option<String>,
        constraints: Option<Vec<String>>,
        deadline: Option<Moment>,
        evidence_required: Option<Vec<String>>,
    ) -> Answered<'py> {
        let instructions = Instructions {
            objective,
            constraints: constraints.unwrap_or_default(),
            deadline: deadline.map(|deadline| deadline.0),
            evidence_required: evidence_required.unwrap_or_default(),
        };
        self.0.call(py, move |governance| async move { governance.instruct(&agent.0, &instructions).await })
    }

    /// Revoking agents, stopping pipelines, stopping everything.
    #[getter]
    fn revocations<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.look(py, |governance| Ok(governance.revocations()))?.answer(py, self.0.place())
    }

    /// The profiles in force.
    #[getter]
    fn policies<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.look(py, |governance| Ok(governance.policies().clone()))?.answer(py, self.0.place())
    }

    /// How far profiles are trusted.
    #[getter]
    fn promotions<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.look(py, |governance| Ok(governance.promotions()))?.answer(py, self.0.place())
    }

    /// What agents, pipelines and everything may use.
    #[getter]
    fn limits<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.look(py, |governance| Ok(limits::Set(governance.clone())))?.answer(py, self.0.place())
    }

    /// How every part is.
    fn health<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call_apart(py, |governance| async move { Ok(governance.health().await) })
    }

    /// The register of agents, oldest first.
    #[allow(clippy::too_many_arguments, reason = "as Python calls it")]
    #[pyo3(signature = (*, tier=None, role=None, status=None, pipeline=None, health=None, profile=None))]
    fn agents<'py>(
        &self,
        py: Python<'py>,
        tier: Option<Named<Tier>>,
        role: Option<Named<AgentRole>>,
        status: Option<Named<AgentStatus>>,
        pipeline: Option<Named<PipelineId>>,
        health: Option<Named<AgentHealth>>,
        profile: Option<String>,
    ) -> Answered<'py> {
        let filter = AgentFilter {
            tier: tier.map(|tier| tier.0),
            role: role.map(|role| role.0),
            status: status.map(|status| status.0),
            pipeline: pipeline.map(|pipeline| pipeline.0),
            health: health.map(|health| health.0),
            profile,
        };
        self.0.call_apart(py, move |governance| async move { governance.agents(&filter).await })
    }

    /// One agent, with everything that is known of it.
    fn agent_record<'py>(&self, py: Python<'py>, agent: Named<AgentId>) -> Answered<'py> {
        self.0.call_apart(py, move |governance| async move { governance.agent_record(&agent.0).await })
    }

    /// What people are asked to approve.
    #[getter]
    fn approvals<'py>(&self, py: Python<'py>) -> Answered<'py> {
        let queue = |own: &::governance::Governance| Ok(Queue { approvals: own.approvals(), home: own.config().home.clone() });
        self.0.look(py, queue)?.answer(py, self.0.place())
    }

    /// The newest alerts, oldest first.
    fn alerts<'py>(&self, py: Python<'py>, last: Whole<u64>) -> Answered<'py> {
        self.0.call_apart(py, move |governance| async move { governance.alerts().list(last.0).await })
    }

    /// Alerts as they come, beginning with all that are kept.
    fn new_alerts<'py>(&self, py: Python<'py>) -> Answered<'py> {
        let alerts = self.0.look(py, |governance| Ok(governance.alerts()))?;
        let followed = self.0.place().begin(async move { alerts.follow().await });
        let told = followed.map_ok(|follow| unfold(follow, |mut follow| async move { Some((follow.next().await, follow)) }));
        self.0.place().stream(py, once(told).try_flatten())
    }

    /// The record.
    #[getter]
    fn ledger<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.look(py, |governance| Ok(governance.ledger().clone()))?.answer(py, self.0.place())
    }

    /// Waits until everything that is written, also by processes that died, is in the record. False if it was not in time.
    fn catch_up<'py>(&self, py: Python<'py>, within: Span) -> Answered<'py> {
        self.0.call(py, move |governance| async move { governance.catch_up(within.0).await })
    }

    /// The store's URL, without a password.
    #[getter]
    fn store_url(&self, py: Python<'_>) -> PyResult<String> {
        self.0.look(py, |governance| Ok(governance.store_url().to_owned()))
    }

    /// Lets the next process keep house, and closes the ledger.
    fn close<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.close(py, |governance| async move { governance.close().await })
    }
}

handle!(::governance::Governance => "Governance");

records! {
    Alert => "Alert" { kind, at, data }
    NewAlerts => "NewAlerts" { missed, alerts }
}
