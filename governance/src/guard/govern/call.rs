//! A call that was begun: it may run, and whatever becomes of it, its outcome is written.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use serde_json::json;

use super::entered::Entered;
use super::{Granted, Guard};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::Work;
use crate::guard::breakers::Ending;
use crate::guard::progress::Underway;
use crate::guard::recorder::{Open, Recorded};
use crate::ledger::OutcomeResult;

/// The code of a tool that took too long.
const LATE: &str = "tool_timed_out";

/// A call that was allowed and recorded, and may run now.
///
/// End it with [`done`](Self::done), [`failed`](Self::failed) or [`lost`](Self::lost). Dropped before that, as when whoever called stops waiting, its
/// outcome is `unknown`.
#[must_use = "a call that is dropped ends `unknown`"]
pub struct Call {
    // In a box, because a call is handed on many times before it ends.
    begun: Box<Begun>,
}

struct Begun {
    guard: Guard,
    action: Box<str>,
    granted: Granted,
    within: Duration,
    recorded: Open,
    entered: Entered,
    // Dropped with the call, however it ends.
    _underway: Option<Underway>,
    // Last: what is dropped before it is over by the time that the process says so.
    running: Running,
}

/// That a tool runs. As long as one of its kind is there, a stop is not confirmed by this process: whoever leaves a tool behind that goes on by itself, on
/// a thread or as a task, keeps a clone until that tool has really ended. However many hold it, it is one tool.
#[derive(Clone, Default)]
pub struct Running {
    // Held, not read.
    _work: Option<Arc<Work>>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Running").finish_non_exhaustive()
    }
}

impl Call {
    pub(super) fn new(guard: &Guard, action: &str, granted: Granted, recorded: Recorded, entered: Entered) -> Self {
        let (guard, within) = (guard.clone(), guard.own.within);
        let running = Running { _work: guard.own.live.running().map(Arc::new) };
        let recorded = Open::new(&guard.own.recorder, recorded);
        let underway = guard.own.gate.as_ref().map(|gate| gate.under_way(within));
        Self { begun: Box::new(Begun { guard, action: action.into(), granted, within, recorded, entered, _underway: underway, running }) }
    }

    /// That its tool runs, for who leaves it behind.
    #[must_use]
    pub fn running(&self) -> Running {
        self.begun.running.clone()
    }

    /// What was granted.
    #[must_use]
    pub fn granted(&self) -> &Granted {
        &self.begun.granted
    }

    /// Whether this process may still believe that the agent is admitted, without a round trip: false where it has to [ask](Self::check), an error where
    /// the admission has ended. For what goes on piece by piece.
    pub fn is_admitted(&self) -> Result<bool> {
        let own = &self.begun.guard.own;
        own.is_believed(own.elapsed())
    }

    /// Refuses once the agent's admission has ended. Asks the store only where the last answer is older than it is believed.
    pub async fn check(&self) -> Result<()> {
        self.ask().await
    }

    /// The same as [`check`](Self::check), on its own.
    pub fn ask(&self) -> impl Future<Output = Result<()>> + Send + 'static + use<> {
        let own = self.begun.guard.own.clone();
        async move { own.live.check(&own.store, &own.actor, own.believed).await }
    }

    /// Waits until the call has to end: its time is over, of which so much is gone already, or its agent's admission. Says why.
    pub fn until_over(&self, gone: Duration) -> impl Future<Output = Error> + Send + 'static + use<> {
        let (own, within) = (self.begun.guard.own.clone(), self.begun.within);
        let left = within.saturating_sub(gone);
        async move {
            // In a box once it is waited for: a tool that ends at once carries none of it about.
            let over = Box::pin(async {
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(left) => late(within),
                    error = own.live.until_ended(&own.store, &own.actor, own.believed) => error,
                }
            });
            over.await
        }
    }

    /// What is said of a tool that took too long.
    #[must_use]
    pub fn late(&self) -> Error {
        late(self.begun.within)
    }

    /// How long it may take.
    #[must_use]
    pub fn time(&self) -> Duration {
        self.begun.within
    }

    /// Runs a tool to its end, or until the call has to end; then it is dropped where it stands, and the error says why.
    pub async fn run<T>(&self, tool: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            biased;
            done = caught(tool) => done.map_err(|_| {
                Error::new(ErrorKind::Internal, "tool_panicked", "the tool panicked: what it did is not known")
            }),
            // Begun only where the tool waits for something.
            error = async { self.until_over(Duration::ZERO).await } => Err(error),
        }
    }

    fn unless_ended(&self) -> Result<()> {
        let own = &self.begun.guard.own;
        own.live.unless_ended(&own.actor)
    }

    /// Refuses where what was taken for the call may belong to others by now.
    pub(super) fn confirm(&self) -> Result<()> {
        self.begun.entered.confirm()
    }

    /// The same as of one look at the clock, which says as well whether the admission may still be believed.
    pub(super) fn holds_at(&self, now: Duration) -> Result<bool> {
        self.begun.entered.confirm_at(now)?;
        self.begun.guard.own.is_believed(now)
    }

    /// It was done. Refused where this process knows by now that the admission has ended: what the tool answered is then nobody's, and its outcome is
    /// `unknown`. Looks without a round trip.
    pub fn done(self) -> Result<()> {
        if let Err(ended) = self.unless_ended() {
            return self.dropped(&ended).and(Err(ended));
        }
        self.begun.entered.leave(Ending::Done, &self.begun.guard.own);
        self.begun.recorded.end_text(OutcomeResult::Ok, "{}")
    }

    /// It failed, with an error of this code.
    pub fn failed(self, code: &str) -> Result<()> {
        self.begun.entered.leave(Ending::Ill, &self.begun.guard.own);
        self.begun.recorded.end(OutcomeResult::Error, &json!({"code": code}))?;
        hold_against(self.begun.guard, self.begun.action, Error::new(ErrorKind::Internal, "tool_failed", format!("a tool failed: {code}")));
        Ok(())
    }

    /// It was not made after all.
    pub(super) fn unmade(self, code: &str) -> Result<()> {
        self.begun.entered.leave(Ending::Failed, &self.begun.guard.own);
        self.begun.recorded.end(OutcomeResult::Error, &json!({"code": code}))
    }

    /// Nobody knows what it did.
    pub fn lost(self, code: &str) -> Result<()> {
        let ending = if code == LATE { Ending::Ill } else { Ending::Failed };
        self.begun.entered.leave(ending, &self.begun.guard.own);
        self.begun.recorded.end(OutcomeResult::Unknown, &json!({"code": code}))
    }

    /// It ended so: `unknown` where asking again may help, because then it may have been done. Limits and breakers have heard of it once this answers.
    ///
    /// What was done after this process had heard that the admission has ended is refused, as [`done`](Self::done) says.
    pub async fn settled<T>(self, done: Result<T>) -> Result<T> {
        if done.is_ok()
            && let Err(ended) = self.unless_ended()
        {
            return self.cut_off(ended).await;
        }
        match &done {
            Ok(_) => self.begun.recorded.end_text(OutcomeResult::Ok, "{}")?,
            Err(error) => self.begun.recorded.tell(of(error), error)?,
        }
        self.begun.entered.left(done.as_ref().map_or_else(Ending::of, |_| Ending::Done)).await;
        if let Err(error) = &done {
            Box::pin(self.begun.guard.count_failure(&self.begun.action, error)).await;
        }
        done
    }

    /// It failed, with an error of this library's, as [`settled`](Self::settled) says, for who cannot wait.
    pub fn ended(self, error: &Error) -> Result<()> {
        self.begun.entered.leave(Ending::of(error), &self.begun.guard.own);
        self.begun.recorded.tell(of(error), error)?;
        hold_against(self.begun.guard, self.begun.action, again(error));
        Ok(())
    }

    /// It was dropped where it stood, as [`run`](Self::run) or [`until_over`](Self::until_over) says.
    pub fn dropped(self, why: &Error) -> Result<()> {
        self.begun.entered.leave(Ending::of(why), &self.begun.guard.own);
        self.begun.recorded.tell(OutcomeResult::Unknown, why)?;
        hold_against(self.begun.guard, self.begun.action, again(why));
        Ok(())
    }

    /// The same; limits, breakers and the budget have heard of it once this answers, with the reason as its error.
    pub(super) async fn cut_off<T>(self, why: Error) -> Result<T> {
        self.begun.recorded.tell(OutcomeResult::Unknown, &why)?;
        self.begun.entered.left(Ending::of(&why)).await;
        Box::pin(self.begun.guard.count_failure(&self.begun.action, &why)).await;
        Err(why)
    }

    /// Its tool would be called with something else than what was decided on: it is not made, and this is why.
    #[must_use]
    pub fn changed(self) -> Error {
        let message = "the arguments were changed while the call waited, so the tool is not run: give it a copy that nobody else holds";
        let changed = Error::new(ErrorKind::Denied, "arguments_changed", message);
        self.ended(&changed).err().unwrap_or(changed)
    }

    /// It did not begin.
    pub(super) fn refused(self, error: &Error) -> Result<()> {
        self.begun.entered.leave(Ending::Failed, &self.begun.guard.own);
        self.begun.recorded.tell(OutcomeResult::Error, error)
    }
}

/// Counts a failure for who cannot wait. The agent's next call does.
fn hold_against(guard: Guard, action: Box<str>, error: Error) {
    if let Some(runtime) = guard.own.runtime.clone().filter(|_| guard.own.counts_failures) {
        let counting = guard.own.live.counting();
        runtime.spawn(async move {
            guard.count_failure(&action, &error).await;
            drop(counting);
        });
    }
}

fn again(error: &Error) -> Error {
    Error::new(error.kind(), error.code(), error.to_string())
}

fn of(error: &Error) -> OutcomeResult {
    if error.may_retry() { OutcomeResult::Unknown } else { OutcomeResult::Error }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("token", &self.begun.granted.token).finish_non_exhaustive()
    }
}

fn late(within: Duration) -> Error {
    let message = format!("the tool took longer than {} ms and was dropped: what it did is not known", within.as_millis());
    Error::new(ErrorKind::Deadline, LATE, message)
}

/// Lets a future panic without taking the caller with it.
pub(super) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Box<dyn Any + Send>> {
    let mut work = pin!(work);
    // What panicked is not polled again, and what it shared with others is behind locks that tell.
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}
