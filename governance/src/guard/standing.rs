//! What the ledger knows to be in force, for a store that has forgotten it. ADR 2.

use std::collections::HashMap;

use super::revocation::{LISTED, Revocation, Stop};
use crate::error::Result;
use crate::ledger::{Action, Entry, EntryKind, Ledger, OutcomeResult};
use crate::store::{Commit, Store, Write, to_json};
use crate::vocabulary::{AgentPhase, AgentStatus, Extent, Millis, RevocationType, Token};

/// The stop that is in force, and who was revoked, as the ledger has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The last stop of everything, if it was not lifted.
    pub stop: Option<Stop>,
    /// The newest revocations, oldest first.
    pub revocations: Vec<Revocation>,
}

impl Standing {
    /// Reads it from a ledger, also what is not in the record yet.
    pub async fn of(ledger: &Ledger) -> Result<Self> {
        Ok(Self::told(&ledger.entries_about(&[Action::Stop, Action::Lift, Action::Revoke]).await?))
    }

    /// What these entries come to. What was begun and of which nobody knows the end counts where it ends rights, and does not where it gives them.
    fn told(entries: &[(Token, Entry)]) -> Self {
        let outcomes: HashMap<&Token, &Entry> = entries.iter().filter_map(|(_, entry)| Some((entry.intent.as_ref()?, entry))).collect();
        let mut acts: Vec<Act> = entries
            .iter()
            .filter(|(_, entry)| entry.kind == EntryKind::Intent)
            .map(|(token, entry)| Act::new(entry, outcomes.get(token).copied()))
            .filter(|act| !act.failed)
            .collect();
        acts.sort_by_key(|act| act.entry.at);
        let everything = |act: &&Act, action| act.entry.action == action && act.entry.pipeline.is_none();
        let lift = acts.iter().filter(|act| everything(act, Action::Lift) && act.generation.is_some()).max_by_key(|act| act.generation);
        let stop = acts.iter().rfind(|act| everything(act, Action::Stop) && lift.is_none_or(|lift| act.is_after(lift)));
        let mut revocations: Vec<_> = acts.iter().filter_map(Act::revocation).collect();
        let surplus = revocations.len().saturating_sub(usize::try_from(LISTED).unwrap_or(usize::MAX));
        revocations.drain(..surplus);
        Self { stop: stop.map(|act| Stop { reason: act.said("reason"), at: act.entry.at }), revocations }
    }

    /// The commits that make a store hold what it lacks of it. A stop that the store holds goes only where the ledger knows everything that
    /// the store does: has acknowledged its generation, or a higher one.
    pub async fn commits(&self, store: &Store, acknowledged: u64) -> Result<Vec<Commit>> {
        let keys = store.keys();
        let knows_more = store.number(keys.generation()).await? <= acknowledged;
        let mut commits = Vec::new();
        let stop = Commit::default().urgent();
        match &self.stop {
            Some(again) if knows_more => commits.push(stop.put(keys.stop(), to_json(again)?)),
            Some(again) => commits.push(stop.absent(keys.stop()).put(keys.stop(), to_json(again)?)),
            None if knows_more => commits.push(stop.write(Write::Delete(keys.stop().into()))),
            None => {}
        }
        for revocation in &self.revocations {
            let (agent, signal) = (&revocation.agent_id, keys.agent_revoke_signal(&revocation.agent_id));
            if store.cell(signal.clone()).await?.is_some() {
                continue;
            }
            let item = to_json(revocation)?;
            let mut commit = Commit::default().urgent().absent(signal.clone()).put(signal, item.clone());
            commit = commit.write(Write::Push { list: keys.revocations_ledger(), value: item, bound: LISTED });
            // Of an agent that the store does not know nothing more is made up.
            if store.state(keys.agent_state(agent)).await?.is_some() {
                let revoked = [("status", AgentStatus::Revoked.as_str()), ("phase", AgentPhase::Revoked.as_str())];
                commit = commit.merge(keys.agent_state(agent), revoked);
            }
            commits.push(commit);
        }
        Ok(commits)
    }
}

/// Something that ended rights, or gave them back.
struct Act<'a> {
    entry: &'a Entry,
    // The store's generation that it came to; none where nobody knows whether it was done.
    generation: Option<u64>,
    failed: bool,
}

impl<'a> Act<'a> {
    fn new(entry: &'a Entry, outcome: Option<&Entry>) -> Self {
        let told: Option<serde_json::Value> = outcome.and_then(|outcome| serde_json::from_str(&outcome.payload).ok());
        let generation = told.and_then(|told| told["generation"].as_u64());
        Self { entry, generation, failed: outcome.is_some_and(|outcome| outcome.result == Some(OutcomeResult::Error)) }
    }

    /// By the store's generations, where both are known.
    fn is_after(&self, lift: &Self) -> bool {
        match (self.generation, lift.generation) {
            (Some(stop), Some(lift)) => stop > lift,
            _ => self.entry.at >= lift.entry.at,
        }
    }

    fn said(&self, name: &str) -> String {
        let said: Option<serde_json::Value> = serde_json::from_str(&self.entry.payload).ok();
        said.as_ref().and_then(|said| said[name].as_str()).unwrap_or_default().to_owned()
    }

    fn revocation(&self) -> Option<Revocation> {
        let agent_id = self.entry.agent.clone().filter(|_| self.entry.action == Action::Revoke)?;
        let kind = self.said("type").parse().unwrap_or(RevocationType::Manual);
        let extent = self.said("extent").parse().unwrap_or(Extent::Full);
        let at: Millis = self.entry.at;
        Some(Revocation { agent_id, pipeline_id: self.entry.pipeline.clone(), kind, extent, reason: self.said("reason"), at })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vocabulary::{AgentId, SegmentId};

    /// An act at a time, with its end: a generation, an error, or nobody knows.
    #[derive(Debug, Clone, Copy)]
    enum End {
        Done(u64),
        Failed,
        Unknown,
        Open,
    }

    fn entries(acts: &[(Action, u64, End)]) -> Vec<(Token, Entry)> {
        let segment = SegmentId::new("s-1").unwrap();
        let mut entries = Vec::new();
        for ((action, at, end), number) in acts.iter().zip((1..).step_by(2)) {
            let token = Token::of_intent(&segment, number);
            let said = format!("{{\"reason\":\"at {at}\",\"type\":\"policy\"}}");
            let mut intent = Entry::intent(Millis(*at), *action).payload(said);
            if *action == Action::Revoke {
                intent = intent.agent(&AgentId::new("alpha-1").unwrap());
            }
            entries.push((token.clone(), intent));
            let (result, said) = match end {
                End::Done(generation) => (OutcomeResult::Ok, format!("{{\"epoch\":7,\"generation\":{generation}}}")),
                End::Failed => (OutcomeResult::Error, "{\"code\":\"x\"}".to_owned()),
                End::Unknown => (OutcomeResult::Unknown, "{}".to_owned()),
                End::Open => continue,
            };
            let outcome = Entry::outcome(Millis(*at + 1), *action, token, result).payload(said);
            entries.push((Token::of_intent(&segment, number + 1), outcome));
        }
        entries
    }

    fn stop(acts: &[(Action, u64, End)]) -> Option<u64> {
        Standing::told(&entries(acts)).stop.map(|stop| stop.at.0)
    }

    #[test]
    fn a_stop_is_in_force_until_a_later_lift_was_done() {
        use Action::{Lift, Stop};
        use End::{Done, Failed, Open, Unknown};
        assert_eq!(stop(&[]), None);
        assert_eq!(stop(&[(Stop, 10, Done(5))]), Some(10));
        assert_eq!(stop(&[(Stop, 10, Done(5)), (Lift, 20, Done(6))]), None);
        assert_eq!(stop(&[(Stop, 10, Done(5)), (Lift, 20, Done(6)), (Stop, 30, Done(7))]), Some(30));
        // What the record numbered otherwise, or a clock that stood back: the store's generation tells.
        assert_eq!(stop(&[(Lift, 9, Done(6)), (Stop, 10, Done(5))]), None);
        assert_eq!(stop(&[(Stop, 5, Done(7)), (Lift, 20, Done(6))]), Some(5));
        // Of what nobody knows the end: a stop counts, a lift does not.
        assert_eq!(stop(&[(Stop, 10, Done(5)), (Lift, 20, Unknown)]), Some(10));
        assert_eq!(stop(&[(Stop, 10, Done(5)), (Lift, 20, Open)]), Some(10));
        for end in [Unknown, Open] {
            assert_eq!(stop(&[(Stop, 10, end)]), Some(10));
            assert_eq!(stop(&[(Stop, 10, end), (Lift, 20, Done(6))]), None);
            assert_eq!(stop(&[(Lift, 9, Done(6)), (Stop, 10, end)]), Some(10));
        }
        assert_eq!(stop(&[(Stop, 10, Failed)]), None);
        assert_eq!(stop(&[(Stop, 10, Done(5)), (Lift, 20, Failed)]), Some(10));
    }

    #[test]
    fn a_stop_of_one_pipeline_is_none_of_everything() {
        let mut acts = entries(&[(Action::Stop, 10, End::Done(5))]);
        acts[0].1.pipeline = Some(crate::vocabulary::PipelineId::new("pipeline-1").unwrap());
        assert_eq!(Standing::told(&acts).stop, None);
    }

    #[test]
    fn who_was_revoked_is_told_with_why() {
        let told = Standing::told(&entries(&[(Action::Revoke, 10, End::Done(5)), (Action::Revoke, 20, End::Failed)])).revocations;
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].agent_id.as_str(), told[0].kind, told[0].reason.as_str()), ("alpha-1", RevocationType::Policy, "at 10"));
    }

    proptest! {
        /// Done one after the other, the last one decides, in whatever order the record has them.
        #[test]
        fn the_last_one_decides_whatever_the_order_of_the_record(acts in proptest::collection::vec(any::<bool>(), 0..9), turn in 0..9_usize) {
            let all: Vec<_> = acts.iter().zip(1..).map(|(lift, n)| (if *lift { Action::Lift } else { Action::Stop }, n * 10, End::Done(n))).collect();
            let mut mixed = all.clone();
            mixed.rotate_left(turn.min(all.len()));
            let last = all.last().filter(|(action, ..)| *action == Action::Stop).map(|(_, at, _)| *at);
            prop_assert_eq!(stop(&mixed), last);
        }
    }
}
