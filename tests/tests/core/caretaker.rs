//! Silence needs somebody awake: what is due is done although nobody asks, by one caretaker at a time, and no more often than it helps.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use governance::coordination::{
    Ballots, CARETAKER_LEASE, Caretaker, CaretakerStatus, Charge, ChargeKind, Chore, DecisionRule, Housekeeping, Inboxes, Keeper, Lease,
    Look, MailboxOptions, Opening, ProposalState,
};
use governance::guard::care::{Acknowledgements, Budgets, Heartbeats, Locks, Sequencing};
use governance::guard::{Heartbeat, Spend, Unit};
use governance::ledger::{Action, Filter};
use governance::store::{Commit, Outcome, Store};
use governance::vocabulary::{AgentId, AgentStatus, Millis, PipelineId, RevocationType};
use governance::{Error, ErrorKind, Result, RevocationEngine};
use governance_tests::world::{Backend, STORE_URL, World, until, until_after};

use crate::budget::granted;
use crate::bus::joined;
use crate::consensus::{consensus, opening, proposal};

governance_tests::on_every_backend! {
    a_vote_whose_time_is_up_is_closed_although_nobody_waits_for_it
    what_a_crashed_holder_did_not_start_comes_back_by_itself
    an_agent_whose_heart_stops_is_revoked_and_one_whose_heart_beats_is_not
    an_agent_that_stopped_in_order_or_whose_run_has_ended_is_left_alone
    an_agent_whose_run_waits_for_its_user_owes_no_sign_of_life_until_it_goes_on
    an_agent_whose_execution_lock_lapses_is_revoked
    a_message_whose_last_delivery_lapsed_is_given_up_although_nobody_asks
    what_waits_for_a_revoked_agent_is_given_up
    a_revocation_whose_maker_died_before_the_ledger_knew_is_acknowledged
    what_was_begun_before_anybody_kept_house_is_caught_up_with
    of_many_handles_one_keeps_house_and_the_next_takes_over_at_once
    who_lost_the_lease_writes_nothing_more
    a_stop_of_everything_does_not_stop_the_caretaker
    a_failing_chore_is_tried_less_and_less_often_and_holds_nothing_up
    a_chore_that_panics_is_looked_after_again
    what_is_written_is_in_the_record_within_a_few_milliseconds
    what_is_overdue_is_shown
}

/// A beat counts for three times as long: on a busy machine what is done meanwhile takes a while.
const BEAT: Duration = Duration::from_millis(500);

/// A handle that keeps house with every chore there is.
struct House {
    store: Store,
    name: String,
    caretaker: Caretaker,
}

async fn chores(world: &World, store: &Store) -> Vec<Arc<dyn Chore>> {
    let (ledger, recorder) = world.ledger().await;
    vec![
        Arc::new(Sequencing::new(store, &ledger)),
        Arc::new(Acknowledgements::new(store, &recorder)),
        Arc::new(Heartbeats::new(store, &recorder)),
        Arc::new(Locks::new(store, &recorder)),
        Arc::new(Budgets::new(store, &recorder)),
        Arc::new(Inboxes::new(store)),
        Arc::new(Ballots::new(store)),
    ]
}

impl House {
    async fn kept(world: &World, name: &str) -> Self {
        Self::kept_with(world, name, Vec::new()).await
    }

    async fn kept_with(world: &World, name: &str, more: Vec<Arc<dyn Chore>>) -> Self {
        let store = world.store().await;
        let chores = chores(world, &store).await.into_iter().chain(more).collect();
        Self { caretaker: Caretaker::start(&store, name, chores, None), name: name.to_owned(), store }
    }

    async fn close(self) {
        self.caretaker.stop(&self.store, &self.name).await;
    }
}

async fn keeper(store: &Store) -> Option<String> {
    store.cell(store.keys().caretaker()).await.unwrap().map(|held| String::from_utf8(held.value.to_vec()).unwrap())
}

async fn charges(store: &Store) -> Vec<String> {
    let charges = store.table(store.keys().caretaker_charges()).await.unwrap().into_iter().map(|(charge, _)| charge);
    // What an agent did is counted by a room above: tests/lifecycle.
    charges.filter(|charge| !charge.starts_with("conduct/")).collect()
}

async fn status(store: &Store, agent: &AgentId) -> AgentStatus {
    store.state(store.keys().agent_state(agent)).await.unwrap().unwrap().field("status").parse().unwrap()
}

fn pipe() -> PipelineId {
    PipelineId::new("pipe").unwrap()
}

fn a_vote_whose_time_is_up_is_closed_although_nobody_waits_for_it(on: Backend) {
    on.story(async |world| {
        let house = House::kept(&world, "keeper").await;
        let (store, actor) = world.actor("alpha").await;
        let votes = consensus(&store, &actor);
        let within = Duration::from_millis(150);
        let given = Opening { within, ..opening(DecisionRule::Majority, &["a", "b"]) };
        let deadline = votes.propose(&proposal(), given).await.unwrap().deadline;
        let closed = async || matches!(votes.proposal(&proposal()).await.unwrap().unwrap().state, ProposalState::Closed(_));
        until("it is closed", closed).await;
        let late = store.now().await.unwrap().since(deadline);
        assert!(late < Duration::from_secs(2), "closed {late:?} after its deadline");
        until("nothing is left to look after", async || charges(&store).await.is_empty()).await;
        house.close().await;
    });
}

fn what_a_crashed_holder_did_not_start_comes_back_by_itself(on: Backend) {
    on.story(async |world| {
        let house = House::kept(&world, "keeper").await;
        let (budget, _) = granted(&world, "alpha", 20).await;
        let allowance = budget.clone().recorded(&world.ledger().await.1).allowance(Unit::Calls, 10, Duration::from_millis(1_500));
        for _ in 0..3 {
            assert!(matches!(allowance.draw(1).await.unwrap(), Spend::Admitted { .. }));
        }
        assert_eq!(budget.remaining(Unit::Calls).await.unwrap(), 10, "all of the share is taken");
        drop(allowance);
        until("the rest came back", async || budget.remaining(Unit::Calls).await.unwrap() == 17).await;
        house.close().await;
    });
}

fn an_agent_whose_heart_stops_is_revoked_and_one_whose_heart_beats_is_not(on: Backend) {
    on.story(async |world| {
        let house = House::kept(&world, "keeper").await;
        let admission = world.pipeline(&pipe()).await;
        let interval = Duration::from_millis(500);
        let (store, dying) = world.agent(&admission, &pipe(), "dying").await;
        let (other, living) = world.agent(&admission, &pipe(), "living").await;
        let heart = Heartbeat::start(&store, &dying, interval).await.unwrap();
        let beating = Heartbeat::start(&other, &living, interval).await.unwrap();
        until_after(&store, store.now().await.unwrap().after(interval * 5)).await;
        assert_eq!(status(&store, &dying.id).await, AgentStatus::Pending, "as long as it beats it lives");
        // Its process dies.
        drop(heart);
        until("it is revoked", async || status(&store, &dying.id).await == AgentStatus::Revoked).await;
        let revocation = RevocationEngine::open(&store).revocation_of(&dying.id).await.unwrap().unwrap();
        assert_eq!(revocation.kind, RevocationType::Heartbeat);
        assert_eq!(status(&store, &living.id).await, AgentStatus::Pending);
        beating.stop().await.unwrap();
        let (ledger, _) = world.ledger().await;
        let broken = Filter { action: Some(Action::Violation), ..Filter::default() };
        until("the violation is in the record", async || !ledger.list(&broken).await.unwrap().actions.is_empty()).await;
        let told = ledger.list(&broken).await.unwrap().actions;
        assert!(
            told.len() == 1
                && told[0].payload.as_ref().is_some_and(|payload| payload.contains("heartbeat_lost"))
                && told[0].agent_id.as_ref() == Some(&dying.id),
            "{told:?}"
        );
        until("nothing is left to look after", async || charges(&store).await.is_empty()).await;
        house.close().await;
    });
}

fn an_agent_whose_run_waits_for_its_user_owes_no_sign_of_life_until_it_goes_on(on: Backend) {
    on.story(async |world| {
        let house = House::kept(&world, "keeper").await;
        let admission = world.pipeline(&pipe()).await;
        let interval = BEAT;
        let (store, resting) = world.agent(&admission, &pipe(), "resting").await;
        let waits = async |since: &str| {
            let run = store.keys().pipeline(&pipe());
            store.apply(Commit::by(&admission).merge(run, [("waits_since", since)])).await.unwrap();
        };
        let heart = Heartbeat::start(&store, &resting, interval).await.unwrap();
        waits("1").await;
        // The program that drove the run has ended with it.
        drop(heart);
        until("nothing is left to look after", async || charges(&store).await.is_empty()).await;
        assert_eq!(status(&store, &resting.id).await, AgentStatus::Pending);
        waits("").await;
        drop(Heartbeat::start(&store, &resting, interval).await.unwrap());
        until("it is missed", async || status(&store, &resting.id).await == AgentStatus::Revoked).await;
        house.close().await;
    });
}

fn an_agent_that_stopped_in_order_or_whose_run_has_ended_is_left_alone(on: Backend) {
    on.story(async |world| {
        let house = House::kept(&world, "keeper").await;
        let admission = world.pipeline(&pipe()).await;
        let interval = BEAT;
        let (store, leaving) = world.agent(&admission, &pipe(), "leaving").await;
        Heartbeat::start(&store, &leaving, interval).await.unwrap().stop().await.unwrap();
        let (other, ended) = world.agent(&admission, &pipe(), "ended").await;
        drop(Heartbeat::start(&other, &ended, interval).await.unwrap());
        RevocationEngine::open(&store).stop_pipeline(&pipe(), "enough").await.unwrap();
        until("nothing is left to look after", async || charges(&store).await.is_empty()).await;
        assert_eq!(status(&store, &leaving.id).await, AgentStatus::Pending);
        assert_eq!(status(&store, &ended.id).await, AgentStatus::Pending);
        house.close().await;
    });
}

fn an_agent_whose_execution_lock_lapses_is_revoked(on: Backend) {
    on.story(async |world| {
        let house = House::kept(&world, "keeper").await;
        let admission = world.pipeline(&pipe()).await;
        let (store, agent) = world.agent(&admission, &pipe(), "alpha").await;
        let (keys, ttl) = (store.keys(), Duration::from_millis(1_200));
        let claim =
            || Lease::claim_watched(&store, keys.agent_lock(&agent.id), keys.agent_fence(&agent.id), &agent, ttl, Charge::lock(&agent.id));
        let released = claim().await.unwrap().unwrap();
        assert!(released.release().await.unwrap());
        assert!(charges(&store).await.is_empty(), "given back in order");
        let mut lock = claim().await.unwrap().unwrap();
        let begun = store.now().await.unwrap();
        while store.now().await.unwrap() < begun.after(ttl * 2) {
            assert!(lock.renew().await.unwrap());
            tokio::time::sleep(ttl / 8).await;
        }
        assert_eq!(status(&store, &agent.id).await, AgentStatus::Pending);
        until("it is revoked", async || status(&store, &agent.id).await == AgentStatus::Revoked).await;
        let revocation = RevocationEngine::open(&store).revocation_of(&agent.id).await.unwrap().unwrap();
        assert_eq!(revocation.kind, RevocationType::Lock);
        house.close().await;
    });
}

fn a_message_whose_last_delivery_lapsed_is_given_up_although_nobody_asks(on: Backend) {
    on.story(async |world| {
        let house = House::kept(&world, "keeper").await;
        let options = MailboxOptions { redeliver_after: Duration::from_millis(100), max_deliveries: 1, ..MailboxOptions::default() };
        let beta = joined(&world, "beta", options).await;
        let alpha = joined(&world, "alpha", MailboxOptions::default()).await;
        for body in ["first", "second"] {
            alpha.send(&AgentId::new("beta").unwrap(), &body).await.unwrap();
        }
        assert_eq!(beta.take().await.unwrap().unwrap().message.body, "first");
        // Beta dies here.
        until("it is in the dead letters", async || !alpha.dead_letters().await.unwrap().is_empty()).await;
        let dead = alpha.dead_letters().await.unwrap();
        assert_eq!(dead.iter().map(|letter| letter.message.body.clone()).collect::<Vec<_>>(), ["first"]);
        assert_eq!(beta.take().await.unwrap().unwrap().message.body, "second", "the next is delivered");
        house.close().await;
    });
}

fn what_waits_for_a_revoked_agent_is_given_up(on: Backend) {
    on.story(async |world| {
        let house = House::kept(&world, "keeper").await;
        let admission = world.pipeline(&pipe()).await;
        let (store, agent) = world.agent(&admission, &pipe(), "beta").await;
        let mut beta = crate::bus::bus(&store, &agent);
        beta.join(MailboxOptions::default()).await.unwrap();
        let alpha = joined(&world, "alpha", MailboxOptions::default()).await;
        alpha.send(&agent.id, &"hello").await.unwrap();
        RevocationEngine::open(&store).revoke(&agent.id, RevocationType::Manual, "enough").await.unwrap();
        until("it is in the dead letters", async || !alpha.dead_letters().await.unwrap().is_empty()).await;
        until("it is off the bus", async || alpha.members().await.unwrap().len() == 1).await;
        house.close().await;
    });
}

fn a_revocation_whose_maker_died_before_the_ledger_knew_is_acknowledged(on: Backend) {
    on.story(async |world| {
        let house = House::kept(&world, "keeper").await;
        let (ledger, recorder) = world.ledger().await;
        let (store, crash) = world.mortal(1, true).await;
        let engine = RevocationEngine::open(&store).recorded(&recorder);
        assert!(crash.during(engine.stop_all("a drill")).await.is_none(), "it died after the store had it");
        let held = world.store().await;
        let held = held.number(held.keys().generation()).await.unwrap();
        let witness = ledger.witness(STORE_URL);
        assert!(witness.generation().await.unwrap() < held);
        until("the ledger knows", async || witness.generation().await.unwrap() == held).await;
        house.close().await;
    });
}

fn what_was_begun_before_anybody_kept_house_is_caught_up_with(on: Backend) {
    on.story(async |world| {
        let (store, actor) = world.actor("alpha").await;
        let votes = consensus(&store, &actor);
        let within = Duration::from_millis(1);
        let given = Opening { within, ..opening(DecisionRule::Majority, &["a", "b"]) };
        let deadline = votes.propose(&proposal(), given).await.unwrap().deadline;
        until_after(&store, deadline).await;
        let (ledger, _) = world.ledger().await;
        let segment = ledger.segment().unwrap();
        let _ = segment.intent(Action::ToolCall, None, None, "{}").unwrap();
        let house = House::kept(&world, "keeper").await;
        until("it is closed", async || votes.settled(&proposal()).await.unwrap().is_some()).await;
        until("it is in the record", async || !ledger.list(&Filter::default()).await.unwrap().actions.is_empty()).await;
        house.close().await;
    });
}

fn of_many_handles_one_keeps_house_and_the_next_takes_over_at_once(on: Backend) {
    on.story(async |world| {
        let (first, second) = (House::kept(&world, "first").await, House::kept(&world, "second").await);
        let store = world.store().await;
        until("somebody keeps house", async || keeper(&store).await.is_some()).await;
        let name = keeper(&store).await.unwrap();
        let until_lapsed = store.now().await.unwrap().after(CARETAKER_LEASE + Duration::from_millis(500));
        while store.now().await.unwrap() < until_lapsed {
            assert_eq!(keeper(&store).await.as_deref(), Some(name.as_str()), "while it lives, nobody else");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (gone, next) = if name == "first" { (first, second) } else { (second, first) };
        let began = Instant::now();
        gone.close().await;
        until("the next one keeps house", async || keeper(&store).await.is_some_and(|other| other == next.name)).await;
        assert!(began.elapsed() < CARETAKER_LEASE, "took over only after {:?}", began.elapsed());
        next.close().await;
        assert_eq!((keeper(&store).await, CaretakerStatus::of(&store).await.unwrap()), (None, None), "left in order");
    });
}

fn who_lost_the_lease_writes_nothing_more(on: Backend) {
    on.story(async |world| {
        let seen = Arc::new(std::sync::Mutex::new(None));
        let house = House::kept_with(&world, "first", vec![Arc::new(Remember { seen: seen.clone() })]).await;
        let (store, actor) = world.actor("somebody").await;
        store.apply(actor.commit().write(Charge::pipeline(&pipe()).begin(store.keys(), None))).await.unwrap();
        until("it acted", async || seen.lock().unwrap().is_some()).await;
        let keeper: Keeper = seen.lock().unwrap().clone().unwrap();
        let board = |keeper: &Keeper| keeper.actor.commit().put(store.keys().stop(), "{}");
        assert!(matches!(store.commit(board(&keeper)).await.unwrap(), Outcome::Accepted(_)));
        house.close().await;
        let next = House::kept(&world, "second").await;
        until("another keeps house", async || self::keeper(&store).await.is_some_and(|name| name == "second")).await;
        let refused = store.commit(board(&keeper)).await.unwrap();
        assert!(matches!(refused, Outcome::Refused(_)), "{refused:?}");
        next.close().await;
    });
}

/// Remembers who acted.
struct Remember {
    seen: Arc<std::sync::Mutex<Option<Keeper>>>,
}

#[async_trait]
impl Chore for Remember {
    fn kind(&self) -> ChargeKind {
        ChargeKind::Pipeline
    }

    async fn look(&self, _charge: &Charge, now: Millis) -> Result<Look> {
        Ok(if self.seen.lock().unwrap().is_some() { Look::Done } else { Look::Due(Some(now)) })
    }

    async fn act(&self, _charge: &Charge, keeper: &Keeper) -> Result<()> {
        *self.seen.lock().unwrap() = Some(keeper.clone());
        Ok(())
    }
}

fn a_stop_of_everything_does_not_stop_the_caretaker(on: Backend) {
    on.story(async |world| {
        let house = House::kept(&world, "keeper").await;
        let (store, _) = world.actor("governor").await;
        until("it keeps house", async || keeper(&store).await.is_some()).await;
        let engine = RevocationEngine::open(&store);
        engine.stop_all("a drill").await.unwrap();
        // What was begun after the stop, by a person.
        let (other, person) = world.actor("person").await;
        let votes = consensus(&other, &person);
        let within = Duration::from_millis(50);
        let given = Opening { within, ..opening(DecisionRule::Majority, &["a"]) };
        votes.propose(&proposal(), given).await.unwrap();
        let began = Instant::now();
        until("it is closed", async || votes.settled(&proposal()).await.unwrap().is_some()).await;
        assert!(began.elapsed() < CARETAKER_LEASE, "it went on only after {:?}", began.elapsed());
        house.close().await;
    });
}

/// Fails each time, as on a full disk.
struct Fails {
    tried: Arc<AtomicU64>,
}

#[async_trait]
impl Chore for Fails {
    fn kind(&self) -> ChargeKind {
        ChargeKind::Pipeline
    }

    async fn look(&self, _charge: &Charge, now: Millis) -> Result<Look> {
        Ok(Look::Due(Some(now)))
    }

    async fn act(&self, _charge: &Charge, _keeper: &Keeper) -> Result<()> {
        self.tried.fetch_add(1, Ordering::SeqCst);
        Err(Error::new(ErrorKind::Exhausted, "disk_full", "the disk is full"))
    }
}

fn a_failing_chore_is_tried_less_and_less_often_and_holds_nothing_up(on: Backend) {
    on.story(async |world| {
        let tried = Arc::new(AtomicU64::new(0));
        let house = House::kept_with(&world, "keeper", vec![Arc::new(Fails { tried: tried.clone() })]).await;
        let (store, actor) = world.actor("somebody").await;
        store.apply(actor.commit().write(Charge::pipeline(&pipe()).begin(store.keys(), None))).await.unwrap();
        let began = store.now().await.unwrap();
        let votes = consensus(&store, &actor);
        let within = Duration::from_millis(300);
        let given = Opening { within, ..opening(DecisionRule::Majority, &["a"]) };
        votes.propose(&proposal(), given).await.unwrap();
        until("the vote is closed", async || votes.settled(&proposal()).await.unwrap().is_some()).await;
        until_after(&store, began.after(Duration::from_secs(3))).await;
        let times = tried.load(Ordering::SeqCst);
        // At once, and after 0.1, 0.3, 0.7, 1.5 and 3.1 s.
        assert!((2..=6).contains(&times), "tried {times} times in 3 s");
        let shown = async || CaretakerStatus::of(&store).await.unwrap().is_some_and(|status| !status.overdue.is_empty());
        until("it is shown as overdue", shown).await;
        let status = CaretakerStatus::of(&store).await.unwrap().unwrap();
        assert_eq!(
            (status.overdue[0].what.as_str(), status.overdue[0].why.as_deref()),
            ("pipeline/pipe", Some("the disk is full (disk_full)"))
        );
        house.close().await;
    });
}

/// Panics the first time.
struct Panics {
    tried: Arc<AtomicU64>,
}

#[async_trait]
impl Chore for Panics {
    fn kind(&self) -> ChargeKind {
        ChargeKind::Pipeline
    }

    async fn look(&self, _charge: &Charge, now: Millis) -> Result<Look> {
        Ok(Look::Due(Some(now).filter(|_| self.tried.load(Ordering::SeqCst) < 2)))
    }

    async fn act(&self, _charge: &Charge, _keeper: &Keeper) -> Result<()> {
        assert!(self.tried.fetch_add(1, Ordering::SeqCst) > 0, "a drill");
        Ok(())
    }
}

fn a_chore_that_panics_is_looked_after_again(on: Backend) {
    on.story(async |world| {
        let tried = Arc::new(AtomicU64::new(0));
        let house = House::kept_with(&world, "keeper", vec![Arc::new(Panics { tried: tried.clone() })]).await;
        let (store, actor) = world.actor("somebody").await;
        store.apply(actor.commit().write(Charge::pipeline(&pipe()).begin(store.keys(), None))).await.unwrap();
        until("it is tried again", async || tried.load(Ordering::SeqCst) == 2).await;
        house.close().await;
    });
}

/// Of one who looks at the record each millisecond. A moment in which the whole machine is busy with something else is none for whoever writes either.
const FEW_LOOKS: u64 = 40;

fn what_is_written_is_in_the_record_within_a_few_milliseconds(on: Backend) {
    on.story(async |world| {
        let house = House::kept(&world, "keeper").await;
        let (ledger, _) = world.ledger().await;
        let segment = ledger.segment().unwrap();
        let recorded = async |number: u64| {
            let newest = Filter { newest_first: true, limit: 1, action: Some(Action::ToolCall), ..Filter::default() };
            ledger.list(&newest).await.unwrap().actions.first().is_some_and(|action| action.number >= number)
        };
        let mut waits = Vec::new();
        // Half of a dozen in a row: the machine may be busy with something else now and then, or for a while.
        let quick = |waits: &[u64]| waits.iter().rev().take(12).filter(|looks| **looks < FEW_LOOKS).count() > 6;
        while waits.len() < 12 || !quick(&waits) {
            assert!(waits.len() < 120, "{waits:?}");
            // Long enough that nothing is going on any more.
            tokio::time::sleep(Duration::from_millis(120)).await;
            let looks = AtomicU64::new(0);
            let number = {
                let _ = segment.intent(Action::ToolCall, None, None, "{}").unwrap();
                segment.entries()
            };
            until("it is in the record", async || {
                looks.fetch_add(1, Ordering::SeqCst);
                recorded(number).await
            })
            .await;
            waits.push(looks.into_inner());
        }
        house.close().await;
    });
}

fn what_is_overdue_is_shown(on: Backend) {
    on.story(async |world| {
        let (store, actor) = world.actor("alpha").await;
        let votes = consensus(&store, &actor);
        let within = Duration::from_millis(1);
        let given = Opening { within, ..opening(DecisionRule::Majority, &["a"]) };
        let deadline = votes.propose(&proposal(), given).await.unwrap().deadline;
        until_after(&store, deadline).await;
        let seen = Housekeeping::review(&store, chores(&world, &store).await).await.unwrap();
        assert!(!seen.awake && seen.caretaker.is_none() && seen.charges == 1);
        assert_eq!((seen.overdue[0].what.as_str(), seen.overdue[0].since), ("ballot/t/p", Some(deadline)));
        assert_eq!(votes.settled(&proposal()).await.unwrap(), None, "a look changes nothing");
        let house = House::kept(&world, "keeper").await;
        until("it is closed", async || votes.settled(&proposal()).await.unwrap().is_some()).await;
        until("it is awake", async || {
            let seen = Housekeeping::review(&store, chores(&world, &store).await).await.unwrap();
            seen.awake && seen.overdue.is_empty() && seen.caretaker.is_some_and(|status| status.name == "keeper")
        })
        .await;
        house.close().await;
    });
}
