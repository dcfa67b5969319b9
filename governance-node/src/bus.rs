//! The native half of `MessageBus`.

use ::governance::coordination::{self, Cursor, Delivery, MailboxOptions, Overflow};
use ::governance::vocabulary::{AgentId, millis};
use napi_derive::napi;
use serde_json::{Value, json};
use tokio::sync::RwLock;

use crate::error::Result;
use crate::house::House;
use crate::json::{exact, given, shaped, small, span, text as written, whole};
use crate::stream::{Deliveries, Stream};

#[napi]
pub struct MessageBus {
    pub(crate) house: House,
    // Joining changes what the handle knows of its inbox.
    pub(crate) core: RwLock<coordination::MessageBus>,
}

impl MessageBus {
    async fn core(&self) -> coordination::MessageBus {
        self.core.read().await.clone()
    }
}

#[napi]
impl MessageBus {
    #[napi]
    pub async fn join(&self, text: String) -> Result<()> {
        given!(text => capacity: Option<Value>, overflow: Option<Overflow>, redeliver_after: Option<Value>, max_deliveries: Option<Value>);
        let plain = MailboxOptions::default();
        let options = MailboxOptions {
            capacity: capacity.map_or(Ok(plain.capacity), |capacity| whole(&capacity))?,
            overflow: overflow.unwrap_or(plain.overflow),
            redeliver_after: redeliver_after.map_or(Ok(plain.redeliver_after), |after| span(&after))?,
            max_deliveries: max_deliveries.map_or(Ok(plain.max_deliveries), |deliveries| small(&deliveries))?,
        };
        self.house.ask(async { self.core.write().await.join(options).await }).await
    }

    #[napi]
    pub async fn leave(&self) -> Result<String> {
        self.house.answer(self.core().await.leave()).await
    }

    #[napi]
    pub async fn members(&self) -> Result<String> {
        let member = |(id, inbox): (AgentId, MailboxOptions)| {
            let MailboxOptions { capacity, overflow, redeliver_after, max_deliveries } = inbox;
            json!({
                "id": id, "capacity": capacity, "overflow": overflow,
                "redeliver_after": millis(redeliver_after), "max_deliveries": max_deliveries,
            })
        };
        let members = self.house.ask(self.core().await.members()).await?;
        written(&members.into_iter().map(member).collect::<Vec<_>>())
    }

    #[napi]
    pub async fn send(&self, text: String) -> Result<String> {
        given!(text => to: String, body: Value);
        self.house.answer(self.core().await.send(&to.parse()?, &exact(body)?)).await
    }

    #[napi]
    pub async fn broadcast(&self, text: String) -> Result<String> {
        given!(text => body: Value);
        self.house.answer(self.core().await.broadcast(&exact(body)?)).await
    }

    #[napi]
    pub async fn reply(&self, text: String) -> Result<String> {
        given!(text => delivery: Value, body: Value);
        self.house.answer(self.core().await.reply(&shaped::<Delivery>(delivery)?, &exact(body)?)).await
    }

    #[napi]
    pub async fn request(&self, text: String) -> Result<String> {
        given!(text => to: String, body: Value, within: Value);
        self.house.answer(self.core().await.request(&to.parse()?, &exact(body)?, span(&within)?)).await
    }

    #[napi]
    pub async fn take(&self) -> Result<String> {
        self.house.answer(self.core().await.take()).await
    }

    #[napi]
    pub async fn receive(&self, text: String) -> Result<String> {
        given!(text => within: Option<Value>);
        let within = within.map(|within| span(&within)).transpose()?;
        self.house.answer(self.core().await.receive_within(within)).await
    }

    #[napi]
    pub async fn acknowledge(&self, text: String) -> Result<()> {
        given!(text => delivery: Value);
        self.house.ask(self.core().await.acknowledge(&shaped::<Delivery>(delivery)?)).await
    }

    #[napi]
    pub async fn signal(&self, text: String) -> Result<()> {
        given!(text => body: Value);
        self.house.ask(self.core().await.signal(&exact(body)?)).await
    }

    #[napi]
    pub async fn dead_letters(&self) -> Result<String> {
        self.house.answer(self.core().await.dead_letters()).await
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
