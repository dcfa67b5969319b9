//! Reservations whose holders crashed: what they did not start comes back.

use std::time::Duration;

use async_trait::async_trait;

use super::living;
use crate::coordination::{Alarm, Charge, ChargeKind, Chore, Keeper, Look};
use crate::error::Result;
use crate::guard::{Admissions, ErrorBudget, Recorder};
use crate::store::{Actor, Admission, Store};
use crate::vocabulary::{AgentId, Millis};

/// Takes lapsed reservations back.
pub struct Budgets {
    store: Store,
    recorder: Recorder,
}

impl Budgets {
    /// For the budgets of a store; what was started is proven by the recorder's ledger.
    #[must_use]
    pub fn new(store: &Store, recorder: &Recorder) -> Self {
        Self { store: store.clone(), recorder: recorder.clone() }
    }

    fn budget(&self, agent: &AgentId) -> ErrorBudget {
        // Only whose it is matters: what comes back is written by the caretaker.
        let owner = Actor { id: agent.clone(), pipeline: None, admission: Admission::default() };
        ErrorBudget::open(&self.store, &owner).recorded(&self.recorder)
    }
}

#[async_trait]
impl Chore for Budgets {
    fn kind(&self) -> ChargeKind {
        ChargeKind::Budget
    }

    fn alarm(&self, charge: &Charge) -> Alarm {
        let Ok(agent) = charge.agent() else { return Alarm::Silent };
        let keys = self.store.keys();
        Alarm::Keys(vec![keys.agent_reservations(&agent), keys.agent_state(&agent)])
    }

    fn rest(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn look(&self, charge: &Charge, _now: Millis) -> Result<Look> {
        let agent = charge.agent()?;
        if let Some(lapses) = self.budget(&agent).lapses_at().await? {
            return Ok(Look::Due(Some(lapses)));
        }
        // A budget of somebody who was never admitted, a person or a part of the system, has no end.
        let admitted = Admissions::new(&self.store, &self.recorder).agent(&agent).await?.is_some();
        Ok(if admitted && living(&self.store, &agent).await?.is_none() { Look::Done } else { Look::Due(None) })
    }

    async fn act(&self, charge: &Charge, keeper: &Keeper) -> Result<()> {
        let agent = charge.agent()?;
        let lapsed = self.budget(&agent).lapse(&keeper.actor).await?;
        if lapsed > 0 {
            tracing::info!(%agent, lapsed, "reservations lapsed, and what was not started came back");
        }
        Ok(())
    }
}
