//! Everything that is decided before anything is written.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::call::caught;
use super::{Guard, Own};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::path::Place;
use crate::guard::policy::{Decision, Request, Verdict};
use crate::vocabulary::ViolationType;

/// What there is to say before the admission is looked at.
enum Considered {
    /// It is decided.
    Decided(Decision),
    /// It depends on the admission.
    Open(Decision, Option<Place>),
}

impl Guard {
    /// Decides, and finds the place that the path leads to.
    pub(super) async fn judge(&self, request: &Request<'_>) -> Result<(Decision, Option<Place>)> {
        let own = &self.own;
        guarded(async {
            let (decision, place) = match own.consider(request)? {
                Considered::Decided(decision) => return Ok((decision, None)),
                Considered::Open(decision, place) => (decision, place),
            };
            match own.live.check(&own.store, &own.actor, own.believed).await {
                Ok(()) => Ok(own.conclude(request, decision, place)),
                Err(error) if error.may_retry() => Ok((own.policy.defer(&error.to_string()).under(&own.epochs), None)),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// The same without waiting; nothing where the store has to be asked.
    pub(super) fn judge_now(&self, request: &Request<'_>) -> Result<Option<(Decision, Option<Place>)>> {
        let own = &self.own;
        guarded_now(|| match own.consider(request)? {
            Considered::Decided(decision) => Ok(Some((decision, None))),
            Considered::Open(decision, place) => {
                let believed = own.live.is_believed(&own.store, &own.actor, own.believed)?;
                Ok(believed.then(|| own.conclude(request, decision, place)))
            }
        })
    }
}

impl Own {
    fn consider(&self, request: &Request<'_>) -> Result<Considered> {
        // Who may not do this at all does not learn what is there.
        let decision = self.policy.decide(&Request { path: None, ..*request });
        let Some(asked) = request.path.filter(|_| decision.verdict() != Verdict::Deny) else { return Ok(Considered::Open(decision, None)) };
        let root = self.root.as_ref().ok_or_else(no_root)?;
        match root.resolve(asked) {
            Ok(Ok(found)) => Ok(Considered::Open(decision, Some(found))),
            Ok(Err(refused)) => Ok(Considered::Decided(self.policy.refuse_path(&refused).under(&self.epochs))),
            // Nor whether something is there that it could not touch anyway.
            Err(error) => {
                let decision = self.policy.decide(request).under(&self.epochs);
                let hidden = decision.violation() == Some(ViolationType::PathOutOfScope);
                if hidden { Ok(Considered::Decided(decision)) } else { Err(error) }
            }
        }
    }

    fn conclude(&self, request: &Request<'_>, decision: Decision, place: Option<Place>) -> (Decision, Option<Place>) {
        let Some(place) = place else { return (decision.under(&self.epochs), None) };
        let decision = self.policy.decide(&Request { path: Some(place.relative()), ..*request });
        let decision = if place.is_as_asked() { decision } else { decision.resolved(place.relative()) };
        (decision.under(&self.epochs), Some(place))
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
