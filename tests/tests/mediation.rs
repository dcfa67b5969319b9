//! GAMMA at work: what it makes of what the others proposed and judged, and what it does when nobody proposed anything.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::sync::Arc;

use governance::Governance;
use governance::agent::{Desk, GOVERNOR, Instruction, Report, Said, Stage, Worker, built_in, live};
use governance::coordination::MailboxOptions;
use governance::guard::{Role, Unit};
use governance::ledger::{Action, EntryKind, Filter};
use governance::llm::{Idea, LocalModel};
use governance::store::Actor;
use governance::vocabulary::{AgentId, AgentPhase, AgentRole, GammaReason, PipelineId, Section, Tier};
use governance_tests::program::User;

/// A pipeline whose agents are told by the story what to do.
struct Room {
    user: User,
    governance: Governance,
    pipeline: PipelineId,
    governor: Actor,
}

impl Room {
    async fn open() -> Self {
        let user = User::default();
        let governance = Governance::open(user.config()).await.unwrap();
        let pipeline = PipelineId::new("pipeline-a").unwrap();
        let admission = governance.admissions().begin_pipeline(&pipeline, "Design a caching strategy").await.unwrap();
        let governor = Actor { id: AgentId::new(GOVERNOR).unwrap(), pipeline: Some(pipeline.clone()), admission };
        let board = governance.blackboard(&pipeline.task(), &governor);
        board.post(Section::Problem, "objective", &"Design a caching strategy").await.unwrap();
        Self { user, governance, pipeline, governor }
    }

    /// An agent of a role, named after it, at its desk and ready to work.
    async fn desk(&self, role: AgentRole) -> (Desk, Arc<dyn Worker>) {
        let id = AgentId::new(role.as_str()).unwrap();
        let admitted = Role { role, tier: Tier::T0 };
        let actor = self.governance.admissions().admit(&self.governor.admission, &self.pipeline, &id, admitted).await.unwrap();
        self.governance.budget(&actor).grant(&self.governor, Unit::Calls, 64).await.unwrap();
        let desk = Desk::new(self.governance.store(), actor, self.governance.recorder(), Arc::new(LocalModel)).await.unwrap();
        desk.enter(AgentPhase::Preflight).await.unwrap();
        (desk, built_in(role).unwrap())
    }

    /// ALPHA and BETA have proposed and judged; BETA's joint solution is on the board too.
    async fn judged(&self) {
        let both = [self.desk(AgentRole::Alpha).await, self.desk(AgentRole::Beta).await];
        for (desk, worker) in &both {
            worker.work(desk).await.unwrap();
        }
        for (desk, worker) in &both {
            worker.evaluate(desk).await.unwrap();
        }
    }

    async fn intents(&self, action: Action, said: &str) -> usize {
        self.governance.catch_up(std::time::Duration::from_secs(10)).await.unwrap();
        let filter = Filter { agent: Some(AgentId::new("gamma").unwrap()), action: Some(action), ..Filter::default() };
        let listed = self.governance.ledger().list(&filter).await.unwrap().actions;
        listed
            .iter()
            .filter(|entry| entry.kind == EntryKind::Intent && entry.payload.as_ref().is_some_and(|payload| payload.contains(said)))
            .count()
    }

    async fn phase(&self) -> AgentPhase {
        self.governance.admissions().agent(&AgentId::new("gamma").unwrap()).await.unwrap().unwrap().phase
    }

    async fn left(self) {
        self.governance.close().await.unwrap();
        self.user.verified();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gamma_settles_a_conflict_out_of_what_was_proposed_and_judged() {
    let room = Room::open().await;
    room.judged().await;
    let (desk, gamma) = room.desk(AgentRole::Gamma).await;
    let scored = desk.scored().await.unwrap();
    // `alpha`, `beta`, and what BETA made of both, which came after the judgements.
    assert_eq!(scored.iter().map(|proposal| proposal.scores.len()).collect::<Vec<_>>(), [2, 2, 0]);

    gamma.work(&desk).await.unwrap();
    assert_eq!(desk.proposals().await.unwrap().len(), 3, "it proposes nothing before it is asked");
    gamma.mediate(&desk, GammaReason::Conflict).await.unwrap();
    let settled: Idea = serde_json::from_value(desk.board().entry(Section::Solutions, "gamma").await.unwrap().unwrap().content).unwrap();
    let best = scored.iter().max_by_key(|proposal| proposal.mean()).unwrap();
    assert!(settled.title.starts_with("Settled: ") && settled.title.contains(&best.idea.title), "{settled:?}");
    let note = desk.board().entry(Section::Progress, "mediation-gamma").await.unwrap().unwrap().content;
    assert_eq!(note, serde_json::json!({"reason": "CONFLICT", "considered": ["alpha", "beta", "combined"]}));
    assert!(desk.board().entry(Section::Progress, "output-gamma").await.unwrap().is_some());
    assert_eq!(room.phase().await, AgentPhase::Report);

    gamma.evaluate(&desk).await.unwrap();
    let judged = desk.board().entry(Section::Progress, "evaluation-gamma").await.unwrap().unwrap().content;
    assert_eq!(judged.as_object().unwrap().len(), 4, "it judges all, its own too");
    room.left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mediation_that_is_asked_for_again_changes_nothing() {
    let room = Room::open().await;
    room.judged().await;
    let (desk, gamma) = room.desk(AgentRole::Gamma).await;
    gamma.mediate(&desk, GammaReason::Stuck).await.unwrap();
    let before = desk.board().entries(Section::Solutions).await.unwrap();
    gamma.mediate(&desk, GammaReason::Stuck).await.unwrap();
    assert_eq!(desk.board().entries(Section::Solutions).await.unwrap(), before);
    assert_eq!(room.intents(Action::ModelCall, "\"mediate\"").await, 1, "the model mediates once");
    assert_eq!(room.intents(Action::Proposal, "").await, 1, "it is on the record");
    room.left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_all_are_silent_gamma_proposes_by_itself() {
    let room = Room::open().await;
    let (desk, gamma) = room.desk(AgentRole::Gamma).await;
    gamma.mediate(&desk, GammaReason::Stuck).await.unwrap();
    let proposed = desk.proposals().await.unwrap();
    assert_eq!(proposed.iter().map(|proposal| proposal.name.as_str()).collect::<Vec<_>>(), ["gamma"]);
    let note = desk.board().entry(Section::Progress, "mediation-gamma").await.unwrap().unwrap().content;
    assert_eq!(note["considered"], serde_json::json!([]));
    room.left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_no_mediator_says_so() {
    let room = Room::open().await;
    let (desk, alpha) = room.desk(AgentRole::Alpha).await;
    let refused = alpha.mediate(&desk, GammaReason::Conflict).await.unwrap_err();
    assert_eq!(refused.code(), "not_a_mediator");
    assert!(refused.to_string().contains("alpha"), "{refused}");
    room.left().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn gamma_mediates_and_leaves_when_its_governor_says_so() {
    let room = Room::open().await;
    room.judged().await;
    let mut bus = room.governance.bus(&room.pipeline.task(), &room.governor);
    bus.join(MailboxOptions::default()).await.unwrap();
    let (desk, gamma) = room.desk(AgentRole::Gamma).await;
    let id = desk.actor().id.clone();
    let lives = tokio::spawn(async move { live(&desk, &*gamma).await });
    let told = async |stage: Stage| {
        let delivery = bus.receive().await.unwrap();
        bus.acknowledge(&delivery).await.unwrap();
        assert_eq!(serde_json::from_value::<Said>(delivery.message.body).unwrap(), Said::Report(Report::Done(stage)));
    };
    told(Stage::Ready).await;
    for (instruction, stage) in [(Instruction::Mediate(GammaReason::Complexity), Stage::Mediate), (Instruction::Leave, Stage::Leave)] {
        bus.send(&id, &Said::Instruction(instruction)).await.unwrap();
        told(stage).await;
    }
    lives.await.unwrap().unwrap();
    assert_eq!(room.phase().await, AgentPhase::Exit);
    room.left().await;
}
