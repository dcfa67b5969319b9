//! A preflight with checks that are made elsewhere, in another language: whoever makes them asks which is next, and tells what it found.
//!
//! ```text
//!   Agent::looking ─▶ next ─▶ Look ─▶ made there ─▶ tell(nothing │ why it fails) ─▶ next … ─▶ the report
//! ```
//!
//! Nobody is called back: what makes a check has its own threads, and its own way to wait.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::preflight::Found;
use super::{Agent, Check, KnownCheck, PreflightReport};
use crate::error::{Error, ErrorKind, Result};

type Preflight = Pin<Box<dyn Future<Output = Result<PreflightReport>> + Send>>;

/// A preflight under way. It goes on while somebody waits for what is [`next`](Self::next); dropped before its end, it comes to nothing.
pub struct Looking {
    preflight: Option<Preflight>,
    asked: mpsc::UnboundedReceiver<Look>,
}

/// What is next in a preflight.
#[derive(Debug)]
pub enum Looked {
    /// A check is to be made.
    Check(Look),
    /// It is over.
    Done(PreflightReport),
}

/// A check that is to be made now. Dropped without a word, it fails.
#[derive(Debug)]
pub struct Look {
    name: String,
    tell: oneshot::Sender<Found>,
}

impl Look {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells what it found: nothing, or why it fails. Told too late, it changes nothing.
    pub fn tell(self, why: Option<String>) {
        let _ = self.tell.send(why.map_or(Ok(()), Err));
    }
}

impl Looking {
    /// Waits for the next check to make, or for the report. What is not told of the check before within its time has failed, whoever still makes it.
    /// Cancel safe.
    pub async fn next(&mut self) -> Result<Looked> {
        let over = || Error::new(ErrorKind::Conflict, "preflight_over", "this preflight is over: its report was answered");
        let preflight = self.preflight.as_mut().ok_or_else(over)?;
        let report = tokio::select! {
            biased;
            Some(look) = self.asked.recv() => return Ok(Looked::Check(look)),
            report = preflight => report,
        };
        self.preflight = None;
        report.map(Looked::Done)
    }
}

impl std::fmt::Debug for Looking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Looking").field("is_over", &self.preflight.is_none()).finish_non_exhaustive()
    }
}

impl Agent {
    /// Begins a preflight: see [`preflight`](Self::preflight). Checks that are not known here are made by whoever asks for the next one. Each has
    /// [`CHECK_TIME`](super::CHECK_TIME), unless said otherwise.
    #[must_use]
    pub fn looking(&self, checks: Vec<(String, Option<KnownCheck>)>, within: Option<Duration>) -> Looking {
        let (ask, asked) = mpsc::unbounded_channel();
        let checks = checks.into_iter().map(|(name, known)| {
            let check = known.map_or_else(|| elsewhere(&name, ask.clone()), |known| known.named(&name));
            within.into_iter().fold(check, Check::within)
        });
        let (checks, agent) = (checks.collect(), self.clone());
        Looking { preflight: Some(Box::pin(async move { agent.preflight(checks).await })), asked }
    }
}

/// A check that asks for somebody who makes it.
fn elsewhere(name: &str, ask: mpsc::UnboundedSender<Look>) -> Check {
    let look = name.to_owned();
    Check::new(name, async move {
        let unmade = "nobody made the check".to_owned();
        let (tell, told) = oneshot::channel();
        ask.send(Look { name: look, tell }).map_err(|_| unmade.clone())?;
        told.await.unwrap_or(Err(unmade))
    })
}
