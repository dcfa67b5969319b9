//! The governor's ear: takes its messages off the bus as they come, so that waiting for something else never drops one half-way.

use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::coordination::{BusMessage, MessageBus};
use crate::error::{Error, Result};

/// How many messages may wait to be used.
const WAITING: usize = 64;

pub(super) struct Inbox {
    messages: mpsc::Receiver<Result<BusMessage>>,
    _ear: AbortOnDropHandle<()>,
}

impl Inbox {
    pub fn open(bus: &MessageBus) -> Self {
        let (sender, messages) = mpsc::channel(WAITING);
        let bus = bus.clone();
        let ear = tokio::spawn(async move {
            loop {
                let heard = hear(&bus).await;
                let deaf = heard.is_err();
                if sender.send(heard).await.is_err() || deaf {
                    return;
                }
            }
        });
        Self { messages, _ear: AbortOnDropHandle::new(ear) }
    }

    /// The next message. Cancel safe.
    pub async fn next(&mut self) -> Result<BusMessage> {
        match self.messages.recv().await {
            Some(message) => message,
            None => Err(Error::unavailable("deaf", "the governor does not hear its bus any more")),
        }
    }
}

async fn hear(bus: &MessageBus) -> Result<BusMessage> {
    let delivery = bus.receive().await?;
    bus.acknowledge(&delivery).await?;
    Ok(delivery.message)
}
