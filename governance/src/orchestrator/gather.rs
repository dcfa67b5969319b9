//! What came of a run, read back from where everybody can read it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::driver::Driver;
use super::effects::best;
use super::outcome::{AgentSummary, Decision, ProposalSummary, RunOutcome};
use crate::agent::scores;
use crate::coordination::Outcome;
use crate::error::{Error, Result};
use crate::guard::Unit;
use crate::ledger::{Filter, Head};
use crate::llm::Idea;
use crate::vocabulary::Section;

/// How long a run waits for its entries to be in the record.
const SEQUENCED: Duration = Duration::from_secs(4);

impl Driver {
    pub(super) async fn gather(&mut self) -> Result<RunOutcome> {
        let proposals = self.proposals().await?;
        let votes = match &self.run.vote() {
            Some(vote) => self.consensus().votes(vote).await?,
            None => BTreeMap::new(),
        };
        let decision = self.decision(&proposals).await?;
        let agents = self.agents().await?;
        let calls = agents.iter().map(|agent| agent.calls).sum();
        let (tokens, cost) = self.spent().await?;
        self.metrics.spent(calls, tokens, cost);
        let now = self.parts.store.ports().clock.now();
        let (ledger_head, unrecorded) = self.head().await?;
        Ok(RunOutcome {
            pipeline_id: self.pipeline.clone(),
            status: self.run.status,
            reason: self.run.reason.clone(),
            objective: self.objective.clone(),
            model: self.options.model.name().to_owned(),
            agents,
            proposals,
            votes,
            decision,
            metrics: self.metrics.report(now),
            ledger_head,
            unrecorded,
        })
    }

    /// Tokens and millionths of a dollar, where they were granted and so are counted.
    async fn spent(&self) -> Result<(u64, u64)> {
        let (mut tokens, mut cost) = (0, 0);
        let keys = self.parts.store.keys();
        for id in self.run.agents.keys() {
            tokens += self.parts.store.number(keys.agent_spend(id, Unit::Tokens.as_str())).await?;
            cost += self.parts.store.number(keys.agent_spend(id, Unit::Cost.as_str())).await?;
        }
        Ok((tokens, cost))
    }

    async fn agents(&self) -> Result<Vec<AgentSummary>> {
        let mut agents = Vec::new();
        for (id, run) in &self.run.agents {
            let agent = self.parts.admissions().agent(id).await?;
            let status = agent.as_ref().map_or(run.status, |agent| agent.status);
            let restarts = agent.as_ref().map_or(0, |agent| agent.restarts);
            let runtime = agent.map_or_else(|| self.options.runtimes.of(run.role).name(), |agent| agent.runtime);
            let spent = self.parts.store.keys().agent_spend(id, Unit::Calls.as_str());
            let calls = self.parts.store.number(spent).await?;
            agents.push(AgentSummary { id: id.clone(), role: run.role, runtime, status, restarts, calls });
        }
        Ok(agents)
    }

    pub(super) async fn proposals(&self) -> Result<Vec<ProposalSummary>> {
        let mut scores = scores(&self.board().entries(Section::Progress).await?)?;
        let entries = self.board().entries(Section::Solutions).await?;
        let proposal = |entry: crate::coordination::BoardEntry| {
            let idea: Idea = serde_json::from_value(entry.content).map_err(|e| {
                Error::corrupt("not_a_solution", format!("`{}` on the blackboard is not a solution", entry.name)).because(e)
            })?;
            let scores = scores.remove(&entry.name).unwrap_or_default();
            Ok(ProposalSummary { scores, name: entry.name, author: entry.author, idea })
        };
        entries.into_iter().map(proposal).collect()
    }

    async fn decision(&self, proposals: &[ProposalSummary]) -> Result<Option<Decision>> {
        if self.run.partial {
            let won = best(proposals.to_vec());
            return Ok(won.map(|won| Decision { proposal: won.name, solution: won.idea, outcome: None }));
        }
        let Some(vote) = self.run.vote() else { return Ok(None) };
        let Some(outcome @ Outcome::Decided { .. }) = self.consensus().settled(&vote).await? else { return Ok(None) };
        let Outcome::Decided { option, .. } = &outcome else { return Ok(None) };
        let won = proposals.iter().find(|proposal| proposal.name.as_str() == option);
        Ok(won.map(|won| Decision { proposal: won.name.clone(), solution: won.idea.clone(), outcome: Some(outcome.clone()) }))
    }

    /// The newest signed head, once the run's own entries are in the record; how many are not, where they were waited for in vain.
    async fn head(&self) -> Result<(Option<Head>, u64)> {
        let ledger = &self.parts.ledger;
        let clock = &self.parts.store.ports().clock;
        let until = clock.elapsed() + SEQUENCED;
        let segment = self.parts.recorder.segment()?;
        let own = segment.as_ref().map(|segment| segment.id());
        let written = segment.as_ref().map_or(0, |segment| segment.entries());
        let newest = Filter { pipeline: Some(self.pipeline.clone()), newest_first: true, limit: 8, ..Filter::default() };
        let mut pause = Duration::from_millis(2);
        loop {
            ledger.hurry();
            let listing = ledger.list(&newest).await?;
            let caught_up = listing.unsequenced == 0 || listing.actions.iter().any(|a| Some(&a.segment) == own && a.number >= written);
            if caught_up || clock.elapsed() >= until {
                return Ok((ledger.head().await?, if caught_up { 0 } else { listing.unsequenced }));
            }
            tokio::time::sleep(pause).await;
            // Many runs that end together wait for one sequencer, which has better things to do than to be asked.
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}
