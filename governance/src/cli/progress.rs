//! A run as it goes: live lines on a terminal, plain ones elsewhere, JSON lines for programs.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use super::printer::{BOLD, DIM, GOOD, Printer, WARN, short};
use crate::governance::Governance;
use crate::guard::Unit;
use crate::orchestrator::{Broadcast, Observer};
use crate::vocabulary::{AgentId, PipelineStatus};

/// Shows a run.
#[derive(Clone)]
pub struct Progress {
    printer: Printer,
    live: Option<Arc<Live>>,
}

struct Live {
    bars: MultiProgress,
    status: ProgressBar,
    agents: Mutex<Vec<(AgentId, ProgressBar)>>,
}

impl Progress {
    pub fn new(printer: Printer) -> Self {
        let live = (!printer.json && std::io::stderr().is_terminal()).then(|| {
            let bars = MultiProgress::new();
            let status = bars.add(line("{spinner:.cyan} {wide_msg}"));
            status.enable_steady_tick(Duration::from_millis(80));
            Arc::new(Live { bars, status, agents: Mutex::default() })
        });
        Self { printer, live }
    }

    /// What the run tells as it goes.
    pub fn observer(&self) -> Observer {
        let progress = self.clone();
        Arc::new(move |event| progress.show(event))
    }

    fn show(&self, event: &Broadcast) {
        // Progress that cannot be shown must not end the run.
        let _ = match &self.live {
            _ if self.printer.json => self.printer.object(event),
            None => told(event).map_or(Ok(()), |text| self.printer.note(text)),
            Some(live) => {
                live.show(event);
                Ok(())
            }
        };
    }

    /// Keeps the agents' lines up to date until dropped: phase, and what is left of the budget.
    pub async fn keep(&self, governance: &Governance) {
        let Some(live) = &self.live else { return std::future::pending().await };
        loop {
            let agents = live.agents.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for (id, bar) in agents {
                if let Ok(text) = agent(governance, &id).await {
                    bar.set_message(text);
                }
            }
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    }

    /// Takes the live lines away.
    pub fn clear(&self) {
        if let Some(live) = &self.live {
            let _ = live.bars.clear();
        }
    }
}

impl Live {
    fn show(&self, event: &Broadcast) {
        match event {
            Broadcast::AgentSpawned { agent_id, .. } => {
                let bar = self.bars.add(line("  {wide_msg}"));
                self.agents.lock().unwrap_or_else(PoisonError::into_inner).push((agent_id.clone(), bar));
            }
            Broadcast::PipelineStatus { pipeline_id, status, .. } => self.status.set_message(format!("{pipeline_id} {status}")),
            _ => {}
        }
        if let Some(text) = told(event) {
            // Above the live lines, as a history.
            let _ = self.bars.println(text);
        }
    }
}

fn line(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
    ProgressBar::new_spinner().with_style(style)
}

async fn agent(governance: &Governance, id: &AgentId) -> crate::error::Result<String> {
    let Some(agent) = governance.admissions().agent(id).await? else { return Ok(String::new()) };
    let keys = governance.store().keys();
    let limit: Option<(u64, Value)> =
        governance.store().json(crate::store::Cell::field(keys.agent_limits(id), Unit::Calls.as_str())).await?;
    let limit = limit.and_then(|(_, limit)| limit.get("limit").and_then(Value::as_u64)).unwrap_or(0);
    let used = governance.store().number(keys.agent_spend(id, Unit::Calls.as_str())).await?;
    Ok(format!("{id}  {}  {}  {} of {limit} calls left", agent.phase, agent.status, limit.saturating_sub(used)))
}

/// An event in one line, where it is worth one.
pub fn told(event: &Broadcast) -> Option<String> {
    Some(match event {
        Broadcast::PipelineStatus { pipeline_id, status, reason } => {
            let style = if *status == PipelineStatus::Completed { GOOD } else { BOLD };
            let reason = reason.as_ref().map_or(String::new(), |reason| format!(": {}", short(reason, 300)));
            format!("{pipeline_id} {style}{status}{style:#}{reason}")
        }
        Broadcast::AgentSpawned { agent_id, role, runtime, .. } => format!("  {agent_id} begins as {role} ({runtime})"),
        Broadcast::AgentWaiting { agent_id, approval_id, .. } => {
            format!("  {WARN}{agent_id} waits for your approval{WARN:#}: governance approvals show {approval_id}")
        }
        Broadcast::GammaSpawned { reason, .. } => format!("  {WARN}{reason}{WARN:#}: gamma is called"),
        Broadcast::AgentMessage { from, content, .. } => format!("  {DIM}{from}: {}{DIM:#}", short(&spoken(content), 160)),
        Broadcast::ConsensusEvent { proposal_id, event, .. } => {
            format!("  vote {proposal_id}: {}", short(event.get("event").and_then(Value::as_str).unwrap_or("changed"), 80))
        }
        Broadcast::ConsensusReached { votes, .. } => format!("  {GOOD}decided{GOOD:#}: {}", short(&ballots(votes), 200)),
        Broadcast::AgentLog { agent_id, stream, line, dropped, .. } => {
            let dropped = if *dropped > 0 { format!("({dropped} lines left out) ") } else { String::new() };
            format!("  {DIM}{agent_id} {stream}: {dropped}{}{DIM:#}", short(line, 300))
        }
        Broadcast::OrchestrationStarted { .. } => return None,
        Broadcast::OrchestrationComplete { status, .. } if *status == PipelineStatus::Orchestrating => {
            format!("  {WARN}no decision{WARN:#}: the run waits for you")
        }
        Broadcast::OrchestrationComplete { .. } => return None,
    })
}

/// What an agent said, as people say it.
pub fn spoken(content: &Value) -> String {
    let report = content.get("report");
    if let Some(stage) = report.and_then(|report| report.get("done")).and_then(Value::as_str) {
        return format!("{stage} done");
    }
    if let Some(failed) = report.and_then(|report| report.get("failed")) {
        return format!("failed: {}", failed.get("error").and_then(Value::as_str).unwrap_or("no reason given"));
    }
    match content.get("instruction") {
        Some(Value::String(stage)) => format!("please {stage}"),
        Some(Value::Object(asked)) => {
            let asked = |what| asked.get(what).and_then(Value::as_str);
            let vote = asked("vote").map(|id| format!("please vote on {id}"));
            vote.or_else(|| asked("mediate").map(|reason| format!("please mediate: {reason}"))).unwrap_or_else(|| content.to_string())
        }
        _ => content.get("note").and_then(Value::as_str).map_or_else(|| content.to_string(), str::to_owned),
    }
}

fn ballots(votes: &Value) -> String {
    let ballot = |(voter, choice): (&String, &Value)| {
        let choice = choice.get("one").and_then(Value::as_str).map_or_else(|| choice.to_string(), str::to_owned);
        format!("{voter} for {choice}")
    };
    votes.as_object().map(|votes| votes.iter().map(ballot).collect::<Vec<_>>().join(", ")).unwrap_or_default()
}
