//! A governed call: decided, recorded, checked again, run, and recorded again.
//!
//! ```text
//!   request ─▶ path resolved ─▶ admission known to hold, no longer ago than D ─▶ policy ──deny──▶ recorded ─▶ the violation's consequence
//!                                                                                  │ allow
//!                                                                                  ▼
//!            shares of limits taken ─▶ intent in the ledger ─▶ admission again ─▶ an approval used up ─▶ the tool, with its time
//!                                                                                  │
//!                                          outcome: ok │ error │ unknown ◀─────────┘ ended, failed │ late, cancelled, revoked, panicked
//! ```
//!
//! Whatever fails before the tool runs denies: an error, a panic, a store or a disk that does not answer.

mod approving;
mod arguments;
mod call;
mod entered;
mod facts;
mod judge;
mod layer;
mod live;
mod refusal;
mod showing;
mod stream;
mod tampering;
mod terms;
mod told;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::runtime::Handle;

use super::admission::Role;
use super::breakers::Breakers;
use super::budget::ErrorBudget;
use super::gate::Gate;
use super::limits::{LAPSED, LAPSES, Limits};
use super::path::{Place, Root};
use super::policies::PolicySource;
use super::policy::{Decision, Policy, Request};
use super::recorder::Recorder;
use super::revocation::RevocationEngine;
use crate::error::Result;
use crate::ledger::Action;
use crate::store::{Actor, Store};
use crate::vocabulary::{BreakerRules, Token};
pub use arguments::Arguments;
pub use call::{Call, Running};
pub use layer::{Asked, BoxError, GovernLayer, GovernService};
pub use stream::Governed;
pub use terms::Terms;

use approving::{Approved, Approving};
use entered::Entered;
use judge::{guarded, guarded_now};
use live::Live;
use tampering::Grounds;
use told::Told;

/// How long an admission is believed to hold, unless said otherwise: D in the promise that nothing is admitted later than D after a revocation.
pub const BELIEVED: Duration = Duration::from_secs(1);
/// How long a tool may take, unless said otherwise.
pub const TOOL_TIME: Duration = Duration::from_secs(60);

/// Stands between an agent and its tools. Cheap to clone.
#[derive(Clone)]
pub struct Guard {
    own: Arc<Own>,
}

#[derive(Clone)]
struct Own {
    store: Store,
    actor: Actor,
    recorder: Recorder,
    engine: RevocationEngine,
    policy: PolicySource,
    role: Option<Role>,
    root: Option<Root>,
    // Out of reach for every path.
    grounds: Grounds,
    limits: Option<Limits>,
    breakers: Breakers,
    believed: Duration,
    within: Duration,
    counts_failures: bool,
    // Shared by every clone: whoever hears that the admission has ended tells all.
    live: Arc<Live>,
    gate: Option<Arc<Gate>>,
    // Where what nobody waits for is done: whoever ends a call may be on a thread of another language.
    runtime: Option<Handle>,
    approving: Approving,
}

/// What a tool is given once it may run.
#[derive(Debug, Clone)]
pub struct Granted {
    /// Where the path leads that was asked for, with the handle to work through.
    pub place: Option<Place>,
    /// What was decided, and why.
    pub decision: Decision,
    /// The id of the recorded intent: makes a commit by this call safe to repeat.
    pub token: Token,
}

impl Guard {
    /// The guard of an admitted agent.
    #[must_use]
    pub fn open(store: &Store, actor: &Actor, recorder: &Recorder, policy: impl Into<PolicySource>) -> Self {
        Self {
            own: Arc::new(Own {
                store: store.clone(),
                actor: actor.clone(),
                recorder: recorder.clone(),
                engine: RevocationEngine::open(store).recorded(recorder),
                policy: policy.into(),
                role: None,
                root: None,
                grounds: Grounds::of(store, recorder),
                limits: None,
                breakers: Breakers::new(store, actor, None),
                believed: BELIEVED,
                within: TOOL_TIME,
                counts_failures: true,
                live: Arc::default(),
                gate: None,
                runtime: Handle::try_current().ok(),
                approving: Approving::default(),
            }),
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Own)) -> Self {
        change(Arc::make_mut(&mut self.own));
        self
    }

    /// The same, with another policy.
    #[must_use]
    pub fn with_policy(self, policy: impl Into<PolicySource>) -> Self {
        let source = policy.into();
        let policy = source.now();
        self.with(|own| {
            let rules = &policy.profile().governance;
            if let Some(limits) = &own.limits {
                limits.adopt(rules.limits);
            }
            own.breakers = own.breakers.under(rules.breaker);
            own.policy = source;
        })
    }

    /// The same, with the folder that paths are below. Without one every request that names a path is denied.
    #[must_use]
    pub fn rooted(self, root: Root) -> Self {
        self.with(|own| own.root = Some(root))
    }

    /// The same, keeping out of these files and folders too, which say what agents may do. What its record, its store and their configuration lie in is
    /// out of reach by itself.
    #[must_use]
    pub fn protecting(self, policies: impl IntoIterator<Item = PathBuf>) -> Self {
        self.with(|own| own.grounds.add(policies))
    }

    /// The same, held to the limits of its agent, its pipeline and its tenant.
    #[must_use]
    pub fn limited(self, limits: Limits) -> Self {
        self.with(|own| own.limits = Some(limits))
    }

    /// The same, with a breaker around each tool, or each target, shared by every process. What a profile that is followed says of breakers comes first.
    #[must_use]
    pub fn breaking(self, rules: BreakerRules) -> Self {
        self.with(|own| own.breakers = Breakers::new(&own.store, &own.actor, Some(rules)))
    }

    /// The same, with another D: how long an admission is believed to hold. Zero asks the store before each call.
    #[must_use]
    pub fn believing(self, span: Duration) -> Self {
        self.with(|own| own.believed = span)
    }

    /// The same, with other time for a tool.
    #[must_use]
    pub fn within(self, span: Duration) -> Self {
        self.with(|own| own.within = span)
    }

    /// The same, behind what an agent's life asks for: its preflight, its deadline.
    #[must_use]
    pub fn behind(self, gate: Arc<Gate>) -> Self {
        self.with(|own| own.gate = Some(gate))
    }

    /// The same, whose tools may fail without that being held against the agent. Unless told so, each failure is an error of its budget and of
    /// its last minute.
    #[must_use]
    pub fn counting_failures(self, counts: bool) -> Self {
        self.with(|own| own.counts_failures = counts)
    }

    /// The folder that paths are below.
    #[must_use]
    pub fn root(&self) -> Option<&Root> {
        self.own.root.as_ref()
    }

    /// Where its policy is from.
    pub(crate) fn source(&self) -> &PolicySource {
        &self.own.policy
    }

    /// What it decides by now.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.own.policy.now()
    }

    /// What would come of a request now. Only asks: nothing is recorded, and nothing is held against the agent. A `revoked` error where its
    /// admission has ended.
    pub async fn decide(&self, request: &Request<'_>) -> Result<Decision> {
        self.decide_with(request, &Arguments::of(&Value::Null)).await
    }

    /// The same, of a call with these arguments, which conditions may ask for.
    pub async fn decide_with(&self, request: &Request<'_>, arguments: &Arguments) -> Result<Decision> {
        self.judge(request, arguments).await.map(|(decision, _)| decision)
    }

    /// Begins a call: decides, takes what limits give, records the intent, checks again. What is answered may run, and is to be ended.
    ///
    /// A denial is an error: `not_allowed`, `approval_required`, `undecided` (the store did not answer in time), `revoked`, `budget_exhausted`; the
    /// first three carry the decision in their details. It is recorded with its reason, and has the consequence of the violation that it is.
    ///
    /// A call with risks believes nothing: its policy and its admission are asked for anew, as if D were zero.
    pub async fn begin(&self, request: &Request<'_>, arguments: &Arguments) -> Result<Call> {
        match self.try_begin(request, arguments)? {
            Some(call) => Ok(call),
            // Rare, and large: what most calls carry about with them stays small.
            None => Box::pin(self.begin_asking(request, arguments)).await,
        }
    }

    async fn begin_asking(&self, request: &Request<'_>, arguments: &Arguments) -> Result<Call> {
        if !request.risks.is_empty() && !self.own.believed.is_zero() {
            return Box::pin(self.clone().believing(Duration::ZERO).begin_asking(request, arguments)).await;
        }
        for _ in 0..LAPSES {
            match self.begin_once(request, arguments).await {
                // The time of what it was drawn from was over before it could start.
                Err(lapsed) if lapsed.code() == LAPSED => {}
                other => return other,
            }
        }
        self.begin_once(request, arguments).await
    }

    async fn begin_once(&self, request: &Request<'_>, arguments: &Arguments) -> Result<Call> {
        let judged = match self.own.live.is_counting() {
            false => self.judge(request, arguments).await?,
            true => {
                // At once: a store that does not answer is waited for once.
                let (judged, ()) = tokio::join!(self.judge(request, arguments), self.own.live.counted());
                self.own.is_believed(self.own.elapsed())?;
                judged?
            }
        };
        let (decision, place, approved) = self.approved(request, arguments, judged).await?;
        if approved.is_none() && !decision.is_allowed() {
            return Err(self.refuse(request, arguments.digest(), &decision).await);
        }
        let entered = guarded(self.own.enter(request)).await?;
        let call = self.intend(request, arguments, (decision, place, approved.as_ref()), entered)?;
        // INVARIANT: an intent comes before every check that a tool's start rests on, so that who looks at the ledger knows of every start.
        let may = async {
            call.check().await?;
            call.confirm()?;
            self.redeem(approved.as_ref(), &call.granted().token).await
        };
        match guarded(may).await {
            Ok(()) => Ok(call),
            Err(error) => {
                call.refused(&error)?;
                Err(error)
            }
        }
    }

    /// The same without waiting; none where it takes a round trip to say, as for whatever is refused: ask [`begin`](Self::begin) then.
    pub fn try_begin(&self, request: &Request<'_>, arguments: &Arguments) -> Result<Option<Call>> {
        // What has failed is counted before anything more begins.
        if !request.risks.is_empty() || self.own.live.is_counting() {
            return Ok(None);
        }
        // What is decided is decided as of one moment, and all that its start rests on is looked at as of a later one.
        let now = guarded_now(|| Ok(self.own.elapsed()))?;
        let Some((decision, place)) = self.judge_now(request, now)?.filter(|(decision, _)| decision.is_allowed()) else { return Ok(None) };
        let Some(entered) = guarded_now(|| self.own.enter_now(now))? else { return Ok(None) };
        let call = self.intend(request, arguments, (decision, place, None), entered)?;
        match guarded_now(|| call.holds_at(self.own.elapsed())) {
            Ok(true) => Ok(Some(call)),
            Ok(false) => {
                // Between two looks the answer grew too old.
                call.unmade("asked_again")?;
                Ok(None)
            }
            // The time of what it was drawn from was over before it could start: `begin` draws anew.
            Err(lapsed) if lapsed.code() == LAPSED => {
                call.unmade(LAPSED)?;
                Ok(None)
            }
            Err(error) => {
                call.refused(&error)?;
                Err(error)
            }
        }
    }

    /// Runs a tool, if it may run. `arguments` are what it is called with; the ledger keeps their hash. A denial is an error, as [`begin`](Self::begin)
    /// says.
    ///
    /// A tool that is late, cancelled (this future is dropped), or whose agent is revoked meanwhile is dropped where it stands, and its outcome
    /// is recorded as `unknown`: what it did outside cannot be called back.
    pub async fn govern<T>(&self, request: &Request<'_>, arguments: &Value, tool: impl AsyncFnOnce(Granted) -> Result<T>) -> Result<T> {
        let call = self.begin(request, &Arguments::of(arguments)).await?;
        match call.run(tool(call.granted().clone())).await {
            Ok(done) => call.settled(done).await,
            Err(dropped) => call.cut_off(dropped).await,
        }
    }

    /// Writes that it is about to be done.
    fn intend(
        &self,
        request: &Request<'_>,
        arguments: &Arguments,
        (decision, place, approved): (Decision, Option<Place>, Option<&Approved>),
        entered: Entered,
    ) -> Result<Call> {
        let own = &self.own;
        let verdict = decision.verdict().as_str();
        let (path, asked) = match &place {
            Some(place) if place.is_as_asked() => (request.path, None),
            Some(place) => (Some(place.relative()), request.path),
            None => (None, None),
        };
        let Request { action, target, risks, .. } = *request;
        let approval = approved.map(|approved| &approved.id);
        let (arguments, policy) = (arguments.digest(), decision.policy_hash());
        let told = Told { action, target, path, asked, arguments, verdict, policy, approval, risks };
        let (agent, pipeline) = (Some(&own.actor.id), own.actor.pipeline.as_ref());
        let recorded = own.recorder.intent_text(&own.store, Action::ToolCall, agent, pipeline, &told.text())?;
        let granted = Granted { place, decision, token: recorded.token.clone() };
        Ok(Call::new(self, action, granted, recorded, entered))
    }
}

impl Own {
    /// Time as deadlines are counted.
    fn elapsed(&self) -> Duration {
        self.store.ports().clock.elapsed()
    }

    /// Whether the admission may be believed to hold, without a round trip; an error where it has ended.
    fn is_believed(&self, now: Duration) -> Result<bool> {
        self.live.is_believed(&self.actor, self.believed, now)
    }

    fn budget(&self) -> ErrorBudget {
        ErrorBudget::open(&self.store, &self.actor).recorded(&self.recorder).governed_by(&self.policy)
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("agent", &self.own.actor.id).field("policy", &self.own.policy.now()).finish_non_exhaustive()
    }
}
