//! The process group that a child leads: what is sent to it reaches everything that the child has started.

use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

/// A child's group, shared by whoever may have to end it.
#[derive(Debug, Clone, Default)]
pub struct Group(Arc<Mutex<Option<Pid>>>);

impl Group {
    /// A child leads it now.
    pub fn led_by(&self, child: Option<u32>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = child.and_then(|id| Pid::from_raw(id.cast_signed()));
    }

    /// Asks everybody in it to end.
    pub fn terminate(&self) {
        if let Some(leader) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // Who is gone already need not be told.
            let _ = kill_process_group(leader, Signal::TERM);
        }
    }

    /// Kills everybody in it, once: afterwards its number may be somebody else's.
    pub fn sweep(&self) {
        if let Some(leader) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = kill_process_group(leader, Signal::KILL);
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
