//! A governed call: decided, recorded, checked again, run, and recorded again.
//!
//! ```text
//!   request ─▶ path resolved ─▶ admission known to hold, no longer ago than D ─▶ policy ──deny──▶ recorded ─▶ the violation's consequence
//!                                                                                  │ allow
//!                                                                                  ▼
//!            intent in the ledger ─▶ admission again ─▶ a call drawn, where calls are limited ─▶ the tool, with its time
//!                                                                                  │
//!                                          outcome: ok │ error │ unknown ◀─────────┘ ended, failed │ late, cancelled, revoked, panicked
//! ```
//!
//! Whatever fails before the tool runs denies: an error, a panic, a store or a disk that does not answer.

mod approving;
mod live;
mod open;
mod refusal;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::allowance::Allowance;
use super::budget::{ErrorBudget, Spend};
use super::canonical::digest;
use super::path::{Place, Root};
use super::policy::{Decision, Policy, Request, Verdict};
use super::recorder::Recorder;
use super::revocation::RevocationEngine;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Action, OutcomeResult};
use crate::store::{Actor, Admission, Store};
use crate::vocabulary::{ApprovalId, Token, ViolationType};
use approving::Approving;
use live::Live;
use open::{OpenCall, caught};

/// How long an admission is believed to hold, unless said otherwise: D in the promise that nothing is admitted later than D after a revocation.
pub const BELIEVED: Duration = Duration::from_secs(1);
/// How long a tool may take, unless said otherwise.
pub const TOOL_TIME: Duration = Duration::from_secs(60);

/// Stands between an agent and its tools. Cheap to clone.
#[derive(Clone)]
pub struct Guard {
    store: Store,
    actor: Arc<Actor>,
    epochs: Arc<Admission>,
    recorder: Recorder,
    engine: RevocationEngine,
    policy: Policy,
    root: Option<Root>,
    allowance: Option<Arc<Allowance>>,
    believed: Duration,
    within: Duration,
    live: Arc<Live>,
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

/// What the ledger is told of a call. Arguments may hold secrets: only their hash is kept.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    request: &'a Request<'a>,
    /// The path as it was asked for, where it was another.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked: Option<&'a str>,
    arguments: &'a str,
    verdict: &'a str,
    policy: &'a str,
    /// What it was approved by.
    #[serde(skip_serializing_if = "Option::is_none")]
    approval: Option<&'a ApprovalId>,
}

impl Guard {
    /// The guard of an admitted agent.
    #[must_use]
    pub fn open(store: &Store, actor: &Actor, recorder: &Recorder, policy: Policy) -> Self {
        Self {
            store: store.clone(),
            epochs: Arc::new(actor.admission.clone()),
            actor: Arc::new(actor.clone()),
            recorder: recorder.clone(),
            engine: RevocationEngine::open(store).recorded(recorder),
            policy,
            root: None,
            allowance: None,
            believed: BELIEVED,
            within: TOOL_TIME,
            live: Arc::default(),
            approving: Approving::default(),
        }
    }

    /// The same, with another policy.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The same, with the folder that paths are below. Without one every request that names a path is denied.
    #[must_use]
    pub fn rooted(mut self, root: Root) -> Self {
        self.root = Some(root);
        self
    }

    /// The same, drawing each call from a share of the agent's budget.
    #[must_use]
    pub fn drawing(mut self, allowance: Arc<Allowance>) -> Self {
        self.allowance = Some(allowance);
        self
    }

    /// The same, with another D: how long an admission is believed to hold. Zero asks the store before each call.
    #[must_use]
    pub fn believing(mut self, span: Duration) -> Self {
        self.believed = span;
        self
    }

    /// The same, with other time for a tool.
    #[must_use]
    pub fn within(mut self, span: Duration) -> Self {
        self.within = span;
        self
    }

    /// What it decides by.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What would come of a request now. Only asks: nothing is recorded, and nothing is held against the agent. A `revoked` error where its
    /// admission has ended.
    pub async fn decide(&self, request: &Request<'_>) -> Result<Decision> {
        self.judge(request).await.map(|(decision, _)| decision)
    }

    /// Runs a tool, if it may run. `arguments` are what it is called with; the ledger keeps their hash.
    ///
    /// A denial is an error: `not_allowed`, `approval_required`, `undecided` (the store did not answer in time), `revoked`, `budget_exhausted`; the
    /// first three carry the decision in their details. It is recorded with its reason, and has the consequence of the violation that it is.
    /// A tool that is late, cancelled (this future is dropped), or whose agent is revoked meanwhile is dropped where it stands, and its outcome
    /// is recorded as `unknown`: what it did outside cannot be called back.
    pub async fn govern<T>(&self, request: &Request<'_>, arguments: &Value, tool: impl AsyncFnOnce(Granted) -> Result<T>) -> Result<T> {
        let judged = self.judge(request).await?;
        let hash = digest(arguments);
        let (decision, place, approval) = self.approved(request, arguments, &hash, judged).await?;
        if approval.is_none() && !decision.is_allowed() {
            return Err(self.refuse(request, &hash, &decision).await);
        }
        let verdict = decision.verdict().as_str();
        let (path, asked) = match &place {
            Some(place) if place.is_as_asked() => (request.path, None),
            Some(place) => (Some(place.relative()), request.path),
            None => (None, None),
        };
        let request = &Request { path, ..*request };
        let told = Told {
            request,
            asked,
            arguments: &hash,
            verdict,
            policy: decision.policy_hash(),
            approval: approval.as_ref().map(|approval| &approval.id),
        };
        let (agent, pipeline) = (Some(&self.actor.id), self.actor.pipeline.as_ref());
        let recorded = self.recorder.intent(&self.store, Action::ToolCall, agent, pipeline, &told)?;
        let granted = Granted { place, decision, token: recorded.token.clone() };
        let (call, token) = (OpenCall::new(&self.recorder, recorded), granted.token.clone());
        // INVARIANT: an intent comes before every check that a tool's start rests on, so that who looks at the ledger knows of every start.
        let may = async {
            self.live.check(&self.store, &self.actor, self.believed).await?;
            self.draw().await?;
            self.redeem(approval.as_ref(), &token).await
        };
        if let Err(error) = guarded(may).await {
            call.end(OutcomeResult::Error, &told_of(&error))?;
            return Err(error);
        }
        let (result, done) = self.run(tool(granted)).await;
        match &done {
            Ok(_) => call.end(result, &json!({}))?,
            Err(error) => call.end(result, &told_of(error))?,
        }
        done
    }

    /// Everything that is decided before anything is written.
    async fn judge(&self, request: &Request<'_>) -> Result<(Decision, Option<Place>)> {
        guarded(async {
            let mut request = *request;
            let mut place = None;
            // Who may not do this at all does not learn what is there.
            let decision = self.policy.decide(&Request { path: None, ..request });
            if let (true, Some(asked)) = (decision.verdict() != Verdict::Deny, request.path) {
                let root = self.root.as_ref().ok_or_else(no_root)?;
                match root.resolve(asked) {
                    Ok(Ok(found)) => place = Some(found),
                    // Nor whether something is there that it could not touch anyway.
                    Err(error) => {
                        let decision = self.policy.decide(&request).under(&self.epochs);
                        let hidden = decision.violation() == Some(ViolationType::PathOutOfScope);
                        return if hidden { Ok((decision, None)) } else { Err(error) };
                    }
                    Ok(Err(refused)) => return Ok((self.policy.refuse_path(&refused).under(&self.epochs), None)),
                }
            }
            if let Some(place) = &place {
                request.path = Some(place.relative());
            }
            match self.live.check(&self.store, &self.actor, self.believed).await {
                Ok(()) => {}
                Err(error) if error.may_retry() => return Ok((self.policy.defer(&error.to_string()).under(&self.epochs), None)),
                Err(error) => return Err(error),
            }
            let decision = if place.is_some() { self.policy.decide(&request) } else { decision };
            let decision = match &place {
                Some(place) if !place.is_as_asked() => decision.resolved(place.relative()),
                _ => decision,
            };
            Ok((decision.under(&self.epochs), place))
        })
        .await
    }

    async fn draw(&self) -> Result<()> {
        let Some(allowance) = &self.allowance else { return Ok(()) };
        if allowance.try_draw(1)? {
            return Ok(());
        }
        match allowance.draw(1).await? {
            Spend::Admitted { .. } => Ok(()),
            Spend::Exhausted { .. } => {
                let message = format!("`{}` has used up its calls: see `governance budget show`", self.actor.id);
                Err(Error::new(ErrorKind::Exhausted, "budget_exhausted", message))
            }
        }
    }

    /// Runs a tool to its end, or to the end of its time or of its agent's admission.
    async fn run<T>(&self, tool: impl Future<Output = Result<T>>) -> (OutcomeResult, Result<T>) {
        let late = async {
            tokio::time::sleep(self.within).await;
            let message = format!("the tool took longer than {} ms and was dropped: what it did is not known", self.within.as_millis());
            Error::new(ErrorKind::Deadline, "tool_timed_out", message)
        };
        let ended = tokio::select! {
            biased;
            done = caught(tool) => done,
            error = late => Ok(Err(error)),
            error = self.live.until_ended(&self.store, &self.actor, self.believed) => return (OutcomeResult::Unknown, Err(error)),
        };
        match ended {
            Ok(Ok(done)) => (OutcomeResult::Ok, Ok(done)),
            Ok(Err(error)) if error.may_retry() => (OutcomeResult::Unknown, Err(error)),
            Ok(Err(error)) => (OutcomeResult::Error, Err(error)),
            Err(_) => (
                OutcomeResult::Unknown,
                Err(Error::new(ErrorKind::Internal, "tool_panicked", "the tool panicked: what it did is not known")),
            ),
        }
    }

    fn budget(&self) -> ErrorBudget {
        let limits = self.policy.profile().governance.error_budget;
        ErrorBudget::open(&self.store, &self.actor).recorded(&self.recorder).with_fault_limits(limits)
    }
}

/// A defect in the guard denies.
async fn guarded<T>(deciding: impl Future<Output = Result<T>>) -> Result<T> {
    let failed = || Error::new(ErrorKind::Denied, "guard_failed", "the guard itself failed, so the call is denied: report it");
    caught(deciding).await.unwrap_or_else(|_| Err(failed()))
}

fn no_root() -> Error {
    Error::new(ErrorKind::Denied, "no_root", "a path can only be used below a root: give the guard one")
}

fn told_of(error: &Error) -> Value {
    json!({"code": error.code(), "message": error.to_string()})
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("agent", &self.actor.id).field("policy", &self.policy).finish_non_exhaustive()
    }
}
