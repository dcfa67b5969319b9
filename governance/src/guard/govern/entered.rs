//! A call that limits and breakers let through, from before its intent to after its tool.

use super::Guard;
use super::guarded;
use crate::error::Result;
use crate::guard::breakers::Admitted;
use crate::guard::limits::{Asked, Taken};
use crate::guard::policy::Request;

/// What a call holds while it is under way. Dropped, its place is free again, and a trial of a breaker lapses.
#[derive(Default)]
pub(super) struct Entered {
    taken: Option<Taken>,
    admitted: Option<Admitted>,
}

impl Guard {
    /// Asks the breaker and takes what is limited. Refused with `breaker_open`, or with the limit that stands in the way.
    pub(super) async fn enter(&self, request: &Request<'_>) -> Result<Entered> {
        guarded(async {
            let mut entered = Entered::default();
            if let Some(breakers) = &self.breakers {
                entered.admitted = breakers.ask(request, self.within).await?;
            }
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
        })
        .await
    }

    /// The tool has ended. What it did is done: where its end cannot be counted, what it held comes back later.
    pub(super) async fn leave<T>(&self, entered: Entered, done: &Result<T>) {
        let Entered { taken, admitted } = entered;
        let counted = async {
            if let Some(taken) = taken {
                taken.end(Asked::default(), done.is_err()).await?;
            }
            match admitted {
                Some(admitted) => admitted.ended(done).await,
                None => Ok(()),
            }
        };
        if let Err(error) = counted.await {
            tracing::debug!(agent = %self.actor.id, %error, "the end of a call could not be counted");
        }
    }
}

impl Entered {
    /// Refuses where what was taken may belong to others by now.
    pub fn confirm(&self) -> Result<()> {
        self.taken.as_ref().map_or(Ok(()), Taken::confirm)
    }
}
