//! The native half of `MessageBus`.

use std::sync::Arc;

use ::governance::coordination::{self, Cursor, Delivery, MailboxOptions, Overflow};
use ::governance::vocabulary::{AgentId, millis};
use napi_derive::napi;
use serde_json::{Value, json};
use tokio::sync::RwLock;

use crate::desk::{Desk, Told};
use crate::error::Result;
use crate::house::House;
use crate::json::{exact, given, shaped, small, span, text as written, whole};
use crate::stream::{Deliveries, Stream};

#[napi]
#[derive(Clone)]
pub struct MessageBus {
    pub(crate) house: House,
    // Joining changes what the handle knows of its inbox.
    pub(crate) core: Arc<RwLock<coordination::MessageBus>>,
}

impl MessageBus {
    async fn core(&self) -> coordination::MessageBus {
        self.core.read().await.clone()
    }
}

#[napi]
impl MessageBus {
    #[napi]
    pub fn join(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => capacity: Option<Value>, overflow: Option<Overflow>, redeliver_after: Option<Value>, max_deliveries: Option<Value>);
            let plain = MailboxOptions::default();
            let options = MailboxOptions {
                capacity: capacity.map_or(Ok(plain.capacity), |capacity| whole(&capacity))?,
                overflow: overflow.unwrap_or(plain.overflow),
                redeliver_after: redeliver_after.map_or(Ok(plain.redeliver_after), |after| span(&after))?,
                max_deliveries: max_deliveries.map_or(Ok(plain.max_deliveries), |deliveries| small(&deliveries))?,
            };
            own.house.done(async { own.core.write().await.join(options).await }).await
        })
    }

    #[napi]
    pub fn leave(&self, _text: Option<String>, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move { own.house.answer(own.core().await.leave()).await })
    }

    #[napi]
    pub fn members(&self, _text: Option<String>, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            let member = |(id, inbox): (AgentId, MailboxOptions)| {
                let MailboxOptions { capacity, overflow, redeliver_after, max_deliveries } = inbox;
                json!({
                    "id": id, "capacity": capacity, "overflow": overflow,
                    "redeliver_after": millis(redeliver_after), "max_deliveries": max_deliveries,
                })
            };
            let members = own.house.ask(own.core().await.members()).await?;
            written(&members.into_iter().map(member).collect::<Vec<_>>())
        })
    }

    #[napi]
    pub fn send(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => to: String, body: Value);
            own.house.answer(own.core().await.send(&to.parse()?, &exact(body)?)).await
        })
    }

    #[napi]
    pub fn broadcast(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => body: Value);
            own.house.answer(own.core().await.broadcast(&exact(body)?)).await
        })
    }

    #[napi]
    pub fn reply(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => delivery: Value, body: Value);
            own.house.answer(own.core().await.reply(&shaped::<Delivery>(delivery)?, &exact(body)?)).await
        })
    }

    #[napi]
    pub fn request(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => to: String, body: Value, within: Value);
            own.house.answer(own.core().await.request(&to.parse()?, &exact(body)?, span(&within)?)).await
        })
    }

    #[napi]
    pub fn take(&self, _text: Option<String>, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move { own.house.answer(own.core().await.take()).await })
    }

    #[napi]
    pub fn receive(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => within: Option<Value>);
            let within = within.map(|within| span(&within)).transpose()?;
            own.house.answer(own.core().await.receive_within(within)).await
        })
    }

    #[napi]
    pub fn acknowledge(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => delivery: Value);
            own.house.done(own.core().await.acknowledge(&shaped::<Delivery>(delivery)?)).await
        })
    }

    #[napi]
    pub fn signal(&self, text: String, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry(async move {
            given!(text => body: Value);
            own.house.done(own.core().await.signal(&exact(body)?)).await
        })
    }

    #[napi]
    pub fn dead_letters(&self, _text: Option<String>, desk: &Desk) -> Result<Told> {
        let own = self.clone();
        desk.carry_apart(async move { own.house.answer(own.core().await.dead_letters()).await })
    }

    #[napi]
    pub async fn messages(&self) -> Result<Stream> {
        Stream::new(&self.house, Deliveries(self.core().await))
    }

    #[napi]
    pub async fn signals(&self) -> Result<Stream> {
        Stream::new(&self.house, self.house.ask(self.core().await.listen()).await?)
    }

    #[napi]
    pub async fn record(&self, text: String) -> Result<Stream> {
        given!(text => after: Option<Cursor>);
        Stream::new(&self.house, self.core().await.record(after.unwrap_or_default()).told::<coordination::BusEvent>())
    }
}
