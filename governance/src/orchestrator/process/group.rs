//! The process group that a child leads: what is sent to it reaches everything that the child has started, and what left it is looked for at the end.

use std::sync::{Arc, Mutex, PoisonError};

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
        if let Some(Led { leader, .. }) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // Who is gone already need not be told.
            let _ = kill_process_group(leader, Signal::TERM);
        }
    }

    /// Kills everybody in it and whoever left it, once: afterwards its number may be somebody else's.
    pub fn sweep(&self) {
        let led = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Led { leader, mark }) = led {
            let _ = kill_process_group(leader, Signal::KILL);
            astray::sweep(&mark);
        }
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
