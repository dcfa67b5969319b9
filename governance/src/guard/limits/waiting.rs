//! Time in which people were waited for: it is not counted.

use super::Scope;
use crate::store::{Fields, Write};
use crate::vocabulary::{Keys, Millis, millis};

/// Milliseconds in which people were waited for.
pub(crate) const WAITED: &str = "waited";
/// The field of an agent's or a pipeline's state that says since when it waits.
const SINCE: &str = "waits_since";

/// An agent or a pipeline that waits for people: its wall time stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standstill {
    since: Millis,
}

impl Standstill {
    /// What a state says where a wait begins, on the store's clock.
    pub fn begins(now: Millis) -> [(&'static str, String); 1] {
        [(SINCE, now.0.to_string())]
    }

    /// The wait that a state tells of.
    pub fn of(state: &Fields) -> Option<Self> {
        state.field(SINCE).parse().ok().map(|since| Self { since: Millis(since) })
    }

    /// How long it has lasted.
    pub fn lasts(self, now: Millis) -> std::time::Duration {
        now.since(self.since)
    }

    /// What a state says that waits no more; where it did, write it together with [`counted`](Self::counted).
    pub fn ends() -> (&'static str, String) {
        (SINCE, String::new())
    }

    /// What its end adds to the time that is not counted.
    pub fn counted(self, keys: &Keys, scope: &Scope, now: Millis) -> Write {
        let delta = i64::try_from(millis(self.lasts(now))).unwrap_or(i64::MAX);
        Write::Add { counter: scope.used(keys, WAITED), delta, ttl: None }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_wait_is_told_by_its_state_until_it_ends() {
        let state = |fields: Vec<(&str, String)>| {
            let fields: BTreeMap<_, _> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            Fields { version: 1, fields }
        };
        assert_eq!(Standstill::of(&Fields::default()), None);
        let still = Standstill::of(&state(Standstill::begins(Millis(1_000)).into())).unwrap();
        assert_eq!(still.lasts(Millis(3_500)), Duration::from_millis(2_500));
        // A store whose clock went back counts nothing.
        assert_eq!(still.lasts(Millis(500)), Duration::ZERO);
        assert_eq!(Standstill::of(&state(vec![Standstill::ends()])), None);
    }
}
