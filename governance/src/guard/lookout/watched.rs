//! One actor that works in this process.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::Notify;

use crate::error::{Error, ErrorKind};
use crate::store::Actor;

/// An actor, whether its admission is known to have ended, and what runs for it.
pub(crate) struct Watched {
    pub actor: Actor,
    ended: OnceLock<String>,
    told: Notify,
    running: Mutex<BTreeMap<u64, String>>,
    tools: AtomicUsize,
    looked_at: AtomicBool,
    let_go: AtomicBool,
    bell: Arc<Notify>,
}

/// Keeps an actor watched over.
pub(crate) struct Held(Arc<Watched>);

/// Something that runs for an actor: as long as it is there, the process does not confirm that it has ended.
pub(crate) struct Work {
    of: Arc<Watched>,
    /// None for a tool: of those there are many, and they are only counted.
    number: Option<u64>,
}

impl Watched {
    pub fn new(actor: Actor, bell: Arc<Notify>) -> Self {
        Self {
            actor,
            ended: OnceLock::new(),
            told: Notify::new(),
            running: Mutex::default(),
            tools: AtomicUsize::new(0),
            looked_at: AtomicBool::new(false),
            let_go: AtomicBool::new(false),
            bell,
        }
    }

    /// It is known that the admission has ended. Answers whether that is news.
    pub fn end(&self, why: &str) -> bool {
        let news = self.ended.set(why.to_owned()).is_ok();
        self.told.notify_waiters();
        news
    }

    /// Why the admission has ended, if it is known to have.
    pub fn why(&self) -> Option<&str> {
        self.ended.get().map(String::as_str)
    }

    /// Whether it left by itself.
    pub fn has_left(&self) -> bool {
        self.why() == Some(super::LEFT)
    }

    /// Whether nobody holds it any more. What runs for it may run on.
    pub fn is_let_go(&self) -> bool {
        self.let_go.load(Ordering::Acquire)
    }

    /// Whether nobody has looked yet whether it is admitted.
    pub fn is_new(&self) -> bool {
        !self.looked_at.load(Ordering::Acquire)
    }

    /// Somebody has.
    pub fn seen(&self) {
        self.looked_at.store(true, Ordering::Release);
    }

    /// What runs for it.
    pub fn running(&self) -> Vec<String> {
        let named = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let tools = match self.tools.load(Ordering::Acquire) {
            0 => None,
            1 => Some("a tool".to_owned()),
            more => Some(format!("{more} tools")),
        };
        named.values().cloned().chain(tools).collect()
    }
}

impl Held {
    pub(super) fn new(watched: Arc<Watched>) -> Self {
        Self(watched)
    }

    /// Why the admission has ended, if this process knows that it has.
    pub fn why(&self) -> Option<&str> {
        self.0.why()
    }

    /// Whether it left by itself.
    pub fn has_left(&self) -> bool {
        self.0.has_left()
    }

    /// A refusal once this process knows that the admission has ended.
    pub fn refusal(&self) -> Option<Error> {
        self.why().map(|why| Error::new(ErrorKind::Revoked, "revoked", format!("`{}`: {why}", self.0.actor.id)))
    }

    /// Waits until this process knows that the admission has ended. Cancel safe.
    pub async fn ended(&self) -> Error {
        loop {
            let mut told = std::pin::pin!(self.0.told.notified());
            // Listening before looking: what comes in between is heard.
            told.as_mut().enable();
            if let Some(refusal) = self.refusal() {
                return refusal;
            }
            told.await;
        }
    }

    /// Something begins to run for it, until what this answers is dropped.
    pub fn work(&self, what: &str) -> Work {
        let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        let number = running.last_key_value().map_or(0, |(last, _)| last + 1);
        running.insert(number, what.to_owned());
        Work { of: self.0.clone(), number: Some(number) }
    }

    /// The same of a tool.
    pub fn tool(&self) -> Work {
        Work::tool(self.0.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.let_go.store(true, Ordering::Release);
        self.0.bell.notify_one();
    }
}

impl Work {
    fn tool(of: Arc<Watched>) -> Self {
        of.tools.fetch_add(1, Ordering::AcqRel);
        Self { of, number: None }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        match &self.number {
            Some(number) => drop(self.of.running.lock().unwrap_or_else(PoisonError::into_inner).remove(number)),
            None => drop(self.of.tools.fetch_sub(1, Ordering::AcqRel)),
        }
        if self.of.why().is_some() || self.of.is_let_go() {
            self.of.bell.notify_one();
        }
    }
}
