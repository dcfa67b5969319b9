//! An agent's life on the bus: it does what its governor says, hears what others say, until it is told to leave or revoked.
//!
//! ```text
//!   Life::begin ─▶ next ─▶ Step ─▶ done │ failed ─▶ next … ─▶ none: it was told to leave, and has
//! ```

use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex, Notify, mpsc};
use tokio::task::JoinHandle;

use super::Desk;
use super::protocol::{Instruction, Report, Said, Stage};
use super::step::{Order, Step};
use super::stillness::Watcher;
use super::worker::Worker;
use crate::coordination::{Comes, Delivery, Lease, MailboxOptions, MessageBus, Recurrence, Recurring, Rounds};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::{Fault, FaultCount, Heartbeat, Lookout, approval, execution_lock};
use crate::store::{Actor, Store};
use crate::vocabulary::{AgentId, AgentPhase, ttl};

/// The governor's name on every bus.
pub const GOVERNOR: &str = "governor";

/// How often the execution lock is renewed.
const RENEWAL: Duration = Duration::from_secs(ttl::LOCK.as_secs() / 3);
/// How long a stage may take before its instruction is delivered again.
const STAGE: Duration = Duration::from_secs(600);

/// What an agent keeps while it lives: its inbox, its heartbeat, its execution lock.
pub struct Life {
    bus: MessageBus,
    // Emptied from when somebody first asks for the next step.
    inbox: OnceLock<Box<Inbox>>,
    // What was taken out of it and is not seen to yet: whoever stops waiting in between loses nothing.
    taken: Mutex<Option<Box<Delivery>>>,
    kept: Mutex<Option<Box<Kept>>>,
    done_last: Mutex<Option<Instruction>>,
}

struct Kept {
    heartbeat: Heartbeat,
    lock: Lock,
    watcher: Watcher,
}

impl Life {
    /// Begins to live: takes the execution lock, joins the bus, gives signs of life, and says that it is ready.
    pub async fn begin(desk: &Desk) -> Result<Self> {
        let mut bus = desk.bus();
        let lock = Lock::hold(desk).await?;
        approval::sit_down(desk.store(), desk.actor()).await?;
        bus.take_over(MailboxOptions { redeliver_after: STAGE, ..MailboxOptions::default() }).await?;
        let heartbeat = desk.heartbeat().await?;
        desk.register().await?;
        desk.enter(AgentPhase::Preflight).await?;
        desk.first_preflight().await?;
        let kept = Mutex::new(Some(Box::new(Kept { heartbeat, lock, watcher: Watcher::begin(desk) })));
        let life = Self { inbox: OnceLock::new(), taken: Mutex::new(None), bus, kept, done_last: Mutex::new(None) };
        life.report(Report::Done(Stage::Ready)).await?;
        Ok(life)
    }

    /// The next thing to do; none when it was told to leave, and has left. A `revoked` error when its admission has ended. Cancel safe.
    pub async fn next(&self, desk: &Desk) -> Result<Option<Step>> {
        let mut taken = self.taken.lock().await;
        loop {
            let delivery = match taken.take() {
                Some(delivery) => *delivery,
                None => self.inbox().next().await?,
            };
            let Some(instruction) = instruction(&delivery) else {
                return Ok(Some(Step { order: Order::Message(delivery.message.clone()), delivery }));
            };
            // INVARIANT: nothing is waited for from here on, but what is done again where nobody waited for its end.
            let delivery = &**taken.insert(Box::new(delivery));
            if instruction == Instruction::Leave {
                self.leave(desk).await?;
                self.put_away(delivery).await?;
                self.report(Report::Done(Stage::Leave)).await?;
                self.gone(desk).await?;
                *taken = None;
                return Ok(None);
            }
            // Who was started again hears what it was told before, and once more.
            if self.done_last.lock().await.as_ref() == Some(&instruction) {
                self.put_away(delivery).await?;
                *taken = None;
                continue;
            }
            let delivery = taken.take().map(|delivery| *delivery);
            return Ok(delivery.map(|delivery| Step { order: Order::Instruction(instruction), delivery }));
        }
    }

    /// A step is done.
    pub async fn done(&self, step: Step) -> Result<()> {
        if let Order::Instruction(instruction) = step.order {
            let stage = instruction.stage();
            *self.done_last.lock().await = Some(instruction);
            self.report(Report::Done(stage)).await?;
        }
        self.acknowledge(&step.delivery).await
    }

    /// A step failed: an error that counts. The one too many revokes the agent.
    pub async fn failed(&self, desk: &Desk, step: Step, code: &str, message: &str) -> Result<FaultCount> {
        let stage = step.stage();
        tracing::warn!(agent = %desk.actor().id, %stage, code, message, "a stage failed");
        let count = desk.budget().fault(&Fault::Error { kind: code.to_owned(), message: message.to_owned() }).await?;
        if !matches!(count, FaultCount::Exceeded(_)) {
            if stage != Stage::Message {
                self.report(Report::Failed { stage, code: Some(code.to_owned()), error: message.to_owned() }).await?;
            }
            self.acknowledge(&step.delivery).await?;
        }
        Ok(count)
    }

    /// EXIT, by way of PACKAGE, which is never skipped; then gives back what it holds. Again changes nothing.
    pub async fn leave(&self, desk: &Desk) -> Result<()> {
        desk.clear().await?;
        desk.walk_out().await?;
        desk.complete().await?;
        let Some(kept) = self.kept.lock().await.take() else { return Ok(()) };
        let Kept { heartbeat, lock, watcher } = *kept;
        drop(watcher);
        heartbeat.stop().await?;
        lock.release().await
    }

    /// Takes no more messages, of which those that are left go to the dead letters; and governs no more tools.
    pub async fn gone(&self, desk: &Desk) -> Result<()> {
        self.bus.clone().leave().await?;
        Lookout::has_left(desk.store(), desk.actor());
        Ok(())
    }

    /// Acknowledges what may have been acknowledged already.
    async fn put_away(&self, delivery: &Delivery) -> Result<()> {
        match self.acknowledge(delivery).await {
            Err(error) if error.code() == "claim_lost" => {
                self.inbox().go_on();
                Ok(())
            }
            other => other,
        }
    }

    async fn acknowledge(&self, delivery: &Delivery) -> Result<()> {
        self.bus.acknowledge(delivery).await?;
        self.inbox().go_on();
        Ok(())
    }

    fn inbox(&self) -> &Inbox {
        self.inbox.get_or_init(|| Box::new(Inbox::open(&self.bus)))
    }

    async fn report(&self, report: Report) -> Result<()> {
        match self.bus.send(&AgentId::new(GOVERNOR)?, &Said::Report(report)).await {
            // An agent that joined by itself has nobody to report to.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map(drop),
        }
    }
}

/// Lives as an agent. Ends well when told to leave; with a `revoked` error when the admission was ended.
pub async fn live(desk: &Desk, worker: &dyn Worker) -> Result<()> {
    Life::begin(desk).await?.carry_on(desk, worker).await
}

impl Life {
    /// Does step after step, until told to leave.
    pub async fn carry_on(&self, desk: &Desk, worker: &dyn Worker) -> Result<()> {
        while let Some(step) = self.next(desk).await? {
            let done = match &step.order {
                Order::Instruction(Instruction::Work) => worker.work(desk).await,
                Order::Instruction(Instruction::Evaluate) => worker.evaluate(desk).await,
                Order::Instruction(Instruction::Mediate(reason)) => worker.mediate(desk, *reason).await,
                Order::Instruction(Instruction::Vote(proposal)) => worker.vote(desk, proposal).await,
                Order::Instruction(Instruction::Leave) | Order::Message(_) => Ok(()),
            };
            match done {
                Ok(()) => self.done(step).await?,
                Err(error) if error.kind() == ErrorKind::Revoked => return Err(error),
                Err(error) => {
                    if let FaultCount::Exceeded(_) = self.failed(desk, step, error.code(), &error.to_string()).await? {
                        return Err(error);
                    }
                }
            }
        }
        Ok(())
    }
}

/// What comes in, one delivery at a time. A task takes it off the bus, so that nobody who stops waiting loses one.
struct Inbox {
    deliveries: Mutex<mpsc::Receiver<Result<Delivery>>>,
    acknowledged: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Inbox {
    fn open(bus: &MessageBus) -> Self {
        let (give, deliveries) = mpsc::channel(1);
        let acknowledged = Arc::new(Notify::new());
        let (bus, free) = (bus.clone(), acknowledged.clone());
        let task = tokio::spawn(async move {
            loop {
                let taken = bus.receive().await;
                let delivered = taken.is_ok();
                if give.send(taken).await.is_err() {
                    return;
                }
                if delivered {
                    free.notified().await;
                }
            }
        });
        Self { deliveries: Mutex::new(deliveries), acknowledged, task }
    }

    async fn next(&self) -> Result<Delivery> {
        let taken = self.deliveries.lock().await.recv().await;
        taken.unwrap_or_else(|| Err(Error::internal("an inbox is not emptied any more")))
    }

    fn go_on(&self) {
        self.acknowledged.notify_one();
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An execution lock that is renewed in the background. Dropped without [`release`](Self::release), it lapses.
struct Lock {
    holding: Arc<Holding>,
    renewals: Recurrence,
}

struct Holding {
    store: Store,
    actor: Actor,
    lease: Mutex<Lease>,
    // When it was said last that agents sit in this process.
    said: std::sync::Mutex<Duration>,
}

impl Lock {
    async fn hold(desk: &Desk) -> Result<Self> {
        let (store, actor) = (desk.store().clone(), desk.actor().clone());
        let taken = || Error::new(ErrorKind::Conflict, "already_running", format!("another process acts as `{}`", actor.id));
        let lease = Mutex::new(execution_lock(&store, &actor).await?.ok_or_else(taken)?);
        let said = std::sync::Mutex::new(store.ports().clock.elapsed());
        let holding = Arc::new(Holding { store, actor, lease, said });
        Ok(Self { renewals: Rounds::begin(desk.store(), holding.clone(), RENEWAL), holding })
    }

    async fn release(self) -> Result<()> {
        drop(self.renewals);
        let lease = self.holding.lease.lock().await.clone();
        lease.release().await.map(drop)
    }
}

impl Recurring for Holding {
    fn comes(self: Arc<Self>) -> Comes {
        Comes::Work(Box::pin(async move { self.hold_on().await.then_some(RENEWAL) }))
    }
}

impl Holding {
    /// Whether there is anything left to hold.
    async fn hold_on(&self) -> bool {
        let Self { store, actor, .. } = self;
        let renewed = self.lease.lock().await.renew().await;
        let (now, last) = (store.ports().clock.elapsed(), *self.said.lock().unwrap_or_else(PoisonError::into_inner));
        if now.saturating_sub(last) >= approval::SAID_AGAIN && approval::sit_down(store, actor).await.is_ok() {
            *self.said.lock().unwrap_or_else(PoisonError::into_inner) = now;
        }
        match renewed {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(agent = %actor.id, "the execution lock was lost");
                return false;
            }
            Err(error) if error.kind() == ErrorKind::Revoked => return false,
            // The next renewal may still be in time.
            Err(error) => tracing::warn!(agent = %actor.id, %error, "the execution lock was not renewed"),
        }
        true
    }
}

fn instruction(delivery: &Delivery) -> Option<Instruction> {
    match serde_json::from_value(delivery.message.body.clone()) {
        Ok(Said::Instruction(instruction)) if delivery.message.from.as_str() == GOVERNOR => Some(instruction),
        _ => None,
    }
}
