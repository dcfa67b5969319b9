//! A call that limits and breakers let through, from before its intent to after its tool.

use std::time::Duration;

use super::Own;
use crate::error::Result;
use crate::guard::breakers::{Admitted, Ending};
use crate::guard::limits::{Asked, Taken};
use crate::guard::policy::Request;

/// What a call holds while it is under way. Dropped, its place is free again, and a trial of a breaker lapses.
#[derive(Default)]
pub(super) struct Entered {
    taken: Option<Taken>,
    // In a box, because few tools have a breaker, and a call is handed on many times.
    admitted: Option<Box<Admitted>>,
}

impl Own {
    /// Asks the breaker and takes what is limited. Refused with `breaker_open`, or with the limit that stands in the way.
    pub(super) async fn enter(&self, request: &Request<'_>) -> Result<Entered> {
        self.adopt();
        let mut entered = Entered { admitted: self.breakers.ask(request, self.within).await?.map(Box::new), taken: None };
        if let Some(limits) = &self.limits {
            match limits.take(Asked::default(), self.within).await {
                Ok(taken) => entered.taken = Some(taken),
                Err(refused) => {
                    if let Some(admitted) = entered.admitted.take() {
                        admitted.abandoned().await?;
                    }
                    return Err(refused);
                }
            }
        }
        Ok(entered)
    }

    /// A running agent is held to what its profile says now.
    fn adopt(&self) {
        if self.policy.is_followed() {
            let rules = &self.policy.now();
            let rules = &rules.profile().governance;
            self.breakers.adopt(rules.breaker);
            self.limits.iter().for_each(|limits| limits.adopt(rules.limits));
        }
    }

    /// The same without waiting; none where it takes a round trip to say.
    pub(super) fn enter_now(&self, now: Duration) -> Result<Option<Entered>> {
        self.adopt();
        if !self.breakers.are_none() {
            return Ok(None);
        }
        let Some(limits) = &self.limits else { return Ok(Some(Entered::default())) };
        let taken = limits.try_take(Asked::default(), now);
        Ok(taken.map(|taken| Entered { taken: Some(taken), admitted: None }))
    }
}

impl Entered {
    /// Refuses where what was taken may belong to others by now. Looks at the clock where something was.
    pub fn confirm(&self) -> Result<()> {
        self.taken.as_ref().map_or(Ok(()), Taken::confirm)
    }

    /// The same, by who has looked at the clock since the intent was written.
    pub fn confirm_at(&self, now: Duration) -> Result<()> {
        self.taken.as_ref().map_or(Ok(()), |taken| taken.confirm_at(now))
    }

    /// The tool has ended. What it did is done: where its end cannot be counted, what it held comes back later.
    pub async fn left(self, ending: Ending) {
        let counted = async {
            if let Some(taken) = self.taken {
                taken.end(Asked::default(), ending != Ending::Done).await?;
            }
            match self.admitted {
                Some(admitted) => Box::pin(admitted.ended(ending)).await,
                None => Ok(()),
            }
        };
        if let Err(error) = counted.await {
            tracing::debug!(%error, "the end of a call could not be counted");
        }
    }

    /// The same for who cannot wait: what the store has to hear, it hears soon, and of what failed before the agent's next call.
    pub fn leave(self, ending: Ending, own: &Own) {
        if let Some(taken) = self.taken {
            taken.leave(Asked::default(), ending != Ending::Done);
        }
        if self.admitted.is_some()
            && let Some(runtime) = &own.runtime
        {
            let rest = Self { taken: None, admitted: self.admitted };
            let counting = (ending != Ending::Done).then(|| own.live.counting());
            runtime.spawn(async move {
                rest.left(ending).await;
                drop(counting);
            });
        }
    }
}
