//! A file that an agent shows as evidence: one that its tools could touch, and no other.

use super::judge::guarded;
use super::tampering::Reach;
use super::{Arguments, Guard};
use crate::error::Result;
use crate::guard::path::Place;
use crate::guard::policy::Request;

/// What a refusal says was asked for.
const SHOWING: &str = "show_evidence";

impl Guard {
    /// Where a file lies that is to be shown: below the root, at a path that the profile lets the agent touch, and none of the governance's own. Any other is
    /// refused as a tool's call for it would be: recorded, with the consequence of the violation that it is.
    pub(crate) async fn to_be_shown(&self, asked: &str) -> Result<Place> {
        let own = &self.own;
        let found = guarded(async {
            own.policy.fresh(own.believed).await?;
            own.look().await?;
            let policy = own.policy.now();
            let found = own.locate(&policy, asked, Reach::Itself, || policy.by_path(asked))?;
            Ok(found.and_then(|place| {
                let decision = policy.by_path(place.relative());
                if decision.is_allowed() { Ok(place) } else { Err(decision.under(&own.actor.admission)) }
            }))
        });
        match found.await? {
            Ok(place) => Ok(place),
            Err(decision) => {
                let nothing = Arguments::of(&serde_json::Value::Null);
                Err(self.refuse(&Request::new(SHOWING).at(asked), nothing.digest(), &decision).await)
            }
        }
    }
}
