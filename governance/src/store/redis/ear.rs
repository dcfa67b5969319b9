//! Hears what other handles wrote and said, on a connection of its own that is opened when somebody first watches or listens.
//!
//! The commit script publishes one empty message on `KEY:wake` for each key that it wrote. A message only wakes; the state is the truth.
//! When the connection was lost, everyone is woken, so that nothing is slept through.
//!
//! On a cluster these are plain messages, not sharded ones: plain ones come through the cluster from every node to every node, so nothing
//! is lost while a slot moves, and the script stays the same on servers that know no others (Redis before 7, Dragonfly). The
//! connection goes to the slot's node, where messages are made, so they take no way around; that each also travels to the other nodes is
//! the price.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use fred::error::Error as FredError;
use fred::interfaces::{EventInterface, PubsubInterface};
use fred::types::{Message, RespVersion};
use futures_core::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::address::Address;
use super::line::Line;
use super::route;
use crate::error::Result;
use crate::store::crowd::Crowd;
use crate::store::hub::Hub;
use crate::store::{Signals, Watch};
use crate::vocabulary::{Key, Kind};

const WAKE: &str = ":wake";
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// After so long without a message, the server is asked whether it is still there.
const QUIET: Duration = Duration::from_secs(5);

/// Hears what others do.
pub(super) struct Ear {
    address: Arc<Address>,
    hub: Hub,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    line: Option<Arc<Line>>,
    channels: BTreeSet<String>,
    crowded: Crowd,
}

impl Ear {
    pub fn new(address: Arc<Address>) -> Arc<Self> {
        Arc::new(Self { address, hub: Hub::default(), heard: Mutex::default() })
    }

    pub async fn watch(self: &Arc<Self>, keys: &[Key]) -> Result<Watch> {
        let watch = self.hub.watch(keys);
        self.hear(keys.iter().map(|key| format!("{key}{WAKE}")).collect()).await?;
        Ok(watch)
    }

    pub async fn signals(self: &Arc<Self>, channel: &Key) -> Result<Signals> {
        let signals = self.hub.signals(channel);
        self.hear(vec![channel.to_string()]).await?;
        Ok(signals)
    }

    /// Returns when the server has confirmed that it will tell of these channels.
    async fn hear(self: &Arc<Self>, channels: Vec<String>) -> Result<()> {
        let mut heard = self.heard.lock().await;
        let line = match heard.line.clone().filter(|line| !line.is_closed()) {
            Some(line) => line,
            None => self.connect(&mut heard).await?,
        };
        let new: Vec<String> = channels.into_iter().filter(|channel| !heard.channels.contains(channel)).collect();
        if !new.is_empty() {
            subscribe(&line, new.clone()).await.map_err(|error| self.address.trouble(&error))?;
            heard.channels.extend(new);
            self.sweep(&line, &mut heard).await;
        }
        Ok(())
    }

    /// Stops hearing what nobody waits for any more: a channel on which nothing is ever said again is not missed by its silence.
    async fn sweep(&self, line: &Line, heard: &mut Heard) {
        if !heard.crowded.is_over(heard.channels.len()) {
            return;
        }
        let gone: Vec<String> = heard.channels.extract_if(.., |channel| !self.hub.is_wanted(&told_by(channel))).collect();
        let left = heard.channels.len();
        heard.crowded.left(left);
        if !gone.is_empty() {
            let _ = line.client.unsubscribe(gone).await;
        }
    }

    async fn connect(self: &Arc<Self>, heard: &mut Heard) -> Result<Arc<Line>> {
        let line = Arc::new(route::open(&self.address, 0, RespVersion::RESP3).await?);
        let messages = line.client.message_rx();
        let again: Vec<String> = heard.channels.iter().cloned().collect();
        if !again.is_empty() {
            subscribe(&line, again).await.map_err(|error| self.address.trouble(&error))?;
        }
        heard.line = Some(line.clone());
        // What happened while nobody listened is not known.
        self.hub.wake_all();
        tokio::spawn(listen(Arc::downgrade(self), line.clone(), messages));
        Ok(line)
    }

    async fn tell(&self, line: &Line, message: Message) {
        let channel: &str = &message.channel;
        let wanted = match channel.strip_suffix(WAKE) {
            Some(key) => self.hub.wake(&Key::new(key, Kind::Record)),
            None => self.hub.signal(&Key::new(channel, Kind::Channel), &message.value.into_bytes().unwrap_or_default()),
        };
        if !wanted {
            self.forget(line, channel).await;
        }
    }

    /// Stops hearing what nobody waits for any more.
    async fn forget(&self, line: &Line, channel: &str) {
        let mut heard = self.heard.lock().await;
        // Looked at again under the lock: whoever begins to watch registers first and waits for the lock then.
        if !self.hub.is_wanted(&told_by(channel)) && heard.channels.remove(channel) {
            let _ = line.client.unsubscribe(channel.to_owned()).await;
        }
    }
}

/// What a channel tells of.
fn told_by(channel: &str) -> Key {
    Key::new(channel.strip_suffix(WAKE).unwrap_or(channel), Kind::Record)
}

/// Subscribes, and asks for a sign of life behind it: its answer confirms the subscription.
async fn subscribe(line: &Line, channels: Vec<String>) -> Result<(), FredError> {
    line.client.subscribe(channels).await?;
    line.ask("PING", Vec::new()).await.map(drop)
}

/// Whether the server answers, and is still the one in charge.
async fn is_well(line: &Line) -> bool {
    let asked = line.ask("EXISTS", vec![line.address.anchor.as_str().into()]);
    matches!(tokio::time::timeout(QUIET, asked).await, Ok(Ok(_)))
}

/// Passes messages on until the line ends, then opens another. Ends with the ear.
fn listen(ear: Weak<Ear>, line: Arc<Line>, mut messages: Receiver<Message>) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        loop {
            let message = tokio::select! {
                message = messages.recv() => message,
                () = line.closed() => break,
                () = tokio::time::sleep(QUIET) => {
                    // Silence can also mean that nothing comes through, or that others do the talking now.
                    if !is_well(&line).await {
                        line.hang_up();
                    }
                    continue;
                }
            };
            let Some(ear) = ear.upgrade() else { return };
            match message {
                Ok(message) => ear.tell(&line, message).await,
                Err(RecvError::Lagged(_)) => ear.hub.wake_all(),
                Err(RecvError::Closed) => break,
            }
        }
        let mut pause = FIRST_PAUSE;
        while let Some(ear) = ear.upgrade() {
            let mut heard = ear.heard.lock().await;
            if heard.line.as_ref().is_some_and(|line| !line.is_closed()) || ear.connect(&mut heard).await.is_ok() {
                return;
            }
            drop(heard);
            drop(ear);
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    })
}

impl Drop for Ear {
    fn drop(&mut self) {
        if let Some(line) = &self.heard.get_mut().line {
            line.hang_up();
        }
    }
}
