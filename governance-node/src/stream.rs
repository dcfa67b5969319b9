//! What comes one after another: events, messages, signals.

use std::pin::Pin;

use ::governance::coordination::{BusMessage, Events, Told};
use ::governance::guard::FollowAlerts;
use ::governance::store::{Signals, from_json};
use ::governance::{MessageBus, Result as Answer};
use napi::bindgen_prelude::Either;
use napi_derive::napi;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::house::House;
use crate::json;
use crate::step::Step;

/// An item as JSON, or a handle.
pub type Item = Either<String, Step>;
pub type Next<'a> = Pin<Box<dyn Future<Output = Result<Option<Item>>> + Send + 'a>>;

/// Where a stream comes from. Cancel safe.
pub trait Source: Send + 'static {
    /// The next item; none at the end.
    fn next(&mut self) -> Next<'_>;
}

#[napi]
pub struct Stream {
    house: House,
    source: Mutex<Box<dyn Source>>,
    ended: CancellationToken,
}

impl Stream {
    pub fn new(house: &House, source: impl Source) -> Result<Self> {
        house.check()?;
        Ok(Self { house: house.clone(), source: Mutex::new(Box::new(source)), ended: CancellationToken::new() })
    }
}

#[napi]
impl Stream {
    /// The next item; none when it ended, also while this waits.
    #[napi]
    pub async fn next(&self) -> Result<Option<Item>> {
        let next = async { Ok(self.source.lock().await.next().await) };
        tokio::select! {
            biased;
            () = self.ended.cancelled() => Ok(None),
            next = self.house.ask(next) => next?,
        }
    }

    /// Ends it.
    #[napi]
    pub fn end(&self) {
        self.ended.cancel();
    }
}

fn item(item: Answer<impl Serialize>) -> Result<Option<Item>> {
    json::text(&item?).map(|text| Some(Either::A(text)))
}

impl<T: Told + Serialize + Send + 'static> Source for Events<T> {
    fn next(&mut self) -> Next<'_> {
        Box::pin(async { item(Events::item(self).await) })
    }
}

impl Source for Signals {
    fn next(&mut self) -> Next<'_> {
        Box::pin(async {
            match Signals::next(self).await {
                Some(said) => item(from_json::<BusMessage>("bus", &said)),
                None => Ok(None),
            }
        })
    }
}

impl Source for FollowAlerts {
    fn next(&mut self) -> Next<'_> {
        Box::pin(async { item(FollowAlerts::next(self).await) })
    }
}

/// Messages as they are delivered.
pub struct Deliveries(pub MessageBus);

impl Source for Deliveries {
    fn next(&mut self) -> Next<'_> {
        Box::pin(async { item(self.0.receive().await) })
    }
}
