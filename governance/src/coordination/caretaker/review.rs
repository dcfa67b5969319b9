//! How the house is kept, as anybody can see it from the shared state.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::Serialize;

use super::charge::Charge;
use super::schedule::Look;
use super::status::{CaretakerStatus, Overdue};
use super::{Chore, Chores};
use crate::error::Result;
use crate::store::Store;
use crate::vocabulary::Millis;

/// Who keeps house, and what is overdue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Housekeeping {
    /// Whether somebody keeps house now.
    pub awake: bool,
    /// Who did so last; none where the last one left in order.
    pub caretaker: Option<CaretakerStatus>,
    /// How many things are to be looked after.
    pub charges: u64,
    /// What should have been done by now: what the caretaker says, and what a look at everything finds.
    pub overdue: Vec<Overdue>,
}

impl Housekeeping {
    /// Looks at everything that is to be looked after, and changes nothing.
    pub async fn review(store: &Store, chores: Vec<Arc<dyn Chore>>) -> Result<Self> {
        let chores: Chores = chores.into_iter().map(|chore| (chore.kind(), chore)).collect();
        let now = store.now().await?;
        let held = store.cell(store.keys().caretaker()).await?.is_some();
        let caretaker = CaretakerStatus::of(store).await?;
        let awake = held && caretaker.as_ref().is_some_and(|status| status.is_awake(now));
        let mut overdue = caretaker.as_ref().filter(|_| awake).map(|status| status.overdue.clone()).unwrap_or_default();
        let told: BTreeSet<String> = overdue.iter().map(|overdue| overdue.what.clone()).collect();
        let fields = store.table(store.keys().caretaker_charges()).await?;
        let charges = fields.len() as u64;
        for (field, _) in fields {
            let Some(charge) = Charge::parse(&field).filter(|_| !told.contains(&field)) else { continue };
            if let Some(chore) = chores.get(&charge.kind).filter(|chore| !chore.can_wait()) {
                overdue.extend(examine(&**chore, &charge, now).await);
            }
        }
        overdue.sort_by_key(|overdue| overdue.since);
        Ok(Self { awake, caretaker, charges, overdue })
    }
}

async fn examine(chore: &dyn Chore, charge: &Charge, now: Millis) -> Option<Overdue> {
    let what = charge.to_string();
    match chore.look(charge, now).await {
        Ok(Look::Due(Some(due))) if due <= now => Some(Overdue { what, since: Some(due), failures: 0, why: None }),
        Ok(_) => None,
        Err(error) => Some(Overdue { what, since: None, failures: 0, why: Some(error.to_string()) }),
    }
}
