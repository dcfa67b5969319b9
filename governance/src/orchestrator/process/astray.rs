//! What an agent's process has started and what left its group since: found by a mark in the environment, which is handed down from each process to what
//! it starts, also when its session is another and its parent is gone. Who starts something with an empty environment hides it from here.

/// The variable that bears the mark.
pub(super) const MARK: &str = "GOVERNANCE_SEAT";

/// Kills whatever of this user bears the mark.
#[cfg(target_os = "linux")]
pub(super) fn sweep(mark: &str) {
    let (mark, mut killed) = (format!("{MARK}={mark}").into_bytes(), std::collections::BTreeSet::new());
    // What is killed may just have started something; whoever begins a process more often than is looked is not ended by this.
    for _ in 0..ROUNDS {
        let before = killed.len();
        for pid in processes() {
            if kill_if(pid, &mark) {
                killed.insert(pid);
            }
        }
        if killed.len() == before {
            return;
        }
    }
}

/// How often it is looked for what was started meanwhile.
#[cfg(target_os = "linux")]
const ROUNDS: usize = 16;

#[cfg(target_os = "linux")]
fn processes() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether this process bears the mark, and so was killed.
#[cfg(target_os = "linux")]
fn kill_if(pid: i32, mark: &[u8]) -> bool {
    use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

    // Held first: what is killed is what was looked at, and not whoever bears its number by then.
    let held = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
    let Some(held) = held else { return false };
    let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { return false };
    environment.split(|byte| *byte == 0).any(|set| set == mark) && pidfd_send_signal(&held, Signal::KILL).is_ok()
}

/// Elsewhere nobody can be asked for their environment.
#[cfg(not(target_os = "linux"))]
pub(super) fn sweep(_: &str) {}
