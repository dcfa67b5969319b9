//! The bus, held against a model of queues.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use governance::coordination::{Cursor, Delivery, Follower, MailboxOptions, MessageBus, Overflow, Sent, Step};
use governance::store::{Actor, Store, from_json};
use governance::vocabulary::{AgentId, TaskId, Token};
use governance::{ErrorKind, coordination::BusMessage};
use governance_tests::world::{Backend, World};
use proptest::prelude::*;
use proptest::sample::select;

governance_tests::on_every_backend! {
    it_does_what_the_model_does
    a_message_sent_again_under_its_id_arrives_once
    a_message_that_is_not_acknowledged_in_time_comes_again_and_then_the_late_acknowledgement_is_refused
    a_request_is_answered_by_whom_it_was_sent_to
    a_listener_hears_signals_and_messages
    an_inbox_that_could_hold_nothing_is_refused
    what_is_too_large_is_refused_and_changes_nothing
    a_delivery_of_another_inbox_is_not_acknowledged
}

const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

pub fn id(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub fn bus(store: &Store, actor: &Actor) -> MessageBus {
    MessageBus::open(store, &TaskId::new("t").unwrap(), actor)
}

pub async fn joined(world: &World, name: &str, options: MailboxOptions) -> MessageBus {
    let (store, actor) = world.actor(name).await;
    let mut bus = bus(&store, &actor);
    bus.join(options).await.unwrap();
    bus
}

/// Every message that was sent, by the bus's own record.
pub async fn record(bus: &MessageBus) -> Vec<BusMessage> {
    let mut record: Follower = bus.record(Cursor::default());
    let mut messages = Vec::new();
    while let Some(step) = record.step().await.unwrap() {
        let Step::Entries(entries) = step else { panic!("a gap in the record") };
        messages.extend(entries.iter().map(|entry| from_json::<BusMessage>("bus", &entry.value).unwrap()));
    }
    messages
}

#[derive(Debug, Clone)]
enum Op {
    Send(usize, usize),
    Broadcast(usize),
    Take(usize),
    /// Acknowledges the newest delivery, or one that many deliveries ago.
    Acknowledge(usize, usize),
    Leave(usize),
    Join(usize),
}

#[derive(Debug, Clone, Copy)]
struct Rules {
    capacity: u64,
    overflow: Overflow,
    /// At once, or never while the test runs.
    redeliver: bool,
    deliveries: u32,
}

impl Rules {
    fn options(self) -> MailboxOptions {
        let redeliver_after = if self.redeliver { Duration::ZERO } else { Duration::from_secs(3600) };
        MailboxOptions { capacity: self.capacity, overflow: self.overflow, redeliver_after, max_deliveries: self.deliveries }
    }
}

fn rules() -> impl Strategy<Value = Rules> {
    (1..4_u64, select(vec![Overflow::Refuse, Overflow::DropOldest]), any::<bool>(), 1..4_u32)
        .prop_map(|(capacity, overflow, redeliver, deliveries)| Rules { capacity, overflow, redeliver, deliveries })
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let who = 0..NAMES.len();
    let op = prop_oneof![
        5 => (who.clone(), who.clone()).prop_map(|(from, to)| Op::Send(from, to)),
        2 => who.clone().prop_map(Op::Broadcast),
        5 => who.clone().prop_map(Op::Take),
        4 => (who.clone(), select(vec![0, 0, 0, 1])).prop_map(|(who, back)| Op::Acknowledge(who, back)),
        1 => who.clone().prop_map(Op::Leave),
        2 => who.prop_map(Op::Join),
    ];
    prop::collection::vec(op, 1..60)
}

/// One inbox of the model.
#[derive(Default)]
struct Inbox {
    here: bool,
    waiting: VecDeque<Token>,
    /// How often the oldest was delivered, and the number of its newest delivery.
    claim: Option<(u32, usize)>,
}

struct Model {
    rules: [Rules; 3],
    inboxes: [Inbox; 3],
    dead: Vec<(Token, usize)>,
    sent: Vec<Token>,
}

impl Model {
    fn bury(&mut self, who: usize) {
        let inbox = &mut self.inboxes[who];
        inbox.claim = None;
        self.dead.extend(inbox.waiting.pop_front().map(|message| (message, who)));
    }

    fn is_full(&self, who: usize) -> bool {
        self.inboxes[who].waiting.len() as u64 >= self.rules[who].capacity
    }

    /// Whose full inbox refuses a message to these.
    fn refuses(&self, to: &[usize]) -> Option<usize> {
        to.iter().copied().find(|to| self.is_full(*to) && self.rules[*to].overflow == Overflow::Refuse)
    }

    fn deliver(&mut self, to: &[usize], message: Token) {
        for to in to {
            if self.is_full(*to) {
                self.bury(*to);
            }
            self.inboxes[*to].waiting.push_back(message.clone());
        }
        self.sent.push(message);
    }

    /// The message that comes next, and for the how-manieth time.
    fn take(&mut self, who: usize, number: usize) -> Option<(Token, u32)> {
        loop {
            let message = self.inboxes[who].waiting.front()?.clone();
            let attempt = match self.inboxes[who].claim {
                Some(_) if !self.rules[who].redeliver => return None,
                Some((attempt, _)) => attempt + 1,
                None => 1,
            };
            if attempt <= self.rules[who].deliveries {
                self.inboxes[who].claim = Some((attempt, number));
                return Some((message, attempt));
            }
            self.bury(who);
        }
    }

    /// Whether the acknowledgement of a delivery counts.
    fn acknowledge(&mut self, who: usize, number: usize) -> bool {
        let counts = self.inboxes[who].claim.is_some_and(|(_, newest)| newest == number);
        if counts {
            self.inboxes[who].claim = None;
            self.inboxes[who].waiting.pop_front();
        }
        counts
    }
}

fn it_does_what_the_model_does(on: Backend) {
    on.property(([rules(), rules(), rules()], ops()), async |world, (rules, ops)| {
        let mut buses = Vec::new();
        for name in NAMES {
            let (store, actor) = world.actor(name).await;
            buses.push(bus(&store, &actor));
        }
        let mut model = Model { rules, inboxes: Default::default(), dead: Vec::new(), sent: Vec::new() };
        let mut deliveries: [Vec<Delivery>; 3] = Default::default();
        for op in [Op::Join(0), Op::Join(1)].into_iter().chain(ops) {
            act(&mut model, &mut buses, &mut deliveries, op).await;
        }
        let sent: Vec<_> = record(&buses[0]).await.into_iter().map(|message| message.id).collect();
        assert_eq!(sent, model.sent, "the record is not what was sent, in order and once");
        let dead: Vec<_> = buses[0].dead_letters().await.unwrap().into_iter().map(|l| (l.position, l.message.id, l.inbox)).collect();
        let expected: Vec<_> = (1..).zip(&model.dead).map(|(at, (message, who))| (at, message.clone(), id(NAMES[*who]))).collect();
        assert_eq!(dead, expected, "other dead letters");
    });
}

async fn act(model: &mut Model, buses: &mut [MessageBus], deliveries: &mut [Vec<Delivery>; 3], op: Op) {
    match op {
        Op::Send(from, to) => {
            let sent = buses[from].send(&id(NAMES[to]), &"hello").await;
            if !model.inboxes[to].here {
                assert_eq!(sent.unwrap_err().kind(), ErrorKind::NotFound);
            } else if model.refuses(&[to]).is_some() {
                assert_eq!(sent.unwrap(), Sent::Full { inbox: id(NAMES[to]) });
            } else {
                model.deliver(&[to], sent.unwrap().id().expect("there was room"));
            }
        }
        Op::Broadcast(from) => {
            let to: Vec<_> = (0..NAMES.len()).filter(|to| *to != from && model.inboxes[*to].here).collect();
            let sent = buses[from].broadcast(&"all").await.unwrap();
            match model.refuses(&to) {
                Some(full) => assert_eq!(sent, Sent::Full { inbox: id(NAMES[full]) }, "to all, or to none"),
                None => model.deliver(&to, sent.id().expect("there was room")),
            }
        }
        Op::Take(who) if model.inboxes[who].here => {
            let taken = buses[who].take().await.unwrap();
            let told = taken.as_ref().map(|delivery| (delivery.message.id.clone(), delivery.attempt));
            assert_eq!(told, model.take(who, deliveries[who].len()), "another delivery to {}", NAMES[who]);
            deliveries[who].extend(taken);
        }
        Op::Acknowledge(who, back) => {
            let Some(number) = deliveries[who].len().checked_sub(back + 1) else { return };
            let acknowledged = buses[who].acknowledge(&deliveries[who][number]).await;
            let kind = acknowledged.as_ref().err().map(governance::Error::kind);
            assert_eq!(kind, (!model.acknowledge(who, number)).then_some(ErrorKind::Conflict));
        }
        Op::Leave(who) => {
            let waiting = model.inboxes[who].waiting.len();
            let left = buses[who].clone().leave().await.unwrap();
            assert_eq!(left, waiting as u64, "what waits goes to the dead letters");
            (0..waiting).for_each(|_| model.bury(who));
            model.inboxes[who].here = false;
        }
        Op::Join(who) => {
            buses[who].join(model.rules[who].options()).await.unwrap();
            model.inboxes[who].here = true;
            let members: BTreeMap<_, _> = buses[who].members().await.unwrap().into_iter().collect();
            let here: Vec<_> = (0..NAMES.len()).filter(|who| model.inboxes[*who].here).map(|who| id(NAMES[who])).collect();
            assert_eq!(members.keys().cloned().collect::<Vec<_>>(), here);
        }
        Op::Take(_) => {}
    }
}

fn a_message_sent_again_under_its_id_arrives_once(on: Backend) {
    on.story(async |world| {
        let alpha = joined(&world, "alpha", MailboxOptions::default()).await;
        let beta = joined(&world, "beta", MailboxOptions::default()).await;
        let token = Token::new("m-1").unwrap();
        for _ in 0..3 {
            assert_eq!(alpha.send_once(token.clone(), &id("beta"), &1).await.unwrap(), Sent::Accepted(token.clone()));
        }
        let only = beta.receive().await.unwrap();
        assert_eq!(only.message.id, token);
        beta.acknowledge(&only).await.unwrap();
        assert_eq!(alpha.send_once(token.clone(), &id("beta"), &1).await.unwrap(), Sent::Accepted(token), "also when it was processed");
        assert_eq!(beta.take().await.unwrap(), None);
        assert_eq!(record(&alpha).await.len(), 1);
    });
}

fn a_message_that_is_not_acknowledged_in_time_comes_again_and_then_the_late_acknowledgement_is_refused(on: Backend) {
    on.story(async |world| {
        let options = MailboxOptions { redeliver_after: Duration::from_millis(150), max_deliveries: 2, ..MailboxOptions::default() };
        let (alpha, beta) = (joined(&world, "alpha", options).await, joined(&world, "beta", options).await);
        let also_beta = joined(&world, "beta", options).await;
        let store = world.store().await;
        alpha.send(&id("beta"), &1).await.unwrap();
        let before = store.now().await.unwrap();
        let first = beta.receive().await.unwrap();
        let second = also_beta.receive().await.unwrap();
        assert!(store.now().await.unwrap() >= before.after(options.redeliver_after), "it came again before its time");
        assert_eq!((first.attempt, second.attempt, &first.message), (1, 2, &second.message));
        assert_eq!(beta.acknowledge(&first).await.unwrap_err().code(), "claim_lost");
        also_beta.acknowledge(&second).await.unwrap();
        // The next one is never acknowledged.
        let lost = alpha.send(&id("beta"), &2).await.unwrap().id().unwrap();
        for attempt in 1..=2 {
            assert_eq!(beta.receive().await.unwrap().attempt, attempt);
        }
        let found = tokio::spawn(async move { beta.receive().await });
        governance_tests::world::until("it is given up", async || !alpha.dead_letters().await.unwrap().is_empty()).await;
        let letter = alpha.dead_letters().await.unwrap().remove(0);
        assert_eq!((letter.message.id, letter.reason.as_str()), (lost, "delivered 2 times without an acknowledgement"));
        found.abort();
    });
}

fn a_request_is_answered_by_whom_it_was_sent_to(on: Backend) {
    on.story(async |world| {
        let alpha = joined(&world, "alpha", MailboxOptions::default()).await;
        let (beta, gamma) =
            (joined(&world, "beta", MailboxOptions::default()).await, joined(&world, "gamma", MailboxOptions::default()).await);
        let answering = tokio::spawn(async move {
            let asked = beta.receive().await.unwrap();
            // Somebody else, who saw the request, is faster.
            gamma.reply(&asked, &"forged").await.unwrap();
            beta.reply(&asked, &"true").await.unwrap();
            beta.acknowledge(&asked).await.unwrap();
        });
        let answer = alpha.request(&id("beta"), &"really?", Duration::from_secs(20)).await.unwrap();
        assert_eq!((answer.from, answer.body), (id("beta"), "true".into()));
        answering.await.unwrap();
        let late = alpha.request(&id("gamma"), &"hello?", Duration::from_millis(30)).await.unwrap_err();
        assert_eq!((late.kind(), late.code()), (ErrorKind::Deadline, "no_answer"));
        let (store, stranger) = world.actor("stranger").await;
        let nowhere = bus(&store, &stranger).request(&id("beta"), &1, Duration::from_secs(1)).await.unwrap_err();
        assert_eq!(nowhere.code(), "not_a_member", "an answer could not come");
    });
}

fn a_listener_hears_signals_and_messages(on: Backend) {
    on.story(async |world| {
        let alpha = joined(&world, "alpha", MailboxOptions::default()).await;
        let beta = joined(&world, "beta", MailboxOptions::default()).await;
        let mut heard = beta.listen().await.unwrap();
        alpha.signal(&"wake").await.unwrap();
        alpha.send(&id("beta"), &"work").await.unwrap();
        for body in ["wake", "work"] {
            let message: BusMessage = from_json("bus", &heard.next().await.unwrap()).unwrap();
            assert_eq!(message.body, body);
        }
        assert_eq!(record(&alpha).await.len(), 1, "a signal is not kept");
    });
}

fn an_inbox_that_could_hold_nothing_is_refused(on: Backend) {
    on.story(async |world| {
        let (store, actor) = world.actor("alpha").await;
        let good = MailboxOptions::default();
        for bad in [
            MailboxOptions { capacity: 0, ..good },
            MailboxOptions { max_deliveries: 0, ..good },
            MailboxOptions { capacity: u64::MAX, ..good },
        ] {
            assert_eq!(bus(&store, &actor).join(bad).await.unwrap_err().kind(), ErrorKind::Invalid);
        }
        assert!(bus(&store, &actor).members().await.unwrap().is_empty());
    });
}

fn what_is_too_large_is_refused_and_changes_nothing(on: Backend) {
    on.story(async |world| {
        let alpha = joined(&world, "alpha", MailboxOptions::default()).await;
        let large = "x".repeat(governance::coordination::MAX_MESSAGE);
        assert_eq!(alpha.send(&id("alpha"), &large).await.unwrap_err().code(), "message_too_large");
        assert_eq!(alpha.signal(&large).await.unwrap_err().code(), "message_too_large");
        // The largest one that is taken also fits into the dead letters.
        let largest = "\\".repeat((large.len() - 300) / 2);
        alpha.send(&id("alpha"), &largest).await.unwrap();
        assert_eq!(alpha.remove(&id("alpha"), &"r".repeat(1000)).await.unwrap(), 1);
        assert_eq!(alpha.dead_letters().await.unwrap()[0].message.body, largest);
    });
}

fn a_delivery_of_another_inbox_is_not_acknowledged(on: Backend) {
    on.story(async |world| {
        let alpha = joined(&world, "alpha", MailboxOptions::default()).await;
        let beta = joined(&world, "beta", MailboxOptions::default()).await;
        alpha.broadcast(&1).await.unwrap();
        beta.broadcast(&1).await.unwrap();
        let (of_alpha, of_beta) = (alpha.receive().await.unwrap(), beta.receive().await.unwrap());
        assert_eq!(alpha.acknowledge(&of_beta).await.unwrap_err().kind(), ErrorKind::Invalid);
        alpha.acknowledge(&of_alpha).await.unwrap();
        beta.acknowledge(&of_beta).await.unwrap();
    });
}
