//! How each effect is carried out: so that doing it again, after a crash half-way, changes nothing more.

use std::collections::BTreeMap;

use serde_json::json;

use super::broadcast::Broadcast;
use super::conflict::unresolved;
use super::diagnosis::{Failure, diagnose};
use super::driver::Driver;
use super::options::Grants;
use super::outcome::ProposalSummary;
use super::parts::Parts;
use super::run::{Effect, Event};
use super::telling::Voice;
use crate::agent::{FAILURE, Instruction, Instructions, Promotions, Said, instruct};
use crate::coordination::{DecisionRule, Opening, Outcome};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::limits::{Scope, ScopeLimits, Standstill};
use crate::guard::{Role, Unit, free_execution_lock, listed};
use crate::ledger::Action;
use crate::store::{Actor, Commit, from_json, to_json};
use crate::vocabulary::{AgentId, AgentRole, AgentStatus, PipelineStatus, ProposalId, RevocationType, Section};

impl Driver {
    /// Does it, and answers what that led to at once.
    pub async fn carry_out(&mut self, effect: Effect) -> Result<Option<Event>> {
        match effect {
            Effect::Record(status) => self.record(status).await?,
            Effect::Spawn(id, role) => return self.spawn(id, role).await,
            Effect::Mediate(reason) => {
                self.tell(Broadcast::GammaSpawned { pipeline_id: self.pipeline.clone(), reason }).await?;
            }
            Effect::Tell(id, instruction) => self.instruct(&id, instruction).await?,
            Effect::Report => self.report().await?,
            Effect::PartialReport => self.partial_report().await?,
            Effect::Assess => return self.assess().await.map(Some),
            Effect::OpenVote(vote) => self.open_vote(vote).await?,
            Effect::Decide(outcome) => self.decide(outcome).await?,
            Effect::Accept => self.accept().await?,
            Effect::KeepFailure(context) => self.keep_failure(&context).await?,
            Effect::Preseed => self.preseed().await?,
            Effect::Revoke(id, why) => {
                self.parts.revocations().revoke_token(&id, RevocationType::Heartbeat, &why).await?;
                self.crew.abort(&id);
            }
            Effect::Dismiss(ids) => self.dismiss(ids).await?,
        }
        Ok(None)
    }

    /// Writes the run's state down, fenced; the end of a run that was stopped is written by whoever may.
    async fn record(&mut self, status: PipelineStatus) -> Result<()> {
        let begins = status == PipelineStatus::Orchestrating && !self.run.awaiting_user;
        let store = &self.parts.store;
        let key = store.keys().pipeline(&self.pipeline);
        let mut fields = vec![
            ("status", status.to_string()),
            ("awaiting_user", self.run.awaiting_user.to_string()),
            ("reason", self.run.reason.clone().unwrap_or_default()),
        ];
        if begins {
            fields.push(("orchestration_started_at", store.ports().clock.now().0.to_string()));
            self.until = store.ports().clock.elapsed() + self.options.timeout;
        }
        if status.is_final() {
            fields.push(("ended_at", store.now().await?.0.to_string()));
        }
        if !self.run.goes_on() && !self.run.status.is_final() {
            // From here on its user is waited for, until somebody takes it up.
            fields.extend(Standstill::begins(store.now().await?));
        }
        let fenced = if status == PipelineStatus::Stopped { Commit::default().urgent() } else { self.governor.commit() };
        let payload = json!({"status": status, "reason": self.run.reason});
        let subject = (None, Some(&self.pipeline));
        self.parts
            .recorder
            .record(store, Action::Phase, subject, &payload, async |token| {
                let mut commit = fenced.token(token).merge(key.clone(), fields);
                commit.writes.extend(listed(store.keys(), &self.pipeline, status));
                store.apply(commit).await.map(drop)
            })
            .await?;
        let (pipeline_id, reason) = (self.pipeline.clone(), self.run.reason.clone());
        self.tell(Broadcast::PipelineStatus { pipeline_id, status, reason }).await?;
        if begins {
            let (pipeline_id, model) = (self.pipeline.clone(), self.options.model.name().to_owned());
            let agents = self.run.alive().map(|(id, _)| id.clone()).collect();
            self.tell(Broadcast::OrchestrationStarted { pipeline_id, model, agents }).await?;
        }
        Ok(())
    }

    /// Begins an agent, or has it go on; one that was revoked while nobody carried the run out does neither.
    async fn spawn(&mut self, id: AgentId, role: AgentRole) -> Result<Option<Event>> {
        if self.crew.has(&id) {
            return Ok(None);
        }
        let admissions = self.parts.admissions();
        let actor = match admissions.readmit(&self.governor.admission, &self.pipeline, &id).await {
            Ok(Some(actor)) => {
                // Whoever ran it before is fenced, and cannot give it back.
                free_execution_lock(&self.parts.store, &self.governor, &id).await?;
                actor
            }
            Ok(None) => self.admit(&id, role).await?,
            Err(error) if error.kind() == ErrorKind::Revoked => {
                let revocation = self.parts.revocations().revocation_of(&id).await?.ok_or(error)?;
                return Ok(Some(Event::Revoked(id, revocation.reason)));
            }
            Err(error) => return Err(error),
        };
        let runtime = self.options.runtimes.of(role).name();
        let state = self.parts.store.keys().agent_state(&id);
        self.parts.store.apply(self.governor.commit().merge(state, [("runtime", &runtime)])).await?;
        let Grants { calls, tokens, cost } = self.options.grants;
        for (unit, limit) in [(Unit::Calls, Some(calls)), (Unit::Tokens, tokens), (Unit::Cost, cost)] {
            if let Some(limit) = limit {
                self.parts.budget(&actor).grant(&self.governor, unit, limit).await?;
            }
        }
        let limits = ScopeLimits::new(&self.parts.store, &self.parts.recorder);
        limits.set_all(&self.governor, &Scope::Agent(id.clone()), &self.options.use_limits.agent).await?;
        let pipeline_id = self.pipeline.clone();
        self.tell(Broadcast::AgentSpawned { pipeline_id, agent_id: id.clone(), role, runtime }).await?;
        self.pulse.touch(&id);
        self.crew.start(actor, role, &self.governor)?;
        Ok(None)
    }

    /// A registered profile acts at what it stands at, whatever the run's tier; every other one at the run's. Its packet is written before it lives.
    async fn admit(&self, id: &AgentId, role: AgentRole) -> Result<Actor> {
        let Parts { store, recorder, .. } = &self.parts;
        let stands = Promotions::open(store, recorder).stands(&id.profile(Some(&self.pipeline))).await?;
        let role = Role { role, tier: stands.unwrap_or(self.run.tier) };
        let actor = self.parts.admissions().admit(&self.governor.admission, &self.pipeline, id, role).await?;
        instruct(store, recorder, &self.governor, id, &Instructions::default()).await?;
        Ok(actor)
    }

    async fn instruct(&mut self, id: &AgentId, instruction: Instruction) -> Result<()> {
        self.pulse.touch(id);
        match self.bus.send(id, &Said::Instruction(instruction)).await {
            // It left by itself, or never came.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map(drop),
        }
    }

    async fn dismiss(&mut self, ids: Vec<AgentId>) -> Result<()> {
        for id in &ids {
            match self.instruct(id, Instruction::Leave).await {
                // The agents of a run that was stopped hear it from the store.
                Err(error) if error.kind() == ErrorKind::Revoked => {}
                other => other?,
            }
        }
        self.leaving = ids;
        Ok(())
    }

    async fn report(&self) -> Result<()> {
        let board = self.board();
        let progress = board.entries(Section::Progress).await?;
        let summary: Vec<_> = progress.iter().filter(|e| e.name.as_str().starts_with("report-")).map(|entry| &entry.content).collect();
        self.post_once(Section::Progress, "report", &json!({"agents": summary})).await
    }

    /// What there is when time is up: what was reported and proposed, and who was not done with what.
    async fn partial_report(&self) -> Result<()> {
        let progress = self.board().entries(Section::Progress).await?;
        let reports: Vec<_> = progress.iter().filter(|e| e.name.as_str().starts_with("report-")).map(|entry| &entry.content).collect();
        let proposals: Vec<_> =
            self.proposals().await?.into_iter().map(|p| json!({"name": p.name, "title": p.idea.title, "scores": p.scores})).collect();
        let late = self.run.agents.iter().filter(|(_, agent)| agent.status == AgentStatus::TimedOut);
        let late: BTreeMap<_, _> = late.map(|(id, agent)| (id, &agent.told)).collect();
        let partial = json!({"reason": self.run.reason, "agents": reports, "proposals": proposals, "late": late});
        self.post_once(Section::Progress, "partial-report", &partial).await
    }

    async fn post_once(&self, section: Section, name: &str, content: &serde_json::Value) -> Result<()> {
        match self.board().post(section, name, content).await {
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(()),
            other => other.map(drop),
        }
    }

    /// What the judgements leave unresolved. What nobody judged yet, as the joint solution, does not count.
    async fn assess(&self) -> Result<Event> {
        let judged = self.proposals().await?.into_iter().filter(|proposal| !proposal.scores.is_empty());
        let scores: BTreeMap<_, _> = judged.map(|proposal| (proposal.name, proposal.scores)).collect();
        Ok(Event::Assessed(u32::try_from(unresolved(&scores).len()).unwrap_or(u32::MAX)))
    }

    async fn open_vote(&mut self, vote: ProposalId) -> Result<()> {
        let options: Vec<_> = self.board().entries(Section::Solutions).await?.iter().map(|entry| entry.name.to_string()).collect();
        let electorate: Vec<_> = self.run.alive().map(|(id, _)| (id.clone(), 1)).collect();
        let opening = Opening {
            question: json!("which solution is carried out"),
            options: options.clone(),
            rule: DecisionRule::Majority,
            quorum: self.run.setup.quorum,
            electorate,
            within: self.options.timeout,
            sealed: false,
        };
        if self.consensus().proposal(&vote).await?.is_none() {
            self.consensus().propose(&vote, opening).await?;
        }
        let event = json!({"event": "opened", "options": options});
        self.tell(Broadcast::ConsensusEvent { pipeline_id: self.pipeline.clone(), proposal_id: vote, event }).await
    }

    async fn decide(&mut self, outcome: Outcome) -> Result<()> {
        let (Outcome::Decided { option, .. }, Some(vote)) = (&outcome, self.run.vote()) else { return Ok(()) };
        self.write_decision(json!({"proposal": option, "outcome": outcome})).await?;
        let votes = json!(self.consensus().votes(&vote).await?);
        self.tell(Broadcast::ConsensusReached { pipeline_id: self.pipeline.clone(), proposal_id: vote, votes }).await
    }

    async fn accept(&self) -> Result<()> {
        let best = best(self.proposals().await?).ok_or_else(nothing_to_accept)?;
        self.write_decision(json!({"proposal": best.name, "partial": true})).await
    }

    async fn write_decision(&self, decision: serde_json::Value) -> Result<()> {
        let subject = (None, Some(&self.pipeline));
        self.parts
            .recorder
            .record(&self.parts.store, Action::Decision, subject, &decision, async |token| {
                // What is there from before a crash is the same.
                self.board().put_once(token, Section::Consensus, "decision", &decision, 0).await.map(drop)
            })
            .await
    }

    /// What the next try needs, and a diagnosis for the people who read it.
    async fn keep_failure(&self, context: &str) -> Result<()> {
        let store = &self.parts.store;
        let proposals = self.board().entries(Section::Solutions).await?;
        let names: Vec<_> = proposals.iter().map(|entry| &entry.name).collect();
        // A reboot has begun the next try already.
        let failed = self.run.tries - u32::from(self.run.status == PipelineStatus::Rebooting);
        let failures: Vec<_> = self
            .run
            .agents
            .iter()
            .filter(|(_, agent)| agent.of_try == failed)
            .filter_map(|(id, agent)| Some(Failure { agent: id.clone(), code: agent.code.clone(), message: agent.error.clone()? }))
            .collect();
        let reason = self.run.reason.clone().unwrap_or_default();
        let diagnosis = json!(diagnose(self.run.status, &reason, &failures));
        let kept = json!({
            "status": self.run.status, "reason": reason, "context": context, "proposals": names, "diagnosis": diagnosis, "try": failed,
        });
        let key = store.keys().pipeline_failure_context(&self.pipeline);
        store.apply(Commit::default().urgent().put(key, to_json(&kept)?)).await?;
        match self.post_once(Section::Progress, &format!("diagnosis-{failed}"), &diagnosis).await {
            // A run that was stopped writes nothing more on its blackboard.
            Err(error) if error.kind() == ErrorKind::Revoked => Ok(()),
            other => other,
        }
    }

    /// What is known of the last try, for the next: its failure context, and what its agents handed over.
    async fn preseed(&self) -> Result<()> {
        let store = &self.parts.store;
        let context = store.cell(store.keys().pipeline_failure_context(&self.pipeline)).await?;
        let context: serde_json::Value = context.map_or(Ok(json!({})), |found| from_json("the failure context", &found.value))?;
        let mut handoffs = Vec::new();
        for (id, _) in self.run.agents.iter().filter(|(_, agent)| agent.of_try + 1 == self.run.tries) {
            if let Some(handoff) = store.cell(store.keys().agent_handoff(id)).await? {
                handoffs.push(from_json::<serde_json::Value>("a handoff", &handoff.value)?);
            }
        }
        let summary = context["reason"].as_str().filter(|reason| !reason.is_empty()).unwrap_or("no reason was kept");
        let seed = json!({"summary": summary, "context": context, "handoffs": handoffs});
        self.post_once(Section::Problem, &format!("{FAILURE}{}", self.run.tries), &seed).await
    }

    pub async fn tell(&mut self, event: Broadcast) -> Result<()> {
        self.metrics.observe(self.parts.store.ports().clock.now(), &event);
        Voice::new(&self.parts.store, &self.pipeline, self.options.observer.clone()).tell(&event).await
    }
}

/// The proposal that its judges like best: the highest mean; of equals the first by name.
pub(super) fn best(proposals: Vec<ProposalSummary>) -> Option<ProposalSummary> {
    let mean = |proposal: &ProposalSummary| {
        let judges = proposal.scores.len().max(1) as u64;
        proposal.scores.values().map(|score| u64::from(*score)).sum::<u64>() * 1_000 / judges
    };
    proposals.into_iter().max_by(|a, b| mean(a).cmp(&mean(b)).then(b.name.cmp(&a.name)))
}

pub(super) fn nothing_to_accept() -> Error {
    Error::new(ErrorKind::NotFound, "nothing_to_accept", "nothing was proposed that could be accepted: try `rerun_same` or `rerun_gamma`")
}
