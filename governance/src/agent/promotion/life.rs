//! What the ledger and the store say of an agent's life, once it has ended.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::Promotions;
use crate::error::Result;
use crate::guard::{Recorder, RevocationEngine, changes_something, policy::Policy};
use crate::ledger::{Action, Entry, EntryKind, Ledger, OutcomeResult};
use crate::store::{Answer, Fields, Query, Store};
use crate::vocabulary::{
    AgentId, AgentStatus, Millis, PipelineId, PipelineStatus, RevocationType, Run, Severity, Tier, Token, ViolationType,
};

/// What is looked at: a life without any of these did nothing that could be held for it.
const DOING: [Action; 6] = [Action::ToolCall, Action::ModelCall, Action::Proposal, Action::Vote, Action::Output, Action::Violation];

/// How many agents' states are asked for at once.
const AT_ONCE: usize = 256;

/// An agent's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Life {
    pub profile: AgentId,
    pub tier: Tier,
    pub since: Millis,
    pub run: Run,
    /// The violation that lets its profile fall.
    pub grave: Option<(ViolationType, AgentId)>,
}

impl Promotions {
    /// An agent's state, and whether it has ended: by itself, or with its run and without a sign of life. A run that was stopped may go on, until it is retired.
    pub(super) async fn ended(&self, id: &AgentId) -> Result<(Option<Fields>, bool)> {
        let keys = self.store.keys();
        let Some(state) = self.store.state(keys.agent_state(id)).await? else { return Ok((None, true)) };
        if state.field("status").parse().is_ok_and(AgentStatus::is_final) {
            return Ok((Some(state), true));
        }
        let pipeline = state.field("pipeline_id");
        if pipeline.is_empty() {
            return Ok((Some(state), false));
        }
        let ended = self.is_over(pipeline).await? && self.store.cell(keys.agent_heartbeat(id)).await?.is_none();
        Ok((Some(state), ended))
    }

    /// Which agents are worth a closer look: those of a profile, or of all, that have ended or whose run is over. Asked of many at once, because most
    /// are at work, and whoever joins waits for this.
    pub(super) async fn may_have_ended(&self, agents: &[AgentId], of: Option<&AgentId>) -> Result<Vec<AgentId>> {
        let (mut ended, mut over) = (Vec::new(), HashMap::<String, bool>::new());
        for agents in agents.chunks(AT_ONCE) {
            let states: Vec<_> = agents.iter().map(|id| Query::State(self.store.keys().agent_state(id))).collect();
            for (id, answer) in agents.iter().zip(self.store.read(&states).await?) {
                let Answer::State(state) = answer else { continue };
                let state = state.unwrap_or_default();
                if of.is_some_and(|of| state.field("profile") != of.as_str()) {
                    continue;
                }
                let (status, pipeline) = (state.field("status"), state.field("pipeline_id"));
                // One of which nothing is left, one that was counted: its charge is to end.
                let is_final = status.parse().map_or(true, AgentStatus::is_final) || state.field("counted") == "true";
                let is_over = match over.get(pipeline) {
                    Some(over) => *over,
                    None if pipeline.is_empty() => false,
                    None => *over.entry(pipeline.to_owned()).or_insert(self.is_over(pipeline).await?),
                };
                if is_final || is_over {
                    ended.push(id.clone());
                }
            }
        }
        Ok(ended)
    }

    async fn is_over(&self, pipeline: &str) -> Result<bool> {
        let run = self.store.state(self.store.keys().pipeline(&PipelineId::new(pipeline)?)).await?.unwrap_or_default();
        let may_go_on = |status: PipelineStatus| status == PipelineStatus::Stopped && run.field("retired_at").is_empty();
        Ok(run.field("status").parse().is_ok_and(|status: PipelineStatus| status.is_final() && !may_go_on(status)))
    }
}

impl Life {
    pub async fn of(store: &Store, recorder: &Recorder, id: &AgentId, state: &Fields) -> Result<Self> {
        let entries = match recorder.ledger() {
            Some(ledger) => ledger.entries_by(id, &DOING).await?,
            None => Vec::new(),
        };
        let tier: Tier = state.field("tier").parse()?;
        let reading: Vec<String> = serde_json::from_str(state.field("reading")).unwrap_or_default();
        let mut profile = Policy::shipped(tier)?.profile().clone();
        profile.governance.reading_actions.extend(reading);
        let (mut run, mut grave) = (Run::default(), None);
        for (violation, at) in violations(&entries) {
            run.violations.push(at);
            let is_grave = violation.is_some_and(|violation| matches!(violation.severity(), Severity::Critical | Severity::High));
            grave = grave.or(violation.filter(|_| is_grave));
        }
        let revocation = RevocationEngine::open(store).revocation_of(id).await?;
        let kind = revocation.as_ref().map(|revocation| revocation.kind);
        if kind == Some(RevocationType::ErrorBudget) && grave.is_none() {
            grave = Some(ViolationType::ErrorBudgetExceeded);
            run.violations.extend(revocation.as_ref().map(|revocation| revocation.at));
        }
        run.actions = actions(&entries);
        let changing = run.actions.iter().filter(|(action, _)| changes_something(&profile, action)).map(|(_, times)| *times);
        run.modifications = changing.fold(0, u32::saturating_add);
        run.compliant = match (state.field("status").parse::<AgentStatus>()?, kind) {
            _ if !run.violations.is_empty() => Some(false),
            // A person who ends an agent does not say that it broke a rule.
            (_, Some(RevocationType::Manual)) => None,
            (_, Some(_)) | (AgentStatus::Failed | AgentStatus::TimedOut, None) => Some(false),
            (AgentStatus::Completed, None) => (!entries.is_empty()).then_some(true),
            (_, None) => None,
        };
        let named = Some(state.field("profile")).filter(|name| !name.is_empty());
        let profile = named.map_or_else(|| Ok(id.profile(None)), AgentId::new)?;
        let since = Millis(state.field("since").parse().unwrap_or_default());
        Ok(Self { profile, tier, since, run, grave: grave.map(|violation| (violation, id.clone())) })
    }
}

/// The violations, each with what it was, if that can still be read.
fn violations(entries: &[(Token, Entry)]) -> impl Iterator<Item = (Option<ViolationType>, Millis)> {
    let broken = entries.iter().filter(|(_, entry)| entry.action == Action::Violation && entry.kind != EntryKind::Outcome);
    broken.map(|(_, entry)| (said(entry, "type").and_then(|kind| kind.parse().ok()), entry.at))
}

/// The tools that were called with success, by their actions.
fn actions(entries: &[(Token, Entry)]) -> BTreeMap<String, u32> {
    let calls = entries.iter().filter(|(_, entry)| entry.action == Action::ToolCall);
    let intents: HashMap<&Token, &Entry> =
        calls.clone().filter(|(_, entry)| entry.kind == EntryKind::Intent).map(|(token, entry)| (token, entry)).collect();
    let mut actions = BTreeMap::<String, u32>::new();
    for (_, outcome) in calls.filter(|(_, entry)| entry.result == Some(OutcomeResult::Ok)) {
        let call = outcome.intent.as_ref().and_then(|intent| intents.get(intent));
        if let Some(action) = call.and_then(|call| said(call, "action")) {
            let times = actions.entry(action).or_default();
            *times = times.saturating_add(1);
        }
    }
    actions
}

fn said(entry: &Entry, name: &str) -> Option<String> {
    let said: Value = serde_json::from_str(&entry.payload).ok()?;
    said.get(name)?.as_str().map(str::to_owned)
}

/// What the ledger says of each profile: the tier that it came to last, and when its agents broke a rule. A rise of which nobody knows the end
/// does not count, a fall does.
pub(super) async fn told(ledger: &Ledger) -> Result<Vec<(AgentId, Option<Tier>, Vec<Millis>)>> {
    let entries = ledger.entries_about(&[Action::Promotion, Action::Violation]).await?;
    let outcomes: HashMap<&Token, &Entry> = entries.iter().filter_map(|(_, entry)| Some((entry.intent.as_ref()?, entry))).collect();
    let mut changes: Vec<_> = entries
        .iter()
        .filter(|(_, entry)| entry.action == Action::Promotion && entry.kind == EntryKind::Intent)
        .filter_map(|(token, entry)| {
            let status = said(entry, "status")?;
            let (to, from) = (said(entry, "to_tier")?.parse::<Tier>().ok()?, said(entry, "from_tier").and_then(|tier| tier.parse().ok()));
            let done = outcomes.get(token).and_then(|outcome| outcome.result);
            let fell = from.is_some_and(|from: Tier| to < from);
            let counts = match done {
                Some(OutcomeResult::Ok) => true,
                Some(OutcomeResult::Error) => false,
                Some(OutcomeResult::Unknown) | None => fell,
            };
            // What only waits, or was refused, changed no tier.
            let turned = matches!(status.as_str(), "approved" | "not_eligible");
            Some((entry.at, AgentId::new(said(entry, "profile")?).ok()?, to)).filter(|_| counts && turned)
        })
        .collect();
    changes.sort_by_key(|(at, ..)| *at);
    let mut profiles = BTreeMap::<AgentId, (Option<Tier>, Vec<Millis>)>::new();
    for (_, profile, to) in changes {
        profiles.entry(profile).or_default().0 = Some(to);
    }
    for (_, entry) in entries.iter().filter(|(_, entry)| entry.action == Action::Violation && entry.kind != EntryKind::Outcome) {
        if let Some(agent) = &entry.agent {
            profiles.entry(agent.profile(entry.pipeline.as_ref())).or_default().1.push(entry.at);
        }
    }
    Ok(profiles.into_iter().map(|(profile, (tier, violations))| (profile, tier, violations)).collect())
}
