//! Where handles live: what one `Governance` opened, until it is closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::governance::Error as Core;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::error::Result;
use crate::json;

/// Open until its `Governance` is closed. Cheap to clone: every handle has it.
#[derive(Clone, Default)]
pub struct House(Arc<Door>);

#[derive(Default)]
struct Door {
    // The same as the token, for checks on hot paths: those that ask a token take turns.
    is_closed: AtomicBool,
    closed: CancellationToken,
}

impl House {
    /// Ends every call that waits, and refuses those that come.
    pub fn close(&self) {
        self.0.is_closed.store(true, Ordering::Release);
        self.0.closed.cancel();
    }

    /// What may be asked only while it is open.
    pub fn check(&self) -> Result<()> {
        if self.0.is_closed.load(Ordering::Acquire) { Err(closed().into()) } else { Ok(()) }
    }

    /// Carries a call out. One that is under way when this is closed may have happened.
    pub async fn ask<A>(&self, work: impl Future<Output = ::governance::Result<A>>) -> Result<A> {
        tokio::select! {
            biased;
            () = self.0.closed.cancelled() => Err(closed().into()),
            done = work => Ok(done?),
        }
    }

    /// The same, where there is nothing to answer.
    pub async fn done(&self, work: impl Future<Output = ::governance::Result<()>>) -> Result<String> {
        self.ask(work).await.map(|()| String::new())
    }

    /// The same, with the answer as JSON.
    pub async fn answer<A: Serialize>(&self, work: impl Future<Output = ::governance::Result<A>>) -> Result<String> {
        json::text(&self.ask(work).await?)
    }
}

fn closed() -> Core {
    Core::invalid("closed", "this was closed: open it again")
}
