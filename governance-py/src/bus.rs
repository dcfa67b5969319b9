//! `MessageBus`.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use ::governance::coordination::{self, BusEvent, BusMessage, Cursor, DeadLetter, MailboxOptions, Overflow, Sent};
use ::governance::store::from_json;
use ::governance::vocabulary::AgentId;
use futures_util::TryFutureExt;
use futures_util::stream::{StreamExt, TryStreamExt, once, repeat, unfold};
use pyo3::prelude::*;

use crate::answer::{Answer, record, records, variants};
use crate::given::{Content, Named, Shaped, Span, Whole, cursor};
use crate::hosted::{Hosted, Made, Place};
use crate::json;
use crate::stream::events;

type Answered<'py> = PyResult<Bound<'py, PyAny>>;

/// A bus as it was joined last.
pub struct Bus(RwLock<coordination::MessageBus>);

impl Bus {
    fn now(&self) -> coordination::MessageBus {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn join(&self, options: MailboxOptions) -> ::governance::Result<()> {
        let mut bus = self.now();
        bus.join(options).await?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = bus;
        Ok(())
    }
}

/// What the agents of a task say to each other.
#[pyclass(name = "_MessageBus", module = "governance._governance", frozen, subclass)]
pub struct MessageBus(Hosted<Bus>);

#[pymethods]
impl MessageBus {
    #[new]
    fn new(made: &Made) -> PyResult<Self> {
        made.take().map(Self)
    }

    /// Becomes a member with an inbox. Joining again changes its options.
    #[pyo3(signature = (*, capacity=None, overflow=None, redeliver_after=None, max_deliveries=None))]
    fn join<'py>(
        &self,
        py: Python<'py>,
        capacity: Option<Whole<u64>>,
        overflow: Option<Shaped<Overflow>>,
        redeliver_after: Option<Span>,
        max_deliveries: Option<Whole<u32>>,
    ) -> Answered<'py> {
        let usual = MailboxOptions::default();
        let options = MailboxOptions {
            capacity: capacity.map_or(usual.capacity, |whole| whole.0),
            overflow: overflow.map_or(usual.overflow, |overflow| overflow.0),
            redeliver_after: redeliver_after.map_or(usual.redeliver_after, |span| span.0),
            max_deliveries: max_deliveries.map_or(usual.max_deliveries, |whole| whole.0),
        };
        self.0.call(py, move |bus| async move { bus.join(options).await })
    }

    /// Leaves: what still waits in the inbox goes to the dead letters. Answers how much that was.
    fn leave<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |bus| async move { bus.now().leave().await })
    }

    /// Who is on the bus, and with which inbox.
    fn members<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |bus| async move {
            Ok(bus.now().members().await?.into_iter().map(|(id, options)| BusMember(id, options)).collect::<Vec<_>>())
        })
    }

    /// Sends a message to one member.
    fn send<'py>(&self, py: Python<'py>, to: Named<AgentId>, body: Content) -> Answered<'py> {
        self.0.call(py, move |bus| async move { bus.now().send(&to.0, &body.0).await })
    }

    /// Sends a message to every other member: to all of them or, if an inbox is full, to none.
    fn broadcast<'py>(&self, py: Python<'py>, body: Content) -> Answered<'py> {
        self.0.call(py, move |bus| async move { bus.now().broadcast(&body.0).await })
    }

    /// Answers a message.
    fn reply<'py>(&self, py: Python<'py>, delivery: &Delivery, body: Content) -> Answered<'py> {
        let delivery = delivery.0.clone();
        self.0.call(py, move |bus| async move { bus.now().reply(&delivery, &body.0).await })
    }

    /// Sends a message and waits for its answer, which also comes to the inbox. A `DeadlineError` if there is none in time.
    fn request<'py>(&self, py: Python<'py>, to: Named<AgentId>, body: Content, within: Span) -> Answered<'py> {
        self.0.call(py, move |bus| async move { bus.now().request(&to.0, &body.0, within.0).await })
    }

    /// The next message, if one waits and is not out for processing already.
    fn take<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |bus| async move { bus.now().take().await })
    }

    /// Waits for the next message; none if none came in time.
    #[pyo3(signature = (within=None))]
    fn receive<'py>(&self, py: Python<'py>, within: Option<Span>) -> Answered<'py> {
        let within = within.map_or(Duration::MAX, |within| within.0);
        self.0.call(py, move |bus| async move { tokio::time::timeout(within, bus.now().receive()).await.ok().transpose() })
    }

    /// Says that a message was processed. A `ConflictError` if it was delivered again meanwhile.
    fn acknowledge<'py>(&self, py: Python<'py>, delivery: &Delivery) -> Answered<'py> {
        let delivery = delivery.0.clone();
        self.0.call(py, move |bus| async move { bus.now().acknowledge(&delivery).await })
    }

    /// Says something to whoever listens now. May be lost.
    fn signal<'py>(&self, py: Python<'py>, body: Content) -> Answered<'py> {
        self.0.call(py, move |bus| async move { bus.now().signal(&body.0).await })
    }

    /// Messages that nobody could process, oldest first.
    fn dead_letters<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call_apart(py, |bus| async move { bus.now().dead_letters().await })
    }

    /// Every message to this member, as it comes; acknowledge each.
    fn messages<'py>(&self, py: Python<'py>) -> Answered<'py> {
        let bus = self.0.look(py, |bus| Ok(bus.now()))?;
        self.0.place().stream(py, repeat(bus).then(|bus| async move { bus.receive().await }))
    }

    /// Hears signals, and every message as it is sent. May lose some.
    fn signals<'py>(&self, py: Python<'py>) -> Answered<'py> {
        let bus = self.0.look(py, |bus| Ok(bus.now()))?;
        let heard = self.0.place().begin(async move { bus.listen().await });
        let heard = heard.map_ok(|signals| {
            unfold(signals, |mut signals| async move {
                let signal = signals.next().await?;
                Some((from_json::<BusMessage>("a signal", &signal), signals))
            })
        });
        self.0.place().stream(py, once(heard).try_flatten())
    }

    /// Follows the record of all messages behind a cursor; what was missed comes as a `Gap`.
    #[pyo3(signature = (after=None))]
    fn record<'py>(&self, py: Python<'py>, after: Option<Shaped<Cursor>>) -> Answered<'py> {
        let events = self.0.look(py, |bus| Ok(bus.now().record(cursor(after)).told::<BusEvent>()))?;
        self.0.place().follow(py, events)
    }
}

/// A message out for processing. Acknowledge it, or it comes again.
#[pyclass(module = "governance", frozen, eq)]
pub struct Delivery(coordination::Delivery, Place);

impl PartialEq for Delivery {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

#[pymethods]
impl Delivery {
    /// The message.
    #[getter]
    fn message<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.message.clone().answer(py, &self.1)
    }

    /// 1 the first time.
    #[getter]
    fn attempt(&self) -> u32 {
        self.0.attempt
    }

    fn __repr__(&self) -> String {
        format!("<Delivery {} from {}, attempt {}>", self.0.message.id, self.0.message.from, self.0.attempt)
    }
}

impl Answer for coordination::Delivery {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        Ok(Bound::new(py, Delivery(self, place.clone()))?.into_any())
    }
}

impl Answer for coordination::MessageBus {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        place.host(py, "MessageBus", Bus(RwLock::new(self)))
    }
}

events! {
    BusEvent => "BusEvent" { position, message }
}

impl Answer for Overflow {
    fn answer<'py>(self, py: Python<'py>, _: &Place) -> Answered<'py> {
        json::shaped(py, &self)
    }
}

/// Who is on a bus, and with which inbox.
struct BusMember(AgentId, MailboxOptions);

impl Answer for BusMember {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        let Self(id, MailboxOptions { capacity, overflow, redeliver_after, max_deliveries }) = self;
        let inbox =
            [capacity.answer(py, place), overflow.answer(py, place), redeliver_after.answer(py, place), max_deliveries.answer(py, place)];
        record(py, "BusMember", [id.answer(py, place)].into_iter().chain(inbox))
    }
}

records! {
    BusMessage => "BusMessage" { id, from, to, at, body, reply_to }
    DeadLetter => "DeadLetter" { position, message, inbox, reason }
}

variants! {
    Sent => "Sent" { Accepted(id) => "accepted", Full { inbox } as "Full" => "full", }
}
