//! What each event changes in a run.

use std::collections::BTreeMap;

use super::run::{AgentRun, Effect, Run, Step};
use crate::agent::{Instruction, Stage};
use crate::coordination::{Outcome, Undecided};
use crate::vocabulary::{AgentId, AgentRole, AgentStatus, FallbackAction, GammaReason, PipelineStatus, Tier};

impl Run {
    pub(super) fn begin(&mut self) -> Vec<Effect> {
        if !self.agents.is_empty() {
            return Vec::new();
        }
        let mut effects = vec![Effect::Record(self.status)];
        effects.extend(self.enlist(AgentRole::Alpha));
        effects.extend(self.enlist(AgentRole::Beta));
        effects
    }

    /// An agent's id is known beforehand, so that starting it again after a crash starts the same one.
    fn enlist(&mut self, role: AgentRole) -> Option<Effect> {
        let of = self.pipeline.as_str().trim_start_matches("pipeline-");
        let name = if self.tries == 1 { format!("{role}-{of}") } else { format!("{role}-{of}-{}", self.tries) };
        let id = AgentId::new(name).ok()?;
        self.agents.insert(id.clone(), AgentRun::new(role, self.tries));
        Some(Effect::Spawn(id, role))
    }

    fn tell(&mut self, instruction: &Instruction, whom: impl Fn(&AgentRun) -> bool) -> Vec<Effect> {
        let listening = self.agents.iter_mut().filter(|(_, agent)| !agent.status.is_final() && whom(agent));
        let told = listening.map(|(id, agent)| {
            agent.told = Some(instruction.clone());
            agent.done = false;
            Effect::Tell(id.clone(), instruction.clone())
        });
        told.collect()
    }

    pub(super) fn done(&mut self, id: &AgentId, stage: Stage) -> Vec<Effect> {
        let Some(agent) = self.agents.get_mut(id).filter(|agent| !agent.status.is_final()) else { return Vec::new() };
        if stage == Stage::Ready {
            agent.status = AgentStatus::Running;
            if let Some(told) = agent.told.clone().filter(|_| !agent.done) {
                // A mediator, or one that was started again half-way.
                return vec![Effect::Tell(id.clone(), told)];
            }
            return self.settle();
        }
        // Who was started again says so first: what comes before that was said by whoever ran it earlier.
        if agent.status == AgentStatus::Pending || agent.done || agent.told.as_ref().map(Instruction::stage) != Some(stage) {
            return Vec::new();
        }
        agent.done = true;
        self.settle()
    }

    /// Goes on when every agent that lives has done what it was told.
    fn settle(&mut self) -> Vec<Effect> {
        if self.alive().any(|(_, agent)| agent.owes()) {
            return Vec::new();
        }
        match self.step {
            Step::Ready => {
                self.step = Step::Work;
                let mut effects = Vec::new();
                if self.status == PipelineStatus::Spawn {
                    self.status = PipelineStatus::Running;
                    effects.push(Effect::Record(self.status));
                } else if self.status == PipelineStatus::Rebooting {
                    self.status = PipelineStatus::Orchestrating;
                    effects.push(Effect::Record(self.status));
                }
                effects.extend(self.tell(&Instruction::Work, |agent| agent.role != AgentRole::Gamma));
                effects
            }
            Step::Work if self.status == PipelineStatus::Running => {
                self.status = PipelineStatus::Report;
                let mut effects = vec![Effect::Record(self.status), Effect::Report];
                if self.setup.auto {
                    effects.extend(self.orchestrate());
                }
                effects
            }
            Step::Work if self.status == PipelineStatus::Orchestrating => self.evaluate(),
            Step::Evaluate => {
                self.step = Step::Assess;
                vec![Effect::Assess]
            }
            Step::Mediate => self.vote_now(),
            Step::Work | Step::Assess | Step::Vote => Vec::new(),
        }
    }

    pub(super) fn orchestrate(&mut self) -> Vec<Effect> {
        self.status = PipelineStatus::Orchestrating;
        let mut effects = vec![Effect::Record(self.status)];
        if self.alive().next().is_none() {
            let why = self.reason.clone().unwrap_or_else(|| "no agent is left".to_owned());
            effects.extend(self.end(PipelineStatus::OrchestrationFailed, why));
            return effects;
        }
        // An agent that ended in error counts as stuck.
        let erred = self.agents.values().any(|agent| agent.of_try == self.tries && agent.status == AgentStatus::Failed);
        if self.setup.complex {
            effects.extend(self.mediate(GammaReason::Complexity));
        } else if erred {
            effects.extend(self.mediate(GammaReason::Stuck));
        }
        effects.extend(self.evaluate());
        effects
    }

    fn evaluate(&mut self) -> Vec<Effect> {
        self.step = Step::Evaluate;
        let told = self.tell(&Instruction::Evaluate, |agent| agent.role != AgentRole::Gamma);
        if told.is_empty() { self.settle() } else { told }
    }

    pub(super) fn assessed(&mut self, unresolved: u32) -> Vec<Effect> {
        if self.step != Step::Assess {
            return Vec::new();
        }
        if unresolved >= self.setup.conflicts && self.mediated.is_none() {
            self.step = Step::Mediate;
            return self.mediate(GammaReason::Conflict);
        }
        self.vote_now()
    }

    /// Calls a mediator, once in a try.
    fn mediate(&mut self, reason: GammaReason) -> Vec<Effect> {
        if self.mediated.is_some() {
            return Vec::new();
        }
        self.mediated = Some(reason);
        let spawned = self.enlist(AgentRole::Gamma);
        let mediators = self.agents.values_mut().filter(|agent| agent.role == AgentRole::Gamma && !agent.status.is_final());
        mediators.for_each(|agent| agent.told = Some(Instruction::Mediate(reason)));
        std::iter::once(Effect::Mediate(reason)).chain(spawned).collect()
    }

    fn vote_now(&mut self) -> Vec<Effect> {
        self.step = Step::Vote;
        let cast = u32::try_from(self.alive().count()).unwrap_or(u32::MAX);
        if let Some(needed) = self.setup.quorum.filter(|needed| cast < *needed) {
            // Too few are left to decide anything: nobody is asked, and nothing is waited for.
            return self.closed(Outcome::Undecided { reason: Undecided::NoQuorum { cast, needed }, counts: BTreeMap::new() });
        }
        self.round += 1;
        let Some(vote) = self.vote() else { return Vec::new() };
        let mut effects = vec![Effect::OpenVote(vote.clone())];
        effects.extend(self.tell(&Instruction::Vote(vote), |_| true));
        effects
    }

    pub(super) fn stuck(&mut self, id: &AgentId) -> Vec<Effect> {
        let helps = self.agents.get(id).is_some_and(|agent| agent.owes() && agent.role != AgentRole::Gamma);
        let open = !matches!(self.step, Step::Ready | Step::Vote);
        if helps && open { self.mediate(GammaReason::Stuck) } else { Vec::new() }
    }

    pub(super) fn with(&mut self, first: Effect, id: &AgentId, status: AgentStatus, why: String) -> Vec<Effect> {
        if self.agents.get(id).is_none_or(|agent| agent.status.is_final()) {
            return Vec::new();
        }
        let mut effects = vec![first];
        effects.extend(self.lose(id, status, why));
        effects
    }

    /// Keeps the code of what an agent came to grief over, for the diagnosis.
    pub(super) fn blame(&mut self, id: &AgentId, code: Option<String>) {
        if let Some(agent) = self.agents.get_mut(id).filter(|agent| !agent.status.is_final()) {
            agent.code = code;
        }
    }

    /// An agent does nothing more. Its partner goes on alone, if there is one.
    pub(super) fn lose(&mut self, id: &AgentId, status: AgentStatus, why: String) -> Vec<Effect> {
        let Some(agent) = self.agents.get_mut(id).filter(|agent| !agent.status.is_final()) else { return Vec::new() };
        agent.status = status;
        agent.error = Some(why.clone());
        self.reason = Some(why.clone());
        if self.status == PipelineStatus::Spawn {
            return self.end(PipelineStatus::Failed, why);
        }
        if self.alive().next().is_none() {
            return self.all_lost(why);
        }
        let mut effects = Vec::new();
        let mediating = self.status == PipelineStatus::Orchestrating && matches!(self.step, Step::Work | Step::Evaluate | Step::Assess);
        if status == AgentStatus::Failed && mediating {
            effects.extend(self.mediate(GammaReason::Stuck));
        }
        effects.extend(self.settle());
        effects
    }

    fn all_lost(&mut self, why: String) -> Vec<Effect> {
        if self.status == PipelineStatus::Report {
            return Vec::new();
        }
        if !matches!(self.status, PipelineStatus::Orchestrating | PipelineStatus::Rebooting) {
            return self.end(PipelineStatus::Failed, why);
        }
        let revoked = self.agents.values().any(|agent| agent.of_try == self.tries && agent.status == AgentStatus::Revoked);
        if !revoked {
            return self.end(PipelineStatus::OrchestrationFailed, why);
        }
        if self.recovered >= self.setup.recoveries {
            let exhausted = format!("{} automatic recoveries did not help: {why}", self.recovered);
            return self.end(PipelineStatus::Aborted, exhausted);
        }
        self.recovered += 1;
        self.status = PipelineStatus::Rebooting;
        let mut effects = vec![Effect::KeepFailure(why), Effect::Record(self.status)];
        effects.extend(self.try_again(true));
        effects
    }

    /// Fresh agents with what is known of the failure, and a mediator if one is wanted.
    fn try_again(&mut self, mediated: bool) -> Vec<Effect> {
        self.tries += 1;
        self.mediated = None;
        self.step = Step::Ready;
        let mut effects = vec![Effect::Preseed];
        effects.extend(self.enlist(AgentRole::Alpha));
        effects.extend(self.enlist(AgentRole::Beta));
        if mediated {
            effects.extend(self.mediate(GammaReason::Stuck));
        }
        effects
    }

    pub(super) fn fall_back(&mut self, action: FallbackAction) -> Vec<Effect> {
        match action {
            FallbackAction::DownloadLog => return Vec::new(),
            FallbackAction::AcceptPartial => {
                self.awaiting_user = false;
                self.partial = true;
                self.reason = Some("its user accepted the best proposal without a decision".to_owned());
                self.status = PipelineStatus::Completed;
                return vec![Effect::Accept, Effect::Record(self.status)];
            }
            FallbackAction::EscalateTier => self.tier = Tier::ALL.iter().copied().find(|tier| *tier > self.tier).unwrap_or(self.tier),
            FallbackAction::RerunSame | FallbackAction::RerunGamma => {}
        }
        self.awaiting_user = false;
        self.reason = None;
        self.status = PipelineStatus::Orchestrating;
        let mut effects = vec![Effect::Record(self.status)];
        effects.extend(self.try_again(action == FallbackAction::RerunGamma));
        effects
    }

    pub(super) fn closed(&mut self, outcome: Outcome) -> Vec<Effect> {
        if self.step != Step::Vote {
            return Vec::new();
        }
        let dismissed = self.dismiss();
        if matches!(outcome, Outcome::Decided { .. }) {
            self.status = PipelineStatus::Completed;
            return vec![Effect::Decide(outcome), Effect::Record(self.status), dismissed];
        }
        // Undecided is never a yes: the run waits for its user.
        self.awaiting_user = true;
        self.reason = Some("the votes closed without a decision".to_owned());
        let context = serde_json::to_string(&outcome).unwrap_or_default();
        vec![Effect::KeepFailure(context), Effect::Record(self.status), dismissed]
    }

    fn dismiss(&mut self) -> Effect {
        let left = if self.status == PipelineStatus::Timeout { AgentStatus::TimedOut } else { AgentStatus::Completed };
        let staying = self.agents.iter_mut().filter(|(_, agent)| !agent.status.is_final());
        let told = staying.map(|(id, agent)| {
            agent.status = left;
            id.clone()
        });
        Effect::Dismiss(told.collect())
    }

    pub(super) fn time_up(&mut self) -> Vec<Effect> {
        let why = "the time given to the run is over".to_owned();
        let late: Vec<_> = self.alive().filter(|(_, agent)| agent.owes()).map(|(id, _)| id.clone()).collect();
        let ready = self.alive().any(|(_, agent)| agent.done);
        if self.status != PipelineStatus::Running || !ready {
            let mut effects = self.end(PipelineStatus::Timeout, why);
            // Before the agents go: what they have done until now is what there is.
            effects.insert(0, Effect::PartialReport);
            return effects;
        }
        // Who is late stays behind; the report is written with what there is.
        for id in &late {
            if let Some(agent) = self.agents.get_mut(id) {
                agent.status = AgentStatus::TimedOut;
                agent.error = Some(why.clone());
            }
        }
        let mut effects: Vec<_> = late.into_iter().map(|id| Effect::Revoke(id, why.clone())).collect();
        effects.extend(self.settle());
        effects
    }

    pub(super) fn resumed(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(before) = self.stopped_at.take() {
            self.status = before;
            self.reason = None;
            effects.push(Effect::Record(self.status));
        }
        if self.awaiting_user {
            return effects;
        }
        for (id, agent) in self.agents.iter_mut().filter(|(_, agent)| !agent.status.is_final()) {
            agent.status = AgentStatus::Pending;
            // A ballot that was cast under the epoch before is void.
            agent.done &= self.step != Step::Vote;
            effects.push(Effect::Spawn(id.clone(), agent.role));
        }
        if self.step == Step::Assess {
            effects.push(Effect::Assess);
        }
        effects
    }

    pub(super) fn end(&mut self, status: PipelineStatus, why: String) -> Vec<Effect> {
        let mut effects = self.stop(status, why);
        if let Effect::Dismiss(staying) = self.dismiss()
            && let Some(Effect::Dismiss(all)) = effects.last_mut()
        {
            *all = staying;
        }
        effects
    }

    /// Ends without letting the agents go: they are taken up again if the run is.
    pub(super) fn stop(&mut self, status: PipelineStatus, why: String) -> Vec<Effect> {
        self.status = status;
        self.awaiting_user = self.awaiting_user && status == PipelineStatus::Stopped;
        self.reason = Some(why.clone());
        vec![Effect::KeepFailure(why), Effect::Record(status), Effect::Dismiss(Vec::new())]
    }
}
