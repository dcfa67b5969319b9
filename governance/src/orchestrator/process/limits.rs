//! How much a child may use. The kernel holds it to that, whatever language it is written in.

use crate::error::{Error, Result};
#[cfg(target_os = "linux")]
use crate::guard::approval::MARK;
use crate::orchestrator::program::Quota;

/// Sets a child's limits, right after it was started. It has nothing to work on before it is handed its seat.
#[cfg(target_os = "linux")]
pub fn limit(child: Option<u32>, quota: Quota) -> Result<()> {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    let Some(pid) = child.and_then(|id| Pid::from_raw(id.cast_signed())) else { return Ok(()) };
    let set = |resource, soft: u64, hard: u64| {
        // Only the administrator may raise a limit, so one that is lower already stays.
        let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let new = Rlimit { current: Some(soft.min(most)), maximum: Some(hard.min(most)) };
        prlimit(Some(pid), resource, new)
            .map_err(|e| Error::unavailable("not_limited", "an agent's process could not be limited").because(e))
    };
    if let Some(bytes) = quota.memory {
        set(Resource::Data, bytes, bytes)?;
    }
    if let Some(seconds) = quota.cpu_seconds {
        // A signal that it could catch, and a second later one that it cannot.
        set(Resource::Cpu, seconds, seconds.saturating_add(1))?;
    }
    Ok(())
}

/// Marks a child as an agent's: whatever it starts bears the mark too, and none of them approves anything.
#[cfg(target_os = "linux")]
pub fn mark(child: Option<u32>) -> Result<()> {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    let Some(pid) = child.and_then(|id| Pid::from_raw(id.cast_signed())) else { return Ok(()) };
    // Only the administrator may raise a limit, so one that is lower already stays, and marks as well.
    let most = getrlimit(Resource::Locks).maximum.unwrap_or(u64::MAX).min(MARK);
    prlimit(Some(pid), Resource::Locks, Rlimit { current: Some(most), maximum: Some(most) })
        .map(drop)
        .map_err(|e| Error::unavailable("not_limited", "an agent's process could not be marked").because(e))
}

/// Elsewhere its number tells.
#[cfg(not(target_os = "linux"))]
pub fn mark(_child: Option<u32>) -> Result<()> {
    Ok(())
}

/// Other systems let nobody limit a process but itself: what cannot be held is refused rather than promised.
#[cfg(not(target_os = "linux"))]
pub fn limit(_child: Option<u32>, quota: Quota) -> Result<()> {
    if quota == Quota::default() {
        return Ok(());
    }
    Err(Error::invalid("not_limited", "memory and processor time of an agent can be limited on Linux only: leave the limits out"))
}
