//! The process group that a child leads: what is sent to it reaches everything that the child has started, and what left it is looked for at the end.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use super::astray;

/// A child's group, shared by whoever may have to end it.
#[derive(Debug, Clone, Default)]
pub struct Group(Arc<Mutex<Option<Led>>>);

#[derive(Debug)]
struct Led {
    leader: Pid,
    /// What everything of it bears in its environment.
    mark: String,
}

impl Group {
    /// A child leads it now, which was started with this mark.
    pub fn led_by(&self, child: Option<u32>, mark: &str) {
        let leader = child.and_then(|id| Pid::from_raw(id.cast_signed()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = leader.map(|leader| Led { leader, mark: mark.to_owned() });
    }

    /// Asks everybody in it to end.
    pub fn terminate(&self) {
        self.send(Signal::TERM);
    }

    /// Kills everybody in it. Whoever left it is looked for by whoever [sweeps](Self::swept) it.
    pub fn kill(&self) {
        self.send(Signal::KILL);
    }

    fn send(&self, signal: Signal) {
        if let Some(Led { leader, .. }) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // Who is gone already need not be told.
            let _ = kill_process_group(leader, signal);
        }
    }

    /// Kills everybody in it and whoever left it, once: afterwards its number may be somebody else's. Waits for nobody's end.
    pub fn sweep(&self) {
        if let Some(Led { leader, mark }) = self.take() {
            let _ = kill_process_group(leader, Signal::KILL);
            astray::sweep(&mark, Duration::ZERO);
        }
    }

    /// The same, and returns when they have ended, after twice this time at the latest. On a thread of its own, because a process that is asked what it
    /// bears may answer late.
    pub async fn swept(&self, patience: Duration) {
        let Some(Led { leader, mark }) = self.take() else { return };
        let _ = kill_process_group(leader, Signal::KILL);
        let swept = tokio::task::spawn_blocking(move || astray::sweep(&mark, patience));
        if tokio::time::timeout(patience * 2, swept).await.is_err() {
            tracing::warn!("what an agent's process left behind is still being looked for");
        }
    }

    fn take(&self) -> Option<Led> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Sweeps a group when it is dropped.
#[derive(Debug)]
pub struct Sweep(pub Group);

impl Drop for Sweep {
    fn drop(&mut self) {
        self.0.sweep();
    }
}
