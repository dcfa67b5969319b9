//! The governed model: every attempt to get an answer is let through by the breaker, drawn from the budget, recorded before and after, and
//! charged.
//!
//! ```text
//!   breaker ▶ budget: 1 call, tokens reserved ▶ intent ▶ the model ▶ outcome with its cost ▶ tokens settled ▶ breaker
//!      ▲                                                                                                        │
//!      └────────────── Retry: again, after a while, with what was wrong ◀──────────── an error ◀────────────────┘
//! ```

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::json;

use crate::error::{Error, ErrorKind, Result};
use crate::guard::limits::{Asked, LAPSED, LAPSES, Limits, Taken};
use crate::guard::{
    Allowance, Breaker, ErrorBudget, Gate, Open, Pass, Recorder, RevocationEngine, Spend, Triggers, Unit, failed_within_a_minute,
};
use crate::ledger::{Action, OutcomeResult};
use crate::llm::{Call, CallKind, Charge, ChatMessage, ChatReply, DEFAULT_DEADLINE, Model, Retry, Said};
use crate::store::{Actor, Store};
use crate::vocabulary::{AgentRole, UseLimits};

/// How many calls are reserved at once, and for how long.
const CALLS: (u64, Duration) = (8, Duration::from_secs(60));
/// How many tokens are reserved for a call, where they are limited.
const TOKENS: u64 = 16_384;
/// How many millionths of a dollar are reserved for a call, where they are limited.
const COST: u64 = 250_000;
/// How much longer than its deadline a model is waited for: one that minds it tells what the call cost.
const GRACE: Duration = Duration::from_millis(250);
/// How long an answer may take to be booked after its call's deadline.
const SLACK: Duration = Duration::from_secs(10);

/// A model as an agent may use it.
pub struct GovernedModel {
    model: Arc<dyn Model>,
    role: AgentRole,
    store: Store,
    actor: Actor,
    calls: Allowance,
    limits: Limits,
    recorder: Recorder,
    // From when it is first asked.
    breaker: OnceLock<Box<Breaker>>,
    retry: Retry,
    deadline: Duration,
    progress: Box<dyn Fn(u64) + Send + Sync>,
    gate: Option<Arc<Gate>>,
}

impl GovernedModel {
    /// A model for an agent. Tokens and cost are limited where they were granted; calls always are.
    pub fn new(store: &Store, actor: &Actor, role: AgentRole, budget: &ErrorBudget, recorder: &Recorder, model: Arc<dyn Model>) -> Self {
        Self {
            breaker: OnceLock::new(),
            calls: budget.allowance(Unit::Calls, CALLS.0, CALLS.1),
            model,
            role,
            store: store.clone(),
            actor: actor.clone(),
            limits: Limits::open(store, actor, recorder, UseLimits::default(), &Triggers::default()),
            recorder: recorder.clone(),
            retry: Retry::default(),
            deadline: DEFAULT_DEADLINE,
            progress: Box::new(|_| {}),
            gate: None,
        }
    }

    /// The same, held to limits that its agent's tools share.
    #[must_use]
    pub fn limited(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The same, whose calls are progress of whoever stands behind this gate.
    #[must_use]
    pub fn seen_by(mut self, gate: &Arc<Gate>) -> Self {
        self.gate = Some(gate.clone());
        self
    }

    /// The same, asked again otherwise.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// The same, whose attempts may take so long.
    #[must_use]
    pub fn within(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The same, with somebody who hears how many tokens are streamed. It must not block.
    #[must_use]
    pub fn watched(mut self, progress: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Box::new(progress);
        self
    }

    /// What is behind it. Call it only from within [`ask`](Self::ask).
    #[must_use]
    pub fn port(&self) -> &dyn Model {
        &*self.model
    }

    /// Its circuit breaker.
    #[must_use]
    pub fn breaker(&self) -> &Breaker {
        self.breaker.get_or_init(|| Box::new(Breaker::open(&self.store, &self.actor, self.model.name())))
    }

    /// Asks whatever an agent of one's own asks. The answer is words; nothing checks what they say.
    pub async fn chat(&self, messages: &[ChatMessage]) -> Result<ChatReply> {
        ChatMessage::check(messages)?;
        let asked = |call| async move {
            let Said { answer: content, charge } = self.model.chat(&call, messages).await?;
            Ok(Said { answer: ChatReply { content, charge }, charge })
        };
        self.ask(CallKind::Chat, asked).await
    }

    /// Gets an answer, in as many attempts as [`Retry`] allows. Each is a governed action of its own.
    pub async fn ask<'a, T, F>(&'a self, kind: CallKind, ask: impl Fn(Call<'a>) -> F) -> Result<T>
    where
        F: Future<Output = Result<Said<T>>>,
    {
        let mut complaint = None;
        for attempt in 1.. {
            let call = Call {
                kind,
                agent: &self.actor.id,
                role: self.role,
                deadline: self.deadline,
                tokens: TOKENS,
                complaint: complaint.clone(),
                progress: &*self.progress,
            };
            let mut lapses = 0;
            let answered = loop {
                match self.attempt(attempt, call.clone(), &ask).await {
                    // Its share's time was over between taking the call and making it, so it was not made.
                    Err(lapsed) if lapsed.code() == LAPSED && lapses < LAPSES => lapses += 1,
                    other => break other?,
                }
            };
            let error = match answered {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let chance = &*self.store.ports().chance;
            let Some(again) = self.retry.after(attempt, complaint.is_some(), &error, chance) else {
                // A question that was given up is an error of the agent's last minute; whoever asked decides whether it is a fault.
                let engine = RevocationEngine::open(&self.store).recorded(&self.recorder);
                failed_within_a_minute(&engine, &self.actor.id, &error.to_string()).await?;
                return Err(error);
            };
            tracing::info!(agent = %self.actor.id, call = %kind, attempt, after = ?again.after, %error, "the model is asked again");
            tokio::time::sleep(again.after).await;
            complaint = again.complaint.or(complaint);
        }
        Err(Error::internal("attempts cannot be counted"))
    }

    /// One attempt. The outer error ends the question: it was refused, or could not be booked; the inner one is the model's.
    async fn attempt<'a, T, F>(&'a self, number: u32, mut call: Call<'a>, ask: &impl Fn(Call<'a>) -> F) -> Result<Result<T>>
    where
        F: Future<Output = Result<Said<T>>>,
    {
        let (kind, deadline) = (call.kind, call.deadline);
        let pass = match self.breaker().ask(deadline + SLACK).await? {
            Ok(pass) => pass,
            Err(interrupted) => return Err(self.breaker().refusal(interrupted)),
        };
        let taken = match self.draw(deadline + SLACK).await {
            Ok(taken) => taken,
            Err(refused) => return self.give_up(pass, refused).await,
        };
        call.tokens = Some(taken.set_aside().tokens).filter(|tokens| *tokens > 0).unwrap_or(call.tokens);
        let payload = json!({"model": self.model.name(), "call": kind, "prompt": self.model.prompt(kind), "attempt": number});
        let subject = (Some(&self.actor.id), self.actor.pipeline.as_ref());
        let open = match self.recorder.intent(&self.store, Action::ModelCall, subject.0, subject.1, &payload) {
            Ok(intent) => Open::new(&self.recorder, intent),
            Err(unrecorded) => return self.give_up(pass, unrecorded).await,
        };
        let late = || {
            Error::new(ErrorKind::Deadline, "call_timed_out", format!("the model did not answer within {:.1} s", deadline.as_secs_f64()))
        };
        let may = async {
            taken.confirm()?;
            self.busy(deadline).await
        };
        if let Err(refused) = may.await {
            open.tell(OutcomeResult::Error, &refused)?;
            taken.end(Asked::default(), false).await?;
            return self.give_up(pass, refused).await;
        }
        let _underway = self.gate.as_ref().map(|gate| gate.under_way(deadline));
        let done = tokio::time::timeout(deadline + GRACE, ask(call)).await.unwrap_or_else(|_| Err(late()));
        let charge = done.as_ref().map_or_else(Charge::of, |said| said.charge);
        let (result, told) = match &done {
            Ok(_) => (OutcomeResult::Ok, json!({"charge": charge})),
            Err(error) => {
                let unknown = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Deadline);
                let result = if unknown { OutcomeResult::Unknown } else { OutcomeResult::Error };
                (result, json!({"charge": charge, "code": error.code(), "message": error.to_string()}))
            }
        };
        // INVARIANT: what a call came to and cost is written before anything that a revocation would refuse.
        open.end(result, &told)?;
        taken.end(Asked { tokens: charge.tokens(), cost: charge.cost.unwrap_or(0) }, done.is_err()).await?;
        self.busy(Duration::ZERO).await?;
        self.report(pass, &done).await?;
        Ok(done.map(|said| said.answer))
    }

    /// Says for how long an open call counts as progress.
    async fn busy(&self, span: Duration) -> Result<()> {
        let state = self.store.keys().agent_state(&self.actor.id);
        self.store.apply(self.actor.commit().merge(state, [("busy_for_ms", span.as_millis())])).await.map(drop)
    }

    /// Takes what is limited for one call, and draws the call.
    async fn draw(&self, lasting: Duration) -> Result<Taken> {
        let taken = self.limits.take(Asked { tokens: TOKENS, cost: COST }, lasting).await?;
        let refused = match self.calls.draw(1).await {
            Ok(Spend::Admitted { .. }) => return Ok(taken),
            Ok(Spend::Exhausted { remaining, .. }) => {
                let spent = format!("`{}` has no {} left in its budget ({remaining} remain)", self.actor.id, Unit::Calls);
                Error::new(ErrorKind::Exhausted, "budget_exhausted", spent)
            }
            Err(error) => error,
        };
        taken.end(Asked::default(), false).await?;
        Err(refused)
    }

    /// What an attempt says about whether the service works. A wrong answer, a refused key, a full quota: it answered.
    async fn report<T>(&self, pass: Pass, done: &Result<T>) -> Result<()> {
        match done {
            Ok(_) => self.breaker().succeeded(pass).await,
            Err(error) if error.may_retry() => self.breaker().failed(pass).await,
            Err(_) => self.breaker().abandoned(pass).await,
        }
    }

    async fn give_up<T>(&self, pass: Pass, why: Error) -> Result<T> {
        // The first error is the one to tell; a trial that is not given back lapses.
        drop(self.breaker().abandoned(pass).await);
        Err(why)
    }

    /// Gives back what was reserved and not used.
    pub async fn clear(&self) -> Result<()> {
        self.calls.close().await
    }
}
