//! What an agent works out: it proposes, judges, joins and votes, with its model's help and on the blackboard.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::{Desk, Exhibit};
use crate::coordination::{BoardEntry, Cast, Choice};
use crate::error::{Error, Result};
use crate::ledger::Action;
use crate::llm::{Analysis, CallKind, Evaluation, Idea, Scored};
use crate::vocabulary::{AgentId, AgentPhase, EntryName, GammaReason, ProposalId, Section};

/// The name of the joint solution on the blackboard.
const COMBINED: &str = "combined";
/// The same in a later try, before its number.
const COMBINED_AGAIN: &str = "combined-";

/// A solution on the blackboard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposed {
    /// Its name there, which is its option's name in a vote.
    pub name: EntryName,
    /// Whose it is.
    pub author: AgentId,
    /// What it is.
    pub idea: Idea,
}

impl Desk {
    /// What the objective is about.
    pub async fn analyse(&self) -> Result<Analysis> {
        let asked = |call| async move { self.model().port().analyse(&call, self.objective()).await };
        self.model().ask(CallKind::Analyse, asked).await
    }

    /// One solution out of several.
    pub async fn combine(&self, ideas: &[Idea]) -> Result<Idea> {
        let asked = |call| async move { self.model().port().combine(&call, self.objective(), ideas).await };
        self.model().ask(CallKind::Combine, asked).await
    }

    /// Builds one solution out of all that single agents proposed, and puts it on the blackboard. None where there are not two of them.
    pub async fn combine_all(&self) -> Result<Option<String>> {
        let joint = |name: &str| name == COMBINED || name.starts_with(COMBINED_AGAIN);
        let proposed = self.proposals().await?;
        let ideas: Vec<_> = proposed.into_iter().filter(|p| !joint(p.name.as_str())).map(|p| p.idea).collect();
        if ideas.len() < 2 {
            return Ok(None);
        }
        let combined = self.combine(&ideas).await?;
        let name = match self.tries() {
            1 => COMBINED.to_owned(),
            again => format!("{COMBINED_AGAIN}{again}"),
        };
        self.post_once(Section::Solutions, &name, &combined).await?;
        Ok(Some(name))
    }

    /// A solution that reconciles what was proposed and judged.
    pub async fn mediate(&self, proposals: &[Scored], reason: GammaReason) -> Result<Idea> {
        let asked = |call| async move { self.model().port().mediate(&call, self.objective(), proposals, reason).await };
        self.model().ask(CallKind::Mediate, asked).await
    }

    /// Proposes this agent's own solution, under its name, and the rivals that it cannot rule out, as `{agent}-rival-{n}`.
    pub async fn propose_own(&self) -> Result<()> {
        let asked = |call| async move { self.model().port().propose(&call, self.objective(), &[]).await };
        let ideas = self.model().ask(CallKind::Propose, asked).await?;
        for (number, idea) in ideas.iter().enumerate() {
            let name = if number == 0 { self.actor().id.to_string() } else { format!("{}-rival-{number}", self.actor().id) };
            self.offer(&name, idea).await?;
        }
        Ok(())
    }

    /// Puts a solution on the blackboard, on the record. One of that name that is there already stays.
    pub async fn offer(&self, name: &str, idea: &Idea) -> Result<()> {
        let payload = json!({"title": idea.title});
        self.recorder
            .record(self.store(), Action::Proposal, self.subject(), &payload, async |_| {
                self.post_once(Section::Solutions, name, idea).await
            })
            .await
    }

    /// Verifies the own proposal, bundles it as the agent's output, and reports.
    pub async fn hand_in(&self) -> Result<()> {
        self.enter(AgentPhase::Verify).await?;
        let own = self.proposals().await?.into_iter().find(|p| p.name.as_str() == self.actor().id.as_str());
        let own = own.ok_or_else(|| Error::internal("an agent hands in before it proposed"))?;
        let judged = self.judge(CallKind::Evaluate, &own).await?;
        self.enter(AgentPhase::Package).await?;
        let content = serde_json::to_value(&own.idea).map_err(|e| Error::internal("a solution is not JSON").because(e))?;
        let name = format!("output-{}", self.actor().id);
        if self.board().entry(Section::Progress, &name).await?.is_none() {
            let output = self.output(content).await?;
            self.post_once(Section::Progress, &name, &output).await?;
        }
        // Asked for again after a crash, it may judge otherwise: what was shown stays.
        if self.evidence().await?.is_none() {
            let shown = json!({"proposal": own.name, "own_score": judged.score});
            self.package(&[Exhibit::inline("verification", "self_review", shown.to_string())]).await?;
        }
        self.enter(AgentPhase::Report).await?;
        let report = json!({"role": self.role(), "proposal": own.name, "title": own.idea.title, "own_score": judged.score});
        self.post_once(Section::Progress, &format!("report-{}", self.actor().id), &report).await
    }

    /// Every solution on the blackboard, by name.
    pub async fn proposals(&self) -> Result<Vec<Proposed>> {
        let entries = self.board().entries(Section::Solutions).await?;
        let proposed = |entry: BoardEntry| {
            let idea = serde_json::from_value(entry.content).map_err(|e| {
                Error::invalid("not_a_solution", format!("`{}` on the blackboard is not a solution", entry.name)).because(e)
            })?;
            Ok(Proposed { name: entry.name, author: entry.author, idea })
        };
        entries.into_iter().map(proposed).collect()
    }

    /// This agent's judgement of a solution.
    pub async fn judge(&self, kind: CallKind, proposed: &Proposed) -> Result<Evaluation> {
        let asked = |call| async move { self.model().port().evaluate(&call, self.objective(), &proposed.idea).await };
        self.model().ask(kind, asked).await
    }

    /// Judges every solution, and puts the judgements on the blackboard as `{what}-{agent}`.
    pub async fn judge_all(&self, kind: CallKind, what: &str) -> Result<BTreeMap<EntryName, Evaluation>> {
        let mut judgements = BTreeMap::new();
        for proposed in self.proposals().await? {
            let judged = self.judge(kind, &proposed).await?;
            judgements.insert(proposed.name, judged);
        }
        self.post_once(Section::Progress, &format!("{what}-{}", self.actor().id), &judgements).await?;
        Ok(judgements)
    }

    /// Judges every solution again, and votes for the best; abstains when it can tell none apart.
    pub async fn vote_best(&self, proposal: &ProposalId) -> Result<Cast> {
        let judged = self.judge_all(CallKind::Vote, "verdict").await?;
        let best = judged.values().map(|judgement| judgement.score).max();
        let mut favourites = judged.iter().filter(|(_, judgement)| Some(judgement.score) == best);
        let choice = match (favourites.next(), favourites.next()) {
            (Some((name, _)), None) => Choice::One(name.to_string()),
            _ => Choice::Abstain,
        };
        self.vote(proposal, choice).await
    }

    /// Casts this agent's ballot.
    pub async fn vote(&self, proposal: &ProposalId, choice: Choice) -> Result<Cast> {
        let payload = json!({"proposal": proposal, "choice": choice});
        self.recorder
            .record(self.store(), Action::Vote, self.subject(), &payload, async |_| self.consensus().vote(proposal, choice).await)
            .await
    }
}
