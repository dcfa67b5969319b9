//! Everything that is decided before anything is written.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::call::caught;
use super::tampering::Reach;
use super::{Arguments, Guard, Own};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::gate::touches_below;
use crate::guard::path::Place;
use crate::guard::policy::{Decision, Policy, Request, Verdict};
use crate::vocabulary::ViolationType;

/// Why nothing but looking is done at some folders.
const BELOW: &str = "the governance's own files, which no agent may touch, lie below it: only what reads may be done there, or what a profile names in \
                     `reading_actions`";

/// What there is to say before the admission is looked at.
enum Considered {
    /// It is decided.
    Decided(Decision),
    /// It depends on the admission, and may depend on conditions.
    Open(Decision, Option<Place>),
}

impl Guard {
    /// Decides, and finds the place that the path leads to.
    pub(super) async fn judge(&self, request: &Request<'_>, arguments: &Arguments) -> Result<(Decision, Option<Place>)> {
        let own = &self.own;
        guarded(async {
            // One policy for the whole call: one that comes meanwhile is for the next.
            let known = own.policy.fresh(own.believed).await;
            let policy = own.policy.now();
            // A store that has lost what it held denies until somebody recovers it, however often it is asked.
            let later = |error: Error| match error.may_retry() && error.code() != "rolled_back" {
                true => Ok((policy.defer(&error.to_string()).under(&own.actor.admission), None)),
                false => Err(error),
            };
            if let Err(error) = known {
                return later(error);
            }
            let (decision, place) = match own.consider(&policy, request)? {
                Considered::Decided(decision) => return Ok((decision, None)),
                Considered::Open(decision, place) => (decision, place),
            };
            if let Err(error) = own.look().await {
                return later(error);
            }
            let resolved = at(request, place.as_ref());
            let decision = match (decision.verdict(), policy.has_conditions()) {
                // What the patterns deny stays denied.
                (Verdict::Deny, _) => decision,
                (_, true) => own.decide_for(&policy, &resolved, arguments).await?,
                (_, false) => policy.decide(&resolved),
            };
            Ok((own.conclude(&policy, &resolved, decision, place.as_ref()), place))
        })
        .await
    }

    /// The same without waiting; nothing where the store has to be asked, or conditions.
    pub(super) fn judge_now(&self, request: &Request<'_>, now: Duration) -> Result<Option<(Decision, Option<Place>)>> {
        let own = &self.own;
        guarded_now(|| {
            let policy = own.policy.now();
            if !own.policy.is_fresh(own.believed) || policy.has_conditions() {
                return Ok(None);
            }
            let (decision, place) = match own.consider(&policy, request)? {
                Considered::Decided(decision) => return Ok(Some((decision, None))),
                Considered::Open(decision, place) => (decision, place),
            };
            if !own.is_believed(now)? {
                return Ok(None);
            }
            let resolved = at(request, place.as_ref());
            let decision = if place.is_some() { policy.decide(&resolved) } else { decision };
            Ok(Some((own.conclude(&policy, &resolved, decision, place.as_ref()), place)))
        })
    }
}

/// The request, at the place where its path leads.
fn at<'a>(request: &Request<'a>, place: Option<&'a Place>) -> Request<'a> {
    Request { path: place.map(Place::relative).or(request.path), ..*request }
}

impl Own {
    fn consider(&self, policy: &Policy, request: &Request<'_>) -> Result<Considered> {
        // Who may not do this at all does not learn what is there.
        let decision = policy.by_patterns(&Request { path: None, ..*request });
        let Some(asked) = request.path.filter(|_| decision.verdict() != Verdict::Deny) else { return Ok(Considered::Open(decision, None)) };
        let reach = if touches_below(policy.profile(), request.action) { Reach::Below } else { Reach::Itself };
        Ok(match self.locate(policy, asked, reach, || policy.by_patterns(request))? {
            Ok(found) => Considered::Open(decision, Some(found)),
            Err(refused) => Considered::Decided(refused),
        })
    }

    /// Where a path leads below the root; the refusal where it leads elsewhere, or to the governance itself. What `by` says of the path hides whether
    /// something is there that could not be touched anyway.
    pub(super) fn locate(
        &self,
        policy: &Policy,
        asked: &str,
        reach: Reach,
        by: impl FnOnce() -> Decision,
    ) -> Result<std::result::Result<Place, Decision>> {
        let root = self.root.as_ref().ok_or_else(no_root)?;
        let resolved = root.resolve(asked);
        let found = resolved.as_ref().ok().and_then(|found| found.as_ref().ok());
        if let Some(refused) = self.grounds.tampering(root, asked, found)? {
            return Ok(Err(policy.refuse_path(&refused).under(&self.actor.admission)));
        }
        if self.grounds.would_go_along(found, reach)? {
            // Denied, and no more: whoever names a folder need not know what lies in it.
            return Ok(Err(policy.refuse(BELOW, None).under(&self.actor.admission)));
        }
        match resolved {
            Ok(Ok(found)) => Ok(Ok(found)),
            Ok(Err(refused)) => Ok(Err(policy.refuse_path(&refused).under(&self.actor.admission))),
            Err(error) => {
                let decision = by().under(&self.actor.admission);
                let hidden = decision.violation() == Some(ViolationType::PathOutOfScope);
                if hidden { Ok(Err(decision)) } else { Err(error) }
            }
        }
    }

    /// Asks the store where this process knows too little of the agent: whether it is admitted, and until when it may do anything.
    pub(super) async fn look(&self) -> Result<()> {
        if self.is_believed(self.elapsed())? {
            return Ok(());
        }
        if let Some(gate) = &self.gate {
            gate.follow(&self.store, &self.actor.id).await?;
        }
        self.live.check(&self.store, &self.actor, self.believed).await
    }

    fn conclude(&self, policy: &Policy, request: &Request<'_>, decision: Decision, place: Option<&Place>) -> Decision {
        let decision = match place {
            Some(place) if !place.is_as_asked() => decision.resolved(place.relative()),
            _ => decision,
        };
        let decision = match &self.gate {
            Some(gate) => gate.judge(policy, request, self.store.ports().clock.now(), decision),
            None => decision,
        };
        decision.under(&self.actor.admission)
    }
}

/// A defect in the guard denies.
pub(super) async fn guarded<T>(deciding: impl Future<Output = Result<T>>) -> Result<T> {
    caught(deciding).await.unwrap_or_else(|_| Err(defect()))
}

/// The same without waiting.
pub(super) fn guarded_now<T>(deciding: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(deciding)).unwrap_or_else(|_| Err(defect()))
}

fn defect() -> Error {
    Error::new(ErrorKind::Denied, "guard_failed", "the guard itself failed, so the call is denied: report it")
}

fn no_root() -> Error {
    Error::new(ErrorKind::Denied, "no_root", "a path can only be used below a root: give the guard one")
}
