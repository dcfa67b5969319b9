//! What an agent's process has started and what left its group since: found by a mark in the environment, which is handed down from each process to what
//! it starts, also when its session is another and its parent is gone. Who starts something with an empty environment hides it from here.

use std::time::Duration;
#[cfg(target_os = "linux")]
use std::{collections::BTreeMap, os::fd::OwnedFd};

#[cfg(target_os = "linux")]
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

/// The variable that bears the mark.
pub(super) const MARK: &str = "GOVERNANCE_SEAT";

/// Kills whatever of this user bears the mark, and waits until it has ended, for so long at most.
#[cfg(target_os = "linux")]
pub(super) fn sweep(mark: &str, patience: Duration) {
    let (mark, mut killed) = (format!("{MARK}={mark}").into_bytes(), BTreeMap::new());
    // What is killed may just have started something; whoever begins a process more often than is looked is not ended by this.
    for _ in 0..ROUNDS {
        let before = killed.len();
        for pid in processes() {
            if let Some(held) = kill_if(pid, &mark) {
                killed.entry(pid).or_insert(held);
            }
        }
        if killed.len() == before {
            break;
        }
    }
    let (mut living, mut waited): (Vec<_>, _) = (killed.into_values().collect(), Duration::ZERO);
    while !living.is_empty() && waited < patience {
        std::thread::sleep(STEP);
        waited += STEP;
        living.retain(|held| !has_ended(held));
    }
}

/// What is held can be read from once its process has ended.
#[cfg(target_os = "linux")]
fn has_ended(held: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(held, PollFlags::IN)], Some(&now)).is_ok_and(|ended| ended > 0)
}

/// How often it is looked for what was started meanwhile.
#[cfg(target_os = "linux")]
const ROUNDS: usize = 16;
/// How often it is looked whether what was killed has ended.
#[cfg(target_os = "linux")]
const STEP: Duration = Duration::from_millis(2);

#[cfg(target_os = "linux")]
fn processes() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The process, if it bears the mark, and so was killed.
#[cfg(target_os = "linux")]
fn kill_if(pid: i32, mark: &[u8]) -> Option<OwnedFd> {
    // Held first: what is killed is what was looked at, and not whoever bears its number by then.
    let held = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let is_marked = environment.split(|byte| *byte == 0).any(|set| set == mark);
    (is_marked && pidfd_send_signal(&held, Signal::KILL).is_ok()).then_some(held)
}

/// Elsewhere nobody can be asked for their environment.
#[cfg(not(target_os = "linux"))]
pub(super) fn sweep(_: &str, _: Duration) {}
