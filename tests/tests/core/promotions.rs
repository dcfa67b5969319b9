//! A profile rises where its rules want people once enough of them have signed for it: not by a word in the store, not twice, and not once it has fallen.

use governance::Result;
use governance::agent::{ProfileStanding, Promotions};
use governance::guard::approval::{
    Approval, ApprovalState, ApprovalVerdict, Approvals, ApproverKey, Registration, RegistryChange, Statement,
};
use governance::guard::{Admissions, RevocationEngine, Role};
use governance::ledger::{Action, Filter};
use governance::store::{Commit, Store, Write, to_json};
use governance::vocabulary::{AgentId, AgentRole, ApproverName, PipelineId, ProfileHistory, PromotionStatus, RevocationType, System, Tier};
use governance_tests::world::{Backend, World};
use serde_json::{Value, json};

governance_tests::on_every_backend! {
    a_rise_that_takes_a_person_is_a_request_and_happens_once_it_is_approved
    denied_is_rejected_and_stays_denied_until_more_was_shown
    a_rise_to_the_highest_tier_takes_two_people_and_one_administrator
    a_fall_makes_the_request_void_whoever_approves_it
    nobody_decided_in_time_and_a_stop_lead_back_to_eligible
    what_somebody_writes_into_the_store_lifts_nobody
    of_many_that_carry_it_out_at_once_it_rises_once
    whoever_dies_while_carrying_it_out_the_use_and_the_rise_are_one
    no_agent_begins_another_above_where_its_profile_stands
}

fn deployer() -> AgentId {
    AgentId::new("deployer").unwrap()
}

fn key(name: &str) -> ApproverKey {
    ApproverKey::fresh(&ApproverName::new(name).unwrap(), &System)
}

/// What there is to show for a rise from this tier.
fn merits(tier: Tier) -> ProfileHistory {
    let rules = tier.rules().promotion.unwrap();
    ProfileHistory {
        compliant: rules.runs,
        consecutive: rules.consecutive,
        actions: rules.actions.iter().map(|action| ((*action).to_owned(), 1)).collect(),
        modifications: rules.modifications,
        ..ProfileHistory::default()
    }
}

struct Scene {
    world: World,
    store: Store,
    promotions: Promotions,
    ann: ApproverKey,
}

impl Scene {
    /// The deployer at a tier, with everything to show that the next one takes; ann may approve.
    async fn at(world: World, tier: Tier) -> Self {
        let store = world.store().await;
        let promotions = promotions(&world, &store).await;
        let ann = key("ann");
        let scene = Self { world, store, promotions, ann };
        scene.enroll(&scene.ann, &scene.ann, false).await.unwrap();
        scene.promotions.register(&deployer(), tier, None, "ann", "known for years").await.unwrap();
        scene.earn(tier).await;
        scene
    }

    async fn earn(&self, tier: Tier) {
        self.edit(|standing| standing.history = merits(tier)).await;
    }

    /// Writes the standing past the library, as whoever has the store's credential can.
    async fn edit(&self, change: impl FnOnce(&mut ProfileStanding)) {
        let cell = self.store.keys().profile_standing(&deployer());
        let (version, mut standing): (u64, ProfileStanding) = self.store.json(cell.clone()).await.unwrap().unwrap();
        change(&mut standing);
        self.store.apply(Commit::default().version(cell.clone(), version).put(cell, to_json(&standing).unwrap())).await.unwrap();
    }

    async fn queue(&self) -> Approvals {
        Approvals::open(&self.world.store().await, &self.world.ledger().await.1)
    }

    async fn enroll(&self, new: &ApproverKey, by: &ApproverKey, administrator: bool) -> Result<()> {
        let queue = self.queue().await;
        let said = queue.registration(RegistryChange::Add, new.name(), &new.public(), by.name())?;
        queue.enroll(&by.sign(Registration { administrator, ..said })).await
    }

    /// Asks; the request that the review is.
    async fn asked(&self) -> Approval {
        let standing = self.promotions.promote(&deployer(), None, "operator", "it does well").await.unwrap();
        assert_eq!(standing.status, PromotionStatus::PendingReview);
        self.promotions.review(&standing).await.unwrap().unwrap()
    }

    async fn say(&self, key: &ApproverKey, request: &Approval, verdict: ApprovalVerdict) -> Result<Approval> {
        let said = Statement::of(&request.request, verdict, key.name(), Some("seen".into()), request.request.asked_at);
        self.queue().await.submit(&key.sign(said)).await
    }

    /// How it stands for another process.
    async fn stands(&self) -> ProfileStanding {
        let other = self.world.store().await;
        promotions(&self.world, &other).await.standing(&deployer()).await.unwrap()
    }

    /// What the record says of rises and falls that took effect.
    async fn told(&self) -> Vec<Value> {
        let (ledger, _) = self.world.ledger().await;
        ledger.sequence(1).await.unwrap();
        let entries = ledger.list(&Filter { action: Some(Action::Promotion), ..Filter::default() }).await.unwrap().actions;
        let done = entries.iter().filter(|entry| entry.result == Some(governance::ledger::OutcomeResult::Ok));
        done.map(|entry| serde_json::from_str(entry.payload.as_deref().unwrap()).unwrap()).collect()
    }
}

async fn promotions(world: &World, store: &Store) -> Promotions {
    Promotions::open(store, &world.ledger().await.1)
}

fn a_rise_that_takes_a_person_is_a_request_and_happens_once_it_is_approved(on: Backend) {
    on.story(async |world| {
        let scene = Scene::at(world, Tier::T2).await;
        let request = scene.asked().await;
        assert_eq!((request.state, request.request.quorum.get(), request.request.administrator), (ApprovalState::Pending, 1, false));
        // What the person is shown: which step, and what speaks for it.
        let shown: Value = serde_json::from_str(request.arguments.as_deref().unwrap()).unwrap();
        assert_eq!((&shown["from_tier"], &shown["to_tier"]), (&json!("T2"), &json!("T3")));
        assert!(shown["requirements"].as_array().unwrap().contains(&json!({"name": "runs", "have": 25, "need": 25, "met": true})));
        assert!(request.request.reason.contains("operator") && request.request.reason.contains("it does well"));
        // Asked again, it is the same review; it acts at no more meanwhile.
        assert_eq!(scene.asked().await.request.id, request.request.id);
        assert_eq!(scene.promotions.admits(&deployer(), Some(Tier::T3)).await.unwrap_err().code(), "above_standing");
        assert_eq!(scene.stands().await.tier, Some(Tier::T2));
        // A system that asks is no agent: this process may still be a person's.
        assert_eq!(governance::guard::approval::governed_by(&scene.store).await.unwrap(), None);

        scene.say(&scene.ann, &request, ApprovalVerdict::Approve).await.unwrap();
        let risen = scene.stands().await;
        let change = risen.changes.last().unwrap();
        assert_eq!((risen.tier, risen.status, change.by.as_str()), (Some(Tier::T3), PromotionStatus::Approved, "ann"));
        assert_eq!((risen.review, risen.history.compliant), (None, 0), "everything is to be shown anew");
        assert_eq!(scene.promotions.admits(&deployer(), Some(Tier::T3)).await.unwrap(), Tier::T3);
        let used = scene.queue().await.approval(&request.request.id).await.unwrap();
        assert_eq!(used.state, ApprovalState::Used);
        // Asked for what it has already: nothing more happens.
        let same = scene.promotions.promote(&deployer(), Some(Tier::T3), "operator", "again").await.unwrap();
        assert_eq!((same.tier, same.changes.len()), (risen.tier, risen.changes.len()));
        let told = scene.told().await;
        // Two processes wrote it: which of their entries the record numbers first is open.
        let mut statuses: Vec<_> = told.iter().map(|told| told["status"].as_str().unwrap()).collect();
        statuses.sort_unstable();
        assert_eq!(statuses, ["approved", "not_eligible", "pending_review"]);
        let of_it = told.iter().filter(|told| told["approval"] == request.request.id.as_str()).count();
        assert_eq!(of_it, 2, "asked for, and approved: {told:?}");
    });
}

fn denied_is_rejected_and_stays_denied_until_more_was_shown(on: Backend) {
    on.story(async |world| {
        let scene = Scene::at(world, Tier::T2).await;
        let request = scene.asked().await;
        scene.say(&scene.ann, &request, ApprovalVerdict::Deny).await.unwrap();
        let rejected = scene.stands().await;
        let change = rejected.changes.last().unwrap();
        assert_eq!((rejected.tier, rejected.status, rejected.review.is_none()), (Some(Tier::T2), PromotionStatus::Rejected, true));
        assert_eq!((change.by.as_str(), change.reason.as_str()), ("ann", "seen"));
        let again = scene.promotions.promote(&deployer(), None, "operator", "please").await.unwrap_err();
        assert!(again.code() == "approval_denied" && again.to_string().contains("ann"), "{again}");
        scene.edit(|standing| standing.history.compliant += 1).await;
        let other = scene.asked().await;
        assert_ne!(other.request.id, request.request.id);
        scene.say(&scene.ann, &other, ApprovalVerdict::Approve).await.unwrap();
        assert_eq!(scene.stands().await.tier, Some(Tier::T3));
    });
}

fn a_rise_to_the_highest_tier_takes_two_people_and_one_administrator(on: Backend) {
    on.story(async |world| {
        let scene = Scene::at(world, Tier::T3).await;
        let (bob, eve) = (key("bob"), key("eve"));
        for plain in [&bob, &eve] {
            scene.enroll(plain, &scene.ann, false).await.unwrap();
        }
        let request = scene.asked().await;
        assert_eq!((request.request.quorum.get(), request.request.administrator), (2, true));
        for plain in [&bob, &eve] {
            let said = scene.say(plain, &request, ApprovalVerdict::Approve).await.unwrap();
            assert_eq!((said.state, said.lacks_an_administrator()), (ApprovalState::Pending, true));
        }
        assert_eq!(scene.stands().await.tier, Some(Tier::T3));
        scene.say(&scene.ann, &request, ApprovalVerdict::Approve).await.unwrap();
        let risen = scene.stands().await;
        assert_eq!((risen.tier, risen.changes.last().unwrap().by.as_str()), (Some(Tier::T4), "bob, eve, ann"));
        assert_eq!(scene.promotions.promote(&deployer(), None, "operator", "on").await.unwrap_err().code(), "highest_tier");
    });
}

fn a_fall_makes_the_request_void_whoever_approves_it(on: Backend) {
    on.story(async |world| {
        let scene = Scene::at(world, Tier::T2).await;
        let request = scene.asked().await;
        scene.promotions.demote(&deployer(), None, "ann", "left its sandbox").await.unwrap();
        let late = scene.say(&scene.ann, &request, ApprovalVerdict::Approve).await.unwrap_err();
        assert_eq!(late.code(), "approval_void");
        // Back where it was, with as much to show: what was asked then is not asked now.
        scene.edit(|standing| standing.tier = Some(Tier::T2)).await;
        scene.earn(Tier::T2).await;
        let fallen = scene.stands().await;
        assert_eq!((fallen.tier, fallen.review.is_none()), (Some(Tier::T2), true));
        assert_ne!(scene.asked().await.request.id, request.request.id);
    });
}

fn nobody_decided_in_time_and_a_stop_lead_back_to_eligible(on: Backend) {
    on.story(async |world| {
        let scene = Scene::at(world, Tier::T2).await;
        let request = scene.asked().await;
        // What the deadline does.
        let gone = Write::Delete(scene.store.keys().approval_arguments(&request.request.id).into());
        scene.store.apply(Commit::default().write(gone)).await.unwrap();
        let lapsed = scene.stands().await;
        assert_eq!((lapsed.tier, lapsed.status, lapsed.review.is_none()), (Some(Tier::T2), PromotionStatus::Eligible, true));
        assert!(lapsed.changes.last().unwrap().reason.contains("deadline"));
        let other = scene.asked().await;
        assert_ne!(other.request.id, request.request.id);
        let engine = RevocationEngine::open(&scene.store).recorded(&scene.world.ledger().await.1);
        engine.stop_all("a drill").await.unwrap();
        engine.lift().await.unwrap();
        let lapsed = scene.stands().await;
        assert_eq!((lapsed.status, lapsed.review.is_none()), (PromotionStatus::Eligible, true));
        assert_eq!(scene.say(&scene.ann, &other, ApprovalVerdict::Approve).await.unwrap_err().code(), "approval_void");
    });
}

fn what_somebody_writes_into_the_store_lifts_nobody(on: Backend) {
    on.story(async |world| {
        let scene = Scene::at(world, Tier::T2).await;
        let request = scene.asked().await;
        // A signature of nobody, and one of somebody for something else.
        let mallory = key("mallory");
        let said = |key: &ApproverKey| {
            key.sign(Statement::of(&request.request, ApprovalVerdict::Approve, key.name(), None, request.request.asked_at))
        };
        let forged = to_json(&[said(&mallory), said(&key("ann"))]).unwrap();
        let cell = scene.store.keys().approval_decisions(&request.request.id);
        scene.store.apply(Commit::default().put(cell, forged)).await.unwrap();
        assert_eq!(scene.stands().await.tier, Some(Tier::T2));
        // A review that is said to be another request, which people did approve: of another profile's rise.
        let planner = AgentId::new("planner").unwrap();
        scene.promotions.register(&planner, Tier::T2, None, "ann", "known").await.unwrap();
        let cell = scene.store.keys().profile_standing(&planner);
        let (version, mut standing): (u64, ProfileStanding) = scene.store.json(cell.clone()).await.unwrap().unwrap();
        standing.history = merits(Tier::T2);
        scene.store.apply(Commit::default().version(cell.clone(), version).put(cell, to_json(&standing).unwrap())).await.unwrap();
        let waits = scene.promotions.promote(&planner, None, "operator", "too").await.unwrap();
        let its = scene.promotions.review(&waits).await.unwrap().unwrap();
        scene.say(&scene.ann, &its, ApprovalVerdict::Approve).await.unwrap();
        scene.edit(|standing| standing.review.as_mut().unwrap().approval = its.request.id.clone()).await;
        let rejected = scene.stands().await;
        assert_eq!((rejected.tier, rejected.status), (Some(Tier::T2), PromotionStatus::Rejected));
        assert!(rejected.changes.last().unwrap().reason.contains("is not about the rise"), "{rejected:?}");
        assert_eq!(scene.promotions.standing(&planner).await.unwrap().tier, Some(Tier::T3), "its own is its own");
    });
}

fn of_many_that_carry_it_out_at_once_it_rises_once(on: Backend) {
    on.story(async |world| {
        let scene = Scene::at(world, Tier::T2).await;
        let request = scene.asked().await;
        scene.say(&scene.ann, &request, ApprovalVerdict::Approve).await.unwrap();
        let mut looks = Vec::new();
        for _ in 0..6 {
            let promotions = promotions(&scene.world, &scene.world.store().await).await;
            looks.push(tokio::spawn(async move { promotions.standing(&deployer()).await.unwrap().tier }));
        }
        for look in looks {
            assert_eq!(look.await.unwrap(), Some(Tier::T3));
        }
        let rises =
            scene.stands().await.changes.iter().filter(|change| change.to == Some(Tier::T3) && change.from == Some(Tier::T2)).count();
        // Asked for, and approved.
        assert_eq!((rises, scene.told().await.iter().filter(|told| told["status"] == "approved").count()), (2, 1));
    });
}

fn whoever_dies_while_carrying_it_out_the_use_and_the_rise_are_one(on: Backend) {
    on.story(async |world| {
        let scene = Scene::at(world, Tier::T2).await;
        let request = scene.asked().await;
        scene.say(&scene.ann, &request, ApprovalVerdict::Approve).await.unwrap();
        let (store, crash) = scene.world.mortal(1, false).await;
        let dying = promotions(&scene.world, &store).await;
        assert!(crash.during(dying.standing(&deployer())).await.is_none(), "its commit is the first");
        assert_eq!(scene.queue().await.approval(&request.request.id).await.unwrap().state, ApprovalState::Approved);
        let (store, crash) = scene.world.mortal(1, true).await;
        let dying = promotions(&scene.world, &store).await;
        assert!(crash.during(dying.standing(&deployer())).await.is_none());
        assert_eq!(scene.queue().await.approval(&request.request.id).await.unwrap().state, ApprovalState::Used);
        let risen = scene.stands().await;
        assert_eq!((risen.tier, risen.review.is_none()), (Some(Tier::T3), true));
    });
}

fn no_agent_begins_another_above_where_its_profile_stands(on: Backend) {
    on.story(async |world| {
        let scene = Scene::at(world, Tier::T1).await;
        let pipeline = PipelineId::new("pipe").unwrap();
        let above = scene.world.pipeline(&pipeline).await;
        let admissions = Admissions::new(&scene.store, &scene.world.ledger().await.1);
        let role = |tier| Role { role: AgentRole::Beta, tier };
        let boss = admissions.admit(&above, &pipeline, &AgentId::new("boss").unwrap(), role(Tier::T2)).await.unwrap();
        let child = |end: &str| AgentId::new(format!("deployer-{end}")).unwrap();
        admissions.admit(&boss.admission, &pipeline, &child("aaaaaa"), role(Tier::T1)).await.unwrap();
        let refused = admissions.admit(&boss.admission, &pipeline, &child("bbbbbb"), role(Tier::T2)).await.unwrap_err();
        assert!(refused.code() == "tier_too_high" && refused.to_string().contains("stands at T1"), "{refused}");
        let revocation = RevocationEngine::open(&scene.store).revocation_of(&boss.id).await.unwrap().unwrap();
        assert_eq!(revocation.kind, RevocationType::Policy, "who tried is revoked");
    });
}
